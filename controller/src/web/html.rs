//! Text made safe for HTML.

use std::fmt;

/// Shows a text inside HTML, in an element or in a quoted attribute. Control characters and those that change the direction of
/// writing are shown by their number, so that a name cannot disguise itself.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => write!(f, "{character}")?,
                '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {
                    write!(f, "U+{:04X}", u32::from(character))?;
                }
                _ if character.is_control() => write!(f, "U+{:04X}", u32::from(character))?,
                _ => write!(f, "{character}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_can_leave_its_place() {
        let hostile = "<script>alert(\"1\")</script>'&\u{202e}\u{1b}[31m ü";
        assert_eq!(Escaped(hostile).to_string(), "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;U+202EU+001B[31m ü");
    }
}
