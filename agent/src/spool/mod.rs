//! Metrics of one attempt, in order, and the attempt's result: on disk, so that neither a
//! controller that is away for hours, nor one that is restored from a backup, nor an agent that is
//! killed loses any. Acknowledged points stay until the attempt ends: a restored controller asks
//! for them again.
//!
//! The file is a row of records, each with its length and a checksum. What a crash has torn, and
//! everything behind it, is cut off when the file is opened: the program's own files still have it,
//! and are read again from there. What waits in it is bounded: its writers wait, and since programs
//! write to files, they do not. While the disk is full, points are kept in memory, up to a bound.

mod queue;
mod record;

use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sweep_proto::v1::{FinishAttemptRequest, MetricPoint};
use tokio::sync::Notify;

use self::queue::Queue;
pub(crate) use self::queue::{PointBatch, Recovered};
pub(crate) use self::record::Counts;
use self::record::Record;

/// Points that are sent without waiting for more.
const FULL_BATCH: u64 = 100;
/// Acknowledged records that are kept for a controller that is restored from a backup; beyond that
/// they are dropped.
const KEPT_BYTES_MAX: u64 = 256 << 20;
/// Its name in the attempt's folder.
const FILE: &str = "spool.log";

/// The queue of one attempt.
#[derive(Debug)]
pub(crate) struct Spool {
    queue: Mutex<Queue>,
    changed: Notify,
    freed: Notify,
}

impl Spool {
    /// Opens the spool in an attempt's folder, with what a process before this one has left there.
    pub(crate) fn open(folder: &Path) -> (Self, Recovered) {
        let (queue, recovered) = Queue::open(folder.join(FILE), KEPT_BYTES_MAX);
        (Self::of(queue), recovered)
    }

    fn of(queue: Queue) -> Self {
        Self {
            queue: Mutex::new(queue),
            changed: Notify::new(),
            freed: Notify::new(),
        }
    }

    /// Adds points, each with the counts after it; waits while there is no room. Returns what a
    /// person should know.
    pub(crate) async fn push(&self, points: Vec<(MetricPoint, Counts)>) -> Option<String> {
        while self.lock().is_full() {
            self.freed.notified().await;
        }
        let complaint = self.lock().push(points);
        self.changed.notify_one();
        complaint
    }

    /// Says that no more points will come.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Waits until there are points worth a call: many, or any once `patience` is over, or the last
    /// ones. `None`: all are acknowledged and no more will come.
    pub(crate) async fn next(&self, patience: Duration) -> Option<PointBatch> {
        let patience = tokio::time::sleep(patience);
        tokio::pin!(patience);
        loop {
            {
                let mut queue = self.lock();
                let waiting = queue.waiting();
                if queue.closed && waiting == 0 {
                    return None;
                }
                if waiting > 0 && (waiting >= FULL_BATCH || queue.closed || patience.is_elapsed()) {
                    if let Some(batch) = queue.batch() {
                        return Some(batch);
                    }
                    continue;
                }
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = &mut patience, if !patience.is_elapsed() => {}
            }
        }
    }

    /// Forgets the first `count` points: the controller has them.
    pub(crate) fn acknowledge(&self, count: usize) {
        self.lock().acknowledge(count as u64);
        self.freed.notify_one();
    }

    /// Marks the points before number `seq` as acknowledged.
    pub(crate) fn acknowledge_until(&self, seq: u64) {
        let mut queue = self.lock();
        let count = seq.saturating_sub(queue.acknowledged);
        queue.acknowledge(count);
        drop(queue);
        self.freed.notify_one();
    }

    /// Sends points again from number `seq` on: the controller has only those before it.
    ///
    /// # Errors
    /// Points that the controller lacks are no longer kept: how many.
    pub(crate) fn rewind(&self, seq: u64) -> Result<(), u64> {
        let rewound = self.lock().rewind(seq);
        self.changed.notify_one();
        rewound
    }

    /// Returns how many points have come.
    pub(crate) fn count(&self) -> u64 {
        let queue = self.lock();
        queue.acknowledged + queue.waiting()
    }

    /// Returns whether each point that has come is acknowledged.
    pub(crate) fn is_delivered(&self) -> bool {
        self.lock().waiting() == 0
    }

    /// Keeps the attempt's result until [`Spool::remove`].
    pub(crate) fn keep_result(&self, result: &FinishAttemptRequest) {
        // Without it, an agent that is killed right now finds out once more how the program ended.
        let _ = self.lock().append(&Record::Result(result.clone()));
    }

    /// Removes the file: the controller has the result.
    pub(crate) fn remove(&self) {
        let mut queue = self.lock();
        queue.file = None;
        if let Err(error) = fs::remove_file(&queue.path) {
            tracing::debug!(%error, path = %queue.path.display(), "a spool that is no longer needed cannot be removed");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
