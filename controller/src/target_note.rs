//! Says that a sweep begins no more runs, since one has reached the target, while others are in progress.

use sweep_lifecycle::observe;
use sweep_lifecycle::spec;
use sweep_lifecycle::state::{RunState, SweepId, SweepState};
use sweep_proto::format::significant;

use crate::store::{Query, RunRange, StoreError, SweepCounts, SweepRow};

/// Running runs that are looked at.
const RUNNING_MAX: usize = 1000;

/// Returns that the target has been reached and runs are still in progress; empty where not.
///
/// # Errors
/// The store's.
pub(crate) fn target_note(
    query: &dyn Query,
    row: &SweepRow,
    counts: &SweepCounts,
) -> Result<String, StoreError> {
    let text = row.revisions.last().map_or(&row.yaml, |last| &last.yaml);
    if row.state != SweepState::Running || counts.running == 0 || !text.contains("target") {
        return Ok(String::new());
    }
    let Some(spec) = spec::parse(text).0 else {
        return Ok(String::new());
    };
    // Whether a run in progress keeps the constraints is known to the engine alone.
    let running = if spec.constraints.is_empty() && spec.repeats == 1 {
        query.runs(
            &SweepId(row.id.clone()),
            &[RunState::Running],
            RunRange::first(RUNNING_MAX),
        )?
    } else {
        Vec::new()
    };
    let values = running.iter().filter_map(|run| Some((run.run, run.best?)));
    let mut known = counts.best.into_iter().chain(values);
    let reached = known.find(|(_, value)| observe::reaches_target(&spec, *value));
    Ok(reached.map_or_else(String::new, |(run, value)| {
        format!(
            "target reached by run {run}: {}; no new runs begin, {} in progress",
            significant(value, 6),
            counts.running
        )
    }))
}
