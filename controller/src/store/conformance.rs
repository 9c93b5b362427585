//! The conformance suite of stores: one suite for all of them, no exceptions.

mod attempts;
mod deletion;
mod overview;
mod runs;

use std::collections::BTreeMap;

use sweep_lifecycle::event::{Event, MetricPoint, Recorded};
use sweep_lifecycle::state::{
    AgentId, AgentInfo, Annotation, AttemptRef, AttemptState, RunState, SweepId, SweepState,
    Timestamp,
};
use sweep_search::observation::Goal;
use sweep_search::suggest::Method;
use sweep_search::why::{Kind, Why};

use super::{
    AgentRow, AttemptRow, Batch, LogChunk, MemoryStore, NewImage, Query, RunRow, SqliteQuery,
    SqliteStore, Store, StoredReply, SweepRow,
};

use self::attempts::{
    known_output_is_ignored_and_a_gap_reads_as_zeros, metric_points_that_are_known_are_ignored,
    of_a_long_output_the_beginning_and_the_end_are_kept, values_that_are_not_finite_come_back,
};
use self::deletion::{
    a_deleted_sweep_leaves_nothing_and_the_others_stay,
    a_pruned_run_keeps_its_row_and_its_later_attempts,
    rows_that_are_stale_are_listed_after_opening_again,
};
use self::overview::{
    curves_are_thinned_evenly, failures_are_counted_by_cause,
    sweeps_are_paged_and_those_that_are_archived_apart, the_best_runs_come_first,
    totals_are_counted_over_all_sweeps,
};
use self::runs::{
    a_batch_takes_the_place_of_rows_with_the_same_key,
    runs_are_counted_by_the_version_of_their_code, runs_are_paged_and_filtered,
    runs_that_ended_last_come_first, sweeps_come_newest_first_with_their_counts,
    the_best_run_follows_the_goal_and_the_lower_number_wins_a_tie,
    values_come_in_the_order_in_which_they_ended,
};

/// A store under test: it can be opened again and again, as after a crash.
trait Bench {
    fn open(&self) -> (Box<dyn Store>, Box<dyn Query>);
}

struct Memory(MemoryStore);

impl Bench for Memory {
    fn open(&self) -> (Box<dyn Store>, Box<dyn Query>) {
        (Box::new(self.0.clone()), Box::new(self.0.query()))
    }
}

struct Sqlite(tempfile::TempDir);

impl Bench for Sqlite {
    fn open(&self) -> (Box<dyn Store>, Box<dyn Query>) {
        let path = self.0.path().join("sweep.db");
        (
            Box::new(SqliteStore::open(&path).unwrap()),
            Box::new(SqliteQuery::open(&path).unwrap()),
        )
    }
}

macro_rules! conformance {
    ($($test:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $test() { super::$test(&super::Memory(super::MemoryStore::new())); })*
        }
        mod sqlite {
            $(#[test] fn $test() { super::$test(&super::Sqlite(tempfile::tempdir().unwrap())); })*
        }
    };
}

conformance!(
    events_come_back_in_order_after_opening_again,
    a_batch_takes_the_place_of_rows_with_the_same_key,
    sweeps_come_newest_first_with_their_counts,
    the_best_run_follows_the_goal_and_the_lower_number_wins_a_tie,
    runs_are_counted_by_the_version_of_their_code,
    runs_are_paged_and_filtered,
    runs_that_ended_last_come_first,
    values_come_in_the_order_in_which_they_ended,
    metric_points_that_are_known_are_ignored,
    values_that_are_not_finite_come_back,
    known_output_is_ignored_and_a_gap_reads_as_zeros,
    of_a_long_output_the_beginning_and_the_end_are_kept,
    failures_are_counted_by_cause,
    curves_are_thinned_evenly,
    the_best_runs_come_first,
    totals_are_counted_over_all_sweeps,
    sweeps_are_paged_and_those_that_are_archived_apart,
    a_deleted_sweep_leaves_nothing_and_the_others_stay,
    a_pruned_run_keeps_its_row_and_its_later_attempts,
    rows_that_are_stale_are_listed_after_opening_again,
    agents_are_listed_by_sweep,
    replies_are_found_by_request_id,
    an_image_is_replaced_block_by_block_or_whole,
);

