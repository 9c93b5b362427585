//! The spool under crashes, damage and a full disk.

use std::fs::File;

use proptest::prelude::*;
use tempfile::TempDir;

use super::queue::{BATCH, POINTS_MAX};
use super::*;

fn point(seq: u64) -> (MetricPoint, Counts) {
    let point = MetricPoint {
        name: "loss".to_owned(),
        value: seq as f64,
        ..MetricPoint::default()
    };
    // Of W&B's library from the 700th on.
    (
        point,
        Counts {
            output: seq + 1,
            wandb: (seq + 1).saturating_sub(700),
            frameworks: (seq + 1).saturating_sub(900),
            ..Counts::default()
        },
    )
}

fn points(range: std::ops::Range<u64>) -> Vec<(MetricPoint, Counts)> {
    range.map(point).collect()
}

fn opened(folder: &TempDir) -> (Spool, Recovered) {
    Spool::open(folder.path())
}

/// Returns all points that remain, in order.
async fn rest(spool: &Spool) -> Vec<u64> {
    spool.close();
    let mut found = Vec::new();
    while let Some(batch) = spool.next(Duration::ZERO).await {
        for (index, point) in batch.points.iter().enumerate() {
            assert_eq!(
                point.value,
                (batch.first_seq + index as u64) as f64,
                "each point has its own number"
            );
        }
        found.extend(batch.points.iter().map(|point| point.value as u64));
        spool.acknowledge(batch.points.len());
    }
    found
}

#[tokio::test(start_paused = true)]
async fn points_wait_for_company_or_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, _) = opened(&folder);
    spool.push(points(0..3)).await;
    let began = tokio::time::Instant::now();
    let batch = spool.next(Duration::from_secs(1)).await.unwrap();
    assert_eq!(
        (
            batch.first_seq,
            batch.points.len(),
            began.elapsed().as_secs()
        ),
        (0, 3, 1)
    );
    assert_eq!(
        spool.next(Duration::ZERO).await.unwrap(),
        batch,
        "until acknowledged it is the same"
    );
    spool.acknowledge(3);
    spool.push(points(3..103)).await;
    let batch = spool.next(Duration::from_secs(3600)).await.unwrap();
    assert_eq!((batch.first_seq, batch.points.len()), (3, 100));
    spool.acknowledge(99);
    spool.close();
    assert_eq!(
        spool
            .next(Duration::from_secs(3600))
            .await
            .unwrap()
            .first_seq,
        102
    );
    spool.acknowledge(1);
    assert_eq!(spool.next(Duration::from_secs(3600)).await, None);
}

#[tokio::test]
async fn what_a_killed_agent_had_not_sent_is_sent_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, _) = opened(&folder);
    spool.push(points(0..1500)).await;
    let batch = spool.next(Duration::ZERO).await.unwrap();
    assert_eq!(batch.points.len(), BATCH);
    spool.acknowledge(700);
    let result = FinishAttemptRequest {
        run: 7,
        request_id: "the same one".to_owned(),
        ..FinishAttemptRequest::default()
    };
    spool.keep_result(&result);
    drop(spool);
    let (spool, recovered) = opened(&folder);
    let Counts {
        output,
        wandb,
        frameworks,
        ..
    } = recovered.counts;
    assert_eq!(
        (output, wandb, frameworks, recovered.result, recovered.note),
        (1500, 800, 600, Some(result), None)
    );
    spool.push(points(1500..1510)).await;
    assert_eq!(rest(&spool).await, (700..1510).collect::<Vec<_>>());
    spool.remove();
    assert_eq!(opened(&folder).1.counts, Counts::default());
}

