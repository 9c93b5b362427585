//! Deletions, and rows that are written by and by.

use sweep_lifecycle::event::{Event, Recorded};
use sweep_lifecycle::state::{AttemptRef, RunState, Timestamp};
use sweep_search::observation::Goal;

use super::{Bench, agent, point, run, sweep, sweep_id};
use crate::store::{Batch, LogChunk, RunRange, RunRow, StaleRows, Store};

/// Deletes all that there is to delete, a few rows at a time.
fn purge(store: &mut dyn Store) {
    let steps = (0..10_000).take_while(|_| store.purge(3).unwrap()).count();
    assert!(steps < 10_000, "it ends");
}

fn event(sweep: &str, run: u64) -> Recorded {
    reported(AttemptRef {
        sweep: sweep_id(sweep),
        run,
        attempt: 1,
    })
}

fn reported(attempt: AttemptRef) -> Recorded {
    Recorded {
        at: Timestamp(1),
        event: Event::MetricsReported {
            attempt,
            first_seq: 0,
            points: Vec::new(),
            stale: false,
        },
    }
}

fn sweeps_in_the_log(store: &mut dyn Store) -> Vec<String> {
    let mut found = Vec::new();
    store
        .replay(0, &mut |recorded| {
            found.extend(
                recorded
                    .event
                    .sweep()
                    .map(|sweep| format!("{} {}", sweep.0, recorded.event.kind())),
            );
        })
        .unwrap();
    found
}

