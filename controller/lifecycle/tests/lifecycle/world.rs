//! A state with its log, as the engine keeps them, and words to drive it.

use std::borrow::Cow;

use sweep_lifecycle::command::{AttemptResult, Command, Offer, Refusal, Reply, SweepAction};
use sweep_lifecycle::decide::decide;
use sweep_lifecycle::event::{Event, MetricPoint, Recorded};
use sweep_lifecycle::evolve::evolve;
use sweep_lifecycle::invariants::broken;
use sweep_lifecycle::spec::{
    CodePolicy, Impute, Objective, OnLeaseLost, OverInits, Reduce, RetryPolicy, SweepSpec,
};
use sweep_lifecycle::state::image::{Loader, same};
use sweep_lifecycle::state::{
    AgentId, AgentInfo, Attempt, AttemptRef, Blame, Failure, FailureKind, Run, RunNumber, State,
    Sweep, SweepId, Timestamp,
};
use sweep_search::observation::Goal;
use sweep_search::space::{Config, Distribution, Origins, Parameter, Path, Space, Value};
use sweep_search::suggest::{Method, Suggestion};
use sweep_search::why::{Kind, Why};

/// A state, and a second one that is only ever told what the log says.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) state: State,
    replayed: State,
    clock: i64,
}

impl World {
    /// Does a command as the engine would, and checks all that must hold after it.
    pub(crate) fn tell(&mut self, command: &Command) -> Result<(Vec<Event>, Reply), Refusal> {
        self.clock += 1;
        let decision = decide(&self.state, command)?;
        for event in &decision.events {
            self.record(event.clone());
        }
        // As text: a NaN does not equal itself.
        assert_eq!(
            format!("{:?}", self.state),
            format!("{:?}", self.replayed),
            "a replay gives the same state"
        );
        assert_eq!(
            broken(&self.state),
            Vec::<String>::new(),
            "after {command:?} with {:?}",
            decision.events
        );
        Ok((decision.events, decision.reply))
    }

