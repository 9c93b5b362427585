//! Names of metrics that frameworks write: the tag, and before it the subfolder where two
//! subfolders have the same tag.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::kind::FrameworkFileKind;

/// How long a tag of one subfolder waits for the same tag in another one. Writers of both flush
/// together, and are read one after the other.
const HOLD: Duration = Duration::from_secs(2);
/// Names of subfolders that come in pairs.
const SPLITS: [&str; 9] = [
    "train",
    "training",
    "val",
    "valid",
    "validation",
    "test",
    "testing",
    "eval",
    "dev",
];

/// A number that a framework has logged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Its name in its file.
    pub(crate) tag: String,
    /// The program's own count, where it gave one.
    pub(crate) step: Option<i64>,
    /// May be NaN or infinite.
    pub(crate) value: f64,
}

/// The tags of one attempt.
#[derive(Debug, Default)]
pub(crate) struct Series {
    tags: BTreeMap<String, Tag>,
    /// Tags that a file which describes hyperparameters has given, and the kind of that file.
    given_by: BTreeMap<String, FrameworkFileKind>,
    /// Subfolders in which something was logged.
    folders: Vec<PathBuf>,
}

#[derive(Debug)]
struct Tag {
    kind: FrameworkFileKind,
    /// In the order in which they were seen; never empty.
    folders: Vec<PathBuf>,
    since: Duration,
    decision: Option<SeriesDecision>,
}

#[derive(Clone, Debug)]
enum SeriesDecision {
    /// The first folder has the plain name.
    Plain,
    /// All folders are named, from this one on.
    Prefixed(PathBuf),
}

/// The name of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// It is not decided yet.
    Wait,
    /// This is its name.
    Named(String),
    /// Another file has the same series.
    Repeated,
}

impl Series {
    /// Records that a folder has a tag, in a file of a kind.
    pub(crate) fn see(&mut self, kind: FrameworkFileKind, folder: &Path, tag: &str, now: Duration) {
        if !self.folders.iter().any(|known| known == folder) {
            self.folders.push(folder.to_owned());
        }
        match self.tags.get_mut(tag) {
            Some(known)
                if known.kind == kind && !known.folders.iter().any(|other| other == folder) =>
            {
                known.folders.push(folder.to_owned());
            }
            Some(_) => {}
            None => {
                let first = Tag {
                    kind,
                    folders: vec![folder.to_owned()],
                    since: now,
                    decision: None,
                };
                self.tags.insert(tag.to_owned(), first);
            }
        }
    }

    /// Records that an agent before this one has named a tag.
    pub(crate) fn restore(
        &mut self,
        kind: FrameworkFileKind,
        folder: &Path,
        tag: &str,
        name: &str,
    ) {
        self.see(kind, folder, tag, Duration::ZERO);
        let Some(known) = self
            .tags
            .get_mut(tag)
            .filter(|known| known.decision.is_none())
        else {
            return;
        };
        let prefix = name
            .strip_suffix(tag)
            .and_then(|prefix| prefix.strip_suffix('/'))
            .unwrap_or_default();
        let depth = prefix.split('/').filter(|part| !part.is_empty()).count();
        known.decision = Some(match folder.ancestors().nth(depth).filter(|_| depth > 0) {
            Some(root) => SeriesDecision::Prefixed(root.to_owned()),
            None => SeriesDecision::Plain,
        });
    }

    /// Returns the name of a tag that was seen. With `last`, no other folder can come. A file that
    /// describes hyperparameters often `repeats` results.
    pub(crate) fn name(
        &mut self,
        kind: FrameworkFileKind,
        folder: &Path,
        tag: &str,
        repeats: bool,
        now: Duration,
        last: bool,
    ) -> Naming {
        let is_alone = self.folders.len() < 2
            && !folder
                .file_name()
                .is_some_and(|name| SPLITS.iter().any(|split| name == *split));
        match self.given_by.get(tag) {
            Some(other) if *other != kind => return Naming::Repeated,
            Some(_) if self.tags.get(tag).is_some_and(|known| known.kind != kind) => {
                return Naming::Named(tag.to_owned());
            }
            _ => {}
        }
        let Some(known) = self.tags.get_mut(tag) else {
            self.given_by.insert(tag.to_owned(), kind);
            return Naming::Named(tag.to_owned());
        };
        if known.kind != kind || (repeats && known.folders.iter().any(|other| other != folder)) {
            return Naming::Repeated;
        }
        let decision = match &known.decision {
            Some(decision) => decision.clone(),
            None if known.folders.len() > 1 => SeriesDecision::Prefixed(common(&known.folders)),
            None if kind != FrameworkFileKind::Events
                || is_alone
                || last
                || now >= known.since + HOLD =>
            {
                SeriesDecision::Plain
            }
            None => return Naming::Wait,
        };
        known.decision = Some(decision.clone());
        let root = match decision {
            SeriesDecision::Plain if known.folders[0] == folder => {
                return Naming::Named(tag.to_owned());
            }
            SeriesDecision::Plain => common(&[known.folders[0].clone(), folder.to_owned()]),
            SeriesDecision::Prefixed(root) => root,
        };
        let below = folder
            .strip_prefix(&root)
            .ok()
            .or_else(|| folder.file_name().map(Path::new))
            .unwrap_or(folder);
        let prefix = below.to_string_lossy();
        Naming::Named(if prefix.is_empty() {
            tag.to_owned()
        } else {
            format!("{prefix}/{tag}")
        })
    }

