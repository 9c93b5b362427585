//! Any commands in any order, stale and repeated ones included: no step panics or breaks an invariant, and after any history,
//! agents that keep working bring every sweep to its end. A naive account of the rules, [`Reference`], comes to the same after every step.

mod steps;

use proptest::prelude::*;
use sweep_lifecycle::command::{
    AnnotationPatch, AttemptResult, Command, Directive, Import, Pin, Refusal, Reply, SweepAction,
};
use sweep_lifecycle::state::{
    AgentId, AgentInfo, AttemptRef, CodeAbout, CodeMark, RunState, SweepId, SweepState,
};
use sweep_search::suggest::Method;

use self::steps::*;
use crate::reference::Reference;
use crate::world::{World, offer, points, probe};

/// A world, the attempts there have been, and the commands so far.
#[derive(Default)]
struct Chaos {
    world: World,
    reference: Reference,
    attempts: Vec<(AttemptRef, AgentId)>,
    told: Vec<Command>,
}

impl Chaos {
    fn take(&mut self, step: &Step) {
        let Some(command) = self.command(step) else {
            return;
        };
        // A refusal is as good an answer as any other; `tell` checks what must hold either way.
        if let Ok(Reply::Assigned(attempt)) = self.tell(&command) {
            let owner = self.world.attempt(&attempt).agent.clone();
            self.attempts.push((attempt, owner));
        }
        self.told.push(command);
    }

    fn tell(&mut self, command: &Command) -> Result<Reply, Refusal> {
        let before = self.world.state.clone();
        let answer = self.world.tell(command);
        self.reference
            .follow(&before, command, &answer, &self.world.state);
        Ok(answer?.1)
    }

