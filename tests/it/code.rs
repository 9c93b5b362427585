//! Which code a run has executed: whatever lies there when it begins, committed or not.

use std::fs;

use crate::harness::{self, Bench, wait_for};

/// The folder of the code; what the bench itself keeps lies beside it.
const PROJECT: &str = "project";

/// Ten runs, half a second each.
pub(crate) const SWEEP: &str = "method: random
seed: 1
metric: {name: loss, goal: minimize}
program: train.sh
command: [sh, '${program}', '${args_no_hyphens}']
run_cap: 10
parameters:
  x: {min: 0.0, max: 1.0}
";

/// Leaves a line beside the project when it has begun: what it executes is read by then.
fn program(bench: &Bench, loss: &str) -> String {
    format!(
        "echo begun >> '{}'\nsleep 0.4\necho '{{\"loss\": {loss}}}'\n",
        bench.path("begun").display()
    )
}

fn git(bench: &Bench, arguments: &[&str]) -> String {
    harness::git(&bench.path(PROJECT), arguments)
}

#[test]
fn code_that_changes_half_way_is_another_version() {
    let bench = Bench::new();
    fs::create_dir(bench.path(PROJECT)).expect("the temporary folder can be written");
    bench.write("project/train.sh", &program(&bench, "0.5"));
    let file = bench.write("project/sweep.yaml", SWEEP);
    git(&bench, &["init", "--quiet", "--initial-branch", "main"]);
    git(&bench, &["add", "train.sh", "sweep.yaml"]);
    git(&bench, &["commit", "--quiet", "--message", "Begin"]);
    let (head, index) = (
        git(&bench, &["rev-parse", "HEAD"]),
        fs::read(bench.path("project/.git/index")).expect("it is there"),
    );
    let _controller = bench.controller();
    let id = bench.create(&[&file]);
    assert!(bench.ok(&["code", &id]).contains("No run of"));
    let agent = bench.start(&["agent", &id, "--workdir", PROJECT]);
    let begun = || {
        fs::read_to_string(bench.path("begun"))
            .unwrap_or_default()
            .lines()
            .count()
    };
    // In the middle of a run: no look is under way then.
    wait_for("the fourth run", || (begun() >= 4).then_some(()));
    bench.write("project/train.sh", &program(&bench, "0.25"));
    let (code, output) = agent.wait();
    assert_eq!(code, 0, "{output}");
    assert!(
        output.contains("the code has changed: version "),
        "{output}"
    );
    assert!(
        output.contains("main at ") && output.contains("1 uncommitted file (+1 -1)"),
        "{output}"
    );

    let versions = bench.json_lines(&["code", &id, "--json"]);
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert_eq!((versions.len(), runs.len()), (2, 10), "{versions:#?}");
    assert_eq!(versions[0]["uncommitted"]["files"], 0);
    assert_eq!(versions[1]["uncommitted"]["files"], 1);
    assert_eq!(versions[0]["commit"], head.as_str());
    assert!(
        versions[0]["runs"].as_u64() >= Some(3) && versions[1]["runs"].as_u64() >= Some(3),
        "{versions:#?}"
    );
    assert_eq!(
        (&versions[0]["best_value"], &versions[1]["best_value"]),
        (&0.5.into(), &0.25.into())
    );
    // What a run has given tells which program it was.
    for run in &runs {
        let version = if run["value"] == 0.5 {
            &versions[0]
        } else {
            &versions[1]
        };
        assert_eq!(run["code_version"], version["version"], "{run}");
    }
    let uncommitted = bench.ok(&["code", &id, "--diff", "@2"]);
    assert!(
        uncommitted.contains("-echo '{\"loss\": 0.5}'")
            && uncommitted.contains("+echo '{\"loss\": 0.25}'"),
        "{uncommitted}"
    );
    assert_eq!(
        bench.ok(&["code", &id, "--diff", "1"]),
        "",
        "all of it was committed"
    );
    let text = bench.ok(&["code", &id]);
    assert!(
        text.contains("main at ") && text.contains("\"Begin\", 1 file uncommitted (+1 -1)"),
        "{text}"
    );
    let shown = bench.ok(&["show", &format!("{id}/10")]);
    assert!(
        shown.contains("code: version ") && shown.contains(&format!("`sweep code {id} --diff 2`")),
        "{shown}"
    );

    assert_eq!(
        fs::read(bench.path("project/.git/index")).expect("it is there"),
        index,
        "the user's index is as it was"
    );
    assert_eq!(git(&bench, &["rev-parse", "HEAD"]), head);
}

