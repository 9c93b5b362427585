//! Messages and streams that no library would send, through the real port: an answer, or an end, in bounded time and memory.

use std::io::Write as _;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use sweep_proto::v1::ListSweepsRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic::codegen::Service as _;
use tonic::transport::Channel;

use crate::house::{self, Clients, PATIENCE};

const LIST: &str = "/sweep.v1.SweepService/ListSweeps";
const PUSH: &str = "/sweep.v1.AgentService/PushCode";

/// A message as gRPC sends it: whether it is compressed, its length, itself.
fn framed(compressed: bool, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("it is short");
    [&[u8::from(compressed)], &length.to_be_bytes()[..], message].concat()
}

/// Makes a call and returns its code; `None` where the answer has none.
async fn call(channel: &Channel, path: &str, headers: &[(&str, &str)], body: Body) -> Option<Code> {
    let mut channel = channel.clone();
    std::future::poll_fn(|context| channel.poll_ready(context))
        .await
        .expect("the connection holds");
    let mut request = Request::post(path).header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = channel
        .call(
            request
                .body(tonic::body::Body::new(body))
                .expect("it is a request"),
        )
        .await
        .ok()?;
    code(answer).await
}

async fn code(answer: Response<tonic::body::Body>) -> Option<Code> {
    let said = |headers: &axum::http::HeaderMap| {
        headers
            .get("grpc-status")
            .map(|code| Code::from_bytes(code.as_bytes()))
    };
    if let Some(code) = said(answer.headers()) {
        return Some(code);
    }
    let mut body = Body::new(answer.into_body());
    loop {
        let frame = std::future::poll_fn(|context| {
            axum::body::HttpBody::poll_frame(std::pin::Pin::new(&mut body), context)
        })
        .await?
        .ok()?;
        if let Some(trailers) = frame.trailers_ref() {
            return said(trailers);
        }
    }
}

async fn is_well(clients: &mut Clients) {
    let answer = tokio::time::timeout(
        PATIENCE,
        clients.sweeps.list_sweeps(ListSweepsRequest::default()),
    );
    answer.await.expect("it answers").expect("it is well");
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one story, step by step")]
async fn messages_that_are_none_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start(dir.path()).await;
    let (channel, mut clients) = (
        house::channel(&controller).await,
        house::clients(&controller).await,
    );
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..256 {
        bomb.write_all(&[0; 1 << 20]).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    assert!(
        bomb.len() < 1 << 20,
        "a quarter of a gigabyte in {} bytes",
        bomb.len()
    );
    // The unknown field 1000, of a megabyte.
    let unknown = [&[0xc2, 0x3e, 0x80, 0x80, 0x40], [0; 1 << 20].as_slice()].concat();
    let grpc = ("content-type", "application/grpc");
    let refused: &[Option<Code>] = &[
        Some(Code::InvalidArgument),
        Some(Code::Internal),
        Some(Code::OutOfRange),
        Some(Code::ResourceExhausted),
    ];
    for (what, headers, body, expected) in [
        (
            "a bomb",
            vec![grpc, ("grpc-encoding", "gzip")],
            framed(true, &bomb),
            &[Some(Code::Unimplemented)] as &[_],
        ),
        (
            "a bomb that does not show",
            vec![grpc],
            framed(true, &bomb),
            &[Some(Code::Internal), Some(Code::Unimplemented)],
        ),
        (
            "unknown fields",
            vec![grpc],
            framed(false, &unknown),
            &[Some(Code::Ok)],
        ),
        (
            "four gigabytes to come",
            vec![grpc],
            [0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3].to_vec(),
            refused,
        ),
        (
            "an end in the middle",
            vec![grpc],
            framed(false, &[0; 100])[..20].to_vec(),
            refused,
        ),
        (
            "no protobuf",
            vec![grpc],
            framed(false, &[0xff; 100]),
            refused,
        ),
        ("no message", vec![grpc], Vec::new(), refused),
        (
            "a flag that is none",
            vec![grpc],
            vec![7, 0, 0, 0, 0],
            refused,
        ),
        (
            "an encoding that is none",
            vec![grpc, ("grpc-encoding", "lzma")],
            framed(true, b"x"),
            &[Some(Code::Unimplemented)],
        ),
        (
            "a time that is none",
            vec![grpc, ("grpc-timeout", "soon")],
            framed(false, b""),
            &[
                Some(Code::Ok),
                Some(Code::InvalidArgument),
                Some(Code::Internal),
            ],
        ),
        // The gate lets no browser through to the services, so it may be left out.
        (
            "no kind of content",
            vec![],
            framed(false, b""),
            &[Some(Code::Ok)],
        ),
    ] {
        let answer =
            tokio::time::timeout(PATIENCE, call(&channel, LIST, &headers, Body::from(body))).await;
        let answer = answer.unwrap_or_else(|_| panic!("{what}: no answer"));
        assert!(expected.contains(&answer), "{what}: {answer:?}");
        is_well(&mut clients).await;
    }
    controller.stop().await.unwrap();
}

/// Callers that begin and never end hold a place for the time of a call, not for ever, and no others wait for them.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_never_comes_to_its_end_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start(dir.path()).await;
    let (channel, mut clients) = (
        house::channel(&controller).await,
        house::clients(&controller).await,
    );
    let endless = |first: &'static [u8]| {
        let first = tokio_stream::once(Ok::<_, std::io::Error>(Bytes::from_static(first)));
        Body::from_stream(first.chain(tokio_stream::pending()))
    };
    let grpc = [("content-type", "application/grpc")];
    let calls = (0..60).map(|number| {
        let (channel, path) = (channel.clone(), if number % 2 == 0 { LIST } else { PUSH });
        let body = endless(if number % 3 == 0 {
            b""
        } else {
            b"\0\0\0\x10\0half"
        });
        tokio::spawn(async move { call(&channel, path, &grpc, body).await })
    });
    let calls: Vec<_> = calls.collect();
    is_well(&mut clients).await;
    for given_up in calls {
        let code = tokio::time::timeout(2 * PATIENCE, given_up)
            .await
            .expect("it is given up")
            .unwrap();
        assert!(
            matches!(code, None | Some(Code::DeadlineExceeded)),
            "{code:?}"
        );
    }
    is_well(&mut clients).await;
    controller.stop().await.unwrap();
}

