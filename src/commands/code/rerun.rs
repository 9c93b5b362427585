//! `sweep code rerun`: tries points again with the code that a sweep has now.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use sweep_proto::v1::rerun::Which;
use sweep_proto::v1::{Rerun, RerunPointsRequest};

use crate::client::{ControllerArgs, request_id};
use crate::display::{out, printable};
use crate::failure::CommandError;

/// Runs that are named.
const NAMED_MAX: usize = 10;

/// Reruns points with the present code of a sweep
///
/// Each gets a new run, and results of older code stay; no `run_cap` counts them, and a sweep that has ended runs again until they are done. What has a
/// result of that code is left out. A sweep with `code: {mode: track}` tries them with what its agents have: with the newest version that it has seen or,
/// where all results are of that, with the code that comes next.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep code rerun ab12cd34 best 3
  sweep code rerun ab12cd34 all")]
pub(super) struct RerunArgs {
    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// `best N` or `all`
    #[arg(value_name = "WHICH", num_args = 1..=2, required = true)]
    which: Vec<String>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(super) async fn run(args: &RerunArgs) -> Result<ExitCode> {
    let Some(rerun) = which(&args.which)? else {
        return Err(CommandError::input("`none`: nothing would be tried again")
            .hint("`best N` or `all`")
            .into());
    };
    let client = args.controller.connect().await?;
    let sweep = client.sweep(&args.sweep).await?;
    let request = RerunPointsRequest {
        sweep_id: sweep.id.clone(),
        request_id: request_id()?,
        rerun: Some(rerun),
    };
    let answer = client
        .call(request, async |mut service, request| {
            service.rerun_points(request).await
        })
        .await?;
    if args.json {
        writeln!(
            out(),
            "{}",
            json!({"sweep": sweep.id, "again": answer.again, "skipped": answer.skipped})
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let words = words(&answer.again, &answer.skipped);
    write!(
        out(),
        "{}",
        if words.is_empty() {
            "Nothing has ended that could be tried again\n"
        } else {
            &words
        }
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Reads `none`, `best N` or `all`.
pub(super) fn which(words: &[String]) -> Result<Option<Rerun>> {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let which = match words.as_slice() {
        ["none"] => return Ok(None),
        ["all"] => Some(Which::All(true)),
        ["best", count] => count
            .parse()
            .ok()
            .filter(|count| *count > 0)
            .map(Which::Best),
        _ => None,
    };
    match which {
        Some(which) => Ok(Some(Rerun { which: Some(which) })),
        None => {
            let failure = CommandError::input(format!(
                "`{}` does not name points to rerun",
                words.join(" ")
            ));
            Err(failure
                .hint("`none`, `best 3` or `all`; the sweep is named before it")
                .into())
        }
    }
}

/// Says what is tried again and what is not.
pub(super) fn words(again: &[u64], skipped: &[String]) -> String {
    let mut text = String::new();
    if !again.is_empty() {
        let named: Vec<_> = again.iter().take(NAMED_MAX).map(u64::to_string).collect();
        let more = if again.len() > NAMED_MAX { ", …" } else { "" };
        let (points, runs) = if again.len() == 1 {
            ("point is", "run")
        } else {
            ("points are", "runs")
        };
        let _ = writeln!(
            text,
            "{} {points} tried again: {runs} {}{more}",
            again.len(),
            named.join(", ")
        );
    }
    for reason in skipped.iter().take(NAMED_MAX) {
        let _ = writeln!(text, "Not tried again: {}", printable(reason));
    }
    if skipped.len() > NAMED_MAX {
        let _ = writeln!(text, "Nor are {} more", skipped.len() - NAMED_MAX);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_again_is_said_in_words() {
        let read =
            |words: &[&str]| which(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(read(&["none"]).unwrap(), None);
        assert_eq!(
            read(&["best", "3"]).unwrap(),
            Some(Rerun {
                which: Some(Which::Best(3))
            })
        );
        assert_eq!(
            read(&["all"]).unwrap(),
            Some(Rerun {
                which: Some(Which::All(true))
            })
        );
        for wrong in [
            &["best"][..],
            &["best", "0"],
            &["best", "x"],
            &["all", "ab12cd34"],
            &["some"],
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(
            words(&[4, 9], &["it runs".to_owned()]),
            "2 points are tried again: runs 4, 9\nNot tried again: it runs\n"
        );
    }
}