/// The output of a command that ends with an exit status other than 0.
fn refused(bench: &Bench, arguments: &[&str], status: i32) -> String {
    let ended = bench.run(arguments);
    assert_eq!(ended.code, status, "{}", ended.stderr);
    ended.stderr
}

/// The result depends on the seed and on nothing else.
fn seeded(shift: &str) -> String {
    format!("sleep 0.2\necho \"{{\\\"loss\\\": {shift}.$SWEEP_SEED}}\"\n")
}

#[test]
fn a_run_is_reproduced_from_what_was_sent_to_the_controller() {
    let bench = Bench::new();
    for folder in ["project", "project/src"] {
        fs::create_dir(bench.path(folder)).expect("the temporary folder can be written");
    }
    bench.write("project/src/train.sh", &seeded("1"));
    bench.write("project/data file.txt", "1\n");
    git(&bench, &["init", "--quiet", "--initial-branch", "main"]);
    let file = bench.write(
        "project/sweep.yaml",
        &SWEEP.replace("run_cap: 10", "run_cap: 6"),
    );
    let _controller = bench.controller();
    let id = bench.create(&[&file]);
    bench.ok(&["agent", &id, "--workdir", "project/src", "--count", "3"]);
    bench.write("project/src/train.sh", &seeded("2"));
    bench.ok(&["agent", &id, "--workdir", "project/src"]);
    // The folder is no longer needed.
    fs::remove_dir_all(bench.path(PROJECT)).expect("it is there");

    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert_eq!(
        (runs.len(), bench.json_lines(&["code", &id, "--json"]).len()),
        (6, 2)
    );
    for (run, shift) in [(1, "1."), (6, "2.")] {
        let dir = format!("again-{run}");
        let again = bench
            .json_lines(&["reproduce", &format!("{id}/{run}"), &dir, "--run", "--json"])
            .remove(0);
        assert_eq!(
            (&again["reproduced"], &again["trouble"]),
            (&true.into(), &serde_json::Value::Null),
            "{again}"
        );
        let recorded = &runs
            .iter()
            .find(|seen| seen["run"] == run)
            .expect("it is listed")["value"];
        assert_eq!(&again["metrics"]["loss"]["now"], recorded);
        assert!(recorded.to_string().starts_with(shift), "{recorded}");
        assert_eq!(
            fs::read_to_string(bench.path(&format!("{dir}/data file.txt")))
                .expect("it was written"),
            "1\n"
        );
    }
    fs::write(bench.path("again-1/mine.txt"), "mine").expect("it is a folder");
    bench.ok(&["reproduce", &format!("{id}/1"), "again-1"]);
    assert!(
        bench.path("again-1.1/mine.txt").exists() && !bench.path("again-1/mine.txt").exists(),
        "what it had written was moved aside"
    );
    let full = refused(&bench, &["reproduce", &format!("{id}/2"), "again-1"], 1);
    assert!(full.contains("not empty"), "{full}");
    let unknown = refused(&bench, &["reproduce", &id], 2);
    assert!(
        unknown.contains(&format!("sweep reproduce {id}/1")),
        "{unknown}"
    );

    let diff = bench.ok(&["diff", &format!("{id}/1"), &format!("{id}/6")]);
    assert!(
        diff.contains("src/train.sh")
            && diff.contains("1.$SWEEP_SEED")
            && diff.contains("2.$SWEEP_SEED"),
        "{diff}"
    );
    assert!(
        diff.contains(&format!("{id}/6")) && diff.contains("loss"),
        "{diff}"
    );
    assert!(
        bench
            .ok(&["diff", "--stat", &format!("{id}@1"), &format!("{id}@2")])
            .contains("1 file changed")
    );
    assert!(
        bench
            .ok(&["diff", &format!("{id}/1"), &format!("{id}/2")])
            .contains("Code: the same")
    );
    assert!(
        refused(
            &bench,
            &["diff", &format!("{id}@333"), &format!("{id}@1")],
            2
        )
        .contains("sweep code")
    );
}

