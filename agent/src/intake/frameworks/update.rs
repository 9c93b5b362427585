//! The result of reading the files of frameworks.

use std::path::PathBuf;

use crate::intake::Reading;

/// The result of one round of reading.
#[derive(Debug, Default)]
pub(crate) struct FrameworkUpdate {
    /// Metrics, in order.
    pub(crate) readings: Vec<Reading>,
    /// Warnings for the user.
    pub(crate) complaints: Vec<String>,
    /// Warnings about the program for the user, once for all its runs.
    pub(crate) remarks: Vec<String>,
    /// Files with metrics that are not read, and the remedy.
    pub(crate) unread: Vec<String>,
    /// The same where it is of no use if the objective comes by another way.
    pub(crate) unread_files: Vec<String>,
    /// Files that end within a record, which is no fault of a program that was ended.
    pub(crate) torn: Vec<String>,
    /// Files of W&B's library that were found, in an order that stays.
    pub(crate) wandb_files: Vec<PathBuf>,
    /// There may be more to read at once.
    pub(crate) more: bool,
}
