//! `sweep check`: reads sweep files and says what is wrong with them.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use sweep_lifecycle::spec::{Diagnostic, Severity};

use crate::display::{diagnostic, out};

/// Checks sweep files without running anything
///
/// Prints every mistake with its place and what would be right. W&B's sweep files are taken as they are.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 all files are good (warnings allowed), 2 a file has a mistake or cannot be read.

Examples:
  sweep check sweep.yaml
  sweep check --json configs/*.yaml | jq .diagnostics
  generate-sweep | sweep check -")]
pub(crate) struct CheckArgs {
    /// Sweep files; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,

    /// Print one JSON object a file
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &CheckArgs) -> Result<ExitCode> {
    let mut all_good = true;
    for file in &args.files {
        let (good, answer) = match diagnostic::read(file) {
            Ok(text) => checked(file, &text, args.json),
            Err(error) if args.json => {
                let row = json!({"severity": "error", "message": error.to_string(), "line": null, "column": null, "help": null});
                (false, json!({"file": file, "ok": false, "diagnostics": [row]}).to_string())
            }
            Err(error) => {
                crate::failure::print(&error);
                (false, String::new())
            }
        };
        all_good &= good;
        if !answer.is_empty() {
            writeln!(out(), "{answer}")?;
        }
    }
    Ok(if all_good { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn checked(file: &str, text: &str, as_json: bool) -> (bool, String) {
    let (spec, diagnostics) = sweep_lifecycle::spec::parse(text);
    if as_json {
        let rows: Vec<_> = diagnostics.iter().map(row).collect();
        return (spec.is_some(), json!({"file": file, "ok": spec.is_some(), "diagnostics": rows}).to_string());
    }
    diagnostic::print(&diagnostics, file, text);
    match spec {
        Some(spec) => (true, format!("{file}: {}", diagnostic::summary(&spec))),
        None => {
            let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
            eprintln!("{file}: {errors} {}", if errors == 1 { "mistake" } else { "mistakes" });
            (false, String::new())
        }
    }
}

fn row(diagnostic: &Diagnostic) -> serde_json::Value {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    json!({
        "severity": severity,
        "message": diagnostic.message,
        "line": diagnostic.span.map(|span| span.line),
        "column": diagnostic.span.map(|span| span.column),
        "help": diagnostic.help,
    })
}
