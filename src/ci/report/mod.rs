//! Reports the results of a sweep: Markdown for a pull request, a self-contained page, or JSON.

mod escape;
mod html;
mod json;
mod markdown;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use sweep_lifecycle::spec::{self, ParameterAxis};
use sweep_proto::v1::{AnalyzeSweepResponse, CodeVersion};

use super::SweepOutcome;
use crate::display::{self, FailureGroup};

pub(crate) use html::html;
pub(crate) use json::json;
pub(crate) use markdown::{account, markdown};

/// How to get the same again; the caller knows the files and how a shell quotes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reproduce {
    /// The line that ran the sweep: `sweep run examples/digits/sweep.yaml`.
    pub(crate) sweep: String,
    /// The line that runs the best configuration again.
    pub(crate) best: Option<String>,
}

/// The content of a sweep's report beside its runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Learnt {
    /// The analysis of the sweep.
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
    fn axes(&self) -> Vec<ParameterAxis> {
        spec::parse(&self.yaml).0.map(|file| spec::axes(&file)).unwrap_or_default()
    }
}

/// A picture in a report.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// Its content, in words.
    pub(crate) caption: String,
    /// Its path, relative to the report.
    pub(crate) address: String,
}

/// The budget that was spent.
struct Budget<'a> {
    attempts: usize,
    /// Summed over all attempts.
    spent: Duration,
    machines: BTreeSet<&'a str>,
}

impl<'a> Budget<'a> {
    fn of(outcome: &'a SweepOutcome) -> Self {
        let all = outcome.runs.iter().flat_map(|run| &run.attempts);
        let ended: Vec<_> = all.filter(|attempt| attempt.started_ms > 0 && attempt.ended_ms > 0).collect();
        let spent: i64 = ended.iter().map(|attempt| attempt.ended_ms - attempt.started_ms).sum();
        let machines = ended.iter().map(|attempt| attempt.host.as_str()).collect();
        Self { attempts: ended.len(), spent: Duration::from_millis(u64::try_from(spent).unwrap_or(0)), machines }
    }
}

/// The failed runs by cause.
fn grouped(outcome: &SweepOutcome) -> Vec<FailureGroup> {
    display::failures(outcome.runs.iter().filter(|run| run.state == "failed"))
}
