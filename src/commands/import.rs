//! `sweep import`: runs that were executed elsewhere.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use sweep_lifecycle::spec;
use sweep_proto::v1::{ImportRunsRequest, ImportedRun, Run, Sweep};

use crate::client::{Client, ControllerArgs, request_id};

use crate::display::out;
use crate::failure::CommandError;
use crate::queries;

/// Runs in one call.
const BATCH: usize = 1000;
/// Runs that were left out are named up to this many.
const NAMED_MAX: usize = 20;
const BYTES_MAX: u64 = 256 << 20;

/// Imports runs that were executed elsewhere, so that the search learns from them
///
/// They count as runs of the sweep with their results, but not against its run cap. A run whose parameters do not fit the space, or that the sweep
/// has already, is left out and named.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep import ab12cd34 old.jsonl             {\"params\": {\"lr\": 0.01}, \"value\": 0.31} a line
  sweep import ab12cd34 wandb-export.csv      columns: the parameters, and the sweep's metric or `value`
  sweep import ab12cd34 --from-sweep k3x9q2ab

A line or row with a `failure` (its reason) in place of a value is a run that failed because of its parameters. `code_version` may name the
code that was executed. In W&B's export `State` counts: `crashed` and `failed` are failures, `running` and `killed` are left out. An empty cell is null
for a parameter that may be null, else it is absent. Other columns are ignored.")]
pub(crate) struct ImportArgs {
    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// JSON lines or CSV; `-` is standard input
    #[arg(
        value_name = "FILE",
        required_unless_present = "from_sweep",
        conflicts_with = "from_sweep"
    )]
    file: Option<String>,

    /// Take the ended runs of another sweep
    #[arg(long, value_name = "SWEEP")]
    from_sweep: Option<String>,

    /// How the file is written; by its name where this is absent
    #[arg(long, value_name = "FORMAT")]
    format: Option<ImportFormat>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ImportFormat {
    /// One JSON object a line
    Jsonl,
    /// A header and rows
    Csv,
}

