//! Any commands in any order, stale and repeated ones included: no step panics or breaks an invariant, and whatever has happened,
//! agents that go on working bring every sweep to its end. A naive account of the rules, [`Reference`], comes to the same after every step.

use proptest::prelude::*;
use sweep_lifecycle::command::{
    AnnotationPatch, AttemptResult, Command, Directive, Import, Offer, Offered, Pin, Push, Refusal,
    Reply, Rerun, SweepAction, TellOutcome,
};
use sweep_lifecycle::spec::{
    Bound, Constraint, Goal, Objective, OnLeaseLost, Reduce, Summary, SweepSpec,
};
use sweep_lifecycle::state::{
    AgentId, AgentInfo, AttemptRef, Blame, CodeAbout, CodeMark, FailureKind, RunState, StopKind,
    Sweep, SweepId, SweepState, UnknownWord,
};
use sweep_search::early_stop::{Bands, EarlyStop, Hyperband, Predictive};
use sweep_search::space::{Distribution, Origins, Parameter, Path, Space, Value};
use sweep_search::suggest::{Method, Suggestion};

use crate::reference::Reference;
use crate::world::{World, failed, grid, objective, offer, points, probe};

const POINTS: i64 = 6;
const KINDS: u8 = 4;
const NAMES: [&str; 4] = ["ann", "bob", "cat", "dan"];

/// One step, with numbers in the place of names: they choose among what there is then.
#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Set(u8, SweepAction),
    Register(u8, u8, u8),
    Probe(u8),
    Readmit(u8),
    Acquire(u8, u8, Vec<i64>),
    Exhaust(u8),
    Describe(u8, u8, u8),
    Start(u8, bool),
    Report(u8, bool, u64, Vec<f64>),
    Finish(u8, bool, AttemptResult),
    Lose(u8),
    Announce(u8),
    Remove(u8, bool),
    Cancel(u8),
    Annotate(u8, u8),
    Tell(u8, Option<f64>),
    Reread(u8, Vec<f64>),
    Import(u8, Vec<(i64, Option<f64>)>),
    Offer(u8, Vec<i64>, bool),
    Retry(u8, Vec<u64>),
    Edit(u8, u8),
    Undo(u8),
    Pin(u8, u8, Push),
    Mark(u8, u8, Option<u8>),
    Rerun(u8, Rerun),
    /// An earlier command once more.
    Repeat(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let action = prop_oneof![
        Just(SweepAction::Pause),
        Just(SweepAction::Stop),
        Just(SweepAction::Cancel),
        Just(SweepAction::Resume)
    ];
    let value =
        prop_oneof![8 => 0.0..1.0, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY), 1 => Just(-0.0)];
    // Most steps come from the owner of the attempt.
    let owner = || prop::bool::weighted(0.9);
    prop_oneof![
        1 => any::<u8>().prop_map(Step::Create),
        2 => (any::<u8>(), action).prop_map(|(sweep, action)| Step::Set(sweep, action)),
        6 => any::<(u8, u8, u8)>().prop_map(|(agent, sweep, names)| Step::Register(agent, sweep, names)),
        2 => any::<u8>().prop_map(Step::Probe),
        1 => any::<u8>().prop_map(Step::Readmit),
        20 => (any::<u8>(), any::<u8>(), prop::collection::vec(1..=POINTS, 0..3)).prop_map(|(agent, sweep, offers)| Step::Acquire(agent, sweep, offers)),
        1 => any::<u8>().prop_map(Step::Exhaust),
        1 => any::<(u8, u8, u8)>().prop_map(|(agent, sweep, code)| Step::Describe(agent, sweep, code)),
        10 => (any::<u8>(), owner()).prop_map(|(attempt, owner)| Step::Start(attempt, owner)),
        10 => (any::<u8>(), owner(), prop_oneof![4 => Just(u64::MAX), 1 => 0..4_u64], prop::collection::vec(value.clone(), 0..4))
            .prop_map(|(attempt, owner, seq, values)| Step::Report(attempt, owner, seq, values)),
        10 => (any::<u8>(), owner(), result()).prop_map(|(attempt, owner, result)| Step::Finish(attempt, owner, result)),
        3 => any::<u8>().prop_map(Step::Lose),
        2 => any::<u8>().prop_map(Step::Announce),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(agent, lost)| Step::Remove(agent, lost)),
        2 => any::<u8>().prop_map(Step::Cancel),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(index, tag)| Step::Annotate(index, tag)),
        8 => (any::<u8>(), prop::option::weighted(0.8, value.clone())).prop_map(|(attempt, value)| Step::Tell(attempt, value)),
        2 => (any::<u8>(), prop::collection::vec(value.clone(), 0..3)).prop_map(|(attempt, values)| Step::Reread(attempt, values)),
        1 => (any::<u8>(), prop::collection::vec((1..=POINTS, prop::option::of(value)), 0..3))
            .prop_map(|(sweep, runs)| Step::Import(sweep, runs)),
        3 => (any::<u8>(), prop::collection::vec(1..=POINTS, 0..3), prop::bool::weighted(0.1))
            .prop_map(|(sweep, points, end)| Step::Offer(sweep, points, end)),
        2 => (any::<u8>(), prop::collection::vec(0..8_u64, 0..4)).prop_map(|(sweep, runs)| Step::Retry(sweep, runs)),
        2 => any::<(u8, u8)>().prop_map(|(sweep, how)| Step::Edit(sweep, how)),
        1 => any::<u8>().prop_map(Step::Undo),
        2 => (any::<u8>(), any::<u8>(), any::<(bool, bool)>(), rerun()).prop_map(|(sweep, version, (pin, stop_running), rerun)| {
            Step::Pin(sweep, version, Push { pin, stop_running, rerun })
        }),
        2 => (any::<u8>(), any::<u8>(), prop::option::of(any::<u8>())).prop_map(|(sweep, version, other)| Step::Mark(sweep, version, other)),
        1 => (any::<u8>(), rerun()).prop_map(|(sweep, which)| Step::Rerun(sweep, which)),
        6 => any::<u16>().prop_map(Step::Repeat),
    ]
}

