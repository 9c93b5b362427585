//! The rows of sweeps and runs, and what is counted of them.

use sweep_lifecycle::state::{RunState, SweepState};
use sweep_search::observation::Goal;

use crate::store::{Batch, CodeCounts, RunRange, RunRow, SweepRow};

use super::{Bench, agent, numbers, rows, run, sweep, sweep_id};

pub(super) fn a_batch_takes_the_place_of_rows_with_the_same_key(bench: &dyn Bench) {
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

pub(super) fn sweeps_come_newest_first_with_their_counts(bench: &dyn Bench) {
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
    store.append(&rows(sweeps, runs, agents)).unwrap();
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

pub(super) fn the_best_run_follows_the_goal_and_the_lower_number_wins_a_tie(bench: &dyn Bench) {
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

pub(super) fn runs_are_counted_by_the_version_of_their_code(bench: &dyn Bench) {
    let (mut store, query) = bench.open();
    let runs = vec![
        run(1, RunState::Finished, Some(0.5), 1),
        run(2, RunState::Stopped, Some(0.2), 1),
        run(3, RunState::Failed, Some(0.1), 1),
        run(4, RunState::Running, None, 0),
        run(5, RunState::Finished, Some(0.7), 1),
        run(6, RunState::Queued, None, 0),
    ];
    store.append(&rows(vec![], runs, vec![])).unwrap();
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

pub(super) fn runs_are_paged_and_filtered(bench: &dyn Bench) {
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
    store.append(&rows(vec![], runs, vec![])).unwrap();
    let ask = |states: &[RunState], after, limit| {
        numbers(
            &query
                .runs(&sweep_id("aaaaaaaa"), states, RunRange { after, limit })
                .unwrap(),
        )
    };
    assert_eq!(ask(&[], 0, usize::MAX), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(ask(&[], 2, 3), [3, 4, 5]);
    assert_eq!(ask(&[RunState::Failed], 2, 100), [4, 6]);
    assert_eq!(ask(&[RunState::Failed, RunState::Finished], 5, 100), [6, 7]);
    assert_eq!(
        numbers(
            &query
                .runs(&sweep_id("bbbbbbbb"), &[], RunRange::first(100))
                .unwrap()
        ),
        [0; 0]
    );
}

pub(super) fn runs_that_ended_last_come_first(bench: &dyn Bench) {
    let (mut store, query) = bench.open();
    let runs = vec![
        run(1, RunState::Finished, None, 30),
        run(2, RunState::Running, None, 0),
        run(3, RunState::Failed, None, 10),
        run(4, RunState::Stopped, None, 30),
    ];
    store.append(&rows(vec![], runs, vec![])).unwrap();
    assert_eq!(
        numbers(&query.ended_runs(&sweep_id("aaaaaaaa"), usize::MAX).unwrap()),
        [4, 1, 3]
    );
    assert_eq!(
        numbers(&query.ended_runs(&sweep_id("aaaaaaaa"), 1).unwrap()),
        [4]
    );
}

pub(super) fn values_come_in_the_order_in_which_they_ended(bench: &dyn Bench) {
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
    store.append(&rows(vec![], runs, vec![])).unwrap();
    assert_eq!(query.values(&sweep_id("aaaaaaaa"), 9).unwrap(), [2.5, 1.5]);
    assert_eq!(
        query.values(&sweep_id("aaaaaaaa"), 2).unwrap(),
        [1.5],
        "of the first and the last run"
    );
}
