use serde_json::json;
use sweep_proto::v1::{AnalyzeSweepResponse, Attempt, Effect, SliceSweepResponse};

use super::*;

const HOSTILE: &str = "</text><script>alert(1)</script>\"'&\u{1b}[31m\u{202e}\u{0}]]>";

fn sweep(names: &[&str]) -> Sweep {
    let parameters: serde_json::Map<_, _> = names
        .iter()
        .map(|name| {
            (
                (*name).to_owned(),
                json!({"min": 0.001, "max": 1.0, "distribution": "log_uniform_values"}),
            )
        })
        .collect();
    let yaml = json!({"program": "t.py", "method": "bayes", "metric": {"name": "loss", "goal": "minimize"}, "parameters": parameters});
    Sweep {
        id: "ab12cd34".to_owned(),
        metric: "loss".to_owned(),
        goal: "minimize".to_owned(),
        yaml: yaml.to_string(),
        best_run: Some(2),
        best_value: Some(0.25),
        ..Sweep::default()
    }
}

fn run(number: u64, state: &str, params: Value, value: Option<f64>) -> Run {
    let attempts = vec![Attempt::default()];
    Run {
        run: number,
        state: state.to_owned(),
        params_json: params.to_string(),
        value,
        ended_ms: 100 - number as i64,
        attempts,
        ..Run::default()
    }
}

fn runs(name: &str) -> Vec<Run> {
    vec![
        run(1, "finished", json!({name: 0.1, "b": 0.2}), Some(0.5)),
        run(2, "finished", json!({name: 0.01, "b": 0.5}), Some(0.25)),
        run(3, "stopped", json!({name: 0.7, "b": 0.1}), Some(0.9)),
        run(4, "failed", json!({name: 0.9, "b": 1.0}), None),
        run(5, "running", json!({name: 0.9}), None),
    ]
}

fn analysis(name: &str) -> AnalyzeSweepResponse {
    let effect = |parameter: &str, share: f64| Effect {
        parameter: parameter.to_owned(),
        share,
        share_max: share,
        share_deviation: 0.1,
        direction: HOSTILE.to_owned(),
        curve: Vec::new(),
    };
    AnalyzeSweepResponse {
        effects: vec![effect("b", 0.8), effect(name, 0.2)],
        observations: 4,
        ..AnalyzeSweepResponse::default()
    }
}

fn pictures(sweep: &Sweep, runs: &[Run], name: &str, along: &[String]) -> Vec<Picture> {
    let subject = Subject::new(sweep, runs);
    let along = SliceSweepResponse {
        x_json: along.to_vec(),
        mean: vec![0.5, 0.25, 1.0],
        deviation: vec![0.1, 0.05, f64::NAN],
        observations: 4,
        ..SliceSweepResponse::default()
    };
    vec![
        history(&subject),
        parallel(&subject, &analysis(name)),
        importance(&subject, &analysis(name)).expect("there are effects"),
        slice(&subject, &[(name.to_owned(), along)]),
    ]
}

/// Counts the elements of a document by their names; a document that is none is the test's failure.
fn elements(svg: &str) -> BTreeMap<String, usize> {
    let document = resvg::usvg::roxmltree::Document::parse(svg)
        .unwrap_or_else(|error| panic!("{error}: {svg}"));
    let mut counts = BTreeMap::new();
    for node in document
        .descendants()
        .filter(resvg::usvg::roxmltree::Node::is_element)
    {
        *counts.entry(node.tag_name().name().to_owned()).or_default() += 1;
    }
    counts
}

/// Names of parameters are plain by the rules of the file; everything else is not.
#[test]
fn hostile_names_are_text() {
    let of = |text: &str| {
        let mut sweep = Sweep {
            name: text.to_owned(),
            metric: text.to_owned(),
            ..sweep(&["a"])
        };
        sweep.yaml =
            json!({"program": "t.py", "method": "random", "parameters": {"a": {"min": 0.0, "max": 1.0}, "b": {"values": [text, "y"]}}})
                .to_string();
        let runs = [
            ("finished", Some(0.5)),
            ("failed", None),
            ("stopped", Some(0.7)),
        ];
        let runs: Vec<Run> = (1..)
            .zip(runs)
            .map(|(number, (state, value))| run(number, state, json!({"a": 0.1, "b": text}), value))
            .collect();
        pictures(
            &sweep,
            &runs,
            "b",
            &[json!(text).to_string(), json!("y").to_string()],
        )
    };
    for (plain, hostile) in of("x").iter().zip(&of(HOSTILE)) {
        assert_eq!(
            elements(&plain.svg),
            elements(&hostile.svg),
            "{}",
            plain.name
        );
        assert!(
            !hostile.svg.contains(['\u{1b}', '\u{0}', '\u{202e}'])
                && !hostile.svg.contains("<script"),
            "{}",
            hostile.svg
        );
        assert!(hostile.svg.contains("&lt;/text&gt;"), "{}", hostile.svg);
    }
}

