//! The use of the machine by the processes of an attempt, from the files of the kernel.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::statvfs::statvfs;
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::{SysconfVar, sysconf};

use super::launch::Used;
use super::tree::Tree;

/// The names of what is told of processors and of memory.
pub(crate) const CPU: &str = "cpu_percent";
pub(crate) const MEMORY: &str = "memory_mb";

/// Looks at the processes of an attempt again and again.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// When it was last looked, and the time on processors that each process had had by then.
    last: Option<(Instant, BTreeMap<i32, u64>)>,
}

impl Usage {
    /// Makes one for processes that begin now.
    pub(crate) fn from_now() -> Self {
        Self {
            last: Some((Instant::now(), BTreeMap::new())),
        }
    }

    /// Returns what is used now, by name; of processors since the last look. Looks at the whole
    /// process table: for a blocking thread.
    pub(crate) fn look(&mut self, tree: &Tree, folder: &Path) -> Vec<(&'static str, f64)> {
        let now = Instant::now();
        let processes: BTreeMap<i32, (u64, u64)> = tree
            .living()
            .into_iter()
            .filter_map(|pid| {
                Some((
                    pid,
                    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?,
                ))
            })
            .collect();
        let mut found = Vec::new();
        if let Some((then, before)) = &self.last {
            // A process that is new has had all its time since then.
            let ticks: u64 = processes
                .iter()
                .map(|(pid, (ticks, _))| {
                    ticks.saturating_sub(before.get(pid).copied().unwrap_or(0))
                })
                .sum();
            let seconds = (now - *then).as_secs_f64();
            found.extend(
                setting(SysconfVar::CLK_TCK)
                    .filter(|_| seconds > 0.0)
                    .map(|a_second| (CPU, 100.0 * ticks as f64 / a_second / seconds)),
            );
        }
        self.last = Some((
            now,
            processes
                .iter()
                .map(|(pid, (ticks, _))| (*pid, *ticks))
                .collect(),
        ));
        let pages: u64 = processes.values().map(|(_, pages)| pages).sum();
        if !processes.is_empty() {
            found.extend(
                setting(SysconfVar::PAGE_SIZE).map(|bytes| (MEMORY, pages as f64 * bytes / 1e6)),
            );
        }
        found.extend(
            fs::read_to_string("/proc/meminfo")
                .ok()
                .and_then(|text| memory_percent(&text))
                .map(|percent| ("memory_percent", percent)),
        );
        found.extend(statvfs(folder).ok().map(|disk| {
            (
                "disk_free_gb",
                (disk.blocks_available() * disk.fragment_size()) as f64 / 1e9,
            )
        }));
        found
    }
}

/// The use of the machine by the ended children of this process, and by their children.
pub(super) struct Children {
    looked: Instant,
    time: Duration,
    bytes: Option<u64>,
}

impl Children {
    pub(super) fn so_far() -> Option<Self> {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?;
        let time = |time: TimeVal| {
            Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or(0))
        };
        let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
        let bytes = u64::try_from(usage.max_rss()).ok().map(|size| size * unit);
        Some(Self {
            looked: Instant::now(),
            time: time(usage.user_time()) + time(usage.system_time()),
            bytes,
        })
    }

    pub(super) fn since(&self, before: &Self) -> Used {
        let bytes = self.bytes.filter(|bytes| Some(*bytes) > before.bytes);
        Used {
            lived: self.looked - before.looked,
            time: self.time.saturating_sub(before.time),
            bytes,
        }
    }
}

fn setting(name: SysconfVar) -> Option<f64> {
    sysconf(name).ok().flatten().map(|value| value as f64)
}

/// The time on processors in ticks and the resident memory in pages; the name before them may hold
/// anything.
fn parse_stat(stat: &str) -> Option<(u64, u64)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some((number(11)? + number(12)?, number(21)?))
}

fn memory_percent(text: &str) -> Option<f64> {
    let of = |name: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        rest.split_ascii_whitespace().next()?.parse::<f64>().ok()
    };
    Some(100.0 * (1.0 - of("MemAvailable:")? / of("MemTotal:")?))
        .filter(|percent| percent.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_what_is_used() {
        let stat = "7 (a) 1 2 (b) S 1 7 7 0 -1 4194304 100 0 0 0 30 12 0 0 20 0 1 0 5 10000 250 18446744073709551615";
        assert_eq!(parse_stat(stat), Some((42, 250)));
        assert_eq!(parse_stat("7 (a) S 1"), None);
        assert_eq!(
            memory_percent("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\n"),
            Some(75.0)
        );
        assert_eq!(memory_percent("MemTotal: 0 kB\nMemAvailable: 0 kB\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_busy_process_is_seen() {
        use std::time::Duration;
        let mut busy = std::process::Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .unwrap();
        let tree = Tree {
            shim: std::process::id() as i32,
            marker: "no attempt".to_owned(),
            ..Tree::default()
        };
        let mut usage = Usage::default();
        usage.look(&tree, Path::new("/"));
        let began = Instant::now();
        let of = |found: &[(&str, f64)], wanted: &str| {
            found
                .iter()
                .find(|(name, _)| *name == wanted)
                .map(|(_, value)| *value)
        };
        let seen = loop {
            std::thread::sleep(Duration::from_millis(50));
            let found = usage.look(&tree, Path::new("/"));
            if of(&found, "cpu_percent").is_some_and(|percent| percent > 1.0)
                || began.elapsed() > Duration::from_secs(20)
            {
                break found;
            }
        };
        busy.kill().unwrap();
        busy.wait().unwrap();
        assert!(
            of(&seen, "cpu_percent").unwrap() > 1.0 && of(&seen, "memory_mb").unwrap() > 0.0,
            "{seen:?}"
        );
        assert!(of(&seen, "disk_free_gb").is_some() && of(&seen, "memory_percent").unwrap() > 0.0);
    }
}
