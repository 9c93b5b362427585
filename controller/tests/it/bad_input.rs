//! Invalid requests through the real port: each gets an answer that says what is wrong, in bounded time and memory, and the controller keeps serving.

mod calls;
mod code_calls;
mod files;

use std::time::Duration;

use sweep_controller::serve::Controller;
use sweep_proto::v1::ListSweepsRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::{Code, Status};

use crate::house::{self, Clients, PATIENCE};

const GRID: &str = "method: grid\nprogram: train.py\nmetric: {name: loss}\nparameters:\n  x: {values: [1, 2, 3]}\n";
const INVALID: &[Code] = &[Code::InvalidArgument];
const STALE: &[Code] = &[Code::FailedPrecondition];

/// A call that was refused: its name, the refusal, and the codes that it may have.
type RefusedCall = (&'static str, Status, &'static [Code]);

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

async fn send(controller: &Controller, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", controller.address().port()))
        .await
        .expect("the controller listens");
    // It may hang up before it has heard all.
    let _ = stream.write_all(bytes).await;
    stream
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one request after the other")]
async fn what_is_no_call_at_all_harms_nobody() {
    let (_dir, controller, mut clients) = house::fresh().await;
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
        // It may or may not answer.
        let _ = tokio::time::timeout(Duration::from_millis(200), stream.read(&mut answer)).await;
        is_well(&mut clients).await;
    }
    // Connections that send nothing, or begin and stop.
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