    /// Returns whether a tag counts as the metric `asked`, by its folder; `None`: not decided yet,
    /// since `asked` itself may still come. With `last`, it cannot.
    pub(crate) fn is_alias(
        &self,
        asked: &str,
        folder: &Path,
        tag: &str,
        now: Duration,
        last: bool,
    ) -> Option<bool> {
        let is_alias = !self.tags.contains_key(asked) && is_alias(asked, folder, tag);
        let is_new = self
            .tags
            .get(tag)
            .is_some_and(|known| now < known.since + HOLD);
        if is_alias && is_new && !last {
            None
        } else {
            Some(is_alias)
        }
    }

    /// Returns the folders that have a tag under several names, for a message; empty where there is
    /// one.
    pub(crate) fn rivals(&self, tag: &str) -> &[PathBuf] {
        self.tags
            .get(tag)
            .map(|known| &known.folders[..])
            .filter(|folders| folders.len() > 1)
            .unwrap_or_default()
    }
}

/// Other names by which a sweep file may ask for a tag of a folder: with the folder's name, and the
/// names that Keras itself has.
fn is_alias(asked: &str, folder: &Path, tag: &str) -> bool {
    let folder = folder
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let with_folder = asked
        .strip_prefix(&folder)
        .is_some_and(|rest| !folder.is_empty() && rest.strip_prefix(['/', '.', '_']) == Some(tag));
    let keras = tag
        .strip_prefix("epoch_")
        .is_some_and(|name| match folder.as_str() {
            "validation" => asked.strip_prefix("val_") == Some(name),
            "train" => asked == name,
            _ => false,
        });
    let is_nested = |from: char, to: &str| asked.contains(from) && asked.replace(from, to) == tag;
    with_folder || keras || is_nested('.', "/") || is_nested('/', ".")
}

/// Returns whether a tag is one of TensorBoard's plugin for hyperparameters, which repeats results:
/// as `add_hparams` and Lightning write them.
pub(crate) fn is_of_hparams(tag: &str) -> bool {
    tag == "hp_metric" || tag.starts_with("hparam/")
}

