//! Metrics from the output of a program: lines → metrics.

use std::collections::BTreeSet;

use regex::Regex;

use super::Reading;
use super::bars::{self, Bars};
use super::lines::{Line, Lines};
use super::record::{self, ParsedMetrics};

/// A map that is printed over several lines has at most this many bytes.
const UNFINISHED_BYTES_MAX: usize = 64 << 10;

/// The first line of a Python traceback; the indented lines after it are source code.
const TRACEBACK: &str = "Traceback (most recent call last):";

/// A regular expression over lines of output.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    /// The metric that the first group holds (the whole match where there is no group); `None`:
    /// named groups name their metrics.
    pub(crate) name: Option<String>,
    /// The expression.
    pub(crate) regex: Regex,
}

/// Finds metrics in output, independently of the pieces in which it arrives.
#[derive(Debug)]
pub(crate) struct OutputReader {
    lines: Lines,
    patterns: Vec<Pattern>,
    /// The beginning of a map that further lines may complete.
    unfinished: String,
    /// The metrics of maps within it, which count if it turns out to be none.
    waiting: Vec<Reading>,
    /// A bar was drawn within the map: output of a program is written in blocks, whose ends are
    /// anywhere in a line.
    is_interrupted: bool,
    /// The prefix of the traceback that is being printed, for example `[rank0]: `.
    trace: Option<String>,
    bars: Bars,
}

/// The metrics found in output.
#[derive(Debug, Default)]
pub(crate) struct Printed {
    /// Lines as a terminal would show them in the end, in order.
    pub(crate) lines: Vec<String>,
    /// Metrics, in order.
    pub(crate) readings: Vec<Reading>,
    /// The names of those that the program has printed for programs to read: not those of patterns
    /// and progress bars.
    pub(crate) named: BTreeSet<String>,
}

impl Printed {
    /// Adds what was found later.
    pub(crate) fn extend(&mut self, later: Self) {
        self.lines.extend(later.lines);
        self.readings.extend(later.readings);
        self.named.extend(later.named);
    }
}

impl OutputReader {
    pub(crate) fn new(patterns: Vec<Pattern>) -> Self {
        Self {
            lines: Lines::default(),
            patterns,
            unfinished: String::new(),
            waiting: Vec::new(),
            is_interrupted: false,
            trace: None,
            bars: Bars::default(),
        }
    }

    /// Takes in bytes and returns what the lines hold that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Printed {
        let lines = self.lines.push(bytes);
        self.read(lines)
    }

    /// Returns what the last line holds, which has no end.
    pub(crate) fn finish(&mut self) -> Printed {
        let lines = self.lines.finish();
        let mut seen = self.read(lines);
        seen.named
            .extend(self.waiting.iter().map(|reading| reading.name.clone()));
        seen.readings.append(&mut self.waiting);
        seen.readings.extend(self.bars.finish());
        seen
    }

    fn read(&mut self, lines: impl IntoIterator<Item = Line>) -> Printed {
        let mut seen = Printed::default();
        for line in lines.into_iter().flat_map(apart) {
            if !self.is_source(&line.text) {
                match self.readings(&line.text) {
                    ParsedMetrics {
                        readings,
                        any: true,
                        ..
                    } => {
                        seen.named
                            .extend(readings.iter().map(|reading| reading.name.clone()));
                        seen.readings.extend(readings);
                    }
                    ParsedMetrics { readings, .. } => {
                        seen.readings.extend(self.bars.read(&line, readings));
                    }
                }
            }
            if !line.overwritten {
                seen.lines.push(line.text);
            }
        }
        seen
    }

    /// Returns whether a line belongs to a trace and shows source code: `lr = 0.1` in it was not
    /// printed as a metric.
    fn is_source(&mut self, line: &str) -> bool {
        if let Some(before) = line.trim_end().strip_suffix(TRACEBACK) {
            self.trace = Some(before.to_owned());
            return true;
        }
        // The traces of an exception group have a margin.
        self.trace.take_if(|before| {
            !line
                .strip_prefix(before.as_str())
                .unwrap_or(line)
                .starts_with([' ', '|', '+'])
        });
        self.trace.is_some()
    }

    /// Returns the metrics of a line: those of the maps in it or completed by it (then `any` is
    /// true), else those that the patterns find.
    fn readings(&mut self, line: &str) -> ParsedMetrics {
        // A terminal's colours may be anywhere in a map.
        let line = &*console::strip_ansi_codes(line);
        let mut before = Vec::new();
        if bars::drawn_length(line) > 0 {
            self.is_interrupted |= !self.unfinished.is_empty();
        } else if !self.unfinished.is_empty() {
            let mut text = std::mem::take(&mut self.unfinished);
            before = std::mem::take(&mut self.waiting);
            if !std::mem::take(&mut self.is_interrupted) {
                text.push('\n');
            }
            text.push_str(line);
            let found = record::find(&text);
            // Still the same map: it has begun at the beginning.
            if found.unfinished == Some(0) && text.len() <= UNFINISHED_BYTES_MAX {
                (self.unfinished, self.waiting) = (text, found.readings);
                return ParsedMetrics::default();
            }
            if found.any && found.unfinished != Some(0) {
                return self.hold(found, &text);
            }
        }
        let found = record::find(line);
        let mut found = self.hold(found, line);
        if !found.any {
            found.readings = self
                .patterns
                .iter()
                .flat_map(|pattern| pattern.readings(line))
                .collect();
        }
        found.any |= !before.is_empty();
        found.readings.splice(..0, before);
        found
    }

    /// Keeps the beginning of a map for the lines to come, with the metrics that it would hold.
    fn hold(&mut self, mut found: ParsedMetrics, text: &str) -> ParsedMetrics {
        if let Some(start) = found.unfinished.filter(|start| {
            self.unfinished.is_empty() && text.len() - start <= UNFINISHED_BYTES_MAX
        }) {
            text[start..].clone_into(&mut self.unfinished);
            self.waiting = found.readings.split_off(found.certain);
        }
        found
    }
}

