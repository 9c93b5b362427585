//! The exact code that a run executes, uncommitted and untracked files included.
//!
//! [`Working`] looks at a working folder and says its version, the hash that git gives to the tree of all that is executed. [`CodeStore`] keeps
//! versions, takes them in and gives them out as bundles, writes them into a folder and says how they differ. [`Checkouts`] keeps a folder for each
//! version that is executed. git does the work.
//!
//! Modules import rightwards only: `suspect, turn → checkouts, working → patch, scan, store → attempts, git, left_out, outputs, own_files →
//! error, file_kind, known_outputs, private_file, secret`.

mod attempts;
mod checkouts;
mod error;
mod file_kind;
mod git;
mod known_outputs;
mod left_out;
mod outputs;
mod own_files;
mod patch;
mod private_file;
mod scan;
mod secret;
mod store;
mod suspect;
mod turn;
mod working;

pub use attempts::{AttemptRecords, RunningAttempt};
pub use checkouts::{Checkouts, folder_in};
pub use error::CodeError;
pub use git::end_all as end_all_git;
pub use own_files::REPRODUCED;
pub use patch::PATCH_BYTES_MAX;
pub use secret::{redacted, redacted_arguments, without_secrets_in_url};
pub use store::{Changes, CheckedOut, CodeStore, VersionSize, is_version};
pub use suspect::Suspect;
pub use turn::Turn;
pub use working::{Snapshot, Source, Working};
