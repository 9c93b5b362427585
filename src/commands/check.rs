//! `sweep check`: reads sweep files and says what is wrong with them.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use sweep_lifecycle::spec::{
    Diagnostic, ParameterSummary, Severity, SweepSpec, example_configuration, parameter_summaries,
};

use crate::display::{diagnostic, out, printable};
use crate::shell;

/// Checks sweep files without running anything
///
/// Prints every mistake with its place and what would be right, and how a file without mistakes was understood: its parameters, and an example of a
/// command line. W&B's sweep files are taken as they are.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 all files are good (warnings allowed), 2 a file has a mistake or cannot be read.

Examples:
  sweep check sweep.yaml
  sweep check --json configs/*.yaml | jq .diagnostics
  generate-sweep | sweep check -"
)]
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
                (
                    false,
                    json!({"file": file, "ok": false, "diagnostics": [row]}).to_string(),
                )
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
    Ok(if all_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(2)
    })
}

fn checked(file: &str, text: &str, as_json: bool) -> (bool, String) {
    let (spec, diagnostics) = sweep_lifecycle::spec::parse(text);
    if as_json {
        let rows: Vec<_> = diagnostics.iter().map(row).collect();
        return (
            spec.is_some(),
            json!({"file": file, "ok": spec.is_some(), "diagnostics": rows}).to_string(),
        );
    }
    diagnostic::print(&diagnostics, file, text);
    match spec {
        Some(spec) => {
            let (understood, warnings) = understood(file, &spec);
            for warning in warnings {
                say!("warning: {file}: {}", printable(&warning));
            }
            (
                true,
                format!("{file}: {}{understood}", diagnostic::summary(&spec)),
            )
        }
        None => {
            let errors = diagnostics
                .iter()
                .filter(|diagnostic| diagnostic.severity == Severity::Error)
                .count();
            say!(
                "{file}: {errors} {}",
                if errors == 1 { "mistake" } else { "mistakes" }
            );
            (false, String::new())
        }
    }
}

/// Returns the parameters and an example of a command line, and warnings about the program.
fn understood(file: &str, spec: &SweepSpec) -> (String, Vec<String>) {
    let parameters = parameter_summaries(spec);
    let width = parameters
        .iter()
        .map(|parameter| parameter.name.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for ParameterSummary {
        name,
        values,
        condition,
    } in &parameters
    {
        let condition = if condition.is_empty() {
            String::new()
        } else {
            format!("; only when {condition}")
        };
        text += &format!(
            "\n  {:width$}  {}",
            printable(name),
            printable(&format!("{values}{condition}"))
        );
    }
    let program = spec.program.clone().unwrap_or_default();
    let example = sweep_agent::example_command(
        &spec.command,
        &program,
        &example_configuration(spec),
        spec.omit_none,
    );
    let lacks_program = program.is_empty() && spec.command.iter().any(|item| item == "${program}");
    if !example.arguments.is_empty() && !lacks_program {
        text += &format!(
            "\n  for example: {}",
            printable(&shell::line(&example.arguments))
        );
    }
    let mut warnings = example.warnings;
    warnings.extend(program_problem(file, &program));
    if let Some(first) = spec
        .command
        .first()
        .filter(|first| first.starts_with("${args"))
    {
        warnings.push(format!(
            "`command` begins with `{first}` and so names no program: `[\"${{env}}\", \"${{interpreter}}\", \"${{program}}\", \"{first}\"]` does"
        ));
    }
    (text, warnings)
}

/// Says so where agents that are started here would find no program.
fn program_problem(file: &str, program: &str) -> Option<String> {
    // Beside the sweep file or above it, as in a repository that is worked in from its root.
    let above = std::path::absolute(file).ok()?;
    if program.is_empty()
        || file == "-"
        || Path::new(program).exists()
        || above
            .ancestors()
            .any(|folder| folder.join(program).exists())
    {
        return None;
    }
    if program.contains(char::is_whitespace) {
        let needs_python = program.starts_with('-')
            || program
                .split_whitespace()
                .next()
                .is_some_and(|word| word.ends_with(".py"));
        let python = if needs_python {
            &["${env}", "${interpreter}"][..]
        } else {
            &[]
        };
        let words: Vec<_> = python
            .iter()
            .copied()
            .chain(program.split_whitespace())
            .map(|word| format!("\"{word}\""))
            .collect();
        return Some(format!(
            "`program` is one file, and there is no file `{program}`; a program with arguments is `command: [{}, \"${{args}}\"]`",
            words.join(", ")
        ));
    }
    Some(format!(
        "there is no `{program}` here nor beside the sweep file; start agents where it is, or give them --workdir"
    ))
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