/// Returns a batch of nothing but rows.
fn rows(sweeps: Vec<SweepRow>, runs: Vec<RunRow>, agents: Vec<AgentRow>) -> Batch {
    Batch {
        sweeps,
        runs,
        agents,
        ..Batch::default()
    }
}

fn sweep_id(id: &str) -> SweepId {
    SweepId(id.to_owned())
}

fn attempt(run: u64) -> AttemptRef {
    AttemptRef {
        sweep: sweep_id("aaaaaaaa"),
        run,
        attempt: 1,
    }
}

fn sweep(id: &str, created_ms: i64, goal: Goal) -> SweepRow {
    SweepRow {
        id: id.to_owned(),
        name: "näme\0".to_owned(),
        state: SweepState::Running,
        reason: String::new(),
        method: Method::Grid,
        metric: "loss".to_owned(),
        goal,
        planned: 0,
        created_ms,
        updated_ms: created_ms,
        yaml: "method: grid\n".to_owned(),
        stalled: false,
        revisions: Vec::new(),
        codes: Vec::new(),
        code_steps: Vec::new(),
        pinned: String::new(),
        archived: false,
    }
}

fn run(number: u64, state: RunState, value: Option<f64>, ended_ms: i64) -> RunRow {
    let attempt = AttemptRow {
        attempt: 1,
        agent: "a".to_owned(),
        host: "box".to_owned(),
        state: AttemptState::Finished,
        failure: None,
        assigned_ms: 1,
        started_ms: 2,
        ended_ms,
        metrics: BTreeMap::from([("loss".to_owned(), 0.1)]),
        command: vec!["python".to_owned(), "train.py".to_owned()],
        orphan: String::new(),
        environment: String::new(),
        code: String::new(),
        revision: 1,
    };
    RunRow {
        sweep: "aaaaaaaa".to_owned(),
        run: number,
        state,
        reason: String::new(),
        params_json: "{\"lr\":0.1}".to_owned(),
        value,
        best: value,
        last: value,
        ranked: value.filter(|_| matches!(state, RunState::Finished | RunState::Stopped)),
        repeats: None,
        violates: Vec::new(),
        why: "grid point".to_owned(),
        suggestion: Why::new(Kind::Grid, "grid point"),
        history: 0,
        created_ms: 1,
        ended_ms,
        attempts: vec![attempt],
        code: if number < 4 { "old" } else { "" }.to_owned(),
        revision: 1,
        aside: String::new(),
        annotation: Annotation::default(),
        pruned: false,
    }
}

fn agent(id: &str, sweep: &str, alive: bool) -> AgentRow {
    AgentRow {
        id: id.to_owned(),
        sweep: sweep.to_owned(),
        host: "box".to_owned(),
        slots: 2,
        running: 1,
        alive,
        version: "0.1.0".to_owned(),
        seen_ms: 5,
        health: "ok".to_owned(),
        reason: String::new(),
        stays: vec![(3, 4)],
        succeeded: 1,
        failed: 0,
        code: String::new(),
    }
}

fn point(name: &str, value: f64) -> MetricPoint {
    MetricPoint {
        name: name.to_owned(),
        step: Some(3),
        wall: Timestamp(7),
        value,
    }
}

fn chunk(offset: u64, data: &[u8]) -> LogChunk {
    LogChunk {
        attempt: attempt(1),
        offset,
        data: data.to_vec(),
    }
}

fn numbers(runs: &[RunRow]) -> Vec<u64> {
    runs.iter().map(|row| row.run).collect()
}

fn registered(number: i64) -> Recorded {
    Recorded {
        at: Timestamp(number),
        event: Event::AgentRegistered {
            agent: AgentId(format!("a{number}")),
            sweep: sweep_id("aaaaaaaa"),
            info: AgentInfo::default(),
        },
    }
}

fn events_come_back_in_order_after_opening_again(bench: &dyn Bench) {
    let reported = Recorded {
        at: Timestamp(9),
        event: Event::MetricsReported {
            attempt: attempt(1),
            first_seq: 0,
            points: vec![point("loss", f64::INFINITY)],
            stale: true,
        },
    };
    let (mut store, query) = bench.open();
    store
        .append(&Batch {
            events: vec![registered(1), registered(2)],
            ..Batch::default()
        })
        .unwrap();
    store
        .append(&Batch {
            events: vec![reported.clone()],
            ..Batch::default()
        })
        .unwrap();
    drop((store, query));
    let (mut store, _query) = bench.open();
    store
        .append(&Batch {
            events: vec![registered(4)],
            ..Batch::default()
        })
        .unwrap();
    let mut events = Vec::new();
    store
        .replay(0, &mut |recorded| events.push(recorded))
        .unwrap();
    assert_eq!(
        events,
        [registered(1), registered(2), reported, registered(4)]
    );
}

