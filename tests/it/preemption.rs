//! Schedulers signal agents and programs: what is a preemption, what passes through, what agents say to schedulers as they end.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::harness::{Bench, Running, by, trainer, wait_for};

fn create(bench: &Bench, program: &str, points: usize) -> String {
    let text = format!(
        "method: grid
metric: {{name: loss, goal: minimize}}
command: [sh, {}, --steps=3]
retry: {{lost: 0, crashed: 0, machine: 0}}
parameters:
  x: {{values: {:?}}}
",
        trainer(program),
        (0..points).collect::<Vec<_>>()
    );
    let file = bench.write("sweep.yaml", &text);
    bench.create(&[&file])
}

fn runs(bench: &Bench, id: &str) -> Vec<Value> {
    bench.json_lines(&["runs", id, "--json"])
}

/// Waits until programs have started, and returns their processes.
fn started(bench: &Bench, count: usize) -> Vec<i32> {
    let pids = || -> Vec<i32> {
        bench
            .lines("starts")
            .iter()
            .filter_map(|line| line.split(' ').nth(1)?.parse().ok())
            .collect()
    };
    wait_for(&format!("{count} starts"), || {
        (pids().len() >= count).then(pids)
    })
}

fn signal_all(pids: &[i32], signal: Signal) {
    for pid in pids {
        kill(Pid::from_raw(*pid), signal).expect("it runs");
    }
}

fn agent_with(bench: &Bench, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
    let mut agent: Command = bench.sweep(&[&["agent"], arguments].concat());
    for name in ["SLURM_JOB_ID", "KUBERNETES_SERVICE_HOST"] {
        agent.env_remove(name);
    }
    agent.envs(variables.iter().copied());
    bench.start_command(agent)
}

/// The agents' signals and the programs' come in any order, up to 1.7 s apart.
fn wait_for_end(program: i32) {
    wait_for("the end of the program", || {
        kill(Pid::from_raw(program), None).is_err().then_some(())
    });
}

#[test]
fn twenty_programs_that_turn_sigterm_into_exit_1_are_preempted_and_did_not_crash() {
    const AGENTS: usize = 5;
    const PROGRAMS: usize = 20;
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench, "preempted.sh", PROGRAMS);
    let slots = (PROGRAMS / AGENTS).to_string();
    let agents: Vec<_> = (0..AGENTS)
        .map(|_| bench.start(&["agent", &id, "--slots", &slots]))
        .collect();
    let programs = started(&bench, PROGRAMS);
    let at_agents = agents
        .iter()
        .zip([0, 400, 800, 1200, 1700])
        .map(|(agent, at)| (at, agent.pid()));
    let at_programs = programs
        .iter()
        .zip(0..)
        .map(|(program, index)| (index * 613 % 1700, *program));
    let mut signals: Vec<(u64, i32)> = at_agents.chain(at_programs).collect();
    signals.sort_unstable();
    let began = Instant::now();
    for (at, pid) in signals {
        sleep(Duration::from_millis(at).saturating_sub(began.elapsed()));
        // A program may have been ended by its agent already.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    for agent in agents {
        let (code, output) = agent.wait();
        assert_eq!(code, 143, "{output}");
        assert!(
            output.contains("the machine was taken away; its runs went back"),
            "{output}"
        );
    }
    let runs = runs(&bench, &id);
    assert_eq!(runs.len(), PROGRAMS);
    for run in &runs {
        assert_eq!(
            (&run["state"], &run["attempts"]),
            (&"queued".into(), &1.into()),
            "{run}"
        );
        assert!(!run.to_string().contains("crashed"), "{run}");
    }
    let left: Vec<_> = bench
        .processes()
        .into_iter()
        .filter(|process| process.command.contains("preempted.sh"))
        .collect();
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn a_crash_before_the_signal_remains_a_crash() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let trace =
        "Traceback (most recent call last):\\n  File \"train.py\", line 3\\nValueError: bad lr\\n";
    let script = format!(
        "trap '' TERM; printf '{trace}' >&2; echo x >>\"$SWEEP_TEST_STARTS\"; sleep 0.5; exit 1"
    );
    let script = bench.write("crash.sh", &script);
    let text = format!(
        "method: grid\nmetric: {{name: loss}}\ncommand: [sh, {script}]\nretry: {{crashed: 0}}\nparameters:\n  x: {{values: [1]}}\n"
    );
    let file = bench.write("sweep.yaml", &text);
    let id = bench.create(&[&file]);
    let agent = bench.start(&["agent", &id]);
    wait_for("the error", || {
        (!bench.lines("starts").is_empty()).then_some(())
    });
    sleep(Duration::from_millis(400));
    agent.signal(Signal::SIGTERM);
    agent.wait();
    let runs = runs(&bench, &id);
    assert_eq!(runs[0]["state"], "failed", "{runs:#?}");
    assert!(
        runs[0].to_string().contains("ValueError: bad lr"),
        "{runs:#?}"
    );
}

