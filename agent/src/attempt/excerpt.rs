//! The end of a program's output, and the evidence in it.

use std::collections::VecDeque;

use super::now::Now;
use super::screen::{is_noise, plain, without_box};
use super::signs::{self, Sign};
use super::usage::UsageReader;
use super::wandb_calls::{FailedCall, WandbCalls};
use crate::process::exit::Exit;

/// The exit status of programs that refuse their command line.
const USAGE_STATUS: i32 = 2;
/// The end of the output that a failure quotes, in lines and in bytes.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: usize = 4096;
/// An error message further than this many lines from the end is not why the program ended.
const CAUSE_LINES: u64 = 200;
/// The line that Python prints before the error that ended the program. Of an error of several
/// lines, the first is the most informative.
const TRACEBACK: &str = "Traceback (most recent call last):";
/// The title of the box that rich draws around the frames.
const BOXED_TRACEBACK: &str = "Traceback (most recent call last)";
/// The line that a Rust program prints between an error that `main` returned and the frames, which
/// are less informative.
const BACKTRACE: &str = "Stack backtrace:";

/// The prefix of fire's message, which comes after the function has been called.
const FIRE: &str = "Could not consume arg";
/// Errors by which launchers pass on that the program that they have started has refused its
/// command line.
const PASSED_ON: [&str; 6] = [
    "CalledProcessError",
    "ChildFailedError",
    "HfArgumentParser",
    "PapermillExecutionError",
    "ProcessExitedException",
    "SystemExit",
];

/// The end of the output, and the evidence found in it.
#[derive(Debug, Default)]
pub(super) struct OutputExcerpt {
    pub(super) tail: VecDeque<String>,
    count: u64,
    /// The last line that names a cause, with its number.
    sign: Option<(u64, Sign, String)>,
    /// When it was read.
    sign_read: Now,
    /// The number of the last line that says that a signal ended something.
    signal: Option<u64>,
    /// The prefix of each line of the trace that is being read, such as `[rank0]: `.
    trace: Option<String>,
    /// The first line of the last error that a trace ended with, with its number.
    error: Option<(u64, String)>,
    /// When it was read.
    error_read: Now,
    /// The `metric_patterns` that would read the objective from the output.
    pub(super) unread: Option<String>,
    /// Finds out whether the program has refused its command line.
    usage: UsageReader,
    /// Finds calls of W&B that cannot work here.
    wandb: WandbCalls,
}

impl OutputExcerpt {
    pub(super) fn push(&mut self, mut line: String, now: Now) {
        self.count += 1;
        let shown = plain(&line);
        self.usage.push(&shown);
        self.wandb.push(&shown);
        if let Some(sign) = signs::of(&shown) {
            self.sign = Some((self.count, sign, shorten(shown.trim(), 300)));
            self.sign_read = now;
        }
        if signs::names_signal(&shown) {
            self.signal = Some(self.count);
        }
        self.read_trace(&shown, now);
        line.truncate(line.floor_char_boundary(TAIL_BYTES));
        self.tail.push_back(line);
        while self.tail.len() > TAIL_LINES {
            self.tail.pop_front();
        }
    }

    /// The frames of a trace are indented; the error itself is not.
    fn read_trace(&mut self, line: &str, now: Now) {
        if line == BACKTRACE {
            if let Some(error) = self.last_line() {
                self.error = Some((self.count, error.trim().to_owned()));
                self.error_read = now;
            }
            return;
        }
        // So does a panic in Rust: `thread 'main' panicked at src/main.rs:2:5:`.
        let is_panic = line.starts_with("thread '") && line.contains(" panicked at ");
        if line.starts_with('╭') && line.contains(BOXED_TRACEBACK) {
            self.trace = Some(String::new());
            return;
        }
        if let Some(start) = line.find(TRACEBACK).or_else(|| is_panic.then_some(0)) {
            self.trace = Some(line[..start].to_owned());
            return;
        }
        let Some(rest) = self
            .trace
            .as_ref()
            .and_then(|before| line.strip_prefix(before.as_str()))
        else {
            return;
        };
        if !rest.trim().is_empty() && !rest.starts_with([' ', '\t', '│', '╰', '╭']) {
            self.error = Some((self.count, shorten(rest.trim(), 200)));
            self.error_read = now;
            self.trace = None;
        }
    }

