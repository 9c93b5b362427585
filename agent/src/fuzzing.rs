//! Doors for the fuzz targets in `fuzz/`: each panics where something that must hold does not.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use sweep_proto::v1::MetricPoint;

use crate::intake::frameworks::events::{EventFile, records::Records};
use crate::intake::{lines, record, wandb::frames::Frames};
use crate::spool::{Counts, Spool};

/// Lines and metrics do not depend on the pieces in which the bytes arrive.
pub fn intake(bytes: &[u8], piece: usize) {
    let whole = read_lines(std::iter::once(bytes));
    assert_eq!(read_lines(bytes.chunks(piece.max(1))), whole);
    for line in whole {
        for reading in record::find(&line.text).readings {
            assert!(!reading.name.is_empty());
        }
    }
    assert_eq!(
        read_frames(bytes.chunks(piece.max(1))),
        read_frames(std::iter::once(bytes))
    );
    assert_eq!(
        read_records(bytes.chunks(piece.max(1))),
        read_records(std::iter::once(bytes))
    );
    EventFile::default().push(bytes);
}

/// Returns the records of a `.wandb` file that continues with these bytes.
fn read_frames<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut frames = Frames::default();
    let pieces = std::iter::once(&b":W&B\xe1\xbe\0"[..]).chain(pieces);
    pieces
        .flat_map(|piece| frames.push(piece).unwrap_or_default())
        .collect()
}

/// Returns the records of a TensorBoard event file.
fn read_records<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut records = Records::default();
    pieces.flat_map(|piece| records.push(piece)).collect()
}

fn read_lines<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<lines::Line> {
    let mut reader = lines::Lines::default();
    let mut found: Vec<_> = pieces.flat_map(|piece| reader.push(piece)).collect();
    found.extend(reader.finish());
    found
}

/// With any content of its file, a spool opens, takes points, and returns them in order after a
/// restart.
///
/// # Errors
/// The folder cannot be written.
pub fn spool(folder: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = folder.join("spool.log");
    fs::write(&path, bytes)?;
    let points: Vec<_> = (0..3)
        .map(|number| {
            (
                point(number),
                Counts {
                    output: number,
                    ..Counts::default()
                },
            )
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let (spool, _) = Spool::open(folder);
    runtime.block_on(spool.push(points.clone()));
    let (again, recovered) = Spool::open(folder);
    assert_eq!(recovered.note, None, "what was damaged was cut off");
    assert_eq!(
        recovered.counts,
        Counts {
            output: 2,
            ..Counts::default()
        }
    );
    again.close();
    let mut found = Vec::new();
    let mut next = None;
    while let Some(batch) = runtime.block_on(again.next(Duration::ZERO)) {
        assert_eq!(
            batch.first_seq,
            next.unwrap_or(batch.first_seq),
            "there is no gap"
        );
        next = Some(batch.first_seq + batch.points.len() as u64);
        again.acknowledge(batch.points.len());
        found.extend(batch.points);
    }
    let expected: Vec<_> = points.into_iter().map(|(point, _)| point).collect();
    assert_eq!(found[found.len() - expected.len()..], expected);
    Ok(())
}

fn point(number: u64) -> MetricPoint {
    MetricPoint {
        name: "loss".to_owned(),
        value: number as f64,
        ..MetricPoint::default()
    }
}
