//! Cuts bytes into lines of bounded length, independently of the pieces in which they arrive.

/// The length to which a line is cut.
const LINE_BYTES_MAX: usize = 4 << 20;

const BACKSPACE: char = '\u{8}';

/// A line without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Invalid UTF-8 is replaced.
    pub(crate) text: String,
    /// A carriage return ended it: a progress bar will overwrite it.
    pub(crate) overwritten: bool,
}

/// Collects bytes until a line is whole. `\n`, `\r\n` and `\r` end lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
    after_return: bool,
}

impl Lines {
    /// Takes bytes in and returns the lines that they complete; empty ones are left out.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.after_return {
                self.after_return = false;
                let newline = rest[0] == b'\n';
                lines.extend(self.take(!newline));
                if newline {
                    rest = &rest[1..];
                    continue;
                }
            }
            let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.keep(rest);
                break;
            };
            self.keep(&rest[..end]);
            // Whether a carriage return overwrites shows in the next byte, which may come later.
            self.after_return = rest[end] == b'\r';
            if !self.after_return {
                lines.extend(self.take(false));
            }
            rest = &rest[end + 1..];
        }
        lines
    }

    /// Returns what the last line without an end held, once no more bytes will come.
    pub(crate) fn finish(&mut self) -> Option<Line> {
        self.after_return = false;
        self.take(false)
    }

    /// Returns the line that has no end yet; `None` where there is none.
    pub(crate) fn partial(&self) -> Option<std::borrow::Cow<'_, str>> {
        (!self.partial.is_empty()).then(|| String::from_utf8_lossy(&self.partial))
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.partial.len());
        self.partial
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn take(&mut self, overwritten: bool) -> Option<Line> {
        if self.partial.is_empty() {
            return None;
        }
        let text = String::from_utf8_lossy(&self.partial);
        let text = if text.contains(BACKSPACE) {
            written_over(&text)
        } else {
            text.into_owned()
        };
        let line = Line { text, overwritten };
        self.partial.clear();
        // A single huge line must not hold its memory for the rest of the attempt.
        self.partial.shrink_to(4096);
        Some(line)
    }
}

/// Returns what is seen of a line in the end: behind backspaces it is written over.
fn written_over(text: &str) -> String {
    let (mut seen, mut cursor) = (Vec::new(), 0_usize);
    for character in text.chars() {
        match seen.get_mut(cursor) {
            _ if character == BACKSPACE => cursor = cursor.saturating_sub(1),
            Some(there) => (*there, cursor) = (character, cursor + 1),
            None => {
                seen.push(character);
                cursor += 1;
            }
        }
    }
    seen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(pieces: &[&[u8]]) -> Vec<(String, bool)> {
        let mut lines = Lines::default();
        let mut all: Vec<_> = pieces.iter().flat_map(|piece| lines.push(piece)).collect();
        all.extend(lines.finish());
        all.into_iter()
            .map(|line| (line.text, line.overwritten))
            .collect()
    }

    #[test]
    fn newlines_and_carriage_returns_end_lines() {
        let expected = [
            ("a", false),
            ("b", false),
            ("10%", true),
            ("20%", true),
            ("c", false),
        ]
        .map(|(text, over)| (text.to_owned(), over));
        assert_eq!(texts(&[b"a\nb\r\n10%\r20%\rc"]), expected);
        assert_eq!(texts(&[b"a\nb\r", b"\n10", b"%\r", b"20%\rc"]), expected);
    }

    #[test]
    fn what_stands_behind_backspaces_is_written_over() {
        assert_eq!(
            texts(&[b"loss: 9.99\x08\x08\x08\x080.5 \x08\n"])[0].0,
            "loss: 0.5 "
        );
        assert_eq!(texts(&[b"\x08\x08a\n"])[0].0, "a");
    }

    #[test]
    fn a_line_without_end_is_bounded() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            assert!(lines.push(&[b'x'; 1 << 16]).is_empty());
        }
        assert_eq!(
            lines
                .push(b"y\nz\n")
                .iter()
                .map(|line| line.text.len())
                .collect::<Vec<_>>(),
            [LINE_BYTES_MAX, 1]
        );
    }

    #[test]
    fn invalid_text_is_replaced() {
        assert_eq!(texts(&[b"a\xff\xfeb\0\n"])[0].0, "a\u{fffd}\u{fffd}b\0");
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200), cut in 0usize..200) {
            let cut = cut.min(bytes.len());
            prop_assert_eq!(texts(&[&bytes]), texts(&[&bytes[..cut], &bytes[cut..]]));
        }
    }
}
