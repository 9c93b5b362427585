//! Cancelling leaves no process behind, however stubborn.

use crate::harness::{Bench, trainer, wait_for};

#[test]
fn children_that_ignore_sigterm_are_gone_after_cancel() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let yaml = format!(
        "method: random
run_cap: 2
metric: {{name: loss, goal: minimize}}
command: [sh, {}]
parameters: {{x: {{min: 0.0, max: 1.0}}}}
",
        trainer("stubborn.sh")
    );
    let file = bench.write("sweep.yaml", &yaml);
    let id = bench.create(&[&file]);
    let agent = bench.start(&["agent", &id, "--slots", "2", "--grace", "1s"]);
    wait_for("2 starts", || {
        (bench.lines("starts").len() == 2).then_some(())
    });
    let stubborn = || {
        bench
            .processes()
            .into_iter()
            .filter(|process| !process.command.contains(env!("CARGO_BIN_EXE_sweep")))
            .collect::<Vec<_>>()
    };
    assert!(
        stubborn().len() >= 8,
        "each of 2 attempts has 4 shells: {:#?}",
        stubborn()
    );
    bench.ok(&["cancel", &id]);
    wait_for("no stubborn process", || {
        stubborn().is_empty().then_some(())
    });
    agent.wait();
    assert!(stubborn().is_empty());
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert!(
        runs.iter().all(|run| run["state"] == "cancelled"),
        "{runs:#?}"
    );
}
