//! One attempt as a pure state machine: input and time → actions. Grace timers and failure attribution
//! are here; `runner` carries the actions out and decides nothing.
//!
//! ```text
//! running ──want──▶ terminating ──grace over──▶ killing ──┐
//!    │  └▶ asked ────────▶│                         │      │ still not empty after KILL_TIME_MAX: given up
//!    └──exited───────────┴────────▶ clearing ──────┴──▶ drained ──▶ ended
//!                          (children that are left)        │          ▲
//!                                                          └▶ settling┘
//! ```
//!
//! A scheduler signals program and agent together, in any order. So a failure that a signal may
//! explain settles first: a preemption that is announced up to [`Limits::settle`] after the exit
//! makes it one.

mod blame;
mod excerpt;
mod messages;
mod missing_metric;
mod now;
mod outcome;
mod screen;
mod signs;
mod usage;
mod wandb_calls;

use std::collections::BTreeMap;
use std::time::Duration;

use self::excerpt::OutputExcerpt;
pub use self::messages::UserSignal;
pub(crate) use self::messages::{Action, Input, Limits, Want};
pub(crate) use self::now::Now;
pub(crate) use self::outcome::{AttemptFailure, AttemptOutcome};
use crate::process::exit::{Exit, Obstacle};

/// The time that children may continue after their program has ended and they were asked to end.
const LEFTOVER_GRACE_MAX: Duration = Duration::from_secs(5);
/// How long SIGKILL is repeated; only a process stuck in the kernel lives longer.
const KILL_TIME_MAX: Duration = Duration::from_secs(60);
/// How much older than the preemption an error has to be to count as a crash: output is read only
/// every so often.
const CRASH_MARGIN: Duration = Duration::from_millis(100);

/// Where the attempt's processes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The program runs, and nothing asks it to end.
    Running,
    /// The stop file has a reason, which the program reads. SIGTERM follows then.
    Asked { terminate_at: Now },
    /// SIGTERM was sent; SIGKILL follows then.
    Terminating { kill_at: Now },
    /// SIGKILL was sent and is repeated until nothing is left, or until then.
    Killing { give_up_at: Now },
    /// Nothing is left, or it was given up; output is being read to its end.
    Draining,
    /// The program has failed; until then a preemption may still explain it.
    Settling { until: Now },
    /// Over.
    Ended,
}

/// The state of an attempt.
#[derive(Debug)]
pub(crate) struct AttemptState {
    /// The objective; empty where the sweep has none.
    objective: String,
    limits: Limits,
    phase: Phase,
    /// When its program began.
    started: Option<Now>,
    /// When it last gave a sign of life.
    heard: Now,
    /// It took too long, or was silent for too long.
    overdue: Option<AttemptFailure>,
    /// See [`Input::OutOfMemory`].
    memory: Option<String>,
    /// See [`Input::StopWatched`].
    is_stop_watched: bool,
    /// See [`Input::Unwritten`].
    is_unwritten: bool,
    exit: Option<Exit>,
    /// When the program exited, or the command before it failed.
    exited: Option<Now>,
    /// The request that came before the program ended by itself; [`Want::Abandon`] also later.
    wanted: Option<Want>,
    /// When a preemption was first announced, also after the exit.
    preempted: Option<Now>,
    /// The failure that settles.
    failure: Option<AttemptFailure>,
    output: OutputExcerpt,
    /// The last value of each metric.
    last: BTreeMap<String, f64>,
    objective_was_finite: bool,
}

impl AttemptState {
    /// A program that is about to run.
    pub(crate) fn new(objective: &str, limits: Limits) -> Self {
        Self {
            objective: objective.to_owned(),
            limits,
            phase: Phase::Running,
            started: None,
            heard: Now::ZERO,
            overdue: None,
            memory: None,
            is_stop_watched: false,
            is_unwritten: false,
            exit: None,
            exited: None,
            wanted: None,
            preempted: None,
            failure: None,
            output: OutputExcerpt::default(),
            last: BTreeMap::new(),
            objective_was_finite: false,
        }
    }

