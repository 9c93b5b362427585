//! Sweeps as a whole: create, pause, resume, stop, cancel, and the end of the space.

use super::draft::Draft;
use super::health;
use crate::command::{Decision, Refusal, Reply, SweepAction};
use crate::event::Event;
use crate::spec::{CodeMode, SweepSpec};
use crate::state::{AttemptRef, State, StopKind, StopRequest, Sweep, SweepId, SweepState};

/// Why a sweep is paused where the controller itself has seen no reason.
pub(super) const PAUSED_BY_PERSON: &str = "paused by user";

pub(super) fn create(
    state: &State,
    sweep: &SweepId,
    spec: &SweepSpec,
    source: &str,
    seed: u64,
) -> Result<Decision, Refusal> {
    if state.sweeps.contains_key(sweep) {
        return Err(Refusal::Exists(format!("sweep {sweep}")));
    }
    if spec.code.mode == CodeMode::Pin {
        let hint = "`sweep create` takes that from the working folder";
        return Err(Refusal::WrongState(format!(
            "the file says `code: {{mode: pin}}`, and no code came with it: {hint}"
        )));
    }
    Ok(created(sweep, spec, source, seed))
}

/// The beginning of a sweep.
pub(super) fn created(sweep: &SweepId, spec: &SweepSpec, source: &str, seed: u64) -> Decision {
    let created = Event::SweepCreated {
        sweep: sweep.clone(),
        spec: Box::new(spec.clone()),
        source: source.to_owned(),
        seed,
    };
    Decision {
        events: vec![created],
        reply: Reply::Sweep(SweepState::Running),
    }
}

pub(super) fn set(
    state: &State,
    sweep: &SweepId,
    action: SweepAction,
) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, sweep)?;
    match action {
        SweepAction::Pause => pause(&mut draft)?,
        SweepAction::Resume => resume(&mut draft),
        SweepAction::Stop => stop(&mut draft)?,
        SweepAction::Cancel => cancel(&mut draft)?,
    }
    let after = draft.sweep_state();
    Ok(draft.reply(Reply::Sweep(after)))
}

fn pause(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    match draft.sweep.state {
        SweepState::Running => draft.change_sweep(SweepState::Paused, PAUSED_BY_PERSON),
        SweepState::Paused => {}
        SweepState::Finished | SweepState::Stopped | SweepState::Cancelled => {
            return Err(wrong_state(draft, "only a running sweep can be paused"));
        }
    }
    Ok(())
}

// From any state, as in W&B. A sweep with nothing left to do ends again at once.
fn resume(draft: &mut Draft<'_>) {
    if draft.sweep.state == SweepState::Running {
        return;
    }
    let idle = draft.sweep.index.queued.is_empty() && draft.sweep.index.live.is_empty();
    if draft.sweep.state == SweepState::Finished
        && idle
        && draft.progress().limit(&draft.sweep.spec).is_some()
    {
        return;
    }
    draft.change_sweep(SweepState::Running, "");
    if draft.sweep.archived {
        draft.push(Event::SweepArchived {
            sweep: draft.id.clone(),
            archived: false,
        });
    }
    if draft.sweep.stalled {
        health::reset_health(draft);
    }
    draft.finish_if_done();
}

fn stop(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    match draft.sweep.state {
        SweepState::Running | SweepState::Paused => {
            draft.change_sweep(SweepState::Stopped, "stopped by user");
            cancel_queued(draft, "the sweep was stopped");
        }
        SweepState::Stopped => {}
        SweepState::Finished | SweepState::Cancelled => {
            return Err(wrong_state(
                draft,
                "only a running or paused sweep can be stopped",
            ));
        }
    }
    Ok(())
}

// Live attempts are asked to end; each run is cancelled when its agent says so or its lease ends. An attempt that the sweep's
// own rule has asked to end before stays with that.
fn cancel(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    match draft.sweep.state {
        SweepState::Running | SweepState::Paused | SweepState::Stopped => {
            draft.change_sweep(SweepState::Cancelled, "cancelled by user");
            cancel_queued(draft, "the sweep was cancelled");
            for run in &draft.sweep.index.live {
                let Some(owner) = unasked(draft.id, draft.sweep, *run) else {
                    continue;
                };
                draft.request_stop(owner, StopKind::Cancel, "the sweep was cancelled");
            }
        }
        SweepState::Cancelled => {}
        SweepState::Finished => {
            return Err(wrong_state(draft, "nothing is left to cancel"));
        }
    }
    Ok(())
}

fn cancel_queued(draft: &mut Draft<'_>, reason: &str) {
    let queued = draft.sweep.index.queued.iter().copied().collect();
    draft.cancel_queued(queued, reason.to_owned(), false);
}

fn unasked(id: &SweepId, sweep: &Sweep, number: u64) -> Option<AttemptRef> {
    let run = sweep.runs.get(number)?;
    let goes_on = |stop: &StopRequest| stop.kind == StopKind::Requeue;
    let unasked = run
        .attempts
        .last()
        .is_some_and(|newest| newest.state.is_live() && newest.stop.as_ref().is_none_or(goes_on));
    unasked.then(|| AttemptRef {
        sweep: id.clone(),
        run: number,
        attempt: run.newest(),
    })
}

fn wrong_state(draft: &Draft<'_>, rule: &str) -> Refusal {
    Refusal::WrongState(format!("{}: {rule}", standing(draft.id, draft.sweep)))
}

/// Says where a sweep is: `sweep k3x9q2ab is finished (run cap of 60 reached)`.
pub(super) fn standing(id: &SweepId, sweep: &Sweep) -> String {
    let reason = if sweep.reason.is_empty() {
        String::new()
    } else {
        format!(" ({})", sweep.reason)
    };
    format!("sweep {id} is {}{reason}", sweep.state)
}

// A claim from an older history stays true until the sweep is edited: by itself a space never grows and points are never given back. It must be
// made only when the search found nothing at all, not when it found the last points.
pub(super) fn exhaust(state: &State, sweep: &SweepId, history: u64) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, sweep)?;
    if !draft.sweep.exhausted && history >= draft.sweep.edited {
        draft.push(Event::SpaceExhausted {
            sweep: sweep.clone(),
        });
        draft.finish_if_done();
    }
    let after = draft.sweep_state();
    Ok(draft.reply(Reply::Sweep(after)))
}
