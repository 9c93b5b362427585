//! The output of a run as the view shows it.

use crate::display::printable;

/// More lines than anybody scrolls through; the whole is a `sweep logs` away.
const LINES_MAX: usize = 50_000;
/// A longer line is cut: a program may print no line break at all.
const LINE_BYTES_MAX: usize = 8 << 10;

/// Output, and where in it the view stands.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) run: Option<u64>,
    /// Lines without anything that steers a terminal.
    pub(crate) lines: Vec<String>,
    partial: Vec<u8>,
    /// The first line that is shown.
    pub(crate) top: usize,
    /// The newest line is kept in sight.
    pub(crate) follows: bool,
    pub(crate) search: String,
    /// The search is being typed.
    pub(crate) typing: bool,
    pub(crate) ended: bool,
    pub(crate) problem: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            run: None,
            lines: Vec::new(),
            partial: Vec::new(),
            top: 0,
            follows: true,
            search: String::new(),
            typing: false,
            ended: false,
            problem: String::new(),
        }
    }
}

impl Log {
    /// Begins with nothing, for a run.
    pub(crate) fn begin(&mut self, run: u64) {
        *self = Self {
            run: Some(run),
            ..Self::default()
        };
    }

    /// Takes in more output; that of another run comes too late.
    pub(crate) fn more(&mut self, run: u64, data: &[u8]) {
        if self.run != Some(run) {
            return;
        }
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_BYTES_MAX.saturating_sub(self.partial.len());
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            self.partial
                .extend_from_slice(&text[..text.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.finish_line();
            }
        }
        let surplus = self.lines.len().saturating_sub(LINES_MAX);
        self.lines.drain(..surplus);
        self.top = self.top.saturating_sub(surplus);
    }

    /// Says that no more comes.
    pub(crate) fn end(&mut self, run: u64, problem: String) {
        if self.run != Some(run) {
            return;
        }
        if !self.partial.is_empty() {
            self.finish_line();
        }
        (self.ended, self.problem) = (true, problem);
    }

    fn finish_line(&mut self) {
        let line = String::from_utf8_lossy(&self.partial);
        self.lines
            .push(printable(line.strip_suffix('\r').unwrap_or(&line)));
        self.partial.clear();
    }

    /// Moves by lines, in a window of `n`.
    pub(crate) fn scroll(&mut self, by: isize, page: usize) {
        let last = self.lines.len().saturating_sub(page);
        let top = if self.follows {
            last
        } else {
            self.top.min(last)
        };
        self.top = top.saturating_add_signed(by).min(last);
        self.follows = self.top == last && by > 0;
    }

    /// Returns the first line of a window.
    pub(crate) fn first(&self, page: usize) -> usize {
        let last = self.lines.len().saturating_sub(page);
        if self.follows {
            last
        } else {
            self.top.min(last)
        }
    }

    /// Goes to the next line that has the searched text, or the one before.
    pub(crate) fn find(&mut self, back: bool, page: usize) -> bool {
        if self.search.is_empty() {
            return true;
        }
        let here = self.first(page);
        let has = |place: &usize| self.lines[*place].contains(&self.search);
        let (after, before) = (
            (here + 1).min(self.lines.len())..self.lines.len(),
            0..here.min(self.lines.len()),
        );
        let found = if back {
            before.rev().chain(after.rev()).find(has)
        } else {
            after.chain(before).find(has)
        };
        let found = found.or(Some(here)
            .filter(|here| *here < self.lines.len())
            .filter(has));
        if let Some(place) = found {
            (self.top, self.follows) = (place, false);
        }
        found.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &str) -> Log {
        let mut log = Log::default();
        log.begin(1);
        log.more(1, text.as_bytes());
        log
    }

    #[test]
    fn lines_come_in_pieces_and_are_inert() {
        let mut log = log("a\x1b[31m");
        log.more(1, b"b\r\nlast");
        assert_eq!(log.lines, ["a\\u{1b}[31mb"]);
        log.more(2, b"of another run\n");
        log.end(1, String::new());
        assert_eq!(log.lines, ["a\\u{1b}[31mb", "last"]);
    }

    #[test]
    fn searching_goes_round() {
        let mut log = log("x\na\nx\nb\nc\n");
        log.search = "x".to_owned();
        assert!(log.find(false, 2) && log.top == 0);
        assert!(log.find(false, 2) && log.top == 2);
        assert!(log.find(true, 2) && log.top == 0);
        log.search = "nowhere".to_owned();
        assert!(!log.find(false, 2));
    }

    #[test]
    fn scrolling_up_stops_following_and_the_end_resumes_it() {
        let mut log = log("1\n2\n3\n4\n5\n");
        log.scroll(-1, 2);
        assert_eq!((log.top, log.follows), (2, false));
        log.scroll(5, 2);
        assert_eq!((log.first(2), log.follows), (3, true));
    }
}
