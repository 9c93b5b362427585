//! Detects secrets: files by their names, and keys, tokens and passwords in text.

mod forms;
mod names;
mod text;

pub(crate) use names::is_likely;
pub(crate) use text::{Finding, findings};
pub use text::{redacted, redacted_arguments, without_secrets_in_url};
