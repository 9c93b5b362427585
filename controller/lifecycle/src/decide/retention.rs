//! Archiving and deleting sweeps, and deleting the curves and the output of runs.

use super::draft::Draft;
use super::sweep::standing;
use crate::command::{Decision, Refusal, Reply};
use crate::event::Event;
use crate::spec::{Objective, Reduce};
use crate::state::{AttemptRef, Run, RunNumber, RunRanges, State, SweepId};

/// A series of at most this many values is kept whole.
const SERIES_MIN: usize = 16;

/// Hides a sweep from lists, or shows it again.
pub(super) fn archive(state: &State, sweep: &SweepId, archived: bool) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, sweep)?;
    if archived && !draft.sweep.state.is_terminal() {
        let hint = format!("`sweep stop {sweep}` ends it; then archive it");
        return Err(Refusal::WrongState(format!(
            "{}: only a sweep that has ended can be archived; {hint}",
            standing(sweep, draft.sweep)
        )));
    }
    if draft.sweep.archived != archived {
        draft.push(Event::SweepArchived {
            sweep: sweep.clone(),
            archived,
        });
    }
    Ok(draft.reply(Reply::Done))
}

/// Deletes a sweep with its runs and agents.
pub(super) fn delete(state: &State, sweep: &SweepId) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, sweep)?;
    refuse_unended(&draft, "deleted")?;
    draft.push(Event::SweepDeleted {
        sweep: sweep.clone(),
    });
    Ok(draft.reply(Reply::Done))
}

/// Deletes the curves and the output of those of some runs that have any left. `keeps_best`: not those of the best point.
pub(super) fn prune(
    state: &State,
    sweep: &SweepId,
    runs: &[RunNumber],
    keeps_best: bool,
) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, sweep)?;
    refuse_unended(&draft, "pruned")?;
    let best = draft
        .sweep
        .index
        .best
        .map(|(first, _)| first)
        .filter(|_| keeps_best);
    let objective = draft.sweep.spec.objective.as_ref();
    let (mut pruned, mut values, mut attempts) = (Vec::new(), Vec::new(), Vec::new());
    let mut numbers = runs.to_vec();
    numbers.sort_unstable();
    numbers.dedup();
    for number in numbers {
        let Some(run) = draft.sweep.runs.get(number) else {
            continue;
        };
        if !is_prunable(&run) || best == Some(run.point.first) {
            continue;
        }
        attempts.extend((1..).zip(&run.attempts).map(|(place, attempt)| {
            let series = shortened(objective, &attempt.series);
            attempt.summary(
                AttemptRef {
                    sweep: sweep.clone(),
                    run: number,
                    attempt: place,
                },
                series,
            )
        }));
        values.extend(run.value.map(|value| (number, value)));
        pruned.push(number);
    }
    let reply = Reply::Pruned {
        runs: pruned.len() as u64,
    };
    if !pruned.is_empty() {
        let runs: RunRanges = pruned.into_iter().collect();
        draft.push(Event::RunsPruned {
            sweep: sweep.clone(),
            runs,
            values,
            attempts,
        });
    }
    Ok(draft.reply(reply))
}

fn refuse_unended(draft: &Draft<'_>, done: &str) -> Result<(), Refusal> {
    let id = draft.id;
    if !draft.sweep.state.is_terminal() {
        let hint = format!("`sweep cancel {id}` ends it");
        return Err(Refusal::WrongState(format!(
            "{}: a sweep is {done} only after its end; {hint}",
            standing(id, draft.sweep)
        )));
    }
    let live = draft.sweep.index.live.len();
    if live > 0 {
        let runs = if live == 1 {
            "1 run is".to_owned()
        } else {
            format!("{live} runs are")
        };
        let hint = format!("wait for the end, or `sweep cancel {id}`");
        return Err(Refusal::WrongState(format!(
            "{runs} still being executed in sweep {id}: it is {done} only after their end; {hint}"
        )));
    }
    Ok(())
}

/// Returns values that reduce to the same number as the whole series, by the rule that the sweep has now, and by best and last.
fn shortened(objective: Option<&Objective>, series: &[f64]) -> Vec<f64> {
    let count = match objective.map(|objective| objective.reduce) {
        Some(Reduce::MeanLast(count)) => usize::try_from(count).unwrap_or(usize::MAX).max(1),
        Some(Reduce::Best | Reduce::Last) | None => 1,
    };
    let finite: Vec<f64> = series
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .collect();
    if series.len() <= SERIES_MIN || finite.len() <= count {
        return series.to_vec();
    }
    let extremes = [
        finite.iter().copied().reduce(f64::min),
        finite.iter().copied().reduce(f64::max),
    ];
    extremes
        .into_iter()
        .flatten()
        .chain(finite[finite.len() - count..].iter().copied())
        .collect()
}

/// Returns whether a run may have curves or output that are not deleted yet.
fn is_prunable(run: &Run) -> bool {
    !run.pruned && run.state.is_terminal() && !run.attempts.is_empty()
}

#[cfg(test)]
mod tests {
    use sweep_search::observation::Goal;

    use super::*;
    use crate::observe::reduced;
    use crate::spec::{Impute, OverInits};

    #[test]
    fn a_shortened_series_reduces_to_the_same_number() {
        let series: Vec<f64> = (0..100)
            .map(|step| f64::from((step * 37) % 101))
            .chain([f64::NAN])
            .collect();
        for reduce in [Reduce::Best, Reduce::Last, Reduce::MeanLast(5)] {
            for goal in [Goal::Minimize, Goal::Maximize] {
                let objective = Objective {
                    metric: "loss".to_owned(),
                    goal,
                    target: None,
                    impute: Impute::default(),
                    impute_while_running: None,
                    reduce,
                    over_inits: OverInits::default(),
                };
                let short = shortened(Some(&objective), &series);
                assert!(short.len() <= 7, "{short:?}");
                assert_eq!(
                    reduced(&objective, &short),
                    reduced(&objective, &series),
                    "{reduce:?} {goal:?}"
                );
            }
        }
    }
}
