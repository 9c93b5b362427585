//! Numbers, times and text as a terminal shows them.

use std::io::{IsTerminal as _, StdoutLock};
use std::time::{SystemTime, UNIX_EPOCH};

/// Width where standard output is not a terminal: nothing is cut.
const WIDTH_UNLIMITED: usize = 10_000;

/// Returns standard output. Writing to it reports a closed pipe where `println!` would panic.
pub(crate) fn out() -> StdoutLock<'static> {
    std::io::stdout().lock()
}

/// Returns how many columns a line may have.
pub(crate) fn width() -> usize {
    if is_seen() {
        usize::from(console::Term::stdout().size().1).max(20)
    } else {
        WIDTH_UNLIMITED
    }
}

/// `1 file`, `2 files`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Writes a number of bytes: `2.5 GiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

/// Returns text without characters that steer a terminal or turn its direction round.
pub(crate) fn printable(text: &str) -> String {
    let hostile = |char: char| {
        char.is_control()
            || matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .flat_map(|char| {
            if hostile(char) {
                char.escape_default().collect::<Vec<_>>()
            } else {
                vec![char]
            }
        })
        .collect()
}

/// As [`printable`], but lines stay lines, and colours go.
pub(super) fn printable_lines(text: &str, indent: &str) -> String {
    text.lines()
        .map(|line| format!("{indent}{}\n", printable(&console::strip_ansi_codes(line))))
        .collect()
}

/// Writes a number as people read it: six significant digits.
pub(crate) fn number(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || !value.is_finite() || value.fract() == 0.0 && magnitude < 1e6 {
        return value.to_string();
    }
    if !(1e-4..1e6).contains(&magnitude) {
        let text = format!("{value:.4e}");
        return match text.split_once('e') {
            Some((digits, exponent)) if digits.contains('.') => {
                format!(
                    "{}e{exponent}",
                    digits.trim_end_matches('0').trim_end_matches('.')
                )
            }
            _ => text,
        };
    }
    let decimals = (5 - magnitude.log10().floor() as i32).clamp(0, 9) as usize;
    format!("{value:.decimals$}")
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
}

/// Returns how long ago something was: `12 s ago`, `3 h ago`.
pub(crate) fn ago(ms: i64) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        });
    format!("{} ago", span((now - ms).max(0)))
}

/// Returns a length of time: `12 s`, `3 min`, `2 h`.
pub(crate) fn span(ms: i64) -> String {
    match ms / 1000 {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds @ 7200..=172_799 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86400),
    }
}

/// Returns whether people look at what is printed: scripts get what they always got.
pub(crate) fn is_seen() -> bool {
    std::io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_six_digits() {
        for (value, text) in [
            (0.1 + 0.2, "0.3"),
            (1e-7, "1e-7"),
            (1234567.0, "1.2346e6"),
            (3.0, "3"),
            (0.000123456789, "0.000123457"),
            (-2.5, "-2.5"),
            (12.3456789, "12.3457"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn the_colours_of_output_go() {
        assert_eq!(
            printable_lines("\x1b[1;34mwandb\x1b[0m: done\nnext\x07", "| "),
            "| wandb: done\n| next\\u{7}\n"
        );
    }

    #[test]
    fn hostile_text_cannot_steer_the_terminal() {
        assert_eq!(
            printable("a\x1b]0;x\x07b\u{202e}"),
            "a\\u{1b}]0;x\\u{7}b\\u{202e}"
        );
    }
}
