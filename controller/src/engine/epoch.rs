//! The controller's identity and its epochs, as events of the log.

use sweep_lifecycle::command::Command;
use sweep_lifecycle::decide::decide;
use sweep_lifecycle::event::Recorded;
use sweep_lifecycle::evolve::evolve;
use sweep_lifecycle::state::{State, Timestamp};

use super::image::load;
use crate::store::{Batch, Store, StoreError};

/// Digits of a controller's id.
const ID_DIGITS: usize = 12;

/// Draws the id of a new controller: 12 hexadecimal digits.
///
/// # Errors
/// The system gives no random numbers.
pub fn draw_controller_id() -> Result<String, StoreError> {
    let mut bytes = [0; ID_DIGITS / 2];
    getrandom::fill(&mut bytes).map_err(|error| {
        StoreError::Failed(format!(
            "no random numbers for the controller's id: {error}"
        ))
    })?;
    Ok(hex::encode(bytes))
}

/// Records that a log was restored from an older copy. No engine may be using the store.
///
/// # Errors
/// See [`Store::append`] and [`Store::replay`].
pub fn record_restore(
    store: &mut dyn Store,
    controller: String,
    at: Timestamp,
) -> Result<(), StoreError> {
    let (mut state, _) = load(store, u64::MAX)?;
    begin_epoch(store, &mut state, controller, true, at)
}

/// Begins an epoch where one is due.
///
/// # Errors
/// See [`Store::append`].
pub(super) fn begin_epoch(
    store: &mut dyn Store,
    state: &mut State,
    controller: String,
    restored: bool,
    at: Timestamp,
) -> Result<(), StoreError> {
    let decision = decide(
        state,
        &Command::BeginEpoch {
            controller,
            restored,
        },
    );
    let decision =
        decision.map_err(|refusal| StoreError::Failed(format!("no epoch can begin: {refusal}")))?;
    let events: Vec<_> = decision
        .events
        .into_iter()
        .map(|event| Recorded { at, event })
        .collect();
    if events.is_empty() {
        return Ok(());
    }
    store.append(&Batch {
        events: events.clone(),
        ..Batch::default()
    })?;
    events.iter().for_each(|recorded| evolve(state, recorded));
    Ok(())
}
