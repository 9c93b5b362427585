//! The file that `SWEEP_METRICS` names: JSON lines that the program appends.

use std::io;
use std::path::PathBuf;

use super::Reading;
use super::lines::Lines;
use super::record;
use super::tail::Tail;

/// Reads the metrics file of one attempt.
#[derive(Debug)]
pub(crate) struct MetricsFile {
    tail: Tail,
    lines: Lines,
    complained: bool,
}

/// What a look at the file brought.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Metrics, in order.
    pub(crate) readings: Vec<Reading>,
    /// The first line that is no JSON object, once an attempt; or why the file cannot be read.
    pub(crate) complaint: Option<String>,
    /// The program has begun the file anew: these are the first readings of it.
    pub(crate) restarted: bool,
    /// There may be more to read at once.
    pub(crate) more: bool,
}

impl MetricsFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { tail: Tail::new(path), lines: Lines::default(), complained: false }
    }

    /// Returns what is new. A line without an end waits for the rest of it, unless `last`. A file that has become shorter is read from its
    /// beginning: its program writes it anew.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) async fn read(&mut self, last: bool) -> io::Result<Seen> {
        let gain = self.tail.read().await?;
        if gain.restarted {
            self.lines = Lines::default();
        }
        let more = !gain.bytes.is_empty();
        let mut lines = self.lines.push(&gain.bytes);
        if last && !more {
            lines.extend(self.lines.finish());
        }
        let mut seen = Seen { more, restarted: gain.restarted, ..Seen::default() };
        if let Some(obstacle) = gain.obstacle {
            seen.complaint = Some(format!("$SWEEP_METRICS is not read while {obstacle}"));
        }
        for line in lines {
            match record::read_whole(&line.text) {
                Some(readings) => seen.readings.extend(readings),
                None if self.complained || line.text.trim().is_empty() => {}
                None => {
                    self.complained = true;
                    let start: String = line.text.chars().take(80).collect();
                    seen.complaint = Some(format!(
                        "a line of $SWEEP_METRICS is no JSON object and is left out: `{start}`; write lines like {{\"step\": 3, \"loss\": 0.21}}"
                    ));
                }
            }
        }
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    async fn values(file: &mut MetricsFile, last: bool) -> Vec<f64> {
        file.read(last).await.unwrap().readings.iter().map(|reading| reading.value).collect()
    }

    #[tokio::test]
    async fn partial_lines_wait_and_truncation_begins_anew() {
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
}
