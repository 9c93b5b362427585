//! `sweep edit`: replaces the file of a sweep while it runs.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::Value;
use sweep_proto::v1::{EditSweepRequest, EditSweepResponse, Question, Sweep};

use crate::client::{Client, ControllerArgs, request_id};
use crate::commands::reread;
use crate::confirm::{asked, confirmed, is_interactive};
use crate::display::{self, diagnostic, out, printable};
use crate::failure::CommandError;

/// Edits the file of a sweep: its space, its objective, or other keys
///
/// Says first what changes and what that means for the runs so far, and asks. Nothing is thrown away: old runs inside the new space stay results, those
/// outside of it still inform the search, and a new metric or constraint is computed from what was reported. Running runs end as they are; waiting ones
/// that the new space does not hold are withdrawn. `sweep history` lists all edits, and --undo goes back behind the last one.
///
/// In the new file a parameter may say where it comes from: `was: 0.1` is what the code used before there was the parameter, and
/// `renamed_from: bs` its name before.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep edit ab12cd34                        in $EDITOR
  sweep edit ab12cd34 sweep.yaml
  sweep edit ab12cd34 sweep.yaml --dry-run   only show the effect
  sweep edit ab12cd34 sweep.yaml --yes --was dropout=0.1
  sweep edit ab12cd34 --undo

Exit status: 0 done, or nothing to do; 1 refused, or not confirmed; 2 the file has a mistake.")]
pub(crate) struct EditArgs {
    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// The new file; `-` is standard input. Without it, $VISUAL or $EDITOR opens the present one
    #[arg(value_name = "FILE", conflicts_with = "undo")]
    file: Option<String>,

    /// Go back behind the last edit
    #[arg(long)]
    undo: bool,

    /// Do it without asking
    #[arg(long, short, conflicts_with = "dry_run")]
    yes: bool,

    /// Only say what it would change
    #[arg(long)]
    dry_run: bool,

    /// The previous value of a new parameter; `NAME=?` if unknown
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "undo")]
    was: Vec<String>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

/// The user's previous values of new parameters: a value as JSON, or `None` if unknown.
type Answers = HashMap<String, Option<String>>;

