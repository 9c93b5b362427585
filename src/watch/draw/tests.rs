use std::collections::HashMap;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use sweep_proto::v1::{Agent, Attempt, Failure, MetricPoint, Run, Sweep, WatchSweepResponse};

use super::*;
use crate::watch::model::{Deed, WatchEvent};

const NOW: i64 = 1_000_000;

fn run(number: u64, state: &str, value: Option<f64>) -> Run {
    let ended = !matches!(state, "running" | "queued");
    let failure = Failure {
        kind: "crashed".to_owned(),
        blame: "configuration".to_owned(),
        message: "exit status 1: ValueError".to_owned(),
        evidence: "lr is too large".to_owned(),
        output_tail: "Traceback\nValueError: \x1b]0;title\x07lr".to_owned(),
        ..Failure::default()
    };
    let attempt = Attempt {
        attempt: 1,
        host: "box".to_owned(),
        state: state.to_owned(),
        started_ms: NOW - 90_000,
        ended_ms: if ended { NOW - 30_000 } else { 0 },
        metrics: HashMap::from([("loss".to_owned(), 0.25)]),
        failure: (state == "failed").then_some(failure),
        ..Attempt::default()
    };
    Run {
        run: number,
        state: state.to_owned(),
        reason: if state == "failed" {
            "exit status 1: ValueError".to_owned()
        } else {
            String::new()
        },
        params_json: format!("{{\"lr\": 0.{number}, \"opt\": \"adam\"}}"),
        value,
        attempts: vec![attempt],
        why: "random".to_owned(),
        ended_ms: if ended {
            NOW - 30_000 + i64::try_from(number).unwrap()
        } else {
            0
        },
        ..Run::default()
    }
}

fn model() -> WatchModel {
    let sweep = Sweep {
        id: "ab12cd34".to_owned(),
        name: "digits".to_owned(),
        state: "running".to_owned(),
        metric: "loss".to_owned(),
        goal: "minimize".to_owned(),
        planned: 10,
        running: 1,
        finished: 3,
        failed: 1,
        best_run: Some(3),
        best_value: Some(0.3),
        ..Sweep::default()
    };
    let ended = vec![
        run(4, "failed", None),
        run(3, "finished", Some(0.3)),
        run(2, "finished", Some(0.5)),
        run(1, "finished", Some(0.9)),
    ];
    let best = Some(run(3, "finished", Some(0.3)));
    let mut model = WatchModel::default();
    let view = WatchSweepResponse {
        sweep: Some(sweep),
        running: vec![run(5, "running", None)],
        ended,
        best,
    };
    model.apply(WatchEvent::Changed(Box::new(view)));
    let agent = |health: &str, reason: &str| Agent {
        host: "box".to_owned(),
        slots: 2,
        running: 1,
        alive: true,
        health: health.to_owned(),
        reason: reason.to_owned(),
        ..Agent::default()
    };
    model.apply(WatchEvent::Agents(vec![
        agent("ok", ""),
        agent("quarantined", "3 failures in a row"),
    ]));
    model
}

fn picture(model: &WatchModel, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| {
            let _ = draw(
                frame,
                model,
                DrawOptions {
                    color: false,
                    now_ms: NOW,
                },
            );
        })
        .unwrap();
    terminal.backend().to_string()
}

fn hostile() -> WatchModel {
    let mut model = model();
    let text = "\x1b[2J\x1b]0;x\x07\u{202e}漢字\r\n";
    model.sweep.name = text.to_owned();
    model.sweep.metric = text.to_owned();
    model.sweep.reason = text.to_owned();
    for run in model.runs.values_mut() {
        run.params_json =
            serde_json::json!({ text: 0.5, "name": text, "list": [text] }).to_string();
        run.reason = text.to_owned();
        run.why = text.to_owned();
        run.attempts[0].host = text.to_owned();
        run.attempts[0].metrics = HashMap::from([(text.to_owned(), 1.0)]);
    }
    model.best = model.runs.get(&3).cloned();
    model.log.begin(1);
    model.log.more(1, text.as_bytes());
    (model.lost, model.chosen) = (Some(text.to_owned()), Some(4));
    model
}

#[test]
fn the_overview_fits_common_and_small_terminals() {
    insta::assert_snapshot!("overview_80x24", picture(&model(), 80, 24));
    insta::assert_snapshot!("overview_60x20", picture(&model(), 60, 20));
}

#[test]
fn the_runs_fit_common_and_small_terminals() {
    let model = WatchModel {
        view: View::Runs,
        ..model()
    };
    insta::assert_snapshot!("runs_80x24", picture(&model, 80, 24));
    insta::assert_snapshot!("runs_60x20", picture(&model, 60, 20));
}

#[test]
fn a_run_is_shown_beside_the_best_one() {
    let mut model = WatchModel {
        view: View::Run,
        chosen: Some(4),
        ..model()
    };
    let point = |value| MetricPoint {
        name: "loss".to_owned(),
        value,
        ..MetricPoint::default()
    };
    model.apply(WatchEvent::Metrics {
        run: 4,
        points: [3.0, 2.0, 1.0].map(point).to_vec(),
    });
    insta::assert_snapshot!("run_80x24", picture(&model, 80, 24));
    insta::assert_snapshot!("run_60x20", picture(&model, 60, 20));
}

#[test]
fn output_is_shown_as_inert_text() {
    let mut model = WatchModel {
        view: View::Log,
        chosen: Some(4),
        ..model()
    };
    model.log.begin(4);
    model.log.more(
        4,
        "epoch 1\n\x1b[2Jgone? \u{202e}desrever\n漢字\n".as_bytes(),
    );
    insta::assert_snapshot!("output_80x24", picture(&model, 80, 24));
}

#[test]
fn questions_and_a_lost_controller_stand_in_the_last_line() {
    let mut model = model();
    model.apply(WatchEvent::Said("the sweep is paused".to_owned()));
    assert!(picture(&model, 80, 24).contains("the sweep is paused"));
    model.apply(WatchEvent::Lost("connection refused".to_owned()));
    assert!(picture(&model, 80, 24).contains("waiting for the controller … (connection refused)"));
    model.asking = Some(Deed::Retry(4));
    assert!(picture(&model, 80, 24).contains("y/n  Run 4 again?"));
    model.help = true;
    assert!(picture(&model, 80, 24).contains("any key closes this"));
}

#[test]
fn hostile_text_is_inert_in_each_view_and_size() {
    for view in View::ALL {
        for (width, height) in [(200, 60), (80, 24), (60, 20), (10, 4), (1, 1)] {
            let drawn = picture(&WatchModel { view, ..hostile() }, width, height);
            let steers = |char: char| {
                char != '\n' && char.is_control() || ('\u{202a}'..='\u{202e}').contains(&char)
            };
            assert!(
                !drawn.contains(steers),
                "{view:?} {width}x{height}: {drawn}"
            );
        }
    }
}