    /// Folds an event, and what can be read of it after it has been written.
    pub(crate) fn record(&mut self, event: Event) {
        let recorded = Recorded {
            at: Timestamp(self.clock),
            event,
        };
        evolve(&mut self.state, &recorded);
        let json = serde_json::to_string(&recorded).expect("events can be written");
        let read: Recorded =
            serde_json::from_str(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
        evolve(&mut self.replayed, &read);
    }

    /// Writes the state as bytes and reads it again.
    pub(crate) fn assert_an_image_gives_the_state(&self) {
        let mut loader = Loader::default();
        for block in self.state.blocks() {
            let bytes = self
                .state
                .write_block(&block)
                .expect("any state can be written");
            loader
                .block(block.0, &bytes)
                .expect("what was written can be read");
        }
        let head = self.state.write_head().expect("any state can be written");
        let read = loader
            .complete(&head)
            .expect("what was written can be read");
        assert_eq!(
            format!("{read:?}"),
            format!("{:?}", self.state),
            "an image gives the same state"
        );
        assert!(same(&read, &self.state).expect("any state can be written"));
    }

    /// Does a command that must not be refused.
    pub(crate) fn ask(&mut self, command: &Command) -> Reply {
        self.tell(command)
            .unwrap_or_else(|refusal| panic!("{command:?} is refused: {refusal}"))
            .1
    }

    /// Does a command that must change nothing.
    pub(crate) fn ask_idly(&mut self, command: &Command) -> Reply {
        let (events, reply) = self
            .tell(command)
            .unwrap_or_else(|refusal| panic!("{command:?} is refused: {refusal}"));
        assert_eq!(events, [], "{command:?} does nothing");
        reply
    }

    pub(crate) fn refused(&mut self, command: &Command) -> String {
        self.tell(command).expect_err("it is refused").to_string()
    }

    /// Finishes an attempt whose result comes too late, and returns why.
    pub(crate) fn orphan(
        &mut self,
        name: &str,
        attempt: &AttemptRef,
        result: AttemptResult,
    ) -> String {
        let before = self.run(attempt.run).state;
        let reply = self.finish(name, attempt, result);
        assert_eq!(self.run(attempt.run).state, before, "it changes nothing");
        match reply {
            Reply::Orphaned { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn create(&mut self, spec: SweepSpec) {
        self.ask(&Command::CreateSweep {
            sweep: sweep(),
            spec: Box::new(spec),
            source: "program: train".to_owned(),
            seed: 7,
        });
    }

    pub(crate) fn set(&mut self, action: SweepAction) -> Reply {
        self.ask(&Command::SetSweep {
            sweep: sweep(),
            action,
        })
    }

    pub(crate) fn register(&mut self, name: &str) {
        self.ask(&register(name));
    }

    /// Gives an agent a new run with the point `x`, and starts it.
    pub(crate) fn begin(&mut self, name: &str, x: i64) -> AttemptRef {
        let attempt = self.acquire(name, &[x]);
        self.ask(&Command::StartAttempt {
            agent: agent(name),
            attempt: attempt.clone(),
            command: vec!["train".to_owned()],
            code_version: String::new(),
        });
        attempt
    }

    pub(crate) fn acquire(&mut self, name: &str, offers: &[i64]) -> AttemptRef {
        match self.ask(&acquire(name, offers)) {
            Reply::Assigned(attempt) => attempt,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn report(
        &mut self,
        name: &str,
        attempt: &AttemptRef,
        first_seq: u64,
        values: &[f64],
    ) -> Reply {
        self.ask(&report(name, attempt, first_seq, values))
    }

    pub(crate) fn finish(
        &mut self,
        name: &str,
        attempt: &AttemptRef,
        result: AttemptResult,
    ) -> Reply {
        self.ask(&finish(name, attempt, result))
    }

    /// Reports one value and ends well.
    pub(crate) fn succeed(&mut self, name: &str, attempt: &AttemptRef, value: f64) -> Reply {
        let first_seq = self.attempt(attempt).points;
        self.report(name, attempt, first_seq, &[value]);
        self.finish(name, attempt, AttemptResult::Succeeded)
    }

    pub(crate) fn sweep(&self) -> &Sweep {
        &self.state.sweeps[&sweep()]
    }

    pub(crate) fn run(&self, number: RunNumber) -> Cow<'_, Run> {
        self.sweep().runs.get(number).expect("it exists")
    }

    pub(crate) fn attempt(&self, attempt: &AttemptRef) -> Cow<'_, Attempt> {
        self.state.sweeps[&attempt.sweep]
            .attempt(attempt)
            .expect("it exists")
    }
}

pub(crate) fn sweep() -> SweepId {
    SweepId("k3x9q2ab".to_owned())
}

pub(crate) fn agent(name: &str) -> AgentId {
    AgentId(name.to_owned())
}

/// A grid of `points` points over `x`, to be minimised by `loss`.
pub(crate) fn grid(points: i64) -> SweepSpec {
    let distribution = Distribution::Categorical {
        values: (1..=points).map(Value::Int).collect(),
        ordered: None,
    };
    let space = Space::new(vec![Parameter {
        path: Path::flat("x"),
        distribution,
        when: Vec::new(),
    }])
    .expect("one parameter");
    SweepSpec {
        name: None,
        description: None,
        project: None,
        entity: None,
        program: Some("train".to_owned()),
        command: vec!["${program}".to_owned()],
        method: Method::Grid,
        space,
        origins: Origins::default(),
        objective: Some(objective()),
        constraints: Vec::new(),
        repeats: 1,
        early_terminate: None,
        run_cap: None,
        seed: None,
        retry: RetryPolicy::default(),
        code: CodePolicy::default(),
        max_runtime_ms: None,
        max_silence_ms: None,
        on_lease_lost: OnLeaseLost::Continue,
        omit_none: false,
        preflight: Vec::new(),
        data: Vec::new(),
        metric_patterns: Vec::new(),
        metric_files: Vec::new(),
    }
}

pub(crate) fn objective() -> Objective {
    Objective {
        metric: "loss".to_owned(),
        goal: Goal::Minimize,
        target: None,
        impute: Impute::default(),
        impute_while_running: None,
        reduce: Reduce::Best,
        over_inits: OverInits::default(),
    }
}

pub(crate) fn offer(x: i64) -> Offer {
    let config = Config([(Path::flat("x"), Value::Int(x))].into());
    Offer {
        suggestion: Suggestion {
            config,
            why: Why::new(Kind::Grid, format!("grid point {x}")),
        },
        history: 0,
    }
}

/// Points that were tried may be tried again with the newest code.
pub(crate) fn probe(x: i64) -> Offer {
    let Offer {
        suggestion,
        history,
    } = offer(x);
    Offer {
        suggestion: Suggestion {
            why: Why::new(Kind::Probe, "probe 1 of 2"),
            ..suggestion
        },
        history,
    }
}

pub(crate) fn register(name: &str) -> Command {
    let info = AgentInfo {
        host: format!("{name}-host"),
        slots: 2,
        version: "0.1.0".to_owned(),
        process: String::new(),
        asks: false,
    };
    Command::RegisterAgent {
        agent: agent(name),
        sweep: sweep(),
        info,
        attempts: Vec::new(),
    }
}

pub(crate) fn acquire(name: &str, offers: &[i64]) -> Command {
    Command::Acquire {
        agent: agent(name),
        sweep: sweep(),
        offers: offers.iter().copied().map(offer).collect(),
        code_version: String::new(),
    }
}

pub(crate) fn point(name: &str, value: f64) -> MetricPoint {
    MetricPoint {
        name: name.to_owned(),
        step: None,
        wall: Timestamp(0),
        value,
    }
}

pub(crate) fn points(values: &[f64]) -> Vec<MetricPoint> {
    values.iter().map(|value| point("loss", *value)).collect()
}

pub(crate) fn start(name: &str, attempt: &AttemptRef) -> Command {
    Command::StartAttempt {
        agent: agent(name),
        attempt: attempt.clone(),
        command: vec!["train".to_owned()],
        code_version: String::new(),
    }
}

pub(crate) fn report(name: &str, attempt: &AttemptRef, first_seq: u64, values: &[f64]) -> Command {
    Command::ReportMetrics {
        agent: agent(name),
        attempt: attempt.clone(),
        first_seq,
        points: points(values),
    }
}

pub(crate) fn finish(name: &str, attempt: &AttemptRef, result: AttemptResult) -> Command {
    Command::FinishAttempt {
        agent: agent(name),
        attempt: attempt.clone(),
        result,
    }
}

pub(crate) fn remove(name: &str, lost: bool) -> Command {
    Command::RemoveAgent {
        agent: agent(name),
        lost,
        reason: format!("agent {name} is gone"),
    }
}

pub(crate) fn exhaust() -> Command {
    Command::ExhaustSpace {
        sweep: sweep(),
        history: 0,
    }
}

pub(crate) fn crash() -> AttemptResult {
    failed(FailureKind::Crashed, Blame::Configuration, "exit status 1")
}

pub(crate) fn failed(kind: FailureKind, blame: Blame, message: &str) -> AttemptResult {
    AttemptResult::Failed(Failure::new(kind, blame, message))
}
