//! Files of lines: JSON, MLflow's file store (time, value, step), and what the attempt's own MLflow endpoint has received.

use std::path::Path;

use serde::Deserialize;

use super::kind::{self, Kind};
use super::series::Sample;
use crate::intake::record;

/// A longer line is left out.
pub(crate) const LINE_BYTES_MAX: usize = 4 << 20;

/// A line of the file that the MLflow endpoint writes.
#[derive(Deserialize)]
struct Logged {
    /// The name of the run.
    run: String,
    metric: String,
    step: i64,
    value: serde_json::Value,
}

/// Returns the samples of complete lines, each with the folder below that of the file.
pub(crate) fn read(kind: Kind, path: &Path, lines: &[u8]) -> Vec<(String, Sample)> {
    let texts = lines.split(|byte| *byte == b'\n').filter(|line| line.len() <= LINE_BYTES_MAX).map(String::from_utf8_lossy);
    match kind {
        Kind::MlflowMetric => {
            let name = kind::mlflow_run(path).map(|(_, name)| name).unwrap_or_default();
            texts.filter_map(|line| stored(&name, &line)).map(|sample| (String::new(), sample)).collect()
        }
        Kind::MlflowLog => texts.filter_map(|line| logged(&line)).collect(),
        _ => {
            let found = texts.flat_map(|line| record::find(&line).readings);
            found.map(|reading| (String::new(), Sample { tag: reading.name, step: reading.step, value: reading.value })).collect()
        }
    }
}

fn stored(name: &str, line: &str) -> Option<Sample> {
    let mut words = line.split_ascii_whitespace();
    let value = words.nth(1)?.parse().ok()?;
    Some(Sample { tag: name.to_owned(), step: words.next().and_then(|step| step.parse().ok()), value })
}

fn logged(line: &str) -> Option<(String, Sample)> {
    let Logged { run, metric, step, value } = serde_json::from_str(line).ok()?;
    let value = match value {
        serde_json::Value::Number(number) => number.as_f64()?,
        serde_json::Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    record::is_name(&metric).then_some((run, Sample { tag: metric, step: Some(step), value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_each_kind_are_read() {
        let values = |kind: Kind, path: &str, text: &str| -> Vec<(String, String, Option<i64>, f64)> {
            let found = read(kind, Path::new(path), text.as_bytes());
            found.into_iter().map(|(run, sample)| (run, sample.tag, sample.step, sample.value)).collect()
        };
        let point = |run: &str, name: &str, step| (run.to_owned(), name.to_owned(), step, 0.5);
        assert_eq!(values(Kind::Lines, "/m.jsonl", "{\"loss\": 0.5, \"step\": 3}\nnonsense\n"), [point("", "loss", Some(3))]);
        let path = "/mlruns/0/0123456789abcdef0123456789abcdef/metrics/val/loss";
        assert_eq!(values(Kind::MlflowMetric, path, "1700000000000 0.5 3\n\nx\n"), [point("", "val/loss", Some(3))]);
        let log =
            "{\"run\": \"a\", \"metric\": \"loss\", \"step\": 3, \"value\": 0.5}\n{\"run\": \"a\", \"param\": \"lr\", \"value\": \"1\"}\n";
        assert_eq!(values(Kind::MlflowLog, "/mlflow.jsonl", log), [point("a", "loss", Some(3))]);
        let log = "{\"run\": \"a\", \"metric\": \"loss\", \"step\": 3, \"value\": \"NaN\"}";
        assert!(read(Kind::MlflowLog, Path::new("/m"), log.as_bytes())[0].1.value.is_nan());
    }
}