fn agents_are_listed_by_sweep(bench: &dyn Bench) {
    let (mut store, query) = bench.open();
    let rows = [
        agent("b", "aaaaaaaa", true),
        agent("a", "aaaaaaaa", true),
        agent("c", "bbbbbbbb", true),
    ];
    store
        .append(&Batch {
            agents: rows.to_vec(),
            ..Batch::default()
        })
        .unwrap();
    let gone = agent("a", "aaaaaaaa", false);
    store
        .append(&Batch {
            agents: vec![gone.clone()],
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(
        query.agents(Some(&sweep_id("aaaaaaaa"))).unwrap(),
        [gone.clone(), rows[0].clone()]
    );
    assert_eq!(
        query.agents(None).unwrap(),
        [gone, rows[0].clone(), rows[2].clone()]
    );
}

fn replies_are_found_by_request_id(bench: &dyn Bench) {
    let reply = |id: &str, body: &str| StoredReply {
        request_id: id.to_owned(),
        digest: [7; 32],
        body: body.to_owned(),
    };
    let (mut store, query) = bench.open();
    store
        .append(&Batch {
            replies: vec![reply("r1", "{}"), reply("r2", "[]")],
            ..Batch::default()
        })
        .unwrap();
    drop((store, query));
    let (mut store, _query) = bench.open();
    assert_eq!(store.reply("r2").unwrap(), Some(reply("r2", "[]")));
    assert_eq!(store.reply("r3").unwrap(), None);
}

#[expect(clippy::too_many_lines, reason = "one story, step by step")]
fn an_image_is_replaced_block_by_block_or_whole(bench: &dyn Bench) {
    type Image = (u64, String, Vec<(u64, String)>);
    fn image(store: &mut dyn Store) -> Option<Image> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let head = store.image_head().unwrap()?;
        assert_eq!(head.maker, "me");
        let mut blocks = Vec::new();
        store
            .image_blocks(&mut |(sweep, block), body| {
                blocks.push((sweep.0.len() as u64 + block, text(body)));
            })
            .unwrap();
        Some((head.events, text(&head.body), blocks))
    }
    let kept = |store: &mut dyn Store, head: &str, whole: bool, blocks: &[(u64, &str)]| {
        let named = |(block, body): &(u64, &str)| {
            ((SweepId("s".to_owned()), *block), body.as_bytes().to_vec())
        };
        store
            .keep_image(NewImage {
                maker: "me",
                head: head.as_bytes().to_vec(),
                whole,
                blocks: &mut blocks.iter().map(named),
            })
            .unwrap();
    };
    let (mut store, query) = bench.open();
    assert_eq!(image(store.as_mut()), None);
    store
        .append(&Batch {
            events: vec![registered(1)],
            sweeps: vec![sweep("s", 1, Goal::Minimize)],
            ..Batch::default()
        })
        .unwrap();
    kept(store.as_mut(), "first", true, &[(0, "a"), (1, "b")]);
    store
        .append(&Batch {
            events: vec![registered(2)],
            ..Batch::default()
        })
        .unwrap();
    drop((store, query));
    let (mut store, _query) = bench.open();
    let text = |blocks: &[(u64, &str)]| {
        blocks
            .iter()
            .map(|(block, body)| (1 + block, (*body).to_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        image(store.as_mut()),
        Some((1, "first".to_owned(), text(&[(0, "a"), (1, "b")])))
    );
    let mut behind = Vec::new();
    store
        .replay(1, &mut |recorded| behind.push(recorded))
        .unwrap();
    assert_eq!(behind, [registered(2)]);
    kept(store.as_mut(), "second", false, &[(1, "c"), (2, "d")]);
    assert_eq!(
        image(store.as_mut()),
        Some((
            2,
            "second".to_owned(),
            text(&[(0, "a"), (1, "c"), (2, "d")])
        ))
    );
    kept(store.as_mut(), "third", true, &[(2, "e")]);
    assert_eq!(
        image(store.as_mut()),
        Some((2, "third".to_owned(), text(&[(2, "e")])))
    );
}
