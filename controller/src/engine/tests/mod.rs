//! The engine over the real lifecycle, with a clock that the tests drive and a search that counts.

mod acquire;
mod crash;
mod lease;
mod repeat;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use sweep_lifecycle::command::{AttemptResult, Command, Directive, Reply, SweepAction};
use sweep_lifecycle::event::{MetricPoint, Recorded};
use sweep_lifecycle::invariants::broken;
use sweep_lifecycle::repeats;
use sweep_lifecycle::spec::SweepSpec;
use sweep_lifecycle::state::{
    AgentId, AgentInfo, AttemptRecord, AttemptRef, State, SweepId, Timestamp,
};
use sweep_search::space::{Config, Path, Value};
use sweep_search::suggest::{Method, Suggestion};
use sweep_search::why::{Kind, Why};

use super::clock::ManualClock;
use super::options::PATIENCE;
use super::{
    AcquireRequest, Acquired, Assignment, Computed, Engine, EngineError, EngineJoin, EngineOptions,
    Need, Terms,
};
use crate::store::{Batch, MemoryStore, Store, StoreError, StoredReply, word};

/// The state that tests wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EngineStats {
    /// Commits since the start.
    pub(crate) commits: u64,
    /// Requests that wait for the engine now.
    pub(crate) queued_requests: u64,
    /// Calls that wait for a run.
    pub(crate) waiting_acquires: u64,
}

impl Engine {
    pub(crate) fn stats(&self) -> EngineStats {
        EngineStats {
            commits: *self.shared.commits.borrow(),
            queued_requests: (self.requests.max_capacity() - self.requests.capacity()) as u64,
            waiting_acquires: self.shared.figures.waiting_calls.load(Ordering::Relaxed),
        }
    }
}

pub(crate) const LEASE: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(20);

/// An engine under test.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    join: EngineJoin,
    pub(crate) clock: Arc<ManualClock>,
}

impl Bench {
    pub(crate) fn over(store: impl Store + 'static) -> Self {
        let clock = Arc::new(ManualClock::default());
        let (engine, join) = Engine::start(Box::new(store), options(&clock)).unwrap();
        Self {
            engine,
            join,
            clock,
        }
    }

    /// With a store that tells how many events each commit has, and waits for leave before it makes it.
    fn gated() -> (Arc<Self>, Receiver<usize>, Sender<()>) {
        let (begun, begins) = channel();
        let (give_leave, leave) = channel();
        let bench = Self::over(GatedStore {
            inner: MemoryStore::new(),
            begun,
            leave,
        });
        (Arc::new(bench), begins, give_leave)
    }

    /// With a running sweep and one agent.
    pub(crate) async fn with_sweep(store: impl Store + 'static) -> Self {
        let bench = Self::over(store);
        bench.create(spec(Method::Grid)).await;
        bench.register("a").await;
        bench
    }

    pub(crate) async fn create(&self, spec: SweepSpec) {
        let spec = Box::new(spec);
        let command = Command::CreateSweep {
            sweep: sweep_id(),
            spec,
            source: "method: grid".to_owned(),
            seed: 1,
        };
        self.engine.command("create", command).await.unwrap();
    }

    /// Asks for another state of the sweep.
    async fn set(&self, action: SweepAction) -> Result<Reply, EngineError> {
        let sweep = sweep_id();
        self.engine
            .command("", Command::SetSweep { sweep, action })
            .await
    }

    pub(crate) async fn register(&self, name: &str) {
        let info = AgentInfo {
            host: format!("host of {name}"),
            slots: 2,
            version: "0.1.0".to_owned(),
            process: String::new(),
            asks: false,
        };
        let command = Command::RegisterAgent {
            agent: agent(name),
            sweep: sweep_id(),
            info,
            attempts: Vec::new(),
        };
        self.engine.command("", command).await.unwrap();
    }

    pub(crate) async fn stop(self) {
        self.join.stop().await.unwrap();
    }

    /// Returns the present needs for suggestions.
    async fn needs(&self) -> Vec<Need> {
        self.engine
            .needs(vec![], SweepId(String::new()), 9)
            .await
            .unwrap()
    }

    /// Offers a point for each that is needed: run n tries x = n.
    async fn feed(&self) {
        for need in self.needs().await {
            self.engine
                .offer(counted(&need, need.count as u64))
                .await
                .unwrap();
        }
    }

    pub(crate) async fn acquire(
        &self,
        name: &str,
        wait: Duration,
    ) -> Result<Acquired, EngineError> {
        self.engine.acquire("", wish(name, wait)).await
    }

    /// A run, which is there at once.
    async fn assigned(&self, name: &str) -> Assignment {
        self.feed().await;
        match self.acquire(name, Duration::ZERO).await.unwrap() {
            Acquired::Assigned(assignment) => *assignment,
            other => panic!("{other:?}"),
        }
    }

    async fn start(&self, name: &str, attempt: &AttemptRef) -> Result<Reply, EngineError> {
        let command = vec!["train".to_owned()];
        self.engine
            .command(
                "",
                Command::StartAttempt {
                    agent: agent(name),
                    attempt: attempt.clone(),
                    command,
                    code_version: String::new(),
                },
            )
            .await
    }

