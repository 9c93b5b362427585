//! Why an attempt failed, and its attribution.

use serde::{Deserialize, Serialize};

use super::unknown_word::UnknownWord;

/// Why an attempt ended badly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// Its attribution.
    pub blame: Blame,
    /// In words.
    pub message: String,
    /// The exit status, where there is one.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// The signal that ended the program.
    #[serde(default)]
    pub signal: Option<i32>,
    /// The last lines of the output.
    #[serde(default)]
    pub output_tail: String,
    /// The evidence for the attribution: a line of output, a counter of the machine.
    #[serde(default)]
    pub evidence: String,
}

impl Failure {
    /// Returns a failure of which nothing else is known.
    pub fn new(kind: FailureKind, blame: Blame, message: impl Into<String>) -> Self {
        Self {
            kind,
            blame,
            message: message.into(),
            exit_code: None,
            signal: None,
            output_tail: String::new(),
            evidence: String::new(),
        }
    }
}

/// The kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Exit status other than 0.
    Crashed,
    /// Ended by a signal from outside `sweep`.
    Signal,
    /// The machine's memory ran out.
    OutOfMemory,
    /// The output says that CUDA ran out of memory: it would happen again.
    CudaOutOfMemory,
    /// GPUs did not reach each other.
    Nccl,
    /// The program refuses its command line: it would happen again.
    Usage,
    /// The objective ended as NaN or infinite: it would happen again.
    NanObjective,
    /// Exit status 0 without the objective: it would happen again.
    NoMetric,
    /// The program could not be started.
    CouldNotStart,
    /// The look at the machine before the run ended badly.
    Preflight,
    /// It took longer than it may: it would happen again.
    MaxRuntime,
    /// It said nothing for longer than it may.
    MaxSilence,
    /// The agent fell silent.
    Lost,
    /// The machine was taken away.
    Preempted,
    /// A kind that a newer version of the program reports.
    #[serde(untagged)]
    Other(UnknownWord),
}

/// The attribution of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The configuration.
    Configuration,
    /// The command line: the sweep file's `command`, or the names of its parameters.
    CommandLine,
    /// The machine.
    Machine,
    /// External: a preemption, a lost agent, a signal from elsewhere. Earlier versions wrote `nobody`.
    #[serde(alias = "nobody")]
    External,
    /// A party that a newer version of the program names: treated as `External`.
    #[serde(untagged)]
    Other(UnknownWord),
}

impl Failure {
    /// Returns whether the agent may be at fault, for all that can be seen in this one failure.
    pub fn may_be_the_agents(&self) -> bool {
        matches!(self.blame, Blame::Configuration | Blame::Machine)
            && !matches!(
                self.kind,
                FailureKind::NanObjective | FailureKind::MaxRuntime
            )
    }
}

impl std::fmt::Display for FailureKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Crashed => "the program crashed",
            Self::Signal => "the program was ended by a signal",
            Self::OutOfMemory => "the machine ran out of memory",
            Self::CudaOutOfMemory => "CUDA ran out of memory",
            Self::Nccl => "GPUs did not reach each other (NCCL)",
            Self::Usage => "the program refused its command line",
            Self::NanObjective => "the objective was NaN or infinite",
            Self::NoMetric => "the objective was not reported",
            Self::CouldNotStart => "the program could not be started",
            Self::Preflight => "the preflight command failed",
            Self::MaxRuntime => "it took longer than max_runtime",
            Self::MaxSilence => "it reported nothing for longer than max_silence",
            Self::Lost => "its agent was lost",
            Self::Preempted => "its machine was taken away",
            Self::Other(word) => {
                return write!(
                    f,
                    "it failed with `{word}`, a kind of failure of a newer version"
                );
            }
        })
    }
}
