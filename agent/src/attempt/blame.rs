//! Classifies the failure of a program that ended by itself, and attributes it.

use std::collections::{BTreeMap, VecDeque};

use super::now::Now;
use super::outcome::AttemptFailure;
use super::screen::{is_noise, plain, without_box};
use super::signs::{self, Sign};
use super::usage::UsageReader;
use super::wandb_calls::{FailedCall, WandbCalls};
use crate::process::exit::{Exit, signal_name};

pub(super) const SIGKILL: i32 = 9;
/// A shell reports that a signal ended what it ran by this and the signal's number.
const SHELL_SIGNAL: i32 = 128;
/// How a shell reports that what it ran was ended by SIGKILL.
pub(super) const SHELL_SIGKILL: i32 = SHELL_SIGNAL + SIGKILL;
/// SIGHUP, SIGINT, SIGKILL, SIGTERM.
const SENT_BY_OTHERS: [i32; 4] = [1, 2, SIGKILL, 15];
/// The exit status of programs that refuse their command line.
const USAGE_STATUS: i32 = 2;
/// How much of the end of the output goes into a failure.
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

/// The end of the output, and what was noticed in it.
#[derive(Debug, Default)]
pub(super) struct OutputExcerpt {
    tail: VecDeque<String>,
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
    /// Whether the program has refused its command line.
    usage: UsageReader,
    /// Whether it has called what cannot work here.
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
        // Where one process of several is ended, the others say that communication failed.
        let is_peers_end =
            sign.is_some_and(|(_, sign, _)| sign.kind == "nccl" && sign.blame != "configuration");
        if is_peers_end || self.signal.is_some_and(is_near) {
            return None;
        }
        error.max(sign.map(|_| self.sign_read))
    }

    /// The line that says best why the program ended.
    fn cause(&self) -> Option<String> {
        let error = self
            .error
            .as_ref()
            .filter(|(line, _)| self.count - line < CAUSE_LINES)
            .map(|(_, text)| text.clone());
        error.or_else(|| self.last_line())
    }

    /// The last lines, as many as fit.
    fn tail(&self) -> String {
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

    fn sign(&self) -> Option<(Sign, &str)> {
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
    fn failed_call(&self) -> Option<&FailedCall> {
        let is_later = |line: u64| self.error.as_ref().is_some_and(|(error, _)| *error > line);
        self.wandb
            .found()
            .filter(|call| self.count - call.line < CAUSE_LINES && !is_later(call.line))
    }

    /// Returns the error by which the program has refused its command line, unless something else
    /// is named after it.
    fn usage_error(&self, exit: Exit, is_early: bool) -> Option<&str> {
        let error = self
            .usage
            .found(is_early && exit == Exit::Code(USAGE_STATUS))
            .filter(|error| self.count - error.line < CAUSE_LINES)?;
        let is_later = |line: u64| line > error.line;
        let sign = self.sign.as_ref().is_some_and(|(line, ..)| is_later(*line));
        (!sign).then_some(error.text.as_str())
    }
}

/// Returns whether a program ended by a signal that programs do not send themselves, or passes on
/// the signal of its child.
pub(super) fn is_sent_by_others(exit: Exit) -> bool {
    match exit {
        Exit::Signal(signal) => SENT_BY_OTHERS.contains(&signal),
        Exit::Code(code) => SENT_BY_OTHERS
            .iter()
            .any(|signal| code == SHELL_SIGNAL + signal),
    }
}

/// The evidence for the attribution of a failure.
pub(super) struct FailureEvidence<'a> {
    pub(super) exit: Exit,
    /// Empty where the sweep has none.
    pub(super) objective: &'a str,
    /// The last value of each metric.
    pub(super) last: &'a BTreeMap<String, f64>,
    pub(super) objective_was_finite: bool,
    pub(super) output: &'a OutputExcerpt,
    /// The sign that the machine ran out of memory.
    pub(super) memory: Option<&'a str>,
}

/// The kind of a failure and its attribution.
struct Judgement {
    kind: &'static str,
    blame: &'static str,
    message: String,
    evidence: String,
}

impl Judgement {
    fn configuration(kind: &'static str, message: String) -> Self {
        Self {
            kind,
            blame: "configuration",
            message,
            evidence: String::new(),
        }
    }
}

/// Returns why a program that ended by itself has failed, `None` if it has not.
pub(super) fn judge(evidence: &FailureEvidence<'_>) -> Option<AttemptFailure> {
    let Judgement {
        kind,
        blame,
        message,
        evidence: rests_on,
    } = match evidence.exit {
        Exit::Code(0) => judge_success(evidence)?,
        exit => judge_crash(evidence, exit),
    };
    Some(AttemptFailure {
        evidence: rests_on,
        ..failure(kind, blame, message, Some(evidence.exit), evidence.output)
    })
}

