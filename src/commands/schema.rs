//! `sweep schema`: the JSON Schema of sweep files.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::display::out;

/// Prints the JSON Schema of sweep files, for editors
///
/// With the YAML language server, put this on the first line of a sweep file:
/// `# yaml-language-server: $schema=sweep.schema.json`
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sweep schema > sweep.schema.json")]
pub(crate) struct SchemaArgs {}

pub(crate) fn run(_: &SchemaArgs) -> Result<ExitCode> {
    writeln!(out(), "{:#}", sweep_lifecycle::spec::schema())?;
    Ok(ExitCode::SUCCESS)
}
