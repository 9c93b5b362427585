//! The attempts that an agent holds, as the controller knows them. A restored controller may know
//! them by other numbers and with fewer points: each registration says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use sweep_proto::v1;
use sweep_proto::v1::directive::Kind;
use tokio::sync::mpsc;

use crate::attempt::Want;
use crate::held::{AttemptNumbers, HeldAttempt};
use crate::spool::Spool;
#[cfg(feature = "simulation")]
use crate::weakness::{self, Weakness};

/// The attempts that an agent holds.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    attempts: BTreeMap<HeldAttempt, Holding>,
}

#[derive(Debug, Default)]
struct Holding {
    /// By which the controller knows it.
    numbers: AttemptNumbers,
    record_json: String,
    /// How its output shows the objective, where nothing reads it.
    unread: String,
    spool: Option<Arc<Spool>>,
    wants: Option<mpsc::UnboundedSender<Want>>,
    /// The number of points that the controller has, from the last registration before there was a
    /// spool.
    points: Option<u64>,
    /// The request that came before there was a task to take it.
    wanted: Option<Want>,
    /// The controller does not know that its program has started.
    needs_start: bool,
    /// The controller has its result, or does not want it any more.
    is_closed: bool,
}

impl Holdings {
    /// Adds an attempt.
    pub(super) fn add(
        &mut self,
        attempt: HeldAttempt,
        numbers: AttemptNumbers,
        record_json: String,
    ) {
        let holding = self.attempts.entry(attempt).or_default();
        (holding.numbers, holding.record_json) = (numbers, record_json);
    }

    /// Records how the output of an attempt shows the objective, for the next heartbeats.
    pub(super) fn set_unread(&mut self, attempt: &HeldAttempt, hint: String) {
        if let Some(holding) = self.attempts.get_mut(attempt) {
            holding.unread = hint;
        }
    }

    /// Says how what the controller wants of an attempt reaches it.
    pub(super) fn connect(&mut self, attempt: &HeldAttempt, wants: mpsc::UnboundedSender<Want>) {
        let Some(holding) = self.attempts.get_mut(attempt) else {
            return;
        };
        if let Some(want) = holding.wanted.take() {
            let _ = wants.send(want);
        }
        holding.wants = Some(wants);
    }

    /// Attaches the spool with the points of an attempt. Returns a note to the user.
    pub(super) fn attach(&mut self, attempt: &HeldAttempt, spool: &Arc<Spool>) -> Option<String> {
        let holding = self.attempts.get_mut(attempt)?;
        let note = holding
            .points
            .take()
            .and_then(|points| rewind(spool, points));
        holding.spool = Some(Arc::clone(spool));
        note
    }

    /// Removes an attempt.
    pub(super) fn remove(&mut self, attempt: &HeldAttempt) {
        self.attempts.remove(attempt);
    }

    /// Records that the controller has the result of an attempt.
    pub(super) fn close(&mut self, attempt: &HeldAttempt) {
        if let Some(holding) = self.attempts.get_mut(attempt) {
            holding.is_closed = true;
        }
    }

    /// Returns the attempts that a registration or a heartbeat names.
    pub(super) fn listed(&self) -> Vec<HeldAttempt> {
        self.attempts
            .iter()
            .filter(|(_, holding)| !holding.is_closed)
            .map(|(attempt, _)| attempt.clone())
            .collect()
    }

    /// Returns the numbers by which the controller knows an attempt.
    pub(super) fn numbers(&self, attempt: &HeldAttempt) -> AttemptNumbers {
        self.attempts
            .get(attempt)
            .map_or(attempt.numbers(), |holding| holding.numbers)
    }

    /// Returns an attempt as a registration names it.
    pub(super) fn live(&self, attempt: &HeldAttempt) -> v1::LiveAttempt {
        let AttemptNumbers {
            run,
            attempt: number,
        } = self.numbers(attempt);
        let text = |of: fn(&Holding) -> &String| {
            self.attempts
                .get(attempt)
                .map(|holding| of(holding).clone())
                .unwrap_or_default()
        };
        let (record_json, unread) = (
            text(|holding| &holding.record_json),
            text(|holding| &holding.unread),
        );
        v1::LiveAttempt {
            run,
            attempt: number,
            incarnation: attempt.incarnation.clone(),
            record_json,
            unread,
        }
    }

    /// Passes on what the controller wants of an attempt.
    pub(super) fn direct(&mut self, attempt: &HeldAttempt, directive: v1::Directive) {
        let (Some(holding), Some(want)) = (self.attempts.get_mut(attempt), want(directive)) else {
            return;
        };
        holding.is_closed |= matches!(want, Want::Abandon { .. });
        match &holding.wants {
            // The attempt has ended: there is nothing left to do.
            Some(wants) => drop(wants.send(want)),
            None => holding.wanted = Some(want),
        }
    }

    /// Passes on what all attempts are to do.
    pub(super) fn direct_all(&self, want: &Want) {
        for wants in self
            .attempts
            .values()
            .filter_map(|holding| holding.wants.as_ref())
        {
            let _ = wants.send(want.clone());
        }
    }

    /// Returns whether the controller has to be told again that a program has started; once for
    /// each registration.
    pub(super) fn take_needs_start(&mut self, attempt: &HeldAttempt) -> bool {
        self.attempts
            .get_mut(attempt)
            .is_some_and(|holding| std::mem::take(&mut holding.needs_start))
    }

    /// Applies the answer to a registration to an attempt. Returns notes to the user.
    pub(super) fn apply(&mut self, attempt: &HeldAttempt, known: &v1::HeldAttempt) -> Vec<String> {
        let mut notes = Vec::new();
        let Some(holding) = self.attempts.get_mut(attempt) else {
            return notes;
        };
        let numbers = AttemptNumbers {
            run: known.run,
            attempt: known.attempt,
        };
        if holding.numbers != numbers {
            holding.numbers = numbers;
            notes.push(format!(
                "the restored controller knows it as run {} attempt {}",
                numbers.run, numbers.attempt
            ));
            if let Err(error) = numbers.write(&attempt.folder) {
                notes.push(format!(
                    "{}: {error}; if this agent is killed, the next one cannot tell",
                    attempt.folder.display()
                ));
            }
        }
        holding.needs_start = !known.started;
        match &holding.spool {
            Some(spool) => notes.extend(rewind(spool, known.points)),
            None => holding.points = Some(known.points),
        }
        self.direct(attempt, known.directive.clone().unwrap_or_default());
        notes
    }
}

/// Has points sent again that the controller does not have.
fn rewind(spool: &Spool, points: u64) -> Option<String> {
    #[cfg(feature = "simulation")]
    if weakness::has(Weakness::PointsPassedOver) {
        return None;
    }
    let lost = spool.rewind(points).err()?;
    Some(format!(
        "the controller was restored and has {points} of its points; the {lost} after them are no longer kept here"
    ))
}

/// Returns what a directive asks for, `None` to continue.
fn want(directive: v1::Directive) -> Option<Want> {
    let kind = directive.kind();
    let reason = directive.reason;
    match kind {
        Kind::Unspecified | Kind::Continue => None,
        Kind::Stop => Some(Want::Stop { reason }),
        Kind::Cancel => Some(Want::Cancel { reason }),
        Kind::Abandon => Some(Want::Abandon { reason }),
    }
}