#[expect(clippy::too_many_lines, reason = "one story, step by step")]
pub(super) fn a_deleted_sweep_leaves_nothing_and_the_others_stay(bench: &dyn Bench) {
    let (mut store, query) = bench.open();
    let of = |id: &str, number| RunRow {
        sweep: id.to_owned(),
        ..run(number, RunState::Finished, Some(1.0), 1)
    };
    let point_of = |id: &str, number| {
        (
            AttemptRef {
                sweep: sweep_id(id),
                run: number,
                attempt: 1,
            },
            0,
            point("loss", 1.0),
        )
    };
    let log_of = |id: &str| LogChunk {
        attempt: AttemptRef {
            sweep: sweep_id(id),
            run: 1,
            attempt: 1,
        },
        offset: 0,
        data: b"text".to_vec(),
    };
    let (gone, stays) = ("aaaaaaaa", "bbbbbbbb");
    let batch = Batch {
        events: [event(gone, 1), event(stays, 1)]
            .into_iter()
            .cycle()
            .take(20)
            .collect(),
        sweeps: vec![
            sweep(gone, 1, Goal::Minimize),
            sweep(stays, 2, Goal::Minimize),
        ],
        runs: (1..=10)
            .flat_map(|number| [of(gone, number), of(stays, number)])
            .collect(),
        agents: vec![agent("a", gone, true), agent("b", stays, true)],
        metrics: (1..=10)
            .flat_map(|number| [point_of(gone, number), point_of(stays, number)])
            .collect(),
        logs: vec![log_of(gone), log_of(stays)],
        ..Batch::default()
    };
    store.append(&batch).unwrap();
    let deleted = Recorded {
        at: Timestamp(2),
        event: Event::SweepDeleted {
            sweep: sweep_id(gone),
        },
    };
    store
        .append(&Batch {
            events: vec![deleted],
            deleted: vec![sweep_id(gone)],
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(
        query
            .sweeps()
            .unwrap()
            .iter()
            .map(|(row, _)| row.id.as_str())
            .collect::<Vec<_>>(),
        [stays],
        "at once"
    );
    assert_eq!(query.agents(None).unwrap().len(), 1);
    assert_eq!(query.totals().unwrap().runs["finished"], 10);
    store
        .append(&Batch {
            events: vec![event(stays, 2)],
            ..Batch::default()
        })
        .unwrap();
    drop((store, query));
    let (mut store, query) = bench.open();
    purge(store.as_mut());
    let log = sweeps_in_the_log(store.as_mut());
    assert_eq!(
        log.iter()
            .filter(|line| line.starts_with(gone))
            .collect::<Vec<_>>(),
        [&format!("{gone} sweep_deleted")]
    );
    assert_eq!(
        log.iter().filter(|line| line.starts_with(stays)).count(),
        11
    );
    let attempt = |id: &str| AttemptRef {
        sweep: sweep_id(id),
        run: 1,
        attempt: 1,
    };
    for (id, left) in [(gone, 0), (stays, 1)] {
        assert_eq!(
            query.metrics(&attempt(id), 0, 9).unwrap().len(),
            left,
            "{id}"
        );
        assert_eq!(
            query.log(&attempt(id), 0, 9).unwrap().data.len(),
            4 * left,
            "{id}"
        );
        assert_eq!(
            query
                .runs(&sweep_id(id), &[], RunRange::first(99))
                .unwrap()
                .len(),
            10 * left,
            "{id}"
        );
    }
    store
        .append(&Batch {
            events: vec![event(stays, 3)],
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(
        sweeps_in_the_log(store.as_mut()).len(),
        13,
        "the log continues"
    );
    let mut later = 0;
    store.replay(22, &mut |_| later += 1).unwrap();
    assert_eq!(
        later, 1,
        "events are still counted with those that were deleted"
    );
}

#[expect(clippy::too_many_lines, reason = "one story, step by step")]
pub(super) fn a_pruned_run_keeps_its_row_and_its_later_attempts(bench: &dyn Bench) {
    let (mut store, query) = bench.open();
    let of = |run, number| AttemptRef {
        sweep: sweep_id("aaaaaaaa"),
        run,
        attempt: number,
    };
    let attempts = [of(1, 1), of(1, 2), of(2, 1)];
    let batch = |attempts: &[AttemptRef]| Batch {
        events: attempts.iter().cloned().map(reported).collect(),
        metrics: attempts
            .iter()
            .flat_map(|attempt| (0..5).map(|number| (attempt.clone(), number, point("loss", 1.0))))
            .collect(),
        logs: attempts
            .iter()
            .map(|attempt| LogChunk {
                attempt: attempt.clone(),
                offset: 0,
                data: b"text".to_vec(),
            })
            .collect(),
        ..Batch::default()
    };
    store
        .append(&Batch {
            runs: vec![run(1, RunState::Finished, Some(1.0), 1)],
            ..batch(&attempts)
        })
        .unwrap();
    let event = Event::RunsPruned {
        sweep: sweep_id("aaaaaaaa"),
        runs: [1].into_iter().collect(),
        values: Vec::new(),
        attempts: Vec::new(),
    };
    let events = vec![Recorded {
        at: Timestamp(2),
        event,
    }];
    store
        .append(&Batch {
            events,
            pruned: vec![of(1, 2)],
            ..Batch::default()
        })
        .unwrap();
    store.append(&batch(&[of(1, 3)])).unwrap();
    purge(store.as_mut());
    for (attempt, left) in [(of(1, 1), 0), (of(1, 2), 0), (of(1, 3), 1), (of(2, 1), 1)] {
        assert_eq!(
            query.metrics(&attempt, 0, 9).unwrap().len(),
            5 * left,
            "{attempt:?}"
        );
        assert_eq!(
            query.log(&attempt, 0, 9).unwrap().data.len(),
            4 * left,
            "{attempt:?}"
        );
    }
    assert_eq!(
        sweeps_in_the_log(store.as_mut()).len(),
        3,
        "two reports, and the event itself"
    );
    assert_eq!(
        query
            .runs(&sweep_id("aaaaaaaa"), &[], RunRange::first(9))
            .unwrap()
            .len(),
        1
    );
}

pub(super) fn rows_that_are_stale_are_listed_after_opening_again(bench: &dyn Bench) {
    let (mut store, _) = bench.open();
    let rows = |first, last| StaleRows {
        sweep: sweep_id("aaaaaaaa"),
        first,
        last,
    };
    store
        .append(&Batch {
            stale: Some(vec![rows(1, 9), rows(20, 30)]),
            ..Batch::default()
        })
        .unwrap();
    store.append(&batch_without_rows()).unwrap();
    drop(store);
    let (mut store, _) = bench.open();
    assert_eq!(store.stale_rows().unwrap(), [rows(1, 9), rows(20, 30)]);
    store
        .append(&Batch {
            stale: Some(Vec::new()),
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(store.stale_rows().unwrap(), []);
}

fn batch_without_rows() -> Batch {
    Batch {
        events: vec![event("aaaaaaaa", 1)],
        ..Batch::default()
    }
}
