//! Invalid requests through the real port: each gets an answer that says what is wrong, in bounded time and memory, and the controller goes on.

use std::time::{Duration, Instant};

use sweep_controller::serve::Controller;
use sweep_proto::v1;
use sweep_proto::v1::push_code_request::Part;
use sweep_proto::v1::rerun::Which;
use sweep_proto::v1::tell_request::Outcome;
use sweep_proto::v1::{
    AppendLogRequest, AskRequest, CreateSweepRequest, Failure, FinishAttemptRequest,
    GetSweepRequest, ImportRunsRequest, ImportedRun, ListSweepsRequest, MarkCodeRequest,
    MetricPoint, MoveCodeRequest, PushCodeHeader, PushCodeRequest, RegisterAgentRequest,
    ReportMetricsRequest, Rerun, RerunPointsRequest, TellRequest, finish_attempt_request,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::{Code, Status};

use crate::house::{self, Clients, PATIENCE};

const GRID: &str = "method: grid\nprogram: train.py\nmetric: {name: loss}\nparameters:\n  x: {values: [1, 2, 3]}\n";
/// No answer may take longer, on a busy machine and without optimisation.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);
/// How much the whole of a test may make this process grow.
const GROWTH_MAX_KB: u64 = 400 << 10;

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or_default()
}

/// Still there, and answering.
async fn is_well(clients: &mut Clients) {
    let answer = tokio::time::timeout(
        PATIENCE,
        clients.sweeps.list_sweeps(ListSweepsRequest::default()),
    );
    answer.await.expect("it answers").expect("it is well");
}

fn sweep_file(parameter: &str) -> String {
    format!(
        "method: random\nprogram: train.py\nmetric: {{name: loss}}\nparameters:\n  x: {parameter}\n"
    )
}

/// Sweep files, and whether they are wrong.
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

