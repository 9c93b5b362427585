//! Guards that a simulation takes away, one at a time, to see that it would notice.

use sweep_lifecycle::command::Command;
use sweep_lifecycle::state::{AttemptRef, State};

/// The missing fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mutation {
    /// Nothing.
    #[default]
    None,
    /// A report of an attempt that was given up counts for the one that has the run now.
    Fencing,
    /// A repeated request is served as if it were new.
    Idempotency,
    /// Answers are given before the commit.
    CommitOrder,
}

impl Mutation {
    /// Returns the command as it is without fencing: for the present holder of the run.
    pub(super) fn unfence(self, state: &State, command: &Command) -> Command {
        let mut command = command.clone();
        if self != Self::Fencing {
            return command;
        }
        if let Command::StartAttempt { agent, attempt, .. }
        | Command::ReportMetrics { agent, attempt, .. }
        | Command::FinishAttempt { agent, attempt, .. } = &mut command
            && let Some(run) = state
                .sweeps
                .get(&attempt.sweep)
                .and_then(|sweep| sweep.runs.get(attempt.run))
            && let Some(owner) = run.attempts.last()
        {
            *agent = owner.agent.clone();
            *attempt = AttemptRef {
                attempt: run.newest(),
                ..attempt.clone()
            };
        }
        command
    }
}
