//! An agent that stops reporting loses its attempts; others keep theirs.

use std::collections::BTreeMap;

use sweep_lifecycle::command::{Offered, Refusal, SweepAction, TellOutcome};
use sweep_lifecycle::state::{AttemptState, RunState};

use super::*;
use crate::store::{Batch, MemoryStore, StoreError, StoredReply};

#[tokio::test]
async fn the_run_of_a_lost_agent_goes_to_another() {
    let bench = Bench::with_sweep(MemoryStore::new()).await;
    let run = bench.assigned("a").await.attempt;
    bench.start("a", &run).await.unwrap();
    bench.pass(LEASE).await;
    let state = bench.state().await;
    assert!(!state.agents[&agent("a")].alive);
    assert_eq!(
        state.sweeps[&sweep_id()].runs.get(1).unwrap().state,
        RunState::Queued
    );
    bench.register("b").await;
    assert_eq!(bench.assigned("b").await.attempt, attempt(1, 2));
    assert_eq!(
        bench.heartbeat("a", &[&run]).await,
        Err(Refusal::UnknownAgent("a".to_owned()).into())
    );
}

#[tokio::test]
async fn a_heartbeat_renews_the_attempts_that_it_names() {
    let bench = Bench::with_sweep(MemoryStore::new()).await;
    let held = bench.assigned("a").await.attempt;
    // The reply with this one never reached the agent.
    let unheard = bench.assigned("a").await.attempt;
    for _ in 0..3 {
        assert_eq!(
            bench.heartbeat("a", &[&held]).await,
            Ok(vec![Directive::Continue])
        );
        bench.pass(LEASE / 2).await;
    }
    let runs = &bench.state().await.sweeps[&sweep_id()].runs;
    assert_eq!(
        runs.get(held.run).unwrap().attempts[0].state,
        AttemptState::Assigned
    );
    assert_eq!(
        runs.get(unheard.run).unwrap().attempts[0].state,
        AttemptState::Lost
    );
    let told = bench.heartbeat("a", &[&held, &unheard]).await.unwrap();
    assert_eq!(
        told,
        [Directive::Continue, Directive::Continue],
        "no other agent has begun it: its next report takes it up again"
    );
}

#[tokio::test]
async fn a_heartbeat_that_came_in_with_the_tick_counts() {
    let (bench, begins, give_leave) = Bench::gated();
    (0..2).for_each(|_| give_leave.send(()).unwrap());
    bench.create(spec(Method::Grid)).await;
    bench.register("a").await;
    begins.iter().take(2).for_each(drop);
    bench.clock.advance(LEASE);
    // While the engine is held in a commit, both the tick and the heartbeat come into its queue.
    let held = tokio::spawn({
        let bench = Arc::clone(&bench);
        async move { bench.set(SweepAction::Pause).await }
    });
    tokio::task::spawn_blocking(move || begins.recv().unwrap())
        .await
        .unwrap();
    let (tick, heartbeat, ()) =
        tokio::join!(bench.engine.tick(), bench.heartbeat("a", &[]), async {
            while bench.engine.stats().queued_requests < 2 {
                tokio::task::yield_now().await;
            }
            give_leave.send(()).unwrap();
        });
    assert_eq!((tick, heartbeat), (Ok(()), Ok(vec![])));
    held.await.unwrap().unwrap();
    assert!(bench.state().await.agents[&agent("a")].alive);
}

#[tokio::test]
async fn heartbeats_never_touch_the_disk() {
    let bench = Bench::with_sweep(MemoryStore::new()).await;
    let run = bench.assigned("a").await.attempt;
    let before = bench.engine.stats();
    for _ in 0..10 {
        bench.heartbeat("a", &[&run]).await.unwrap();
    }
    assert_eq!(bench.engine.stats().commits, before.commits);
}

