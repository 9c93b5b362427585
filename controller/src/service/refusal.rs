//! Refusals and failures as gRPC statuses.

use sweep_lifecycle::command::Refusal;
use sweep_proto::REFUSAL_HEADER;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::engine::EngineError;
use crate::store::StoreError;

/// Longest message of a status in bytes. It travels in a header, percent-encoded, and clients refuse headers beyond 16 KiB.
const MESSAGE_BYTES_MAX: usize = 4096;

/// Says why the engine did not do what was asked.
pub(super) fn from_engine(error: EngineError) -> Status {
    let message = shortened(error.to_string());
    match error {
        EngineError::Refused(refusal) => from_refusal(&refusal, message),
        EngineError::Replayed(_) => with_kind(Status::already_exists(message), "replayed"),
        EngineError::NoSweep(_) => with_kind(Status::not_found(message), "unknown_sweep"),
        EngineError::Full => with_kind(Status::resource_exhausted(message), "full"),
        EngineError::Stopped => Status::unavailable(message),
    }
}

fn from_refusal(refusal: &Refusal, message: String) -> Status {
    let (code, kind) = match refusal {
        Refusal::UnknownSweep(_) => (Code::NotFound, "unknown_sweep"),
        Refusal::UnknownRun { .. } => (Code::NotFound, "unknown_run"),
        Refusal::UnknownAgent(_) => (Code::NotFound, "unknown_agent"),
        Refusal::UnknownAttempt { .. } => (Code::NotFound, "unknown_attempt"),
        Refusal::StaleAttempt { .. } => (Code::FailedPrecondition, "stale_attempt"),
        Refusal::MissingPoints { .. } => (Code::InvalidArgument, "missing_points"),
        Refusal::SweepEnded(_) => (Code::FailedPrecondition, "sweep_ended"),
        Refusal::WrongState(_) => (Code::FailedPrecondition, "wrong_state"),
        Refusal::Exists(_) => (Code::AlreadyExists, "exists"),
    };
    with_kind(Status::new(code, message), kind)
}

fn with_kind(mut status: Status, kind: &'static str) -> Status {
    status
        .metadata_mut()
        .insert(REFUSAL_HEADER, MetadataValue::from_static(kind));
    status
}

/// Says why a question to the query tables has no answer.
#[expect(clippy::needless_pass_by_value, reason = "the signature of map_err")]
pub(super) fn from_store(error: StoreError) -> Status {
    tracing::error!(%error, "a read failed");
    Status::internal(shortened(error.to_string()))
}

/// Says that the controller is stopping.
pub(super) fn stopping() -> Status {
    Status::unavailable("the controller is stopping")
}

/// Says that a request is wrong.
pub(super) fn invalid(message: impl Into<String>) -> Status {
    with_kind(
        Status::invalid_argument(shortened(message.into())),
        "invalid",
    )
}

/// Says that there is no such run.
pub(super) fn unknown_run(sweep: &str, run: u64) -> Status {
    let refusal = Refusal::UnknownRun {
        sweep: sweep.to_owned(),
        run,
    };
    let message = refusal.to_string();
    from_refusal(&refusal, message)
}

/// Says that there is no such sweep.
pub(super) fn unknown_sweep(sweep: &str) -> Status {
    let refusal = Refusal::UnknownSweep(sweep.to_owned());
    let message = refusal.to_string();
    from_refusal(&refusal, message)
}

/// Says that a result came too late, and what was done with it.
pub(super) fn orphaned(run: u64, attempt: u32, reason: &str) -> Status {
    let refusal = Refusal::StaleAttempt {
        run,
        attempt,
        reason: format!("{reason}; its result is kept beside the run"),
    };
    let message = refusal.to_string();
    from_refusal(&refusal, message)
}

/// Says that the engine gave an answer to another question: a bug.
pub(super) fn out_of_turn() -> Status {
    Status::internal("the engine answered another question than was asked; this is a bug in sweep")
}

fn shortened(message: String) -> String {
    if message.len() <= MESSAGE_BYTES_MAX {
        return message;
    }
    let cut = message.floor_char_boundary(MESSAGE_BYTES_MAX);
    format!(
        "{}… ({} bytes left out)",
        &message[..cut],
        message.len() - cut
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_code_and_its_word() {
        let shown = |error| {
            let status = from_engine(error);
            let kind = sweep_proto::refusal(&status).unwrap_or("-").to_owned();
            (status.code(), kind)
        };
        let refused = |refusal| shown(EngineError::Refused(refusal));
        let stale = Refusal::StaleAttempt {
            run: 1,
            attempt: 1,
            reason: "lost".into(),
        };
        assert_eq!(
            refused(Refusal::UnknownSweep("x".into())),
            (Code::NotFound, "unknown_sweep".into())
        );
        assert_eq!(
            refused(Refusal::UnknownRun {
                sweep: "x".into(),
                run: 1
            }),
            (Code::NotFound, "unknown_run".into())
        );
        assert_eq!(
            refused(Refusal::UnknownAgent("x".into())),
            (Code::NotFound, "unknown_agent".into())
        );
        assert_eq!(
            refused(stale),
            (Code::FailedPrecondition, "stale_attempt".into())
        );
        assert_eq!(
            refused(Refusal::SweepEnded("x".into())),
            (Code::FailedPrecondition, "sweep_ended".into())
        );
        assert_eq!(
            refused(Refusal::WrongState("x".into())),
            (Code::FailedPrecondition, "wrong_state".into())
        );
        assert_eq!(
            refused(Refusal::Exists("x".into())),
            (Code::AlreadyExists, "exists".into())
        );
        assert_eq!(
            shown(EngineError::Replayed("x".into())),
            (Code::AlreadyExists, "replayed".into())
        );
        assert_eq!(
            shown(EngineError::NoSweep("x".into())),
            (Code::NotFound, "unknown_sweep".into())
        );
        assert_eq!(
            shown(EngineError::Full),
            (Code::ResourceExhausted, "full".into())
        );
        assert_eq!(shown(EngineError::Stopped), (Code::Unavailable, "-".into()));
    }

    #[test]
    fn a_long_message_fits_a_header() {
        let status = invalid("ä".repeat(100_000));
        assert!(status.message().len() < MESSAGE_BYTES_MAX + 64);
        assert!(status.message().ends_with("bytes left out)"));
    }
}
