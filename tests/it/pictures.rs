//! `sweep plot`, and `sweep report` as a page and as JSON.

use serde_json::Value;

use crate::harness::{Bench, trainer};

/// Runs a sweep of 24 points and returns its id.
fn swept(bench: &Bench) -> String {
    // A separate folder: the bench's has files that change, and with them the version of the code.
    std::fs::create_dir(bench.path("project")).expect("the temporary folder can be written");
    let program = bench.write(
        "project/train.sh",
        r#"awk -v x=$SWEEP_PARAM_X -v o=$SWEEP_PARAM_O 'BEGIN { if (x > 0.8) exit 3; printf "{\"loss\": %f}\n", (x - 0.3) ^ 2 + (o == "a") }'"#,
    );
    let file = format!(
        "name: '<b>bold</b> & co'\nmethod: random\nseed: 1\nrun_cap: 24\nretry: {{crashed: 0}}\nmetric: {{name: loss, goal: minimize}}\ncommand: [sh, {program}]\nparameters:\n  \
         x: {{min: 0.0, max: 1.0}}\n  o: {{values: [a, b]}}\n  seed: {{value: 7}}\n"
    );
    let id = bench.create(&[&bench.write("sweep.yaml", &file)]);
    let (code, said) = bench
        .start(&[
            "agent",
            &id,
            "--slots",
            "2",
            "--workdir",
            &bench.path("project").display().to_string(),
        ])
        .wait();
    assert_eq!(code, 0, "{said}");
    id
}

#[test]
fn pictures_are_drawn_and_reports_hold_them() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = swept(&bench);
    for kind in ["history", "parallel", "importance", "slice"] {
        let svg = bench.ok(&["plot", &id, kind]);
        assert!(
            svg.starts_with("<svg ") && svg.contains("&lt;b&gt;bold&lt;/b&gt; &amp; co"),
            "{kind}: {svg}"
        );
        assert!(
            !svg.contains("<b>") && !svg.contains("NaN"),
            "{kind}: {svg}"
        );
    }
    assert!(
        bench
            .ok(&["plot", &id, "history"])
            .contains("failed</title>"),
        "failures are seen"
    );
    let slice = bench.path("slice.svg").display().to_string();
    bench.ok(&["plot", &id, "slice", "--param", "x", "--out", &slice]);
    assert!(
        bench.read("slice.svg").contains(">x</text>")
            && !bench.read("slice.svg").contains(">o</text>")
    );
    let png = bench.path("history.png");
    let drawn = bench.run(&["plot", &id, "history", "--out", &png.display().to_string()]);
    let no_fonts = drawn.code == 1 && drawn.stderr.contains("no fonts on this machine");
    assert!(
        no_fonts || std::fs::read(&png).is_ok_and(|bytes| bytes.starts_with(b"\x89PNG")),
        "{drawn:?}"
    );
    for (arguments, said) in [
        (
            vec!["history", "--out", "x.gif"],
            "a file that ends in .svg or .png",
        ),
        (
            vec!["slice", "--param", "seed"],
            "no parameter `seed` varies in this sweep\nhint: these do: o, x",
        ),
        (
            vec!["history", "--param", "x"],
            "--param is for `slice` alone",
        ),
        (
            vec!["history", "--out", "nowhere/x.svg"],
            "nowhere/x.svg: No such file",
        ),
        (
            vec!["pie"],
            "[possible values: history, parallel, importance, slice]",
        ),
    ] {
        let refused = bench.run(&[&["plot", id.as_str()], arguments.as_slice()].concat());
        assert!(
            refused.code == 2 && refused.stderr.contains(said),
            "{arguments:?}: {refused:?}"
        );
    }

    let page = bench.ok(&["report", &id, "--format", "html"]);
    assert_eq!(page.matches("<svg ").count(), 4, "{page}");
    assert!(
        page.contains(
            "Searched: <code>o</code> (<code>a, b</code>), <code>x</code> (<code>0 to 1</code>)."
        ),
        "{page}"
    );
    for absent in ["<script", "http://", "https://", "<b>", "src="] {
        let outside = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!outside.contains(absent), "{absent} in {page}");
    }
    let json = bench.path("report.json").display().to_string();
    bench.ok(&["report", &id, "--out", &json]);
    let report: Value = serde_json::from_str(&bench.read("report.json")).expect("it is JSON");
    assert_eq!(report["report"], 1);
    assert_eq!(report["space"][0]["values"], serde_json::json!(["a", "b"]));
    assert_eq!(report["budget"]["runs"], 24);
    assert_eq!(report["best"]["run"], report["sweep"]["best_run"]);
    assert_eq!(
        report["failures"][0]["runs"].as_array().map(Vec::len),
        report["sweep"]["failed"]
            .as_u64()
            .map(|failed| failed as usize)
    );
    assert!(
        report["importance"]
            .as_array()
            .is_some_and(|effects| effects.len() == 2),
        "{report:#}"
    );
    assert!(
        report["comparison"].is_null()
            && report["yaml"]
                .as_str()
                .is_some_and(|yaml| yaml.contains("run_cap: 24"))
    );
    let markdown = bench.path("report.md").display().to_string();
    let figures = bench.path("figures").display().to_string();
    bench.ok(&["report", &id, "--out", &markdown, "--figures", &figures]);
    assert!(
        bench.read("report.md").contains("](<figures/history.svg>)")
            && bench.read("figures/parallel.svg").starts_with("<svg ")
    );
    let refused = bench.run(&["report", &id, "--format", "json", "--figures", &figures]);
    assert!(
        refused.code == 2 && refused.stderr.contains("--figures is for Markdown alone"),
        "{refused:?}"
    );
}

#[test]
fn a_sweep_without_results_has_a_report_and_says_what_cannot_be_drawn() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let file = "method: random\nmetric: {name: loss, goal: minimize}\ncommand: [a]\nparameters: {x: {min: 0.0, max: 1.0}}\n";
    let id = bench.create(&[&bench.write("sweep.yaml", file)]);
    for format in ["markdown", "html", "json"] {
        bench.ok(&["report", &id, "--format", format]);
    }
    bench.ok(&["plot", &id, "history"]);
    let few = bench.run(&["plot", &id, "importance"]);
    assert!(
        few.code == 1
            && few.stderr.contains("0 results of sweep")
            && few.stderr.contains("say too little for a model"),
        "{few:?}"
    );
}

#[test]
fn a_hostile_program_is_text_in_every_report() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let file = format!(
        "name: '</title><script>alert(1)</script>'\nmethod: grid\nretry: {{crashed: 0}}\nmetric: {{name: loss}}\ncommand: [sh, {}]\nparameters: {{x: {{values: ['\"><img src=x onerror=alert(1)>', '| `b` @all']}}}}\n",
        trainer("hostile.sh")
    );
    let id = bench.create(&[&bench.write("sweep.yaml", &file)]);
    bench.start(&["agent", &id]).wait();
    for format in ["markdown", "html"] {
        let report = bench.ok(&["report", &id, "--format", format]);
        assert!(report.contains("exit status 1"), "{report}");
        // In Markdown the same text is in code spans and fences, from which the page is made.
        let prose = format == "html";
        assert!(
            !(prose && (report.contains("<img") || report.contains("<script"))),
            "{report}"
        );
        assert!(
            !report.contains(['\u{1b}', '\u{8}', '\u{7}', '\u{202e}']),
            "{report}"
        );
    }
}
