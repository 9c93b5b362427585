//! Which sweeps are pinned, and snapshots that are refused.

use super::{GRID, git, program, project, push, refused, runs, versions};
use crate::harness::Bench;

#[test]
fn a_snapshot_with_secrets_is_refused_and_nothing_is_created() {
    let bench = Bench::new();
    project(&bench, &program("0.1", "1"));
    let file = bench.write("sweep.yaml", &GRID.replace("[1, 2, 3, 4]", "[1]"));
    let _controller = bench.controller();
    let key = format!("AKIA{}", "ABCD1234".repeat(2));
    bench.write(
        "project/src/upload.py",
        &format!("import boto\nkey = '{key}'\n"),
    );
    bench.write("project/server.pem", "x\n");
    git(&bench, &["add", "server.pem"]);
    let said = refused(&bench, &["create", &file, "--workdir", "project/src"], 2);
    for line in [
        "server.pem: a file of that name",
        "src/upload.py:2: an AWS access key",
        "--allow-secrets",
    ] {
        assert!(said.contains(line), "{said}");
    }
    assert!(!said.contains(&key), "{said}");
    assert!(
        bench.ok(&["ls", "--json"]).is_empty(),
        "nothing was created"
    );
    let id = bench.create(&[&file, "--workdir", "project/src", "--allow-secrets"]);
    let said = refused(
        &bench,
        &["code", "push", &id, "--workdir", "project/src"],
        2,
    );
    assert!(said.contains("an AWS access key"), "{said}");
    // A program that changes its own code does so for nobody else.
    bench.write(
        "project/src/train.sh",
        &format!("echo 'exit 1' > train.sh\n{}", program("0", "1")),
    );
    push(&bench, &id, &["--allow-secrets"]);
    bench.ok(&["agent", &id, "--workdir", "elsewhere"]);
    bench.ok(&["retry", &format!("{id}/1")]);
    bench.ok(&["agent", &id, "--workdir", "elsewhere"]);
    assert_eq!(runs(&bench, &id)[0]["state"], "finished");
}

#[test]
fn a_sweep_that_tracks_is_pinned_only_if_a_person_says_so() {
    let bench = Bench::new();
    project(&bench, &program("0.1", "1"));
    let file = bench.write("sweep.yaml", &GRID.replace("code: {mode: pin}\n", ""));
    let _controller = bench.controller();
    let wrong = refused(&bench, &["create", &file, "--workdir", "project/src"], 2);
    assert!(wrong.contains("code: {mode: pin}"), "{wrong}");
    let id = bench.create(&[&file]);
    bench.ok(&["agent", &id, "--workdir", "project/src", "--count", "2"]);
    bench.write("project/src/train.sh", &program("0.1", "2"));
    let said = refused(
        &bench,
        &["code", "push", &id, "--workdir", "project/src"],
        1,
    );
    assert!(
        said.contains("nothing to push") && said.contains("--pin"),
        "{said}"
    );
    push(&bench, &id, &["--pin", "--rerun", "best", "1"]);
    bench.write("project/src/train.sh", "exit 1\n");
    bench.ok(&["agent", &id, "--workdir", "project/src"]);
    let all = runs(&bench, &id);
    assert!(
        all.len() == 5 && all.iter().all(|run| run["state"] == "finished"),
        "{all:#?}"
    );
    assert_eq!(
        versions(&bench, &id).len(),
        2,
        "what the agent has is of no concern any more"
    );
    assert_eq!(all[2]["params"], all[0]["params"]);
    // In one process.
    let pinned = bench.write("project/src/pinned.yaml", GRID);
    bench.write("project/src/train.sh", &program("0.1", "3"));
    let outcome = bench
        .json_lines(&["run", &pinned, "--workdir", "project/src", "--json"])
        .remove(0);
    assert_eq!(outcome["finished"], 4, "{outcome}");
    assert!(
        outcome["runs"][0]["code_version"]
            .as_str()
            .is_some_and(|version| !version.is_empty()),
        "{outcome}"
    );
}
