//! Tables with a heading, separated by commas, semicolons or tabs: Lightning's and Keras'
//! `CSVLogger`, ultralytics' `results.csv`. The heading shows the separator. Rows are appended, or
//! the whole file is written again with more columns: a row counts once either way.

use super::digest::digest;
use super::given::{self, GivenPoints};
use super::series::Sample;
use crate::intake::record;

/// Columns that count the program's progress, the finest first.
const STEPS: [&str; 7] = [
    "step",
    "global_step",
    "iteration",
    "iter",
    "trial",
    "batch",
    "epoch",
];
/// A longer row is no row of metrics.
const ROW_BYTES_MAX: usize = 1 << 20;

/// How far a file was read: enough to find the place again in a file that was rewritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RowPosition {
    /// Complete rows behind the header.
    pub(crate) rows: u64,
    /// A digest of the cells of those rows that are not empty.
    pub(crate) digest: u64,
}

/// The first line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    columns: Vec<String>,
    step: Option<usize>,
    separator: u8,
}

impl Header {
    /// Reads the first line.
    pub(crate) fn read(line: &[u8]) -> Self {
        let count = |separator: u8| line.iter().filter(|byte| **byte == separator).count();
        // Names may hold the other characters: what sets a column of steps apart is the separator.
        [b',', b';', b'\t']
            .map(|separator| Self::separated(line, separator))
            .into_iter()
            .max_by_key(|header| {
                let Self { separator, .. } = *header;
                (header.has_step(), count(separator), separator == b',')
            })
            .expect("there are three")
    }

    fn separated(line: &[u8], separator: u8) -> Self {
        let columns: Vec<String> = cells(line, separator)
            .into_iter()
            .map(|cell| cell.trim().trim_start_matches('\u{feff}').to_owned())
            .collect();
        let step = STEPS.iter().find_map(|name| {
            columns
                .iter()
                .position(|column| column.eq_ignore_ascii_case(name))
        });
        Self {
            columns,
            step,
            separator,
        }
    }

    /// Returns whether the file looks as frameworks write it: other tables of numbers have no
    /// column that counts steps.
    pub(crate) fn has_step(&self) -> bool {
        self.step.is_some() && self.columns.len() > 1
    }

    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(String::as_str)
    }

    /// Reads a row: its samples, and the digest of its cells.
    fn row(&self, line: &[u8]) -> (Vec<Sample>, u64) {
        let cells = cells(line, self.separator);
        let filled = || {
            let named = self.columns.iter().zip(&cells).enumerate();
            named
                .map(|(index, (name, cell))| (index, name, cell.trim()))
                .filter(|(_, name, cell)| !name.is_empty() && !cell.is_empty())
        };
        let digest = filled().fold(0u64, |sum, (_, name, cell)| {
            sum.wrapping_add(digest(name, cell))
        });
        let step = self
            .step
            .and_then(|step| cells.get(step))
            .and_then(|cell| cell.trim().parse::<f64>().ok());
        let step = step
            .filter(|step| step.fract() == 0.0 && step.abs() < 9e15)
            .map(|step| step as i64);
        let is_metric =
            |index: usize, name: &str| Some(index) != self.step && record::is_name(name);
        let samples = filled()
            .filter(|(index, name, _)| is_metric(*index, name))
            .filter_map(|(_, name, cell)| {
                Some(Sample {
                    tag: name.clone(),
                    step,
                    value: cell.parse().ok()?,
                })
            })
            .collect();
        (samples, digest)
    }
}

impl RowPosition {
    /// Takes complete lines and returns the samples of their rows.
    pub(crate) fn take(&mut self, header: &Header, lines: &[u8]) -> Vec<Sample> {
        let mut samples = Vec::new();
        for line in rows(lines) {
            let (found, digest) = header.row(line);
            samples.push(found);
            self.rows += 1;
            self.digest = self.digest.wrapping_mul(31).wrapping_add(digest);
        }
        given::in_order(samples)
    }

    /// Takes all lines of a file that was written again: returns the samples of the rows behind
    /// this position, or of all rows that were not given where the rows before it are others.
    /// `None`: the file has fewer rows, and may not be complete yet.
    pub(crate) fn take_again(
        &mut self,
        header: &Header,
        lines: &[u8],
        is_complete: bool,
        given: &GivenPoints,
    ) -> Option<Vec<Sample>> {
        let (mut again, mut is_same, mut behind) = (Self::default(), self.rows == 0, lines);
        for line in rows(lines) {
            if is_same || again.rows == self.rows {
                break;
            }
            again.take(header, line);
            is_same = again == *self;
            behind = &lines[line.as_ptr().addr() - lines.as_ptr().addr() + line.len()..];
        }
        if is_same {
            return Some(self.take(header, behind));
        }
        if !is_complete {
            return None;
        }
        *self = Self::default();
        Some(given.fresh(self.take(header, lines)))
    }
}

