//! Where runs fail, in words.

use std::collections::BTreeMap;
use std::fmt;

use crate::observation::Observation;
use crate::space::{Path, Value};

/// With fewer failures than this, any region would be chance.
const FAILURES_MIN: usize = 3;
/// A region has no more conditions than a person keeps in mind.
const CONDITIONS_MAX: usize = 3;
/// A further condition has to be worth this much of the F₁ score.
const GAIN_MIN: f64 = 0.03;
/// Below this F₁ score a region says too little.
const SCORE_MIN: f64 = 0.6;

/// Where runs fail.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// The conditions that all runs in it meet. Empty where no region differs clearly from the
    /// rest.
    pub conditions: Vec<(Path, Side)>,
    /// Of the runs inside, how many failed, and how many there are.
    pub inside: (usize, usize),
    /// The same of the others.
    pub outside: (usize, usize),
}

/// A condition on one parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Side {
    /// At least this number.
    AtLeast(f64),
    /// At most this number.
    AtMost(f64),
    /// This value.
    Is(Value),
}

/// Finds the region in which runs fail: conditions are added one by one, each the one that tells
/// failures from other runs best (by the F₁ score), as a person would do it with a table. `None`
/// where none failed.
pub fn failing(observations: &[Observation]) -> Option<Region> {
    let runs: Vec<EndedRun<'_>> = observations.iter().map(EndedRun::of).collect();
    let failures = runs.iter().filter(|run| run.failed).count();
    if failures == 0 {
        return None;
    }
    let mut inside: Vec<bool> = vec![true; runs.len()];
    let mut conditions: Vec<(Path, Side)> = Vec::new();
    let mut reached = score(&runs, &inside);
    while failures >= FAILURES_MIN && failures < runs.len() && conditions.len() < CONDITIONS_MAX {
        let narrowed = |(path, side): (Path, Side)| {
            let kept: Vec<bool> = runs
                .iter()
                .zip(&inside)
                .map(|(run, inside)| *inside && run.is_on(&path, &side))
                .collect();
            (score(&runs, &kept), (path, side), kept)
        };
        let best = sides(&runs, &inside)
            .into_iter()
            .map(narrowed)
            .reduce(|best, other| if other.0 > best.0 { other } else { best });
        let Some((score, condition, kept)) = best.filter(|(score, ..)| *score > reached + GAIN_MIN)
        else {
            break;
        };
        (reached, inside) = (score, kept);
        conditions.push(condition);
    }
    if reached < SCORE_MIN {
        conditions.clear();
        inside.fill(true);
    }
    let count = |within: bool| {
        let chosen = runs
            .iter()
            .zip(&inside)
            .filter(|(_, inside)| **inside == within);
        chosen.fold((0, 0), |(failed, all), (run, _)| {
            (failed + usize::from(run.failed), all + 1)
        })
    };
    conditions.sort_by(|a, b| a.0.cmp(&b.0));
    Some(Region {
        conditions,
        inside: count(true),
        outside: count(false),
    })
}

struct EndedRun<'a> {
    values: &'a BTreeMap<Path, Value>,
    failed: bool,
}

impl<'a> EndedRun<'a> {
    fn of(seen: &'a Observation) -> Self {
        let failed = !seen.outcome.value().is_some_and(f64::is_finite);
        Self {
            values: &seen.config.0,
            failed,
        }
    }

    fn is_on(&self, path: &Path, side: &Side) -> bool {
        let Some(value) = self.values.get(path) else {
            return false;
        };
        match side {
            Side::AtLeast(least) => value.as_f64().is_some_and(|number| number >= *least),
            Side::AtMost(most) => value.as_f64().is_some_and(|number| number <= *most),
            Side::Is(same) => value.identity() == same.identity(),
        }
    }
}

/// The conditions that failures suggest: a number at which one failed as a bound, any other value
/// of one.
fn sides(runs: &[EndedRun<'_>], inside: &[bool]) -> Vec<(Path, Side)> {
    let failed = runs
        .iter()
        .zip(inside)
        .filter(|(run, inside)| run.failed && **inside);
    let mut sides: BTreeMap<(Path, String), Vec<Side>> = BTreeMap::new();
    for (path, value) in failed.flat_map(|(run, _)| run.values) {
        sides
            .entry((path.clone(), value.identity()))
            .or_insert_with(|| match value.as_f64() {
                Some(number) => vec![Side::AtLeast(number), Side::AtMost(number)],
                None => vec![Side::Is(value.clone())],
            });
    }
    let all = sides
        .into_iter()
        .flat_map(|((path, _), sides)| sides.into_iter().map(move |side| (path.clone(), side)));
    // A bound that holds wherever the parameter is there says only that it is there, which another
    // parameter says better.
    let tells = |(path, side): &(Path, Side)| {
        runs.iter()
            .any(|run| run.values.contains_key(path) && !run.is_on(path, side))
    };
    all.filter(tells).collect()
}

/// The F₁ score of "a run inside fails".
fn score(runs: &[EndedRun<'_>], inside: &[bool]) -> f64 {
    let failures = runs.iter().filter(|run| run.failed).count();
    let kept = inside.iter().filter(|inside| **inside).count();
    let right = runs
        .iter()
        .zip(inside)
        .filter(|(run, inside)| run.failed && **inside)
        .count();
    2.0 * right as f64 / (failures + kept).max(1) as f64
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, runs) = (
            self.inside.0 + self.outside.0,
            self.inside.1 + self.outside.1,
        );
        if self.conditions.is_empty() {
            return match failed {
                _ if failed == runs => write!(
                    f,
                    "all {runs} runs failed: nothing shows yet where one would not"
                ),
                _ if failed < FAILURES_MIN => {
                    write!(f, "{failed} of {runs} runs failed: too few to say where")
                }
                _ => write!(f, "{failed} of {runs} runs failed: no region stands out"),
            };
        }
        let words: Vec<_> = self
            .conditions
            .iter()
            .map(|(path, side)| format!("{path} {side}"))
            .collect();
        write!(f, "runs fail where {}: ", words.join(" and "))?;
        match self.inside {
            (failed, all) if failed == all => write!(f, "all {all} there")?,
            (failed, all) => write!(f, "{failed} of {all} there")?,
        }
        write!(f, ", {} of {} elsewhere", self.outside.0, self.outside.1)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "≥ {}", crate::why::short(*least)),
            Self::AtMost(most) => write!(f, "≤ {}", crate::why::short(*most)),
            Self::Is(Value::Str(text)) => write!(f, "is {text}"),
            Self::Is(value) => write!(f, "is {}", value.to_json()),
        }
    }
}
