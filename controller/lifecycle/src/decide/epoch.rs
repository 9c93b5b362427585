//! Epochs of the controller: the first one, and one after each restore.

use super::draft::Draft;
use crate::command::{Decision, Reply};
use crate::event::Event;
use crate::state::State;

pub(super) fn begin(state: &State, controller: &str, restored: bool) -> Decision {
    let identity = &state.identity;
    // The identity of a log is fixed: a start gives one only to a log that has none.
    let events = if restored || identity.controller.is_empty() {
        vec![next(state, controller, restored)]
    } else {
        Vec::new()
    };
    Decision {
        events,
        reply: Reply::Done,
    }
}

/// Returns the event that begins the next epoch.
pub(super) fn next(state: &State, controller: &str, restored: bool) -> Event {
    let known = &state.identity.controller;
    let controller = if known.is_empty() { controller } else { known }.to_owned();
    Event::EpochBegan {
        controller,
        epoch: state.identity.epoch + 1,
        restored,
    }
}

pub(super) fn settle(state: &State) -> Decision {
    let epoch = state.identity.epoch;
    let mut events = Vec::new();
    if state.identity.is_settling {
        events.push(Event::EpochSettled { epoch });
        // While agents could still report attempts, no sweep was over.
        for sweep in state.sweeps.keys() {
            let Ok(mut draft) = Draft::of(state, sweep) else {
                continue;
            };
            draft.has_settled = true;
            draft.finish_if_done();
            events.extend(draft.reply(Reply::Done).events);
        }
    }
    Decision {
        events,
        reply: Reply::Done,
    }
}
