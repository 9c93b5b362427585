//! Two attempts of one run never write its checkpoint folder at once.

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::harness::{Bench, wait_for};

/// Notes when it has the checkpoint folder and when it leaves it, and that another one is inside.
const PROGRAM: &str = r#"
inside="$SWEEP_CHECKPOINT_DIR/inside"
if [ -e "$inside" ]; then echo "$SWEEP_ATTEMPT together with $(cat "$inside")" >>"$SWEEP_TEST_STARTS"; fi
echo "$SWEEP_ATTEMPT" >"$inside"
echo "$SWEEP_ATTEMPT begins $$" >>"$SWEEP_TEST_STARTS"
steps=0
while [ "$steps" -lt "$STEPS" ]; do steps=$((steps + 1)); sleep 0.1; done
rm "$inside"
echo "$SWEEP_ATTEMPT ends" >>"$SWEEP_TEST_STARTS"
echo '{"loss": 1}'
"#;

fn create(bench: &Bench) -> String {
    let program = bench.write("writes.sh", PROGRAM);
    let text = format!(
        "method: grid\nmetric: {{name: loss}}\ncommand: [sh, {program}]\nparameters:\n  x: {{values: [1]}}\n"
    );
    let file = bench.write("sweep.yaml", &text);
    bench.create(&[&file])
}

/// By now the agent has looked at the code, for which it locks a folder.
fn is_running(bench: &Bench, id: &str) -> bool {
    bench
        .json_lines(&["runs", id, "--json"])
        .first()
        .is_some_and(|run| run["state"] == "running")
}

#[test]
fn the_second_of_two_hosts_waits_for_the_program_of_the_first() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench);
    let agent = |steps: &str| {
        let mut agent = bench.sweep(&["agent", &id, "--runs-dir", "shared"]);
        agent.env("STEPS", steps);
        bench.start_command(agent)
    };
    let first = agent("80");
    let begun = || bench.lines("starts").len();
    wait_for("the first program", || {
        (begun() == 1 && is_running(&bench, &id)).then_some(())
    });
    // Its host cannot be reached any more, and its program goes on.
    first.signal(Signal::SIGSTOP);
    let second = agent("1");
    wait_for("the second host to wait", || {
        let output = second.output();
        (output.contains("run 1 attempt 2: waiting for attempt 1 on host ")
            && output.contains("still writes the checkpoint folder"))
        .then_some(())
    });
    let (code, output) = second.wait();
    assert_eq!(code, 0, "{output}");
    assert_eq!(
        output.matches("waiting for attempt 1").count(),
        1,
        "{output}"
    );
    let lines: Vec<String> = bench
        .lines("starts")
        .iter()
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(lines, ["1 begins", "1 ends", "2 begins", "2 ends"]);
    first.signal(Signal::SIGCONT);
    assert_eq!(first.wait().0, 0);
    assert_eq!(
        bench.json_lines(&["runs", &id, "--json"])[0]["state"],
        "finished"
    );
}

#[test]
fn an_attempt_that_waits_can_be_given_back_and_what_is_killed_holds_nothing() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench);
    let agent = |steps: &str| {
        let mut agent = bench.sweep(&["agent", &id, "--runs-dir", "shared", "--grace", "1s"]);
        agent.env("STEPS", steps);
        bench.start_command(agent)
    };
    let first = agent("6000");
    wait_for("the first program", || {
        (bench.lines("starts").len() == 1 && is_running(&bench, &id)).then_some(())
    });
    first.signal(Signal::SIGSTOP);
    let second = agent("1");
    wait_for("the second host to wait", || {
        second
            .output()
            .contains("waiting for attempt 1")
            .then_some(())
    });
    second.signal(Signal::SIGTERM);
    let (code, output) = second.wait();
    assert_eq!(code, 143, "{output}");
    // Everything of the first host dies, the shim first: the file names an attempt that has ended.
    for name in ["__shim", "writes.sh"] {
        for process in bench
            .processes()
            .iter()
            .filter(|process| process.command.contains(name))
        {
            let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
        }
    }
    first.kill();
    std::fs::remove_file(bench.path(&format!("shared/{id}/1/checkpoint/inside")))
        .expect("the first program was inside");
    let (code, output) = agent("1").wait();
    assert_eq!(code, 0, "{output}");
    let last = bench.lines("starts");
    assert!(
        last.last().is_some_and(|line| line.ends_with(" ends")),
        "{last:?}"
    );
    assert!(
        !last.iter().any(|line| line.contains("together")),
        "{last:?}"
    );
}
