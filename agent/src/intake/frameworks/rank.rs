//! Programs that train in several processes, and in which each of them begins a run of W&B's
//! library: the run of the lowest rank is read.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::found_file::FoundFile;
use crate::private;

/// Variables by which launchers (torchrun, Lightning, Slurm, Open MPI) tell their processes apart.
const VARIABLES: [&str; 4] = ["RANK", "LOCAL_RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"];
/// How long a file of a higher rank waits for one of a lower rank. The ranks begin their runs
/// together, and some programs log from the last rank alone.
const PATIENCE: Duration = Duration::from_secs(5);
/// The environment of a process is read up to this length.
const ENVIRONMENT_BYTES_MAX: u64 = 4 << 20;
/// Each line of the log names the process.
const LOG_BYTES_MAX: u64 = 8 << 10;

/// The warning where several ranks write one file.
pub(crate) const CONTESTED: &str = "several processes of the program call wandb.init in the same second, and W&B's library has them overwrite each other's \
    file: its values may be of any of them; call wandb.init in rank 0 alone, or start the ranks with a launcher (torchrun, accelerate, srun)";

/// Returns the rank of a process; `None` also where all processes of the agent have the same one,
/// as its own launcher has given it.
pub(crate) fn of(pid: i32) -> Option<u32> {
    if cfg!(not(target_os = "linux")) {
        return None;
    }
    let mut environment = Vec::new();
    let file = std::fs::File::open(format!("/proc/{pid}/environ")).ok()?;
    file.take(ENVIRONMENT_BYTES_MAX)
        .read_to_end(&mut environment)
        .ok()?;
    rank_in(&environment, |name| std::env::var(name).ok())
}

fn rank_in(environment: &[u8], own: impl Fn(&str) -> Option<String>) -> Option<u32> {
    let variables = || {
        environment
            .split(|byte| *byte == 0)
            .filter_map(|entry| std::str::from_utf8(entry).ok()?.split_once('='))
    };
    let mut given = VARIABLES
        .iter()
        .filter_map(|name| variables().find(|(found, _)| found == name));
    given.find_map(|(name, value)| {
        value
            .parse()
            .ok()
            .filter(|_| own(name).is_none_or(|own| own != value))
    })
}

/// Returns the process that a closed file of W&B's library is from, by the log beside it.
pub(crate) fn process_of_log(path: &Path) -> Option<i32> {
    process_in(&log_beside(path)?)
}

/// Returns whether several processes have begun a run in the folder of a file of W&B's library.
pub(crate) fn is_of_several(path: &Path) -> bool {
    log_beside(path).is_some_and(|log| beginners_in(&log).len() > 1)
}

fn log_beside(path: &Path) -> Option<String> {
    let log = private::open_of_program(&path.parent()?.join("logs/debug.log")).ok()?;
    let mut text = Vec::new();
    log.take(LOG_BYTES_MAX).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// Returns the processes that have called `wandb.init`, by their numbers.
fn beginners_in(log: &str) -> BTreeSet<&str> {
    let begun = log
        .lines()
        .filter_map(|line| line.split_once(" [wandb_init.py:"));
    begun
        .filter_map(|(before, _)| Some(before.rsplit_once(':')?.1))
        .filter(|process| process.parse::<i32>().is_ok())
        .collect()
}

/// `2026-11-30 02:47:14,222 INFO    MainThread:5690 [wandb_init.py:init():784] calling init
/// triggers`
fn process_in(log: &str) -> Option<i32> {
    let threads = log
        .lines()
        .filter_map(|line| line.split_once(" [")?.0.rsplit_once(':'));
    threads
        .into_iter()
        .find_map(|(_, process)| process.parse().ok())
}

/// Chooses the files of one rank.
#[derive(Debug, Default)]
pub(crate) struct Ranks {
    /// The rank whose files are read.
    chosen: Option<u32>,
    /// A file without a rank is read: a launcher may give the first process none.
    has_unranked: bool,
    /// Files of other ranks.
    others: Vec<Other>,
}

#[derive(Debug)]
struct Other {
    path: PathBuf,
    rank: u32,
    since: Instant,
}

/// How a file is classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Read,
    /// It is left out, unless no lower rank begins a run.
    LeftOut,
}

impl Ranks {
    /// Chooses whether a new file is read.
    pub(crate) fn choose(&mut self, file: &FoundFile) -> Choice {
        let Some(rank) = file.rank else {
            self.has_unranked = true;
            return Choice::Read;
        };
        let is_first = rank == 0 && self.chosen.is_none();
        if is_first || self.chosen == Some(rank) {
            self.chosen = Some(rank);
            return Choice::Read;
        }
        self.leave_out(file.path.clone(), rank);
        Choice::LeftOut
    }

    /// Takes over what an agent before this one has chosen.
    pub(crate) fn restore(&mut self, path: &Path, rank: Option<u32>, choice: Choice) {
        match (rank, choice) {
            (Some(rank), Choice::LeftOut) => self.leave_out(path.to_owned(), rank),
            (Some(rank), Choice::Read) => {
                self.chosen = Some(rank);
                self.others.retain(|other| other.path != path);
            }
            (None, _) => self.has_unranked = true,
        }
    }

    fn leave_out(&mut self, path: PathBuf, rank: u32) {
        self.others.push(Other {
            path,
            rank,
            since: Instant::now(),
        });
    }

