//! Text that cannot leave its place in Markdown.

use std::fmt::Write as _;

/// Makes text harmless between words of Markdown, in a table too.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\n' => escaped.push(' '),
            // `@` and `#` would call people and link issues.
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '#' | '@' | '!' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// Makes text a code span that survives in a table cell too. A span in backticks cannot hold backticks and `|` everywhere: then it is HTML.
pub(super) fn code(text: &str) -> String {
    let text = printable(text).replace('\n', " ");
    if !text.trim().is_empty() && !text.contains(['`', '|']) {
        return format!("`{text}`");
    }
    let mut escaped = String::with_capacity(text.len() + 13);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '#' | '@' | '!' => {
                let _ = write!(escaped, "&#{};", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    format!("<code>{escaped}</code>")
}

/// Makes text a fenced block, with a fence longer than any row of backticks in it.
pub(super) fn block(language: &str, text: &str) -> String {
    let text = printable(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{text}\n{fence}")
}

/// Removes control characters, such as those that colour a terminal, and those that turn the direction of writing.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            // A colour or cursor sequence: ESC [ … letter.
            '\u{1b}' if chars.as_str().starts_with('[') => {
                let _ = chars.by_ref().skip(1).find(|c| ('@'..='~').contains(c));
            }
            '\n' | '\t' => out.push(c),
            '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{fffe}'
            | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn nothing_a_program_prints_leaves_its_place() {
        let hostile = "</code></details> | a | `b` \n\n# title @everyone <script>";
        assert_snapshot!(escape(hostile), @r#"&lt;/code&gt;&lt;/details&gt; \| a \| \`b\`   \# title \@everyone &lt;script&gt;"#);
        assert_snapshot!(code(hostile), @"<code>&lt;/code&gt;&lt;/details&gt; &#124; a &#124; &#96;b&#96;   &#35; title &#64;everyone &lt;script&gt;</code>");
        assert_snapshot!(block("", "````\nend"), @r#"
        `````
        ````
        end
        `````
        "#);
        assert_eq!(
            printable("\u{1b}[1;31mred\u{1b}[0m\u{7}\r plain\u{202e}"),
            "red plain"
        );
    }
}