    /// Returns when the output named an error that ends programs; `None` also where a signal may
    /// have caused it.
    pub(super) fn crash_named(&self) -> Option<Now> {
        let is_near = |line: u64| self.count - line < CAUSE_LINES;
        let error = self
            .error
            .as_ref()
            .filter(|(line, _)| is_near(*line))
            .map(|_| self.error_read);
        let sign = self.sign.as_ref().filter(|(line, ..)| is_near(*line));
        // When one process of several ends, the others report that communication failed.
        let is_peers_end =
            sign.is_some_and(|(_, sign, _)| sign.kind == "nccl" && sign.blame != "configuration");
        if is_peers_end || self.signal.is_some_and(is_near) {
            return None;
        }
        error.max(sign.map(|_| self.sign_read))
    }

    /// Returns the most informative line about the end of the program.
    pub(super) fn cause(&self) -> Option<String> {
        let error = self
            .error
            .as_ref()
            .filter(|(line, _)| self.count - line < CAUSE_LINES)
            .map(|(_, text)| text.clone());
        error.or_else(|| self.last_line())
    }

    /// Returns the last lines, up to a number of bytes.
    pub(super) fn tail(&self) -> String {
        let mut room = TAIL_BYTES;
        let fits = |line: &&String| {
            let fits = line.len() < room;
            room = room.saturating_sub(line.len() + 1);
            fits
        };
        let mut lines: Vec<_> = self
            .tail
            .iter()
            .rev()
            .take_while(fits)
            .map(String::as_str)
            .collect();
        lines.reverse();
        lines.join("\n")
    }

    pub(super) fn sign(&self) -> Option<(Sign, &str)> {
        self.sign
            .as_ref()
            .filter(|(line, ..)| self.count - line < CAUSE_LINES)
            .map(|(_, sign, text)| (*sign, text.as_str()))
    }

    pub(super) fn last_line(&self) -> Option<String> {
        let shown = self
            .tail
            .iter()
            .rev()
            .map(|line| plain(line))
            .find(|line| !is_noise(line))?;
        let text = without_box(&shown);
        Some(shorten(
            if text.len() < shown.trim().len() {
                text
            } else {
                &shown
            },
            200,
        ))
    }

    /// Returns the call of W&B's library that has ended the program.
    pub(super) fn failed_call(&self) -> Option<&FailedCall> {
        let is_later = |line: u64| self.error.as_ref().is_some_and(|(error, _)| *error > line);
        self.wandb
            .found()
            .filter(|call| self.count - call.line < CAUSE_LINES && !is_later(call.line))
    }

    /// Returns the error by which the program has refused its command line, unless something else
    /// is named after it: then it is an error of another program that this one has started.
    pub(super) fn usage_error(&self, exit: Exit, is_early: bool) -> Option<&str> {
        let error = self
            .usage
            .found(is_early && exit == Exit::Code(USAGE_STATUS))
            .filter(|error| self.count - error.line < CAUSE_LINES)?;
        // Parsers refuse before anything is trained, but for fire, which calls the function first.
        let is_in_time = is_early || error.text.starts_with(FIRE);
        let is_later = |line: u64| line > error.line;
        let sign = self.sign.as_ref().is_some_and(|(line, ..)| is_later(*line));
        let passes_on = |text: &str| PASSED_ON.iter().any(|name| text.contains(name));
        let crash = self
            .error
            .as_ref()
            .is_some_and(|(line, text)| is_later(*line) && !passes_on(text));
        (is_in_time && !sign && !crash).then_some(error.text.as_str())
    }
}

