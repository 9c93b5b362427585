//! `sweep best`: the best configuration so far.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use sweep_proto::v1::Sweep;

use crate::client::{Client, ControllerArgs};
use crate::display::{self, json, out};
use crate::failure::CommandError;
use crate::queries;
use crate::shell;

/// Prints the best configuration so far
///
/// A single result may be luck: by default the recommended run is chosen, whose configuration a model of all results expects to be the best. With
/// `constraints`, only runs that keep to them count.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep best ab12cd34
  sweep best ab12cd34 --json | jq .params
  eval \"$(sweep best ab12cd34 --command)\"      run it again")]
pub(crate) struct BestArgs {
    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// The criterion: the model's mean for each configuration, or the single best value
    #[arg(long, value_enum, default_value = "model")]
    by: By,

    /// Print JSON
    #[arg(long, conflicts_with = "command")]
    json: bool,

    /// Print the shell line that runs the best configuration again, and nothing else: `sweep reproduce` where the program's own has no parameters
    #[arg(long)]
    command: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

/// The criterion for the best run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Model,
    Value,
}

pub(crate) async fn run(args: &BestArgs) -> Result<ExitCode> {
    let mut client = args.controller.connect().await?;
    let sweep = client.sweep(&args.sweep).await?;
    let Some(luckiest) = queries::best_run(&client, &sweep).await? else {
        return Err(none(&mut client, &sweep).await?.into());
    };
    let recommendation = match args.by {
        By::Model => queries::analysis(&client, &sweep)
            .await?
            .recommendation
            .filter(|recommendation| recommendation.by_model),
        By::Value => None,
    };
    let run = match &recommendation {
        Some(recommendation) if recommendation.run != luckiest.run => {
            queries::run(&client, &sweep, recommendation.run).await?
        }
        _ => None,
    };
    let run = run.unwrap_or_else(|| luckiest.clone());
    let mut out = out();
    if args.json {
        let mut object = json::run(&run);
        object["chosen_by"] = if recommendation.is_some() {
            "model"
        } else {
            "value"
        }
        .into();
        object["expected"] = recommendation
            .as_ref()
            .map(json::expected)
            .unwrap_or_default();
        writeln!(out, "{object}")?;
    } else if args.command {
        let command = shell::command_line(&run).ok_or_else(|| {
            CommandError::new(format!(
                "run {} was not started by an agent, so there is no command",
                run.run
            ))
        })?;
        writeln!(out, "{command}")?;
    } else {
        let title = if run.run == luckiest.run {
            "Best"
        } else {
            "Recommended run"
        };
        write!(out, "{}", display::chosen(title, &sweep, &run))?;
        if let Some(recommendation) = &recommendation {
            write!(
                out,
                "{}",
                display::recommendation(&sweep, recommendation, &luckiest)
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says why no run is the best.
async fn none(client: &mut Client, sweep: &Sweep) -> Result<CommandError> {
    if sweep.metric.is_empty() {
        let failure =
            CommandError::new(format!("sweep {} has no metric to rank runs by", sweep.id));
        return Ok(failure.hint("name one in the sweep file: `metric: {name: val_loss}`"));
    }
    let ended = queries::runs(
        client,
        &sweep.id,
        vec!["finished".to_owned(), "stopped".to_owned()],
    )
    .await?;
    let violating: Vec<_> = ended
        .iter()
        .filter(|run| run.value.is_some() && !run.violates.is_empty())
        .collect();
    let Some(nearest) = violating.iter().min_by_key(|run| run.violates.len()) else {
        let failure = CommandError::new(format!(
            "no run of sweep {} has a value of {} yet",
            sweep.id, sweep.metric
        ));
        return Ok(failure.hint(format!("`sweep show {}` says how far it is", sweep.id)));
    };
    let failure = CommandError::new(format!(
        "none of {} runs of sweep {} keeps to the constraints",
        violating.len(),
        sweep.id
    ));
    Ok(failure.hint(format!(
        "run {} violates {}",
        nearest.run,
        nearest.violates.join(" and ")
    )))
}