    /// Returns the files of the lowest rank, where that is not 0 and the others have had time to
    /// begin runs. With `last`, none will.
    pub(crate) fn late(&mut self, last: bool) -> Vec<(PathBuf, u32)> {
        let is_settled = last
            || self
                .others
                .first()
                .is_some_and(|first| first.since.elapsed() >= PATIENCE);
        if self.chosen.is_some() || self.has_unranked || !is_settled {
            return Vec::new();
        }
        self.chosen = self.others.iter().map(|other| other.rank).min();
        let (chosen, others) = std::mem::take(&mut self.others)
            .into_iter()
            .partition(|other| Some(other.rank) == self.chosen);
        self.others = others;
        chosen
            .into_iter()
            .map(|other: Other| (other.path, other.rank))
            .collect()
    }

    /// Returns what the user should know.
    pub(crate) fn remark(&self) -> Option<String> {
        if let Some(rank) = self.chosen
            && rank > 0
            && self.others.is_empty()
        {
            return Some(format!(
                "the run of rank {rank} of the program is read: none of a lower rank was found"
            ));
        }
        if self.others.is_empty() || (self.chosen.is_none() && !self.has_unranked) {
            return None;
        }
        let rank = self.chosen.unwrap_or_default();
        Some(format!(
            "every rank of the program calls wandb.init: the run of rank {rank} is read, those of other ranks are not"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::kind::FrameworkFileKind;
    use super::*;

    fn file(name: &str, rank: Option<u32>) -> FoundFile {
        FoundFile {
            path: name.into(),
            kind: FrameworkFileKind::Wandb,
            is_named: false,
            rank,
        }
    }

    #[test]
    fn the_rank_is_what_a_launcher_gives_its_processes() {
        let rank = |environment: &str, own: &str| {
            rank_in(environment.replace(' ', "\0").as_bytes(), |name| {
                own.strip_prefix(name)?.strip_prefix('=').map(str::to_owned)
            })
        };
        assert_eq!(rank("HOME=/ LOCAL_RANK=1 RANK=5", ""), Some(5));
        assert_eq!(rank("LOCAL_RANK=1 SLURM_PROCID=0", ""), Some(1));
        assert_eq!(rank("RANK=x SLURM_PROCID=2", ""), Some(2));
        assert_eq!(
            rank("SLURM_PROCID=3", "SLURM_PROCID=3"),
            None,
            "the agent's own launcher gave it"
        );
        assert_eq!(rank("SLURM_PROCID=2", "SLURM_PROCID=3"), Some(2));
        assert_eq!(rank("MY_RANK=2", ""), None);
    }

    #[test]
    fn the_log_of_a_run_names_its_process() {
        let line = "2026-11-30 02:47:14,222 INFO    MainThread:5690 [wandb_init.py:init():784] calling init triggers\nconfig: {'a': [1]}\n";
        assert_eq!(process_in(line), Some(5690));
        assert_eq!(process_in(&format!("cut [x\n{line}")), Some(5690));
        assert_eq!(process_in("nothing"), None);
    }

    #[test]
    fn the_log_of_a_run_names_all_processes_that_have_begun_it() {
        let line = |process: i32, file: &str| {
            format!("2026-11-30 02:47:14,222 INFO    MainThread:{process} [{file}:init():784] x\n")
        };
        let one = line(8876, "wandb_init.py").repeat(2) + &line(9000, "wandb_run.py");
        assert_eq!(beginners_in(&one).len(), 1, "a process that it has forked");
        assert_eq!(beginners_in(&(one + &line(8877, "wandb_init.py"))).len(), 2);
    }

    #[test]
    fn a_single_rank_that_is_not_0_is_named() {
        let mut ranks = Ranks::default();
        ranks.choose(&file("b", Some(2)));
        assert_eq!(ranks.remark(), None);
        assert_eq!(ranks.late(true).len(), 1);
        assert!(
            ranks
                .remark()
                .is_some_and(|remark| remark.contains("the run of rank 2"))
        );
    }

    #[test]
    fn rank_0_is_read_whichever_begins_first() {
        let mut ranks = Ranks::default();
        assert_eq!(ranks.choose(&file("b", Some(1))), Choice::LeftOut);
        assert_eq!(
            (ranks.late(false), ranks.remark()),
            (vec![], None),
            "it may still begin"
        );
        assert_eq!(ranks.choose(&file("a", Some(0))), Choice::Read);
        assert_eq!(ranks.choose(&file("c", Some(2))), Choice::LeftOut);
        assert_eq!(
            ranks.choose(&file("d", Some(0))),
            Choice::Read,
            "its second run"
        );
        assert_eq!(ranks.late(true), []);
        assert!(
            ranks
                .remark()
                .is_some_and(|remark| remark.contains("rank 0 is read"))
        );
    }

    #[test]
    fn without_rank_0_the_lowest_is_read() {
        let mut ranks = Ranks::default();
        ranks.choose(&file("c", Some(7)));
        ranks.choose(&file("b", Some(3)));
        assert_eq!(ranks.late(true), [(PathBuf::from("b"), 3)]);
        let mut again = Ranks::default();
        again.restore(Path::new("c"), Some(7), Choice::LeftOut);
        again.restore(Path::new("b"), Some(3), Choice::LeftOut);
        again.restore(Path::new("b"), Some(3), Choice::Read);
        for mut ranks in [ranks, again] {
            assert_eq!(ranks.late(true), []);
            assert_eq!(ranks.choose(&file("d", Some(3))), Choice::Read);
            assert!(
                ranks
                    .remark()
                    .is_some_and(|remark| remark.contains("rank 3 is read"))
            );
        }
    }

    #[test]
    fn a_first_process_without_a_rank_counts_as_rank_0() {
        let mut ranks = Ranks::default();
        assert_eq!(ranks.choose(&file("b", Some(1))), Choice::LeftOut);
        assert_eq!(ranks.choose(&file("a", None)), Choice::Read);
        assert_eq!(ranks.late(true), []);
        assert!(ranks.remark().is_some());
    }
}