/// Returns the lines that are not empty.
fn rows(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines
        .split(|byte| *byte == b'\n')
        .filter(|line| line.len() <= ROW_BYTES_MAX && !line.trim_ascii().is_empty())
}

fn cells(line: &[u8], separator: u8) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .from_reader(line);
    let mut record = csv::ByteRecord::new();
    match reader.read_byte_record(&mut record) {
        Ok(true) => record
            .iter()
            .map(|cell| String::from_utf8_lossy(cell).into_owned())
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all(text: &str) -> Vec<(String, Option<i64>, f64)> {
        let (header, lines) = text.split_once('\n').unwrap();
        values(RowPosition::default().take(&Header::read(header.as_bytes()), lines.as_bytes()))
    }

    fn values(samples: Vec<Sample>) -> Vec<(String, Option<i64>, f64)> {
        samples
            .into_iter()
            .map(|sample| (sample.tag, sample.step, sample.value))
            .collect()
    }

    fn point(name: &str, step: i64, value: f64) -> (String, Option<i64>, f64) {
        (name.to_owned(), Some(step), value)
    }

    #[test]
    fn rows_of_lightning_have_empty_cells() {
        let found = all("epoch,step,train/loss,val/loss\n0,3,0.5,\n0,3,,0.4\n");
        assert_eq!(
            found,
            [
                point("epoch", 3, 0.0),
                point("train/loss", 3, 0.5),
                point("epoch", 3, 0.0),
                point("val/loss", 3, 0.4)
            ]
        );
    }

    #[test]
    fn names_of_ultralytics_are_padded() {
        let found = all(
            "                  epoch,         train/box_loss,      metrics/mAP50(B)\n   0,   1.5,  0.25\n",
        );
        assert_eq!(
            found,
            [
                point("train/box_loss", 0, 1.5),
                point("metrics/mAP50(B)", 0, 0.25)
            ]
        );
    }

    #[test]
    fn keras_writes_na_and_other_separators() {
        assert_eq!(
            all("epoch;accuracy;val_loss\n0;0.5;NA\n"),
            [point("accuracy", 0, 0.5)]
        );
        assert!(all("epoch,loss\n0,nan\n")[0].2.is_nan());
        assert!(
            !Header::read(b"fold,acc").has_step()
                && !Header::read(b"epoch").has_step()
                && Header::read(b"Epoch,acc").has_step()
        );
    }

    #[test]
    fn tabs_separate_cells_whatever_the_names_hold() {
        assert_eq!(
            all("step\tloss\tacc (top 1, %)\tnote, or not; or\r\n3\t0.5\t\tok\r\n4\t\t0.25\t1\r\n"),
            [
                point("loss", 3, 0.5),
                point("acc (top 1, %)", 4, 0.25),
                point("note, or not; or", 4, 1.0)
            ]
        );
        assert_eq!(
            all("step\tacc, top 1\n1\t0.5\n2\nbroken\n\t\n3\tx\n4\t0.25\t7\n"),
            [point("acc, top 1", 1, 0.5), point("acc, top 1", 4, 0.25)],
            "damaged rows have no metrics"
        );
    }

    #[test]
    fn a_file_with_new_columns_gives_each_row_once() {
        let mut position = RowPosition::default();
        position.take(&Header::read(b"step,a"), b"1,0.5\n2,0.4\n");
        let header = Header::read(b"a,b,step");
        let again = b"0.5,,1\n0.4,,2\n,7,3\n";
        assert_eq!(
            position
                .clone()
                .take_again(&header, &again[..8], false, &GivenPoints::default()),
            None,
            "it is being written"
        );
        assert_eq!(
            values(
                position
                    .take_again(&header, again, false, &GivenPoints::default())
                    .unwrap()
            ),
            [point("b", 3, 7.0)]
        );
        assert_eq!(position.rows, 3);
        assert_eq!(
            position.take_again(&header, again, false, &GivenPoints::default()),
            Some(vec![])
        );
    }

    #[test]
    fn rows_that_differ_in_last_characters_are_others() {
        let header = Header::read(b"a,val_loss");
        let digests: BTreeSet<u64> = (0..1000)
            .map(|row| header.row(format!("{row},0.{}", 1999 - row).as_bytes()).1)
            .collect();
        assert_eq!(digests.len(), 1000);
    }

    #[test]
    fn a_file_with_other_rows_is_another_one() {
        let mut position = RowPosition::default();
        let header = Header::read(b"epoch,loss");
        position.take(&header, b"0,0.5\n1,0.4\n");
        assert_eq!(
            position.take_again(&header, b"0,0.9\n", false, &GivenPoints::default()),
            None
        );
        assert_eq!(
            values(
                position
                    .take_again(&header, b"0,0.9\n", true, &GivenPoints::default())
                    .unwrap()
            ),
            [point("loss", 0, 0.9)]
        );
        assert_eq!(position.rows, 1);
    }
}
