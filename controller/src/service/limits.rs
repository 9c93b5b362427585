//! How much a caller may send.

use std::time::Duration;

use tonic::Status;

use super::refusal::invalid;

/// Longest time an agent may wait for a run in one call.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

const NAME_BYTES_MAX: usize = 256;
const YAML_BYTES_MAX: usize = 1 << 20;
const METRIC_NAME_BYTES_MAX: usize = 1024;
const POINTS_MAX: usize = 20_000;
const LOG_BYTES_MAX: usize = 1 << 20;
const COMMAND_ARGUMENTS_MAX: usize = 20_000;
const COMMAND_BYTES_MAX: usize = 2 << 20;
const ENVIRONMENT_TEXTS_MAX: usize = 20_000;
const ENVIRONMENT_BYTES_MAX: usize = 1 << 20;
const ATTEMPTS_MAX: usize = 10_000;
const NOTE_BYTES_MAX: usize = 4 << 10;
const TAG_BYTES_MAX: usize = 64;
const REASON_BYTES_MAX: usize = 1024;
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Checks an id or a name: not empty, at most 256 bytes, no control characters.
pub(super) fn name(field: &str, text: &str) -> Result<(), Status> {
    if text.is_empty() {
        return Err(invalid(format!("{field} is empty")));
    }
    optional_name(field, text)
}

/// Checks a name that may be empty.
pub(super) fn optional_name(field: &str, text: &str) -> Result<(), Status> {
    at_most(field, "bytes", text.len(), NAME_BYTES_MAX)?;
    if text.chars().any(char::is_control) {
        return Err(invalid(format!("{field} holds a control character")));
    }
    Ok(())
}

