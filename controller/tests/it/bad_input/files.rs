//! Sweep files that make no sense.

use std::time::Instant;

use sweep_proto::v1::CreateSweepRequest;
use tonic::Code;

use crate::house::{self};

use super::*;

fn sweep_file(parameter: &str) -> String {
    format!(
        "method: random\nprogram: train.py\nmetric: {{name: loss}}\nparameters:\n  x: {parameter}\n"
    )
}

/// Sweep files, and whether they are wrong.
#[expect(clippy::too_many_lines, reason = "a list of files")]
fn files() -> Vec<(&'static str, String, Option<bool>)> {
    let wrong = |what: &'static str, text: String| (what, text, Some(true));
    let any = |what: &'static str, text: String| (what, text, None);
    let right = |what: &'static str, text: String| (what, text, Some(false));
    let laughs = (1..12).fold("a0: &a0 [x, x]\n".to_owned(), |text, level| {
        text + &format!(
            "a{level}: &a{level} [*a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}]\n",
            level - 1
        )
    });
    let axes = (0..60)
        .map(|axis| format!("  p{axis}: {{values: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}}\n"))
        .collect::<String>();
    let many = (0..10_000)
        .map(|axis| format!("  p{axis}: {{min: 0, max: 1}}\n"))
        .collect::<String>();
    let mut files = vec![
        wrong("nothing", String::new()),
        wrong("an empty map", "{}".to_owned()),
        wrong("a list", "- 1\n- 2\n".to_owned()),
        wrong("a scalar", "hello".to_owned()),
        wrong("tabs", "method: grid\n\tparameters: {}\n".to_owned()),
        wrong("billion laughs", laughs),
        wrong("deep lists", "[".repeat(10_000)),
        wrong(
            "deep maps",
            "{a: ".repeat(10_000) + "1" + &"}".repeat(10_000),
        ),
        wrong("deep JSON", "{\"a\":".repeat(10_000)),
        wrong(
            "more than it may be",
            GRID.to_owned() + "# " + &"x".repeat(2 << 20),
        ),
        wrong(
            "a hundred thousand keys",
            (0..100_000).map(|key| format!("k{key}: 1\n")).collect(),
        ),
        any(
            "one key fifty thousand times",
            GRID.to_owned() + &"name: x\n".repeat(50_000),
        ),
        any(
            "thousands of merge keys",
            GRID.to_owned()
                + "settings:\n"
                + &(0..20_000)
                    .map(|key| format!("  <<: {{k{key}: 1}}\n"))
                    .collect::<String>(),
        ),
        any(
            "fifty thousand choices",
            sweep_file(&format!(
                "{{values: {:?}}}",
                (0..50_000).collect::<Vec<_>>()
            )),
        ),
        any(
            "fifty thousand equal choices",
            sweep_file(&format!("{{values: {:?}}}", [1; 50_000])),
        ),
        wrong(
            "fifty thousand choices that are none",
            sweep_file(&format!(
                "{{valuse: {:?}, {}}}",
                [1; 9],
                (0..50_000)
                    .map(|key| format!("k{key}: 1, "))
                    .collect::<String>()
            )),
        ),
        // As PyYAML reads it, with a warning.
        right("duplicate keys", GRID.to_owned() + "method: random\n"),
        wrong(
            "a tag",
            "method: !!python/object:os.system grid\n".to_owned() + &GRID[13..],
        ),
        wrong("many documents", "---\nmethod: grid\n".repeat(1000)),
        wrong("a merge key of nothing", "<<: *nothing\n".to_owned() + GRID),
        wrong(
            "control characters",
            "method: \u{0}grid\n".to_owned() + &GRID[13..],
        ),
        wrong("an unclosed quote", "method: \"grid\n".to_owned()),
        wrong(
            "too many parameters",
            format!("method: random\nprogram: x\nparameters:\n{many}"),
        ),
        any(
            "a grid of 10^60",
            format!("method: grid\nprogram: x\nmetric: {{name: loss}}\nparameters:\n{axes}"),
        ),
        any("a byte order mark", format!("\u{feff}{GRID}")),
        any(
            "right to left",
            GRID.replace("train.py", "\u{202e}yp.niart"),
        ),
        any(
            "a name of a megabyte",
            format!("name: {}\n{GRID}", "x".repeat(900_000)),
        ),
        any(
            "a name like a path",
            format!("name: ../../etc/passwd\n{GRID}"),
        ),
        any(
            "a name like markup",
            format!("name: \"<script>alert(1)</script>\"\n{GRID}"),
        ),
        any(
            "a parameter like a shell",
            GRID.replace("  x:", "  \"$(touch /tmp/sweep-was-here)\":"),
        ),
        any(
            "a parameter with an end of line",
            GRID.replace("  x:", "  \"a\\r\\nINFO fake\":"),
        ),
        wrong(
            "a name with its own mark, decomposed",
            GRID.replace("  x:", "  cafe\u{301}:"),
        ),
        wrong(
            "a name that looks the same, composed",
            GRID.replace("  x:", "  café:"),
        ),
        right(
            "two choices that look the same",
            GRID.replace("[1, 2, 3]", "[cafe\u{301}, café]"),
        ),
        right("emoji", GRID.replace("train.py", "🧹.py")),
    ];
    for (what, parameter) in [
        ("min above max", "{min: 2.0, max: 1.0}"),
        ("infinite", "{min: 0.0, max: .inf}"),
        ("not a number", "{min: .nan, max: 1.0}"),
        (
            "log from zero",
            "{distribution: log_uniform_values, min: 0, max: 1}",
        ),
        (
            "log from below",
            "{distribution: log_uniform_values, min: -1, max: 1}",
        ),
        (
            "step zero",
            "{distribution: q_uniform, min: 0, max: 1, q: 0}",
        ),
        (
            "step below",
            "{distribution: q_uniform, min: 0, max: 1, q: -1}",
        ),
        (
            "step not a number",
            "{distribution: q_uniform, min: 0, max: 1, q: .nan}",
        ),
        ("no choice", "{values: []}"),
        ("no weight", "{values: [1, 2], probabilities: [0, 0]}"),
        ("weights below", "{values: [1, 2], probabilities: [-1, 2]}"),
        ("one weight", "{values: [1, 2], probabilities: [1]}"),
        (
            "a distribution that is none",
            "{distribution: gauss, min: 0, max: 1}",
        ),
        ("a text for a number", "{min: one, max: 2}"),
        ("beyond floats", "{min: 0.0, max: 1e999}"),
        ("sigma below", "{distribution: normal, mu: 0, sigma: -1}"),
        ("a list of lists of nothing", "[[]]"),
    ] {
        files.push(wrong(what, sweep_file(parameter)));
    }
    for (what, key) in [
        ("run_cap", "0"),
        ("run_cap", "-1"),
        ("run_cap", "9223372036854775808"),
        ("run_cap", "many"),
        ("seed", "-1"),
        ("seed", "1e400"),
        ("repeats", "0"),
    ] {
        files.push(wrong(what, format!("{GRID}{what}: {key}\n")));
    }
    for (what, parameter) in [
        ("2^53 + 1", "{values: [9007199254740993]}"),
        (
            "the ends of i64",
            "{values: [-9223372036854775808, 9223372036854775807]}",
        ),
        ("beyond i64", "{values: [18446744073709551615]}"),
        ("one, and one", "{values: [1, \"1\", true, 1.0]}"),
        ("negative zero", "{values: [0.0, -0.0]}"),
        ("denormal", "{min: 0.0, max: 5.0e-324}"),
        ("the largest float", "{min: -1.8e308, max: 1.7e308}"),
        (
            "a step that does not divide",
            "{distribution: q_uniform, min: 0, max: 1, q: 0.3}",
        ),
        (
            "a step beyond",
            "{distribution: q_uniform, min: 0, max: 1, q: 5}",
        ),
        ("min is max", "{min: 1.0, max: 1.0}"),
        ("Norway", "{values: [no, 1:30, 2026-01-01, 0o17, 1e3]}"),
        (
            "markup and shell",
            "{values: [\"<img onerror=x>\", \"'; DROP TABLE runs;--\", \"$(x)\", \"`x`\", \"--config=/etc/shadow\", \"a\\nb\"]}",
        ),
    ] {
        files.push((what, sweep_file(parameter), None));
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_files_that_make_no_sense_are_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start(&dir.path().join("data")).await;
    let mut clients = house::clients(&controller).await;
    let before = resident_kb();
    for (what, yaml, is_wrong) in files() {
        let began = Instant::now();
        let request = CreateSweepRequest {
            yaml,
            ..CreateSweepRequest::default()
        };
        let answer = clients.sweeps.create_sweep(request).await;
        assert!(
            began.elapsed() < ANSWER_TIME_MAX,
            "{what}: {:?}",
            began.elapsed()
        );
        match (&answer, is_wrong) {
            (Ok(_), Some(true)) => panic!("{what} was taken"),
            (Err(status), Some(false)) => panic!("{what}: {status}"),
            (Err(status), _) => {
                assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status}");
                assert!(status.message().len() > 10, "{what}: {status}");
            }
            (Ok(_), _) => {}
        }
        is_well(&mut clients).await;
    }
    let grown = resident_kb().saturating_sub(before);
    assert!(grown < GROWTH_MAX_KB, "{grown} KiB");
    assert!(!std::path::Path::new("/tmp/sweep-was-here").exists());
    controller.stop().await.unwrap();
    let written: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(written, ["data"], "nothing is written elsewhere");
}
