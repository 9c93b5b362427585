//! Files with metrics that are not read: tables and JSON files under other names that hold the
//! objective, and databases of MLflow.

use std::fs::Metadata;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Discovery, FileWriter};
use crate::intake::frameworks::kind::FrameworkFileKind;
use crate::intake::frameworks::source::Stamp;
use crate::intake::frameworks::table::Header;
use crate::intake::frameworks::walk;
use crate::intake::record;
use crate::private;

/// The beginning of a file in which the objective is looked for.
const BEGIN_BYTES: u64 = 4 << 10;
/// A file that was just written may be read in a moment, or what it holds may be printed.
const REST: Duration = Duration::from_secs(2);
/// The beginning of a database in which the names of MLflow's tables are.
const DATABASE_BYTES: u64 = 1 << 20;
const DATABASE_HEAD: &[u8] = b"SQLite format 3\0";
/// A table of MLflow's databases.
const DATABASE_TABLE: &[u8] = b"latest_metrics";
/// How often a database that changes is looked at.
const DATABASE_LOOKS_MAX: u32 = 20;

impl Discovery {
    /// Returns a file of the attempt that holds the objective and is not read. With `last`, nothing
    /// is written any more.
    pub(crate) fn unread(&self, asked: &str, last: bool) -> Option<PathBuf> {
        let now = SystemTime::now();
        let is_of_attempt = |path: &Path| {
            let about = path.symlink_metadata().ok()?;
            let changed = about.modified().ok()?;
            let rests = last || now.duration_since(changed).is_ok_and(|age| age >= REST);
            let is_new = changed >= self.since && self.is_of_user(path, &about);
            (rests && is_new && self.writer(path, &about) == FileWriter::ThisAttempt).then_some(())
        };
        let mut found = None;
        let mut look = |root: &Path, left_out: &[PathBuf]| {
            walk::files(root, left_out, self.since, |path| {
                if found.is_none()
                    && may_hold_metrics(&path)
                    && !self.known.contains(&path)
                    && is_of_attempt(&path).is_some()
                    && holds(&path, asked)
                {
                    found = Some(path);
                }
            });
        };
        look(&self.place.folder, &[]);
        look(
            &self.place.workdir,
            std::slice::from_ref(&self.place.runs_dir),
        );
        found
    }

    /// Returns a path as `metric_files` names it: from the working folder or the attempt's folder.
    pub(crate) fn name_of(&self, path: &Path) -> String {
        let place = &self.place;
        let name = [&place.folder, &place.workdir]
            .into_iter()
            .find_map(|folder| path.strip_prefix(folder).ok())
            .unwrap_or(path);
        globset::escape(&name.to_string_lossy())
    }

    /// Returns whether a file is a database of MLflow, under any name. Its tables are made later
    /// than itself.
    pub(super) fn is_mlflow_database(&mut self, path: &Path, about: &Metadata) -> bool {
        let stamp = Stamp::of(about);
        let (before, looks) = self.databases.entry(path.to_owned()).or_insert((None, 0));
        if *before == Some(stamp) || *looks >= DATABASE_LOOKS_MAX {
            return false;
        }
        (*before, *looks) = (Some(stamp), *looks + 1);
        let begin = begin_of(path, DATABASE_BYTES).unwrap_or_default();
        begin.starts_with(DATABASE_HEAD)
            && begin
                .windows(DATABASE_TABLE.len())
                .any(|part| part == DATABASE_TABLE)
    }
}

fn may_hold_metrics(path: &Path) -> bool {
    let is_text = path
        .extension()
        .and_then(|end| end.to_str())
        .is_some_and(|end| matches!(end, "csv" | "tsv" | "json" | "jsonl" | "ndjson"));
    is_text && FrameworkFileKind::of_known(path).is_none()
}

/// Returns whether a metric would be read from the beginning of a file if the sweep file named it.
fn holds(path: &Path, asked: &str) -> bool {
    let Some(begin) = begin_of(path, BEGIN_BYTES) else {
        return false;
    };
    let is_asked = |name: &str| name == asked || name.replace('.', "/") == asked;
    if FrameworkFileKind::of_named(path) == FrameworkFileKind::Table {
        let line = begin.split(|byte| *byte == b'\n').next();
        return line.is_some_and(|line| Header::read(line).columns().any(is_asked));
    }
    let found = record::find(&String::from_utf8_lossy(&begin));
    found.readings.iter().any(|reading| is_asked(&reading.name))
}

fn begin_of(path: &Path, bytes: u64) -> Option<Vec<u8>> {
    let mut begin = Vec::new();
    let file = private::open_of_program(path).ok()?;
    file.take(bytes).read_to_end(&mut begin).ok()?;
    Some(begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_objective_is_found_in_tables_and_in_json() {
        let folder = tempfile::tempdir().unwrap();
        let is_found = |name: &str, text: &str, asked: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            may_hold_metrics(&path) && holds(&path, asked)
        };
        for (name, text) in [
            ("history.csv", "val_loss,acc\n0.5,0.5\n"),
            ("h.csv", ",epoch,val_loss\n0,0,0.9\n"),
            ("log.tsv", "step\tval_loss\n"),
            ("metrics.jsonl", "{\"step\": 0, \"val_loss\": 0.9}\n{\"st"),
            ("metrics.json", "[{\"epoch\": 0, \"val_loss\": 0.9}]"),
        ] {
            assert!(is_found(name, text, "val_loss"), "{name}");
            assert!(!is_found(name, text, "loss"), "{name}");
        }
        assert!(is_found("n.json", "{\"val\": {\"loss\": 1.5}}", "val/loss"));
        assert!(
            !is_found("results.csv", "epoch,val_loss\n", "val_loss"),
            "it is read"
        );
        assert!(!is_found("notes.txt", "val_loss: 1\n", "val_loss"));
        assert!(!is_found(
            "config.json",
            "{\"metric\": \"val_loss\"}",
            "val_loss"
        ));
    }
}
