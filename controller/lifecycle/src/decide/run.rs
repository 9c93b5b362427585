//! Runs, as people deal with them: cancel, retry, annotate.

use std::collections::BTreeSet;

use super::draft::Draft;
use super::sweep::standing;
use crate::command::{AnnotationPatch, Decision, Refusal, Reply};
use crate::event::{Event, RetryCause};
use crate::state::{
    AttemptRef, RunNumber, RunState, State, StopKind, StopRequest, SweepId, SweepState,
};

pub(super) fn cancel(
    state: &State,
    sweep: &SweepId,
    number: RunNumber,
) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, sweep)?;
    let run = draft.run(number)?;
    let mut after = run.state;
    match run.state {
        RunState::Queued => {
            draft.end_run(
                number,
                RunState::Cancelled,
                None,
                "cancelled by user".to_owned(),
                false,
            );
            draft.finish_if_done();
            after = RunState::Cancelled;
        }
        RunState::Assigned | RunState::Running => {
            // To make way for other code is less than to end.
            let goes_on = |stop: &StopRequest| stop.kind == StopKind::Requeue;
            if run
                .attempts
                .last()
                .is_some_and(|owner| owner.stop.as_ref().is_none_or(goes_on))
            {
                let owner = AttemptRef {
                    sweep: sweep.clone(),
                    run: number,
                    attempt: run.newest(),
                };
                draft.request_stop(owner, StopKind::Cancel, "cancelled by user");
            }
        }
        RunState::Cancelled => {}
        RunState::Finished | RunState::Stopped | RunState::Failed => {
            return Err(Refusal::WrongState(format!(
                "run {sweep}/{number} is {} already: nothing is left to cancel",
                run.state
            )));
        }
    }
    Ok(draft.reply(Reply::Run(after)))
}

/// Tags that one run may have.
const TAGS_MAX: usize = 32;

pub(super) fn annotate(
    state: &State,
    sweep: &SweepId,
    number: RunNumber,
    said: &AnnotationPatch,
) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, sweep)?;
    let before = draft.run(number)?.annotation.clone();
    let mut annotation = before.clone();
    if let Some(note) = &said.note {
        annotation.note.clone_from(note);
    }
    annotation.tags.retain(|tag| !said.remove.contains(tag));
    annotation.tags.extend(said.add.iter().cloned());
    annotation.pinned = said.pinned.unwrap_or(before.pinned);
    if annotation.tags.len() > TAGS_MAX {
        let reason = format!(
            "run {sweep}/{number} would have {} tags, and {TAGS_MAX} are the most",
            annotation.tags.len()
        );
        return Err(Refusal::WrongState(reason));
    }
    if annotation != before {
        draft.push(Event::RunAnnotated {
            sweep: sweep.clone(),
            run: number,
            annotation,
        });
    }
    Ok(draft.reply(Reply::Done))
}

pub(super) fn retry(
    state: &State,
    sweep: &SweepId,
    runs: &[RunNumber],
) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, sweep)?;
    if draft.sweep.state == SweepState::Cancelled {
        let rule = format!("`sweep resume {sweep}` first, then retry");
        return Err(Refusal::WrongState(format!(
            "{}: {rule}",
            standing(sweep, draft.sweep)
        )));
    }
    let failed = || draft.sweep.runs.in_state(RunState::Failed);
    let wanted: BTreeSet<RunNumber> = if runs.is_empty() {
        failed().collect()
    } else {
        runs.iter().copied().collect()
    };
    let (mut requeued, mut skipped) = (Vec::new(), Vec::new());
    for number in wanted {
        match draft.sweep.runs.get(number) {
            None => skipped.push(format!("run {number}: sweep {sweep} has no such run")),
            Some(run) if !run.state.is_terminal() => skipped.push(format!(
                "run {number}: it is {} and has not ended",
                run.state
            )),
            Some(run) if !draft.holds(&run.config) => {
                let version = draft.sweep.space_version();
                skipped.push(format!(
                    "run {number}: it is not in space version {version}, which the sweep has now"
                ));
            }
            Some(run) if run.point.withdrawn => skipped.push(format!(
                "run {number}: it was withdrawn; the search tries its point by itself"
            )),
            Some(_) => requeued.push(number),
        }
    }
    if draft.sweep.state.is_terminal() && !requeued.is_empty() {
        let count = if requeued.len() == 1 {
            "a run is".to_owned()
        } else {
            format!("{} runs are", requeued.len())
        };
        draft.change_sweep(SweepState::Running, format!("{count} tried again"));
    }
    for number in &requeued {
        draft.requeue(
            *number,
            "requested by user".to_owned(),
            Some(RetryCause::Asked),
            None,
        );
    }
    Ok(draft.reply(Reply::Retried { requeued, skipped }))
}
