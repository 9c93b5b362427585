//! The exact code that a run executes, uncommitted and untracked files included.
//!
//! [`Working`] looks at a working folder and says its version, the hash that git gives to the tree of all that is executed. [`Store`] keeps
//! versions, takes them in and gives them out as bundles, writes them into a folder and says how they differ. git does the work.
//!
//! Modules import rightwards only: `working → left_out → secret`; `working → store → git → error`.

mod error;
mod git;
mod left_out;
mod secret;
mod store;
mod working;

pub use error::CodeError;
pub use store::{CheckedOut, Size, Store, is_version};
pub use working::{Snapshot, Source, Working};
