//! Which process is meant, long after its number may have been given to another one.

use std::fs;
use std::time::Duration;

use nix::sys::signal::kill;
use nix::unistd::{Pid, SysconfVar, sysconf};
use serde::{Deserialize, Serialize};

/// One process of one boot of one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    /// Its number.
    pub(crate) pid: i32,
    /// When it began, in clock ticks since the machine did; 0 where that cannot be known.
    start: u64,
    /// Which boot of the machine; empty where that cannot be known.
    boot: String,
}

impl ProcessId {
    /// Returns this process.
    pub(crate) fn own() -> Self {
        let pid = Pid::this().as_raw();
        Self {
            pid,
            start: start_of(pid).unwrap_or_default(),
            boot: boot(),
        }
    }

    /// Returns a process that never lived.
    pub(crate) fn none() -> Self {
        Self {
            pid: 0,
            start: 0,
            boot: "none".to_owned(),
        }
    }

    /// Returns whether it was started on this machine since the machine was.
    pub(crate) fn is_of_this_boot(&self) -> bool {
        self.boot == boot()
    }

    /// Returns whether it lives: neither has it ended, nor is its number reused.
    pub(crate) fn is_alive(&self) -> bool {
        if self.boot != boot() || kill(Pid::from_raw(self.pid), None).is_err() {
            return false;
        }
        match start_of(self.pid) {
            Some(start) => start == self.start,
            // A zombie has ended, and without /proc all that is known is that something has its
            // number.
            None => self.start == 0,
        }
    }

    /// Returns when it began, in clock ticks since the machine did; 0 where that cannot be known.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Returns how long ago it began, as far as that can be known.
    pub(crate) fn age(&self) -> Duration {
        let ticks = sysconf(SysconfVar::CLK_TCK)
            .ok()
            .flatten()
            .and_then(|ticks| u32::try_from(ticks).ok())
            .unwrap_or(100);
        let began =
            Duration::from_millis(self.start.saturating_mul(1000) / u64::from(ticks.max(1)));
        let uptime = fs::read_to_string("/proc/uptime")
            .ok()
            .and_then(|text| text.split(' ').next()?.parse().ok());
        uptime.map_or(Duration::ZERO, |seconds: f64| {
            Duration::from_secs_f64(seconds.max(0.0)).saturating_sub(began)
        })
    }
}

/// `pid (name) state ppid pgrp session …`, the name being anything; the start is the 22nd field.
fn start_of(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let dead = matches!(fields.next()?, "Z" | "X");
    let start = fields.nth(18)?.parse().ok()?;
    (!dead).then_some(start)
}

/// Returns the name of this machine.
pub(crate) fn host_name() -> String {
    nix::unistd::gethostname().map_or_else(
        |_| "unknown".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_alive_until_it_ends_or_its_number_is_another_ones() {
        let own = ProcessId::own();
        assert!(own.is_alive() && own.start > 0 && !own.boot.is_empty());
        assert!(own.age() < Duration::from_secs(3600));
        assert!(
            !ProcessId {
                start: own.start + 1,
                ..own.clone()
            }
            .is_alive(),
            "its number was given away"
        );
        assert!(
            !ProcessId {
                boot: "another".to_owned(),
                ..own
            }
            .is_alive(),
            "the machine was restarted"
        );
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let dead = ProcessId {
            pid,
            start: start_of(pid).unwrap_or(1),
            boot: boot(),
        };
        child.wait().unwrap();
        assert!(!dead.is_alive());
    }
}