/// Beyond the streams that a connection may have the rest is refused, and other connections do not notice.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_streams_on_one_connection_harm_nobody() {
    let (_dir, controller, mut clients) = house::fresh().await;
    let text = |name: &[u8], value: &str| {
        [
            name,
            &[u8::try_from(value.len()).expect("it is short")],
            value.as_bytes(),
        ]
        .concat()
    };
    // POST, http, then path, authority and kind of content as literals (RFC 7541, section 6.2.2).
    let authority = format!("127.0.0.1:{}", controller.address().port());
    let headers = [
        vec![0x83, 0x86],
        text(&[0x04], LIST),
        text(&[0x01], &authority),
        text(&[0x0f, 0x10], "application/grpc"),
    ]
    .concat();
    let mut bytes = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(),
        &[0, 0, 0, 4, 0, 0, 0, 0, 0],
    ]
    .concat();
    for stream in 0..10_000_u32 {
        let length = u32::try_from(headers.len())
            .expect("it is short")
            .to_be_bytes();
        // HEADERS with END_HEADERS, and no end of the stream.
        bytes.extend(
            [
                &length[1..],
                &[1, 4],
                &(2 * stream + 1).to_be_bytes(),
                &headers,
            ]
            .concat(),
        );
    }
    let mut stream = TcpStream::connect(("127.0.0.1", controller.address().port()))
        .await
        .unwrap();
    // It may hang up before it has heard all; until then, what it answers is read, or neither side could write any more.
    let (mut reading, mut writing) = stream.split();
    let answered = async {
        let mut buffer = vec![0; 1 << 16];
        while tokio::time::timeout(Duration::from_secs(2), reading.read(&mut buffer))
            .await
            .is_ok_and(|read| read.is_ok_and(|length| length > 0))
        {}
    };
    let _ = tokio::join!(writing.write_all(&bytes), answered);
    is_well(&mut clients).await;
    drop(stream);
    is_well(&mut clients).await;
    controller.stop().await.unwrap();
}