fn rerun() -> impl Strategy<Value = Rerun> {
    prop_oneof![2 => Just(Rerun::None), 2 => (1..4_u64).prop_map(Rerun::Best), 1 => Just(Rerun::All)]
}

fn result() -> impl Strategy<Value = AttemptResult> {
    let kinds = [
        FailureKind::Crashed,
        FailureKind::Crashed,
        FailureKind::Crashed,
        FailureKind::Signal,
        FailureKind::CudaOutOfMemory,
        FailureKind::NanObjective,
        FailureKind::NoMetric,
        FailureKind::CouldNotStart,
        FailureKind::OutOfMemory,
        FailureKind::Nccl,
        FailureKind::MaxRuntime,
        FailureKind::MaxSilence,
        FailureKind::Lost,
        FailureKind::Preempted,
        FailureKind::Other(UnknownWord::new("melted")),
    ];
    let blames = [
        Blame::Configuration,
        Blame::Configuration,
        Blame::Machine,
        Blame::External,
        Blame::Other(UnknownWord::new("provider")),
    ];
    let failure = (
        prop::sample::select(kinds.to_vec()),
        prop::sample::select(blames.to_vec()),
    );
    prop_oneof![
        5 => Just(AttemptResult::Succeeded),
        4 => failure.prop_map(|(kind, blame)| failed(kind, blame, "")),
        1 => Just(AttemptResult::Stopped(StopKind::Early)),
        1 => Just(AttemptResult::Stopped(StopKind::Cancel)),
        1 => Just(AttemptResult::Preempted),
        1 => Just(AttemptResult::Returned),
    ]
}

fn told(value: Option<f64>) -> TellOutcome {
    value.map_or_else(
        || TellOutcome::Failed("it burst".to_owned()),
        TellOutcome::Value,
    )
}

/// Four kinds of sweeps: a grid whose runs are stopped by predictions, a Bayesian one with a cap, repeats, a target and hyperband, a grid
/// without an objective, one to which the runs are offered.
fn spec(kind: u8) -> SweepSpec {
    let mut spec = grid(POINTS);
    match kind {
        0 => {
            let rule = Predictive {
                min_probability: 0.5,
                min_iter: Some(1),
                max_iter: None,
                min_runs: 1,
            };
            spec.early_terminate = Some(EarlyStop::Predictive(rule));
            spec.on_lease_lost = OnLeaseLost::Stop;
        }
        1 => {
            (spec.run_cap, spec.repeats, spec.method) = (Some(5), 2, Method::Bayes);
            spec.early_terminate = Some(EarlyStop::Hyperband(Hyperband {
                bands: Bands::MinIter(1),
                eta: 2.0,
                strict: true,
            }));
            let objective = spec.objective.as_mut().expect("a grid has one here");
            (objective.target, objective.reduce) = (Some(0.05), Reduce::MeanLast(2));
        }
        2 => spec.objective = None,
        _ => spec.method = Method::External,
    }
    spec
}