    /// Takes an input and returns the actions.
    pub(crate) fn handle(&mut self, input: Input, now: Now) -> Vec<Action> {
        match input {
            Input::Started => {
                (self.started, self.heard) = (Some(now), now);
                Vec::new()
            }
            Input::Line(line) => {
                self.heard = now;
                self.output.push(line, now);
                Vec::new()
            }
            Input::Unread(remedy) => {
                self.output.unread = Some(remedy);
                Vec::new()
            }
            Input::Metric { name, value } => {
                self.heard = now;
                self.objective_was_finite |= name == self.objective && value.is_finite();
                self.last.insert(name, value);
                Vec::new()
            }
            Input::CouldNotStart(obstacle) => {
                let (blame, message) = match obstacle {
                    Obstacle::Configuration(message) => ("configuration", message),
                    Obstacle::Machine(message) => ("machine", message),
                };
                self.failure = Some(AttemptFailure {
                    kind: "could_not_start",
                    blame,
                    message,
                    ..AttemptFailure::default()
                });
                self.end()
            }
            Input::NotReady { how, output } => {
                let message = format!("the preflight command failed on this machine: {how}");
                let evidence = output
                    .lines()
                    .rev()
                    .find(|line| !line.trim().is_empty())
                    .unwrap_or_default()
                    .trim()
                    .to_owned();
                self.exited = Some(now);
                self.conclude(
                    Some(AttemptFailure {
                        kind: "preflight",
                        blame: "machine",
                        message,
                        output_tail: output,
                        evidence,
                        ..AttemptFailure::default()
                    }),
                    now,
                )
            }
            Input::OutOfMemory(evidence) => {
                self.memory = Some(evidence);
                Vec::new()
            }
            Input::Want(want) => self.handle_want(want, now),
            Input::StopWatched => {
                self.is_stop_watched = true;
                Vec::new()
            }
            Input::Exited(exit) => self.handle_exit(exit, now),
            Input::Unwritten => {
                self.is_unwritten = true;
                Vec::new()
            }
            Input::Empty => self.handle_empty(),
            Input::Drained => self.handle_drained(now),
            Input::Tick => self.handle_tick(now),
        }
    }

    /// Ends the attempt, since its program could not be started.
    pub(crate) fn could_not_start(&mut self, obstacle: Obstacle) -> AttemptOutcome {
        let actions = self.handle(Input::CouldNotStart(obstacle), Now::ZERO);
        let outcome = actions.into_iter().find_map(|action| match action {
            Action::Finish(outcome) => Some(outcome),
            _ => None,
        });
        outcome.expect("an attempt that could not start has ended")
    }

    /// The name of the objective; empty where the sweep has none.
    pub(crate) fn objective_name(&self) -> &str {
        &self.objective
    }

    /// The last value of the objective.
    pub(crate) fn objective(&self) -> Option<f64> {
        self.last.get(&self.objective).copied()
    }

    /// Returns whether it was asked to end.
    pub(crate) fn is_wanted_to_end(&self) -> bool {
        self.wanted.is_some()
    }

    /// Whether it matters if processes of the attempt are left.
    pub(crate) fn awaits_empty(&self) -> bool {
        self.exit.is_some()
            && matches!(
                self.phase,
                Phase::Terminating { .. } | Phase::Killing { .. }
            )
    }

    fn handle_want(&mut self, want: Want, now: Now) -> Vec<Action> {
        if let Want::PassOn(signal) = want {
            return if self.phase == Phase::Running {
                vec![Action::PassOn(signal)]
            } else {
                Vec::new()
            };
        }
        if self.phase == Phase::Ended {
            return Vec::new();
        }
        let at_once = want == Want::Kill;
        if matches!(want, Want::Preempt | Want::Kill) {
            self.preempted.get_or_insert(now);
        }
        let is_stop = matches!(want, Want::Stop { .. });
        self.remember(want);
        match self.phase {
            Phase::Running | Phase::Asked { .. } | Phase::Terminating { .. } if at_once => {
                self.kill(now)
            }
            Phase::Running if is_stop && self.is_stop_watched => {
                let terminate_at = now + self.limits.grace;
                self.phase = Phase::Asked { terminate_at };
                Vec::new()
            }
            Phase::Asked { .. } if is_stop => Vec::new(),
            Phase::Running | Phase::Asked { .. } => self.terminate(now),
            Phase::Settling { .. } if self.wanted.is_some() || self.preempted.is_some() => {
                self.end()
            }
            _ => Vec::new(),
        }
    }

