//! Output that is meant for a screen: escape codes, boxes, and closing lines that name no cause.

/// The last line of every error of Hydra.
pub(super) const HYDRA_END: &str = "Set the environment variable HYDRA_FULL_ERROR=1";
/// Prefixes of lines that never name the cause of a failure.
const NOISE: [&str; 9] = [
    "wandb:",
    "wandb ",
    HYDRA_END,
    "Try '",
    "For more information, try",
    "Pass --helpshort",
    "note: run with `RUST_BACKTRACE",
    "For full helptext",
    "See https://",
];

/// Returns a line without escape codes, and without what a carriage return has replaced.
pub(super) fn plain(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let line = line
        .rsplit('\r')
        .find(|part| !part.trim().is_empty())
        .unwrap_or(line);
    if !line.contains('\u{1b}') {
        return line.to_owned();
    }
    let (mut text, mut characters) = (String::new(), line.chars().peekable());
    while let Some(character) = characters.next() {
        if character != '\u{1b}' {
            text.push(character);
            continue;
        }
        match characters.next() {
            // A control sequence ends with a letter or the like.
            Some('[') => drop(characters.find(|part| ('\u{40}'..='\u{7e}').contains(part))),
            // A command of the system, a link for instance, ends with a bell or an escape and a
            // backslash.
            Some(']') => {
                while let Some(part) = characters.next() {
                    if part == '\u{7}' || part == '\u{1b}' && characters.next().is_some() {
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    text
}

/// Returns what a line of a box holds.
pub(super) fn without_box(line: &str) -> &str {
    line.trim().trim_matches(['│', '┃', '║']).trim()
}

/// Returns whether a line is only the border of a box, or a rule.
pub(super) fn is_box_border(line: &str) -> bool {
    let text = line.trim();
    // A border may have a title.
    text.starts_with(['╭', '╰', '┌', '└', '┏', '┗'])
        || text
            .chars()
            .all(|char| ('\u{2500}'..='\u{257f}').contains(&char) || char == '-' || char == '=')
}

/// Returns whether a line never names the cause of a failure.
pub(super) fn is_noise(line: &str) -> bool {
    let text = without_box(line);
    text.is_empty() || is_box_border(text) || NOISE.iter().any(|begin| text.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_codes_boxes_and_closing_lines_are_no_cause() {
        assert_eq!(
            plain("\u{1b}[1;31mValueError\u{1b}[0m: x\r"),
            "ValueError: x"
        );
        assert_eq!(plain("50%|###\r100%|####\r"), "100%|####");
        assert_eq!(
            plain("see \u{1b}]8;;http://a\u{7}here\u{1b}]8;;\u{1b}\\ now"),
            "see here now"
        );
        assert_eq!(
            without_box("│ No such option: --x   │"),
            "No such option: --x"
        );
        for line in [
            "",
            "╭─ Error ─╮",
            "│          │",
            "wandb: 🚀 View run at",
            "────────",
            "Try 'train.py --help' for help.",
        ] {
            assert!(is_noise(line), "{line}");
        }
        assert!(!is_noise("│ No such option │") && !is_noise("ValueError: x"));
    }
}
