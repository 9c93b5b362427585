//! Which files hold metrics, by their names.

use std::path::{Path, PathBuf};

use crate::mlflow;

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FrameworkFileKind {
    /// TensorBoard's event file.
    Events,
    /// A CSV file with a header.
    Table,
    /// `trainer_state.json` of Hugging Face's `Trainer`.
    TrainerState,
    /// A metric in MLflow's file store: lines of time, value and step.
    MlflowMetric,
    /// The log of the attempt's own MLflow endpoint.
    MlflowLog,
    /// JSON lines.
    Lines,
    /// A database; MLflow's is not read, and named.
    MlflowDatabase,
    /// A file of W&B's library, which [`wandb`](crate::intake::wandb) reads.
    Wandb,
}

/// Names of the CSV files that frameworks write: Lightning, ultralytics, Keras.
const TABLES: [&str; 4] = ["metrics.csv", "results.csv", "log.csv", "training.log"];
/// Endings of databases, which may be MLflow's.
const DATABASES: [&str; 3] = ["db", "sqlite", "sqlite3"];

impl FrameworkFileKind {
    /// Returns the number by which the journal knows it.
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Events => 1,
            Self::Table => 2,
            Self::TrainerState => 3,
            Self::MlflowMetric => 4,
            Self::MlflowLog => 5,
            Self::Lines => 6,
            Self::MlflowDatabase => 7,
            Self::Wandb => 8,
        }
    }

    /// Returns the kind of a number.
    pub(crate) fn of_number(number: u32) -> Option<Self> {
        let known = [
            Self::Events,
            Self::Table,
            Self::TrainerState,
            Self::MlflowMetric,
            Self::MlflowLog,
            Self::Lines,
            Self::MlflowDatabase,
            Self::Wandb,
        ];
        known.into_iter().find(|kind| kind.number() == number)
    }

    /// Returns the kind of a file that a framework is known to write.
    pub(crate) fn of_known(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        if name.contains("tfevents") {
            return Some(Self::Events);
        }
        match name {
            "trainer_state.json" => return Some(Self::TrainerState),
            mlflow::LOG => return Some(Self::MlflowLog),
            _ => {}
        }
        let has_end = |ends: &[&str]| {
            let end = path.extension().and_then(|end| end.to_str());
            end.is_some_and(|end| ends.contains(&end))
        };
        if has_end(&DATABASES) {
            return Some(Self::MlflowDatabase);
        }
        if name.starts_with("run-") && has_end(&["wandb"]) {
            return Some(Self::Wandb);
        }
        if TABLES.contains(&name) {
            return Some(Self::Table);
        }
        mlflow_run(path).map(|_| Self::MlflowMetric)
    }

    /// Returns the kind of a file that a program writes, or that the sweep file names: by its
    /// ending.
    pub(crate) fn of_named(path: &Path) -> Self {
        match Self::of_known(path) {
            Some(kind) => kind,
            None if path
                .extension()
                .is_some_and(|end| end == "csv" || end == "tsv") =>
            {
                Self::Table
            }
            None => Self::Lines,
        }
    }
}

/// Returns the folder that identifies the series of a file: of checkpoints the folder that holds
/// them, of MLflow's metrics the run.
pub(crate) fn series_folder(kind: FrameworkFileKind, path: &Path) -> PathBuf {
    let parent = path.parent().unwrap_or(path);
    match kind {
        FrameworkFileKind::TrainerState => {
            let is_checkpoint = parent
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("checkpoint-"));
            if is_checkpoint {
                parent.parent().unwrap_or(parent).to_owned()
            } else {
                parent.to_owned()
            }
        }
        FrameworkFileKind::MlflowMetric => {
            mlflow_run(path).map_or_else(|| parent.to_owned(), |(run, _)| run)
        }
        _ => parent.to_owned(),
    }
}

/// Returns the folder of the run and the name of the metric that a file of MLflow's file store
/// holds: `<experiment>/<run>/metrics/<name>`.
pub(crate) fn mlflow_run(path: &Path) -> Option<(PathBuf, String)> {
    let metrics = path.ancestors().skip(1).find(|folder| {
        let is_run =
            |name: &str| name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        folder.ends_with("metrics")
            && folder
                .parent()
                .and_then(|run| run.file_name()?.to_str())
                .is_some_and(is_run)
    })?;
    Some((
        metrics.parent()?.to_owned(),
        path.strip_prefix(metrics).ok()?.to_str()?.to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_frameworks_are_known_by_their_names() {
        let kind = |path: &str| FrameworkFileKind::of_known(Path::new(path));
        assert_eq!(
            kind("/w/runs/x/events.out.tfevents.1700000000.box.7.0"),
            Some(FrameworkFileKind::Events)
        );
        assert_eq!(
            kind("/w/logs/lightning_logs/version_0/metrics.csv"),
            Some(FrameworkFileKind::Table)
        );
        assert_eq!(
            kind("/w/out/checkpoint-8/trainer_state.json"),
            Some(FrameworkFileKind::TrainerState)
        );
        let run = "/w/mlruns/0/0123456789abcdef0123456789abcdef";
        assert_eq!(
            kind(&format!("{run}/metrics/val/loss")),
            Some(FrameworkFileKind::MlflowMetric)
        );
        assert_eq!(
            mlflow_run(Path::new(&format!("{run}/metrics/val/loss"))),
            Some((run.into(), "val/loss".to_owned()))
        );
        for other in [
            "/w/data.csv",
            "/w/metrics/loss",
            "/w/mlruns/0/meta.yaml",
            "/w/state.json",
        ] {
            assert_eq!(kind(other), None, "{other}");
        }
        assert_eq!(
            series_folder(
                FrameworkFileKind::TrainerState,
                Path::new("/w/out/checkpoint-8/trainer_state.json")
            ),
            Path::new("/w/out")
        );
    }

    #[test]
    fn kinds_keep_their_numbers() {
        for number in 1..=8 {
            assert_eq!(
                FrameworkFileKind::of_number(number).map(FrameworkFileKind::number),
                Some(number)
            );
        }
    }
}
