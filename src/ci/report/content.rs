//! The content of a report besides the table of runs.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use sweep_lifecycle::spec::{self, ParameterAxis};
use sweep_proto::v1::{AnalyzeSweepResponse, CodeVersion};

use super::super::outcome::SweepOutcome;
use crate::display::{self, FailureGroup};

/// How to get the same again; the caller knows the files and how a shell quotes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reproduce {
    /// The line that ran the sweep: `sweep run examples/digits/sweep.yaml`.
    pub(crate) sweep: String,
    /// The line that runs the best configuration again.
    pub(crate) best: Option<String>,
}

/// The content of a sweep's report besides its runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Learnt {
    /// The analysis by the search.
    pub(crate) analysis: AnalyzeSweepResponse,
    /// The versions of the code.
    pub(crate) versions: Vec<CodeVersion>,
    /// How it compares with a baseline, in words; empty: it was not compared.
    pub(crate) compared: String,
    /// The same for machines.
    pub(crate) comparison: Value,
    /// The newest sweep file.
    pub(crate) yaml: String,
    /// Pictures that lie elsewhere.
    pub(crate) figures: Vec<Figure>,
}

impl Learnt {
    /// Returns the parameters of the newest sweep file.
    pub(super) fn axes(&self) -> Vec<ParameterAxis> {
        spec::parse(&self.yaml)
            .0
            .map(|file| spec::axes(&file))
            .unwrap_or_default()
    }
}

/// A picture in a report.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// Its content.
    pub(crate) caption: String,
    /// Where it lies, seen from the report.
    pub(crate) address: String,
}

/// The resources that were used.
pub(super) struct Budget<'a> {
    pub(super) attempts: usize,
    /// Summed over all attempts.
    pub(super) spent: Duration,
    pub(super) machines: BTreeSet<&'a str>,
}

impl<'a> Budget<'a> {
    pub(super) fn of(outcome: &'a SweepOutcome) -> Self {
        let all = outcome.runs.iter().flat_map(|run| &run.attempts);
        let ended: Vec<_> = all
            .filter(|attempt| attempt.started_ms > 0 && attempt.ended_ms > 0)
            .collect();
        let spent: i64 = ended
            .iter()
            .map(|attempt| attempt.ended_ms - attempt.started_ms)
            .sum();
        let machines = ended.iter().map(|attempt| attempt.host.as_str()).collect();
        Self {
            attempts: ended.len(),
            spent: Duration::from_millis(u64::try_from(spent).unwrap_or(0)),
            machines,
        }
    }
}

/// The failed runs by cause.
pub(super) fn grouped(outcome: &SweepOutcome) -> Vec<FailureGroup> {
    display::failures(outcome.runs.iter().filter(|run| run.state == "failed"))
}
