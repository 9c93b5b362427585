//! The kernel kills a program for want of memory, in a control group of the test's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Bench, by, requires};

/// The memory limit of the group: enough for the agent, and soon too little for a program that wants ever more.
const LIMIT_BYTES: &str = "134217728";

/// A control group below that of this process.
struct Group(PathBuf);

impl Group {
    /// Makes one whose memory is bounded, of either version of the kernel's interface; `None` where that is not allowed.
    fn new() -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let place = |line: &str| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            let path = path.trim_start_matches('/');
            match controllers {
                "memory" => Some((
                    Path::new("/sys/fs/cgroup/memory").join(path),
                    "memory.limit_in_bytes",
                )),
                "" => Some((Path::new("/sys/fs/cgroup").join(path), "memory.max")),
                _ => None,
            }
        };
        own.lines().filter_map(place).find_map(|(parent, limit)| {
            let group = Self(parent.join(format!("sweep-test-{}", std::process::id())));
            fs::create_dir(&group.0).ok()?;
            fs::write(group.0.join(limit), LIMIT_BYTES).ok()?;
            Some(group)
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_program_that_the_kernel_killed_is_the_configurations_fault() {
    let group = Group::new();
    if !requires(
        "cgroup",
        group.is_some(),
        "no control group can be made here",
    ) {
        return;
    }
    let Some(group) = group else { return };
    let bench = Bench::new();
    let _controller = bench.controller();
    // `tail` keeps a line until it ends, and this one never does.
    let file = "method: grid\nretry: {crashed: 0}\nmetric: {name: loss}\ncommand: [tail, /dev/zero]\nparameters: {x: {values: [1]}}\n";
    let id = bench.create(&[&bench.write("sweep.yaml", file)]);
    let mut inside = Command::new("sh");
    inside
        .args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""])
        .arg(&group.0);
    let (code, said) = bench
        .start_command(by(inside, &bench.sweep(&["agent", &id])))
        .wait();
    assert_eq!(code, 3, "nothing succeeded: {said}");
    let run = &bench.json_lines(&["runs", &id, "--json"])[0];
    let failure = &run["executions"][0]["failure"];
    assert_eq!(
        (failure["kind"].as_str(), failure["blame"].as_str()),
        (Some("out_of_memory"), Some("configuration")),
        "{failure:#}"
    );
    let evidence = failure["evidence"].as_str().unwrap_or_default();
    assert!(
        evidence.starts_with("oom_kill in /sys/fs/cgroup/")
            && evidence.contains("rose from 0 to 1"),
        "{failure:#}"
    );
    assert_eq!(failure["signal"].as_i64(), Some(9), "{failure:#}");
}
