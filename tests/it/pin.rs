//! Sweeps that are pinned to a snapshot of the code: every agent executes it, and a push moves them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::code::SWEEP;
use crate::harness::{self, Bench, wait_for};

mod creation;

const PROJECT: &str = "project";

const GRID: &str = "method: grid
metric: {name: loss, goal: minimize}
program: train.sh
command: [sh, '${program}', '${args_no_hyphens}']
code: {mode: pin}
parameters:
  x: {values: [1, 2, 3, 4]}
";

/// Takes a while, writes into its folder, and comes to a loss that says which program it was.
fn program(seconds: &str, shift: &str) -> String {
    format!(
        "sleep {seconds}\necho \"$@\" >> seen.log\necho \"{{\\\"loss\\\": {shift}.${{1#x=}}}}\" | sed 's/\\.0\\./.0/'\n"
    )
}

/// A repository with a program in a folder of it, a stash, and something that is staged.
fn project(bench: &Bench, text: &str) {
    fs::create_dir_all(bench.path("project/src")).expect("the temporary folder can be written");
    fs::create_dir_all(bench.path("elsewhere")).expect("the temporary folder can be written");
    git(bench, &["init", "--quiet", "--initial-branch", "main"]);
    bench.write("project/src/train.sh", text);
    bench.write("project/.gitignore", "*.tmp\n");
    git(bench, &["add", "--all"]);
    git(bench, &["commit", "--quiet", "--message", "Begin"]);
    bench.write("project/stashed.txt", "x\n");
    git(bench, &["stash", "--include-untracked", "--quiet"]);
    bench.write("project/staged.txt", "x\n");
    git(bench, &["add", "staged.txt"]);
}

fn git(bench: &Bench, arguments: &[&str]) -> String {
    harness::git(&bench.path(PROJECT), arguments)
}

/// All files below a folder with what they hold.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("it is there").flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else {
                let bytes =
                    fs::read(&path).unwrap_or_else(|_| path.as_os_str().as_bytes().to_vec());
                found.insert(path, bytes);
            }
        }
    }
    found
}

fn refused(bench: &Bench, arguments: &[&str], status: i32) -> String {
    let ended = bench.run(arguments);
    assert_eq!(ended.code, status, "{}{}", ended.stdout, ended.stderr);
    ended.stderr
}

fn runs(bench: &Bench, id: &str) -> Vec<Value> {
    bench.json_lines(&["runs", id, "--json"])
}

/// Pushes the code of the project.
fn push(bench: &Bench, id: &str, arguments: &[&str]) -> String {
    let push = ["code", "push", id, "--workdir", "project/src"];
    bench.ok(&[&push, arguments].concat())
}

fn versions(bench: &Bench, id: &str) -> Vec<Value> {
    bench.json_lines(&["code", id, "--json"])
}

fn value(run: &Value) -> f64 {
    run["value"].as_f64().unwrap_or(f64::NAN)
}

