//! Failed runs, grouped by cause.

use std::collections::BTreeMap;

use sweep_proto::cause;
use sweep_proto::v1::Run;

/// Failures with one cause.
#[derive(Debug)]
pub(crate) struct FailureGroup {
    pub(crate) kind: String,
    /// configuration, machine, external
    pub(crate) blame: String,
    pub(crate) runs: Vec<u64>,
    /// The message of the first one.
    pub(crate) example: String,
    /// The evidence for it, where the message does not have it.
    pub(crate) evidence: String,
    /// The tail of its output.
    pub(crate) tail: String,
}

/// Groups failed runs by the cause of their last failure, the most frequent first.
pub(crate) fn failures<'a>(failed: impl IntoIterator<Item = &'a Run>) -> Vec<FailureGroup> {
    let mut groups: BTreeMap<(&str, String), FailureGroup> = BTreeMap::new();
    for run in failed {
        let failure = run
            .attempts
            .iter()
            .rev()
            .find_map(|attempt| attempt.failure.as_ref());
        let kind = failure.map_or("unknown", |failure| failure.kind.as_str());
        let message = failure.map_or(run.reason.as_str(), |failure| failure.message.as_str());
        let evidence = failure
            .map(|failure| failure.evidence.clone())
            .filter(|evidence| !message.contains(evidence.as_str()));
        let group = groups
            .entry((kind, cause(message)))
            .or_insert_with(|| FailureGroup {
                kind: kind.to_owned(),
                blame: failure
                    .map(|failure| failure.blame.clone())
                    .unwrap_or_default(),
                runs: Vec::new(),
                example: message.to_owned(),
                evidence: evidence.unwrap_or_default(),
                tail: failure
                    .map(|failure| failure.output_tail.clone())
                    .unwrap_or_default(),
            });
        group.runs.push(run.run);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.runs.len()));
    groups
}

#[cfg(test)]
mod tests {
    use sweep_proto::v1::{Attempt, Failure};

    use super::*;

    fn run(number: u64, kind: &str, message: &str) -> Run {
        let failure = Failure {
            kind: kind.to_owned(),
            message: message.to_owned(),
            ..Failure::default()
        };
        Run {
            run: number,
            attempts: vec![Attempt {
                failure: Some(failure),
                ..Attempt::default()
            }],
            ..Run::default()
        }
    }

    #[test]
    fn one_cause_is_one_group_whatever_the_numbers() {
        let failed = [
            run(
                1,
                "crashed",
                "exit status 1: ValueError: lr 0.1 is too large",
            ),
            run(2, "crashed", "exit status 1: no module named torch"),
            run(
                3,
                "crashed",
                "exit status 1: ValueError: lr 12.25 is too large",
            ),
            run(
                4,
                "no_metric",
                "exit status 1: ValueError: lr 0.1 is too large",
            ),
        ];
        let groups: Vec<_> = failures(&failed)
            .into_iter()
            .map(|group| (group.kind, group.runs))
            .collect();
        let expected = [
            ("crashed", vec![1, 3]),
            ("crashed", vec![2]),
            ("no_metric", vec![4]),
        ];
        assert_eq!(groups, expected.map(|(kind, runs)| (kind.to_owned(), runs)));
    }
}
