//! Whether the machine has killed something because its memory ran out: counters of the kernel that
//! only ever grow.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The number of processes that the kernel has killed since memory ran out, with the file that
/// counts them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kills(BTreeMap<PathBuf, u64>);

impl Kills {
    /// Reads the counters of the control groups of this process, and of the whole machine. What
    /// cannot be read is left out.
    pub(crate) fn so_far() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let files = counter_files(&groups)
            .into_iter()
            .chain([PathBuf::from("/proc/vmstat")]);
        Self(
            files
                .filter_map(|file| Some((count(&fs::read_to_string(&file).ok()?)?, file)))
                .map(|(count, file)| (file, count))
                .collect(),
        )
    }

    /// Returns which counter has grown since `before`, in words.
    pub(crate) fn since(&self, before: &Self) -> Option<String> {
        let grown = |(file, count): (&PathBuf, &u64)| {
            let old = before.0.get(file).filter(|old| *old < count)?;
            Some(format!(
                "oom_kill in {} rose from {old} to {count} during the attempt",
                file.display()
            ))
        };
        // A control group says more than the whole machine, and its path comes last.
        self.0.iter().rev().find_map(grown)
    }
}

/// Returns where the counters of the control groups lie: lines `0::/path` (version 2) and
/// `7:memory:/path` (version 1).
fn counter_files(groups: &str) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let file = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
        match controllers {
            "" => Some(root.join(path).join("memory.events")),
            list if list.split(',').any(|name| name == "memory") => {
                Some(root.join("memory").join(path).join("memory.oom_control"))
            }
            _ => None,
        }
    };
    groups.lines().filter_map(file).collect()
}

fn count(text: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_both_versions_are_found() {
        let files = counter_files("0::/user.slice/a.scope\n7:memory:/docker/1\n5:cpu,cpuacct:/\n");
        let expected = [
            "/sys/fs/cgroup/user.slice/a.scope/memory.events",
            "/sys/fs/cgroup/memory/docker/1/memory.oom_control",
        ];
        assert_eq!(files, expected.map(PathBuf::from));
        assert_eq!(
            count("low 0\noom 3\noom_kill 2\noom_group_kill 0\n"),
            Some(2)
        );
        assert_eq!(count("low 0\n"), None);
    }

    #[test]
    fn a_counter_that_grew_is_named() {
        let kills = |count| Kills(BTreeMap::from([(PathBuf::from("/proc/vmstat"), count)]));
        assert_eq!(
            kills(4).since(&kills(3)).unwrap(),
            "oom_kill in /proc/vmstat rose from 3 to 4 during the attempt"
        );
        assert_eq!(kills(4).since(&kills(4)), None);
        assert_eq!(
            kills(4).since(&Kills::default()),
            None,
            "without a count before there is no evidence"
        );
    }
}