    /// The first cause names the end, but the user's request counts more than a rule, and a lost
    /// run more than everything.
    fn remember(&mut self, want: Want) {
        let by_itself = self.exited.is_some() && self.wanted.is_none();
        let replaces = match (&self.wanted, &want) {
            (_, Want::Abandon { .. }) => true,
            (Some(Want::Abandon { .. } | Want::Cancel { .. }), _) => false,
            (Some(_), Want::Cancel { .. }) => true,
            (Some(_), _) => false,
            // A run that timed out must not be restarted as if it had been interrupted.
            (None, Want::Stop { .. } | Want::Preempt | Want::Kill) if self.overdue.is_some() => {
                false
            }
            (None, _) => !by_itself,
        };
        if replaces {
            self.wanted = Some(want);
        }
    }

    fn handle_exit(&mut self, exit: Exit, now: Now) -> Vec<Action> {
        (self.exit, self.exited) = (Some(exit), Some(now));
        let leftover = now + self.limits.grace.min(LEFTOVER_GRACE_MAX);
        match &mut self.phase {
            // No process that it has started may outlive it.
            Phase::Running | Phase::Asked { .. } => {
                self.phase = Phase::Terminating { kill_at: leftover };
                vec![Action::Terminate]
            }
            // A program that ignores SIGTERM does not hold the slot for the whole grace.
            Phase::Terminating { kill_at } => {
                *kill_at = leftover.min(*kill_at);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn handle_empty(&mut self) -> Vec<Action> {
        if !self.awaits_empty() {
            return Vec::new();
        }
        self.phase = Phase::Draining;
        vec![Action::Drain]
    }

    fn handle_tick(&mut self, now: Now) -> Vec<Action> {
        if self.phase == Phase::Running
            && let Some(failure) = self.overdue_at(now)
        {
            self.overdue = Some(failure);
            return self.terminate(now);
        }
        match self.phase {
            Phase::Asked { terminate_at } if now >= terminate_at => self.terminate(now),
            Phase::Terminating { kill_at } if now >= kill_at => self.kill(now),
            Phase::Killing { give_up_at } if now >= give_up_at => {
                self.phase = Phase::Draining;
                let note =
                    "processes of the attempt do not die even by SIGKILL; they are left behind"
                        .to_owned();
                vec![Action::Note(note), Action::Drain]
            }
            Phase::Killing { .. } => vec![Action::Kill],
            Phase::Settling { until } if now >= until => self.end(),
            _ => Vec::new(),
        }
    }

    /// Returns the reason to end a program that has not ended by itself.
    fn overdue_at(&self, now: Now) -> Option<AttemptFailure> {
        let last_line = self
            .output
            .last_line()
            .map(|line| format!("the last line: {}", line.trim()))
            .unwrap_or_default();
        let overdue = |kind, message| AttemptFailure {
            evidence: last_line.clone(),
            ..blame::failure(kind, "configuration", message, None, &self.output)
        };
        let taken = now.saturating_sub(self.started?);
        if let Some(limit) = self.limits.runtime.filter(|limit| taken >= *limit) {
            return Some(overdue(
                "max_runtime",
                format!(
                    "it has taken {} s, and max_runtime is {} s",
                    taken.as_secs(),
                    limit.as_secs_f64()
                ),
            ));
        }
        let silent = now.saturating_sub(self.heard);
        let limit = self.limits.silence.filter(|limit| silent >= *limit)?;
        let message = format!(
            "neither a metric nor a line of output for {} s, and max_silence is {} s",
            silent.as_secs(),
            limit.as_secs_f64()
        );
        Some(overdue("max_silence", message))
    }

    fn terminate(&mut self, now: Now) -> Vec<Action> {
        let kill_at = now + self.limits.grace;
        self.phase = Phase::Terminating { kill_at };
        vec![Action::Terminate]
    }

    fn kill(&mut self, now: Now) -> Vec<Action> {
        self.phase = Phase::Killing {
            give_up_at: now + KILL_TIME_MAX,
        };
        vec![Action::Kill]
    }

    fn handle_drained(&mut self, now: Now) -> Vec<Action> {
        if self.phase != Phase::Draining {
            return Vec::new();
        }
        let failure = self
            .overdue
            .clone()
            .or_else(|| {
                self.is_unwritten
                    .then(|| blame::unwritten(self.exit, &self.output))
            })
            .or_else(|| self.judge());
        self.conclude(failure, now)
    }

    /// Ends the attempt, or has its failure settle first.
    fn conclude(&mut self, failure: Option<AttemptFailure>, now: Now) -> Vec<Action> {
        if self.phase == Phase::Ended {
            return Vec::new();
        }
        self.failure = failure;
        let is_explained = self.wanted.is_some()
            || self.preempted.is_some()
            || self.overdue.is_some()
            || self.crashed_by_itself();
        match self.exited.map(|exited| exited + self.limits.settle) {
            Some(until) if self.failure.is_some() && !is_explained && now < until => {
                self.phase = Phase::Settling { until };
                Vec::new()
            }
            _ => self.end(),
        }
    }

    /// Ends the attempt. A request explains the end, otherwise a preemption, otherwise the program.
    fn end(&mut self) -> Vec<Action> {
        if self.phase == Phase::Ended {
            return Vec::new();
        }
        self.phase = Phase::Ended;
        let is_preemption = self.is_preemption();
        let outcome = match (self.wanted.take(), self.failure.take()) {
            (Some(Want::Stop { reason }), _) => AttemptOutcome::Stopped(reason),
            (Some(Want::Cancel { reason }), _) => AttemptOutcome::Cancelled(reason),
            (Some(Want::Abandon { reason }), _) => AttemptOutcome::Abandoned(reason),
            (_, Some(failure)) if !is_preemption => AttemptOutcome::Failed(failure),
            (None, None) => AttemptOutcome::Succeeded,
            (Some(_), _) | (None, Some(_)) => AttemptOutcome::Preempted,
        };
        vec![Action::Finish(outcome)]
    }

    /// Returns whether a failure is put down to a preemption.
    fn is_preemption(&self) -> bool {
        let Some(preempted) = self.preempted else {
            return false;
        };
        let in_time = self
            .exited
            .is_none_or(|exited| preempted <= exited + self.limits.settle);
        in_time && self.overdue.is_none() && !self.crashed_by_itself()
    }

    /// Returns whether the program crashed for an internal reason: it named an error that is older
    /// than the preemption, if there is one, and then ended. An error that it got over, or that a
    /// signal caused, does not count.
    fn crashed_by_itself(&self) -> bool {
        let Some(exited) = self.exited else {
            return false;
        };
        let killed = matches!(
            self.exit,
            Some(Exit::Signal(blame::SIGKILL) | Exit::Code(blame::SHELL_SIGKILL))
        );
        if killed && self.memory.is_some() {
            return self.preempted.is_none_or(|preempted| preempted > exited);
        }
        if self
            .exit
            .is_none_or(|exit| exit == Exit::Code(0) || blame::is_sent_by_others(exit))
        {
            return false;
        }
        let Some(named) = self.output.crash_named() else {
            return false;
        };
        exited.saturating_sub(named) <= self.limits.settle
            && self
                .preempted
                .is_none_or(|preempted| named + CRASH_MARGIN <= preempted)
    }

    /// Returns why a program that ended by itself has failed, `None` if it has not.
    fn judge(&self) -> Option<AttemptFailure> {
        // Without an exit status it was stuck in the kernel and given up.
        let exit = self.exit.unwrap_or(Exit::Signal(9));
        let evidence = blame::FailureEvidence {
            exit,
            objective: &self.objective,
            last: &self.last,
            objective_was_finite: self.objective_was_finite,
            output: &self.output,
            memory: self.memory.as_deref(),
        };
        blame::judge(&evidence)
    }
}

#[cfg(test)]
mod preemption_tests;
#[cfg(test)]
mod tests;
