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

/// The words before the error by which a program has refused its command line, in the message of a failure.
const REFUSES: &str = "the program refuses its command line: ";

/// Returns what failures with one cause have in common: the message of one of them, in which `#` replaces each number. Of a refused command line, `#`
/// replaces the values of arguments, too.
pub fn cause(message: &str) -> String {
    let message = match message.find(REFUSES) {
        Some(start) => {
            let (before, error) = message.split_at(start + REFUSES.len());
            format!("{before}{}", without_values(error))
        }
        None => message.to_owned(),
    };
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

/// Replaces the values of arguments: what is behind `=`, behind an option, and booleans.
fn without_values(error: &str) -> String {
    const QUOTES: [char; 6] = ['\'', '"', '`', '[', ']', ','];
    let mut is_behind_option = false;
    let words = error.split(' ').map(|word| {
        let bare = word.trim_matches(QUOTES);
        let is_option = bare.starts_with('-');
        let is_value = is_behind_option && !is_option;
        // `argument --lr: invalid float value` continues with words.
        is_behind_option = is_option && !bare.contains(['=', ':']);
        match word.split_once('=') {
            Some((name, _)) => format!("{name}=#"),
            None if is_value || matches!(bare, "True" | "False") => "#".to_owned(),
            None => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::cause;

    #[test]
    fn like_errors_about_a_command_line_are_one_cause() {
        let of = |error: &str| {
            cause(&format!(
                "exit status 2, the program refuses its command line: {error}"
            ))
        };
        for (one, other) in [
            (
                "Unrecognized options: --opt=a",
                "Unrecognized options: --opt=z",
            ),
            ("Unrecognized options: True", "Unrecognized options: False"),
            (
                "unrecognized arguments: --opt a",
                "unrecognized arguments: --opt b",
            ),
            (
                "Some specified arguments are not used by the HfArgumentParser: ['--opt', 'a']",
                "Some specified arguments are not used by the HfArgumentParser: ['--opt', 'b']",
            ),
            (
                "Error parsing override 'lr=a{'",
                "Error parsing override 'lr=b{'",
            ),
        ] {
            assert_eq!(of(one), of(other));
        }
        for (one, other) in [
            (
                "unrecognized arguments: --opt=a",
                "unrecognized arguments: --lr=a",
            ),
            (
                "argument --lr: invalid float value: 'x'",
                "argument --lr: expected one argument",
            ),
        ] {
            assert_ne!(of(one), of(other));
        }
        assert_ne!(cause("exit status 1: lr=a"), cause("exit status 1: lr=b"));
    }
}