#[tokio::test]
async fn the_reaper_is_told_when_the_next_lease_ends() {
    let bench = Bench::with_sweep(MemoryStore::new()).await;
    let mut next = bench.engine.next_tick();
    next.wait_for(|next| *next == Some(LEASE)).await.unwrap();
    bench.clock.advance(Duration::from_secs(5));
    bench.heartbeat("a", &[]).await.unwrap();
    next.wait_for(|next| *next == Some(LEASE + Duration::from_secs(5)))
        .await
        .unwrap();
}

/// A disk on which every commit takes a while.
struct SlowStore(MemoryStore, Arc<ManualClock>);

impl Store for SlowStore {
    fn append(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.1.advance(LEASE);
        self.0.append(batch)
    }
    fn replay(&mut self, after: u64, each: &mut dyn FnMut(Recorded)) -> Result<(), StoreError> {
        self.0.replay(after, each)
    }
    fn reply(&mut self, request_id: &str) -> Result<Option<StoredReply>, StoreError> {
        self.0.reply(request_id)
    }
}

#[tokio::test]
async fn a_disk_that_stalls_costs_nobody_a_lease() {
    let clock = Arc::new(ManualClock::default());
    let store = SlowStore(MemoryStore::new(), Arc::clone(&clock));
    let (engine, join) = Engine::start(Box::new(store), options(&clock)).unwrap();
    let bench = Bench {
        engine,
        join,
        clock,
    };
    bench.create(spec(Method::Grid)).await;
    bench.register("a").await;
    bench.register("b").await;
    bench.engine.tick().await.unwrap();
    let agents = bench.state().await.agents;
    assert!(agents.values().all(|agent| agent.alive));
}

#[tokio::test]
async fn a_program_that_asked_is_forgotten_soon_unless_it_holds_a_run() {
    let bench = Bench::over(MemoryStore::new());
    bench.create(spec(Method::External)).await;
    let offered = Offered {
        config: point(1),
        reason: "chosen".to_owned(),
    };
    let offer = Command::OfferRuns {
        sweep: sweep_id(),
        runs: vec![offered],
        end: false,
    };
    bench.engine.command("", offer).await.unwrap();
    for name in ["busy", "idle"] {
        let info = AgentInfo {
            host: name.to_owned(),
            asks: true,
            ..AgentInfo::default()
        };
        let register = Command::RegisterAgent {
            agent: agent(name),
            sweep: sweep_id(),
            info,
            attempts: Vec::new(),
        };
        bench.engine.command("", register).await.unwrap();
    }
    assert!(matches!(
        bench.acquire("busy", Duration::ZERO).await,
        Ok(Acquired::Assigned(_))
    ));
    let alive = async |name: &str| bench.state().await.agents[&agent(name)].alive;
    bench.pass(Duration::from_secs(299)).await;
    assert!(alive("idle").await && alive("busy").await);
    bench.pass(Duration::from_secs(1)).await;
    assert!(
        !alive("idle").await && alive("busy").await,
        "the run of the other one takes as long as it takes"
    );
    let told = Command::Tell {
        attempt: attempt(1, 1),
        told: TellOutcome::Value(0.5),
        metrics: BTreeMap::new(),
    };
    bench.engine.command("", told).await.unwrap();
    bench.pass(Duration::from_secs(300)).await;
    assert!(!alive("busy").await);
}

#[tokio::test]
async fn a_program_that_waits_is_told_when_its_sweep_is_paused() {
    let bench = Bench::over(MemoryStore::new());
    bench.create(spec(Method::External)).await;
    let info = AgentInfo {
        host: "asker".to_owned(),
        asks: true,
        ..AgentInfo::default()
    };
    let register = Command::RegisterAgent {
        agent: agent("a"),
        sweep: sweep_id(),
        info,
        attempts: Vec::new(),
    };
    bench.engine.command("", register).await.unwrap();
    let (acquired, paused) = tokio::join!(bench.acquire("a", Duration::from_secs(60)), async {
        while bench.engine.stats().waiting_acquires == 0 {
            tokio::task::yield_now().await;
        }
        bench.set(SweepAction::Pause).await
    });
    paused.unwrap();
    assert_eq!(
        acquired,
        Ok(Acquired::Wait("the sweep is paused".to_owned()))
    );
}