/// Splits a line that a progress bar left open: each bar, and what was printed behind it.
fn apart(mut line: Line) -> Vec<Line> {
    let mut parts = Vec::new();
    loop {
        let length = bars::drawn_length(&line.text);
        if length == 0 || line.text[length..].trim().is_empty() {
            parts.push(line);
            return parts;
        }
        let rest = line.text.split_off(length);
        parts.push(Line {
            overwritten: true,
            text: std::mem::replace(&mut line.text, rest),
        });
    }
}

impl Pattern {
    fn readings(&self, text: &str) -> Vec<Reading> {
        let mut found = Vec::new();
        for captures in self.regex.captures_iter(text) {
            match &self.name {
                Some(name) => {
                    let group = captures.get(1).or_else(|| captures.get(0));
                    found.extend(
                        group
                            .and_then(|group| number(group.as_str()))
                            .map(|value| (name.clone(), value)),
                    );
                }
                None => {
                    let named = self.regex.capture_names().flatten();
                    found.extend(named.filter_map(|name| {
                        Some((name.to_owned(), number(captures.name(name)?.as_str())?))
                    }));
                }
            }
        }
        let step = found
            .iter()
            .find(|(name, _)| name == "step")
            .map(|(_, value)| *value as i64);
        found.retain(|(name, _)| name != "step");
        found
            .into_iter()
            .map(|(name, value)| Reading { name, step, value })
            .collect()
    }
}

