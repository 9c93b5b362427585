//! Tells the answers of the agent's own controller from others. Anything else is an outage: the
//! agent keeps training and tries again.

use std::error::Error;

use sweep_proto::{CONTROLLER_HEADER, REFUSAL_HEADER};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::channel::is_outcome_unknown;
#[cfg(feature = "simulation")]
use crate::weakness::{self, Weakness};

/// Why a call gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CallError {
    /// The controller refused, in the protocol's own terms.
    Refused(ControllerRefusal),
    /// The controller answered with an error that is no refusal. It ends nothing.
    Unexplained(ControllerRefusal),
    /// No answer of the agent's controller. Whether the call had its effect is unknown.
    Outage(Outage),
}

/// Why there is no answer of the agent's controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outage {
    /// The cause.
    pub(super) cause: OutageCause,
    /// Why, and what would help.
    pub(super) reason: String,
}

/// The source of the answer, in place of the agent's controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutageCause {
    /// Nothing, or the controller itself is not ready.
    Away,
    /// The controller, which asks for another token.
    Token,
    /// Something else: a proxy, another controller.
    Stranger,
}

/// A refusal of the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ControllerRefusal {
    /// A word of `sweep-refusal`; empty where there is none.
    pub(super) kind: String,
    /// In words.
    pub(super) message: String,
}

impl ControllerRefusal {
    /// Returns whether the controller does not know the agent, or not what it holds.
    pub(super) fn asks_to_register(&self) -> bool {
        self.kind == "unknown_agent" || self.kind == "unknown_attempt"
    }

    /// Returns whether the attempt does not own its run any more.
    pub(super) fn is_stale(&self) -> bool {
        self.kind == "stale_attempt"
    }

    /// Returns whether the controller lacks points before those that were reported.
    pub(super) fn is_missing_points(&self) -> bool {
        self.kind == "missing_points"
    }

    /// Returns whether the sweep had ended before the agent came.
    pub(super) fn is_sweep_over(&self) -> bool {
        self.kind == "sweep_ended"
    }

    /// Returns whether the controller has no such sweep.
    pub(super) fn is_sweep_gone(&self) -> bool {
        self.kind == "unknown_sweep"
    }
}

/// Checks that a response is the own controller's. A controller without an identity is of an
/// earlier version, and any is accepted where `own` is empty.
///
/// # Errors
/// [`CallError::Outage`]: another controller answers.
pub(super) fn check(headers: &MetadataMap, own: &str) -> Result<(), CallError> {
    match header(headers, CONTROLLER_HEADER) {
        Some(other) if !own.is_empty() && other != own => Err(outage(
            OutageCause::Stranger,
            format!(
                "this is controller {other}, and this agent and its runs belong to controller {own}: start that one here again, or this agent with its \
             --controller"
            ),
        )),
        _ => Ok(()),
    }
}

/// Judges an error.
pub(super) fn judge(status: &Status, own: &str) -> CallError {
    #[cfg(feature = "simulation")]
    if weakness::has(Weakness::AnyAnswerEnds) && status.code() != Code::Unavailable {
        return CallError::Refused(ControllerRefusal {
            kind: "stale_attempt".to_owned(),
            message: status.message().to_owned(),
        });
    }
    if let Err(outage) = check(status.metadata(), own) {
        return outage;
    }
    let message = status.message().to_owned();
    let is_controller = header(status.metadata(), CONTROLLER_HEADER).is_some();
    match header(status.metadata(), REFUSAL_HEADER) {
        // Nothing was recorded, and later something can be.
        Some("full") => outage(OutageCause::Away, message),
        Some(kind) => CallError::Refused(ControllerRefusal {
            kind: kind.to_owned(),
            message,
        }),
        None if is_controller && status.code() == Code::Unimplemented => {
            let version = env!("CARGO_PKG_VERSION");
            let message = format!(
                "the controller is of another version ({message}); this agent is {version}: install the same version on both"
            );
            CallError::Unexplained(ControllerRefusal {
                kind: String::new(),
                message,
            })
        }
        None if is_controller && is_final(status.code()) => {
            CallError::Unexplained(ControllerRefusal {
                kind: String::new(),
                message,
            })
        }
        None => unanswered(status, is_controller),
    }
}

fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
    )
}

fn outage(cause: OutageCause, reason: String) -> CallError {
    CallError::Outage(Outage { cause, reason })
}

/// Says what is wrong and what would help.
fn unanswered(status: &Status, is_controller: bool) -> CallError {
    let reason = reason(status);
    match status.code() {
        Code::Unauthenticated if is_controller => outage(
            OutageCause::Token,
            "the controller asks for a token that this agent does not have: set SWEEP_TOKEN to the one in the file `token` of its data \
             directory and start the agent again (after SIGKILL the next agent takes over the running programs); a token file is read again"
                .to_owned(),
        ),
        // A proxy that is busy says the last two.
        code if is_outcome_unknown(code) || matches!(code, Code::ResourceExhausted | Code::Aborted) => outage(OutageCause::Away, reason),
        _ if is_controller => outage(OutageCause::Away, reason),
        Code::Unimplemented => outage(
            OutageCause::Stranger,
            format!(
                "something else than the controller answers at its address, a proxy perhaps, or a controller of another version: {reason}; \
                 install the same version on both"
            ),
        ),
        _ => outage(OutageCause::Stranger, format!("something else than the controller answers at its address, a proxy perhaps: {reason}")),
    }
}

fn header<'a>(headers: &'a MetadataMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Says why in a line.
pub(super) fn reason(status: &Status) -> String {
    let mut text = if status.message().is_empty() {
        status.code().description().to_owned()
    } else {
        status.message().to_owned()
    };
    let mut source = status.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: Code, headers: &[(&'static str, &'static str)]) -> Status {
        let mut status = Status::new(code, "words");
        for (name, value) in headers {
            status
                .metadata_mut()
                .insert(*name, tonic::metadata::MetadataValue::from_static(value));
        }
        status
    }

    #[test]
    fn only_words_of_the_own_controller_are_refusals() {
        let own = (CONTROLLER_HEADER, "a1");
        let stale = (REFUSAL_HEADER, "stale_attempt");
        let refused = |kind: &str| ControllerRefusal {
            kind: kind.to_owned(),
            message: "words".to_owned(),
        };
        let judged = |code, headers: &[_]| judge(&status(code, headers), "a1");
        assert_eq!(
            judged(Code::FailedPrecondition, &[own, stale]),
            CallError::Refused(refused("stale_attempt"))
        );
        assert_eq!(
            judged(Code::FailedPrecondition, &[own]),
            CallError::Unexplained(refused(""))
        );
        for code in [0, 3, 5, 7, 8, 9, 12, 13, 14, 16].map(Code::from_i32) {
            assert!(
                matches!(judged(code, &[]), CallError::Outage(_)),
                "{code:?} without a header"
            );
            let other = judged(code, &[(CONTROLLER_HEADER, "b2"), stale]);
            let CallError::Outage(Outage {
                cause: OutageCause::Stranger,
                reason,
            }) = other
            else {
                panic!("{code:?}: {other:?}")
            };
            assert!(
                reason.starts_with(
                    "this is controller b2, and this agent and its runs belong to controller a1"
                ),
                "{reason}"
            );
        }
        let CallError::Outage(token) = judged(Code::Unauthenticated, &[own]) else {
            panic!("it is an outage")
        };
        assert!(
            token.cause == OutageCause::Token && token.reason.contains("SWEEP_TOKEN"),
            "{token:?}"
        );
        assert_eq!(
            judged(Code::ResourceExhausted, &[own, (REFUSAL_HEADER, "full")]),
            outage(OutageCause::Away, "words".to_owned())
        );
    }
}
