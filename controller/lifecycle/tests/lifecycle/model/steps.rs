//! Random steps, and the meaning of their numbers.

use proptest::prelude::*;
use sweep_lifecycle::command::{
    AttemptResult, Command, Offer, Offered, Push, Rerun, SweepAction, TellOutcome,
};
use sweep_lifecycle::spec::{
    Bound, Constraint, Goal, Objective, OnLeaseLost, Reduce, Summary, SweepSpec,
};
use sweep_lifecycle::state::{AgentId, Blame, FailureKind, StopKind, Sweep, SweepId, UnknownWord};
use sweep_search::early_stop::{Bands, EarlyStop, Hyperband, Predictive};
use sweep_search::space::{Distribution, Origins, Parameter, Path, Space, Value};
use sweep_search::suggest::{Method, Suggestion};

use crate::world::{failed, grid, objective, offer};

pub(super) const POINTS: i64 = 6;
pub(super) const KINDS: u8 = 4;
pub(super) const NAMES: [&str; 4] = ["ann", "bob", "cat", "dan"];

/// One step, with numbers in the place of names: they choose among what there is then.
#[derive(Clone, Debug)]
pub(super) enum Step {
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

pub(super) fn step() -> impl Strategy<Value = Step> {
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

pub(super) fn rerun() -> impl Strategy<Value = Rerun> {
    prop_oneof![2 => Just(Rerun::None), 2 => (1..4_u64).prop_map(Rerun::Best), 1 => Just(Rerun::All)]
}

pub(super) fn result() -> impl Strategy<Value = AttemptResult> {
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

pub(super) fn told(value: Option<f64>) -> TellOutcome {
    value.map_or_else(
        || TellOutcome::Failed("it burst".to_owned()),
        TellOutcome::Value,
    )
}

/// Four kinds of sweeps: a grid whose runs are stopped by predictions, a Bayesian one with a cap, repeats, a target and hyperband, a grid
/// without an objective, one to which the runs are offered.
pub(super) fn spec(kind: u8) -> SweepSpec {
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
#[expect(clippy::too_many_lines, reason = "one arm for each kind of step")]
pub(super) fn edited(spec: &SweepSpec, how: u8) -> SweepSpec {
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
pub(super) fn fitting(
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
pub(super) fn code(number: usize) -> String {
    ["", "old", "new"][number % 3].to_owned()
}

pub(super) fn sweep(number: u8) -> SweepId {
    // The fifth never exists.
    SweepId(format!(
        "sweep{}",
        if number == 255 { KINDS } else { number % KINDS }
    ))
}

pub(super) fn offered(sweep: &SweepId, points: &[i64], end: bool) -> Command {
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

pub(super) fn agent(number: u8) -> AgentId {
    AgentId(NAMES[usize::from(number) % NAMES.len()].to_owned())
}