#[test]
fn no_signal_of_a_scheduler_kills_an_agent_or_its_shims_and_two_are_passed_on() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench, "preempted.sh", 2);
    let agent = bench.start(&["agent", &id, "--slots", "2"]);
    started(&bench, 2);
    for signal in [
        Signal::SIGALRM,
        Signal::SIGXCPU,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
    ] {
        let shims: Vec<i32> = bench
            .processes()
            .iter()
            .filter(|process| process.command.contains("__shim"))
            .map(|process| process.pid)
            .collect();
        assert!(shims.len() >= 2, "{shims:?}");
        signal_all(&shims, signal);
        agent.signal(signal);
    }
    let passed_on = || {
        let mut signals = bench.lines("starts.signals");
        signals.sort();
        (signals == ["1 USR1", "1 USR2", "2 USR1", "2 USR2"]).then_some(())
    };
    wait_for("both signals at both programs", passed_on);
    assert!(
        agent
            .output()
            .contains("SIGXCPU: ignored; --preempt-signal XCPU"),
        "{}",
        agent.output()
    );
    wait_for("both runs to run on", || {
        runs(&bench, &id)
            .iter()
            .all(|run| run["state"] == "running")
            .then_some(())
    });
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait().0, 143);
}

#[test]
fn a_signal_that_the_program_would_die_of_is_not_passed_on() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench, "patient.sh", 1);
    let agent = bench.start(&["agent", &id]);
    wait_for("the program", || {
        (runs(&bench, &id).first()?["state"] == "running").then_some(())
    });
    agent.signal(Signal::SIGUSR1);
    let noted = || {
        agent
            .output()
            .contains("its program does not handle SIGUSR1, which is not passed on to it")
            .then_some(())
    };
    wait_for("a note", noted);
    assert_eq!(runs(&bench, &id)[0]["state"], "running");
    agent.signal(Signal::SIGTERM);
    agent.wait();
}

#[test]
fn a_preempt_signal_means_what_sigterm_means() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench, "preempted.sh", 1);
    let agent = bench.start(&["agent", &id, "--preempt-signal", "USR1"]);
    started(&bench, 1);
    agent.signal(Signal::SIGUSR1);
    let (code, output) = agent.wait();
    assert_eq!(code, 143, "{output}");
    let runs = runs(&bench, &id);
    assert_eq!(
        (&runs[0]["state"], &runs[0]["attempts"]),
        (&"queued".into(), &1.into()),
        "{runs:#?}"
    );
    assert!(
        bench.lines("starts.signals").is_empty(),
        "the program got SIGTERM"
    );
    let wrong = bench.run(&["agent", &id, "--preempt-signal", "KILL"]);
    assert_eq!(wrong.code, 2);
    assert!(
        wrong
            .stderr
            .contains("one of TERM, USR1, USR2, HUP, ALRM, XCPU is wanted"),
        "{}",
        wrong.stderr
    );
}

/// As docs/guides/schedulers.md has it: Slurm signals the batch shell.
#[test]
fn a_batch_script_passes_its_signal_to_the_agent_and_gets_its_exit_status() {
    let exec = r#"exec "$@""#;
    let background = r#""$@" & agent=$!; trap 'kill -USR1 "$agent"' USR1 TERM; wait "$agent"; wait "$agent"; exit $?"#;
    for script in [exec, background] {
        let bench = Bench::new();
        let _controller = bench.controller();
        let id = create(&bench, "preempted.sh", 1);
        let mut shell = Command::new("bash");
        shell.args(["-c", script, "batch"]);
        let job = bench.start_command(by(
            shell,
            &bench.sweep(&["agent", &id, "--preempt-signal", "USR1"]),
        ));
        started(&bench, 1);
        job.signal(Signal::SIGUSR1);
        let (code, output) = job.wait();
        assert_eq!(code, 143, "{script}: {output}");
        assert_eq!(runs(&bench, &id)[0]["state"], "queued");
    }
}

