//! How a shell writes arguments.

use sweep_proto::v1::Run;

/// Quotes a command line so that a POSIX shell reads the same arguments.
pub(crate) fn line(arguments: &[String]) -> String {
    arguments
        .iter()
        .map(|argument| quoted(argument))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Returns the shell line that executes a run again: that of its newest started attempt. Where its program took the parameters from its surroundings
/// (`SWEEP_PARAM_…`, `wandb.config`), that line would run it without them.
pub(crate) fn command_line(run: &Run) -> Option<String> {
    let attempt = run
        .attempts
        .iter()
        .rev()
        .find(|attempt| !attempt.command.is_empty())?;
    let params = serde_json::from_str::<serde_json::Map<_, serde_json::Value>>(&run.params_json)
        .unwrap_or_default();
    if params.is_empty()
        || attempt.code_version.is_empty()
        || attempt
            .command
            .iter()
            .any(|argument| tells(argument, params.keys()))
    {
        return Some(line(&attempt.command));
    }
    Some(format!(
        "sweep reproduce {}/{} --run",
        run.sweep_id, run.run
    ))
}

/// Returns whether an argument gives a parameter, or names the file that holds them.
fn tells<'a>(argument: &str, mut names: impl Iterator<Item = &'a String>) -> bool {
    let bare = argument.trim_start_matches(['-', '+']);
    let has_value = argument.starts_with('-') || argument.contains('=');
    let gives = |name: &String| {
        bare == name
            || bare.starts_with(&format!("{name}="))
            || (has_value && bare.starts_with(&format!("{name}.")))
            || argument.contains(&format!("\"{name}\""))
    };
    argument.ends_with("params.json") || names.any(gives)
}

fn quoted(argument: &str) -> String {
    let plain = |char: char| {
        char.is_ascii_alphanumeric()
            || matches!(
                char,
                '-' | '_' | '.' | '/' | '=' | ':' | ',' | '+' | '@' | '%'
            )
    };
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use sweep_proto::v1::Attempt;

    use super::*;

    #[test]
    fn a_line_without_the_parameters_is_not_offered() {
        let said = |command: &[&str]| {
            let command = command
                .iter()
                .map(|argument| (*argument).to_owned())
                .collect();
            let attempt = Attempt {
                command,
                code_version: "1a2b".to_owned(),
                ..Attempt::default()
            };
            let params_json = r#"{"lr": 0.1, "opt": {"name": "sgd"}}"#.to_owned();
            command_line(&Run {
                sweep_id: "k3x9q2ab".to_owned(),
                run: 7,
                params_json,
                attempts: vec![attempt],
                ..Run::default()
            })
            .unwrap()
        };
        for told in [
            &["--lr=0.1"][..],
            &["--lr", "0.1"],
            &["lr=0.1"],
            &["++lr=0.1"],
            &["opt.name=sgd"],
            &["--opt.name", "sgd"],
            &[r#"{"lr":0.1}"#],
            &["--config=/runs/params.json"],
        ] {
            let command = [&["python", "train.py"], told].concat();
            assert!(said(&command).starts_with("python train.py"), "{told:?}");
        }
        assert_eq!(
            said(&["python", "opt.py"]),
            "sweep reproduce k3x9q2ab/7 --run"
        );
        assert_eq!(
            said(&["python", "train_lr.py"]),
            "sweep reproduce k3x9q2ab/7 --run"
        );
    }

    #[test]
    fn arguments_survive_a_shell() {
        for argument in [
            "plain",
            "",
            "two words",
            "it's",
            "$(touch /tmp/p)",
            "--opt={'lr': 0.1}",
            "a\nb",
            "`x`",
            "*",
            "~",
        ] {
            let script = format!("printf %s {}", quoted(argument));
            let output = std::process::Command::new("sh")
                .args(["-c", &script])
                .output()
                .expect("a shell");
            assert_eq!(String::from_utf8(output.stdout).expect("text"), argument);
        }
        assert_eq!(line(&["--lr=0.1".into(), "a b".into()]), "--lr=0.1 'a b'");
    }
}