/// Makes a failure with the end of the output.
pub(super) fn failure(
    kind: &'static str,
    blame: &'static str,
    message: String,
    exit: Option<Exit>,
    output: &OutputExcerpt,
) -> AttemptFailure {
    let (exit_code, signal) = match exit {
        Some(Exit::Code(code)) => (Some(code), None),
        Some(Exit::Signal(signal)) => (None, Some(signal)),
        None => (None, None),
    };
    AttemptFailure {
        kind,
        blame,
        message,
        exit_code,
        signal,
        output_tail: output.tail(),
        evidence: String::new(),
    }
}

/// Returns the failure of an attempt whose last output could not be written: metrics that it
/// printed may be missing.
pub(super) fn unwritten(exit: Option<Exit>, output: &OutputExcerpt) -> AttemptFailure {
    let message =
        "the end of its output could not be written; is the disk with its folder full?".to_owned();
    failure("output", "machine", message, exit, output)
}

fn judge_success(evidence: &FailureEvidence<'_>) -> Option<Judgement> {
    let objective = evidence.objective;
    if objective.is_empty() {
        return None;
    }
    match evidence.last.get(objective) {
        None => Some(Judgement::configuration(
            "no_metric",
            no_metric(objective, evidence.last, evidence.output),
        )),
        Some(value) if !evidence.objective_was_finite => {
            let message = format!(
                "exit status 0, but `{objective}` was never a finite number: its last value is {value}"
            );
            Some(Judgement::configuration("nan_objective", message))
        }
        Some(_) => None,
    }
}

fn judge_crash(evidence: &FailureEvidence<'_>, exit: Exit) -> Judgement {
    let how = match exit {
        Exit::Code(code) => format!("exit status {code}"),
        Exit::Signal(signal) => format!("ended by {}", signal_name(signal)),
    };
    let killed = matches!(exit, Exit::Signal(SIGKILL) | Exit::Code(SHELL_SIGKILL));
    if let Some(memory) = evidence.memory.filter(|_| killed) {
        let message = format!("{how}: the machine ran out of memory and killed it");
        return Judgement {
            evidence: memory.to_owned(),
            ..Judgement::configuration("out_of_memory", message)
        };
    }
    let cause = evidence
        .output
        .cause()
        .map(|line| format!(": {}", line.trim()))
        .unwrap_or_default();
    if let (Exit::Code(_), Some(call)) = (exit, evidence.output.failed_call()) {
        let message = format!("{how}: {}", shorten(&call.text, 1000));
        return Judgement {
            kind: call.kind,
            blame: call.blame,
            message,
            evidence: String::new(),
        };
    }
    if let (Exit::Code(_), Some(error)) = (
        exit,
        evidence.output.usage_error(exit, evidence.last.is_empty()),
    ) {
        let message = format!(
            "{how}, the program refuses its command line: {}",
            shorten(error, 400)
        );
        return Judgement {
            kind: "usage",
            blame: "command_line",
            message,
            evidence: String::new(),
        };
    }
    let by_exit = if matches!(exit, Exit::Code(_)) {
        "crashed"
    } else {
        "signal"
    };
    if let Some((sign, line)) = evidence.output.sign() {
        let message = match sign.kind {
            "cuda_out_of_memory" => format!("{how}, out of GPU memory: {line}"),
            "out_of_memory" => format!("{how}, out of memory: {line}"),
            _ => format!("{how}: {line}"),
        };
        let kind = if sign.kind.is_empty() {
            by_exit
        } else {
            sign.kind
        };
        return Judgement {
            kind,
            blame: sign.blame,
            message,
            evidence: line.to_owned(),
        };
    }
    if let Some(value) = evidence
        .last
        .get(evidence.objective)
        .filter(|value| !value.is_finite())
    {
        let message = format!(
            "{how}, and the last value of `{}` is {value}",
            evidence.objective
        );
        return Judgement::configuration("nan_objective", message);
    }
    match exit {
        Exit::Code(_) => Judgement::configuration("crashed", format!("{how}{cause}")),
        // Programs do not send themselves these.
        Exit::Signal(signal) if SENT_BY_OTHERS.contains(&signal) => {
            let message = format!("{how}, sent from elsewhere{cause}");
            Judgement {
                kind: "signal",
                blame: "external",
                message,
                evidence: String::new(),
            }
        }
        Exit::Signal(_) => Judgement::configuration("signal", format!("{how}{cause}")),
    }
}

/// Returns what stands between a name and a number behind it, as in `loss=0.2` and `loss: 0.2`; of
/// a plain name only.
fn shown(line: &str, name: &str) -> Option<char> {
    let is_part = |character: char| character.is_alphanumeric() || "_-./".contains(character);
    // Others would have to be quoted in the sweep file.
    if !name.chars().all(is_part)
        || !name.starts_with(|first: char| first.is_alphabetic() || first == '_')
    {
        return None;
    }
    line.match_indices(name)
        .filter(|(start, _)| !line[..*start].ends_with(is_part))
        .find_map(|(start, _)| {
            let rest = line[start + name.len()..].trim_start();
            let separator = rest
                .chars()
                .next()
                .filter(|character| "=:".contains(*character))?;
            let number = rest[1..].trim_start();
            number
                .trim_start_matches(['-', '+', '.'])
                .starts_with(|character: char| character.is_ascii_digit())
                .then_some(separator)
        })
}

