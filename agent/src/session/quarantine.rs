//! GPUs whose memory is not free after a run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::state::{Level, Session};
use crate::Notice;
use crate::gpu::left_behind;

/// How long the driver may take to free the memory of a program that has ended; and how often it is
/// looked, before and after that.
const GPU_PATIENCE: Duration = Duration::from_secs(5);
const GPU_LOOK: Duration = Duration::from_millis(100);
const QUARANTINE_LOOK: Duration = Duration::from_secs(2);

/// Waits while the GPUs of a slot hold memory that a run has left behind, since the next run would
/// lack it.
pub(super) async fn quarantine(
    session: &Session,
    run: u64,
    before: BTreeMap<String, u64>,
    level: &mut Level,
) {
    // A thread has its own time: without GPUs, as in the simulation, none is asked.
    if before.is_empty() {
        return;
    }
    let before = Arc::new(before);
    let ended = Instant::now();
    let mut told = false;
    loop {
        let (driver, looked_at) = (Arc::clone(&session.options.driver), Arc::clone(&before));
        // It neither panics nor is aborted. A GPU without a reading counts as free.
        let left = tokio::task::spawn_blocking(move || left_behind(&*driver, &looked_at))
            .await
            .unwrap_or_default();
        if left.is_empty() {
            break;
        }
        let held: Vec<_> = left
            .iter()
            .map(|(gpu, bytes)| format!("GPU {gpu} {:.1} GB", *bytes as f64 / 1e9))
            .collect();
        if !told && ended.elapsed() >= GPU_PATIENCE {
            told = true;
            session.link.notice(Notice::Note(format!(
                "run {run} has ended and none of its processes is left, but more memory is in use than before it ({}): quarantined until it is free; \
                 nvidia-smi says more, and a reset or a restart of the machine may be needed",
                held.join(", ")
            )));
        }
        let pause = if told { QUARANTINE_LOOK } else { GPU_LOOK };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = level.wait_for(Option::is_some) => return,
        }
    }
    if told {
        let names: Vec<_> = before.keys().map(String::as_str).collect();
        session.link.notice(Notice::Note(format!(
            "GPU {}: free again, takes runs again",
            names.join(", ")
        )));
    }
}