#[test]
fn the_search_learns_what_new_code_has_changed() {
    let bench = Bench::new();
    fs::create_dir(bench.path(PROJECT)).expect("the temporary folder can be written");
    let program = |shift: &str| {
        format!(
            "awk -v x=\"${{1#x=}}\" 'BEGIN {{ printf \"{{\\\"loss\\\": %.9f}}\\n\", (x - 0.3) ^ 2 + {shift} }}'\n"
        )
    };
    bench.write("project/train.sh", &program("0"));
    let file = bench.write(
        "project/sweep.yaml",
        &SWEEP
            .replace("method: random", "method: bayes")
            .replace("run_cap: 10", "run_cap: 18"),
    );
    let _controller = bench.controller();
    let id = bench.create(&[&file]);
    bench.ok(&["agent", &id, "--workdir", PROJECT, "--count", "10"]);
    bench.write("project/train.sh", &program("0.5"));
    bench.ok(&["agent", &id, "--workdir", PROJECT]);
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    let value = |run: &serde_json::Value| run["value"].as_f64().expect("it has ended well");
    let best = runs[..10]
        .iter()
        .min_by(|a, b| value(a).total_cmp(&value(b)))
        .expect("there are ten");
    assert_eq!(
        runs[10]["params"], best["params"],
        "the best configuration is tried again first"
    );
    let why = bench.ok(&["show", "--why", &format!("{id}/11")]);
    assert!(
        why.contains(&format!(
            "probe 1 of 2: run {} was good with older code",
            best["run"]
        )),
        "{why}"
    );
    let shown = bench.ok(&["show", &id]);
    let learnt = shown
        .lines()
        .find(|line| line.starts_with("Code: version 2 agrees with version 1: correlation"))
        .unwrap_or_default();
    let higher = learnt
        .strip_suffix(" higher")
        .and_then(|line| line.rsplit(' ').next())
        .and_then(|shift| shift.parse::<f64>().ok());
    assert!(
        higher.is_some_and(|shift| (shift - 0.5).abs() < 1e-3),
        "{shown}"
    );
    let recommended = bench.json_lines(&["best", &id, "--json"]).remove(0);
    assert!(
        recommended["run"].as_u64() > Some(10),
        "what older code gave does not compare: {recommended}"
    );
}

