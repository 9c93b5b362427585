//! Programs that write beside themselves: what they write is no code.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::harness::{Bench, has_python};

const SWEEP: &str = "method: random
seed: 1
metric: {name: loss, goal: minimize}
program: train.sh
command: [sh, '${program}', '${args_no_hyphens}']
run_cap: 16
early_terminate: {type: hyperband, min_iter: 3, eta: 3}
parameters:
  x: {min: 0.0, max: 1.0}
";

/// Writes as Hydra, Lightning, MLflow, papermill and people do, and reports 18 values.
const PROGRAM: &str = r#"mkdir -p "outputs/2026-01-01/$SWEEP_RUN/.hydra" "exp/run-$SWEEP_RUN" lightning_logs/version_0 mlruns/0
echo "x: $1" >"outputs/2026-01-01/$SWEEP_RUN/.hydra/config.yaml"
cp train.sh "exp/run-$SWEEP_RUN/train.sh"
echo "{\"run\": $SWEEP_RUN}" >"exp/run-$SWEEP_RUN/metrics.json"
echo "{\"run\": $SWEEP_RUN}" >"result-$SWEEP_RUN.json"
echo "$SWEEP_RUN" >>results.csv
echo "$SWEEP_RUN" >out.ipynb
echo "$SWEEP_RUN" >mlflow.db
echo x >lightning_logs/version_0/metrics.csv
echo x >mlruns/0/meta.yaml
x=${1#x=}
step=0
while [ $step -lt 18 ]; do
  echo "{\"step\": $step, \"loss\": $x}"
  step=$((step + 1))
  sleep 0.1
done
"#;

fn project(bench: &Bench, program: &str) {
    fs::create_dir(bench.path("project")).expect("the temporary folder can be written");
    bench.write("project/train.sh", program);
}

fn versions(bench: &Bench, id: &str) -> Vec<Value> {
    bench.json_lines(&["code", id, "--json"])
}

fn stopped(bench: &Bench, id: &str) -> usize {
    bench
        .json_lines(&["runs", id, "--json"])
        .iter()
        .filter(|run| run["state"] == "stopped")
        .count()
}

/// Executes all runs, in the project and two at a time, with one version of the code; returns what the agent says, and the version.
fn executed(bench: &Bench, id: &str) -> (String, Vec<Value>) {
    let (code, output) = bench
        .start(&["agent", id, "--workdir", "project", "--slots", "2"])
        .wait();
    assert_eq!(code, 0, "{output}");
    let versions = versions(bench, id);
    assert_eq!(versions.len(), 1, "{output}\n{versions:#?}");
    (output, versions)
}

#[test]
fn what_programs_write_beside_themselves_is_no_code_and_early_stopping_compares() {
    let bench = Bench::new();
    project(&bench, PROGRAM);
    // Somebody has tried the program before.
    bench.write("project/results.csv", "run\n");
    let file = bench.write("project/sweep.yaml", SWEEP);
    let _controller = bench.controller();
    let id = bench.create(&[&file]);
    let first = bench.start(&[
        "agent",
        &id,
        "--workdir",
        "project",
        "--slots",
        "2",
        "--count",
        "6",
    ]);
    let (code, output) = first.wait();
    assert_eq!(code, 0, "{output}");
    assert_eq!(output.matches("out.ipynb").count(), 1, "{output}");
    // An edit of the sweep file, and what sweep itself writes.
    bench.write(
        "project/sweep.yaml",
        &SWEEP.replace("run_cap: 16", "run_cap: 17"),
    );
    bench.ok(&[
        "report",
        &id,
        "--out",
        &bench.path("project/report.html").display().to_string(),
    ]);
    bench.ok(&[
        "plot",
        &id,
        "history",
        "--out",
        &bench.path("project/history.svg").display().to_string(),
    ]);
    bench.ok(&[
        "reproduce",
        &format!("{id}/1"),
        &bench.path("project/again").display().to_string(),
    ]);
    let (output, versions) = executed(&bench, &id);
    for name in [
        "exp/",
        "mlruns/",
        "out.ipynb",
        "outputs/",
        "results.csv (as it was before the runs)",
    ] {
        assert!(
            versions[0]["outputs"]
                .as_array()
                .is_some_and(|outputs| outputs.iter().any(|output| output == name)),
            "{name}: {versions:#?}"
        );
    }
    assert!(
        bench
            .ok(&["code", &id])
            .contains("Outputs of programs, part of no version: ")
    );
    assert!(
        page(&bench, &format!("/sweeps/{id}"))
            .contains("Outputs of programs, part of no version: exp/, ")
    );
    assert!(
        stopped(&bench, &id) >= 3,
        "{} of 16 were stopped: {output}",
        stopped(&bench, &id)
    );
    assert!(!bench.ok(&["show", &id]).contains("nothing to compare with"));
    // What it was started from, without what it wrote; and no more is taken for its code.
    let again: Vec<_> = fs::read_dir(bench.path("project/again"))
        .expect("it is there")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert!(
        again.contains(&"train.sh".into())
            && again.contains(&"results.csv".into())
            && !again.contains(&"exp".into()),
        "{again:?}"
    );
}

#[test]
fn the_sweep_file_includes_what_would_be_left_out() {
    let bench = Bench::new();
    project(
        &bench,
        "echo \"$SWEEP_RUN\" >state.txt\necho '{\"loss\": 1}'\n",
    );
    let file = bench.write(
        "sweep.yaml",
        &SWEEP.replace("run_cap: 16", "run_cap: 3\ncode: {include: [state.txt]}"),
    );
    let _controller = bench.controller();
    let id = bench.create(&[&file]);
    bench.ok(&["agent", &id, "--workdir", "project"]);
    let versions = versions(&bench, &id);
    assert!(versions.len() >= 3, "{versions:#?}");
    assert_eq!(versions[0]["outputs"], serde_json::json!([]));
}

#[test]
fn why_early_stopping_compares_nothing_is_said() {
    let bench = Bench::new();
    // A program that changes its own code, and so each of its runs has a version.
    project(
        &bench,
        "echo \"# $SWEEP_RUN\" >>train.sh\nfor step in 0 1 2 3; do echo '{\"loss\": 1}'; sleep 0.05; done\n",
    );
    let file = bench.write("sweep.yaml", &SWEEP.replace("run_cap: 16", "run_cap: 5"));
    let _controller = bench.controller();
    let id = bench.create(&[&file]);
    let (code, output) = bench.start(&["agent", &id, "--workdir", "project"]).wait();
    assert_eq!(code, 0, "{output}");
    let said = "early stopping has nothing to compare with: it compares runs of one code version";
    assert!(output.contains(said), "{output}");
    assert!(bench.ok(&["show", &id]).contains(said));
    let page = page(&bench, &format!("/sweeps/{id}"));
    assert!(page.contains(said), "{page}");
    // Runs that end before the rule looks at them.
    bench.write("project/train.sh", "echo '{\"loss\": 1}'\n");
    let short = bench.create(&[&file]);
    bench.ok(&["agent", &short, "--workdir", "project"]);
    let shown = bench.ok(&["show", &short]);
    let said = "early stopping has nothing to compare with: it looks at a run after 3 values of `loss`, and runs report one value";
    assert!(shown.contains(said), "{shown}");
}

/// Returns a page of the controller.
fn page(bench: &Bench, path: &str) -> String {
    let mut stream =
        TcpStream::connect(("127.0.0.1", bench.port())).expect("the controller listens");
    let token = bench.token();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    String::from_utf8_lossy(&answer).into_owned()
}

/// A program of Hydra's documentation, as it is.
const HYDRA: &str = r#"import json
import time

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    for epoch in range(18):
        time.sleep(0.1)
        print(json.dumps({"step": epoch, "loss": (cfg.x - 0.3) ** 2 + 1 / (epoch + 1)}), flush=True)


if __name__ == "__main__":
    main()
"#;

#[test]
fn a_sweep_of_a_hydra_program_has_one_version() {
    if !has_python("hydra", "hydra", "hydra-core") {
        return;
    }
    let bench = Bench::new();
    fs::create_dir_all(bench.path("project/conf")).expect("the temporary folder can be written");
    bench.write("project/train.py", HYDRA);
    bench.write("project/conf/config.yaml", "x: 0.5\n");
    let text = SWEEP
        .replace("train.sh", "train.py")
        .replace("[sh, '${program}'", "['${interpreter}', '${program}'");
    let file = bench.write(
        "project/sweep.yaml",
        &text.replace("run_cap: 16", "run_cap: 12"),
    );
    let _controller = bench.controller();
    let id = bench.create(&[&file]);
    let (output, versions) = executed(&bench, &id);
    assert_eq!(versions[0]["outputs"], serde_json::json!(["outputs/"]));
    assert!(stopped(&bench, &id) >= 2, "{output}");
}