#[tokio::test]
async fn the_file_is_rewritten_once_most_of_it_is_spent() {
    let folder = tempfile::tempdir().unwrap();
    const KEPT: u64 = 4 << 20;
    let spool = Spool::of(Queue::open(folder.path().join(FILE), KEPT).0);
    let size = || fs::metadata(folder.path().join(FILE)).unwrap().len();
    let mut largest = 0;
    spool.push(points(0..500)).await;
    for begin in (500..400_000).step_by(1000) {
        spool.push(points(begin..begin + 1000)).await;
        // Never all of them, so that a new file has to take over some.
        let batch = spool.next(Duration::ZERO).await.unwrap();
        spool.acknowledge(batch.points.len());
        largest = largest.max(size());
    }
    assert!(largest < 2 * KEPT, "{largest}");
    assert!(
        spool.rewind(10).is_err(),
        "what was dropped cannot be sent again"
    );
    drop(spool);
    let (spool, recovered) = opened(&folder);
    assert_eq!((recovered.counts.output, recovered.note), (400_500, None));
    assert_eq!(rest(&spool).await, (400_000..400_500).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn without_a_disk_points_are_kept_in_memory_up_to_a_bound() {
    let (spool, recovered) = Spool::open(Path::new("/proc/no/such/folder"));
    assert!(recovered.note.unwrap().contains("kept in memory"));
    assert_eq!(
        spool.push(points(0..POINTS_MAX as u64)).await,
        None,
        "it has been said"
    );
    let waiting = tokio::time::timeout(Duration::from_secs(60), spool.push(points(0..1)));
    assert!(waiting.await.is_err());
    spool.acknowledge(1);
    spool.push(points(100_000..100_001)).await;
    assert_eq!(rest(&spool).await, (1..100_001).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_restored_controller_gets_what_it_lacks_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, _) = opened(&folder);
    spool.push(points(0..2500)).await;
    assert_eq!(rest(&spool).await.len(), 2500);
    assert_eq!(spool.rewind(2500), Ok(()));
    assert!(spool.is_delivered());
    assert_eq!(spool.rewind(40), Ok(()));
    let batch = spool.next(Duration::ZERO).await.unwrap();
    assert_eq!((batch.first_seq, batch.points.len()), (40, 1000));
    spool.acknowledge(7);
    drop(spool);
    let (spool, recovered) = opened(&folder);
    assert_eq!(
        (recovered.counts.output, recovered.note),
        (2500, None),
        "nothing is read again from the program's files"
    );
    assert_eq!(rest(&spool).await, (47..2500).collect::<Vec<_>>());
}

/// A step of a random test.
#[derive(Clone, Debug)]
enum Step {
    Push(u64),
    Acknowledge(usize),
    /// The controller is restored from a backup that has part of the points.
    Rewind(u64),
    /// The agent is killed.
    Reopen,
    /// The agent is killed, and this many bytes at the end of the file are lost.
    Tear(u64),
    /// The agent is killed, and a bit of the file flips.
    Flip(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u64..30).prop_map(Step::Push),
        4 => (1usize..40).prop_map(Step::Acknowledge),
        1 => (0u64..200).prop_map(Step::Rewind),
        1 => Just(Step::Reopen),
        1 => (1u64..200).prop_map(Step::Tear),
        1 => any::<u64>().prop_map(Step::Flip),
    ]
}

proptest! {
    /// After any damage, each point is sent with its own number. The points that are sent and those
    /// that are read again from the program's files have no gap.
    #[test]
    fn no_damage_makes_a_wrong_point(steps in proptest::collection::vec(any_step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(FILE);
            let (mut spool, _) = opened(&folder);
            // What the program's files hold: here each reading is a point, and its number the count
            // before it.
            let mut pushed = 0;
            for step in steps {
                match step {
                    Step::Push(count) => {
                        spool.push(points(pushed..pushed + count)).await;
                        pushed += count;
                        continue;
                    }
                    Step::Acknowledge(count) => {
                        if spool.lock().waiting() > 0 {
                            let batch = spool.next(Duration::ZERO).await.unwrap();
                            for (index, point) in batch.points.iter().enumerate() {
                                assert_eq!(point.value, (batch.first_seq + index as u64) as f64);
                            }
                            spool.acknowledge(count.min(batch.points.len()));
                        }
                        continue;
                    }
                    Step::Rewind(seq) => {
                        if spool.rewind(seq).is_ok() && seq < pushed {
                            assert!(spool.lock().acknowledged <= seq);
                        }
                        continue;
                    }
                    Step::Reopen => {}
                    Step::Tear(bytes) => {
                        let file = File::options().write(true).open(&path).unwrap();
                        let length = file.metadata().unwrap().len();
                        file.set_len(length.saturating_sub(bytes)).unwrap();
                    }
                    Step::Flip(place) => {
                        let mut bytes = fs::read(&path).unwrap();
                        if !bytes.is_empty() {
                            let bit = place % (bytes.len() as u64 * 8);
                            bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
                            fs::write(&path, bytes).unwrap();
                        }
                    }
                }
                let (again, recovered) = opened(&folder);
                spool = again;
                assert!(recovered.counts.output <= pushed);
                spool.push(points(recovered.counts.output..pushed)).await;
            }
            let from = spool.lock().acknowledged;
            assert_eq!(rest(&spool).await, (from..pushed).collect::<Vec<_>>());
        });
    }
}

/// Found by fuzzing.
#[tokio::test]
async fn a_record_with_a_right_checksum_and_a_senseless_number_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let senseless = Record::Acknowledged {
        seq: u64::MAX,
        counts: Counts::default(),
    };
    fs::write(folder.path().join(FILE), senseless.to_bytes()).unwrap();
    let (spool, recovered) = opened(&folder);
    assert!(recovered.note.unwrap().contains("was damaged after 0 of"));
    spool.push(points(0..2)).await;
    assert_eq!(rest(&spool).await, [0, 1]);
}
