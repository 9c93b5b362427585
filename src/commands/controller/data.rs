//! The data of a controller that does not run: backups, tokens, checks.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;
use sweep_access::TOKEN_FILE;
use sweep_controller::serve;

use super::args::{BackupArgs, DataDirArgs, VerifyArgs};
use super::process::explain;
use crate::display::out;
use crate::places;

pub(super) fn back_up(args: &BackupArgs) -> Result<ExitCode> {
    let data_dir = args.data_dir.clone().map_or_else(places::data_dir, Ok)?;
    let code = serve::back_up(&data_dir, &args.file).map_err(explain)?;
    for file in std::iter::once(&args.file).chain(&code) {
        let size = std::fs::metadata(file).map_or(0, |found| found.len());
        say!("Wrote {} ({} KiB).", file.display(), size.div_ceil(1024));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn restore(args: &BackupArgs) -> Result<ExitCode> {
    let data_dir = args.data_dir.clone().map_or_else(places::data_dir, Ok)?;
    serve::restore(&args.file, &data_dir).map_err(explain)?;
    say!(
        "Restored into {}; `sweep controller --data-dir {}` serves it.",
        data_dir.display(),
        data_dir.display()
    );
    say!(
        "Agents that still run are asked what they hold; new runs are handed out after one lease (60 s by default)."
    );
    Ok(ExitCode::SUCCESS)
}

pub(super) fn rotate_token(args: DataDirArgs) -> Result<ExitCode> {
    let data_dir = args.data_dir.map_or_else(places::data_dir, Ok)?;
    let token = serve::rotate_token(&data_dir).map_err(explain)?;
    writeln!(out(), "{token}")?;
    say!(
        "The token is also in {}; the old one is refused from the next start on.",
        data_dir.join(TOKEN_FILE).display()
    );
    Ok(ExitCode::SUCCESS)
}

/// Exit status 1: something is wrong.
pub(super) fn verify(args: &VerifyArgs) -> Result<ExitCode> {
    let data_dir = args.data_dir.clone().map_or_else(places::data_dir, Ok)?;
    let found = serve::verify(&data_dir).map_err(explain)?;
    let is_well = found.problems.is_empty();
    if args.json {
        let object = json!({
            "data_dir": data_dir, "events": found.events, "sweeps": found.sweeps, "runs": found.runs, "agents": found.agents,
            "points": found.points, "problems": found.problems, "can_rebuild": found.can_rebuild,
        });
        writeln!(out(), "{object}")?;
    } else {
        let mut out = out();
        writeln!(out, "events   {}", found.events)?;
        writeln!(
            out,
            "sweeps   {}, {} runs, {} metric points",
            found.sweeps, found.runs, found.points
        )?;
        writeln!(out, "agents   {}", found.agents)?;
        for problem in &found.problems {
            writeln!(out, "wrong    {problem}")?;
        }
        if is_well {
            writeln!(
                out,
                "All is well: checksums, log, tables and metrics fit each other."
            )?;
        }
        if found.can_rebuild {
            writeln!(
                out,
                "The log is whole: stop the controller, and `sweep controller rebuild` makes the rows from it again."
            )?;
        }
    }
    Ok(if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

pub(super) fn rebuild(args: &VerifyArgs) -> Result<ExitCode> {
    let data_dir = args.data_dir.clone().map_or_else(places::data_dir, Ok)?;
    let rebuilt = serve::rebuild(&data_dir).map_err(explain)?;
    if args.json {
        let tables = rebuilt.tables.iter().map(|table| {
            let counts =
                json!({"rows": table.rows, "changed": table.changed, "removed": table.removed});
            (table.name.to_owned(), counts)
        });
        let tables: serde_json::Map<_, _> = tables.collect();
        writeln!(
            out(),
            "{}",
            json!({"data_dir": data_dir, "events": rebuilt.events, "tables": tables})
        )?;
    } else {
        let mut out = out();
        for table in &rebuilt.tables {
            writeln!(
                out,
                "{:<13}{} rows, {} changed, {} removed",
                table.name, table.rows, table.changed, table.removed
            )?;
        }
        writeln!(
            out,
            "All rows follow from the {} events of the log. The output of runs is not in the log and stays as it is.",
            rebuilt.events
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
