//! How a shell writes arguments.

use sweep_proto::v1::Run;

/// Quotes a command line so that a POSIX shell reads the same arguments.
pub(crate) fn line(arguments: &[String]) -> String {
    arguments.iter().map(|argument| quoted(argument)).collect::<Vec<_>>().join(" ")
}

/// Returns the shell line that executes a run again, as its newest started attempt did.
pub(crate) fn command_line(run: &Run) -> Option<String> {
    run.attempts.iter().rev().find(|attempt| !attempt.command.is_empty()).map(|attempt| line(&attempt.command))
}

fn quoted(argument: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.' | '/' | '=' | ':' | ',' | '+' | '@' | '%');
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_survive_a_shell() {
        for argument in ["plain", "", "two words", "it's", "$(touch /tmp/p)", "--opt={'lr': 0.1}", "a\nb", "`x`", "*", "~"] {
            let script = format!("printf %s {}", quoted(argument));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().expect("a shell");
            assert_eq!(String::from_utf8(output.stdout).expect("text"), argument);
        }
        assert_eq!(line(&["--lr=0.1".into(), "a b".into()]), "--lr=0.1 'a b'");
    }
}
