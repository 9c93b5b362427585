//! Output: tables, a live view, diagnostics, and JSON.

pub(crate) mod code;
pub(crate) mod compare;
#[cfg(feature = "full")]
pub(crate) mod diagnostic;
pub(crate) mod edit;
pub(crate) mod environment;
mod failures;
pub(crate) mod json;
pub(crate) mod live;
mod run;
mod run_facts;
pub(crate) mod spark;
mod sweep;
pub(crate) mod table;
mod text;

pub(crate) use code::code;
pub(crate) use failures::{FailureGroup, failures};
pub(crate) use run::{attribution, best, chosen, recommendation, run, why};
pub(crate) use run_facts::{Constants, last_beside, metrics, params_line, said};
pub(crate) use sweep::sweep;
pub(crate) use text::{ago, bytes, counted, is_seen, number, out, printable, span, width};