#[test]
fn each_run_has_its_sign() {
    let (sweep, runs) = (sweep(&["a", "b"]), runs("a"));
    let svg = history(&Subject::new(&sweep, &runs)).svg;
    for title in ["run 1: 0.5", "run 2: 0.25", "run 3: 0.9", "run 4 failed"] {
        assert_eq!(
            svg.matches(&format!("<title>{title}</title>")).count(),
            1,
            "{title}: {svg}"
        );
    }
    assert!(!svg.contains("run 5"), "it has not ended");
}

#[test]
fn the_best_line_follows_the_order_of_the_ends_and_the_goal() {
    let mut sweep = sweep(&["a", "b"]);
    let runs = runs("a");
    let steps = |sweep: &Sweep| {
        let svg = history(&Subject::new(sweep, &runs)).svg;
        let path = svg
            .split("<path d=\"M")
            .find(|path| path.contains("stroke-width=\"2\"") && !path.starts_with("-8"))
            .expect("the line")
            .to_owned();
        path.split('"')
            .next()
            .expect("its points")
            .matches('V')
            .count()
    };
    assert_eq!(
        steps(&sweep),
        1,
        "run 3 ended first, then run 2 was better, and run 1 was not"
    );
    sweep.goal = "maximize".to_owned();
    assert_eq!(steps(&sweep), 0, "run 3 ended first and is the best");
}

#[test]
fn runs_that_do_not_count_are_not_the_best_so_far() {
    let sweep = sweep(&["a", "b"]);
    let mut runs = runs("a");
    runs[1].violates = vec!["gb: 50 is above 40".to_owned()];
    let svg = history(&Subject::new(&sweep, &runs)).svg;
    assert!(svg.contains("run 2: 0.25"), "it is drawn");
    let subject = Subject::new(&sweep, &runs);
    assert!(!subject.runs[1].counts());
}

#[test]
fn nothing_to_draw_is_an_empty_sheet() {
    let sweep = Sweep {
        yaml: "no file".to_owned(),
        best_run: None,
        best_value: None,
        ..sweep(&[])
    };
    for runs in [
        Vec::new(),
        vec![run(1, "failed", json!({}), None)],
        vec![run(1, "finished", json!(7), Some(f64::NAN))],
    ] {
        let subject = Subject::new(&sweep, &runs);
        for picture in [
            history(&subject),
            parallel(&subject, &AnalyzeSweepResponse::default()),
        ] {
            elements(&picture.svg);
            assert!(
                !picture.svg.contains("NaN") && !picture.svg.contains("inf"),
                "{}",
                picture.svg
            );
        }
        assert!(importance(&subject, &AnalyzeSweepResponse::default()).is_none());
    }
}

#[test]
fn no_coordinate_is_no_number() {
    let sweep = sweep(&["a", "b"]);
    let mut runs = runs("a");
    runs.push(run(
        6,
        "finished",
        json!({"a": 1e308, "b": -5.0}),
        Some(f64::MAX),
    ));
    runs.push(run(
        7,
        "finished",
        json!({"a": "text", "b": null}),
        Some(f64::MIN_POSITIVE),
    ));
    for picture in pictures(
        &sweep,
        &runs,
        "a",
        &["0.001", "0.01", "1.0"].map(str::to_owned),
    ) {
        assert!(
            !picture.svg.contains("NaN") && !picture.svg.contains("inf"),
            "{}: {}",
            picture.name,
            picture.svg
        );
    }
}

#[test]
fn pixels_are_drawn_where_there_are_fonts() {
    let (sweep, runs) = (sweep(&["a", "b"]), runs("a"));
    for picture in pictures(
        &sweep,
        &runs,
        "a",
        &["0.001", "0.01", "1.0"].map(str::to_owned),
    ) {
        match png(&picture.svg) {
            Ok(bytes) => assert!(
                bytes.starts_with(b"\x89PNG") && bytes.len() > 5_000,
                "{} bytes",
                bytes.len()
            ),
            Err(PngError::NoFonts) => eprintln!("SKIPPED: there are no fonts"),
            Err(error) => panic!("{error}"),
        }
    }
}
