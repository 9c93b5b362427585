//! The wire of `sweep`: the messages and services of package `sweep.v1`, generated from the `.proto` files beside this crate.

pub mod format;

/// Package `sweep.v1`.
#[expect(
    clippy::large_enum_variant,
    reason = "prost gives no say in how a oneof is laid out"
)]
pub mod v1 {
    tonic::include_proto!("sweep.v1");
}

/// The path of every method of every service: `/sweep.v1.SweepService/CreateSweep`, ….
pub const METHODS: &[&str] = include!(concat!(env!("OUT_DIR"), "/methods.rs"));

/// The response header in which a refused call names the kind of refusal in one word: `unknown_agent`, `stale_attempt`, ….
/// The gRPC code alone does not tell an unknown agent from an unknown sweep.
pub const REFUSAL_HEADER: &str = "sweep-refusal";

/// Returns the kind of a refusal; `None` where none is named.
pub fn refusal(status: &tonic::Status) -> Option<&str> {
    status.metadata().get(REFUSAL_HEADER)?.to_str().ok()
}

/// The response header with the id of the controller that answers.
pub const CONTROLLER_HEADER: &str = "sweep-controller";

/// The response header with the epoch of the controller that answers: it increases with every restore.
pub const EPOCH_HEADER: &str = "sweep-epoch";

/// Returns what failures with one cause have in common: the message of one of them, in which `#` replaces each number.
pub fn cause(message: &str) -> String {
    let mut cause = String::new();
    for character in message.chars() {
        let character = if character.is_ascii_digit() {
            '#'
        } else {
            character
        };
        if character != '#' || !cause.ends_with('#') {
            cause.push(character);
        }
    }
    cause
}
