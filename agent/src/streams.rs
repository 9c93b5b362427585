//! The log of a program's output: both of its streams in one file, line by line in order of
//! arrival, and beside it which bytes are from which.
//!
//! A line of one stream is never inside a line of the other, so the log alone can be read too.
//! Only what spans lines, such as a dictionary, needs the [`StreamOrigins`].

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// The most bytes of a line without an end that are held back.
const HELD_BYTES_MAX: usize = 64 << 10;

/// Where a program prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

impl Stream {
    /// Both of them.
    pub(crate) const ALL: [Self; 2] = [Self::Output, Self::Error];
}

/// The source of bytes; `None`: from neither stream.
const SIGNS: [(&str, Option<Stream>); 3] = [
    ("o", Some(Stream::Output)),
    ("e", Some(Stream::Error)),
    ("-", None),
];

/// Returns where it is written which bytes of a log are from which stream.
pub(crate) fn origins_of(log: &Path) -> PathBuf {
    log.with_extension("streams")
}

/// Puts two streams together.
#[derive(Debug)]
pub(crate) struct Merger {
    /// By stream: the beginning of its last line.
    held: [Vec<u8>; 2],
    /// The stream that the last byte of the log is from.
    last: Stream,
    /// Whether the log ends within a line.
    is_open: bool,
    /// The length of the log.
    length: u64,
    merged: Merged,
}

/// The bytes to append to the log, and to its origins before.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Merged {
    /// For the log.
    pub(crate) log: Vec<u8>,
    /// For the origins.
    pub(crate) origins: Vec<u8>,
}

impl Merger {
    /// Continues a log of this length.
    pub(crate) fn new(length: u64) -> Self {
        Self {
            held: Default::default(),
            last: Stream::Output,
            is_open: false,
            length,
            merged: Merged::default(),
        }
    }

    /// Takes in what a stream has brought. The lines that it completes are given out, the rest
    /// waits for its end.
    pub(crate) fn push(&mut self, stream: Stream, bytes: &[u8]) {
        let held = &mut self.held[stream as usize];
        // A carriage return that comes last may belong to a newline.
        let end = bytes[..bytes.len().saturating_sub(1)]
            .iter()
            .rposition(|byte| *byte == b'\r');
        let end = end
            .max(bytes.iter().rposition(|byte| *byte == b'\n'))
            .map_or(0, |last| last + 1);
        if end > 0 {
            let mut lines = std::mem::take(held);
            lines.extend_from_slice(&bytes[..end]);
            self.put(stream, &lines);
        }
        let held = &mut self.held[stream as usize];
        held.extend_from_slice(&bytes[end..]);
        if held.len() > HELD_BYTES_MAX {
            let part = std::mem::take(held);
            self.put(stream, &part);
        }
    }

    /// Gives out what waits for the ends of lines.
    pub(crate) fn flush(&mut self) {
        for stream in Stream::ALL {
            let part = std::mem::take(&mut self.held[stream as usize]);
            self.put(stream, &part);
        }
    }

    /// Whether something waits for the end of its line.
    pub(crate) fn holds(&self) -> bool {
        self.held.iter().any(|held| !held.is_empty())
    }

    /// Returns what was given out since the last call.
    pub(crate) fn take(&mut self) -> Merged {
        std::mem::take(&mut self.merged)
    }

    fn put(&mut self, stream: Stream, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        if stream != self.last {
            // The line of the other stream may continue later, so the newline that ends it here is
            // from neither.
            if self.is_open {
                self.switch_to(None);
                self.merged.log.push(b'\n');
                self.length += 1;
            }
            self.switch_to(Some(stream));
        }
        self.last = stream;
        self.is_open = !matches!(last, b'\n' | b'\r');
        self.merged.log.extend_from_slice(bytes);
        self.length += bytes.len() as u64;
    }

    fn switch_to(&mut self, stream: Option<Stream>) {
        let sign = SIGNS
            .iter()
            .find(|(_, of)| *of == stream)
            .map_or("", |(sign, _)| sign);
        self.merged
            .origins
            .extend_from_slice(format!("{} {sign}\n", self.length).as_bytes());
    }
}

/// Which bytes of a log are from which stream.
#[derive(Debug)]
pub(crate) struct StreamOrigins {
    /// A line that is not whole yet.
    partial: Vec<u8>,
    /// From where on in the log bytes are from elsewhere than those before, in order.
    switches: VecDeque<(u64, Option<Stream>)>,
    /// Where the bytes up to the first switch are from.
    current: Option<Stream>,
    is_broken: bool,
}

impl Default for StreamOrigins {
    fn default() -> Self {
        Self {
            partial: Vec::new(),
            switches: VecDeque::new(),
            current: Some(Stream::Output),
            is_broken: false,
        }
    }
}

impl StreamOrigins {
    /// Counts all bytes as from one stream.
    pub(crate) fn unknown() -> Self {
        Self {
            is_broken: true,
            ..Self::default()
        }
    }