#[test]
fn an_agent_that_said_it_would_leave_and_is_killed_uses_up_no_retry() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench, "stubborn.sh", 1);
    let agent = bench.start(&["agent", &id, "--detach", "no", "--grace", "60s"]);
    wait_for("a start", || {
        (!bench.lines("starts").is_empty()).then_some(())
    });
    agent.signal(Signal::SIGTERM);
    let said = || {
        bench
            .json_lines(&["agents", &id, "--json"])
            .first()
            .is_some_and(|agent| agent["health"] == "leaving")
    };
    wait_for("the announcement", || said().then_some(()));
    agent.kill();
    // `retry.lost` is 0: a lost run would have failed.
    let queued = || (runs(&bench, &id).first()?["state"] == "queued").then_some(());
    wait_for("the run to go back", queued);
}

#[test]
fn in_a_batch_job_no_program_outlives_its_agent() {
    for (variables, arguments) in [
        (&[("SLURM_JOB_ID", "7")][..], &[][..]),
        (&[], &["--detach", "no"]),
    ] {
        let bench = Bench::new();
        let _controller = bench.controller();
        let id = create(&bench, "preempted.sh", 1);
        let agent = agent_with(&bench, &[&[id.as_str()], arguments].concat(), variables);
        let programs = started(&bench, 1);
        agent.kill();
        wait_for_end(programs[0]);
    }
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench, "preempted.sh", 1);
    let agent = agent_with(&bench, &[&id, "--detach", "yes"], &[("SLURM_JOB_ID", "7")]);
    let programs = started(&bench, 1);
    agent.kill();
    sleep(Duration::from_millis(700));
    kill(Pid::from_raw(programs[0]), None).expect("it goes on for the next agent");
}

#[test]
fn what_ended_with_its_agent_did_not_crash() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench, "preempted.sh", 1);
    let agent = bench.start(&["agent", &id, "--detach", "no"]);
    let programs = started(&bench, 1);
    agent.kill();
    wait_for_end(programs[0]);
    // The next agent on this machine finds an exit status of 1.
    let next = bench.start(&["agent", &id, "--detach", "no"]);
    started(&bench, 2);
    next.signal(Signal::SIGTERM);
    next.wait();
    let runs = runs(&bench, &id);
    assert_eq!(
        (&runs[0]["state"], &runs[0]["attempts"]),
        (&"queued".into(), &2.into()),
        "{runs:#?}"
    );
}

#[test]
fn an_agent_that_comes_after_the_end_succeeds() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench, "steps.sh", 1);
    assert_eq!(bench.run(&["agent", &id]).code, 0);
    let late = bench.run(&["agent", &id]);
    assert_eq!(late.code, 0, "{late:?}");
    assert!(
        late.stderr.contains("The agent leaves: ") && late.stderr.contains("it hands out no runs"),
        "{late:?}"
    );
}

#[test]
fn an_agent_without_a_controller_says_so_in_its_exit_status() {
    let bench = Bench::new();
    let began = Instant::now();
    let alone = bench.run(&["agent", "any"]);
    assert_eq!(alone.code, 5, "{alone:?}");
    assert!(began.elapsed() < Duration::from_secs(30));
    let alone = bench.run(&["agent", "any", "--wait", "3s"]);
    assert_eq!(alone.code, 5, "{alone:?}");
    assert_eq!(
        alone.stderr.matches("waiting up to 3 s").count(),
        1,
        "{alone:?}"
    );
}

#[test]
fn an_agent_waits_for_a_controller_that_is_not_there_yet() {
    let bench = Bench::new();
    let controller = bench.controller();
    let id = create(&bench, "steps.sh", 1);
    controller.kill();
    let agent = agent_with(&bench, &[&id], &[("SLURM_JOB_ID", "7")]);
    wait_for("the wait", || {
        agent
            .output()
            .contains("waiting up to 600 s for it (--wait)")
            .then_some(())
    });
    // Longer than the few tries that an agent makes without --wait.
    sleep(Duration::from_secs(3));
    let _controller = bench.controller();
    let (code, output) = agent.wait();
    assert_eq!(code, 0, "{output}");
}

#[test]
fn an_agent_that_cannot_give_its_runs_back_does_not_say_that_it_did() {
    let bench = Bench::new();
    let controller = bench.controller();
    let id = create(&bench, "preempted.sh", 1);
    let agent = bench.start(&["agent", &id]);
    started(&bench, 1);
    controller.kill();
    agent.signal(Signal::SIGTERM);
    let (code, output) = agent.wait();
    assert_eq!(code, 143, "{output}");
    assert!(
        output.contains("the controller did not answer: its runs go back when their leases end"),
        "{output}"
    );
    assert!(!output.contains("went back"), "{output}");
}
