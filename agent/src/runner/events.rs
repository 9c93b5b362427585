//! The beginning, the events and the end of an attempt, as the session sees them.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::attempt::{AttemptOutcome, Want};
use crate::intake::Reading;
use crate::spool::Counts;

/// Whether to start the program or to reattach to one that an earlier agent process started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Start it.
    Anew,
    /// Reattach to it; the number of its readings that need not be sent again.
    Again(Counts),
}

/// The two directions between the session and an attempt that runs.
pub(crate) struct AttemptChannels<'a> {
    /// Requests of the session.
    pub(crate) wants: &'a mut mpsc::UnboundedReceiver<Want>,
    /// Events of the attempt.
    pub(crate) seen: mpsc::Sender<AttemptEvent>,
}

/// Something seen while an attempt runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AttemptEvent {
    /// Its program was started.
    Started {
        /// Its argv, with secrets hidden.
        command: Vec<String>,
        /// When, by the clock that stamps files, since 1970; `None` where that is long ago or was
        /// nowhere.
        moment: Option<Duration>,
    },
    /// Metrics, in order.
    Points(Vec<Point>),
    /// A note to the user.
    Note(String),
    /// A warning about the program for the user, once for all its runs.
    Remark(String),
    /// The objective is in the output, in a form that nothing reads: how, and what would read it.
    Unread(String),
}

/// A metric with the time it was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    /// The reading of the program.
    pub(crate) reading: Reading,
    /// Milliseconds since 1970.
    pub(crate) wall_ms: i64,
    /// How many readings there have been, this one included.
    pub(crate) counts: Counts,
}

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AttemptEnd {
    /// How it ended.
    pub(crate) outcome: AttemptOutcome,
    /// The last value of the objective.
    pub(crate) objective: Option<f64>,
}

/// The outcome of an attempt, or the folder or file of it that cannot be made or read, and why.
pub(crate) type ExecutionResult = Result<AttemptEnd, (PathBuf, io::Error)>;
