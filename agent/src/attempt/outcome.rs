//! How attempts end, and why they fail.

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AttemptOutcome {
    /// Exit status 0 and the objective was seen.
    Succeeded,
    /// Badly.
    Failed(AttemptFailure),
    /// It obeyed early termination, for this reason.
    Stopped(String),
    /// A person has cancelled it, for this reason.
    Cancelled(String),
    /// The machine was taken away.
    Preempted,
    /// It no longer owned its run, for this reason. Nothing is reported.
    Abandoned(String),
}

impl AttemptOutcome {
    /// Returns the reason in words; empty for a success.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Succeeded => String::new(),
            Self::Failed(failure) => failure.message.clone(),
            Self::Stopped(reason) | Self::Cancelled(reason) => reason.clone(),
            Self::Preempted => "given back".to_owned(),
            Self::Abandoned(reason) => format!("no longer ours: {reason}"),
        }
    }
}

/// Why an attempt ended badly. Kinds and blame are the words of `sweep.v1.Failure`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AttemptFailure {
    /// A word of `sweep.v1.Failure.kind`.
    pub(crate) kind: &'static str,
    /// `configuration`, `command_line`, `machine` or `external`.
    pub(crate) blame: &'static str,
    /// In words.
    pub(crate) message: String,
    /// The exit status, where there is one.
    pub(crate) exit_code: Option<i32>,
    /// The signal that ended the program.
    pub(crate) signal: Option<i32>,
    /// The last lines of the output.
    pub(crate) output_tail: String,
    /// The evidence for the attribution: a line of output, a counter of the machine.
    pub(crate) evidence: String,
}
