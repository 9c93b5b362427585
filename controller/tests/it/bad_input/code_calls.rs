//! Calls about code that make no sense.

use sweep_proto::v1;
use sweep_proto::v1::push_code_request::Part;
use sweep_proto::v1::rerun::Which;
use sweep_proto::v1::{
    CreateSweepRequest, MarkCodeRequest, MoveCodeRequest, PushCodeHeader, PushCodeRequest, Rerun,
    RerunPointsRequest,
};
use tonic::Status;

use crate::house::Clients;

use super::*;

/// Returns how calls about code were refused.
#[expect(clippy::too_many_lines, reason = "one call after the other")]
pub(super) async fn code_calls(clients: &mut Clients, sweep: &str) -> Vec<RefusedCall> {
    let (invalid, stale) = (INVALID, STALE);
    let mut refused: Vec<RefusedCall> = Vec::new();
    let mut no = |what, status: Status, codes| refused.push((what, status, codes));
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
                .expect_err("it is refused"),
            invalid,
        );
    }
    let code = Some(v1::Code {
        version: unknown.clone(),
        ..v1::Code::default()
    });
    let request = MoveCodeRequest {
        sweep_id: sweep.to_owned(),
        code: code.clone(),
        pin: true,
        ..MoveCodeRequest::default()
    };
    no(
        "code that was never staged",
        clients
            .sweeps
            .move_code(request.clone())
            .await
            .expect_err("it is refused"),
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
            .expect_err("it is refused"),
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
            .expect_err("it is refused"),
        stale,
    );
    no(
        "code that no agent has",
        clients
            .sweeps
            .create_sweep(CreateSweepRequest { code, ..request })
            .await
            .expect_err("it is refused"),
        stale,
    );
    let request = MarkCodeRequest {
        sweep_id: sweep.to_owned(),
        version: unknown,
        ..MarkCodeRequest::default()
    };
    no(
        "a mark on nothing",
        clients
            .sweeps
            .mark_code(request)
            .await
            .expect_err("it is refused"),
        stale,
    );
    let rerun = Some(Rerun {
        which: Some(Which::Best(0)),
    });
    let request = RerunPointsRequest {
        sweep_id: sweep.to_owned(),
        rerun,
        ..RerunPointsRequest::default()
    };
    no(
        "the best none",
        clients
            .sweeps
            .rerun_points(request)
            .await
            .expect_err("it is refused"),
        invalid,
    );
    refused
}
