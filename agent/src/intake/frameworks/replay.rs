//! Repeats what an earlier agent has read, from the journal.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::emission::fingerprint;
use super::files::Files;
use super::journal::{OpenedFile, Position};
use super::kind::FrameworkFileKind;
use super::rank::Choice;
use super::source::SeriesFile;
use super::update::FrameworkUpdate;

/// Readings of agents before this one that are returned at once.
const REPLAYED_MAX: usize = 10_000;

impl Files {
    /// Returns what an agent before this one has read.
    pub(super) fn replay(&mut self, seen: &mut FrameworkUpdate) {
        let mut has_begun = !self.sources.is_empty() || !self.discovery.baseline.is_empty();
        while seen.readings.len() < REPLAYED_MAX {
            let Some(entry) = self.journal.next() else {
                self.is_replaying = false;
                if !has_begun {
                    self.begin();
                }
                return;
            };
            has_begun |= entry.begun;
            for file in entry.baseline {
                self.discovery.baseline.insert(path_of(&file.path), file);
            }
            if let Some(OpenedFile {
                id,
                path,
                kind,
                is_named,
                rank,
                is_left_out,
            }) = entry.opened
                && let Some(kind) = FrameworkFileKind::of_number(kind)
            {
                let path = path_of(&path);
                self.discovery.know(path.clone());
                match kind {
                    FrameworkFileKind::Wandb if is_left_out => {
                        self.ranks.restore(&path, rank, Choice::LeftOut);
                    }
                    FrameworkFileKind::Wandb => {
                        self.ranks.restore(&path, rank, Choice::Read);
                        seen.wandb_files.push(path);
                    }
                    _ => self.sources.push(SeriesFile::new(
                        id,
                        path,
                        kind,
                        !is_named,
                        Position::default(),
                    )),
                }
            }
            if let Some(progress) = entry.progress {
                let source = self
                    .sources
                    .iter_mut()
                    .find(|source| source.id == progress.file);
                if let Some((source, position)) = source.zip(progress.position) {
                    source.go_to(position);
                    for (series, reading) in self.journal.points(&progress) {
                        let folder = source.folder.join(&series.group);
                        if source.kind == FrameworkFileKind::TrainerState {
                            self.emitted
                                .insert(fingerprint(&folder, &series.tag, reading.step));
                        }
                        // What was added under the name that the sweep file asks for has no tag.
                        if !series.tag.is_empty() {
                            source.restore_point(&series.tag, reading.step, reading.value);
                            self.series
                                .restore(source.kind, &folder, &series.tag, &series.name);
                            self.given.insert(series.name);
                        }
                        seen.readings.push(reading);
                    }
                }
            }
        }
    }
}

fn path_of(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}
