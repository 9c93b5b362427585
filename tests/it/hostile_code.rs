//! Working folders that want something executed, hold secrets, change without end, or unfold to more than any disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use sweep_proto::v1::push_code_request::Part;
use sweep_proto::v1::{PushCodeHeader, PushCodeRequest};
use tokio_stream::StreamExt as _;

use crate::harness::{Bench, finish, git, git_with, runtime, wait_for};

/// A key of a known form, put together here so that nobody takes this file for one that holds any.
fn key() -> String {
    format!(
        "hf_{}",
        "aB3dE5gH7jK9mN1p"
            .repeat(3)
            .chars()
            .take(34)
            .collect::<String>()
    )
}

#[test]
fn capture_executes_nothing_and_secrets_stay_on_the_machine() {
    let bench = Bench::new();
    let project = bench.path("project");
    fs::create_dir_all(project.join("data")).expect("the temporary folder can be written");
    let evil = bench.write(
        "evil.sh",
        &format!(
            "#!/bin/sh\necho \"$0 $*\" >>'{}'\ncat\n",
            bench.path("executed").display()
        ),
    );
    fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).expect("it is ours");
    bench.write("project/train.sh", "echo '{\"loss\": 0.5}'\n");
    bench.write("project/data/a.txt", "1\n");
    for folder in [project.join("data"), project.clone()] {
        git(&folder, &["init", "--quiet", "--initial-branch", "main"]);
        fs::write(folder.join("note.txt"), "1\n").expect("it is ours");
        git(&folder, &["add", "note.txt"]);
        git(&folder, &["commit", "--quiet", "--message", "Begin"]);
        fs::write(
            folder.join(".gitattributes"),
            "*.txt filter=evil diff=evil\n",
        )
        .expect("it is ours");
        let settings = [
            "core.fsmonitor",
            "filter.evil.clean",
            "filter.evil.smudge",
            "diff.evil.textconv",
            "diff.external",
            "core.sshCommand",
            "gpg.program",
            "core.pager",
        ];
        for setting in settings {
            git(&folder, &["config", setting, &evil]);
        }
        let hooks = folder.join(".git/hooks");
        fs::create_dir_all(&hooks).expect("it is ours");
        for hook in [
            "post-index-change",
            "reference-transaction",
            "post-checkout",
        ] {
            fs::copy(&evil, hooks.join(hook)).expect("it is ours");
        }
        fs::write(folder.join("note.txt"), "2\n").expect("it is ours");
    }
    git(
        &project,
        &[
            "config",
            "remote.origin.url",
            "https://me:hunter22@host.local/a.git?private_token=hunter22",
        ],
    );
    let key = key();
    bench.write("project/.envrc", &format!("export HF_TOKEN={key}\n"));
    bench.write("project/settings.py", &format!("token = '{key}'\n"));
    let _ = fs::remove_file(bench.path("executed"));
    let text = format!(
        "method: grid\nmetric: {{name: loss}}\nprogram: train.sh\n\
         command: [sh, '${{program}}', '${{args}}', --api-key, hunter22, '--hub={key}']\nparameters: {{x: {{values: [1]}}}}\n"
    );
    let file = bench.write("sweep.yaml", &text);
    let _controller = bench.controller();
    let id = bench.create(&[&file]);
    let ended = finish(bench.sweep(&["agent", &id, "--workdir", "project"]));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for note in [
        ".envrc: not part of the code version, by name a secret",
        "settings.py (a Hugging Face token): not part of the code version",
    ] {
        assert_eq!(ended.stderr.matches(note).count(), 1, "{}", ended.stderr);
    }
    let run = format!("{id}/1");
    let shown = [
        ended.stderr,
        bench.ok(&["show", &run]),
        bench.ok(&["show", &run, "--json"]),
        bench.ok(&["show", "--environment", &run]),
        bench.ok(&["code", &id]),
        bench.ok(&["code", &id, "--json"]),
        bench.ok(&["code", &id, "--diff", "@1"]),
    ];
    for text in &shown {
        assert!(!text.contains("hunter22") && !text.contains(&key), "{text}");
    }
    assert!(
        shown[5].contains("\"https://host.local/a.git\""),
        "{}",
        shown[5]
    );
    assert!(shown[6].contains("+2"), "{}", shown[6]);
    bench.ok(&["reproduce", &run, "again"]);
    assert!(bench.path("again/train.sh").exists() && bench.path("again/data/note.txt").exists());
    assert!(!bench.path("again/.envrc").exists() && !bench.path("again/settings.py").exists());
    assert_eq!(
        fs::read_to_string(bench.path("executed")).unwrap_or_default(),
        ""
    );
}

