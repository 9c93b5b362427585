//! Finds out which attempt has written a file in a shared folder.

use std::fs::Metadata;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Discovery, FileWriter, process_folder};

/// Other attempts may write in a folder for this long before it counts as this attempt's.
pub(super) const FOLDER_PATIENCE: Duration = Duration::from_millis(2500);
/// How much a file system's clock lags behind the system's: it moves with the ticks of the kernel.
const FILE_CLOCK: Duration = Duration::from_millis(20);

/// The beginning of an attempt, and its end.
type AttemptTimes = (SystemTime, Option<SystemTime>);

impl Discovery {
    /// Returns whether a process is another attempt's, or at least runs and is not one of this
    /// attempt.
    fn is_of_others(&self, pid: i32) -> bool {
        let folder = process_folder(pid);
        self.registration.is_claimed_by_others(&folder) || folder.exists()
    }

    /// Returns the attempt that has written a file, as far as there is evidence.
    pub(super) fn writer(&self, path: &Path, about: &Metadata) -> FileWriter {
        let place = &self.place;
        if path.starts_with(&place.folder) || path.starts_with(&place.checkpoints) {
            return FileWriter::ThisAttempt;
        }
        match named_run(
            path.strip_prefix(&place.workdir).unwrap_or(path),
            &place.sweep,
        ) {
            Some(run) if run == place.run => return FileWriter::ThisAttempt,
            Some(_) => return FileWriter::OtherAttempt,
            None => {}
        }
        let others = self.registration.others();
        if others.is_empty() {
            return FileWriter::ThisAttempt;
        }
        // A change after all others have ended is this attempt's, also that of a file that one of
        // them had: names that contain the second may occur again.
        if let Ok(modified) = about.modified()
            && others
                .iter()
                .all(|(_, ended)| ended.is_some_and(|ended| ended < modified))
        {
            return FileWriter::ThisAttempt;
        }
        let is_rivalled = path
            .ancestors()
            .any(|part| self.registration.is_claimed_by_others(part));
        if self.written.contains(path) {
            return if self.registration.is_claimed_by_others(path) {
                FileWriter::Unclear
            } else {
                FileWriter::ThisAttempt
            };
        }
        match writing_process(path) {
            Some(pid) if self.pids.contains(&pid) => return FileWriter::ThisAttempt,
            Some(pid) if self.is_of_others(pid) => return FileWriter::OtherAttempt,
            Some(_) => {}
            // Others have been looked at meanwhile, and would have been seen in the folder.
            None if self
                .unclear
                .get(path)
                .is_some_and(|since| since.elapsed() >= FOLDER_PATIENCE)
                && !self.registration.has_foreign() =>
            {
                let is_in_folder = path
                    .parent()
                    .is_some_and(|folder| self.written.contains(folder));
                if (is_in_folder || path.ancestors().any(|part| self.folders.contains(part)))
                    && !is_rivalled
                {
                    return FileWriter::ThisAttempt;
                }
            }
            None => {}
        }
        if is_rivalled {
            return if path.ancestors().any(|part| self.written.contains(part)) {
                FileWriter::Unclear
            } else {
                FileWriter::OtherAttempt
            };
        }
        self.creator(path, about, &others)
    }

    /// Judges by the time at which a file was created: its creator writes it.
    fn creator(&self, path: &Path, about: &Metadata, others: &[AttemptTimes]) -> FileWriter {
        match about.created() {
            Ok(created) if !self.baseline.contains_key(path) => {
                let was_there = |(began, ended): &AttemptTimes| {
                    *began <= created + FILE_CLOCK && ended.is_none_or(|ended| created <= ended)
                };
                if others.iter().any(was_there) {
                    FileWriter::Unclear
                } else {
                    FileWriter::ThisAttempt
                }
            }
            _ => FileWriter::Unclear,
        }
    }
}

/// Returns the process that an event file's name says has made it:
/// `events.out.tfevents.<time>.<host>.<process>.<count>`.
pub(super) fn writing_process(path: &Path) -> Option<i32> {
    let (_, rest) = path.file_name()?.to_str()?.split_once("tfevents.")?;
    let rest = rest.strip_suffix(".v2").unwrap_or(rest);
    let parts: Vec<&str> = rest.split('.').collect();
    // A time, a host that may have dots, and two numbers.
    let [.., pid, count] = &parts[..] else {
        return None;
    };
    (parts.len() >= 4 && count.chars().next()?.is_ascii_digit()).then(|| pid.parse().ok())?
}

/// Returns the run that a path names, as `${sweep_id}` and `${run}` do: `abcd1234-7`, `abcd1234/7`,
/// `abcd1234_7`.
fn named_run(path: &Path, sweep: &str) -> Option<u64> {
    let text = path.to_string_lossy();
    text.match_indices(sweep).find_map(|(start, _)| {
        let rest = text[start + sweep.len()..].strip_prefix(['-', '/', '_'])?;
        let (number, rest) = rest.split_at(
            rest.find(|next: char| !next.is_ascii_digit())
                .unwrap_or(rest.len()),
        );
        if rest.starts_with(|next: char| next.is_ascii_alphabetic()) {
            None
        } else {
            number.parse().ok()
        }
    })
}
