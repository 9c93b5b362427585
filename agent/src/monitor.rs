//! The use of the machine by a running attempt, as metrics under `system/`. They are no sign that a
//! program makes progress, and never replace its own metrics.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::gpu::GpuDriver;
use crate::intake::Reading;
use crate::process::launch::Used;
use crate::process::tree::Tree;
use crate::process::usage::{CPU, MEMORY, Usage};

/// The prefix of their names.
pub(crate) const PREFIX: &str = "system/";
/// When it is first looked: most of what is of interest has begun by then, and short runs have not
/// ended.
const FIRST: Duration = Duration::from_secs(1);
/// From one look to the next.
const EVERY: Duration = Duration::from_secs(10);

/// Looks at one attempt again and again.
#[derive(Debug)]
pub(crate) struct Monitor {
    driver: Arc<dyn GpuDriver>,
    /// Those that the attempt may use.
    gpus: Vec<String>,
    /// Of this folder's disk it is said how much is free.
    folder: PathBuf,
    usage: Arc<Mutex<Usage>>,
    next: Instant,
    /// Whether it was looked.
    looked: bool,
}

impl Monitor {
    /// Makes one. `is_new`: the program has just been started.
    pub(crate) fn new(
        driver: Arc<dyn GpuDriver>,
        gpus: Vec<String>,
        folder: PathBuf,
        is_new: bool,
    ) -> Self {
        let usage = if is_new {
            Usage::from_now()
        } else {
            Usage::default()
        };
        Self {
            driver,
            gpus,
            folder,
            usage: Arc::new(Mutex::new(usage)),
            next: Instant::now() + FIRST,
            looked: !is_new,
        }
    }

    /// Returns what is used now, where it is time to look, without what the program reports by the
    /// same name.
    pub(crate) async fn look(&mut self, tree: &Tree, theirs: &BTreeSet<String>) -> Vec<Reading> {
        let now = Instant::now();
        if now < self.next {
            return Vec::new();
        }
        (self.next, self.looked) = (now + EVERY, true);
        readings(self.see(tree).await, theirs)
    }

    /// Returns what a program has used that has ended before it was looked once, without what it
    /// reports by the same name.
    pub(crate) async fn last(
        &mut self,
        tree: &Tree,
        used: Used,
        theirs: &BTreeSet<String>,
    ) -> Vec<Reading> {
        if std::mem::replace(&mut self.looked, true) {
            return Vec::new();
        }
        let percent = 100.0 * used.time.as_secs_f64() / used.lived.as_secs_f64();
        let mut seen = self.see(tree).await;
        // Its processes are gone.
        seen.retain(|(name, _)| name != CPU && name != MEMORY);
        seen.push((CPU.to_owned(), percent));
        seen.extend(
            used.bytes
                .map(|bytes| (MEMORY.to_owned(), bytes as f64 / 1e6)),
        );
        readings(seen, theirs)
    }

    async fn see(&self, tree: &Tree) -> Vec<(String, f64)> {
        let (driver, gpus, folder, usage) = (
            Arc::clone(&self.driver),
            self.gpus.clone(),
            self.folder.clone(),
            Arc::clone(&self.usage),
        );
        let tree = tree.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let mut usage = usage.lock().unwrap_or_else(PoisonError::into_inner);
            seen(&mut usage, &tree, &folder, &*driver, &gpus)
        });
        looking.await.unwrap_or_default()
    }
}

fn readings(seen: Vec<(String, f64)>, theirs: &BTreeSet<String>) -> Vec<Reading> {
    let reading = |(name, value): (String, f64)| Reading {
        name: format!("{PREFIX}{name}"),
        step: None,
        value,
    };
    seen.into_iter()
        .map(reading)
        .filter(|reading| reading.value.is_finite() && !theirs.contains(&reading.name))
        .collect()
}

fn seen(
    usage: &mut Usage,
    tree: &Tree,
    folder: &Path,
    driver: &dyn GpuDriver,
    gpus: &[String],
) -> Vec<(String, f64)> {
    let mut found: Vec<_> = usage
        .look(tree, folder)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    for (index, gpu) in gpus.iter().enumerate() {
        // With one there is nothing to number.
        let name = |what: &str| {
            if gpus.len() == 1 {
                format!("gpu_{what}")
            } else {
                format!("gpu.{index}.{what}")
            }
        };
        found.extend(
            driver
                .busy(gpu)
                .map(|percent| (name("percent"), f64::from(percent))),
        );
        found.extend(
            driver
                .in_use(gpu)
                .map(|in_use| (name("memory_mb"), in_use.bytes as f64 / 1e6)),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::paper::Paper;

    fn names(gpus: &[&str]) -> Vec<String> {
        let tree = Tree {
            marker: "no attempt".to_owned(),
            ..Tree::default()
        };
        let gpus: Vec<_> = gpus.iter().map(|gpu| (*gpu).to_owned()).collect();
        let found = seen(
            &mut Usage::default(),
            &tree,
            Path::new("/"),
            &Paper(&[(1, 0), (2, 0)]),
            &gpus,
        );
        found
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| name.starts_with("gpu"))
            .collect()
    }

    #[test]
    fn several_gpus_are_numbered_within_the_slot() {
        assert_eq!(names(&["1"]), ["gpu_memory_mb"]);
        assert_eq!(names(&["0", "1"]), ["gpu.0.memory_mb", "gpu.1.memory_mb"]);
        assert!(names(&[]).is_empty());
    }

    #[tokio::test]
    async fn what_a_program_reports_itself_is_left_to_it() {
        let tree = Tree {
            marker: "no attempt".to_owned(),
            ..Tree::default()
        };
        let mut monitor = Monitor::new(Arc::new(Paper(&[])), Vec::new(), PathBuf::from("/"), true);
        let theirs = BTreeSet::from(["system/disk_free_gb".to_owned()]);
        assert!(
            monitor.look(&tree, &theirs).await.is_empty(),
            "it is too early"
        );
        monitor.next = Instant::now();
        let seen = monitor.look(&tree, &theirs).await;
        assert!(
            !seen.iter().any(|reading| theirs.contains(&reading.name)),
            "{seen:?}"
        );
        assert!(seen.iter().all(|reading| reading.name.starts_with(PREFIX)));
    }

    #[tokio::test]
    async fn a_program_that_has_ended_before_the_first_look_has_used_something_all_the_same() {
        let tree = Tree {
            marker: "no attempt".to_owned(),
            ..Tree::default()
        };
        let mut monitor = Monitor::new(Arc::new(Paper(&[])), Vec::new(), PathBuf::from("/"), true);
        let used = Used {
            lived: Duration::from_millis(200),
            time: Duration::from_millis(300),
            bytes: Some(5_000_000),
        };
        let theirs = BTreeSet::from(["system/disk_free_gb".to_owned()]);
        let seen = monitor.last(&tree, used, &theirs).await;
        let of = |name: &str| {
            seen.iter()
                .find(|reading| reading.name == name)
                .map(|reading| reading.value)
        };
        assert_eq!(
            (of("system/cpu_percent"), of("system/memory_mb")),
            (Some(150.0), Some(5.0)),
            "{seen:?}"
        );
        assert_eq!(of("system/disk_free_gb"), None);
        assert!(
            monitor.last(&tree, used, &theirs).await.is_empty(),
            "once is enough"
        );
    }
}