    /// Takes in what the file of origins has gained. What is no switch ends it: all that follows is
    /// from the stream before.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            let after = self.switches.back().map_or(0, |(offset, _)| *offset);
            match switch(&line).filter(|(offset, _)| *offset >= after && !self.is_broken) {
                Some(switch) => self.switches.push_back(switch),
                None => self.is_broken = true,
            }
        }
        if self.partial.len() > HELD_BYTES_MAX {
            (self.partial, self.is_broken) = (Vec::new(), true);
        }
    }

    /// Cuts bytes of the log, from an offset on, into pieces of one stream each. The offset never
    /// goes back.
    pub(crate) fn cut<'a>(
        &mut self,
        mut offset: u64,
        mut bytes: &'a [u8],
    ) -> Vec<(Stream, &'a [u8])> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            while let Some((_, stream)) = self.switches.pop_front_if(|(at, _)| *at <= offset) {
                self.current = stream;
            }
            let left = self
                .switches
                .front()
                .map_or(u64::MAX, |(at, _)| at - offset);
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            let (piece, rest) = bytes.split_at(length);
            pieces.extend(self.current.map(|stream| (stream, piece)));
            (offset, bytes) = (offset + length as u64, rest);
        }
        pieces
    }
}

fn switch(line: &[u8]) -> Option<(u64, Option<Stream>)> {
    let (offset, sign) = std::str::from_utf8(line).ok()?.trim_end().split_once(' ')?;
    let (_, stream) = SIGNS.iter().find(|(known, _)| *known == sign)?;
    Some((offset.parse().ok()?, *stream))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Stream::{Error, Output};
    use super::*;

    fn merged(pieces: &[(Stream, &[u8])]) -> Merged {
        let mut merger = Merger::new(0);
        pieces
            .iter()
            .for_each(|(stream, bytes)| merger.push(*stream, bytes));
        merger.flush();
        merger.take()
    }

    fn log(pieces: &[(Stream, &str)]) -> String {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|(stream, text)| (*stream, text.as_bytes()))
            .collect();
        String::from_utf8(merged(&pieces).log).unwrap()
    }

    #[test]
    fn lines_are_whole_and_in_the_order_in_which_they_are_completed() {
        assert_eq!(
            log(&[
                (Output, "loss: "),
                (Error, "evaluating\n"),
                (Output, "0.9\n")
            ]),
            "evaluating\nloss: 0.9\n"
        );
        assert_eq!(
            log(&[
                (Error, "\r 50%"),
                (Output, "{\"a\": 1}\n"),
                (Error, "\r100%\n")
            ]),
            "\r{\"a\": 1}\n 50%\r100%\n"
        );
        assert_eq!(
            log(&[(Output, "a\r"), (Error, "b\n"), (Output, "\nc")]),
            "b\na\r\nc",
            "no line ends between its return and its newline"
        );
        assert_eq!(log(&[(Output, "a"), (Error, "b")]), "a\nb");
    }

    #[test]
    fn a_line_that_was_given_out_in_parts_is_ended_by_the_other_stream() {
        let mut merger = Merger::new(0);
        merger.push(Output, b"loss: ");
        assert!(merger.holds());
        merger.flush();
        assert!(!merger.holds());
        merger.push(Error, b"7 skipped\n");
        merger.push(Output, b"0.9\n");
        let Merged { log, origins } = merger.take();
        assert_eq!(
            String::from_utf8(log.clone()).unwrap(),
            "loss: \n7 skipped\n0.9\n"
        );
        let mut read = StreamOrigins::default();
        read.push(&origins);
        assert_eq!(
            read.cut(0, &log),
            [
                (Output, &b"loss: "[..]),
                (Error, b"7 skipped\n"),
                (Output, b"0.9\n")
            ]
        );
    }

    #[test]
    fn a_long_line_is_not_held() {
        let mut merger = Merger::new(0);
        merger.push(Output, &[b'x'; HELD_BYTES_MAX + 1]);
        assert_eq!(merger.take().log.len(), HELD_BYTES_MAX + 1);
    }

    #[test]
    fn origins_that_were_written_over_say_nothing() {
        let mut origins = StreamOrigins::default();
        origins.push(b"2 e\n1 o\n5 o\nno");
        assert_eq!(
            origins.cut(0, b"abcdefgh"),
            [(Output, &b"ab"[..]), (Error, b"cdefgh")]
        );
    }

    proptest! {
        #[test]
        fn each_stream_is_given_back(
            pieces in proptest::collection::vec((any::<bool>(), "[ab\r\n]{0,6}", any::<bool>()), 0..20),
            cuts in proptest::collection::vec(1usize..7, 1..40),
        ) {
            let mut merger = Merger::new(0);
            let mut given = [String::new(), String::new()];
            let (mut log, mut read) = (Vec::new(), StreamOrigins::default());
            for (is_output, text, flushes) in pieces {
                let stream = if is_output { Output } else { Error };
                given[stream as usize].push_str(&text);
                merger.push(stream, text.as_bytes());
                if flushes {
                    merger.flush();
                }
                let merged = merger.take();
                log.extend(merged.log);
                read.push(&merged.origins);
            }
            merger.flush();
            let merged = merger.take();
            log.extend(merged.log);
            read.push(&merged.origins);
            let mut found = [Vec::new(), Vec::new()];
            let (mut offset, mut cuts) = (0, cuts.into_iter().cycle());
            while offset < log.len() {
                let end = (offset + cuts.next().unwrap()).min(log.len());
                read.cut(offset as u64, &log[offset..end]).into_iter().for_each(|(stream, piece)| found[stream as usize].extend_from_slice(piece));
                offset = end;
            }
            for stream in Stream::ALL {
                prop_assert_eq!(std::str::from_utf8(&found[stream as usize]).unwrap(), &given[stream as usize]);
            }
        }
    }
}
