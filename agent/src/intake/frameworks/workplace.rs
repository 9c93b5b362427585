//! The folders of an attempt, and the files that its sweep file names in them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use globset::GlobSet;

/// The folders of an attempt.
#[derive(Clone, Debug)]
pub(crate) struct Workplace {
    /// The attempt's folder.
    pub(crate) folder: PathBuf,
    /// The folder for checkpoints.
    pub(crate) checkpoints: PathBuf,
    pub(crate) workdir: PathBuf,
    pub(crate) runs_dir: PathBuf,
    pub(crate) sweep: String,
    pub(crate) run: u64,
    /// `metric_files` of the sweep file.
    pub(crate) metric_files: Vec<String>,
    /// The folder of the user's own MLflow file store.
    pub(crate) mlflow_store: Option<PathBuf>,
}

/// Files that the sweep file names.
#[derive(Debug, Default)]
pub(super) struct NamedFiles {
    pub(super) globs: GlobSet,
    /// Folders in which they are, besides the working folder.
    pub(super) roots: BTreeSet<PathBuf>,
}

impl NamedFiles {
    /// Compiles the globs. They count from the working folder and from the attempt's folder.
    pub(super) fn new(place: &Workplace) -> Self {
        let mut globs = GlobSet::builder();
        let mut roots = BTreeSet::new();
        for glob in &place.metric_files {
            for folder in [&place.workdir, &place.folder] {
                let escaped = globset::escape(&folder.to_string_lossy());
                let whole = if Path::new(glob).is_absolute() {
                    glob.clone()
                } else {
                    format!("{escaped}/{glob}")
                };
                // The controller has checked that it is a glob.
                globs.add(
                    match globset::GlobBuilder::new(&whole)
                        .literal_separator(true)
                        .build()
                    {
                        Ok(glob) => glob,
                        Err(_) => continue,
                    },
                );
                let literal = Path::new(glob).components().take_while(|part| {
                    !part
                        .as_os_str()
                        .to_string_lossy()
                        .contains(['*', '?', '[', '{'])
                });
                let root = folder.join(literal.collect::<PathBuf>());
                roots.insert(if root.is_dir() || whole != glob.as_str() {
                    root
                } else {
                    root.parent().unwrap_or(&root).to_owned()
                });
            }
        }
        roots.retain(|root| *root != place.workdir && root.is_absolute());
        Self {
            globs: globs.build().unwrap_or_default(),
            roots,
        }
    }
}
