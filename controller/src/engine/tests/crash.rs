//! Acknowledged changes survive a crash; failed ones have no effect.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Mutex;

use sweep_lifecycle::event::Recorded;
use sweep_lifecycle::evolve::evolve;

use super::*;
use crate::engine::from_image;
use crate::engine::group::Touched;
use crate::engine::projection::project;
use crate::store::{
    Batch, MemoryStore, Query, RunRange, SqliteQuery, SqliteStore, StoreError, StoredReply,
};

/// A store whose next commits fail as it is told.
#[derive(Clone, Default)]
struct FailingStore {
    inner: MemoryStore,
    failures: Arc<Mutex<VecDeque<StoreError>>>,
}

impl FailingStore {
    fn fail(&self, error: StoreError) {
        self.failures.lock().unwrap().push_back(error);
    }
}

impl Store for FailingStore {
    fn append(&mut self, batch: &Batch) -> Result<(), StoreError> {
        match self.failures.lock().unwrap().pop_front() {
            Some(error) => Err(error),
            None => self.inner.append(batch),
        }
    }
    fn replay(&mut self, after: u64, each: &mut dyn FnMut(Recorded)) -> Result<(), StoreError> {
        self.inner.replay(after, each)
    }
    fn reply(&mut self, request_id: &str) -> Result<Option<StoredReply>, StoreError> {
        self.inner.reply(request_id)
    }
}

#[tokio::test]
async fn replies_come_after_the_commit_and_many_share_one() {
    let (bench, begins, give_leave) = Bench::gated();
    let create = tokio::spawn({
        let bench = Arc::clone(&bench);
        async move { bench.create(spec(Method::Grid)).await }
    });
    let begins = tokio::task::spawn_blocking(move || begins.recv().map(|events| (begins, events)))
        .await
        .unwrap()
        .unwrap();
    let (begins, 1) = begins else {
        panic!("one event was expected")
    };
    // The engine is held in its first commit while ten agents come.
    let agents: Vec<_> = (0..10)
        .map(|number| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move { bench.register(&number.to_string()).await })
        })
        .collect();
    while bench.engine.stats().queued_requests < 10 {
        tokio::task::yield_now().await;
    }
    assert!(!create.is_finished());
    give_leave.send(()).unwrap();
    create.await.unwrap();
    let (begins, events) =
        tokio::task::spawn_blocking(move || begins.recv().map(|events| (begins, events)))
            .await
            .unwrap()
            .unwrap();
    assert_eq!(events, 10);
    assert!(agents.iter().all(|agent| !agent.is_finished()));
    give_leave.send(()).unwrap();
    for agent in agents {
        agent.await.unwrap();
    }
    assert!(begins.try_recv().is_err());
    assert_eq!(bench.engine.stats().commits, 2);
}

#[tokio::test]
async fn a_full_disk_leaves_no_trace_and_passes() {
    let store = FailingStore::default();
    let bench = Bench::with_sweep(store.clone()).await;
    let run = bench.assigned("a").await.attempt;
    bench.report("a", &run, 0.5).await.unwrap();
    let before = bench.state().await;
    let finish = || {
        let result = AttemptResult::Succeeded;
        bench.engine.command(
            "r1",
            Command::FinishAttempt {
                agent: agent("a"),
                attempt: run.clone(),
                result,
            },
        )
    };
    store.fail(StoreError::Full);
    assert_eq!(finish().await, Err(EngineError::Full));
    assert_eq!(bench.state().await, before);
    // For a while nothing is tried, and no lease ends; what needs no disk continues.
    assert_eq!(bench.acquire("a", LONG).await, Err(EngineError::Full));
    assert_eq!(
        bench.heartbeat("a", &[&run]).await,
        Ok(vec![Directive::Continue])
    );
    assert_eq!(bench.engine.find_sweep("first").await, Ok(sweep_id()));
    bench.clock.advance(LEASE / 2);
    finish().await.unwrap();
    assert!(
        bench.state().await.sweeps[&sweep_id()]
            .runs
            .get(1)
            .unwrap()
            .state
            .is_terminal()
    );
}

#[tokio::test]
async fn a_run_that_could_not_be_recorded_was_not_handed_out() {
    let store = FailingStore::default();
    let bench = Bench::with_sweep(store.clone()).await;
    bench.feed().await;
    store.fail(StoreError::Full);
    assert_eq!(bench.acquire("a", LONG).await, Err(EngineError::Full));
    assert!(bench.state().await.sweeps[&sweep_id()].runs.is_empty());
    bench.clock.advance(LEASE / 2);
    assert_eq!(timeless(bench.assigned("a").await), assignment(1));
}

#[tokio::test]
async fn a_commit_with_an_unknown_outcome_ends_the_engine() {
    let store = FailingStore::default();
    let mut bench = Bench::with_sweep(store.clone()).await;
    let mut commits = bench.engine.commits();
    store.fail(StoreError::Failed("disk I/O error".to_owned()));
    let result = bench.set(SweepAction::Pause).await;
    assert_eq!(result, Err(EngineError::Stopped));
    assert_eq!(
        bench.join.ended().await.unwrap_err().to_string(),
        "the database failed: disk I/O error"
    );
    assert_eq!(bench.heartbeat("a", &[]).await, Err(EngineError::Stopped));
    // Those who wait for changes see the end too.
    commits.borrow_and_update();
    assert!(commits.changed().await.is_err());
}

