//! `sweep note`: adds a note or tags to a run, or pins it.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use sweep_proto::v1::AnnotateRunRequest;

use crate::client::{ControllerArgs, request_id, split_run};
use crate::display::{self, out};
use crate::failure::CommandError;

/// Adds a note or tags to a run, or pins it to the top of lists
///
/// Without a note or options, shows the note. The search does not use it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep note ab12cd34/7 \"the loss is noisy after epoch 20\"
  sweep note ab12cd34/7 --tag candidate --tag paper --pin
  sweep note ab12cd34/7 --untag candidate
  sweep note ab12cd34/7 \"\"          removes the note
  sweep runs ab12cd34 --tag paper")]
pub(crate) struct NoteArgs {
    /// The run, as <SWEEP>/<RUN>
    #[arg(value_name = "SWEEP/RUN")]
    run: String,

    /// The note; replaces the earlier one
    #[arg(value_name = "TEXT")]
    text: Option<String>,

    /// A tag to add, one word; may be given more than once
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,

    /// A tag to remove; may be given more than once
    #[arg(long, value_name = "TAG")]
    untag: Vec<String>,

    /// Pin it to the top of lists
    #[arg(long, conflicts_with = "unpin")]
    pin: bool,

    /// Unpin it
    #[arg(long)]
    unpin: bool,

    /// Print JSON: note, tags, pinned
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: &NoteArgs) -> Result<ExitCode> {
    let (sweep, Some(run)) = split_run(&args.run)? else {
        return Err(CommandError::input("a note is about one run")
            .hint(format!("for example `sweep note {}/1 TEXT`", args.run))
            .into());
    };
    let client = args.controller.connect().await?;
    let request = AnnotateRunRequest {
        sweep_id: sweep,
        run,
        request_id: request_id()?,
        note: args.text.clone(),
        add_tags: args.tag.clone(),
        remove_tags: args.untag.clone(),
        pinned: (args.pin || args.unpin).then_some(args.pin),
    };
    let answer = client
        .call(request, async |mut service, request| {
            service.annotate_run(request).await
        })
        .await?;
    let run = answer.run.unwrap_or_default();
    if args.json {
        writeln!(
            out(),
            "{}",
            json!({"note": run.note, "tags": run.tags, "pinned": run.pinned})
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let said = display::said(&run);
    writeln!(
        out(),
        "{}",
        if said.is_empty() {
            "it has no note, tags or pin"
        } else {
            &said
        }
    )?;
    Ok(ExitCode::SUCCESS)
}