    fn ask(&mut self, command: &Command) -> Reply {
        self.tell(command)
            .unwrap_or_else(|refusal| panic!("{command:?} is refused: {refusal}"))
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each kind of step")]
    fn command(&self, step: &Step) -> Option<Command> {
        Some(match step {
            Step::Create(number) => {
                let kind = number % KINDS;
                Command::CreateSweep {
                    sweep: sweep(kind),
                    spec: Box::new(spec(kind)),
                    source: String::new(),
                    seed: 1,
                }
            }
            Step::Set(number, action) => Command::SetSweep {
                sweep: sweep(*number),
                action: *action,
            },
            Step::Probe(name) => Command::ProbeAgent {
                agent: agent(*name),
            },
            Step::Readmit(name) => Command::ReadmitAgent {
                agent: agent(*name),
            },
            Step::Register(name, number, names) => {
                let own = self
                    .attempts
                    .iter()
                    .enumerate()
                    .filter(|(_, (_, owner))| *owner == agent(*name));
                let named = own
                    .filter(|(index, _)| (*index + usize::from(*names)) % 3 > 0)
                    .map(|(_, (attempt, _))| attempt.clone());
                let attempts = named
                    .filter(|attempt| attempt.sweep == sweep(*number))
                    .collect();
                let info = AgentInfo {
                    host: "box".to_owned(),
                    slots: u32::from(*number % 3),
                    version: String::new(),
                    process: if names % 4 == 0 {
                        "another".to_owned()
                    } else {
                        String::new()
                    },
                    asks: name % 4 == 0,
                };
                Command::RegisterAgent {
                    agent: agent(*name),
                    sweep: sweep(*number),
                    info,
                    attempts,
                }
            }
            Step::Acquire(name, number, offers) => {
                let works_for = self
                    .world
                    .state
                    .agents
                    .get(&agent(*name))
                    .map(|agent| agent.sweep.clone());
                let sweep = works_for
                    .filter(|_| !number.is_multiple_of(8))
                    .unwrap_or_else(|| sweep(*number));
                let works_on = self.world.state.sweeps.get(&sweep);
                Command::Acquire {
                    agent: agent(*name),
                    sweep,
                    offers: fitting(
                        works_on,
                        offers.iter().copied(),
                        if number % 3 == 0 { probe } else { offer },
                    ),
                    code_version: code(offers.len()),
                }
            }
            Step::Exhaust(number) => Command::ExhaustSpace {
                sweep: sweep(*number),
                history: u64::MAX,
            },
            Step::Describe(name, number, version) => {
                let about = CodeAbout {
                    branch: "main".to_owned(),
                    ..CodeAbout::default()
                };
                let version = format!("code {}", version % 4);
                Command::DescribeCode {
                    agent: agent(*name),
                    sweep: sweep(*number),
                    version,
                    about,
                }
            }
            Step::Start(index, owner) => {
                let (attempt, agent) = self.attempt(*index, *owner)?;
                Command::StartAttempt {
                    agent,
                    attempt,
                    command: vec!["train".to_owned()],
                    code_version: code(*index as usize),
                }
            }
            Step::Report(index, owner, seq, values) => {
                let (attempt, agent) = self.attempt(*index, *owner)?;
                let known = self.world.state.sweeps[&attempt.sweep]
                    .attempt(&attempt)
                    .map_or(0, |known| known.points);
                let first_seq = if *seq == u64::MAX { known } else { *seq };
                Command::ReportMetrics {
                    agent,
                    attempt,
                    first_seq,
                    points: points(values),
                }
            }
            Step::Finish(index, owner, result) => {
                let (attempt, agent) = self.attempt(*index, *owner)?;
                Command::FinishAttempt {
                    agent,
                    attempt,
                    result: result.clone(),
                }
            }
            Step::Lose(index) => Command::LoseAttempt {
                attempt: self.attempt(*index, true)?.0,
            },
            Step::Announce(name) => Command::AnnounceLeaving {
                agent: agent(*name),
                reason: "SIGTERM".to_owned(),
            },
            Step::Remove(name, lost) => Command::RemoveAgent {
                agent: agent(*name),
                lost: *lost,
                reason: String::new(),
            },
            Step::Cancel(index) => {
                let (attempt, _) = self.attempt(*index, true)?;
                Command::CancelRun {
                    sweep: attempt.sweep,
                    run: attempt.run,
                }
            }
            Step::Annotate(index, tag) => {
                let (attempt, _) = self.attempt(*index, true)?;
                let tags = |wanted: bool| {
                    wanted
                        .then(|| format!("tag-{}", tag % 8))
                        .into_iter()
                        .collect()
                };
                let said = AnnotationPatch {
                    note: (tag % 3 == 0).then(|| format!("note {tag}")),
                    add: tags(tag % 2 == 0),
                    remove: tags(tag % 2 == 1),
                    pinned: (tag % 5 == 0).then_some(tag % 10 == 0),
                };
                Command::AnnotateRun {
                    sweep: attempt.sweep,
                    run: attempt.run,
                    said,
                }
            }
            Step::Tell(index, value) => {
                let (attempt, _) = self.attempt(*index, true)?;
                Command::Tell {
                    attempt,
                    told: told(*value),
                    metrics: [("accuracy".to_owned(), 0.5)].into(),
                }
            }
            Step::Reread(index, values) => {
                let (attempt, _) = self.attempt(*index, true)?;
                Command::RereadRun {
                    attempt,
                    points: points(values),
                }
            }
            Step::Import(number, runs) => {
                let import = |(x, value): &(i64, Option<f64>)| Import {
                    place: 1,
                    config: offer(*x).suggestion.config,
                    told: told(*value),
                    code_version: code(x.unsigned_abs() as usize),
                };
                Command::ImportRuns {
                    sweep: sweep(*number),
                    runs: runs.iter().map(import).collect(),
                }
            }
            Step::Offer(number, points, end) => offered(&sweep(*number), points, *end),
            Step::Pin(number, version, push) => {
                let version = format!("code {}", version % 4);
                Command::PinCode {
                    sweep: sweep(*number),
                    code: Pin {
                        version,
                        about: CodeAbout::default(),
                    },
                    push: *push,
                }
            }
            Step::Mark(number, version, other) => {
                let codes = &self.world.state.sweeps.get(&sweep(*number))?.code.versions;
                let named = |index: u8| {
                    Some(
                        codes
                            .get(usize::from(index) % codes.len().max(1))?
                            .version
                            .clone(),
                    )
                };
                let mark = match other {
                    None => None,
                    Some(other) if other % 3 == 0 => Some(CodeMark::Unusable),
                    Some(other) => Some(CodeMark::SameAs(named(*other)?)),
                };
                Command::MarkCode {
                    sweep: sweep(*number),
                    version: named(*version)?,
                    mark,
                }
            }
            Step::Rerun(number, which) => Command::RerunPoints {
                sweep: sweep(*number),
                which: *which,
            },
            Step::Retry(number, runs) => Command::RetryRuns {
                sweep: sweep(*number),
                runs: runs.clone(),
            },
            Step::Edit(number, how) => {
                let sweep = sweep(*number);
                let spec = edited(&self.world.state.sweeps.get(&sweep)?.spec, *how);
                Command::EditSweep {
                    sweep,
                    spec: Box::new(spec),
                    source: String::new(),
                    base: None,
                }
            }
            Step::Undo(number) => Command::UndoEdit {
                sweep: sweep(*number),
                base: None,
            },
            Step::Repeat(index) => self
                .told
                .get(usize::from(*index) % self.told.len().max(1))?
                .clone(),
        })
    }

    // Newer attempts are chosen more often: they are the ones that are live.
    fn attempt(&self, index: u8, owner: bool) -> Option<(AttemptRef, AgentId)> {
        let back = if index.is_multiple_of(4) {
            usize::from(index / 4)
        } else {
            usize::from(index / 4) % 6
        };
        let back = back % self.attempts.len().max(1);
        let (attempt, holder) = self.attempts.iter().rev().nth(back)?.clone();
        if index == 255 {
            return Some((
                AttemptRef {
                    attempt: attempt.attempt + 1,
                    ..attempt
                },
                holder,
            ));
        }
        Some((attempt, if owner { holder } else { agent(index) }))
    }

    /// All agents vanish, every sweep is resumed, and new agents work until none gets a run any more.
    fn settle(&mut self, finish: &[AttemptResult]) {
        for name in self.world.state.agents.keys().cloned().collect::<Vec<_>>() {
            self.ask(&Command::RemoveAgent {
                agent: name,
                lost: true,
                reason: String::new(),
            });
        }
        for sweep in self.world.state.sweeps.keys().cloned().collect::<Vec<_>>() {
            if self.ask(&Command::SetSweep {
                sweep: sweep.clone(),
                action: SweepAction::Resume,
            }) == Reply::Sweep(SweepState::Running)
            {
                self.work_off(&sweep, finish);
            }
            let ended = &self.world.state.sweeps[&sweep];
            assert_eq!(ended.state, SweepState::Finished, "{}", ended.reason);
            assert!(ended.runs.iter().all(|(_, run)| run.state.is_terminal()));
        }
    }

    fn work_off(&mut self, sweep: &SweepId, finish: &[AttemptResult]) {
        let workers: Vec<AgentId> = (0..3)
            .map(|number| AgentId(format!("{}-worker{number}", sweep.0)))
            .collect();
        for worker in &workers {
            let info = AgentInfo {
                host: "box".to_owned(),
                slots: 1,
                version: String::new(),
                process: String::new(),
                asks: false,
            };
            self.ask(&Command::RegisterAgent {
                agent: worker.clone(),
                sweep: sweep.clone(),
                info,
                attempts: Vec::new(),
            });
        }
        if self.world.state.sweeps[sweep].spec.method == Method::External {
            self.ask(&offered(sweep, &[], true));
        }
        let mut results = finish.iter().cycle();
        // Each of the points may be tried, lost, crashed and asked for as often as the policy allows, and then some.
        for turn in 0..POINTS as usize * 100 {
            let worker = &workers[turn % workers.len()];
            let known = &self.world.state.sweeps[sweep];
            let mut left = fitting(Some(known), 1..=POINTS, offer);
            left.retain(|offer| {
                !known
                    .index
                    .points
                    .keys
                    .contains(&offer.suggestion.config.key())
            });
            if left.is_empty() {
                self.ask(&Command::ExhaustSpace {
                    sweep: sweep.clone(),
                    history: u64::MAX,
                });
            }
            let acquire = Command::Acquire {
                agent: worker.clone(),
                sweep: sweep.clone(),
                offers: left,
                code_version: String::new(),
            };
            match self.ask(&acquire) {
                Reply::Assigned(attempt) => self.execute(
                    worker,
                    &attempt,
                    results.next().unwrap_or(&AttemptResult::Succeeded),
                ),
                Reply::Wait { .. } => self.care(&workers, sweep),
                Reply::Ended { .. } => return,
                other => panic!("{other:?}"),
            }
        }
    }

    // Time passes for agents in quarantine, and a person looks after a sweep that gets nowhere.
    fn care(&mut self, workers: &[AgentId], sweep: &SweepId) {
        for worker in workers {
            self.ask(&Command::ProbeAgent {
                agent: worker.clone(),
            });
        }
        if self.world.state.sweeps[sweep].stalled {
            self.ask(&Command::SetSweep {
                sweep: sweep.clone(),
                action: SweepAction::Resume,
            });
        }
    }

    fn execute(&mut self, worker: &AgentId, attempt: &AttemptRef, result: &AttemptResult) {
        let (agent, attempt) = (worker.clone(), attempt.clone());
        self.ask(&Command::StartAttempt {
            agent: agent.clone(),
            attempt: attempt.clone(),
            command: Vec::new(),
            code_version: String::new(),
        });
        let report = Command::ReportMetrics {
            agent: agent.clone(),
            attempt: attempt.clone(),
            first_seq: 0,
            points: points(&[0.5, 0.25]),
        };
        let result = match self.ask(&report) {
            Reply::Directive(Directive::Stop { kind, .. }) => AttemptResult::Stopped(kind),
            _ => result.clone(),
        };
        self.ask(&Command::FinishAttempt {
            agent,
            attempt,
            result,
        });
    }
}

proptest! {
    // Of 200 steps each, in the mean: a hundred thousand commands.
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_is_said_breaks_anything(steps in prop::collection::vec(step(), 1..400)) {
        let mut chaos = Chaos::default();
        for number in 0..KINDS {
            chaos.take(&Step::Create(number));
            chaos.take(&Step::Register(number, number, 1));
        }
        for step in &steps {
            chaos.take(step);
        }
        chaos.world.assert_an_image_gives_the_state();
        chaos.settle(&[AttemptResult::Succeeded]);
        chaos.world.assert_an_image_gives_the_state();
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_grid_without_people_tries_each_point_exactly_once(ends in prop::collection::vec(result(), 0..12)) {
        let mut chaos = Chaos::default();
        chaos.take(&Step::Create(0));
        // In the end all goes well, or a run that is always preempted would never end.
        let ends: Vec<_> = ends.into_iter().chain((0..60).map(|_| AttemptResult::Succeeded)).collect();
        chaos.work_off(&sweep(0), &ends);
        let grid = &chaos.world.state.sweeps[&sweep(0)];
        prop_assert_eq!(grid.state, SweepState::Finished);
        prop_assert_eq!(grid.reason.as_str(), "all 6 points of the grid tried");
        prop_assert_eq!((grid.runs.len(), grid.index.points.keys.len()), (6, 6));
        let ended = [RunState::Finished, RunState::Stopped, RunState::Failed, RunState::Cancelled];
        prop_assert!(grid.runs.iter().all(|(_, run)| ended.contains(&run.state)));
        // Each run ended once: only its newest attempt can have ended well.
        for (_, run) in grid.runs.iter() {
            let earlier = run.attempts.len().saturating_sub(1);
            prop_assert!(run.attempts[..earlier].iter().all(|attempt| attempt.failure.is_some() || attempt.ended.is_some()));
            prop_assert_eq!(run.attempts.iter().filter(|attempt| attempt.state == sweep_lifecycle::state::AttemptState::Finished).count() as u32, u32::from(run.state == RunState::Finished));
        }
    }
}