pub(crate) async fn run(args: &EditArgs) -> Result<ExitCode> {
    let mut answers = args
        .was
        .iter()
        .map(|text| answer(text))
        .collect::<Result<Answers>>()?;
    let mut client = args.controller.connect().await?;
    let sweep = client.sweep(&args.sweep).await?;
    let Some(yaml) = wanted(args, &sweep)? else {
        writeln!(out(), "Nothing was changed.")?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut preview = edit(&client, args, &sweep, &yaml, &answers, 0, true).await?;
    let open: Vec<Question> = preview
        .questions
        .iter()
        .filter(|question| !answers.contains_key(&question.parameter))
        .cloned()
        .collect();
    if !open.is_empty() && !args.dry_run {
        explain(args, &open, &mut answers)?;
        preview = edit(&client, args, &sweep, &yaml, &answers, 0, true).await?;
    }
    let read = if args.undo || args.json {
        String::new()
    } else {
        reread::preview(&mut client, &sweep.id, &sweep.yaml, &yaml).await?
    };
    if preview.changes.is_empty() || args.dry_run {
        let code = shown(args, &sweep, &preview, false)?;
        write!(out(), "{read}")?;
        return Ok(code);
    }
    if args.yes {
        let _ = write!(std::io::stderr(), "{read}");
    } else {
        let _ = write!(
            std::io::stderr(),
            "{}{read}",
            display::edit::preview(&sweep, &preview)
        );
        if !confirmed("Do it?", false)? {
            say!("Nothing was changed.");
            return Ok(ExitCode::FAILURE);
        }
    }
    let done = edit(
        &client,
        args,
        &sweep,
        &yaml,
        &answers,
        preview.revision - 1,
        false,
    )
    .await?;
    shown(args, &sweep, &done, true)
}

/// Returns the new file; empty for an undo, `None` where the editor has left the old one as it was.
fn wanted(args: &EditArgs, sweep: &Sweep) -> Result<Option<String>> {
    match &args.file {
        _ if args.undo => Ok(Some(String::new())),
        Some(file) => {
            let text = diagnostic::read(file)?;
            diagnostic::parse(file, &text)?;
            Ok(Some(text))
        }
        None => edited(sweep),
    }
}

async fn edit(
    client: &Client,
    args: &EditArgs,
    sweep: &Sweep,
    yaml: &str,
    answers: &Answers,
    base: u32,
    dry_run: bool,
) -> Result<EditSweepResponse> {
    let answered = answers
        .iter()
        .filter_map(|(name, json)| Some((name.clone(), json.clone()?)));
    let request = EditSweepRequest {
        sweep_id: sweep.id.clone(),
        yaml: yaml.to_owned(),
        undo: args.undo,
        base,
        dry_run,
        was_json: answered.collect(),
        request_id: request_id()?,
    };
    client
        .call(request, async |mut service, request| {
            service.edit_sweep(request).await
        })
        .await
}

fn shown(
    args: &EditArgs,
    sweep: &Sweep,
    response: &EditSweepResponse,
    done: bool,
) -> Result<ExitCode> {
    if args.json {
        writeln!(out(), "{}", display::edit::json(sweep, response, done))?;
    } else if response.changes.is_empty() {
        writeln!(
            out(),
            "Nothing changes: sweep {} is what the file says.",
            sweep.id
        )?;
    } else if done {
        if args.yes {
            write!(out(), "{}", display::edit::preview(sweep, response))?;
        }
        writeln!(
            out(),
            "Sweep {} is at revision {} and is {}.",
            sweep.id,
            response.revision,
            response.state
        )?;
    } else {
        write!(out(), "{}", display::edit::preview(sweep, response))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks what the code used before for new parameters, or says how to say so.
fn explain(args: &EditArgs, open: &[Question], answers: &mut Answers) -> Result<()> {
    if args.yes || !is_interactive() {
        let names: Vec<_> = open
            .iter()
            .map(|question| format!("`{}`", printable(&question.parameter)))
            .collect();
        let first = printable(&open[0].parameter);
        let failure = CommandError::input(format!(
            "it is not known what the code used for {} until now",
            names.join(", ")
        ));
        let hint = format!(
            "add `was:` to the parameter in the file, or --was {first}=VALUE; --was '{first}=?' if it is unknown"
        );
        return Err(failure
            .hint(format!(
                "{hint}: then the search cannot use the runs so far"
            ))
            .into());
    }
    for Question {
        parameter,
        distribution,
    } in open
    {
        let name = printable(parameter);
        say!(
            "`{name}` is new ({}). What did the code use for it until now?",
            printable(distribution)
        );
        let line =
            asked("A value, or Enter if unknown (then the search cannot use the runs so far): ")?;
        let value = line.trim();
        answers.insert(
            parameter.clone(),
            (!value.is_empty()).then(|| scalar(value)),
        );
    }
    Ok(())
}

/// Reads `NAME=VALUE`.
fn answer(text: &str) -> Result<(String, Option<String>)> {
    let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
        return Err(
            CommandError::input(format!("--was {text}: it is written NAME=VALUE"))
                .hint("for example --was dropout=0.1")
                .into(),
        );
    };
    Ok((name.to_owned(), (value != "?").then(|| scalar(value))))
}

/// A value as JSON: what is not JSON is text.
fn scalar(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => value.to_string(),
        Err(_) => Value::from(text).to_string(),
    }
}

/// Opens the present file in the user's editor until it has no mistake or the user gives up.
fn edited(sweep: &Sweep) -> Result<Option<String>> {
    if !is_interactive() {
        let failure = CommandError::input("there is no terminal for an editor");
        return Err(failure
            .hint(format!(
                "name the new file: `sweep edit {} sweep.yaml --yes`",
                sweep.id
            ))
            .into());
    }
    let editor = ["VISUAL", "EDITOR"].iter().find_map(|name| {
        std::env::var(name)
            .ok()
            .filter(|value| !value.trim().is_empty())
    });
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    let file = tempfile::Builder::new()
        .prefix(&format!("sweep-{}-", sweep.id))
        .suffix(".yaml")
        .tempfile()?;
    std::fs::write(file.path(), &sweep.yaml)?;
    let name = file.path().display().to_string();
    loop {
        // As git does: an editor may be a command with arguments.
        let status = Command::new("sh")
            .args(["-c", &format!("{editor} \"$1\""), "sh", &name])
            .status();
        let status = status.with_context(|| format!("the editor `{editor}` cannot be started"))?;
        if !status.success() {
            return Err(CommandError::new(format!(
                "the editor `{editor}` ended with {status}; nothing was changed"
            ))
            .into());
        }
        let text = diagnostic::read(&name)?;
        if text == sweep.yaml {
            return Ok(None);
        }
        match diagnostic::parse(&name, &text) {
            Ok(_) => return Ok(Some(text)),
            Err(error) => {
                if !confirmed("The file has a mistake. Edit it again?", true)? {
                    let (_, path) = file.keep()?;
                    say!("What you wrote is in {}", path.display());
                    return Err(error);
                }
            }
        }
    }
}
