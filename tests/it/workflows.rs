//! Executes the workflow files of docs/guides/ci.md in a real shell, with the real binary.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{Bench, CommandResult, by, finish};

const SWEEP: &str = r#"
method: grid
repeats: 5
metric: {name: loss, goal: minimize}
command: [sh, train.sh]
parameters: {x: {values: [1]}}
"#;
const TRAIN: &str =
    r#"awk -v r=$SWEEP_REPEAT 'BEGIN { printf "{\"loss\": %f}\n", MEAN + (r % 3) / 1000 }'"#;

/// Returns the block of a Markdown file that begins with a comment.
fn block(name: &str) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides/ci.md"))
        .expect("it is there");
    let begin = text
        .find(&format!("```yaml\n# {name}\n"))
        .unwrap_or_else(|| panic!("docs/guides/ci.md has {name}"));
    let rest = &text[begin + "```yaml\n".len()..];
    rest[..rest.find("\n```").expect("the block ends")].to_owned()
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Returns the scripts of a workflow's steps by the steps' names.
fn steps(workflow: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = workflow.lines().collect();
    let mut name = String::new();
    let mut steps = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if let Some(found) = line.trim().strip_prefix("- name: ") {
            name = found.to_owned();
        }
        let Some(script) = line.trim().strip_prefix("run: ") else {
            continue;
        };
        let inner = lines[index + 1..]
            .iter()
            .take_while(|inner| indent(inner) > indent(line));
        let script = if script == "|" {
            inner
                .map(|inner| inner.trim())
                .collect::<Vec<_>>()
                .join("\n")
        } else {
            script.to_owned()
        };
        steps.push((name.clone(), script));
    }
    steps
}

/// Returns the lines of a job's script.
fn script(workflow: &str) -> String {
    let mut lines = workflow.lines().skip_while(|line| line.trim() != "script:");
    let depth = indent(lines.next().expect("there is a script"));
    let lines = lines.take_while(|line| indent(line) > depth);
    lines
        .map(|line| {
            line.trim()
                .strip_prefix("- ")
                .expect("a line of the script")
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// A project with a sweep whose results lie about a mean.
fn project(bench: &Bench, mean: &str) {
    for folder in ["project", "bin", "tmp"] {
        fs::create_dir_all(bench.path(folder)).expect("the temporary folder can be written");
    }
    bench.write("project/sweep.yaml", SWEEP);
    bench.write("project/train.sh", &TRAIN.replace("MEAN", mean));
    let binary = Path::new(env!("CARGO_BIN_EXE_sweep"));
    if !bench.path("bin/sweep").exists() {
        std::os::unix::fs::symlink(binary, bench.path("bin/sweep"))
            .expect("the temporary folder can be written");
    }
}

/// Executes a script as a runner does: in the checkout, ending at the first line that fails.
fn execute(bench: &Bench, script: &str, variables: &[(&str, &str)]) -> CommandResult {
    let mut shell = Command::new("bash");
    shell.args(["-e", "-o", "pipefail", "-c", script]);
    let mut shell = by(shell, &bench.sweep(&[]));
    shell.current_dir(bench.path("project"));
    let path = format!(
        "{}:{}",
        bench.path("bin").display(),
        std::env::var("PATH").expect("there is a path")
    );
    shell
        .env("PATH", path)
        .env("RUNNER_TEMP", bench.path("tmp"))
        .env("GITHUB_STEP_SUMMARY", bench.path("summary.md"));
    shell.env("SWEEP_LISTEN", format!("127.0.0.1:{}", bench.port()));
    shell.envs(variables.iter().copied());
    finish(shell)
}

#[test]
fn the_github_workflow_compares_a_pull_request_with_main() {
    let workflow = block(".github/workflows/sweep.yml");
    let steps = steps(&workflow);
    let bench = Bench::new();
    let step = |name: &str, branch: &str| {
        let (_, script) = steps
            .iter()
            .find(|(found, _)| found == name)
            .unwrap_or_else(|| panic!("no step `{name}` in {steps:?}"));
        execute(
            &bench,
            script,
            &[
                ("GITHUB_REF_NAME", branch),
                ("GITHUB_REPOSITORY", "team/project"),
                ("NUMBER", "7"),
            ],
        )
    };
    let passes = |name: &str, branch: &str| {
        let ended = step(name, branch);
        assert_eq!(ended.code, 0, "{name}: {ended:?}");
    };
    let names: Vec<&str> = steps.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "Search",
            "Report",
            "Gate",
            "Keep as the baseline",
            "Leave nothing running"
        ],
        "each step is executed below"
    );

    project(&bench, "0.3");
    bench.write(
        "bin/gh",
        "#!/bin/sh\nprintf '%s\\n' \"$*\" > \"$RUNNER_TEMP/comment\"\n",
    );
    fs::set_permissions(
        bench.path("bin/gh"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .expect("it was written");
    for name in ["Search", "Keep as the baseline", "Leave nothing running"] {
        passes(name, "main");
    }
    bench.nothing_left();
    assert!(
        bench.read("tmp/baseline.json").contains("\"values\":["),
        "{}",
        bench.read("tmp/baseline.json")
    );
    project(&bench, "0.35");
    for name in ["Search", "Report"] {
        passes(name, "worse");
    }
    let failed = step("Gate", "worse");
    assert!(
        failed.code == 1
            && failed
                .stdout
                .starts_with("fail: loss 0.05 worse than baseline"),
        "{failed:?}"
    );
    passes("Leave nothing running", "worse");
    bench.nothing_left();
    assert!(bench.read("tmp/gate.xml").contains("<failure"));
    assert!(
        bench
            .read("tmp/comment")
            .starts_with("pr comment 7 --repo team/project --body-file report.md")
    );
    for file in ["summary.md", "tmp/report.md", "tmp/report.html"] {
        assert!(
            bench
                .read(file)
                .contains("fail: loss 0.05 worse than baseline"),
            "{file}: {}",
            bench.read(file)
        );
    }
}

#[test]
fn the_gitlab_job_compares_a_merge_request_with_its_base() {
    let script = script(&block(".gitlab-ci.yml"));
    let bench = Bench::new();
    let _controller = bench.controller();
    project(&bench, "0.3");
    let named = |sha: &'static str| [("CI_PROJECT_NAME", "wine"), ("CI_COMMIT_SHA", sha)];
    let main = execute(&bench, &script, &named("aaa"));
    assert!(
        main.code == 0 && main.stdout.contains("pass: loss 0 better than baseline"),
        "{main:?}"
    );
    project(&bench, "0.35");
    let worse = [
        named("bbb").as_slice(),
        &[("CI_MERGE_REQUEST_DIFF_BASE_SHA", "aaa")],
    ]
    .concat();
    let failed = execute(&bench, &script, &worse);
    assert!(
        failed.code == 1
            && failed
                .stdout
                .contains("fail: loss 0.05 worse than baseline"),
        "{failed:?}"
    );
    assert!(
        bench.read("project/gate.xml").contains("<failure")
            && bench.read("project/report.html").contains("wine-bbb")
    );
}