pub(crate) async fn run(args: &ImportArgs) -> Result<ExitCode> {
    let mut client = args.controller.connect().await?;
    let sweep = client.sweep(&args.sweep).await?;
    let (entries, mut left_out) = match (&args.from_sweep, &args.file) {
        (Some(other), _) => {
            let other = client.sweep(other).await?;
            let ended = ["finished", "stopped", "failed"]
                .map(str::to_owned)
                .to_vec();
            let runs = queries::runs(&mut client, &other.id, ended)
                .await?
                .into_iter();
            let entries = runs.filter_map(|run| {
                Some(ImportEntry {
                    place: format!("run {}", run.run),
                    run: from_run(run)?,
                })
            });
            (entries.collect(), Vec::new())
        }
        (None, Some(file)) => {
            let text = read(file)?;
            let by_name = if file.to_ascii_lowercase().ends_with(".csv") {
                ImportFormat::Csv
            } else {
                ImportFormat::Jsonl
            };
            match args.format.unwrap_or(by_name) {
                ImportFormat::Csv => from_csv(file, &text, &sweep)?,
                ImportFormat::Jsonl => (from_lines(file, &text)?, Vec::new()),
            }
        }
        (None, None) => return Err(CommandError::input("name a file, or --from-sweep").into()),
    };
    let (imported, refused) = send(&client, &sweep, &entries).await?;
    left_out.extend(refused);
    let skipped = left_out;
    if args.json {
        writeln!(
            out(),
            "{}",
            json!({"sweep": sweep.id, "imported": imported, "skipped": skipped})
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    for reason in skipped.iter().take(NAMED_MAX) {
        say!("left out: {reason}");
    }
    if skipped.len() > NAMED_MAX {
        say!("left out: {} more", skipped.len() - NAMED_MAX);
    }
    let noun = if imported == 1 { "run" } else { "runs" };
    writeln!(
        out(),
        "{imported} {noun} imported into {}, {} left out",
        sweep.id,
        skipped.len()
    )?;
    Ok(ExitCode::SUCCESS)
}

/// A run, and where it was read: "line 7" or "run 7".
struct ImportEntry {
    place: String,
    run: ImportedRun,
}

impl ImportEntry {
    fn at_line(number: u64, run: ImportedRun) -> Self {
        let place = format!("line {number}");
        Self { place, run }
    }
}

async fn send(
    client: &Client,
    sweep: &Sweep,
    entries: &[ImportEntry],
) -> Result<(u64, Vec<String>)> {
    let (mut imported, mut skipped) = (0, Vec::new());
    for entries in entries.chunks(BATCH) {
        let runs = entries.iter().map(|entry| entry.run.clone()).collect();
        let request = ImportRunsRequest {
            sweep_id: sweep.id.clone(),
            request_id: request_id()?,
            runs,
        };
        let answer = client
            .call(request, async |mut service, request| {
                service.import_runs(request).await
            })
            .await?;
        imported += answer.imported;
        skipped.extend(answer.skipped.iter().map(|reason| placed(reason, entries)));
    }
    Ok((imported, skipped))
}

/// Puts the places of entries into a reason: the controller counts the entries of a call.
fn placed(reason: &str, entries: &[ImportEntry]) -> String {
    let mut words = reason.split(' ').peekable();
    let mut out: Vec<String> = Vec::new();
    while let Some(word) = words.next() {
        let number = words.peek().filter(|_| word == "entry").and_then(|next| {
            let digits = next.trim_end_matches([':', ',']);
            let entry = entries.get(digits.parse::<usize>().ok()?.checked_sub(1)?)?;
            Some(format!("{}{}", entry.place, &next[digits.len()..]))
        });
        match number {
            Some(place) => {
                words.next();
                out.push(place);
            }
            None => out.push(word.to_owned()),
        }
    }
    out.join(" ")
}

/// Reads a file, or standard input.
pub(super) fn read(file: &str) -> Result<String> {
    let mut text = String::new();
    let outcome = if file == "-" {
        std::io::stdin()
            .lock()
            .take(BYTES_MAX)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(file)
            .and_then(|opened| opened.take(BYTES_MAX).read_to_string(&mut text))
    };
    outcome.map_err(|error| CommandError::input(format!("cannot read {file}: {error}")))?;
    Ok(text)
}

/// A run of another sweep; `None` for a failure that is not attributed to the configuration.
fn from_run(run: Run) -> Option<ImportedRun> {
    let imported = ImportedRun {
        params_json: run.params_json,
        ..ImportedRun::default()
    };
    if let Some(value) = run.value {
        return Some(ImportedRun { value, ..imported });
    }
    let failure = run
        .attempts
        .last()
        .and_then(|newest| newest.failure.as_ref());
    let blamed =
        run.attempts.is_empty() || failure.is_some_and(|failure| failure.blame == "configuration");
    let failure = if run.reason.is_empty() {
        "failed".to_owned()
    } else {
        run.reason
    };
    blamed.then_some(ImportedRun {
        failure,
        ..imported
    })
}

fn from_lines(file: &str, text: &str) -> Result<Vec<ImportEntry>> {
    let mut runs = Vec::new();
    for (number, line) in (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let wrong = |reason: String| {
            let hint = r#"a line is {"params": {"lr": 0.01}, "value": 0.31}, or has a "failure" in place of the value"#;
            CommandError::input(format!("{file}:{number}: {reason}")).hint(hint)
        };
        let json: Value =
            serde_json::from_str(line).map_err(|error| wrong(format!("no JSON: {error}")))?;
        let params = json
            .get("params")
            .ok_or_else(|| wrong("`params` is missing".to_owned()))?;
        let failure = json
            .get("failure")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let value = match json.get("value") {
            Some(value) => value
                .as_f64()
                .ok_or_else(|| wrong(format!("the value {value} is not a number")))?,
            None if failure.is_empty() => {
                return Err(wrong("neither `value` nor `failure`".to_owned()).into());
            }
            None => 0.0,
        };
        let code_version = json
            .get("code_version")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let run = ImportedRun {
            params_json: params.to_string(),
            value,
            failure,
            code_version,
        };
        runs.push(ImportEntry::at_line(number, run));
    }
    Ok(runs)
}

/// Reads the runs of a CSV file. Returns also which rows are left out, and why.
fn from_csv(file: &str, text: &str, sweep: &Sweep) -> Result<(Vec<ImportEntry>, Vec<String>)> {
    let (spec, _) = spec::parse(&sweep.yaml);
    let parameters = spec
        .map(|spec| spec.space.parameters().to_vec())
        .unwrap_or_default();
    // Whether each may be null.
    let paths: BTreeMap<String, bool> = parameters
        .iter()
        .map(|parameter| {
            (
                parameter.path.to_string(),
                parameter.distribution.lists_null(),
            )
        })
        .collect();
    // The reader counts the line of a record before the `\n` of `\r\n`.
    let text = text.replace("\r\n", "\n");
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let columns: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let objective = [sweep.metric.as_str(), "value"]
        .into_iter()
        .find(|name| columns.iter().any(|column| column == name));
    let Some(objective) = objective else {
        let hint = format!("it has {}", columns.join(", "));
        return Err(CommandError::input(format!(
            "{file}: no column `{}` and none `value`",
            sweep.metric
        ))
        .hint(hint)
        .into());
    };
    let ignored: Vec<_> = columns
        .iter()
        .filter(|column| !paths.contains_key(*column) && !known(column, objective))
        .cloned()
        .collect();
    if !ignored.is_empty() {
        say!(
            "ignored, since no parameter is called so: {}",
            ignored.join(", ")
        );
    }
    let (mut runs, mut left_out) = (Vec::new(), Vec::new());
    for (index, row) in (2..).zip(reader.records()) {
        let row = row.map_err(|error| CommandError::input(format!("{file}:{index}: {error}")))?;
        // A cell may span lines.
        let number = row.position().map_or(index, csv::Position::line);
        let cell = |name: &str| {
            columns
                .iter()
                .position(|column| column == name)
                .and_then(|place| row.get(place))
                .unwrap_or_default()
        };
        let params: Map<String, Value> = paths
            .iter()
            .filter_map(|(path, may_be_null)| match cell(path) {
                "" | "None" | "null" | "NaN" if *may_be_null => Some((path.clone(), Value::Null)),
                "" => None,
                text => Some((path.clone(), scalar(text))),
            })
            .collect();
        let state = cell("State").to_ascii_lowercase();
        let is_known = matches!(
            state.as_str(),
            "" | "finished"
                | "failed"
                | "crashed"
                | "running"
                | "killed"
                | "pending"
                | "preempting"
                | "preempted"
        );
        if !is_known {
            return Err(CommandError::input(format!("{file}:{number}: `{}` is no state of a run under W&B", cell("State")))
                .hint("finished, failed and crashed are imported; running, killed, pending, preempting and preempted are left out")
                .into());
        }
        if matches!(
            state.as_str(),
            "running" | "killed" | "pending" | "preempting" | "preempted"
        ) {
            left_out.push(format!("line {number}: its state is {state}"));
            continue;
        }
        let failure = match cell("failure") {
            "" if matches!(state.as_str(), "failed" | "crashed") => format!("{state} under W&B"),
            failure => failure.to_owned(),
        };
        let value = match cell(objective) {
            "" if failure.is_empty() => {
                left_out.push(format!("line {number}: no value"));
                continue;
            }
            _ if !failure.is_empty() => 0.0,
            value => value.parse().map_err(|_| {
                CommandError::input(format!(
                    "{file}:{number}: the {objective} `{value}` is not a number"
                ))
            })?,
        };
        let code_version = cell("code_version").to_owned();
        let run = ImportedRun {
            params_json: Value::Object(params).to_string(),
            value,
            failure,
            code_version,
        };
        runs.push(ImportEntry::at_line(number, run));
    }
    Ok((runs, left_out))
}

fn known(column: &str, objective: &str) -> bool {
    column == objective || matches!(column, "failure" | "code_version" | "State")
}

/// A cell as JSON reads it, or as text.
fn scalar(cell: &str) -> Value {
    let python = match cell {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    };
    python
        .map(Value::Bool)
        .unwrap_or_else(|| serde_json::from_str(cell).unwrap_or_else(|_| cell.into()))
}
