//! Metrics of one attempt that the controller has not acknowledged, in order. Bounded: whoever fills it waits, and since programs write to
//! files, they do not. This first layer is in memory; what comes in its place keeps these five doors.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sweep_proto::v1::MetricPoint;
use tokio::sync::Notify;

/// Points sent at once.
pub(crate) const BATCH: usize = 1000;
/// So many points are sent without waiting for more.
const FULL_BATCH: usize = 100;
/// Points kept at most.
const POINTS_MAX: usize = 100_000;

/// The queue of one attempt.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    queue: Mutex<Queue>,
    changed: Notify,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    points: VecDeque<MetricPoint>,
    /// The number of the first point in its attempt.
    first_seq: u64,
    closed: bool,
}

/// Points to be sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Batch {
    /// The number of the first one in its attempt.
    pub(crate) first_seq: u64,
    /// In order; never empty.
    pub(crate) points: Vec<MetricPoint>,
}

impl Spool {
    /// Adds points; waits while there is no room.
    pub(crate) async fn push(&self, points: Vec<MetricPoint>) {
        while self.lock().points.len() >= POINTS_MAX {
            self.freed.notified().await;
        }
        self.lock().points.extend(points);
        self.changed.notify_one();
    }

    /// Says that no more points will come.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Waits until there are points worth a call: many, or any once `patience` is over, or the last ones. `None`: all are acknowledged and no
    /// more will come.
    pub(crate) async fn next(&self, patience: Duration) -> Option<Batch> {
        let patience = tokio::time::sleep(patience);
        tokio::pin!(patience);
        loop {
            {
                let queue = self.lock();
                let many = queue.points.len() >= FULL_BATCH;
                if queue.closed && queue.points.is_empty() {
                    return None;
                }
                if many || queue.closed || (patience.is_elapsed() && !queue.points.is_empty()) {
                    let points = queue.points.iter().take(BATCH).cloned().collect();
                    return Some(Batch { first_seq: queue.first_seq, points });
                }
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = &mut patience, if !patience.is_elapsed() => {}
            }
        }
    }

    /// Drops the first `count` points: the controller has them.
    pub(crate) fn acknowledge(&self, count: usize) {
        let mut queue = self.lock();
        let count = count.min(queue.points.len());
        queue.points.drain(..count);
        queue.first_seq += count as u64;
        self.freed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(count: usize) -> Vec<MetricPoint> {
        (0..count).map(|index| MetricPoint { name: "loss".to_owned(), value: index as f64, ..MetricPoint::default() }).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn points_wait_for_company_or_the_end() {
        let spool = Spool::default();
        spool.push(points(3)).await;
        let began = tokio::time::Instant::now();
        let batch = spool.next(Duration::from_secs(1)).await.unwrap();
        assert_eq!((batch.first_seq, batch.points.len(), began.elapsed().as_secs()), (0, 3, 1));
        assert_eq!(spool.next(Duration::ZERO).await.unwrap(), batch, "until acknowledged it is the same");
        spool.acknowledge(3);
        spool.push(points(FULL_BATCH)).await;
        let batch = spool.next(Duration::from_secs(3600)).await.unwrap();
        assert_eq!((batch.first_seq, batch.points.len()), (3, FULL_BATCH));
        spool.acknowledge(99);
        spool.close();
        assert_eq!(spool.next(Duration::from_secs(3600)).await.unwrap().first_seq, 102);
        spool.acknowledge(1);
        assert_eq!(spool.next(Duration::from_secs(3600)).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_spool_makes_its_filler_wait() {
        let spool = Spool::default();
        spool.push(points(POINTS_MAX)).await;
        let waiting = tokio::time::timeout(Duration::from_secs(60), spool.push(points(1)));
        assert!(waiting.await.is_err());
        spool.acknowledge(1);
        spool.push(points(1)).await;
    }
}
