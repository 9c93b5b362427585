//! A metrics file that was found and will be read.

use std::path::PathBuf;

use super::kind::FrameworkFileKind;

/// A file to be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FoundFile {
    pub(crate) path: PathBuf,
    pub(crate) kind: FrameworkFileKind,
    /// The sweep file names it.
    pub(crate) is_named: bool,
    /// Of a file of W&B's library: the rank of the process that writes it.
    pub(crate) rank: Option<u32>,
}