#[test]
fn every_agent_executes_the_snapshot_and_a_push_moves_them() {
    let bench = Bench::new();
    project(&bench, &program("0.3", "1"));
    bench.write("project/src/helper.tmp", "ignored\n");
    let file = bench.write("sweep.yaml", &format!("{SWEEP}code: {{mode: pin}}\n"));
    let _controller = bench.controller();
    let before = files(&bench.path(PROJECT));
    let id = bench.create(&[&file, "--workdir", "project/src"]);
    // The folder is no longer needed, and agents may be anywhere.
    bench.write("project/src/train.sh", "exit 1\n");
    let agents = [(); 2].map(|()| bench.start(&["agent", &id, "--workdir", "elsewhere"]));
    let finished = || {
        runs(&bench, &id)
            .iter()
            .filter(|run| run["state"] == "finished")
            .count()
    };
    wait_for("three runs", || (finished() >= 3).then_some(()));
    bench.write("project/src/train.sh", &program("0.3", "2"));
    let pushed = push(&bench, &id, &[]);
    assert!(
        pushed.contains("is pinned to version 2") && pushed.contains("main at "),
        "{pushed}"
    );
    let again = push(&bench, &id, &[]);
    assert!(again.contains("was at that already: version 2"), "{again}");
    for agent in agents {
        let (code, output) = agent.wait();
        assert_eq!(code, 0, "{output}");
        assert!(output.contains("fetched from the controller"), "{output}");
    }
    let (all, known) = (runs(&bench, &id), versions(&bench, &id));
    assert_eq!(
        (all.len(), known.len(), finished()),
        (10, 2, 10),
        "{known:#?}"
    );
    for run in &all {
        let version = if value(run) < 2.0 {
            &known[0]
        } else {
            &known[1]
        };
        assert_eq!(run["code_version"], version["version"], "{run}");
    }
    assert!(
        known
            .iter()
            .all(|version| version["runs"].as_u64() >= Some(1)),
        "{known:#?}"
    );
    assert_eq!(
        (&known[0]["pinned"], &known[1]["pinned"]),
        (&false.into(), &true.into())
    );
    assert_eq!(
        known[1]["changes"],
        serde_json::json!({"files": 1, "lines_added": 1, "lines_removed": 1})
    );
    let text = bench.ok(&["code", &id]);
    assert!(
        text.contains("pinned to version 2") && text.contains("1 file +1 -1"),
        "{text}"
    );
    // One folder a version, where programs have left what they write.
    let trees: Vec<_> = fs::read_dir(bench.path("state/sweep/pinned/trees"))
        .expect("it is there")
        .flatten()
        .collect();
    assert_eq!(trees.len(), 2);
    assert!(
        trees
            .iter()
            .all(|tree| tree.path().join("src/seen.log").exists()
                && !tree.path().join("src/helper.tmp").exists())
    );

    // The best of the old code once more: the cap of ten does not count them.
    let rerun = bench.ok(&["code", "rerun", &id, "best", "2"]);
    assert!(
        rerun.contains("2 points are tried again: runs 11, 12"),
        "{rerun}"
    );
    bench.ok(&["agent", &id, "--workdir", "elsewhere"]);
    let all = runs(&bench, &id);
    let mut old: Vec<_> = all[..10].iter().filter(|run| value(run) < 2.0).collect();
    old.sort_by(|a, b| value(a).total_cmp(&value(b)));
    for (again, first) in all[10..].iter().zip(&old) {
        assert_eq!(
            (&again["params"], &again["code_version"]),
            (&first["params"], &known[1]["version"])
        );
        assert!(
            (value(again) - value(first) - 1.0).abs() < 1e-9,
            "{again} {first}"
        );
    }
    let idle = bench.ok(&["code", "rerun", &id, "best", "2"]);
    assert!(idle.contains("asked for with that code already"), "{idle}");

    // Runs are reproduced from it, and the user's repository is as it was.
    let one = all
        .iter()
        .find(|run| value(run) < 2.0)
        .expect("there are some")["run"]
        .clone();
    let reproduced = bench
        .json_lines(&[
            "reproduce",
            &format!("{id}/{one}"),
            "again",
            "--run",
            "--json",
        ])
        .remove(0);
    assert_eq!(reproduced["reproduced"], true, "{reproduced}");
    let mut after = files(&bench.path(PROJECT));
    after.insert(
        bench.path("project/src/train.sh"),
        program("0.3", "1").into_bytes(),
    );
    let changed: Vec<_> = after
        .iter()
        .filter(|(path, bytes)| before.get(*path) != Some(*bytes))
        .map(|(path, _)| path)
        .collect();
    assert!(before == after, "{changed:?}");
}

