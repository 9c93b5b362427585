//! Files of lines: JSON, MLflow's file store (time, value, step), and what the attempt's own MLflow
//! endpoint has received.

use std::path::Path;

use serde::Deserialize;

use super::kind::{self, FrameworkFileKind};
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

/// Returns the samples of a text, each with the folder below that of the file, and how many bytes
/// need not be looked at again. Lines have to be complete, unless the text is the last one; JSON
/// objects may have several lines, or no end of line behind them.
pub(crate) fn read(
    kind: FrameworkFileKind,
    path: &Path,
    text: &[u8],
    last: bool,
) -> (Vec<(String, Sample)>, usize) {
    if kind == FrameworkFileKind::Lines {
        return objects(text, last);
    }
    let end = text
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    let end = if last { text.len() } else { end };
    let lines = text[..end]
        .split(|byte| *byte == b'\n')
        .filter(|line| line.len() <= LINE_BYTES_MAX)
        .map(String::from_utf8_lossy);
    let samples = match kind {
        FrameworkFileKind::MlflowMetric => {
            let name = kind::mlflow_run(path)
                .map(|(_, name)| name)
                .unwrap_or_default();
            lines
                .filter_map(|line| stored(&name, &line))
                .map(|sample| (String::new(), sample))
                .collect()
        }
        _ => lines.filter_map(|line| logged(&line)).collect(),
    };
    (samples, end)
}

fn objects(text: &[u8], last: bool) -> (Vec<(String, Sample)>, usize) {
    // A character may be cut.
    let (valid, rest) = match std::str::from_utf8(text) {
        Ok(valid) => (std::borrow::Cow::Borrowed(valid), 0),
        Err(error) if error.error_len().is_none() => (
            String::from_utf8_lossy(&text[..error.valid_up_to()]),
            text.len() - error.valid_up_to(),
        ),
        Err(_) => (String::from_utf8_lossy(text), 0),
    };
    let mut found = record::find(&valid);
    let unfinished = found
        .unfinished
        .filter(|_| !last && matches!(valid, std::borrow::Cow::Borrowed(_)));
    if unfinished.is_some() {
        found.readings.truncate(found.certain);
    }
    let taken = unfinished.unwrap_or(if last { text.len() } else { text.len() - rest });
    let sample = |reading: crate::intake::Reading| {
        (
            String::new(),
            Sample {
                tag: reading.name,
                step: reading.step,
                value: reading.value,
            },
        )
    };
    (found.readings.into_iter().map(sample).collect(), taken)
}

fn stored(name: &str, line: &str) -> Option<Sample> {
    let mut words = line.split_ascii_whitespace();
    let value = words.nth(1)?.parse().ok()?;
    Some(Sample {
        tag: name.to_owned(),
        step: words.next().and_then(|step| step.parse().ok()),
        value,
    })
}

fn logged(line: &str) -> Option<(String, Sample)> {
    let Logged {
        run,
        metric,
        step,
        value,
    } = serde_json::from_str(line).ok()?;
    let value = match value {
        serde_json::Value::Number(number) => number.as_f64()?,
        serde_json::Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    record::is_name(&metric).then_some((
        run,
        Sample {
            tag: metric,
            step: Some(step),
            value,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_each_kind_are_read() {
        let values = |kind: FrameworkFileKind,
                      path: &str,
                      text: &str|
         -> Vec<(String, String, Option<i64>, f64)> {
            let (found, taken) = read(kind, Path::new(path), text.as_bytes(), false);
            assert_eq!(taken, text.len());
            found
                .into_iter()
                .map(|(run, sample)| (run, sample.tag, sample.step, sample.value))
                .collect()
        };
        let point = |run: &str, name: &str, step| (run.to_owned(), name.to_owned(), step, 0.5);
        assert_eq!(
            values(
                FrameworkFileKind::Lines,
                "/m.jsonl",
                "{\"loss\": 0.5, \"step\": 3}\nnonsense\n"
            ),
            [point("", "loss", Some(3))]
        );
        let path = "/mlruns/0/0123456789abcdef0123456789abcdef/metrics/val/loss";
        assert_eq!(
            values(
                FrameworkFileKind::MlflowMetric,
                path,
                "1700000000000 0.5 3\n\nx\n"
            ),
            [point("", "val/loss", Some(3))]
        );
        let log = "{\"run\": \"a\", \"metric\": \"loss\", \"step\": 3, \"value\": 0.5}\n{\"run\": \"a\", \"param\": \"lr\", \"value\": \"1\"}\n";
        assert_eq!(
            values(FrameworkFileKind::MlflowLog, "/mlflow.jsonl", log),
            [point("a", "loss", Some(3))]
        );
        let log = "{\"run\": \"a\", \"metric\": \"loss\", \"step\": 3, \"value\": \"NaN\"}";
        assert!(
            read(
                FrameworkFileKind::MlflowLog,
                Path::new("/m"),
                log.as_bytes(),
                true
            )
            .0[0]
                .1
                .value
                .is_nan()
        );
    }

    #[test]
    fn objects_need_no_end_of_line_and_wait_for_their_own_end() {
        let values = |text: &str, last: bool| {
            let (found, taken) = read(
                FrameworkFileKind::Lines,
                Path::new("/m.json"),
                text.as_bytes(),
                last,
            );
            (
                found
                    .into_iter()
                    .map(|(_, sample)| sample.value)
                    .collect::<Vec<_>>(),
                taken,
            )
        };
        assert_eq!(values("{\"loss\": 0.5}", false), (vec![0.5], 13));
        assert_eq!(
            values("{\n  \"loss\": 0.5,\n  \"step\": 1\n}\n", false).0,
            [0.5]
        );
        assert_eq!(
            values("{\"loss\": 0.5}\n{\"loss\": 0.", false),
            (vec![0.5], 14)
        );
        assert_eq!(
            values("{\"loss\": {\"a\": 0.5}, ", false),
            (vec![], 0),
            "it is not known yet what the whole is"
        );
        assert_eq!(values("x\n{\"loss\": 0.4} {\"loss\"", true).0, [0.4]);
    }
}
