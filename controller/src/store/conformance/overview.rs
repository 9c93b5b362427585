//! The overview of a sweep for pages and commands: failures by their cause, thinned curves, the best runs, and totals.

use std::collections::BTreeMap;

use sweep_lifecycle::state::{Blame, Failure, FailureKind, RunState, SweepState};
use sweep_search::observation::Goal;

use super::super::{Batch, FailureGroup, RunRange, RunRow, SweepRow};
use super::{Bench, agent, attempt, numbers, point, rows, run, sweep, sweep_id};

fn failed(number: u64, message: &str, host: &str) -> RunRow {
    let failure = Failure {
        exit_code: Some(1),
        ..Failure::new(FailureKind::Crashed, Blame::Configuration, message)
    };
    let mut row = run(number, RunState::Failed, None, 1);
    row.attempts[0].failure = Some(failure);
    row.attempts[0].host = host.to_owned();
    row
}

pub(super) fn failures_are_counted_by_cause(bench: &dyn Bench) {
    let (mut store, query) = bench.open();
    let never_began = RunRow {
        attempts: Vec::new(),
        reason: "no agent could take it".to_owned(),
        ..run(6, RunState::Failed, None, 1)
    };
    let runs = vec![
        failed(1, "exit status 1", "a"),
        failed(2, "line 7: no such file", "a"),
        failed(3, "line 12: no such file", "a"),
        failed(4, "line 7: no such file", "b"),
        run(5, RunState::Finished, Some(1.0), 1),
        never_began,
    ];
    store.append(&rows(vec![], runs, vec![])).unwrap();
    let sweep = sweep_id("aaaaaaaa");
    let found = query.failures(&sweep).unwrap();
    let hosts = |hosts: &[(&str, u64)]| {
        hosts
            .iter()
            .map(|(host, runs)| ((*host).to_owned(), *runs))
            .collect::<BTreeMap<_, _>>()
    };
    let group = |key: &str, runs, first, on: &[(&str, u64)]| FailureGroup {
        key: key.to_owned(),
        runs,
        first,
        hosts: hosts(on),
    };
    assert_eq!(
        found[0],
        group("crashed: line #: no such file", 3, 2, &[("a", 2), ("b", 1)])
    );
    assert_eq!(
        found[1..]
            .iter()
            .map(|group| (group.runs, group.first))
            .collect::<Vec<_>>(),
        [(1, 6), (1, 1)]
    );
    assert_eq!(query.failed_runs(&sweep, &found[0].key, 2).unwrap(), [2, 3]);
    // Tried again, and well this time.
    store
        .append(&Batch {
            runs: vec![run(4, RunState::Finished, Some(1.0), 2)],
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(
        query.failures(&sweep).unwrap()[0],
        group("crashed: line #: no such file", 2, 2, &[("a", 2)])
    );
}

pub(super) fn curves_are_thinned_evenly(bench: &dyn Bench) {
    let (mut store, query) = bench.open();
    let mut metrics = Vec::new();
    for step in 0..1000_u32 {
        metrics.push((
            attempt(1),
            metrics.len() as u64,
            point("loss", f64::from(step)),
        ));
        if step % 100 == 7 {
            metrics.push((
                attempt(1),
                metrics.len() as u64,
                point("val", f64::from(step)),
            ));
        }
    }
    store
        .append(&Batch {
            metrics,
            ..Batch::default()
        })
        .unwrap();
    let curves = query.curves(&attempt(1), None, 50).unwrap();
    assert_eq!(curves.keys().collect::<Vec<_>>(), ["loss", "val"]);
    let values: Vec<_> = curves["val"]
        .points
        .iter()
        .map(|(index, point)| (*index, point.value))
        .collect();
    assert_eq!(
        values,
        (0..10)
            .map(|index| (index, 100.0 * index as f64 + 7.0))
            .collect::<Vec<_>>(),
        "a rare metric is whole"
    );
    let loss = &curves["loss"];
    assert!(
        (25..=50).contains(&loss.points.len()),
        "{}",
        loss.points.len()
    );
    assert_eq!(
        (
            loss.count,
            loss.points[0].1.value,
            loss.points.last().unwrap().1.value
        ),
        (1000, 0.0, 999.0)
    );
    assert!(
        loss.points
            .iter()
            .all(|(index, point)| *index as f64 == point.value)
    );
    assert_eq!(
        query
            .curves(&attempt(1), Some("loss"), 50)
            .unwrap()
            .into_iter()
            .collect::<Vec<_>>(),
        [("loss".to_owned(), loss.clone())]
    );
    assert!(query.curves(&attempt(2), None, 50).unwrap().is_empty());
}

pub(super) fn the_best_runs_come_first(bench: &dyn Bench) {
    let (mut store, query) = bench.open();
    let runs = (1..)
        .zip([0.5, 0.2, 0.9, 0.1, 0.2])
        .map(|(number, value)| run(number, RunState::Finished, Some(value), 1))
        .collect();
    store.append(&rows(vec![], runs, vec![])).unwrap();
    assert_eq!(
        query
            .best_runs(&sweep("aaaaaaaa", 1, Goal::Minimize), 3)
            .unwrap(),
        [4, 2, 5]
    );
    assert_eq!(
        query
            .best_runs(&sweep("aaaaaaaa", 1, Goal::Maximize), 2)
            .unwrap(),
        [3, 1]
    );
    assert_eq!(
        numbers(
            &query
                .numbered_runs(&sweep_id("aaaaaaaa"), &[2, 4, 99])
                .unwrap()
        ),
        [2, 4]
    );
    assert_eq!(
        query
            .ended_before(&sweep_id("aaaaaaaa"), 2, RunRange { after: 3, limit: 9 })
            .unwrap(),
        [4, 5]
    );
    assert_eq!(
        query
            .ended_before(&sweep_id("aaaaaaaa"), 1, RunRange::first(9))
            .unwrap(),
        [0; 0]
    );
}

pub(super) fn totals_are_counted_over_all_sweeps(bench: &dyn Bench) {
    let (mut store, query) = bench.open();
    let sweeps = vec![
        sweep("aaaaaaaa", 1, Goal::Minimize),
        SweepRow {
            state: SweepState::Paused,
            ..sweep("bbbbbbbb", 2, Goal::Minimize)
        },
    ];
    let mut runs: Vec<_> = (1..=5)
        .map(|number| run(number, RunState::Queued, None, 0))
        .collect();
    runs.push(RunRow {
        sweep: "bbbbbbbb".to_owned(),
        ..run(1, RunState::Running, None, 0)
    });
    let agents = vec![
        agent("a", "aaaaaaaa", true),
        agent("b", "aaaaaaaa", false),
        agent("c", "bbbbbbbb", true),
    ];
    let slots = u64::from(agents[0].slots + agents[2].slots);
    store.append(&rows(sweeps, runs, agents)).unwrap();
    store
        .append(&Batch {
            runs: vec![run(2, RunState::Failed, None, 1)],
            ..Batch::default()
        })
        .unwrap();
    let totals = query.totals().unwrap();
    let counted = |counts: &BTreeMap<String, u64>| {
        counts
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(name, count)| format!("{name} {count}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(counted(&totals.sweeps), ["paused 1", "running 1"]);
    assert_eq!(counted(&totals.runs), ["failed 1", "queued 4", "running 1"]);
    assert_eq!((totals.agents, totals.slots), (2, slots));
}

pub(super) fn sweeps_are_paged_and_those_that_are_archived_apart(bench: &dyn Bench) {
    let (mut store, query) = bench.open();
    let mut sweeps: Vec<_> = (1..=5)
        .map(|number| sweep(&number.to_string().repeat(8), number, Goal::Minimize))
        .collect();
    sweeps[3].archived = true;
    store
        .append(&Batch {
            sweeps,
            ..Batch::default()
        })
        .unwrap();
    let page = |archived, skip, limit| {
        query
            .sweep_page(archived, skip, limit)
            .unwrap()
            .into_iter()
            .map(|(row, _)| row.created_ms)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (page(false, 0, 3), page(false, 3, 3), page(true, 0, 3)),
        (vec![5, 3, 2], vec![1], vec![4])
    );
    assert_eq!(
        (
            query.sweep_count(false).unwrap(),
            query.sweep_count(true).unwrap()
        ),
        (4, 1)
    );
}