#[test]
fn a_grid_is_tried_again_and_ends_when_all_of_it_was() {
    let bench = Bench::new();
    project(&bench, &program("0.1", "1"));
    let file = bench.write("project/src/sweep.yaml", GRID);
    let controller = bench.controller();
    // The program lies beside the file.
    let id = bench.create(&[&file]);
    bench.ok(&["agent", &id, "--workdir", "elsewhere"]);
    let finished = |count: usize| {
        let all = runs(&bench, &id);
        assert_eq!(
            all.iter().filter(|run| run["state"] == "finished").count(),
            count,
            "{all:#?}"
        );
        assert_eq!(
            bench.json_lines(&["show", &id, "--json"])[0]["state"],
            "finished"
        );
        all
    };
    finished(4);
    let nothing = refused(&bench, &["code", "rerun", &id, "all"], 1);
    assert!(
        nothing.contains("pinned to") && nothing.contains("sweep code push"),
        "{nothing}"
    );
    bench.write("project/src/train.sh", &program("0.1", "2"));
    let pushed = push(&bench, &id, &["--rerun", "all"]);
    assert!(
        pushed.contains("4 points are tried again: runs 5, 6, 7, 8"),
        "{pushed}"
    );
    let show = bench.ok(&["show", &id]);
    assert!(show.contains("running") && show.contains('8'), "{show}");
    bench.ok(&["agent", &id, "--workdir", "elsewhere"]);
    let all = finished(8);
    for (old, new) in all[..4].iter().zip(&all[4..]) {
        assert_eq!(old["params"], new["params"]);
        assert!((value(new) - value(old) - 1.0).abs() < 1e-9, "{old} {new}");
    }
    let wrong = refused(&bench, &["code", "push", &id, "--rerun", "all", "some"], 2);
    assert!(wrong.contains("does not name points to rerun"), "{wrong}");

    // Marks of versions.
    assert_eq!(
        bench.json_lines(&["best", &id, "--json", "--by", "value"])[0]["run"],
        1
    );
    bench.ok(&["code", "mark", &id, "@1", "unusable"]);
    assert_eq!(bench.json_lines(&["show", &id, "--json"])[0]["best_run"], 5);
    assert_eq!(bench.json_lines(&["best", &id, "--json"])[0]["run"], 5);
    let text = bench.ok(&["code", &id]);
    assert!(text.contains("Version 1 is marked as unusable"), "{text}");
    assert_eq!(runs(&bench, &id).len(), 8, "they are kept");
    let marked = versions(&bench, &id);
    assert_eq!(
        (
            &marked[0]["unusable"],
            &marked[0]["best_run"],
            &marked[0]["runs"]
        ),
        (&true.into(), &Value::Null, &4.into())
    );
    bench.ok(&["code", "mark", &id, "1", "clear"]);
    assert_eq!(bench.json_lines(&["show", &id, "--json"])[0]["best_run"], 1);
    let hash = marked[1]["version"].as_str().expect("it has one")[..8].to_owned();
    bench.ok(&["code", "mark", &id, &hash, "same-as", "@1"]);
    assert!(
        bench
            .ok(&["code", &id])
            .contains("Version 2 is marked as the same as version 1")
    );
    assert!(
        refused(&bench, &["code", "mark", &id, "@1", "same-as", "@2"], 1)
            .contains("said to be the same as this")
    );
    assert!(
        refused(&bench, &["code", "mark", &id, "@7", "unusable"], 2).contains("no code version")
    );
    assert!(refused(&bench, &["code", "mark", &id, "@1", "great"], 2).contains("unusable"));
    bench.ok(&["code", "mark", &id, "@1", "unusable"]);
    let history = bench.ok(&["history", &id]);
    let steps: Vec<_> = history
        .lines()
        .filter_map(|line| Some(line.split_once("code: ")?.1))
        .filter(|step| !step.contains('('))
        .collect();
    let expected = [
        "pinned to version 1",
        "pinned to version 2",
        "version 1 marked unusable",
        "version 1 no longer marked",
        "version 2 marked the same as version 1",
        "version 1 marked unusable",
    ];
    assert_eq!(steps, expected, "{history}");
    let steps = bench
        .json_lines(&["history", &id, "--json"])
        .into_iter()
        .filter(|entry| entry["type"] == "code_step");
    let acts: Vec<_> = steps
        .map(|step| step["act"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        acts,
        [
            "pinned", "pinned", "unusable", "unmarked", "same-as", "unusable"
        ]
    );
    let verified = bench.ok(&["controller", "verify", "--data-dir", "controller"]);
    assert!(verified.contains("All is well"), "{verified}");

    // Elsewhere, from a backup: an agent that has never seen the code gets it there too.
    bench.ok(&["code", "mark", &id, "@1", "clear"]);
    bench.write("project/src/train.sh", &program("0.1", "3"));
    let points = push(&bench, &id, &["--rerun", "best", "1"]);
    assert!(points.contains("1 point is tried again: run 9"), "{points}");
    bench.back_up("backup.db", "controller");
    controller.kill();
    fs::remove_dir_all(bench.path("state/sweep/pinned")).expect("it is there");
    bench.restore("backup.db", "restored");
    let listen = format!("127.0.0.1:{}", bench.port());
    let restored = bench.start(&["controller", "--listen", &listen, "--data-dir", "restored"]);
    bench.listening(&restored);
    let (status, output) = bench
        .start(&["agent", &id, "--workdir", "elsewhere"])
        .wait();
    assert!(
        status == 0 && output.contains("fetched from the controller") && output.contains("3.1"),
        "{status} {output}"
    );
}

#[test]
fn running_runs_make_way_when_they_are_told_to() {
    let bench = Bench::new();
    project(&bench, &program("600", "1"));
    let file = bench.write("sweep.yaml", GRID);
    let _controller = bench.controller();
    let id = bench.create(&[&file, "--workdir", "project/src"]);
    let agent = bench.start(&["agent", &id, "--workdir", "elsewhere", "--slots", "2"]);
    let running = || {
        runs(&bench, &id)
            .iter()
            .filter(|run| run["state"] == "running")
            .count()
    };
    wait_for("two runs", || (running() == 2).then_some(()));
    bench.write("project/src/train.sh", &program("0.1", "2"));
    let pushed = push(&bench, &id, &["--stop-running"]);
    assert!(
        pushed.contains("2 running runs are ended and begin again with it"),
        "{pushed}"
    );
    let (code, output) = agent.wait();
    assert_eq!(code, 0, "{output}");
    let all = runs(&bench, &id);
    assert_eq!(all.len(), 4);
    let newest = versions(&bench, &id)[1]["version"].clone();
    for run in &all {
        assert_eq!(
            (&run["state"], &run["code_version"]),
            (&"finished".into(), &newest),
            "{run}"
        );
        assert_eq!(
            run["attempts"],
            if run["run"].as_u64() <= Some(2) { 2 } else { 1 },
            "{run}"
        );
    }
    assert!(
        !bench
            .processes()
            .iter()
            .any(|process| process.command.contains("sleep")),
        "{:?}",
        bench.processes()
    );
}
