//! `sweep run`: exit codes, JUnit, the report, and nothing left behind.

use nix::sys::signal::Signal;
use quick_junit::Report;

use crate::harness::{Bench, finish, trainer, wait_for};

fn random(bench: &Bench, program: &str, cap: u32, sleep: &str) -> String {
    let arguments = if program == "quick.sh" {
        ", '${args}'"
    } else {
        ""
    };
    let yaml = format!(
        "name: outcome
method: random
seed: 1
run_cap: {cap}
retry: {{crashed: 0}}
metric: {{name: loss, goal: minimize}}
command: [sh, {}{arguments}]
parameters:
  x: {{min: 1, max: 9}}
  y: {{min: 0, max: 9}}
  sleep: {{value: {sleep}}}
",
        trainer(program)
    );
    bench.write("sweep.yaml", &yaml)
}

#[test]
fn a_sweep_that_is_done_exits_0() {
    let bench = Bench::new();
    let file = random(&bench, "quick.sh", 5, "0");
    let ended = bench.run(&[
        "run",
        &file,
        "--agents",
        "2",
        "--fail-if",
        "best.loss > 100 or failed > 0",
    ]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(bench.lines("starts").len(), 5);
    bench.nothing_left();
}

#[test]
fn count_ends_a_sweep() {
    let bench = Bench::new();
    let file = random(&bench, "quick.sh", 50, "0");
    let ended = bench.run(&["run", &file, "--count", "3"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(bench.lines("starts").len(), 3);
    bench.nothing_left();
}

#[test]
fn a_failing_gate_exits_1_and_writes_what_ci_reads() {
    let bench = Bench::new();
    let file = random(&bench, "quick.sh", 4, "0");
    let (junit, report) = (bench.path("junit.xml"), bench.path("report.md"));
    let mut command = bench.sweep(&["run", &file, "--agents", "2", "--fail-if", "best.loss > 0"]);
    command
        .arg("--junit")
        .arg(&junit)
        .arg("--report")
        .arg(&report)
        .env("GITHUB_STEP_SUMMARY", bench.path("summary.md"));
    bench.write("summary.md", "earlier\n");
    let ended = finish(command);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended.stderr.contains("best.loss > 0") || ended.stdout.contains("best.loss > 0"),
        "{ended:?}"
    );
    let xml = Report::deserialize_from_str(&bench.read("junit.xml")).expect("it is JUnit");
    let cases = &xml.test_suites[0].test_cases;
    assert_eq!(
        cases
            .iter()
            .filter(|case| case.name.as_str().starts_with("run "))
            .count(),
        4
    );
    assert_eq!(
        (xml.failures, xml.errors),
        (1, 0),
        "the gate alone has failed"
    );
    let report = bench.read("report.md");
    assert!(
        report.contains("the gate failed") && report.contains("best.loss = "),
        "{report}"
    );
    let summary = bench.read("summary.md");
    assert!(
        summary.starts_with("earlier\n") && summary.contains("the gate failed"),
        "{summary}"
    );
    bench.nothing_left();
}

#[test]
fn bad_input_exits_2_before_anything_runs() {
    let bench = Bench::new();
    let file = random(&bench, "quick.sh", 4, "0");
    let ended = bench.run(&["run", &file, "--fail-if", "failled > 0"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.stderr.contains("did you mean `failed`?"), "{ended:?}");
    let bad = bench.write(
        "bad.yaml",
        "method: random\nparameters: {x: {min: 3, max: 1}}\n",
    );
    assert_eq!(bench.run(&["run", &bad]).code, 2);
    assert_eq!(bench.run(&["run", &file, "--timeout", "soon"]).code, 2);
    assert_eq!(bench.run(&["run", "missing.yaml"]).code, 2);
    assert_eq!(bench.lines("starts").len(), 0);
    bench.nothing_left();
}

#[test]
fn a_sweep_in_which_nothing_succeeds_exits_3() {
    let bench = Bench::new();
    let file = random(&bench, "failing.sh", 2, "0");
    let junit = bench.path("junit.xml").display().to_string();
    let ended = bench.run(&["run", &file, "--junit", &junit]);
    assert_eq!(ended.code, 3, "{ended:?}");
    let xml = bench.read("junit.xml");
    assert!(
        xml.contains("ValueError: no data at &lt;home&gt; &amp; |pipes|"),
        "{xml}"
    );
    bench.nothing_left();
}

#[test]
fn a_sweep_that_takes_too_long_exits_4() {
    let bench = Bench::new();
    let file = random(&bench, "stubborn.sh", 2, "0");
    let ended = bench.run(&["run", &file, "--timeout", "2s", "--grace", "1s"]);
    assert_eq!(ended.code, 4, "{ended:?}");
    bench.nothing_left();
}

#[test]
fn an_interrupted_sweep_exits_130() {
    let bench = Bench::new();
    let file = random(&bench, "quick.sh", 500, "0.3");
    let running = bench.start(&["run", &file]);
    wait_for("2 starts", || {
        (bench.lines("starts").len() >= 2).then_some(())
    });
    running.signal(Signal::SIGINT);
    let (code, output) = running.wait();
    assert_eq!(code, 130, "{output}");
    bench.nothing_left();
}
