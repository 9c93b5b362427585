//! The inputs and actions of the state machine.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::outcome::AttemptOutcome;
use crate::process::exit::{Exit, Obstacle};

/// A request to an attempt, usually to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// Early termination: what has been reached counts.
    Stop {
        /// In words.
        reason: String,
    },
    /// The user has cancelled the run.
    Cancel {
        /// In words.
        reason: String,
    },
    /// The attempt no longer owns its run: its result is of no use.
    Abandon {
        /// In words.
        reason: String,
    },
    /// The machine or the user takes the agent away: gracefully, and the run goes back.
    Preempt,
    /// The same without grace.
    Kill,
    /// No request to end: the program gets a signal that the agent got.
    PassOn(UserSignal),
}

/// A signal that the agent passes on to its programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UserSignal {
    /// SIGUSR1.
    Usr1,
    /// SIGUSR2.
    Usr2,
}

/// An event of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Input {
    /// A request.
    Want(Want),
    /// The program reads its stop file, and ends by itself when that has a reason.
    StopWatched,
    /// A line of output.
    Line(String),
    /// The `metric_patterns` that would read the objective from a printed line.
    Unread(String),
    /// A value of a metric.
    Metric {
        /// Which.
        name: String,
        /// May be NaN or infinite.
        value: f64,
    },
    /// The program runs.
    Started,
    /// The program could not be started, and why.
    CouldNotStart(Obstacle),
    /// The command that looks at the machine first did not end well.
    NotReady {
        /// In words.
        how: String,
        /// The end of its output.
        output: String,
    },
    /// The machine killed something since its memory ran out, and how that shows.
    OutOfMemory(String),
    /// The program's own process has ended.
    Exited(Exit),
    /// No process of the attempt is left.
    Empty,
    /// The end of the output cannot be written down.
    Unwritten,
    /// All output and all metrics have been read.
    Drained,
    /// Time has passed.
    Tick,
}

/// A step that the runner carries out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// SIGTERM to every process of the attempt.
    Terminate,
    /// SIGKILL to every process of the attempt.
    Kill,
    /// This signal to the program.
    PassOn(UserSignal),
    /// Read what is left of output and metrics, then say [`Input::Drained`].
    Drain,
    /// Tell the user.
    Note(String),
    /// The attempt has ended.
    Finish(AttemptOutcome),
}

/// The time limits of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// From SIGTERM to SIGKILL.
    pub(crate) grace: Duration,
    /// From its start to its end.
    pub(crate) runtime: Option<Duration>,
    /// From one sign of life, a metric or a line of output, to the next.
    pub(crate) silence: Option<Duration>,
    /// From the exit of a program to the verdict that it failed by itself.
    #[serde(default)]
    pub(crate) settle: Duration,
}
