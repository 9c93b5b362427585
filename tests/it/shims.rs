//! A shim that is killed while its agent lives: the program and everything that it has started are ended all the same.

use std::fs;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::{Bench, Running, by, requires, wait_for};

/// Starts an agent on a program that has started a daemon: it has cleared its environment, left its session and outlived its parent. Returns the agent and the
/// pid of the daemon.
fn with_daemon(bench: &Bench, wrapper: Option<Command>) -> (Running, i32, String) {
    let daemon = bench.write("daemon.sh", "echo $$ >\"$1\"\nexec sleep 100000\n");
    let text = format!(
        "method: grid\nmetric: {{name: loss}}\ncommand: [sh, {program}]\nparameters:\n  x: {{values: [1]}}\nretry: {{crashed: 0, lost: 0, machine: 0}}\n",
        program = bench.write(
            "program.sh",
            &format!(
                "env -i \"$(command -v setsid)\" sh -c 'sh {daemon} {pid} & exit 0' &\nuntil test -s {pid}; do sleep 0.05; done\nsleep 100000\n",
                pid = bench.path("pid").display()
            )
        ),
    );
    let id = bench.create(&[&bench.write("sweep.yaml", &text)]);
    let agent = bench.sweep(&["agent", &id, "--count", "1"]);
    let agent = match wrapper {
        Some(wrapper) => bench.start_command(by(wrapper, &agent)),
        None => bench.start_command(agent),
    };
    let pid = wait_for("the daemon", || {
        bench
            .lines("pid")
            .first()
            .and_then(|line| line.trim().parse().ok())
    });
    wait_for("the end of its parents", || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let parent: i32 = status
            .lines()
            .find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())?;
        let name = fs::read_to_string(format!("/proc/{parent}/comm")).ok()?;
        (name.trim() == "sweep-shim").then_some(())
    });
    let environment = fs::read(format!("/proc/{pid}/environ")).expect("it runs");
    assert!(
        !String::from_utf8_lossy(&environment).contains("SWEEP"),
        "the daemon has a marker"
    );
    (agent, pid, id)
}

fn kill_shim(bench: &Bench) {
    let shim = bench
        .processes()
        .into_iter()
        .find(|process| process.name == "sweep-shim")
        .expect("it looks after the attempt");
    kill(Pid::from_raw(shim.pid), Signal::SIGKILL).expect("it runs");
}

fn is_gone(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None).is_err()
}

#[test]
fn a_daemon_is_found_after_its_shim_was_killed() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let (agent, daemon, id) = with_daemon(&bench, None);
    kill_shim(&bench);
    let (_, output) = agent.wait();
    assert!(is_gone(daemon), "{output}");
    assert!(
        output
            .contains("(sweep-shim) was killed: the program is ended, and all that it has started"),
        "{output}"
    );
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert_ne!(runs[0]["state"], "running", "{runs:?}");
}

#[test]
fn a_daemon_is_found_after_its_shim_was_killed_where_no_cgroup_can_be_made() {
    let script = "for m in $(awk '$0 ~ / - cgroup2 / {print $5}' /proc/self/mountinfo); do umount -l \"$m\" || exit 1; done; exec \"$@\"";
    let unshare = || {
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "sh", "-c", script, "sh"]);
        unshare
    };
    let works = unshare()
        .arg("true")
        .output()
        .is_ok_and(|output| output.status.success());
    if !requires(
        "root",
        works,
        "only root may take the cgroups away from a process",
    ) {
        return;
    }
    let bench = Bench::new();
    let _controller = bench.controller();
    let (agent, daemon, _) = with_daemon(&bench, Some(unshare()));
    kill_shim(&bench);
    let (_, output) = agent.wait();
    assert!(is_gone(daemon), "{output}");
    assert!(output.contains("(sweep-shim) was killed"), "{output}");
}

#[test]
fn nothing_of_a_cgroup_is_left_behind() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let (agent, daemon, id) = with_daemon(&bench, None);
    let recorded = bench.path("state/sweep").join(&id).join("1/1/cgroup");
    let cgroup = fs::read_to_string(recorded).ok();
    if !requires(
        "cgroup2",
        cgroup.is_some(),
        "no cgroup of version 2 can be made here",
    ) {
        kill(Pid::from_raw(daemon), Signal::SIGKILL).expect("it runs");
        return;
    }
    let cgroup = cgroup.expect("it was looked at");
    let inside = fs::read_to_string(format!("{cgroup}/cgroup.procs")).expect("it exists");
    assert!(
        inside.lines().any(|line| line == daemon.to_string()),
        "{inside}"
    );
    bench.ok(&["cancel", &id]);
    agent.wait();
    wait_for("the end of the cgroup", || {
        (!std::path::Path::new(&cgroup).exists()).then_some(())
    });
    assert!(is_gone(daemon));
}

#[test]
fn an_agent_that_took_over_says_when_it_may_not_find_everything() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let (agent, daemon, id) = with_daemon(&bench, None);
    agent.kill();
    // As where no cgroup may be made.
    let has_cgroup = bench.path("state/sweep").join(&id).join("1/1/cgroup");
    let _ = fs::remove_file(has_cgroup);
    let second = bench.start(&["agent", &id, "--count", "1"]);
    wait_for("the takeover", || {
        second.output().contains("taken over").then_some(())
    });
    kill_shim(&bench);
    wait_for("a word", || {
        second
            .output()
            .contains("this agent did not start it")
            .then_some(())
    });
    assert!(
        second.output().contains("look for one with `ps`"),
        "{}",
        second.output()
    );
    if !is_gone(daemon) {
        kill(Pid::from_raw(daemon), Signal::SIGKILL).expect("it runs");
    }
}
