//! `sweep logs`: the output of a run, from anywhere.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use sweep_proto::v1::GetLogsRequest;

use crate::client::{ControllerArgs, split_run};
use crate::display::{bytes, out};
use crate::failure::CommandError;

/// Prints the output of a run
///
/// Standard output and error of the program in the order in which they came. Of a longer output the controller keeps the first 10 MiB and the last 1 MiB,
/// and this command says what is missing in between; the whole is in the run's folder on the agent's machine.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep logs ab12cd34/7
  sweep logs -f ab12cd34/7
  sweep logs ab12cd34/7 --attempt 1")]
pub(crate) struct LogsArgs {
    /// The run, as <SWEEP>/<RUN>
    #[arg(value_name = "SWEEP/RUN")]
    run: String,

    /// Continue until the attempt ends
    #[arg(short, long)]
    follow: bool,

    /// The attempt; by default the newest
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: &LogsArgs) -> Result<ExitCode> {
    let (sweep_id, Some(run)) = split_run(&args.run)? else {
        return Err(
            CommandError::input(format!("`{}` names a sweep, not a run", args.run))
                .hint(format!("for example `sweep logs {}/1`", args.run))
                .into(),
        );
    };
    let mut client = args.controller.connect().await?;
    let request = GetLogsRequest {
        sweep_id,
        run,
        attempt: args.attempt.unwrap_or(0),
        offset: 0,
        follow: args.follow,
    };
    let stream = client.service.get_logs(request).await;
    let mut stream = stream
        .map_err(|status| client.explain(&status))?
        .into_inner();
    let mut end = 0;
    while let Some(chunk) = stream
        .message()
        .await
        .map_err(|status| client.explain(&status))?
    {
        let mut out = out();
        if chunk.offset > end {
            out.flush()?;
            say!(
                "\n[{} of output are missing here: the controller keeps the beginning and the end]",
                bytes(chunk.offset - end)
            );
        }
        end = chunk.offset + chunk.data.len() as u64;
        out.write_all(&chunk.data)?;
        out.flush()?;
    }
    if end == 0 {
        say!(
            "No output of {} is kept: nothing has been printed, or `sweep prune` has deleted it.",
            args.run
        );
    }
    Ok(ExitCode::SUCCESS)
}