    pub(crate) async fn report(
        &self,
        name: &str,
        attempt: &AttemptRef,
        value: f64,
    ) -> Result<Reply, EngineError> {
        let point = MetricPoint {
            name: "loss".to_owned(),
            step: Some(1),
            wall: Timestamp(1),
            value,
        };
        let command = Command::ReportMetrics {
            agent: agent(name),
            attempt: attempt.clone(),
            first_seq: 0,
            points: vec![point],
        };
        self.engine.command("", command).await
    }

    pub(crate) async fn succeed(
        &self,
        name: &str,
        attempt: &AttemptRef,
    ) -> Result<Reply, EngineError> {
        let result = AttemptResult::Succeeded;
        self.engine
            .command(
                "",
                Command::FinishAttempt {
                    agent: agent(name),
                    attempt: attempt.clone(),
                    result,
                },
            )
            .await
    }

    async fn heartbeat(
        &self,
        name: &str,
        attempts: &[&AttemptRef],
    ) -> Result<Vec<Directive>, EngineError> {
        self.engine
            .heartbeat(
                agent(name),
                attempts
                    .iter()
                    .map(|attempt| ((*attempt).clone(), String::new()))
                    .collect(),
            )
            .await
    }

    /// The engine's state, which breaks no invariant.
    pub(crate) async fn state(&self) -> State {
        let state = self.engine.inspect().await.unwrap();
        assert_eq!(broken(&state), [""; 0]);
        state
    }

    /// Lets time pass and the engine notice.
    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.engine.tick().await.unwrap();
    }
}

/// A store that says when a commit begins, and waits for leave to write it.
struct GatedStore {
    inner: MemoryStore,
    begun: Sender<usize>,
    leave: Receiver<()>,
}

impl Store for GatedStore {
    fn append(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.begun.send(batch.events.len()).unwrap();
        self.leave.recv().unwrap();
        self.inner.append(batch)
    }
    fn replay(&mut self, after: u64, each: &mut dyn FnMut(Recorded)) -> Result<(), StoreError> {
        self.inner.replay(after, each)
    }
    fn reply(&mut self, request_id: &str) -> Result<Option<StoredReply>, StoreError> {
        self.inner.reply(request_id)
    }
}
fn options(clock: &Arc<ManualClock>) -> EngineOptions {
    let terms = Terms {
        lease: LEASE,
        ..Terms::default()
    };
    EngineOptions {
        clock: Arc::<ManualClock>::clone(clock),
        events_per_image: 3,
        ..EngineOptions::new(terms)
    }
}

pub(crate) fn wish(name: &str, wait: Duration) -> AcquireRequest {
    AcquireRequest {
        agent: agent(name),
        sweep: sweep_id(),
        code_version: String::new(),
        wait,
    }
}

pub(crate) fn sweep_id() -> SweepId {
    SweepId("abcd1234".to_owned())
}

pub(crate) fn agent(name: &str) -> AgentId {
    AgentId(name.to_owned())
}

fn attempt(run: u64, attempt: u32) -> AttemptRef {
    AttemptRef {
        sweep: sweep_id(),
        run,
        attempt,
    }
}

pub(crate) fn spec(method: Method) -> SweepSpec {
    let values: Vec<_> = (1..=60).map(|value| value.to_string()).collect();
    let text = format!(
        "name: first
method: {}
program: train
command: [train]
metric: {{name: loss, goal: minimize}}
seed: 1
parameters: {{x: {{values: [{}]}}}}",
        word(method),
        values.join(", ")
    );
    sweep_lifecycle::spec::parse(&text).0.unwrap()
}

/// An assignment without its incarnation, which depends on the time.
fn timeless(assignment: Assignment) -> Assignment {
    assert!(!assignment.incarnation.is_empty());
    Assignment {
        incarnation: String::new(),
        ..assignment
    }
}

/// As [`timeless`], of what an agent gets.
fn timelessly(acquired: Result<Acquired, EngineError>) -> Result<Acquired, EngineError> {
    acquired.map(|acquired| match acquired {
        Acquired::Assigned(assignment) => Acquired::Assigned(Box::new(timeless(*assignment))),
        other => other,
    })
}

/// The first attempt of a run that [`counted`] found.
fn assignment(run: u64) -> Assignment {
    let why = Why::new(Kind::Grid, format!("x is {run}"));
    Assignment {
        attempt: attempt(run, 1),
        config: point(run),
        why: why.clone(),
        history: 0,
        code: Default::default(),
        incarnation: String::new(),
        record: AttemptRecord {
            config: point(run),
            why,
            history: 0,
            repeat: 1,
            again: String::new(),
            code_version: String::new(),
            pinned: false,
        },
        repeat: 1,
        seed: repeats::seed(1, run),
        edited: None,
    }
}

fn point(x: u64) -> Config {
    Config([(Path::flat("x"), Value::Int(i64::try_from(x).unwrap()))].into())
}

/// A search that tries x = n in run n.
fn counted(need: &Need, count: u64) -> Computed {
    let suggestion = |x| Suggestion {
        config: point(x),
        why: Why::new(Kind::Grid, format!("x is {x}")),
    };
    Computed {
        sweep: need.sweep.clone(),
        next_index: need.next_index,
        history: need.history,
        observed: need.observed,
        suggestions: (need.next_index..need.next_index + count)
            .map(suggestion)
            .collect(),
        exhausted: false,
    }
}