/// Cuts a line after some characters.
pub(super) fn shorten(line: &str, characters_max: usize) -> String {
    match line.char_indices().nth(characters_max) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_bounded_by_lines_and_bytes() {
        let mut output = OutputExcerpt::default();
        for index in 0..30 {
            output.push(format!("line {index}"), Now::ZERO);
        }
        assert_eq!(output.tail().lines().count(), TAIL_LINES);
        assert!(output.tail().ends_with("line 29"));
        output.push("é".repeat(5000), Now::ZERO);
        assert!(output.tail().len() <= TAIL_BYTES);
        for _ in 0..3 {
            output.push("x".repeat(2000), Now::ZERO);
        }
        assert_eq!(output.tail().len(), 4001);
    }

    #[test]
    fn a_usage_error_of_another_program_is_not_this_ones() {
        let refused = "usage: ap.py [-h]\nap.py: error: unrecognized arguments: --such-flag\n";
        let trace =
            "Traceback (most recent call last):\n  File \"train.py\", line 3, in <module>\n";
        let found = |text: &str, exit: i32, is_early: bool| {
            let mut output = OutputExcerpt::default();
            text.lines()
                .for_each(|line| output.push(line.to_owned(), Now::ZERO));
            output
                .usage_error(Exit::Code(exit), is_early)
                .map(str::to_owned)
        };
        let named = Some("unrecognized arguments: --such-flag".to_owned());
        assert_eq!(found(refused, 2, true), named);
        let crashed = format!("{refused}{trace}ValueError: shapes (3,4) do not fit\n");
        assert_eq!(found(&crashed, 1, true), None, "the program continued");
        assert_eq!(found(refused, 1, false), None, "metrics came before");
        for launcher in [
            "subprocess.CalledProcessError: Command '['python', 'train.py']' returned non-zero exit status 2.",
            "torch.distributed.elastic.multiprocessing.errors.ChildFailedError:",
        ] {
            assert_eq!(
                found(&format!("{refused}{trace}{launcher}\n"), 1, true),
                named
            );
        }
        let fire = "ERROR: Could not consume arg: --nope=3\nUsage: train.py -\n";
        assert!(
            found(fire, 2, false).is_some(),
            "fire calls the function first"
        );
    }

    #[test]
    fn an_error_of_several_lines_is_named_by_its_first() {
        let cause = |text: &str| {
            let mut output = OutputExcerpt::default();
            text.lines()
                .for_each(|line| output.push(line.to_owned(), Now::ZERO));
            output.cause().unwrap()
        };
        let trace = "Traceback (most recent call last):\n  File \"train.py\", line 3, in <module>\n    x.cpu()\n    ^^^^^^^\n";
        let error = "torch.AcceleratorError: CUDA error: device-side assert triggered";
        let advice = "For debugging consider passing CUDA_LAUNCH_BLOCKING=1\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n";
        assert_eq!(cause(&format!("{trace}{error}\n{advice}")), error);
        let chained = format!(
            "{trace}KeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\n{trace}ValueError: b\n"
        );
        assert_eq!(cause(&chained), "ValueError: b");
        let ranked: String = format!("{trace}{error}\n{advice}")
            .lines()
            .map(|line| format!("[rank0]: {line}\n"))
            .collect();
        assert_eq!(cause(&format!("{ranked}wandb: done\n")), error);
        let panic = "thread 'main' (7) panicked at src/main.rs:2:5:\nno such layer\nnote: run with `RUST_BACKTRACE=1` to see more\n";
        assert_eq!(cause(panic), "no such layer");
        let returned = "Error: cannot read layers.json\n\nCaused by:\n    No such file or directory (os error 2)\n";
        assert_eq!(
            cause(&format!(
                "{returned}\nStack backtrace:\n   0: train::main\n  13: <unknown>\n"
            )),
            "No such file or directory (os error 2)"
        );
        assert_eq!(cause("one\nsegmentation fault\n\n"), "segmentation fault");
        assert_eq!(
            cause("Traceback (most recent call last):\n  File"),
            "  File",
            "a trace without an end"
        );
    }
}
