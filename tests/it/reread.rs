//! Metrics that are printed and not read: named while the first run works, two runs at most, and read afterwards.

use crate::harness::{Bench, wait_for};

const SWEEP: &str = "method: grid\nmetric: {name: val_loss, goal: minimize}\nprogram: train.sh\ncommand: [sh, '${program}']\n\
                     parameters: {x: {values: [1, 2, 3, 4, 5, 6, 7]}}\n";

#[test]
fn a_metric_that_nothing_reads_is_named_while_the_first_run_works() {
    let bench = Bench::new();
    bench.write(
        "train.sh",
        "echo 'Epoch 1: Validation loss = 0.25'\nwhile ! [ -e go ]; do sleep 0.1; done\n",
    );
    let _controller = bench.controller();
    let id = bench.create(&[&bench.write("sweep.yaml", SWEEP)]);
    let agent = bench.start(&["agent", &id]);
    let named = "`val_loss` is not read from the line `Epoch 1: Validation loss = 0.25`; add to the sweep file: metric_patterns: {val_loss: '";
    wait_for("the agent to name it", || {
        agent.output().contains(named).then_some(())
    });
    let shown = wait_for("the controller to hear of it", || {
        Some(bench.ok(&["show", &id])).filter(|shown| shown.contains("Not read: "))
    });
    assert!(
        shown.contains(&format!("Not read: run 1: {named}")),
        "{shown}"
    );
    assert!(
        bench.json_lines(&["show", &id, "--json"]).remove(0)["unread"]
            .as_str()
            .is_some_and(|unread| unread.contains(named))
    );
    bench.write("go", "");
    drop(agent);
}

#[test]
fn a_run_of_everything_in_one_command_names_it_too() {
    let bench = Bench::new();
    bench.write("train.sh", "echo 'Epoch 1: Validation loss = 0.25'\nfor second in 1 2 3 4 5 6; do echo more; sleep 1; done\n");
    let file = bench.write("sweep.yaml", SWEEP);
    let ended = bench.run(&["run", &file, "--count", "1"]);
    let named = "not read: run 1: `val_loss` is not read from the line `Epoch 1: Validation loss = 0.25`; add to the sweep file: metric_patterns: {val_loss: '";
    assert!(ended.stderr.contains(named), "{ended:?}");
    let failed = "the sweep wants `val_loss`, which was not read; add to the sweep file: metric_patterns: {val_loss: '";
    assert!(
        ended.stdout.contains(failed) || ended.stderr.contains(failed),
        "{ended:?}"
    );
}

#[test]
fn two_trainings_at_most_are_wasted_and_their_output_is_read_again() {
    let bench = Bench::new();
    bench.write(
        "train.sh",
        "for step in 1 2 3; do echo \"step $step: Validation loss = 0.$SWEEP_RUN$step\"; done\n",
    );
    let _controller = bench.controller();
    let id = bench.create(&[&bench.write("sweep.yaml", SWEEP)]);
    let agent = bench.start(&["agent", &id]);
    let paused = wait_for("the sweep to be paused", || {
        Some(bench.json_lines(&["show", &id, "--json"]).remove(0))
            .filter(|sweep| sweep["state"] == "paused")
    });
    let reason = paused["reason"].as_str().expect("it has one");
    assert!(
        reason.starts_with(
            "runs 1 and 2 ended without reporting `val_loss`, and no run has reported it"
        ),
        "{reason}"
    );
    assert!(reason.contains(&format!("`sweep reread {id}`")), "{reason}");
    assert_eq!(bench.json_lines(&["runs", &id, "--json"]).len(), 2);
    let waits = format!("waiting: the sweep is paused: {reason}");
    wait_for("the agent to say why it waits", || {
        agent.output().contains(&waits).then_some(())
    });

    let said = bench.ok(&["reread", &id]);
    assert!(said.contains("0 of 2 ended runs changed"), "{said}");
    let patterns = format!(
        "{SWEEP}metric_patterns: ['step (?<step>[0-9]+): Validation loss = (?<val_loss>[0-9.]+)']\n"
    );
    let file = bench.write("sweep.yaml", &patterns);
    let preview = bench.ok(&["edit", &id, &file, "--dry-run"]);
    let read = format!(
        "metric_patterns read from the output of 2 ended runs: `val_loss` from 2 (for example 0.13); `sweep reread {id}` adds that"
    );
    assert!(preview.contains(&read), "{preview}");
    bench.ok(&["edit", &id, &file, "--yes"]);
    let said = bench.ok(&["reread", &id, "--dry-run"]);
    assert!(
        said.contains("run 1 would get 3 values of `val_loss`\n")
            && said.contains("2 of 2 ended runs would change"),
        "{said}"
    );
    assert_eq!(
        bench.json_lines(&["runs", &id, "--json"])[0]["state"],
        "failed"
    );
    let said = bench.ok(&["reread", &id]);
    assert!(
        said.contains("run 2 got 3 values of `val_loss`; failed, now finished\n"),
        "{said}"
    );
    assert!(
        bench
            .ok(&["reread", &id])
            .contains("0 of 2 ended runs changed"),
        "nothing is added twice"
    );

    bench.ok(&["resume", &id]);
    let (code, output) = agent.wait();
    assert_eq!(code, 0, "{output}");
    let mut runs = bench.json_lines(&["runs", &id, "--json"]);
    runs.sort_by_key(|run| run["run"].as_u64());
    let values: Vec<_> = runs
        .iter()
        .map(|run| (run["state"].as_str(), run["value"].as_f64()))
        .collect();
    let expected: Vec<_> = (1..=7)
        .map(|run| (Some("finished"), format!("0.{run}1").parse().ok()))
        .collect();
    assert_eq!(values, expected);
    let refused = bench.run(&["reread", &id, "99"]).stderr;
    assert!(refused.contains("has no ended run 99"), "{refused}");
}
