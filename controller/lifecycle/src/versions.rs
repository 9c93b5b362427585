//! Resolves code versions: aliases (`same-as`), exclusions (`unusable`), and the version that new suggestions target.

use std::borrow::Cow;

use sweep_search::observation::Goal;

use crate::repeats;
use crate::state::{CodeMark, CodeVersion, Run, RunNumber, Sweep};

/// Returns the version that a version counts as: itself, but where a person has said that it is the same as another one. What is not known is
/// itself.
pub fn canonical<'a>(codes: &'a [CodeVersion], version: &'a str) -> &'a str {
    let mut version = version;
    // No marks lead round in a circle: `decide` refuses those that would.
    for _ in 0..codes.len() {
        match mark(codes, version) {
            Some(CodeMark::SameAs(other)) => version = other,
            _ => return version,
        }
    }
    version
}

/// Returns whether a person has said that results of a version are of no use.
pub fn is_unusable(codes: &[CodeVersion], version: &str) -> bool {
    mark(codes, canonical(codes, version)) == Some(&CodeMark::Unusable)
}

fn mark<'a>(codes: &'a [CodeVersion], version: &str) -> Option<&'a CodeMark> {
    codes
        .iter()
        .find(|code| code.version == version)?
        .mark
        .as_ref()
}

/// Returns the versions that are told apart, the one that is searched for last. That is the one that the sweep is pinned to, or else the newest;
/// versions that are of no use are left out.
pub fn line(sweep: &Sweep) -> Vec<String> {
    let codes = &sweep.code.versions;
    let pinned = sweep.code.pinned.as_deref();
    let order = codes.iter().map(|code| code.version.as_str()).chain(pinned);
    let mut line: Vec<&str> = Vec::new();
    for version in order
        .filter(|version| !is_unusable(codes, version))
        .map(|version| canonical(codes, version))
    {
        line.retain(|other| *other != version);
        line.push(version);
    }
    line.into_iter().map(str::to_owned).collect()
}

/// Returns the version that is searched for; `None` where none is known.
pub fn target(sweep: &Sweep) -> Option<String> {
    line(sweep).pop()
}

/// Returns the runs of a point that count, by what is said of versions in `codes`.
pub(crate) fn counting<'a>(
    sweep: &'a Sweep,
    codes: &[CodeVersion],
    first: RunNumber,
) -> Vec<Cow<'a, Run>> {
    let runs = repeats::of(sweep, first).map(|(_, run)| run);
    if codes.iter().all(|code| code.mark.is_none()) {
        return runs.collect();
    }
    runs.filter(|run| counts(codes, run)).collect()
}

/// Returns whether a run counts. One that has not ended always does: which code comes to its end is not known yet.
pub(crate) fn counts(codes: &[CodeVersion], run: &Run) -> bool {
    !(run.state.is_terminal() && is_unusable(codes, &run.code_version))
}

/// Returns what a point is ranked by.
pub fn ranked(sweep: &Sweep, first: RunNumber) -> Option<f64> {
    repeats::ranked(sweep, &counting(sweep, &sweep.code.versions, first))
}

/// Returns the best point, by what is said of versions in `codes`; the lower number wins a tie. All points are looked at.
pub(crate) fn best(sweep: &Sweep, codes: &[CodeVersion]) -> Option<(RunNumber, f64)> {
    let goal = sweep.spec.goal();
    let firsts = sweep
        .runs
        .numbers()
        .filter(|number| sweep.runs.first_of(*number) == Some(*number));
    let value = |first| {
        Some((
            first,
            repeats::ranked(sweep, &counting(sweep, codes, first))?,
        ))
    };
    firsts.fold(None, |best, first| better(goal, best, value(first)))
}

/// Returns the better of two points.
pub(crate) fn better(
    goal: Goal,
    a: Option<(RunNumber, f64)>,
    b: Option<(RunNumber, f64)>,
) -> Option<(RunNumber, f64)> {
    let (Some(left), Some(right)) = (a, b) else {
        return a.or(b);
    };
    let right_wins =
        goal.is_better(right.1, left.1) || (!goal.is_better(left.1, right.1) && right.0 < left.0);
    Some(if right_wins { right } else { left })
}