#[tokio::test]
async fn after_a_crash_the_state_is_a_replay_of_the_log_and_everything_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sweep.db");
    let bench = Bench::with_sweep(SqliteStore::open(&path).unwrap()).await;
    for _ in 0..3 {
        let run = bench.assigned("a").await.attempt;
        bench.start("a", &run).await.unwrap();
        bench.report("a", &run, run.run as f64).await.unwrap();
        bench.succeed("a", &run).await.unwrap();
    }
    let running = bench.assigned("a").await.attempt;
    bench.start("a", &running).await.unwrap();
    let before = bench.state().await;
    // No goodbye: the handles go, and the thread with them.
    let EngineJoin { engine, ended } = bench.join;
    drop((engine, bench.engine));
    ended.await.unwrap().unwrap();

    let mut replayed = State::default();
    SqliteStore::open(&path)
        .unwrap()
        .replay(0, &mut |recorded| evolve(&mut replayed, &recorded))
        .unwrap();
    assert_eq!(replayed, before);
    assert_rows_equal_state(&SqliteQuery::open(&path).unwrap(), &replayed);

    let bench = Bench::over(SqliteStore::open(&path).unwrap());
    assert_eq!(bench.state().await, before);
    bench.pass(LEASE - Duration::from_millis(1)).await;
    assert_eq!(
        bench.heartbeat("a", &[&running]).await,
        Ok(vec![Directive::Continue])
    );
    bench.report("a", &running, 0.5).await.unwrap();
    bench.succeed("a", &running).await.unwrap();
    assert_eq!(bench.assigned("a").await.attempt, attempt(5, 1));
    assert_rows_equal_state(&SqliteQuery::open(&path).unwrap(), &bench.state().await);
}

#[tokio::test]
async fn an_image_that_is_damaged_or_another_versions_costs_time_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sweep.db");
    let bench = Bench::with_sweep(SqliteStore::open(&path).unwrap()).await;
    for _ in 0..3 {
        let run = bench.assigned("a").await.attempt;
        bench.report("a", &run, 0.5).await.unwrap();
        bench.succeed("a", &run).await.unwrap();
    }
    let before = bench.state().await;
    bench.join.stop().await.unwrap();
    let image = |path: &Path| {
        let mut store = SqliteStore::open(path).unwrap();
        let head = store
            .image_head()
            .unwrap()
            .expect("one is made after a few events, and at the end");
        from_image(&head, |each| store.image_blocks(each))
    };
    assert_eq!(image(&path).unwrap().unwrap().0, before);
    let crc = crc32fast::hash;
    for damage in [
        "UPDATE image_blocks SET body = x'00'".to_owned(),
        format!(
            "UPDATE image_blocks SET body = x'90', checksum = {}",
            crc(&[0x90])
        ),
        format!(
            "UPDATE image_blocks SET body = x'c0', checksum = {}",
            crc(&[0xc0])
        ),
        "DELETE FROM image_blocks".to_owned(),
        "UPDATE image_head SET body = x'00'".to_owned(),
        format!(
            "UPDATE image_head SET body = x'c0', checksum = {}",
            crc(&[0xc0])
        ),
        "UPDATE image_head SET maker = 'another'".to_owned(),
        "DELETE FROM image_head".to_owned(),
        "DROP TABLE image_head".to_owned(),
    ] {
        let damaged = dir.path().join("damaged.db");
        std::fs::copy(&path, &damaged).unwrap();
        rusqlite::Connection::open(&damaged)
            .unwrap()
            .execute(&damage, [])
            .unwrap();
        let bench = Bench::over(SqliteStore::open(&damaged).unwrap());
        assert_eq!(bench.state().await, before, "{damage}");
        // The next image is whole again.
        bench.register("b").await;
        let after = bench.state().await;
        bench.join.stop().await.unwrap();
        assert_eq!(image(&damaged).unwrap().unwrap().0, after, "{damage}");
        std::fs::remove_file(&damaged).unwrap();
    }
}

/// The query tables hold exactly what the state says.
fn assert_rows_equal_state(query: &dyn Query, state: &State) {
    let touched = Touched {
        sweeps: state.sweeps.keys().cloned().collect(),
        runs: state
            .sweeps
            .iter()
            .flat_map(|(id, sweep)| sweep.runs.numbers().map(|run| (id.clone(), run)))
            .collect(),
        agents: state.agents.keys().cloned().collect(),
        ..Touched::default()
    };
    let mut rows = Batch::default();
    project(&mut rows, &touched, state);
    assert_eq!(
        query
            .runs(&sweep_id(), &[], RunRange::first(usize::MAX))
            .unwrap(),
        rows.runs
    );
    assert_eq!(query.agents(None).unwrap(), rows.agents);
    let sweeps: Vec<_> = query
        .sweeps()
        .unwrap()
        .into_iter()
        .map(|(row, _)| row)
        .collect();
    // Metric reports and attempts move `updated` without touching the row.
    let settled = |row: &crate::store::SweepRow| crate::store::SweepRow {
        updated_ms: 0,
        ..row.clone()
    };
    assert_eq!(
        sweeps.iter().map(settled).collect::<Vec<_>>(),
        rows.sweeps.iter().map(settled).collect::<Vec<_>>()
    );
}
