//! A decision about one sweep while it is being made: the events so far, and what they will come to.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sweep_search::space::{Config, PointKey};
use sweep_search::why::Why;

use crate::command::{Decision, Refusal, Reply};
use crate::event::{Event, RetryCause};
use crate::observe::SweepProgress;
use crate::repeats;
use crate::state::{
    AgentId, AttemptRef, AttemptState, Failure, Run, RunNumber, RunRanges, RunState, State,
    StopKind, StopRequest, Sweep, SweepId, SweepState, is_rerun,
};
use crate::versions::counts;

pub(super) struct Draft<'a> {
    pub(super) state: &'a State,
    pub(super) id: &'a SweepId,
    pub(super) sweep: &'a Sweep,
    events: Vec<Event>,
    /// Runs among the events that are new.
    created: u64,
    /// The decision ends the time in which agents report what a restored log does not hold.
    pub(super) has_settled: bool,
    /// Why the sweep gets nowhere, where that has just become plain.
    pub(super) stall: Option<String>,
}

impl<'a> Draft<'a> {
    pub(super) fn of(state: &'a State, sweep: &SweepId) -> Result<Self, Refusal> {
        let (id, sweep) = state
            .sweeps
            .get_key_value(sweep)
            .ok_or_else(|| Refusal::UnknownSweep(sweep.0.clone()))?;
        Ok(Self {
            state,
            id,
            sweep,
            events: Vec::new(),
            created: 0,
            has_settled: false,
            stall: None,
        })
    }

