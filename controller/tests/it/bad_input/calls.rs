//! Calls of agents and of their users that make no sense.

use sweep_proto::v1::tell_request::Outcome;
use sweep_proto::v1::{
    AppendLogRequest, AskRequest, CreateSweepRequest, Failure, FinishAttemptRequest,
    GetSweepRequest, ImportRunsRequest, ImportedRun, MetricPoint, RegisterAgentRequest,
    ReportMetricsRequest, TellRequest, finish_attempt_request,
};
use tonic::{Code, Status};

use crate::house::{self};

use super::code_calls::code_calls;
use super::*;

fn point(name: &str, value: f64) -> MetricPoint {
    MetricPoint {
        name: name.to_owned(),
        step: Some(-1),
        wall_ms: i64::MIN,
        value,
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one call after the other")]
async fn calls_that_make_no_sense_are_refused_in_words() {
    let (_dir, controller, mut clients) = house::fresh().await;
    let before = resident_kb();
    let sweep = clients.create(GRID).await;
    clients.register(&sweep, "a").await;
    clients.register(&sweep, "b").await;
    let held = clients.acquire(&sweep, "a").await;
    clients.begin("a", &held).await;
    let report = |attempt: u32, first_seq: u64, points: Vec<MetricPoint>| ReportMetricsRequest {
        agent_id: "a".to_owned(),
        sweep_id: sweep.clone(),
        run: held.run,
        attempt,
        first_seq,
        points,
        incarnation: String::new(),
    };
    let finish = |agent: &str, attempt: u32, result: i32, request_id: &str| FinishAttemptRequest {
        agent_id: agent.to_owned(),
        sweep_id: sweep.clone(),
        run: held.run,
        attempt,
        result,
        failure: None,
        request_id: request_id.to_owned(),
        incarnation: String::new(),
        points: 0,
    };
    let succeeded = finish_attempt_request::Result::Succeeded as i32;
    let mut refused: Vec<RefusedCall> = Vec::new();
    let (invalid, stale) = (INVALID, STALE);
    let unknown_attempt: &[Code] = &[Code::NotFound];
    let large: &[Code] = &[
        Code::OutOfRange,
        Code::ResourceExhausted,
        Code::InvalidArgument,
    ];
    let mut no = |what, status: Status, codes| refused.push((what, status, codes));

    no(
        "a million points",
        clients
            .agents
            .report_metrics(report(1, 0, vec![point("loss", 1.0); 1_000_000]))
            .await
            .unwrap_err(),
        large,
    );
    no(
        "30,000 points",
        clients
            .agents
            .report_metrics(report(1, 0, vec![point("l", 1.0); 30_000]))
            .await
            .unwrap_err(),
        invalid,
    );
    no(
        "a gap",
        clients
            .agents
            .report_metrics(report(1, 7, vec![point("loss", 1.0)]))
            .await
            .unwrap_err(),
        invalid,
    );
    no(
        "a number beyond",
        clients
            .agents
            .report_metrics(report(1, u64::MAX, vec![point("loss", 1.0)]))
            .await
            .unwrap_err(),
        &[Code::InvalidArgument, Code::OutOfRange],
    );
    no(
        "a long name",
        clients
            .agents
            .report_metrics(report(1, 0, vec![point(&"x".repeat(2000), 1.0)]))
            .await
            .unwrap_err(),
        invalid,
    );
    no(
        "attempt 2",
        clients
            .agents
            .report_metrics(report(2, 0, vec![point("loss", 1.0)]))
            .await
            .unwrap_err(),
        unknown_attempt,
    );
    no(
        "the last attempt",
        clients
            .agents
            .finish_attempt(finish("a", u32::MAX, succeeded, ""))
            .await
            .unwrap_err(),
        unknown_attempt,
    );
    no(
        "another's attempt",
        clients
            .agents
            .finish_attempt(finish("b", 1, succeeded, ""))
            .await
            .unwrap_err(),
        stale,
    );
    no(
        "an unknown agent's attempt",
        clients
            .agents
            .finish_attempt(finish("stranger", 1, succeeded, ""))
            .await
            .unwrap_err(),
        &[Code::FailedPrecondition, Code::NotFound],
    );
    no(
        "a result that is none",
        clients
            .agents
            .finish_attempt(finish("a", 1, 99, ""))
            .await
            .unwrap_err(),
        invalid,
    );
    no(
        "no result",
        clients
            .agents
            .finish_attempt(finish("a", 1, 0, ""))
            .await
            .unwrap_err(),
        invalid,
    );
    let failed = finish_attempt_request::Result::Failed as i32;
    no(
        "a failure without one",
        clients
            .agents
            .finish_attempt(finish("a", 1, failed, ""))
            .await
            .unwrap_err(),
        invalid,
    );
    let strange = Failure {
        kind: String::new(),
        blame: "the moon".to_owned(),
        ..Failure::default()
    };
    let request = FinishAttemptRequest {
        failure: Some(strange),
        ..finish("a", 1, failed, "")
    };
    no(
        "a failure without a kind",
        clients.agents.finish_attempt(request).await.unwrap_err(),
        invalid,
    );
    let request = FinishAttemptRequest {
        run: u64::MAX,
        ..finish("a", 1, succeeded, "")
    };
    no(
        "a run beyond",
        clients.agents.finish_attempt(request).await.unwrap_err(),
        &[Code::InvalidArgument, Code::NotFound],
    );
    for (what, name) in [
        ("nothing", ""),
        ("a NUL", "a\0b"),
        ("an escape", "\x1b]0;x\x07"),
        ("lines", "a\r\nINFO fake"),
    ] {
        let request = RegisterAgentRequest {
            agent_id: name.to_owned(),
            sweep_id: sweep.clone(),
            ..RegisterAgentRequest::default()
        };
        no(
            what,
            clients.agents.register_agent(request).await.unwrap_err(),
            invalid,
        );
    }
    let request = RegisterAgentRequest {
        agent_id: "x".repeat(1 << 20),
        sweep_id: sweep.clone(),
        ..RegisterAgentRequest::default()
    };
    no(
        "a megabyte of a name",
        clients.agents.register_agent(request).await.unwrap_err(),
        invalid,
    );
    let data = vec![b'x'; 2 << 20];
    let request = AppendLogRequest {
        agent_id: "a".to_owned(),
        sweep_id: sweep.clone(),
        run: held.run,
        attempt: 1,
        offset: 0,
        data,
        incarnation: String::new(),
    };
    no(
        "two megabytes of output",
        clients
            .agents
            .append_log(request.clone())
            .await
            .unwrap_err(),
        invalid,
    );
    let request = AppendLogRequest {
        data: b"x".to_vec(),
        offset: u64::MAX,
        ..request
    };
    no(
        "output beyond",
        clients.agents.append_log(request).await.unwrap_err(),
        &[Code::InvalidArgument, Code::OutOfRange],
    );
    let request = CreateSweepRequest {
        yaml: "x".repeat(5 << 20),
        ..CreateSweepRequest::default()
    };
    no(
        "five megabytes",
        clients.sweeps.create_sweep(request).await.unwrap_err(),
        large,
    );
    for id in [
        "../../etc/passwd",
        "%2e%2e%2f",
        "..\\..\\x",
        "CON",
        "<script>",
        "'; DROP TABLE runs;--",
        "\u{202e}x",
    ] {
        let status = clients
            .sweeps
            .get_sweep(GetSweepRequest {
                sweep_id: id.to_owned(),
            })
            .await
            .unwrap_err();
        no(
            "a strange id",
            status,
            &[Code::NotFound, Code::InvalidArgument],
        );
    }
    let ask = AskRequest {
        sweep_id: sweep.clone(),
        request_id: "ask".to_owned(),
        worker: "w".repeat(1 << 20),
        ..AskRequest::default()
    };
    no(
        "a worker of a megabyte",
        clients.sweeps.ask(ask.clone()).await.unwrap_err(),
        invalid,
    );
    let asked = clients
        .sweeps
        .ask(AskRequest {
            worker: "w".to_owned(),
            ..ask
        })
        .await
        .unwrap()
        .into_inner();
    let tell = TellRequest {
        sweep_id: sweep.clone(),
        run: asked.run,
        attempt: asked.attempt,
        request_id: "tell".to_owned(),
        ..TellRequest::default()
    };
    no(
        "no outcome",
        clients.sweeps.tell(tell.clone()).await.unwrap_err(),
        invalid,
    );
    clients
        .sweeps
        .tell(TellRequest {
            outcome: Some(Outcome::Value(1.0)),
            ..tell.clone()
        })
        .await
        .unwrap();
    let other = TellRequest {
        outcome: Some(Outcome::Value(2.0)),
        ..tell
    };
    no(
        "the same request with another body",
        clients.sweeps.tell(other).await.unwrap_err(),
        &[Code::AlreadyExists, Code::InvalidArgument],
    );
    let import = |params: &str| ImportRunsRequest {
        sweep_id: sweep.clone(),
        request_id: String::new(),
        runs: vec![ImportedRun {
            params_json: params.to_owned(),
            value: f64::NAN,
            ..ImportedRun::default()
        }],
    };
    for params in ["", "[", "{\"x\": 1e999}", "[1]", &"[".repeat(5000)] {
        match clients.sweeps.import_runs(import(params)).await {
            Ok(answer) => assert_eq!(answer.get_ref().skipped.len(), 1, "{params}"),
            Err(status) => no("what is no configuration", status, invalid),
        }
    }

    refused.extend(code_calls(&mut clients, &sweep).await);
    let mut no = |what, status: Status, codes| refused.push((what, status, codes));

    // Strange, and true all the same.
    clients
        .agents
        .report_metrics(report(
            1,
            0,
            vec![
                point("loss", f64::NAN),
                point("ünïcödé 🧹", -0.0),
                point("loss", 0.5),
            ],
        ))
        .await
        .unwrap();
    clients
        .agents
        .finish_attempt(finish("a", 1, succeeded, "finish"))
        .await
        .unwrap();
    no(
        "another result under the same id",
        clients
            .agents
            .finish_attempt(finish("a", 1, failed, "finish"))
            .await
            .unwrap_err(),
        &[Code::AlreadyExists, Code::InvalidArgument],
    );
    let late = clients
        .agents
        .report_metrics(report(1, 3, vec![point("loss", 9.0)]))
        .await;
    assert!(
        late.is_ok_and(|answer| answer.get_ref().directive.is_some()),
        "a late report is told so"
    );

    for (what, status, codes) in &refused {
        assert!(codes.contains(&status.code()), "{what}: {status}");
        assert!(status.message().len() > 8, "{what}: {status}");
        assert!(
            !status.message().contains('\u{1b}') && status.message().len() < 4000,
            "{what}: {status}"
        );
    }
    let grown = resident_kb().saturating_sub(before);
    assert!(grown < GROWTH_MAX_KB, "{grown} KiB");
    is_well(&mut clients).await;
    controller.stop().await.unwrap();
}
