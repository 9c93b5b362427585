//! Reads metrics from stored output, as an agent reads them while a program runs.

use crate::intake::printed::{OutputReader, Pattern};
use crate::intake::{self, Reading};

/// A value in stored output.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredMetric {
    /// The metric.
    pub name: String,
    /// The program's own count, where it gave one.
    pub step: Option<i64>,
    /// May be NaN or infinite.
    pub value: f64,
}

/// The stored output of one attempt, which arrives in pieces.
#[derive(Debug)]
pub struct StoredOutput {
    reader: OutputReader,
    objective: String,
}

impl StoredOutput {
    /// Begins to read output with the patterns of a sweep: the metric of each, if it names one, and
    /// its expression.
    ///
    /// # Errors
    /// An expression is invalid: the reason.
    pub fn new<'a>(
        patterns: impl IntoIterator<Item = (Option<&'a str>, &'a str)>,
        objective: &str,
    ) -> Result<Self, String> {
        let compile = |(name, regex): (Option<&str>, &str)| {
            let regex = regex::Regex::new(regex).map_err(|error| format!("`{regex}`: {error}"))?;
            Ok::<_, String>(Pattern {
                name: name.map(str::to_owned),
                regex,
            })
        };
        let patterns = patterns
            .into_iter()
            .map(compile)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            reader: OutputReader::new(patterns),
            objective: objective.to_owned(),
        })
    }

    /// Takes in the next piece and returns the values of the lines that it completes.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<StoredMetric> {
        let readings = self.reader.push(bytes).readings;
        self.named(readings)
    }

    /// Returns the values of the last line, which has no end.
    pub fn finish(mut self) -> Vec<StoredMetric> {
        let readings = self.reader.finish().readings;
        self.named(readings)
    }

    fn named(&self, mut readings: Vec<Reading>) -> Vec<StoredMetric> {
        intake::add_asked(&mut readings, &self.objective);
        readings
            .into_iter()
            .map(|Reading { name, step, value }| StoredMetric { name, step, value })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_output_is_read_in_any_pieces() {
        let text = "{\"val\": {\"loss\": 0.5}}\nepoch 1 acc=91%\r\nacc=9";
        for cut in 0..text.len() {
            let patterns = [(Some("acc"), r"acc=(\d+)")];
            let mut output = StoredOutput::new(patterns, "val/loss").unwrap();
            let mut found = output.push(&text.as_bytes()[..cut]);
            found.extend(output.push(&text.as_bytes()[cut..]));
            found.extend(output.finish());
            let values = |name: &str| {
                found
                    .iter()
                    .filter(|metric| metric.name == name)
                    .map(|metric| metric.value)
                    .collect::<Vec<_>>()
            };
            assert_eq!(
                (values("val/loss"), values("acc"), found.len()),
                (vec![0.5], vec![91.0, 9.0], 4),
                "{cut}"
            );
        }
        assert!(
            StoredOutput::new([(None, "(")], "")
                .unwrap_err()
                .starts_with("`(`: ")
        );
    }
}
