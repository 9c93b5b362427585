//! Curves and output of attempts.

use sweep_lifecycle::event::MetricPoint;

use crate::store::{Batch, LOG_HEAD_BYTES, LOG_TAIL_BYTES, LogPart, Store};

use super::{Bench, attempt, chunk, point};

pub(super) fn metric_points_that_are_known_are_ignored(bench: &dyn Bench) {
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

pub(super) fn values_that_are_not_finite_come_back(bench: &dyn Bench) {
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

pub(super) fn known_output_is_ignored_and_a_gap_reads_as_zeros(bench: &dyn Bench) {
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

pub(super) fn of_a_long_output_the_beginning_and_the_end_are_kept(bench: &dyn Bench) {
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