/// A tree of ten entries, eight folders deep: a hundred million files and folders in less than a kilobyte.
fn bomb(bench: &Bench, folder: &Path) -> String {
    let blob = git_with(
        folder,
        &["hash-object", "-w", "--stdin"],
        Some(Path::new(&bench.write("empty", ""))),
    );
    let level = |kind: &str, hash: &str| {
        let entries: String = (0..10)
            .map(|number| format!("{kind} {hash}\tf{number}\n"))
            .collect();
        git_with(
            folder,
            &["mktree"],
            Some(Path::new(&bench.write("entries", &entries))),
        )
    };
    (0..8).fold(level("100644 blob", &blob), |hash, _| {
        level("040000 tree", &hash)
    })
}

#[test]
fn a_small_bundle_that_unfolds_without_end_is_refused_before_anything_walks_through_it() {
    let bench = Bench::new();
    let folder = bench.path("bomb");
    fs::create_dir(&folder).expect("the temporary folder can be written");
    git(&folder, &["init", "--quiet"]);
    let version = bomb(&bench, &folder);
    let commit = git(&folder, &["commit-tree", "-m", "x", &version]);
    let name = format!("refs/sweep/{version}");
    git(&folder, &["update-ref", &name, &commit]);
    git(&folder, &["bundle", "create", "--quiet", "bundle", &name]);
    let bundle = fs::read(folder.join("bundle")).expect("it was written");
    assert!(bundle.len() < 2000, "{}", bundle.len());
    let _controller = bench.controller();
    let runtime = runtime();
    let refused = runtime.block_on(async {
        let mut client = bench.client().await;
        let header = PushCodeHeader {
            version: version.clone(),
            ..PushCodeHeader::default()
        };
        let parts = [Part::Header(header), Part::Chunk(bundle)]
            .map(|part| PushCodeRequest { part: Some(part) });
        client
            .stage_code(tokio_stream::iter(parts))
            .await
            .expect_err("it is refused")
    });
    assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{refused}");
    assert!(
        refused
            .message()
            .contains("which is no code: at most 500000 files and folders"),
        "{refused}"
    );
    let left = || {
        bench
            .processes()
            .iter()
            .all(|process| process.name != "git")
    };
    wait_for("git to end", || left().then_some(()));
}

#[test]
fn an_interrupted_upload_continues_where_it_stopped() {
    let bench = Bench::new();
    let folder = bench.path("code");
    fs::create_dir(&folder).expect("the temporary folder can be written");
    git(&folder, &["init", "--quiet"]);
    fs::write(folder.join("train.py"), "print(1)\n".repeat(1000))
        .expect("the folder can be written");
    git(&folder, &["add", "train.py"]);
    let version = git(&folder, &["write-tree"]);
    let text = format!(
        "tree {version}\nauthor sweep <> 0 +0000\ncommitter sweep <> 0 +0000\n\nA code version of sweep\n"
    );
    let commit = git(
        &folder,
        &[
            "hash-object",
            "-t",
            "commit",
            "-w",
            &bench.write("commit", &text),
        ],
    );
    let name = format!("refs/sweep/{version}");
    git(&folder, &["update-ref", &name, &commit]);
    git(&folder, &["bundle", "create", "--quiet", "bundle", &name]);
    let bundle = fs::read(folder.join("bundle")).expect("it was written");
    let (first, second) = bundle.split_at(100);
    let header = |offset| {
        let header = PushCodeHeader {
            version: version.clone(),
            upload_id: "upload1".to_owned(),
            offset,
            ..PushCodeHeader::default()
        };
        PushCodeRequest {
            part: Some(Part::Header(header)),
        }
    };
    let chunk = |bytes: &[u8]| PushCodeRequest {
        part: Some(Part::Chunk(bytes.to_vec())),
    };
    let controller = bench.controller();
    let runtime = runtime();
    runtime.block_on(async {
        let mut client = bench.client().await;
        let begun = tokio_stream::iter([header(0), chunk(first)]).chain(tokio_stream::pending());
        let interrupted =
            tokio::time::timeout(Duration::from_secs(2), client.stage_code(begun)).await;
        assert!(interrupted.is_err(), "it waits for the rest");
    });
    // What has arrived outlives the controller.
    controller.kill();
    let _controller = bench.controller();
    runtime.block_on(async {
        let mut client = bench.client().await;
        let again = tokio_stream::iter([header(0), chunk(first), chunk(second)]);
        let answer = client
            .stage_code(again)
            .await
            .expect("it says how far it is")
            .into_inner();
        assert_eq!(answer.continue_at, Some(100));
        let rest = tokio_stream::iter([header(100), chunk(second)]);
        let answer = client
            .stage_code(rest)
            .await
            .expect("the bundle is complete")
            .into_inner();
        assert_eq!(answer.continue_at, None);
        let known = client
            .stage_code(tokio_stream::once(header(0)).chain(tokio_stream::pending()))
            .await;
        assert_eq!(known.expect("it is there").into_inner().continue_at, None);
    });
}

