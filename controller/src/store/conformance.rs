//! The conformance suite of stores: one suite for all of them, no exceptions.

mod deletion;
mod overview;

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
    AgentRow, AttemptRow, Batch, CodeCounts, LOG_HEAD_BYTES, LOG_TAIL_BYTES, LogChunk, LogPart,
    MemoryStore, Query, RunRow, SqliteQuery, SqliteStore, Store, StoredReply, SweepRow,
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

fn a_batch_takes_the_place_of_rows_with_the_same_key(bench: &dyn Bench) {
    let (mut store, query) = bench.open();
    let first = Batch {
        sweeps: vec![sweep("aaaaaaaa", 1, Goal::Minimize)],
        runs: vec![run(1, RunState::Running, None, 0)],
        ..Batch::default()
    };
    store.append(&first).unwrap();
    let changed = SweepRow {
        state: SweepState::Paused,
        ..sweep("aaaaaaaa", 1, Goal::Minimize)
    };
    let ended = run(1, RunState::Finished, Some(0.5), 9);
    store
        .append(&Batch {
            sweeps: vec![changed.clone()],
            runs: vec![ended.clone()],
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(
        query.sweep(&sweep_id("aaaaaaaa")).unwrap().unwrap().0,
        changed
    );
    assert_eq!(query.run(&sweep_id("aaaaaaaa"), 1).unwrap(), Some(ended));
    assert_eq!(query.run(&sweep_id("aaaaaaaa"), 2).unwrap(), None);
    assert_eq!(query.run(&sweep_id("bbbbbbbb"), 1).unwrap(), None);
    assert!(query.sweep(&sweep_id("aaaa")).unwrap().is_none());
}

fn sweeps_come_newest_first_with_their_counts(bench: &dyn Bench) {
    let (mut store, query) = bench.open();
    let states = [
        RunState::Queued,
        RunState::Assigned,
        RunState::Running,
        RunState::Finished,
        RunState::Finished,
        RunState::Stopped,
        RunState::Failed,
        RunState::Failed,
        RunState::Failed,
        RunState::Cancelled,
    ];
    let runs = (1..)
        .zip(states)
        .map(|(number, state)| run(number, state, None, 0))
        .collect();
    let sweeps = vec![
        sweep("aaaaaaaa", 1, Goal::Minimize),
        sweep("bbbbbbbb", 2, Goal::Minimize),
    ];
    let agents = vec![
        agent("a", "aaaaaaaa", true),
        agent("b", "aaaaaaaa", false),
        agent("c", "bbbbbbbb", true),
    ];
    store
        .append(&Batch {
            sweeps,
            runs,
            agents,
            ..Batch::default()
        })
        .unwrap();
    let listed = query.sweeps().unwrap();
    assert_eq!(
        listed
            .iter()
            .map(|(row, _)| row.id.as_str())
            .collect::<Vec<_>>(),
        ["bbbbbbbb", "aaaaaaaa"]
    );
    let counts = &listed[1].1;
    let seen = [
        counts.queued,
        counts.running,
        counts.finished,
        counts.stopped,
        counts.failed,
        counts.cancelled,
        counts.agents,
    ];
    assert_eq!(seen, [1, 2, 2, 1, 3, 1, 1]);
    assert_eq!(counts.best, None);
    assert_eq!(listed[0].1.agents, 1);
    assert_eq!(
        query.sweep(&sweep_id("aaaaaaaa")).unwrap().unwrap().1,
        *counts
    );
}

fn the_best_run_follows_the_goal_and_the_lower_number_wins_a_tie(bench: &dyn Bench) {
    let (mut store, query) = bench.open();
    let runs = vec![
        run(1, RunState::Finished, Some(0.5), 1),
        run(2, RunState::Stopped, Some(0.2), 1),
        run(3, RunState::Finished, Some(0.2), 1),
        run(4, RunState::Finished, Some(0.5), 1),
        run(5, RunState::Failed, Some(0.1), 1),
        run(6, RunState::Cancelled, Some(0.9), 1),
        run(7, RunState::Finished, None, 1),
    ];
    store
        .append(&Batch {
            sweeps: vec![sweep("aaaaaaaa", 1, Goal::Minimize)],
            runs,
            ..Batch::default()
        })
        .unwrap();
    let best = || query.sweep(&sweep_id("aaaaaaaa")).unwrap().unwrap().1.best;
    assert_eq!(best(), Some((2, 0.2)));
    store
        .append(&Batch {
            sweeps: vec![sweep("aaaaaaaa", 1, Goal::Maximize)],
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(best(), Some((1, 0.5)));
}

fn runs_are_counted_by_the_version_of_their_code(bench: &dyn Bench) {
    let (mut store, query) = bench.open();
    let runs = vec![
        run(1, RunState::Finished, Some(0.5), 1),
        run(2, RunState::Stopped, Some(0.2), 1),
        run(3, RunState::Failed, Some(0.1), 1),
        run(4, RunState::Running, None, 0),
        run(5, RunState::Finished, Some(0.7), 1),
        run(6, RunState::Queued, None, 0),
    ];
    store
        .append(&Batch {
            runs,
            ..Batch::default()
        })
        .unwrap();
    let codes = query.codes(&sweep("aaaaaaaa", 1, Goal::Minimize)).unwrap();
    assert_eq!(codes.keys().collect::<Vec<_>>(), ["", "old"]);
    assert_eq!(
        codes["old"],
        CodeCounts {
            runs: 3,
            running: 0,
            finished: 2,
            failed: 1,
            best: Some((2, 0.2))
        }
    );
    assert_eq!(
        codes[""],
        CodeCounts {
            runs: 3,
            running: 1,
            finished: 1,
            failed: 0,
            best: Some((5, 0.7))
        }
    );
    assert_eq!(
        query.codes(&sweep("aaaaaaaa", 1, Goal::Maximize)).unwrap()["old"].best,
        Some((1, 0.5))
    );
    assert!(
        query
            .codes(&sweep("bbbbbbbb", 1, Goal::Minimize))
            .unwrap()
            .is_empty()
    );
}

fn runs_are_paged_and_filtered(bench: &dyn Bench) {
    let (mut store, query) = bench.open();
    let runs = (1..=7)
        .map(|number| {
            run(
                number,
                if number % 2 == 0 {
                    RunState::Failed
                } else {
                    RunState::Finished
                },
                None,
                1,
            )
        })
        .collect();
    store
        .append(&Batch {
            runs,
            ..Batch::default()
        })
        .unwrap();
    let ask = |states: &[RunState], after, limit| {
        numbers(
            &query
                .runs(&sweep_id("aaaaaaaa"), states, after, limit)
                .unwrap(),
        )
    };
    assert_eq!(ask(&[], 0, usize::MAX), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(ask(&[], 2, 3), [3, 4, 5]);
    assert_eq!(ask(&[RunState::Failed], 2, 100), [4, 6]);
    assert_eq!(ask(&[RunState::Failed, RunState::Finished], 5, 100), [6, 7]);
    assert_eq!(
        numbers(&query.runs(&sweep_id("bbbbbbbb"), &[], 0, 100).unwrap()),
        [0; 0]
    );
}

fn runs_that_ended_last_come_first(bench: &dyn Bench) {
    let (mut store, query) = bench.open();
    let runs = vec![
        run(1, RunState::Finished, None, 30),
        run(2, RunState::Running, None, 0),
        run(3, RunState::Failed, None, 10),
        run(4, RunState::Stopped, None, 30),
    ];
    store
        .append(&Batch {
            runs,
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(
        numbers(&query.ended_runs(&sweep_id("aaaaaaaa"), usize::MAX).unwrap()),
        [4, 1, 3]
    );
    assert_eq!(
        numbers(&query.ended_runs(&sweep_id("aaaaaaaa"), 1).unwrap()),
        [4]
    );
}

fn values_come_in_the_order_in_which_they_ended(bench: &dyn Bench) {
    let (mut store, query) = bench.open();
    let ranked = |number, value, ended_ms| RunRow {
        ranked: value,
        ..run(number, RunState::Finished, value, ended_ms)
    };
    let runs = vec![
        ranked(1, Some(1.5), 30),
        ranked(2, Some(2.5), 10),
        ranked(3, None, 20),
    ];
    store
        .append(&Batch {
            runs,
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(query.values(&sweep_id("aaaaaaaa"), 9).unwrap(), [2.5, 1.5]);
    assert_eq!(
        query.values(&sweep_id("aaaaaaaa"), 2).unwrap(),
        [1.5],
        "of the first and the last run"
    );
}

fn metric_points_that_are_known_are_ignored(bench: &dyn Bench) {
    let (mut store, query) = bench.open();
    let report = |from: u64, values: &[f64]| Batch {
        metrics: (from..)
            .zip(values)
            .map(|(number, value)| (attempt(1), number, point("loss", *value)))
            .collect(),
        ..Batch::default()
    };
    store.append(&report(0, &[1.0, 2.0])).unwrap();
    store.append(&report(1, &[-2.0, 3.0])).unwrap();
    store
        .append(&Batch {
            metrics: vec![(attempt(2), 0, point("loss", 9.0))],
            ..Batch::default()
        })
        .unwrap();
    let all = query.metrics(&attempt(1), 0, usize::MAX).unwrap();
    assert_eq!(
        all,
        [
            (0, point("loss", 1.0)),
            (1, point("loss", 2.0)),
            (2, point("loss", 3.0))
        ]
    );
    assert_eq!(
        query.metrics(&attempt(1), 1, 1).unwrap(),
        [(1, point("loss", 2.0))]
    );
    let no_step = MetricPoint {
        step: None,
        ..point("acc", 0.0)
    };
    store
        .append(&Batch {
            metrics: vec![(attempt(1), 3, no_step.clone())],
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(query.metrics(&attempt(1), 3, 100).unwrap(), [(3, no_step)]);
}

fn values_that_are_not_finite_come_back(bench: &dyn Bench) {
    let (mut store, query) = bench.open();
    let values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let metrics = (0..)
        .zip(values)
        .map(|(number, value)| (attempt(1), number, point("loss", value)))
        .collect();
    store
        .append(&Batch {
            metrics,
            ..Batch::default()
        })
        .unwrap();
    let back: Vec<_> = query
        .metrics(&attempt(1), 0, 9)
        .unwrap()
        .into_iter()
        .map(|(_, point)| point.value)
        .collect();
    assert!(back[0].is_nan());
    assert_eq!(back[1..], values[1..]);
}

fn known_output_is_ignored_and_a_gap_reads_as_zeros(bench: &dyn Bench) {
    let (mut store, query) = bench.open();
    let logs = vec![
        chunk(0, b"one\n"),
        chunk(0, b"one\n"),
        chunk(2, b"X\ntwo\n"),
        chunk(3, b""),
    ];
    store
        .append(&Batch {
            logs,
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(query.log(&attempt(1), 0, 100).unwrap().data, b"one\ntwo\n");
    store
        .append(&Batch {
            logs: vec![chunk(10, b"three")],
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(
        query.log(&attempt(1), 0, 100).unwrap().data,
        b"one\ntwo\n\0\0three"
    );
    assert_eq!(query.log(&attempt(1), 5, 3).unwrap().data, b"wo\n");
    assert_eq!(query.log(&attempt(1), 9, 3).unwrap().data, b"\0th");
    assert_eq!(query.log(&attempt(1), 8, 1).unwrap().data, b"\0");
    assert_eq!(query.log(&attempt(1), 15, 9).unwrap().data, b"");
    assert_eq!(query.log(&attempt(1), u64::MAX, 9).unwrap().data, b"");
    assert_eq!(query.log(&attempt(2), 0, 9).unwrap().data, b"");
}

fn of_a_long_output_the_beginning_and_the_end_are_kept(bench: &dyn Bench) {
    let (mut store, query) = bench.open();
    let write = |store: &mut dyn Store, from: u64, data: &[u8]| {
        store
            .append(&Batch {
                logs: vec![chunk(from, data)],
                ..Batch::default()
            })
            .unwrap();
    };
    write(store.as_mut(), 0, b"start");
    write(store.as_mut(), LOG_HEAD_BYTES - 2, b"end of the head");
    assert_eq!(
        query
            .log(&attempt(1), LOG_HEAD_BYTES - 3, 100)
            .unwrap()
            .data,
        b"\0end of the head"
    );
    let far = LOG_HEAD_BYTES + 10 * LOG_TAIL_BYTES;
    let piece = vec![b'x'; LOG_TAIL_BYTES as usize / 4];
    for number in 0..10 {
        write(store.as_mut(), far + number * piece.len() as u64, &piece);
    }
    let end = far + 10 * piece.len() as u64;
    assert_eq!(query.log_end(&attempt(1)).unwrap(), end);
    let part = query.log(&attempt(1), LOG_HEAD_BYTES - 2, 1000).unwrap();
    assert_eq!(
        (part.offset, part.data.as_slice()),
        (LOG_HEAD_BYTES - 2, b"en".as_slice()),
        "the head ends there"
    );
    let part = query.log(&attempt(1), LOG_HEAD_BYTES, 1000).unwrap();
    assert_eq!(
        (part.offset, part.data.len()),
        (end - LOG_TAIL_BYTES, 1000),
        "the middle is missing, and the offset says so"
    );
    assert_eq!(
        query.log(&attempt(1), end - 5, 1000).unwrap(),
        LogPart {
            offset: end - 5,
            data: b"xxxxx".to_vec()
        }
    );
    assert_eq!(
        query.log(&attempt(1), 0, usize::MAX).unwrap().data.len() as u64,
        LOG_HEAD_BYTES
    );
    write(store.as_mut(), u64::MAX - 3, b"x");
    assert_eq!(
        query.log_end(&attempt(1)).unwrap(),
        end,
        "no output is that long"
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
            .keep_image(
                "me",
                head.as_bytes().to_vec(),
                whole,
                &mut blocks.iter().map(named),
            )
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