/// Returns the deepest folder that holds all of these.
fn common(folders: &[PathBuf]) -> PathBuf {
    let first = folders.first().cloned().unwrap_or_default();
    let shared = first
        .ancestors()
        .find(|root| folders.iter().all(|folder| folder.starts_with(root)));
    shared.map(Path::to_owned).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Duration = Duration::from_secs(3);

    fn named(name: &str) -> Naming {
        Naming::Named(name.to_owned())
    }

    fn name(series: &mut Series, folder: &str, tag: &str, now: Duration) -> Naming {
        series.name(
            FrameworkFileKind::Events,
            Path::new(folder),
            tag,
            false,
            now,
            false,
        )
    }

    fn see(series: &mut Series, folder: &str, tag: &str) {
        series.see(
            FrameworkFileKind::Events,
            Path::new(folder),
            tag,
            Duration::ZERO,
        );
    }

    #[test]
    fn the_only_folder_gives_no_prefix() {
        let mut series = Series::default();
        see(&mut series, "/w/runs/Nov29_box", "Loss/val");
        assert_eq!(
            name(&mut series, "/w/runs/Nov29_box", "Loss/val", Duration::ZERO),
            named("Loss/val")
        );
    }

    #[test]
    fn folders_with_the_same_tag_become_prefixes() {
        let mut series = Series::default();
        see(&mut series, "/w/logs/train", "epoch_loss");
        assert_eq!(
            name(&mut series, "/w/logs/train", "epoch_loss", Duration::ZERO),
            Naming::Wait
        );
        see(&mut series, "/w/logs/validation", "epoch_loss");
        see(&mut series, "/w/logs/validation", "only_here");
        assert_eq!(
            name(&mut series, "/w/logs/train", "epoch_loss", Duration::ZERO),
            named("train/epoch_loss")
        );
        assert_eq!(
            name(&mut series, "/w/logs/validation", "epoch_loss", LATER),
            named("validation/epoch_loss")
        );
        assert_eq!(
            name(&mut series, "/w/logs/validation", "only_here", LATER),
            named("only_here")
        );
        assert_eq!(series.rivals("epoch_loss").len(), 2);
    }

    #[test]
    fn a_name_that_was_given_stays() {
        let mut series = Series::default();
        see(&mut series, "/w/logs/train", "loss");
        assert_eq!(
            name(&mut series, "/w/logs/train", "loss", LATER),
            named("loss")
        );
        see(&mut series, "/w/logs/test", "loss");
        assert_eq!(
            name(&mut series, "/w/logs/test", "loss", LATER),
            named("test/loss")
        );
        assert_eq!(
            name(&mut series, "/w/logs/train", "loss", LATER),
            named("loss")
        );
    }

    #[test]
    fn the_next_agent_gives_the_same_names() {
        let mut series = Series::default();
        series.restore(
            FrameworkFileKind::Events,
            Path::new("/w/logs/train"),
            "loss",
            "train/loss",
        );
        series.restore(
            FrameworkFileKind::Events,
            Path::new("/w/logs/train"),
            "acc",
            "acc",
        );
        see(&mut series, "/w/logs/val", "loss");
        see(&mut series, "/w/logs/val", "acc");
        assert_eq!(
            name(&mut series, "/w/logs/val", "loss", LATER),
            named("val/loss")
        );
        assert_eq!(
            name(&mut series, "/w/logs/train", "loss", LATER),
            named("train/loss")
        );
        assert_eq!(
            name(&mut series, "/w/logs/val", "acc", LATER),
            named("val/acc")
        );
        assert_eq!(
            name(&mut series, "/w/logs/train", "acc", LATER),
            named("acc")
        );
    }

    #[test]
    fn what_is_written_twice_counts_once() {
        let mut series = Series::default();
        let (run, hparams) = (Path::new("/w/runs/x"), Path::new("/w/runs/x/1764.5"));
        series.see(FrameworkFileKind::Events, run, "Loss/val", Duration::ZERO);
        assert_eq!(
            series.name(
                FrameworkFileKind::Events,
                hparams,
                "Loss/val",
                true,
                LATER,
                false
            ),
            Naming::Repeated
        );
        assert_eq!(
            series.name(
                FrameworkFileKind::Table,
                run,
                "Loss/val",
                false,
                LATER,
                false
            ),
            Naming::Repeated,
            "the same logger's CSV file"
        );
    }

    #[test]
    fn the_file_of_another_logger_beside_hyperparameters_counts_once() {
        let (board, csv) = (Path::new("/w/tb/version_0"), Path::new("/w/csv/version_0"));
        let mut series = Series::default();
        let named_by = |series: &mut Series, kind, folder, repeats| {
            series.name(kind, folder, "val_loss", repeats, LATER, false)
        };
        let (events, table) = (FrameworkFileKind::Events, FrameworkFileKind::Table);
        assert_eq!(
            named_by(&mut series, events, board, true),
            named("val_loss")
        );
        series.see(table, csv, "val_loss", Duration::ZERO);
        assert_eq!(
            named_by(&mut series, table, csv, false),
            Naming::Repeated,
            "the events came first"
        );
        assert_eq!(
            named_by(&mut series, events, board, true),
            named("val_loss")
        );
    }

    #[test]
    fn sweep_files_may_ask_as_keras_does() {
        let (train, validation) = (Path::new("/w/logs/train"), Path::new("/w/logs/validation"));
        assert!(
            is_alias("val_loss", validation, "epoch_loss")
                && !is_alias("val_loss", train, "epoch_loss")
        );
        assert!(
            is_alias("loss", train, "epoch_loss") && !is_alias("loss", validation, "epoch_loss")
        );
        assert!(
            is_alias("validation/epoch_loss", validation, "epoch_loss")
                && is_alias("train.loss", train, "loss")
        );
        assert!(
            is_alias("val.loss", Path::new("/w/x"), "val/loss")
                && is_alias("val/loss", Path::new("/w/x"), "val.loss")
                && !is_alias("x", Path::new("/"), "x/")
        );
    }
}
