//! Has an attempt wait for another one that still writes the checkpoint folder of their run.

use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::attempt::{AttemptState, Input, Want};
use crate::process::exit::Obstacle;
use crate::process::fence;

/// Waits until no other attempt writes the checkpoint folder in a run's folder. `note` is called
/// once with the holder that it waits for.
///
/// # Errors
/// The attempt is wanted to end before, or has waited for too long.
pub(crate) async fn wait_until_open(
    run_folder: &Path,
    attempt: &mut AttemptState,
    wants: &mut mpsc::UnboundedReceiver<Want>,
    note: impl FnOnce(String),
) -> Result<(), Obstacle> {
    let wanted = async {
        while !attempt.is_wanted_to_end() {
            match wants.recv().await {
                Some(want) => drop(attempt.handle(Input::Want(want), Duration::ZERO)),
                None => std::future::pending().await,
            }
        }
    };
    tokio::select! {
        biased;
        open = fence::wait_until_open(run_folder, note) => open,
        () = wanted => Err(Obstacle::Machine("it was not started: another attempt writes the checkpoint folder".to_owned())),
    }
}