/// Reads a number as programs print it: also with a percent sign or a comma between thousands.
fn number(text: &str) -> Option<f64> {
    let text = text.trim().trim_end_matches('%');
    text.parse()
        .ok()
        .or_else(|| text.replace(',', "").parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(name: Option<&str>, regex: &str) -> Pattern {
        Pattern {
            name: name.map(str::to_owned),
            regex: Regex::new(regex).unwrap(),
        }
    }

    fn found(text: &str, patterns: &[Pattern]) -> Vec<(String, Option<i64>, f64)> {
        OutputReader::new(patterns.to_vec())
            .readings(text)
            .readings
            .into_iter()
            .map(|reading| (reading.name, reading.step, reading.value))
            .collect()
    }

    #[test]
    fn colours_within_a_map_are_none_of_its_text() {
        for line in [
            "{'step': 3, 'val_loss': \u{1b}[1;36m0.9\u{1b}[0m}",
            "\u{1b}[1m{\u{1b}[0m\u{1b}[32m\"step\"\u{1b}[0m: 3, \"val_loss\": \u{1b}[1;36m0.9\u{1b}[0m\u{1b}[1m}",
        ] {
            assert_eq!(
                found(line, &[]),
                [("val_loss".to_owned(), Some(3), 0.9)],
                "{line}"
            );
        }
    }

    #[test]
    fn patterns_find_metrics_in_plain_lines() {
        let named = [pattern(
            None,
            r"epoch (?<step>\d+).*loss=(?<loss>\S+) acc=(?<acc>[\d.]+%)",
        )];
        let line = "epoch 3 | loss=1.5e-3 acc=91.5%";
        assert_eq!(
            found(line, &named),
            [
                ("loss".to_owned(), Some(3), 1.5e-3),
                ("acc".to_owned(), Some(3), 91.5)
            ]
        );
        assert_eq!(
            found(
                "val loss: 1,234.5",
                &[pattern(Some("val_loss"), r"val loss: (\S+)")]
            ),
            [("val_loss".to_owned(), None, 1234.5)]
        );
        assert_eq!(
            found("score 0.5", &[pattern(Some("score"), r"0\.\d+")]),
            [("score".to_owned(), None, 0.5)]
        );
        assert!(
            found("loss=nan acc=1%", &[pattern(Some("loss"), r"loss=(\w+)")])[0]
                .2
                .is_nan()
        );
        assert_eq!(
            found("loss=none", &[pattern(Some("loss"), r"loss=(\w+)")]),
            []
        );
    }

    #[test]
    fn a_map_over_several_lines_is_one() {
        let mut output = OutputReader::new(Vec::new());
        let mut read = |text: &str| -> Vec<(String, f64)> {
            text.lines()
                .flat_map(|line| output.readings(line).readings)
                .map(|reading| (reading.name, reading.value))
                .collect()
        };
        let expected = vec![("loss".to_owned(), 0.5), ("val.loss".to_owned(), 0.4)];
        assert_eq!(
            read("{\n  \"loss\": 0.5,\n  \"val\": {\n    \"loss\": 0.4\n  }\n}"),
            expected
        );
        assert_eq!(
            read("{'loss': 0.5,\n 'val': {'loss': 0.4}}"),
            expected,
            "as pprint has it"
        );
        // What looked like a beginning was none.
        assert_eq!(
            read("def f() {\n{\"loss\": 0.5, \"val\": {\"loss\": 0.4}}"),
            expected
        );
        let inner = vec![("loss".to_owned(), 0.5)];
        assert_eq!(
            read("log {x: {\"loss\": 0.5}\nno\n"),
            inner,
            "a map within what is none"
        );
        assert_eq!(read("{\"a\": \n{\"loss\": 0.5}\nno\n"), inner);
        assert_eq!(
            read("{\"val\": {\"loss\": 0.5}\n}\n"),
            [("val.loss".to_owned(), 0.5)],
            "once"
        );
        assert_eq!(
            read("{\"a\": 1,\nno\n{\"loss\": 0.5, \"val\": {\"loss\": 0.4}}"),
            expected
        );
    }

    #[test]
    fn what_is_printed_behind_a_bar_is_a_line_of_its_own() {
        let read = |text: &str| -> (Vec<String>, Vec<f64>) {
            let mut output = OutputReader::new(vec![pattern(Some("loss"), r"^loss: (\S+)$")]);
            let mut seen = output.push(text.as_bytes());
            let rest = output.finish();
            seen.readings.extend(rest.readings);
            seen.lines.extend(rest.lines);
            (
                seen.lines,
                seen.readings
                    .into_iter()
                    .map(|reading| reading.value)
                    .collect(),
            )
        };
        let bar = "train:  50%|█████     | 3/6 [00:01<00:01,  2.00it/s]";
        assert_eq!(
            read(&format!("\r{bar}loss: 0.5\n")),
            (vec!["loss: 0.5".to_owned()], vec![0.5])
        );
        assert_eq!(
            read(&format!("{bar}{bar}loss: 0.5\n")),
            (vec!["loss: 0.5".to_owned()], vec![0.5]),
            "two bars"
        );
        assert_eq!(
            read("3it [00:01,  2.00it/s]loss: 0.5\n").1,
            [0.5],
            "a bar without an end"
        );
        assert_eq!(read("12.5kB [00:01, 9.00kB/s]loss: 0.5\n").1, [0.5]);
        assert_eq!(
            read(&format!("{bar}\n")),
            (vec![bar.to_owned()], vec![]),
            "a bar alone"
        );
        assert_eq!(read("[3/6] [00:01]loss: 0.5\n").1.len(), 0, "no bar");
    }

    #[test]
    fn a_bar_within_a_map_leaves_it_whole() {
        let bar = "\r 50%|█████     | 3/6 [00:01<00:01,  2.00it/s]";
        let map = r#"{"loss": 0.5, "text": "a b", "val": {"loss": 0.25}}"#;
        for (at, _) in map.char_indices().skip(1) {
            let mut output = OutputReader::new(Vec::new());
            let found = output
                .push(format!("{}{bar}{bar}{}\n", &map[..at], &map[at..]).as_bytes())
                .readings;
            let found: Vec<_> = found
                .into_iter()
                .map(|reading| (reading.name, reading.value))
                .collect();
            assert_eq!(
                found,
                [("loss".to_owned(), 0.5), ("val.loss".to_owned(), 0.25)],
                "{at}"
            );
        }
    }

    #[test]
    fn the_source_code_in_a_trace_holds_no_metrics() {
        let mut output = OutputReader::new(vec![pattern(None, r"(?<lr>[\d.]+$)")]);
        let trace = "Traceback (most recent call last):\n  File \"t.py\", line 3, in <module>\n    train({'lr': 0.1})\n    lr = 0.1\n";
        let seen = output.push(format!("{trace}ValueError: bad\n{{\"loss\": 1}}\n").as_bytes());
        assert_eq!(seen.lines.len(), 6);
        assert_eq!(
            seen.readings
                .iter()
                .map(|reading| reading.name.as_str())
                .collect::<Vec<_>>(),
            ["loss"]
        );
        let seen =
            output.push(format!("[rank0]: {}", trace.replace('\n', "\n[rank0]: ")).as_bytes());
        assert!(seen.readings.is_empty(), "{seen:?}");
    }

    #[test]
    fn patterns_see_no_colours() {
        assert_eq!(
            found(
                "\u{1b}[1mloss\u{1b}[0m: \u{1b}[32m0.5\u{1b}[0m",
                &[pattern(Some("loss"), r"^loss: (\S+)$")]
            ),
            [("loss".to_owned(), None, 0.5)]
        );
    }

    #[test]
    fn json_comes_before_patterns() {
        assert_eq!(
            found(r#"{"loss": 1}"#, &[pattern(Some("loss"), r"(\d)")]),
            [("loss".to_owned(), None, 1.0)]
        );
    }
}
