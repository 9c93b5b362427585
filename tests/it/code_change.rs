//! examples/code-change: the code, the space and a value change half-way, with two agents at work.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Bench, finish, has_python, wait_for};

/// Runs of a sweep that starts without results. How much sooner old results lead to the best is a matter of luck with two agents at work; docs/explanation/benchmarks.md measures it.
const FIRST: usize = 5;
/// The number of sweeps that start without results: one alone may be lucky.
const SEEDS: [u64; 5] = [3, 4, 5, 6, 7];

fn mended(program: &str) -> String {
    let wrong = "    # The empty line at the end of the file counts as an example that is always wrong.\n    total += cross_entropy(0.0, 1)\n    return total / (len(valid) + 1)\n";
    let flag = "    args = parser.parse_args()\n";
    assert!(
        program.contains(wrong) && program.contains(flag) && program.contains("args.lr, 0.0)"),
        "examples/code-change/README.md says so"
    );
    program
        .replace(wrong, "    return total / len(valid)\n")
        .replace(flag, "    parser.add_argument(\"--decay\", type=float, default=0.0)\n    args = parser.parse_args()\n")
        .replace("args.lr, 0.0)", "args.lr, args.decay)")
}

fn ended(runs: &[Value]) -> usize {
    runs.iter().filter(|run| run["state"] == "finished").count()
}

fn best<'a>(runs: impl Iterator<Item = &'a Value>) -> f64 {
    runs.map(|run| run["value"].as_f64().expect("it has ended well"))
        .fold(f64::INFINITY, f64::min)
}

#[test]
fn a_sweep_goes_on_when_its_code_its_space_and_a_value_change() {
    // Nothing but Python itself.
    if !has_python("json", "python", "nothing") {
        return;
    }
    let example = format!("{}/examples/code-change", env!("CARGO_MANIFEST_DIR"));
    let bench = Bench::new();
    fs::create_dir(bench.path("project")).expect("the temporary folder can be written");
    let program = fs::read_to_string(format!("{example}/train.py")).expect("it is there");
    bench.write("project/train.py", &program);
    for arguments in [
        vec!["init", "--quiet"],
        vec!["add", "-A"],
        vec!["commit", "--quiet", "-m", "Begin"],
    ] {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=t", "-c", "user.email=t@t"])
            .args(arguments)
            .current_dir(bench.path("project"));
        assert_eq!(finish(git).code, 0);
    }
    let _controller = bench.controller();
    let id = bench.create(&[&format!("{example}/sweep.yaml")]);
    let agents: Vec<_> = (0..2)
        .map(|_| bench.start(&["agent", &id, "--workdir", "project"]))
        .collect();
    let runs = || bench.json_lines(&["runs", &id, "--json"]);
    wait_for("half of the runs", || (ended(&runs()) >= 20).then_some(()));
    bench.replace("project/train.py", &mended(&program));
    let said = bench.ok(&["edit", &id, &format!("{example}/edited.yaml"), "--yes"]);
    assert!(
        said.contains("`decay` is new") && said.contains("step dropped"),
        "{said}"
    );
    for agent in agents {
        let (code, output) = agent.wait();
        assert_eq!(code, 0, "{output}");
    }

    // Nothing is lost, and nothing is run twice but the probes.
    let runs = runs();
    let counted: Vec<_> = runs
        .iter()
        .filter(|run| run["state"] != "cancelled")
        .collect();
    assert_eq!((runs.len(), ended(&runs)), (44, counted.len()), "{runs:#?}");
    let own: Vec<_> = counted
        .iter()
        .filter(|run| run["suggestion"]["kind"] != "probe")
        .collect();
    let points: BTreeSet<_> = own.iter().map(|run| run["params"].to_string()).collect();
    assert_eq!(points.len(), own.len());
    let mut versions = bench.json_lines(&["code", &id, "--json"]);
    // A run that the edit withdrew before it began has no version.
    versions.retain(|version| !version["number"].is_null());
    assert_eq!(versions.len(), 2, "{versions:#?}");
    let diff = bench.ok(&["diff", &format!("{id}@1"), &format!("{id}@2")]);
    assert!(
        diff.contains("-    total += cross_entropy(0.0, 1)")
            && diff.contains("+    return total / len(valid)"),
        "{diff}"
    );
    assert!(
        bench
            .ok(&["code", &id])
            .contains("Evidence from older code")
    );
    let new: Vec<&Value> = counted
        .iter()
        .copied()
        .filter(|run| run["code_version"] == versions[1]["version"])
        .collect();
    assert!(new.len() >= 12, "{} runs of the new code", new.len());
    assert!(
        new.iter()
            .all(|run| run["revision"] == 1 || run["params"]["activation"] != "step"),
        "what was dropped is not tried again"
    );

    // What the beginning of a sweep that knows nothing comes to on the average is surpassed.
    let edited = fs::read_to_string(format!("{example}/edited.yaml")).expect("it is there");
    assert!(edited.contains("\nseed: 3\n"), "{edited}");
    let restarted = SEEDS.map(|seed| {
        let fresh = bench.write(
            &format!("fresh-{seed}.yaml"),
            &edited.replace("\nseed: 3\n", &format!("\nseed: {seed}\n")),
        );
        let id = bench.create(&[&fresh]);
        bench.ok(&[
            "agent",
            &id,
            "--workdir",
            "project",
            "--count",
            &FIRST.to_string(),
        ]);
        best(bench.json_lines(&["runs", &id, "--json"]).iter())
    });
    let (ours, theirs) = (
        best(new.iter().copied()),
        restarted.iter().sum::<f64>() / restarted.len() as f64,
    );
    eprintln!(
        "SEEN {ours} of {} runs, places {:?}",
        new.len(),
        new.iter()
            .map(|run| (
                run["run"].as_u64(),
                run["suggestion"]["kind"].as_str().map(str::to_owned),
                run["value"].as_f64()
            ))
            .collect::<Vec<_>>()
    );
    assert!(
        ours < theirs,
        "the best loss of the new code is {ours}, and {theirs} on the average where nothing was known: {restarted:?}"
    );

    for run in [counted[0], new[new.len() - 1]] {
        let (number, dir) = (run["run"].to_string(), format!("again-{}", run["run"]));
        let again = bench
            .json_lines(&[
                "reproduce",
                &format!("{id}/{number}"),
                &dir,
                "--run",
                "--json",
            ])
            .remove(0);
        assert_eq!(
            (
                &again["reproduced"],
                &again["metrics"]["val_loss"]["recorded"]
            ),
            (&true.into(), &again["metrics"]["val_loss"]["now"]),
            "{again}"
        );
    }
}