#[test]
fn a_program_that_writes_source_into_its_folder_is_told_once_and_no_more_is_sent_until_somebody_does_something()
 {
    let bench = Bench::new();
    fs::create_dir(bench.path("project")).expect("the temporary folder can be written");
    // The last runs wait for somebody.
    let waits = format!(
        "while [ \"$SWEEP_RUN\" -gt 58 ] && ! [ -e '{}' ]; do sleep 0.1; done\n",
        bench.path("go").display()
    );
    // A person edits source while runs train, so that it is code.
    bench.write("project/generated.py", "# 0\n");
    bench.write(
        "project/train.sh",
        &format!("{waits}echo \"# $SWEEP_RUN\" >generated.py\necho '{{\"loss\": 1}}'\n"),
    );
    let text = "method: random\nmetric: {name: loss}\nprogram: train.sh\ncommand: [sh, '${program}']\nrun_cap: 66\nparameters: {x: {min: 0.0, max: 1.0}}\n";
    let _controller = bench.controller();
    let id = bench.create(&[&bench.write("sweep.yaml", text)]);
    let agent = bench.start(&["agent", &id, "--workdir", "project"]);
    let told = "more than 50 versions of the code within 60 min (changed last: generated.py";
    wait_for("the agent to say it", || {
        agent.output().contains(told).then_some(())
    });
    let versions = || {
        bench
            .json_lines(&["code", &id, "--json"])
            .into_iter()
            .filter(|version| version["version"].is_string())
            .count()
    };
    wait_for("some more runs", || {
        (bench.json_lines(&["runs", &id, "--json"]).len() >= 58).then_some(())
    });
    assert!(versions() <= 50, "{}", versions());
    bench.write("project/.sweepignore", "generated.py\n");
    bench.write("go", "");
    let (code, output) = agent.wait();
    assert_eq!(code, 0, "{output}");
    assert_eq!(output.matches(told).count(), 1, "{output}");
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    let last = runs
        .iter()
        .find(|run| run["run"] == 66)
        .expect("it was run");
    assert!(
        last["code_version"]
            .as_str()
            .is_some_and(|version| !version.is_empty()),
        "{last}"
    );
    assert!(versions() <= 51, "{}", versions());
    // What is there need not come again: of many agents with the same code one sends it.
    let version = bench.json_lines(&["code", &id, "--json"])[0]["version"]
        .as_str()
        .expect("it has one")
        .to_owned();
    let header = PushCodeHeader {
        version,
        ..PushCodeHeader::default()
    };
    let only = tokio_stream::once(PushCodeRequest {
        part: Some(Part::Header(header)),
    });
    let runtime = runtime();
    runtime.block_on(async {
        let mut client = bench.client().await;
        client
            .stage_code(only.chain(tokio_stream::pending()))
            .await
            .expect("it is there");
    });
}

#[test]
fn a_report_shows_no_key_of_the_sweep_file() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let key = key();
    let text = format!(
        "method: grid\nmetric: {{name: loss}}\ncommand: [sh, -c, 'echo \"{{\\\"loss\\\": 1}}\"', --hub={key}]\nparameters: {{x: {{values: [1]}}}}\n"
    );
    let id = bench.create(&[&bench.write("sweep.yaml", &text)]);
    bench.ok(&["agent", &id]);
    let out = bench.path("report.json").display().to_string();
    bench.ok(&["report", &id, "--out", &out]);
    for report in [
        bench.ok(&["report", &id]),
        bench.ok(&["report", &id, "--format", "html"]),
        bench.read("report.json"),
    ] {
        assert!(
            report.contains("--hub=[hidden]") && !report.contains(&key),
            "{report}"
        );
    }
}
