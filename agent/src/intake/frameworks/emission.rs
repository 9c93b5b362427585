//! Names the points that were read, and returns them as readings.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::path::Path;

use super::digest::digest;
use super::files::Files;
use super::journal::{JournalEntry, NamedSeries};
use super::kind::FrameworkFileKind;
use super::series::{self, Naming};
use super::update::FrameworkUpdate;
use crate::intake::Reading;

/// Points of `trainer_state.json` that are told apart.
const EMITTED_MAX: usize = 1_000_000;

/// A series of a file: its folder below that of the file, and its tag.
type SeriesKey = (String, String);

/// The names of the series in a chunk.
struct Names {
    /// `None`: the series repeats another one.
    names: BTreeMap<SeriesKey, Option<String>>,
    /// Those that are the objective under another name as well.
    aliases: BTreeSet<SeriesKey>,
}

impl Files {
    /// Returns the points of a file as readings, unless the name of one of its series is undecided.
    pub(super) fn emit(&mut self, index: usize, last: bool, seen: &mut FrameworkUpdate) {
        let Some(Names { names, aliases }) = self.names_of(index, last) else {
            return;
        };
        let source = &mut self.sources[index];
        let Some(chunk) = &source.chunk else { return };
        let mut points = Vec::new();
        let mut came_itself = false;
        for (group, sample) in &chunk.samples {
            let folder = source.folder.join(group);
            let Some(Some(name)) = names.get(&(group.clone(), sample.tag.clone())) else {
                continue;
            };
            if source.kind == FrameworkFileKind::TrainerState
                && self.emitted.len() < EMITTED_MAX
                && !self
                    .emitted
                    .insert(fingerprint(&folder, &sample.tag, sample.step))
            {
                continue;
            }
            let series = NamedSeries {
                tag: sample.tag.clone(),
                name: name.clone(),
                group: group.clone(),
                file: source.id,
            };
            self.given.insert(name.clone());
            points.push((series.clone(), sample.step, sample.value));
            if name == &self.asked && sample.tag == self.asked {
                came_itself = true;
            }
            if aliases.contains(&(group.clone(), sample.tag.clone())) {
                self.alias = Some(folder.join(&sample.tag));
                points.push((
                    NamedSeries {
                        name: self.asked.clone(),
                        tag: String::new(),
                        ..series
                    },
                    sample.step,
                    sample.value,
                ));
            }
        }
        let position = chunk.position;
        source.chunk = None;
        if !points.is_empty() {
            let progress = self
                .journal
                .progress(self.sources[index].id, position, &points);
            self.write(&JournalEntry {
                progress: Some(progress),
                ..JournalEntry::default()
            });
        }
        seen.readings
            .extend(points.into_iter().map(|(series, step, value)| Reading {
                name: series.name,
                step,
                value,
            }));
        self.complain_of_rivals();
        if came_itself {
            self.complain_of_alias();
        }
    }

    /// Reports that the objective came under its own name after another series had counted as it.
    fn complain_of_alias(&mut self) {
        let Some(alias) = self.alias.take() else {
            return;
        };
        let asked = &self.asked;
        self.complaints.push(format!(
            "`{asked}` was read from {} until the program wrote `{asked}` itself: both are in its values; name one of them in the sweep file",
            alias.display()
        ));
    }

    /// Names the series of a chunk that was read. `None` while the name of one of them is undecided.
    fn names_of(&mut self, index: usize, last: bool) -> Option<Names> {
        let source = &self.sources[index];
        let chunk = source.chunk.as_ref()?;
        let (kind, now, repeats) = (source.kind, self.began.elapsed(), source.repeats_results());
        let mut names = BTreeMap::new();
        let mut aliases = BTreeSet::new();
        for (group, sample) in &chunk.samples {
            let btree_map::Entry::Vacant(unnamed) =
                names.entry((group.clone(), sample.tag.clone()))
            else {
                continue;
            };
            let folder = source.folder.join(group);
            let name = match self
                .series
                .name(kind, &folder, &sample.tag, repeats, now, last)
            {
                Naming::Wait => return None,
                Naming::Named(name) => Some(name),
                Naming::Repeated => None,
            };
            let name = name.filter(|_| {
                kind != FrameworkFileKind::Events
                    || sample.tag == self.asked
                    || !series::is_of_hparams(&sample.tag)
            });
            if name.as_ref().is_some_and(|name| *name != self.asked)
                && !self.given.contains(&self.asked)
            {
                match self
                    .series
                    .is_alias(&self.asked, &folder, &sample.tag, now, last)
                {
                    None => return None,
                    Some(true) => drop(aliases.insert((group.clone(), sample.tag.clone()))),
                    Some(false) => {}
                }
            }
            unnamed.insert(name);
        }
        Some(Names { names, aliases })
    }

    /// Warns where the sweep file asks for a name that several folders have.
    fn complain_of_rivals(&mut self) {
        let tag = self.asked.clone();
        if let [first, second, ..] = self.series.rivals(&tag)
            && !self.has_complained.contains("rivals")
        {
            let text = format!(
                "the objective `{tag}` is logged in {} and in {}: name one of them in the sweep file, as `{}/{tag}`",
                first.display(),
                second.display(),
                second.file_name().unwrap_or_default().display()
            );
            self.complaints.push(text);
            self.has_complained.insert("rivals");
        }
    }
}

/// Returns a hash that identifies a point of a `trainer_state.json`.
pub(super) fn fingerprint(folder: &Path, tag: &str, step: Option<i64>) -> u64 {
    digest(&folder.to_string_lossy(), &format!("{tag} {step:?}"))
}
