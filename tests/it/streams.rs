//! The two output streams of a program are read separately, kept line by line in one log, and survive agents that are killed and disks that are full.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::disk::SmallDisk;
use crate::harness::{Bench, wait_for};

/// Prints the objective in parts, and a word to standard error within each, and its own end once the file `go` is there.
const PROGRAM: &str = r#"
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  printf 'val_loss: '
  echo "$((2000 + i)) evaluating" >&2
  echo "0.$((100 - i))"
  printf '{"acc":\n' && echo "WARNING: slow" >&2 && echo "0.$((10 + i))}"
  sleep 0.1
done
until test -e "$1/go"; do sleep 0.05; done
printf 'last words'
"#;

fn sweep(bench: &Bench, program: &str) -> String {
    let program = bench.write("program.sh", program);
    let folder = bench.path(".").display().to_string();
    let text = format!(
        "method: grid\nmetric: {{name: val_loss, goal: minimize}}\ncommand: [bash, {program}, {folder}]\nparameters:\n  x: {{values: [1]}}\n\
         metric_patterns: {{val_loss: 'val_loss:\\s*(\\S+)'}}\n"
    );
    bench.create(&[&bench.write("sweep.yaml", &text)])
}

fn wait_for_start(bench: &Bench, id: &str) {
    wait_for("the start", || {
        bench
            .json_lines(&["runs", id, "--json"])
            .iter()
            .any(|run| run["state"] == "running")
            .then_some(())
    });
}

fn log_of(runs: PathBuf, id: &str) -> String {
    fs::read_to_string(runs.join(id).join("1/1/output.log")).expect("an agent has made it")
}

#[test]
fn streams_are_read_apart_over_agents_that_are_killed() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = sweep(&bench, PROGRAM);
    let runs = bench.path("runs");
    let start = || bench.start(&["agent", &id, "--runs-dir", &runs.display().to_string()]);
    for points in [4, 9, 14] {
        let agent = start();
        wait_for_start(&bench, &id);
        wait_for("points", || {
            (bench.values(&id, 1, "val_loss").len() >= points).then_some(())
        });
        agent.signal(Signal::SIGKILL);
        agent.wait();
    }
    bench.write("go", "");
    let (code, output) = start().wait();
    assert_eq!(code, 0, "{output}");
    let expected = |first: i32, step: i32| {
        (1..=20)
            .map(|i| f64::from(first + step * i) / 100.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        bench.values(&id, 1, "val_loss"),
        expected(100, -1),
        "{output}"
    );
    assert_eq!(bench.values(&id, 1, "acc"), expected(10, 1), "{output}");
    let log = log_of(runs, &id);
    assert_eq!(
        log.lines()
            .filter(|line| line.starts_with("val_loss: 0."))
            .count(),
        20,
        "{log}"
    );
    assert_eq!(
        log.lines()
            .filter(|line| line.ends_with(" evaluating") && line.starts_with("20"))
            .count(),
        20,
        "{log}"
    );
    assert!(
        log.ends_with("last words")
            && bench
                .ok(&["logs", &format!("{id}/1")])
                .contains("last words"),
        "{log}"
    );
}

#[test]
fn what_is_printed_while_the_disk_is_full_is_written_later() {
    let bench = Bench::new();
    let Some(disk) = SmallDisk::mount(bench.path("runs"), "4m") else {
        return;
    };
    let _controller = bench.controller();
    let program = r#"echo 'val_loss: 1.5'; touch "$1/begun"; until test -e "$1/full"; do sleep 0.05; done
for i in $(seq 1000); do echo "the last page of a file is kept separately,"; done
for i in 1 2 3 4 5 6 7 8 9; do echo "val_loss: 0.$i" && echo "word $i" >&2; done; touch "$1/printed"; until test -e "$1/go"; do sleep 0.05; done
for i in 1 2 3; do echo "val_loss: 0.0$i"; done"#;
    let id = sweep(&bench, program);
    let runs = bench.path("runs");
    let agent = bench.start(&["agent", &id, "--runs-dir", &runs.display().to_string()]);
    wait_for_start(&bench, &id);
    wait_for("the first value", || {
        (bench.values(&id, 1, "val_loss") == [1.5]).then_some(())
    });
    let ballast = disk.fill();
    bench.write("full", "");
    wait_for("a program that goes on", || {
        bench.path("printed").exists().then_some(())
    });
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(bench.values(&id, 1, "val_loss"), [1.5], "the disk is full");
    bench.write("go", "");
    std::thread::sleep(Duration::from_secs(2));
    fs::remove_file(ballast).expect("it is there");
    let (_, output) = agent.wait();
    let expected = [
        1.5, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.01, 0.02, 0.03,
    ];
    assert_eq!(bench.values(&id, 1, "val_loss"), expected, "{output}");
    let run = &bench.json_lines(&["runs", &id, "--json"])[0];
    assert_eq!(
        (run["state"].as_str(), run["last"].as_f64()),
        (Some("finished"), Some(0.03)),
        "{run}"
    );
}
