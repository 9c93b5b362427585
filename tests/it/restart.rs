//! Agents that are killed: the next agent continues their programs, or no process of them is left.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::harness::{Bench, trainer, wait_for};

fn create(bench: &Bench, arguments: &str, keys: &str) -> String {
    let text = format!(
        "method: grid
metric: {{name: loss, goal: minimize}}
command: [sh, {}, {arguments}]
parameters:
  x: {{values: [1]}}
{keys}",
        trainer("steps.sh")
    );
    let file = bench.write("sweep.yaml", &text);
    bench.create(&[&file])
}

fn started(bench: &Bench, count: usize) {
    wait_for(&format!("{count} starts"), || {
        (bench.lines("starts").len() >= count).then_some(())
    });
}

fn only_run(bench: &Bench, id: &str) -> Value {
    let runs = bench.json_lines(&["runs", id, "--json"]);
    let [run] = &runs[..] else {
        panic!("{runs:#?}")
    };
    run.clone()
}

/// Those that look after an attempt.
fn shims(bench: &Bench) -> Vec<i32> {
    bench
        .processes()
        .iter()
        .filter(|process| process.name == "sweep-shim")
        .map(|process| process.pid)
        .collect()
}

#[test]
fn the_next_agent_goes_on_with_what_a_killed_one_has_begun() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench, "--steps=30", "");
    let agent = bench.start(&["agent", &id]);
    started(&bench, 1);
    std::thread::sleep(Duration::from_millis(700));
    agent.kill();
    // What ends every process of that name does not reach the program.
    for shim in shims(&bench) {
        kill(Pid::from_raw(shim), Signal::SIGTERM).expect("it runs");
    }
    let (code, output) = bench.start(&["agent", &id]).wait();
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("taken over"), "{output}");
    let run = only_run(&bench, &id);
    assert_eq!(
        (&run["state"], &run["attempts"], &run["value"]),
        (&"finished".into(), &1.into(), &0.0.into()),
        "{run}"
    );
    assert_eq!(bench.lines("starts"), ["1/1"], "it was started once");
    for metric in ["loss", "seen"] {
        assert_eq!(
            bench.steps(&id, 1, metric),
            (1..=30).collect::<Vec<_>>(),
            "each point of {metric} once"
        );
    }
    bench.ok(&["controller", "stop"]);
    bench.nothing_left();
}

#[test]
fn what_ended_while_no_agent_was_there_is_reported_as_it_was() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench, "--steps=10, --code=7", "retry: {crashed: 0}");
    let agent = bench.start(&["agent", &id]);
    started(&bench, 1);
    agent.kill();
    wait_for("the program's end", || {
        shims(&bench).is_empty().then_some(())
    });
    let (code, output) = bench.start(&["agent", &id]).wait();
    assert_eq!(code, 3, "its only run has failed: {output}");
    let run = only_run(&bench, &id);
    assert_eq!(
        (&run["state"], &run["attempts"]),
        (&"failed".into(), &1.into()),
        "{run}"
    );
    assert!(run.to_string().contains("exit status 7"), "{run}");
    assert_eq!(bench.steps(&id, 1, "loss"), (1..=10).collect::<Vec<_>>());
}

#[test]
fn an_agent_that_comes_back_too_late_ends_what_is_somebody_elses_by_now() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench, "--steps=60", "");
    let agent = bench.start(&["agent", &id, "--runs-dir", "one"]);
    started(&bench, 1);
    agent.kill();
    let other = bench.start(&["agent", &id, "--runs-dir", "two"]);
    started(&bench, 2);
    let late = bench.start(&["agent", &id, "--runs-dir", "one"]);
    wait_for("the end of the first program", || {
        (shims(&bench).len() == 1).then_some(())
    });
    assert_eq!(other.wait().0, 0);
    assert_eq!(late.wait().0, 0);
    let run = only_run(&bench, &id);
    assert_eq!(
        (&run["state"], &run["attempts"]),
        (&"finished".into(), &2.into()),
        "{run}"
    );
    assert_eq!(bench.lines("starts"), ["1/1", "1/2"]);
}

#[test]
fn a_program_whose_shim_is_killed_is_ended_and_tried_again() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench, "--steps=15", "");
    let agent = bench.start(&["agent", &id]);
    started(&bench, 1);
    // The one that waits for the next attempt, too.
    let waiting = || {
        bench
            .processes()
            .into_iter()
            .find(|process| process.command.contains("__shim") && process.name != "sweep-shim")
    };
    let waiting = wait_for("a shim ahead", waiting);
    for shim in [shims(&bench), vec![waiting.pid]].concat() {
        kill(Pid::from_raw(shim), Signal::SIGKILL).expect("it runs");
    }
    let (code, output) = agent.wait();
    assert_eq!(code, 0, "{output}");
    let run = only_run(&bench, &id);
    assert_eq!(
        (&run["state"], &run["attempts"]),
        (&"finished".into(), &2.into()),
        "{run}"
    );
    assert!(shims(&bench).is_empty());
}

#[test]
fn nothing_outlives_a_killed_sweep_run() {
    let bench = Bench::new();
    let text = format!(
        "method: grid\nmetric: {{name: loss}}\ncommand: [sh, {}, --steps=600]\nparameters:\n  x: {{values: [1, 2]}}\n",
        trainer("steps.sh")
    );
    let file = bench.write("sweep.yaml", &text);
    let run = bench.start(&["run", &file, "--agents", "2"]);
    started(&bench, 2);
    run.kill();
    bench.nothing_left();
}

#[test]
fn with_on_lease_lost_stop_nothing_runs_without_a_lease() {
    let bench = Bench::new();
    let controller = bench.controller();
    let id = create(&bench, "--steps=600", "on_lease_lost: stop");
    let agent = bench.start(&["agent", &id, "--grace", "1s"]);
    started(&bench, 1);
    controller.kill();
    wait_for("the program's end", || {
        shims(&bench).is_empty().then_some(())
    });
    assert!(
        agent.output().contains("on_lease_lost is stop"),
        "{}",
        agent.output()
    );
    agent.kill();
}

#[test]
fn with_on_lease_lost_stop_a_program_waits_one_lease_for_the_next_agent() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench, "--steps=600", "on_lease_lost: stop");
    let agent = bench.start(&["agent", &id, "--grace", "1s"]);
    started(&bench, 1);
    agent.kill();
    assert_eq!(shims(&bench).len(), 1, "the next agent may be on its way");
    wait_for("the program's end", || {
        shims(&bench).is_empty().then_some(())
    });
}

#[test]
fn a_machine_that_is_not_ready_gets_no_runs() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(
        &bench,
        "--steps=1",
        "preflight: [sh, -c, 'echo no data here; exit 3']\nretry: {machine: 0}",
    );
    let agent = bench.start(&["agent", &id]);
    let failed = || {
        bench
            .json_lines(&["runs", &id, "--json"])
            .into_iter()
            .find(|run| run["state"] == "failed")
    };
    let run = wait_for("the failure", failed);
    assert!(run.to_string().contains("preflight"), "{run}");
    let shown = bench.ok(&["show", &format!("{id}/1")]);
    assert!(
        shown.contains("exit status 3") && shown.contains("no data here"),
        "{shown}"
    );
    assert!(
        bench.lines("starts").is_empty(),
        "the program was not started"
    );
    agent.signal(Signal::SIGTERM);
    agent.wait();
}