    pub(super) fn run(&self, number: RunNumber) -> Result<Cow<'a, Run>, Refusal> {
        self.sweep
            .runs
            .get(number)
            .ok_or_else(|| Refusal::UnknownRun {
                sweep: self.id.0.clone(),
                run: number,
            })
    }

    pub(super) fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Whether the events speak of a version of the code.
    pub(super) fn sees(&self, code_version: &str) -> bool {
        self.events.iter().any(
            |event| matches!(event, Event::CodeSeen { version, .. } if version == code_version),
        )
    }

    pub(super) fn change_sweep(&mut self, state: SweepState, reason: impl Into<String>) {
        self.push(Event::SweepStateChanged {
            sweep: self.id.clone(),
            state,
            reason: reason.into(),
        });
    }

    pub(super) fn end_attempt(
        &mut self,
        attempt: &AttemptRef,
        state: AttemptState,
        failure: Option<Failure>,
    ) {
        self.push(Event::AttemptEnded {
            attempt: attempt.clone(),
            state,
            failure,
        });
    }

    pub(super) fn request_stop(
        &mut self,
        attempt: AttemptRef,
        kind: StopKind,
        reason: impl Into<String>,
    ) {
        self.push(Event::StopRequested {
            attempt,
            request: StopRequest {
                kind,
                reason: reason.into(),
                predicted: None,
            },
        });
    }

    /// Puts a run back into the queue, or withdraws it where the space does not hold it any more. Returns its state.
    pub(super) fn requeue(
        &mut self,
        run: RunNumber,
        reason: String,
        counts: Option<RetryCause>,
        avoid: Option<AgentId>,
    ) -> RunState {
        let sweep = self.id.clone();
        if self
            .sweep
            .runs
            .get(run)
            .is_some_and(|run| !self.holds(&run.config))
        {
            let reason = format!(
                "{reason}; withdrawn, since it is not in space version {}",
                self.sweep.space_version()
            );
            self.withdraw(run, reason);
            return RunState::Cancelled;
        }
        self.push(Event::RunRequeued {
            sweep,
            run,
            reason,
            counts,
            avoid,
        });
        RunState::Queued
    }

    /// Whether the space holds a configuration. Before the first edit it holds all.
    pub(super) fn holds(&self, config: &Config) -> bool {
        self.sweep.revisions.len() < 2 || self.sweep.spec.space.holds(config)
    }

    pub(super) fn withdraw(&mut self, run: RunNumber, reason: String) {
        let (sweep, state) = (self.id.clone(), RunState::Cancelled);
        self.push(Event::RunEnded {
            sweep,
            run,
            state,
            value: None,
            reason,
            blamed: false,
            withdrawn: true,
        });
    }

    /// Cancels runs that wait for an agent, by one event.
    pub(super) fn cancel_queued(&mut self, runs: RunRanges, reason: String, withdrawn: bool) {
        if !runs.is_empty() {
            self.push(Event::QueuedRunsCancelled {
                sweep: self.id.clone(),
                runs,
                reason,
                withdrawn,
            });
        }
    }

    pub(super) fn end_run(
        &mut self,
        run: RunNumber,
        state: RunState,
        value: Option<f64>,
        reason: String,
        blamed: bool,
    ) {
        self.push(Event::RunEnded {
            sweep: self.id.clone(),
            run,
            state,
            value,
            reason,
            blamed,
            withdrawn: false,
        });
    }

    /// Returns how a run ends by the events, and why.
    pub(super) fn end_of(&self, number: RunNumber) -> Option<(RunState, &str)> {
        self.events.iter().find_map(|event| match event {
            Event::RunEnded {
                run, state, reason, ..
            } if *run == number => Some((*state, reason.as_str())),
            _ => None,
        })
    }

    /// The sweep's state once the events have been recorded.
    pub(super) fn sweep_state(&self) -> SweepState {
        let changes = self.events.iter().rev().filter_map(|event| match event {
            Event::SweepStateChanged { state, .. } => Some(*state),
            Event::SweepStalled { .. } => Some(SweepState::Paused),
            _ => None,
        });
        changes.into_iter().next().unwrap_or(self.sweep.state)
    }

    /// Where the sweep will be once the events have been recorded. Relies on each run changing its place at most once in a decision; one
    /// that is created and assigned at once counts as queued.
    pub(super) fn progress(&self) -> SweepProgress {
        let mut progress = SweepProgress::of(self.sweep);
        let mut sharers = BTreeMap::new();
        for event in &self.events {
            match event {
                Event::RunCreated {
                    repeats,
                    again,
                    why,
                    ..
                } => {
                    progress.created += u64::from(!is_rerun(again, why));
                    progress.tried += u64::from(repeats.is_none() && again.is_empty());
                    progress.queued += 1;
                }
                Event::RunImported { run, value, .. } => {
                    progress.tried += 1;
                    self.rank(&mut progress, *run, *value);
                }
                Event::RunEnded {
                    run,
                    value,
                    withdrawn,
                    ..
                } => {
                    self.leave(&mut progress, *run);
                    self.move_point(&mut progress, &mut sharers, *run, *withdrawn);
                    self.rank(&mut progress, *run, *value);
                }
                Event::QueuedRunsCancelled { runs, .. } => runs
                    .numbers()
                    .for_each(|run| self.leave(&mut progress, run)),
                Event::RunRequeued { run, .. } => {
                    self.leave(&mut progress, *run);
                    self.move_point(&mut progress, &mut sharers, *run, false);
                    progress.queued += 1;
                }
                Event::AttemptResumed { attempt } => {
                    self.leave(&mut progress, attempt.run);
                    progress.live += 1;
                }
                Event::SpaceExhausted { .. } => progress.exhausted = true,
                _ => {}
            }
        }
        progress
    }

    /// A point whose last run is withdrawn is free again, and one that was is not, once a run of it has ended after all. `sharers`: how many runs the
    /// points have that the events before have moved.
    fn move_point(
        &self,
        progress: &mut SweepProgress,
        sharers: &mut BTreeMap<PointKey, u32>,
        number: RunNumber,
        withdrawn: bool,
    ) {
        let moves = |run: &Cow<'_, Run>| run.point.withdrawn != withdrawn && !run.point.is_again();
        let Some(run) = self.sweep.runs.get(number).filter(moves) else {
            return;
        };
        let Some(point) = self.sweep.point_if_kept(&run) else {
            return;
        };
        let sharing = sharers.entry(point).or_insert_with(|| {
            let shared = self
                .sweep
                .index
                .points
                .shared
                .get(&point)
                .copied()
                .unwrap_or_default();
            if self.sweep.index.points.keys.contains(&point) {
                shared + 1
            } else {
                0
            }
        });
        match withdrawn {
            true => {
                *sharing = sharing.saturating_sub(1);
                progress.tried = progress.tried.saturating_sub(u64::from(*sharing == 0));
            }
            false => {
                progress.tried += u64::from(*sharing == 0);
                *sharing += 1;
            }
        }
    }

    fn rank(&self, progress: &mut SweepProgress, run: RunNumber, value: Option<f64>) {
        let (run, value) = match self.sweep.runs.first_of(run) {
            Some(first) => {
                let runs = repeats::of(self.sweep, first)
                    .map(|(number, run)| self.after(number, run.into_owned()));
                let point: Vec<_> = runs
                    .filter(|run| counts(&self.sweep.code.versions, run))
                    .map(Cow::Owned)
                    .collect();
                (first, repeats::ranked(self.sweep, &point))
            }
            // Imported just now: only its value is known.
            None => (
                run,
                value.filter(|_| self.sweep.spec.constraints.is_empty()),
            ),
        };
        let goal = self.sweep.spec.goal();
        if let Some(value) = value.filter(|value| {
            progress
                .best
                .is_none_or(|(_, best)| goal.is_better(*value, best))
        }) {
            progress.best = Some((run, value));
        }
    }

    /// A run as it will be once the events have been recorded, as far as ranking needs it.
    fn after(&self, number: RunNumber, mut run: Run) -> Run {
        for event in &self.events {
            match event {
                Event::MetricsReported {
                    attempt, points, ..
                } if attempt.run == number => {
                    let Some(newest) = run.attempts.last_mut() else {
                        continue;
                    };
                    points
                        .iter()
                        .for_each(|point| newest.summarise(&point.name, point.value));
                }
                Event::RunEnded {
                    run: ended,
                    state,
                    value,
                    ..
                } if *ended == number => {
                    (run.state, run.value) = (*state, *value);
                }
                _ => {}
            }
        }
        run
    }

    /// Makes a run of a point, which may have been tried before if it is tried `again` for some code, and as many more as the sweep repeats each, as
    /// far as its cap allows, which does not count reruns that the user asks for. Returns the first.
    pub(super) fn create_runs(
        &mut self,
        config: &Config,
        history: u64,
        why: &Why,
        again: &str,
    ) -> RunNumber {
        let first = self.sweep.runs.last() + 1 + self.created;
        let created = SweepProgress::of(self.sweep).created + self.created;
        let cap = self.sweep.spec.run_cap.filter(|_| !is_rerun(again, why));
        let left = cap.map_or(u64::MAX, |cap| cap.saturating_sub(created));
        let count = u64::from(self.sweep.spec.repeats).min(left).max(1);
        for place in 0..count {
            let (why, repeats) = match place {
                0 => (why.clone(), None),
                _ => {
                    let reason = format!("repeat {} of {count} of run {first}", place + 1);
                    (
                        Why {
                            reason,
                            ..why.clone()
                        },
                        Some(first),
                    )
                }
            };
            self.push(Event::RunCreated {
                sweep: self.id.clone(),
                run: first + place,
                config: config.clone(),
                why,
                history,
                repeats,
                again: again.to_owned(),
            });
        }
        self.created += count;
        first
    }

    /// The number of the last run, once the events have been recorded.
    pub(super) fn last_run(&self) -> RunNumber {
        self.sweep.runs.last() + self.created
    }

    fn leave(&self, progress: &mut SweepProgress, run: RunNumber) {
        progress.reached.retain(|(reached, _)| *reached != run);
        if self.sweep.index.queued.contains(&run) {
            progress.queued = progress.queued.saturating_sub(1);
        } else if self.sweep.index.live.contains(&run) {
            progress.live = progress.live.saturating_sub(1);
        }
    }

    /// Pauses the sweep if it runs on, and every agent fails.
    pub(super) fn stall_if_hopeless(&mut self) {
        if self.sweep_state() == SweepState::Running
            && let Some(reason) = self.stall.take()
        {
            self.push(Event::SweepStalled {
                sweep: self.id.clone(),
                reason,
            });
        }
    }

    /// Ends the sweep if it runs, nothing of it waits or runs, and nothing new can come. Returns why.
    pub(super) fn finish_if_done(&mut self) -> Option<String> {
        let progress = self.progress();
        if self.state.identity.is_settling && !self.has_settled {
            return None;
        }
        if self.sweep_state() != SweepState::Running || progress.queued > 0 || progress.live > 0 {
            return None;
        }
        let reason = progress.limit(&self.sweep.spec)?;
        self.change_sweep(SweepState::Finished, reason.clone());
        Some(reason)
    }

    pub(super) fn reply(self, reply: Reply) -> Decision {
        Decision {
            events: self.events,
            reply,
        }
    }
}
