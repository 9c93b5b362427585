//! A program that logs to W&B, as it is: examples/moons/.

use crate::harness::{Bench, has_python, wait_for};

fn has_wandb() -> bool {
    has_python("wandb", "wandb", "examples/moons/requirements.txt")
}

/// The example's file with other lines in place of some.
fn file(bench: &Bench, replaced: &[(&str, &str)]) -> String {
    let example = format!("{}/examples/moons/sweep.yaml", env!("CARGO_MANIFEST_DIR"));
    let mut text = std::fs::read_to_string(example).expect("it is there");
    for (from, to) in replaced {
        assert!(text.contains(from), "{text}");
        text = text.replace(from, to);
    }
    bench.write("sweep.yaml", &text)
}

#[test]
fn a_program_of_wandb_needs_nothing_else() {
    if !has_wandb() {
        return;
    }
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = bench.ok(&["create", &file(&bench, &[("run_cap: 16", "run_cap: 4")])]).trim().to_owned();
    let (code, output) = bench.start(&["agent", &id, "--workdir", env!("CARGO_MANIFEST_DIR"), "--slots", "2"]).wait();
    assert_eq!(code, 0, "{output}");
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert_eq!(runs.len(), 4);
    for run in &runs {
        let number = run["run"].as_u64().expect("a number");
        assert_eq!(run["state"], "finished", "{run}");
        for metric in ["val_loss", "train.loss", "epoch"] {
            assert_eq!(bench.steps(&id, number, metric), (0..20).collect::<Vec<_>>(), "each point of {metric} once");
        }
        // Set in the summary alone.
        assert!(run["metrics"]["val_accuracy"].as_f64().is_some_and(|accuracy| accuracy > 0.4), "{run}");
        assert!(run["metrics"].as_object().is_some_and(|metrics| !metrics.keys().any(|name| name.starts_with('_'))), "{run}");
    }
    // The parameters came from the sweep, not from the program's defaults.
    let again = bench.json_lines(&["reproduce", &format!("{id}/1"), "again", "--run", "--json"]).remove(0);
    assert_eq!(again["reproduced"], true, "{again}");
}

#[test]
fn what_wandb_has_written_counts_once_when_an_agent_is_killed() {
    if !has_wandb() {
        return;
    }
    let bench = Bench::new();
    let _controller = bench.controller();
    let few = [("run_cap: 16", "run_cap: 1"), ("value: 20", "value: 50")];
    let id = bench.ok(&["create", &file(&bench, &few)]).trim().to_owned();
    let begin = || {
        let mut agent = bench.sweep(&["agent", &id, "--workdir", env!("CARGO_MANIFEST_DIR")]);
        agent.env("EPOCH_SECONDS", "0.4");
        bench.start_command(agent)
    };
    let agent = begin();
    // The library writes in bursts.
    wait_for("its run", || (!bench.json_lines(&["runs", &id, "--json"]).is_empty()).then_some(()));
    wait_for("what was logged first", || (!bench.steps(&id, 1, "val_loss").is_empty()).then_some(()));
    agent.kill();
    let (code, output) = begin().wait();
    assert!(code == 0 && output.contains("taken over"), "{output}");
    for metric in ["val_loss", "train.loss"] {
        assert_eq!(bench.steps(&id, 1, metric), (0..50).collect::<Vec<_>>(), "each point of {metric} once");
    }
}