fn point(name: &str, value: f64) -> MetricPoint {
    MetricPoint {
        name: name.to_owned(),
        step: Some(-1),
        wall_ms: i64::MIN,
        value,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_make_no_sense_are_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start(dir.path()).await;
    let mut clients = house::clients(&controller).await;
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
    let mut refused: Vec<(&str, Status, &[Code])> = Vec::new();
    let invalid: &[Code] = &[Code::InvalidArgument];
    let stale: &[Code] = &[Code::FailedPrecondition];
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
        "nobody's attempt",
        clients
            .agents
            .finish_attempt(finish("nobody", 1, succeeded, ""))
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

    let part = |part| PushCodeRequest { part: Some(part) };
    let header = |version: &str| {
        part(Part::Header(PushCodeHeader {
            version: version.to_owned(),
            ..PushCodeHeader::default()
        }))
    };
    let unknown = "a".repeat(40);
    for (what, parts) in [
        ("no code at all", vec![]),
        (
            "code without a header",
            vec![part(Part::Chunk(b"x".to_vec()))],
        ),
        (
            "code of a strange name",
            vec![header("../../etc/passwd"), part(Part::Chunk(b"x".to_vec()))],
        ),
        (
            "code that is none",
            vec![
                header(&unknown),
                part(Part::Chunk(b"# v2 git bundle\nx".to_vec())),
            ],
        ),
        (
            "an upload that is a path",
            vec![part(Part::Header(PushCodeHeader {
                version: unknown.clone(),
                upload_id: "../x".to_owned(),
                ..PushCodeHeader::default()
            }))],
        ),
        ("two headers", vec![header(&unknown), header(&unknown)]),
    ] {
        no(
            what,
            clients
                .sweeps
                .stage_code(tokio_stream::iter(parts))
                .await
                .unwrap_err(),
            invalid,
        );
    }
    let code = Some(v1::Code {
        version: unknown.clone(),
        ..v1::Code::default()
    });
    let request = MoveCodeRequest {
        sweep_id: sweep.clone(),
        code: code.clone(),
        pin: true,
        ..MoveCodeRequest::default()
    };
    no(
        "code that was never staged",
        clients.sweeps.move_code(request.clone()).await.unwrap_err(),
        stale,
    );
    no(
        "no code to move to",
        clients
            .sweeps
            .move_code(MoveCodeRequest {
                code: None,
                ..request
            })
            .await
            .unwrap_err(),
        invalid,
    );
    let yaml = format!("{GRID}\ncode: {{mode: pin}}\n");
    let request = CreateSweepRequest {
        yaml,
        ..CreateSweepRequest::default()
    };
    no(
        "a pinned sweep without its code",
        clients
            .sweeps
            .create_sweep(request.clone())
            .await
            .unwrap_err(),
        stale,
    );
    no(
        "code that nobody has",
        clients
            .sweeps
            .create_sweep(CreateSweepRequest { code, ..request })
            .await
            .unwrap_err(),
        stale,
    );
    let request = MarkCodeRequest {
        sweep_id: sweep.clone(),
        version: unknown,
        ..MarkCodeRequest::default()
    };
    no(
        "a mark on nothing",
        clients.sweeps.mark_code(request).await.unwrap_err(),
        stale,
    );
    let rerun = Some(Rerun {
        which: Some(Which::Best(0)),
    });
    let request = RerunPointsRequest {
        sweep_id: sweep.clone(),
        rerun,
        ..RerunPointsRequest::default()
    };
    no(
        "the best none",
        clients.sweeps.rerun_points(request).await.unwrap_err(),
        invalid,
    );

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

async fn send(controller: &Controller, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", controller.address().port()))
        .await
        .expect("the controller listens");
    // It may hang up before it has heard all.
    let _ = stream.write_all(bytes).await;
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_call_at_all_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start(dir.path()).await;
    let mut clients = house::clients(&controller).await;
    let hello_of_tls = [
        0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03,
    ];
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let oversized_frame = [
        preface.as_slice(),
        &[0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01],
    ]
    .concat();
    // HEADERS, then RST_STREAM, again and again.
    let resets = (0..2000u32).flat_map(|stream| {
        let id = (2 * stream + 1).to_be_bytes();
        let headers = [&[0, 0, 1, 1, 4], &id[..], &[0x82]].concat();
        let reset = [&[0, 0, 4, 3, 0], &id[..], &[0, 0, 0, 8]].concat();
        [headers, reset].concat()
    });
    let rapid_reset = [preface.as_slice(), &[0, 0, 0, 4, 0, 0, 0, 0, 0]]
        .concat()
        .into_iter()
        .chain(resets)
        .collect::<Vec<_>>();
    for bytes in [
        b"".as_slice(),
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        &hello_of_tls,
        preface,
        &oversized_frame,
        &rapid_reset,
        &[b'A'; 1 << 20],
    ] {
        let mut stream = send(&controller, bytes).await;
        let mut answer = [0; 4096];
        // Whatever it says or does not say.
        let _ = tokio::time::timeout(Duration::from_millis(200), stream.read(&mut answer)).await;
        is_well(&mut clients).await;
    }
    // Connections that say nothing, or begin and go no further.
    let mut idle = Vec::new();
    for number in 0..300 {
        idle.push(
            send(
                &controller,
                if number % 2 == 0 { b"" } else { b"POST /sweep" },
            )
            .await,
        );
    }
    is_well(&mut clients).await;
    let long = format!("/{}", "x".repeat(60_000));
    for (method, path) in [
        ("GET", "/../../etc/passwd"),
        ("GET", "/%2e%2e%2f%2e%2e%2fetc/passwd"),
        ("GET", "/%252e%252e%252fetc"),
        ("GET", "/sweeps/..;/x"),
        ("GET", "//"),
        ("GET", "/./"),
        ("DELETE", "/"),
        ("PUT", "/"),
        ("PATCH", "/sweeps/abc"),
        ("OPTIONS", "/"),
        ("TRACE", "/"),
        ("GET", &long),
    ] {
        let answer = house::http(
            &controller,
            method,
            path,
            &[
                ("Range", "bytes=0-0,0-1,0-2,0-3"),
                ("X-Forwarded-For", "127.0.0.1"),
                ("Origin", "null"),
            ],
        )
        .await;
        assert!(
            (400..500).contains(&answer.status) || (path.len() < 4 && answer.status == 200),
            "{method} {path:.40}: {}",
            answer.status
        );
        assert!(!answer.body.contains("root:"), "{method} {path:.40}");
        assert!(
            !answer.head.contains("access-control-allow-origin"),
            "{}",
            answer.head
        );
    }
    drop(idle);
    is_well(&mut clients).await;
    controller.stop().await.unwrap();
}