/// Each of the things that an edit may change.
fn edited(spec: &SweepSpec, how: u8) -> SweepSpec {
    let mut spec = SweepSpec {
        origins: Origins::default(),
        ..spec.clone()
    };
    let values = |points: std::ops::RangeInclusive<i64>| Distribution::Categorical {
        values: points.map(Value::Int).collect(),
        ordered: None,
    };
    let parameter = |name: &str, distribution| Parameter {
        path: Path::flat(name),
        distribution,
        when: Vec::new(),
    };
    let space = |parameters: Vec<Parameter>| Space::new(parameters).expect("no two have one name");
    let switch = || {
        parameter(
            "y",
            Distribution::Categorical {
                values: vec![Value::Int(0), Value::Int(1)],
                ordered: None,
            },
        )
    };
    match how % 12 {
        0 => spec.space = space(vec![parameter("x", values(1..=3))]),
        1 => spec.space = space(vec![parameter("x", values(3..=POINTS))]),
        2 => spec.space = space(vec![parameter("x", values(1..=POINTS))]),
        3 | 4 => {
            spec.space = space(vec![parameter("x", values(1..=POINTS)), switch()]);
            if how % 12 == 3 {
                spec.origins.was.insert(Path::flat("y"), Value::Int(0));
            }
        }
        5 => {
            spec.space = space(vec![
                parameter("x", values(1..=POINTS)),
                parameter(
                    "y",
                    Distribution::Constant {
                        value: Value::Int(0),
                    },
                ),
            ]);
        }
        6 => {
            spec.space = space(vec![parameter("z", values(1..=POINTS))]);
            spec.origins
                .renamed
                .insert(Path::flat("z"), Path::flat("x"));
        }
        7 => {
            spec.objective = Some(Objective {
                metric: "accuracy".to_owned(),
                goal: Goal::Maximize,
                ..objective()
            });
        }
        8 => {
            spec.objective = Some(Objective {
                reduce: Reduce::Last,
                ..objective()
            });
        }
        9 => spec.run_cap = Some(u64::from(how % 7) + 3),
        10 => (spec.run_cap, spec.early_terminate) = (None, None),
        _ => {
            spec.constraints = vec![Constraint {
                metric: "accuracy".to_owned(),
                bound: Bound::Max(0.6),
                of: Summary::Last,
            }];
        }
    }
    spec
}

/// Suggestions that the newest space holds, made from all that is known.
fn fitting(
    sweep: Option<&Sweep>,
    points: impl Iterator<Item = i64>,
    make: fn(i64) -> Offer,
) -> Vec<Offer> {
    let fit = |x: i64| {
        let mut offer = make(x);
        offer.history = u64::MAX;
        let Some(sweep) = sweep else {
            return vec![offer];
        };
        let x = Value::Int(x);
        let config = |y: i64| {
            let values = [("x", x.clone()), ("z", x.clone()), ("y", Value::Int(y))];
            sweep
                .spec
                .space
                .activate(values.map(|(name, value)| (Path::flat(name), value)).into())
        };
        let configs = [config(0), config(1)]
            .into_iter()
            .filter(|config| sweep.spec.space.holds(config));
        configs
            .map(|config| Offer {
                suggestion: Suggestion {
                    config,
                    ..offer.suggestion.clone()
                },
                ..offer.clone()
            })
            .collect()
    };
    points.flat_map(fit).collect()
}

/// A version of the code, or none.
fn code(number: usize) -> String {
    ["", "old", "new"][number % 3].to_owned()
}

fn sweep(number: u8) -> SweepId {
    // The fifth never exists.
    SweepId(format!(
        "sweep{}",
        if number == 255 { KINDS } else { number % KINDS }
    ))
}

fn offered(sweep: &SweepId, points: &[i64], end: bool) -> Command {
    let run = |x: &i64| Offered {
        config: offer(*x).suggestion.config,
        reason: String::new(),
    };
    Command::OfferRuns {
        sweep: sweep.clone(),
        runs: points.iter().map(run).collect(),
        end,
    }
}

fn agent(number: u8) -> AgentId {
    AgentId(NAMES[usize::from(number) % NAMES.len()].to_owned())
}

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

    /// All agents vanish, every sweep is resumed, and new agents work until nobody gets anything any more.
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
        // In the end all goes well, or a run that is always preempted would go on for ever.
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