/// Checks words that say why: at most 1 KiB, no control characters.
pub(super) fn reason(field: &str, text: &str) -> Result<(), String> {
    if text.len() > REASON_BYTES_MAX {
        return Err(format!(
            "{field} has {} bytes; at most {REASON_BYTES_MAX} are accepted",
            text.len()
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(format!(
            "{field} holds a control character, and it must be one line"
        ));
    }
    Ok(())
}

/// Checks the note of a run: at most 4 KiB, no control characters but ends of lines.
pub(super) fn note(text: &str) -> Result<(), Status> {
    at_most("note", "bytes", text.len(), NOTE_BYTES_MAX)?;
    if text
        .chars()
        .any(|character| character.is_control() && character != '\n')
    {
        return Err(invalid("note holds a control character"));
    }
    Ok(())
}

/// Checks a tag: not empty, at most 64 bytes, neither spaces nor control characters.
pub(super) fn tag(text: &str) -> Result<(), Status> {
    at_most("a tag", "bytes", text.len(), TAG_BYTES_MAX)?;
    if text.is_empty()
        || text
            .chars()
            .any(|character| character.is_control() || character.is_whitespace())
    {
        return Err(invalid(format!(
            "`{}` is not a tag: one word is",
            text.escape_debug()
        )));
    }
    Ok(())
}

/// Returns a text as one line of at most 1 KiB without control characters: what an agent says of its code is shown, and does not have to be whole.
pub(super) fn line(text: &str) -> String {
    let end = text.floor_char_boundary(REASON_BYTES_MAX);
    text[..end]
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Checks the size of a sweep file.
pub(super) fn yaml(text: &str) -> Result<(), Status> {
    at_most("the sweep file", "bytes", text.len(), YAML_BYTES_MAX)
}

/// Checks the size of a configuration in JSON.
pub(super) fn configuration(field: &str, json: &str) -> Result<(), Status> {
    at_most(field, "bytes", json.len(), YAML_BYTES_MAX)
}

/// Checks an argv.
pub(super) fn command(command: &[String]) -> Result<(), Status> {
    at_most("command", "arguments", command.len(), COMMAND_ARGUMENTS_MAX)?;
    at_most(
        "command",
        "bytes",
        command.iter().map(String::len).sum(),
        COMMAND_BYTES_MAX,
    )
}

/// Checks a report: its size and the name of each point.
pub(super) fn points<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> Result<(), Status> {
    at_most("points", "metric points", names.len(), POINTS_MAX)?;
    for name in names {
        if name.is_empty() {
            return Err(invalid("a metric point has no name"));
        }
        at_most(
            "a metric's name",
            "bytes",
            name.len(),
            METRIC_NAME_BYTES_MAX,
        )?;
    }
    Ok(())
}

/// Checks a piece of output.
pub(super) fn log(offset: u64, data: &[u8]) -> Result<(), Status> {
    at_most("data", "bytes", data.len(), LOG_BYTES_MAX)?;
    // SQLite's integers end there.
    match offset.checked_add(data.len() as u64) {
        Some(end) if i64::try_from(end).is_ok() => Ok(()),
        _ => Err(invalid(format!("offset {offset} is too large"))),
    }
}

/// Checks all the texts of an environment: at most 20,000, and 1 MiB.
pub(super) fn environment<'a>(texts: impl Iterator<Item = &'a str>) -> Result<(), Status> {
    let (count, bytes) = texts.fold((0, 0), |(count, bytes), text| {
        (count + 1, bytes + text.len())
    });
    at_most("environment", "texts", count, ENVIRONMENT_TEXTS_MAX)?;
    at_most("environment", "bytes", bytes, ENVIRONMENT_BYTES_MAX)
}

/// Checks what of the code was not committed.
pub(super) fn patch(text: &str) -> Result<(), Status> {
    at_most(
        "code.patch",
        "bytes",
        text.len(),
        sweep_code::PATCH_BYTES_MAX,
    )
}

/// Checks how many attempts, runs or states a request names.
pub(super) fn list(field: &str, length: usize) -> Result<(), Status> {
    at_most(field, "entries", length, ATTEMPTS_MAX)
}

/// Checks a number that the store keeps as a signed 64-bit integer.
pub(super) fn stored(field: &str, number: u64) -> Result<(), Status> {
    i64::try_from(number)
        .map(|_| ())
        .map_err(|_| invalid(format!("{field} {number} is too large")))
}

/// Returns the end of a text, at most 64 KiB of it: of a program's output the last lines count.
pub(super) fn tail(text: &str) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(TEXT_BYTES_MAX))..]
}

fn at_most(field: &str, unit: &str, found: usize, limit: usize) -> Result<(), Status> {
    if found > limit {
        return Err(invalid(format!(
            "{field} has {found} {unit}; at most {limit} are accepted"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_printable() {
        assert!(name("sweep_id", "a/b <ü>").is_ok());
        assert!(name("sweep_id", "").is_err());
        assert!(name("sweep_id", "a\nb").is_err());
        assert!(name("sweep_id", "\u{1b}[31m").is_err());
        let long = name("sweep_id", &"x".repeat(257)).unwrap_err();
        assert_eq!(
            long.message(),
            "sweep_id has 257 bytes; at most 256 are accepted"
        );
    }

    #[test]
    fn numbers_that_the_store_cannot_hold_are_refused() {
        assert!(stored("run", i64::MAX as u64).is_ok());
        assert!(stored("run", u64::MAX).is_err());
        assert!(log(u64::MAX, b"x").is_err());
        assert!(log(i64::MAX as u64 - 1, b"x").is_ok());
        assert!(log(0, &vec![0; LOG_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn a_tail_ends_as_the_text_does() {
        assert_eq!(tail("short"), "short");
        let long = format!("{}end", "ü".repeat(TEXT_BYTES_MAX));
        assert!(tail(&long).ends_with("end") && tail(&long).len() <= TEXT_BYTES_MAX);
    }

    #[test]
    fn reports_are_bounded() {
        assert!(points(["loss"; 3].into_iter()).is_ok());
        assert!(points([""].into_iter()).is_err());
        assert!(points(vec!["loss"; POINTS_MAX + 1].into_iter()).is_err());
    }
}