#[test]
fn agents_with_other_code_at_the_same_time_are_no_secret() {
    let bench = Bench::new();
    for (folder, loss) in [(PROJECT, "0.5"), ("other", "0.25")] {
        fs::create_dir(bench.path(folder)).expect("the temporary folder can be written");
        bench.write(&format!("{folder}/train.sh"), &program(&bench, loss));
    }
    let file = bench.write("sweep.yaml", SWEEP);
    let _controller = bench.controller();
    let id = bench.create(&[&file]);
    let one = bench.start(&["agent", &id, "--workdir", PROJECT]);
    let states = |state: &str| {
        bench
            .json_lines(&["runs", &id, "--json"])
            .iter()
            .filter(|run| run["state"] == state)
            .count()
    };
    wait_for("a run", || (states("running") > 0).then_some(()));
    let watching = bench.start(&["watch", &id]);
    let other = bench.start(&["agent", &id, "--workdir", "other"]);
    wait_for("two runs", || (states("running") > 1).then_some(()));
    let text = bench.ok(&["code", &id]);
    assert!(
        text.contains("Agents work with 2 versions at the same time"),
        "{text}"
    );
    for agent in [one, other] {
        let (code, output) = agent.wait();
        assert_eq!(code, 0, "{output}");
        assert!(
            output
                .matches("other agents work with other code at the same time: version ")
                .count()
                <= 1,
            "{output}"
        );
    }
    let (_, seen) = watching.wait();
    assert_eq!(
        seen.matches("2 versions of the code are executed at the same time")
            .count(),
        1,
        "{seen}"
    );
    let versions = bench.json_lines(&["code", &id, "--json"]);
    assert_eq!(
        versions[1]["changes"],
        serde_json::json!({"files": 1, "lines_added": 1, "lines_removed": 1})
    );
}

/// A sweep of one run after another, each with a command before it.
const PREPARED: &str = "method: random
seed: 1
metric: {name: loss, goal: minimize}
program: train.sh
command: [sh, '${program}', '${args_no_hyphens}']
run_cap: 2
preflight: [sh, ../prepare.sh]
parameters:
  x: {min: 0.0, max: 1.0}
";

fn prepared(bench: &Bench, train: &str, prepare: &str) -> (String, String, Vec<serde_json::Value>) {
    fs::create_dir(bench.path(PROJECT)).expect("the temporary folder can be written");
    bench.write("project/train.sh", train);
    bench.write("prepare.sh", prepare);
    let file = bench.write("sweep.yaml", PREPARED);
    let id = bench.create(&[&file]);
    let (code, output) = bench.start(&["agent", &id, "--workdir", PROJECT]).wait();
    assert_eq!(code, 0, "{output}");
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    (id, output, runs)
}

#[test]
fn code_that_changes_after_the_look_and_before_the_program_begins_is_the_one_of_the_run() {
    let bench = Bench::new();
    let _controller = bench.controller();
    // As somebody does who saves a file at that moment. What the pause keeps apart are the stamps of files, which are only so fine.
    let prepare = "sed -i 's/0.5/0.25/' train.sh\nsleep 0.1\n";
    let (id, output, runs) = prepared(&bench, "sleep 0.2\necho '{\"loss\": 0.5}'\n", prepare);
    let versions = bench.json_lines(&["code", &id, "--json"]);
    assert_eq!(
        (runs.len(), versions.len()),
        (2, 2),
        "{output}\n{versions:#?}"
    );
    for run in &runs {
        assert_eq!(
            (&run["value"], &run["code_version"]),
            (&0.25.into(), &versions[1]["version"]),
            "{run}\n{output}"
        );
    }
    let first = format!("{id}/1");
    let shown = bench.ok(&["show", &first]);
    let version = versions[1]["version"].as_str().expect("it is text");
    assert!(
        shown.contains(&format!("code: version {version:.8}")),
        "{shown}"
    );
    bench.ok(&["reproduce", &first, "again", "--run"]);
    assert!(!output.contains("may be incomplete"), "{output}");
}

#[test]
fn a_program_that_writes_to_its_own_code_has_executed_what_was_there_before() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let train = "echo '# seen' >> train.sh\nsleep 0.5\necho '{\"loss\": 0.5}'\n";
    let (id, output, runs) = prepared(&bench, train, "true\n");
    let versions = bench.json_lines(&["code", &id, "--json"]);
    let of = |run: usize| {
        runs.iter()
            .find(|found| found["run"] == run)
            .unwrap_or_else(|| panic!("run {run} is missing: {runs:?}"))
    };
    assert_eq!(
        of(1)["code_version"],
        versions[0]["version"],
        "{output}\n{versions:#?}"
    );
    assert_eq!(
        of(2)["code_version"],
        versions[1]["version"],
        "{output}\n{versions:#?}"
    );
}
