//! The value of a run whose program begins several runs of W&B (`wandb.init` in each fold of a cross-validation, for instance), and of one that sets its
//! value itself, in W&B's summary.
//!
//! The agent reports the objective of the first one under its name, of the n-th one as `init-n/<name>`, and what the program has put into the summary in
//! place of the last logged value as `<name>.summary`. So the curve, by which runs are stopped early, is what the first one has logged.

use std::ops::Bound;

use crate::observe::reduced;
use crate::spec::{Objective, OverInits, Reduce};
use crate::state::Attempt;

const INIT: &str = "init-";
const SUMMARY: &str = ".summary";

/// Returns the number that an attempt comes to, never an infinite one or NaN. `None`: no value is finite.
pub fn value(objective: &Objective, attempt: &Attempt) -> Option<f64> {
    let first = with_summary(
        objective,
        attempt,
        &objective.metric,
        reduced(objective, &attempt.series),
    );
    let others = others(objective, attempt)
        .into_iter()
        .filter_map(|(_, name)| {
            let logged = match (objective.reduce, attempt.extremes.get(name)) {
                (Reduce::Best, Some((min, max))) => Some(if objective.goal.is_better(*min, *max) {
                    *min
                } else {
                    *max
                }),
                // Of other curves than the objective's the last value is known.
                (Reduce::Best | Reduce::Last | Reduce::MeanLast(_), _) => finite(attempt, name),
            };
            with_summary(objective, attempt, name, logged)
        });
    let mut values: Vec<f64> = first.into_iter().chain(others).collect();
    let value = match objective.over_inits {
        OverInits::Mean => {
            let count = values.len() as f64;
            (!values.is_empty()).then(|| values.iter().map(|value| value / count).sum())
        }
        OverInits::Last => values.pop(),
        OverInits::First => values.first().copied(),
    };
    value.filter(|value: &f64| value.is_finite())
}

/// Returns the best and the last value of an attempt whose value follows from more than its curve; `None`: it does not.
pub fn best_and_last(
    objective: &Objective,
    attempt: &Attempt,
) -> Option<(Option<f64>, Option<f64>)> {
    let is_set = attempt
        .metrics
        .contains_key(&format!("{}{SUMMARY}", objective.metric));
    if !is_set && others(objective, attempt).is_empty() {
        return None;
    }
    let by = |reduce| {
        value(
            &Objective {
                reduce,
                ..objective.clone()
            },
            attempt,
        )
    };
    Some((by(Reduce::Best), by(Reduce::Last)))
}

/// The best of history and summary is what W&B's search uses; the last value is what its table shows.
fn with_summary(
    objective: &Objective,
    attempt: &Attempt,
    name: &str,
    logged: Option<f64>,
) -> Option<f64> {
    let Some(set) = finite(attempt, &format!("{name}{SUMMARY}")) else {
        return logged;
    };
    match (objective.reduce, logged) {
        (Reduce::Best, Some(logged)) if objective.goal.is_better(logged, set) => Some(logged),
        _ => Some(set),
    }
}

fn finite(attempt: &Attempt, name: &str) -> Option<f64> {
    attempt
        .metrics
        .get(name)
        .copied()
        .filter(|value| value.is_finite())
}

/// Returns the names of the objective in further runs of W&B, in their order.
fn others<'a>(objective: &Objective, attempt: &'a Attempt) -> Vec<(u32, &'a str)> {
    let from = (Bound::Included(INIT), Bound::Unbounded);
    let names = attempt
        .metrics
        .range::<str, _>(from)
        .map(|(name, _)| name.as_str())
        .take_while(|name| name.starts_with(INIT));
    let mut found: Vec<(u32, &str)> = names
        .filter_map(|name| {
            let (number, metric) = name.strip_prefix(INIT)?.split_once('/')?;
            Some((number.parse().ok()?, name)).filter(|_| metric == objective.metric)
        })
        .collect();
    found.sort_unstable();
    found
}