fn no_metric(objective: &str, seen: &BTreeMap<String, f64>, output: &OutputExcerpt) -> String {
    if let Some(remedy) = &output.unread {
        return format!(
            "exit status 0, but the sweep wants `{objective}`, which was not read; {remedy}"
        );
    }
    if let Some(separator) = output
        .tail
        .iter()
        .rev()
        .find_map(|line| shown(line, objective))
    {
        return format!(
            "exit status 0, but the sweep wants `{objective}`, which is only in the output before `{separator}` and a number: \
             `metric_patterns: {{{objective}: '\\b{}\\s*{separator}\\s*([-+.0-9eE]+)'}}` in the sweep file reads it",
            regex::escape(objective)
        );
    }
    if seen.is_empty() {
        return format!(
            "exit status 0, but no metric was seen and the sweep wants `{objective}`; print a line like {{\"{objective}\": 0.21}}, \
             append it to $SWEEP_METRICS, or give `metric_patterns`"
        );
    }
    let names: Vec<_> = seen
        .keys()
        .take(20)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = if seen.len() > names.len() {
        format!(" and {} more", seen.len() - names.len())
    } else {
        String::new()
    };
    let close = seen
        .keys()
        .map(|name| (distance(objective, name), name))
        .min()
        .filter(|(distance, name)| {
            *distance <= objective.chars().count().max(name.chars().count()) / 2
                || name.contains(objective)
                || objective.contains(name.as_str())
        });
    let hint = close
        .map(|(_, name)| format!("; did you mean `{name}`?"))
        .unwrap_or_default();
    format!(
        "exit status 0, but the sweep wants `{objective}` and the program gave {}{more}{hint}",
        names.join(", ")
    )
}

/// How many letters have to change, leaving case and separators out of account.
fn distance(left: &str, right: &str) -> usize {
    let plain = |text: &str| -> Vec<char> {
        text.chars()
            .filter(|c| c.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .take(256)
            .collect()
    };
    let (left, right) = (plain(left), plain(right));
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

fn shorten(line: &str, characters_max: usize) -> String {
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

    #[test]
    fn the_nearest_name_is_offered() {
        let seen = |names: &[&str]| {
            names
                .iter()
                .map(|name| ((*name).to_owned(), 1.0))
                .collect::<BTreeMap<_, _>>()
        };
        let no_metric = |objective: &str, seen: &BTreeMap<String, f64>| {
            no_metric(objective, seen, &OutputExcerpt::default())
        };
        assert!(
            no_metric("val_loss", &seen(&["acc", "loss", "val/loss"]))
                .ends_with("did you mean `val/loss`?")
        );
        assert!(
            no_metric("val_loss", &seen(&["acc", "loss"]))
                .ends_with("gave `acc`, `loss`; did you mean `loss`?")
        );
        assert!(no_metric("val_loss", &seen(&["epoch"])).ends_with("gave `epoch`"));
        assert!(no_metric("val_loss", &seen(&[])).contains("no metric was seen"));
    }

    #[test]
    fn what_stands_in_the_output_is_said_to_be_readable_and_how() {
        let message = |line: &str| {
            let mut output = OutputExcerpt::default();
            output.push(line.to_owned(), Now::ZERO);
            no_metric("loss", &BTreeMap::new(), &output)
        };
        for (line, separator) in [
            ("epoch=3 loss=0.25", '='),
            ("Epoch 3, val_loss: none, loss: -1e-3", ':'),
            ("loss:.5", ':'),
            ("loss = 2", '='),
        ] {
            let message = message(line);
            let line = format!("val_loss=low val_loss: 7 {line}");
            let pattern = message
                .split('\'')
                .nth(1)
                .unwrap_or_else(|| panic!("{message}"));
            assert!(
                message.contains(&format!("before `{separator}` and a number")),
                "{message}"
            );
            assert!(
                regex::Regex::new(pattern).unwrap().captures(&line).unwrap()[1]
                    .parse::<f64>()
                    .is_ok_and(|value| value < 7.0),
                "{pattern} in {line}"
            );
        }
        for line in [
            "val_loss=0.25",
            "the loss = low",
            "loss: nan",
            "lossless: 3",
            "train/loss=1",
            "loss",
            "loss=",
            "",
        ] {
            assert!(message(line).contains("no metric was seen"), "{line}");
        }
        assert_eq!(
            shown("it's: 1", "it's"),
            None,
            "the sweep file would need quotes"
        );
    }
}
