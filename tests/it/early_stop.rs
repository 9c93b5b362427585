//! Early stopping as programs see it: the stop file, SIGTERM, SIGKILL.

use crate::harness::Bench;

/// Run 1 gives the best value and ends; the others give bad ones until they are stopped.
const SWEEP: &str = "method: grid
metric: {name: loss, goal: minimize}
command: [sh, train.sh]
early_terminate: {type: asha, min_iter: 1, eta: 2}
parameters:
  x: {values: [1, 2]}
";

/// Prints values, and writes down what ends it.
const PROGRAM: &str = r#"trap 'echo "SIGTERM: $(cat "$SWEEP_STOP")" >>"$SWEEP_TEST_STARTS"; exit 1' TERM
if [ -n "$READS_STOP" ]; then : >"$SWEEP_STOP"; fi
step=0
while [ $step -lt 1200 ]; do
  echo "{\"step\": $step, \"loss\": $SWEEP_PARAM_X}"
  if [ -s "$SWEEP_STOP" ]; then
    echo "read: $(cat "$SWEEP_STOP")" >>"$SWEEP_TEST_STARTS"
    sleep 1
    exit 0
  fi
  if [ "$SWEEP_PARAM_X" = 1 ] && [ $step = 3 ]; then exit 0; fi
  step=$((step + 1))
  sleep 0.05
done
"#;

/// Returns what the stopped program wrote down.
fn stopped(program: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let bench = Bench::new();
    bench.write("sweep.yaml", SWEEP);
    bench.write("train.sh", program);
    let mut command = bench.sweep(&["run", "sweep.yaml", "--json", "--agents", "1"]);
    command.envs(variables.iter().copied());
    let ended = crate::harness::finish(command);
    assert_eq!(ended.code, 0, "{ended:?}");
    let outcome: serde_json::Value = serde_json::from_str(&ended.stdout).expect("it is JSON");
    assert_eq!(outcome["stopped"], 1, "{outcome}");
    bench.nothing_left();
    bench.lines("starts")
}

#[test]
fn a_program_that_reads_the_stop_file_ends_by_itself() {
    let lines = stopped(PROGRAM, &[("READS_STOP", "1")]);
    assert_eq!(lines.len(), 1, "no SIGTERM as well: {lines:?}");
    assert!(lines[0].starts_with("read: "), "{lines:?}");
    assert!(lines[0].len() > "read: ".len(), "it has the reason");
}

#[test]
fn any_other_program_gets_sigterm_at_once_and_the_reason_is_in_the_file() {
    let deaf_to_the_file = PROGRAM.replace("if [ -s", "if false && [ -s");
    let lines = stopped(&deaf_to_the_file, &[]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("SIGTERM: "), "{lines:?}");
    assert!(lines[0].len() > "SIGTERM: ".len(), "it has the reason");
}

#[test]
fn a_program_that_does_not_act_on_the_stop_file_gets_sigterm_after_the_grace() {
    let deaf_to_the_file = PROGRAM.replace("if [ -s", "if false && [ -s");
    let bench_grace = [("READS_STOP", "1")];
    let bench = Bench::new();
    bench.write("sweep.yaml", SWEEP);
    bench.write("train.sh", &deaf_to_the_file);
    let mut command = bench.sweep(&["run", "sweep.yaml", "--agents", "1", "--grace", "1s"]);
    command.envs(bench_grace);
    let ended = crate::harness::finish(command);
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines = bench.lines("starts");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("SIGTERM: "), "{lines:?}");
    bench.nothing_left();
}
