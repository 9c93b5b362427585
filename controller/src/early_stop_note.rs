//! Says why early stopping has nothing to compare with.

use std::collections::BTreeMap;

use sweep_lifecycle::spec;
use sweep_lifecycle::state::{AttemptRef, RunState, SweepId};
use sweep_lifecycle::versions::{canonical, is_unusable};

use crate::store::{CodeCounts, Query, StoreError, SweepRow};

/// The note needs this number of runs.
const RUNS_MIN: u64 = 3;
/// Runs whose curves are looked at, and points of each.
const CURVES: usize = 2;
const POINTS_MAX: usize = 5000;

/// Returns why early stopping has nothing to compare with; empty where it has, where there is none, or where it is too early to tell.
///
/// # Errors
/// The store's.
pub(crate) fn early_stop_note(query: &dyn Query, row: &SweepRow) -> Result<String, StoreError> {
    let text = row.revisions.last().map_or(&row.yaml, |last| &last.yaml);
    if !text.contains("early_terminate") {
        return Ok(String::new());
    }
    let Some((rule, objective)) = spec::parse(text)
        .0
        .and_then(|spec| Some((spec.early_terminate?, spec.objective?)))
    else {
        return Ok(String::new());
    };
    let note = versions_note(row, &query.codes(row)?);
    if !note.is_empty() {
        return Ok(note);
    }
    let Some(first) = rule.first_iteration() else {
        return Ok(String::new());
    };
    too_short(query, row, &objective.metric, first)
}

/// Says that runs have their own code versions.
fn versions_note(row: &SweepRow, counts: &BTreeMap<String, CodeCounts>) -> String {
    // In the order of their first appearance, by what they count as.
    let mut groups: Vec<(&str, u64)> = Vec::new();
    for code in &row.codes {
        let runs = counts
            .get(&code.version)
            .map_or(0, |counts| counts.finished + counts.running);
        if runs == 0 || is_unusable(&row.codes, &code.version) {
            continue;
        }
        let version = canonical(&row.codes, &code.version);
        match groups.iter_mut().find(|(known, _)| *known == version) {
            Some((_, count)) => *count += runs,
            None => groups.push((version, runs)),
        }
    }
    let total: u64 = groups.iter().map(|(_, runs)| runs).sum();
    let largest = groups.iter().map(|(_, runs)| *runs).max().unwrap_or(0);
    if total >= RUNS_MIN && largest == 1 {
        return format!(
            "early stopping has nothing to compare with: it compares runs of one code version, and each of {total} runs has another one; \
             `sweep code {id}` lists them and `sweep diff {id}@1 {id}@2` shows the differences; add files that are not code to .sweepignore",
            id = row.id
        );
    }
    if let Some((newest, 1)) = groups.last()
        && total >= RUNS_MIN
    {
        let number = row
            .codes
            .iter()
            .position(|code| code.version == *newest)
            .map_or(0, |index| index + 1);
        return format!(
            "early stopping has nothing to compare with yet: it compares runs of one code version, and version {number} has one run; the other {} \
             runs have older code (`sweep code mark {} @{number} same-as @N` says that nothing but comments has changed)",
            total - 1,
            row.id
        );
    }
    String::new()
}

/// Says that runs end before the rule looks at them.
fn too_short(
    query: &dyn Query,
    row: &SweepRow,
    metric: &str,
    first: u64,
) -> Result<String, StoreError> {
    let ended = query.ended_runs(&SweepId(row.id.clone()), 4 * CURVES)?;
    let mut lengths: BTreeMap<u64, usize> = BTreeMap::new();
    for run in ended
        .iter()
        .filter(|run| run.state == RunState::Finished && !run.pruned)
    {
        let Some(attempt) = run.attempts.last() else {
            continue;
        };
        let attempt = AttemptRef {
            sweep: SweepId(row.id.clone()),
            run: run.run,
            attempt: attempt.attempt,
        };
        let points = query.metrics(&attempt, 0, POINTS_MAX)?;
        let is_whole = points.len() < POINTS_MAX;
        let length = points
            .iter()
            .filter(|(_, point)| point.name == metric && point.value.is_finite())
            .count();
        if !is_whole || length as u64 >= first || length == 0 {
            return Ok(String::new());
        }
        lengths.insert(run.run, length);
        if lengths.len() >= CURVES {
            break;
        }
    }
    let longest = lengths.values().max().copied().unwrap_or(0);
    if lengths.len() < CURVES {
        return Ok(String::new());
    }
    let values = if longest == 1 {
        "one value".to_owned()
    } else {
        format!("{longest} values")
    };
    Ok(format!(
        "early stopping has nothing to compare with: it looks at a run after {first} values of `{metric}`, and runs report {values}; report it after \
         each epoch, or begin earlier (`min_iter`)"
    ))
}

#[cfg(test)]
mod tests {
    use sweep_lifecycle::state::{CodeAbout, CodeMark, CodeVersion, SweepState, Timestamp};
    use sweep_search::observation::Goal;
    use sweep_search::suggest::Method;

    use super::*;

    fn row() -> SweepRow {
        SweepRow {
            id: "ab12cd34".to_owned(),
            name: String::new(),
            state: SweepState::Running,
            reason: String::new(),
            method: Method::Random,
            metric: "loss".to_owned(),
            goal: Goal::Minimize,
            planned: 0,
            created_ms: 0,
            updated_ms: 0,
            yaml: String::new(),
            stalled: false,
            codes: Vec::new(),
            code_steps: Vec::new(),
            pinned: String::new(),
            revisions: Vec::new(),
            archived: false,
        }
    }

    #[test]
    fn versions_with_one_run_each_leave_nothing_to_compare() {
        let code = |version: &str, mark| {
            let (version, about) = (version.to_owned(), CodeAbout::default());
            CodeVersion {
                version,
                about,
                agent: None,
                since: Timestamp(0),
                mark,
            }
        };
        let note = |codes: &[(CodeVersion, u64)]| {
            let row = SweepRow {
                codes: codes.iter().map(|(code, _)| code.clone()).collect(),
                ..row()
            };
            let counts = codes.iter().map(|(code, finished)| {
                (
                    code.version.clone(),
                    CodeCounts {
                        finished: *finished,
                        runs: *finished,
                        ..CodeCounts::default()
                    },
                )
            });
            versions_note(&row, &counts.collect())
        };
        let one_each = [
            (code("a", None), 1),
            (code("b", None), 1),
            (code("c", None), 1),
        ];
        assert!(
            note(&one_each).contains("each of 3 runs has another one; `sweep code ab12cd34`"),
            "{}",
            note(&one_each)
        );
        assert_eq!(note(&one_each[..2]), "");
        let new = [(code("a", None), 5), (code("b", None), 1)];
        assert!(note(&new).contains("version 2 has one run; the other 5 runs"));
        assert_eq!(
            note(&[
                (code("a", None), 5),
                (code("b", Some(CodeMark::SameAs("a".to_owned()))), 1)
            ]),
            ""
        );
        assert_eq!(note(&[(code("a", None), 5)]), "");
    }
}
