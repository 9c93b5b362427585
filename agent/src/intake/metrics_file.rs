//! The file that `SWEEP_METRICS` names: JSON lines that the program appends.

use std::io;
use std::path::PathBuf;

use super::Reading;
use super::lines::Lines;
use super::record;
use super::repeats::Repeats;
use super::tail::Tail;

/// An object over several lines is no longer than this.
const OBJECT_BYTES_MAX: usize = 1 << 16;

/// Reads the metrics file of one attempt.
#[derive(Debug)]
pub(crate) struct MetricsFile {
    tail: Tail,
    lines: Lines,
    complained: bool,
    repeats: Repeats,
    /// The lines of an object that has not ended.
    unfinished: String,
}

/// The result of reading the file once.
#[derive(Debug, Default)]
pub(crate) struct MetricsFileUpdate {
    /// Metrics, in order.
    pub(crate) readings: Vec<Reading>,
    /// The first line that is not a JSON object, once an attempt; or why the file cannot be read.
    pub(crate) complaint: Option<String>,
    /// The program has rewritten the file: these are its first readings.
    pub(crate) restarted: bool,
    /// Metrics ahead of `readings` that the file held before it was rewritten, too.
    pub(crate) repeated: u64,
    /// There may be more to read at once.
    pub(crate) more: bool,
}

impl MetricsFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            tail: Tail::new(path),
            lines: Lines::default(),
            complained: false,
            repeats: Repeats::default(),
            unfinished: String::new(),
        }
    }

    /// Returns what is new. A line without an end waits for the rest of it, unless it is a whole
    /// object or `last`. A file that its program rewrites is read from its beginning; the lines
    /// that it had before, in the same place, are not new.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) async fn read(&mut self, last: bool) -> io::Result<MetricsFileUpdate> {
        let gain = self.tail.read().await?;
        if gain.restarted {
            self.lines = Lines::default();
            self.unfinished.clear();
            self.repeats.restart();
        }
        let more = !gain.bytes.is_empty();
        let mut lines = self.lines.push(&gain.bytes);
        let ends = last
            || self.lines.partial().is_some_and(|rest| {
                record::read_whole(&format!("{}{rest}", self.unfinished)).is_some()
            });
        if ends && !more {
            lines.extend(self.lines.finish());
        }
        let mut seen = MetricsFileUpdate {
            more,
            restarted: gain.restarted,
            ..MetricsFileUpdate::default()
        };
        if let Some(obstacle) = gain.obstacle {
            seen.complaint = Some(format!("$SWEEP_METRICS is not read while {obstacle}"));
        }
        for line in lines {
            let unfinished = std::mem::take(&mut self.unfinished);
            let goes_on = !unfinished.is_empty()
                && self.takes(format!("{unfinished}\n{}", line.text), &mut seen);
            if !goes_on {
                // The object before this line has lost its end. The line is read by itself.
                self.complain(&unfinished, &mut seen);
                if !self.takes(line.text.clone(), &mut seen) {
                    self.complain(&line.text, &mut seen);
                }
            }
        }
        if last && !more {
            let unfinished = std::mem::take(&mut self.unfinished);
            self.complain(&unfinished, &mut seen);
        }
        Ok(seen)
    }

    /// Takes a text that is an object, or the beginning of one; returns whether it is.
    fn takes(&mut self, text: String, seen: &mut MetricsFileUpdate) -> bool {
        match record::read_whole(&text) {
            Some(readings) if self.repeats.is_repeated(&text) => {
                seen.repeated += readings.len() as u64;
            }
            Some(readings) => seen.readings.extend(readings),
            None if text.len() <= OBJECT_BYTES_MAX
                && record::find(text.trim_start()).unfinished == Some(0) =>
            {
                self.unfinished = text;
            }
            None => return false,
        }
        true
    }

    fn complain(&mut self, text: &str, seen: &mut MetricsFileUpdate) {
        if text.trim().is_empty() || std::mem::replace(&mut self.complained, true) {
            return;
        }
        let start: String = text
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(80)
            .collect();
        seen.complaint = Some(format!(
            "a line of $SWEEP_METRICS is not a JSON object and is left out: `{start}`; write lines like {{\"step\": 3, \"loss\": 0.21}}"
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    async fn values(file: &mut MetricsFile, last: bool) -> Vec<f64> {
        file.read(last)
            .await
            .unwrap()
            .readings
            .iter()
            .map(|reading| reading.value)
            .collect()
    }

    #[tokio::test]
    async fn partial_lines_wait_and_truncation_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut file = MetricsFile::new(path.clone());
        assert!(values(&mut file, false).await.is_empty());
        let mut writer = fs::File::create(&path).unwrap();
        writer.write_all(b"{\"loss\": 1}\n{\"loss\"").unwrap();
        assert_eq!(values(&mut file, false).await, [1.0]);
        writer.write_all(b": 2}\nnonsense\nmore\n").unwrap();
        let seen = file.read(false).await.unwrap();
        assert_eq!(seen.readings.len(), 1);
        assert!(seen.complaint.unwrap().contains("`nonsense`"));
        fs::write(&path, "{\"loss\": 3}").unwrap();
        assert!(values(&mut file, false).await.is_empty());
        assert_eq!(values(&mut file, true).await, [3.0]);
    }

    #[tokio::test]
    async fn an_object_needs_no_end_of_line_and_may_have_several_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut file = MetricsFile::new(path.clone());
        for value in [0.9, 0.8, 0.7] {
            fs::write(&path, format!("{{\"loss\": {value}}}")).unwrap();
            assert!(
                values(&mut file, false).await.is_empty(),
                "more of it may come at once"
            );
            assert_eq!(values(&mut file, false).await, [value]);
        }
        for value in [0.5, 0.4] {
            fs::write(
                &path,
                format!("{{\n  \"loss\": {value},\n  \"step\": 3\n}}"),
            )
            .unwrap();
            assert!(values(&mut file, false).await.is_empty());
            let seen = file.read(false).await.unwrap();
            assert_eq!(
                (seen.readings.len(), seen.readings[0].value, seen.complaint),
                (1, value, None)
            );
        }
        fs::write(
            &path,
            "{\"loss\": 0.\n{\"loss\": 0.3}\n{\n  \"loss\": 0.2,\n",
        )
        .unwrap();
        assert_eq!(
            values(&mut file, false).await,
            [0.3],
            "a line whose end was lost costs none but itself"
        );
        let seen = file.read(true).await.unwrap();
        assert!(seen.readings.is_empty() && file.complained, "it never ends");
    }

    #[tokio::test]
    async fn a_file_that_is_rewritten_gives_each_value_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut file = MetricsFile::new(path.clone());
        for value in [0.9, 0.8, 0.7] {
            fs::write(&path, format!("{{\"loss\": {value}}}\n")).unwrap();
            assert_eq!(values(&mut file, false).await, [value]);
        }
        let mut history = String::new();
        for value in [0.5, 0.4, 0.3] {
            history += &format!("{{\"loss\": {value}}}\n");
            fs::remove_file(&path).unwrap();
            fs::write(&path, &history).unwrap();
            assert_eq!(
                values(&mut file, false).await,
                [value],
                "the whole history each time"
            );
        }
        fs::write(&path, "{\"loss\": 0.5}\n{\"loss\": 0.2}\n").unwrap();
        let seen = file.read(false).await.unwrap();
        assert_eq!(
            (seen.repeated, seen.readings.len(), seen.restarted),
            (1, 1, true)
        );
    }
}
