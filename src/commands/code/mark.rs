//! `sweep code mark`: marks a version as unusable, or as the same as another one.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use sweep_proto::v1::MarkCodeRequest;
use sweep_proto::v1::mark_code_request::Mark;

use crate::client::{ControllerArgs, request_id};
use crate::display::{self, out};
use crate::failure::CommandError;
use crate::snapshots;

/// Marks a version as unusable, or as the same as another one
///
/// `same-as`: the search takes both versions for one, as after a change of comments. `unusable`: the version's runs stay listed, but the search does not learn
/// from them, and none of them is the best. `clear` takes it back.
#[derive(Debug, Args)]
#[command(
    after_help = "A version is written @2, 2, or as the beginning of its hash; `sweep code SWEEP` lists them.

Examples:
  sweep code mark ab12cd34 @2 same-as @1
  sweep code mark ab12cd34 @3 unusable
  sweep code mark ab12cd34 @3 clear"
)]
pub(super) struct MarkArgs {
    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// The version
    #[arg(value_name = "VERSION")]
    version: String,

    /// `same-as OTHER`, `unusable` or `clear`
    #[arg(value_name = "WHAT", num_args = 1..=2, required = true)]
    what: Vec<String>,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(super) async fn run(args: &MarkArgs) -> Result<ExitCode> {
    let words: Vec<_> = args.what.iter().map(String::as_str).collect();
    let other = match words.as_slice() {
        ["same-as", other] => Some(*other),
        ["unusable" | "clear"] => None,
        _ => {
            let failure =
                CommandError::input(format!("`{}` is not a mark of a version", words.join(" ")));
            return Err(failure.hint("`same-as @1`, `unusable` or `clear`").into());
        }
    };
    let client = args.controller.connect().await?;
    let sweep = client.sweep(&args.sweep).await?;
    let versions = snapshots::versions(&client, &sweep).await?;
    let version = snapshots::find(&sweep, &versions, &args.version)?;
    let other = other
        .map(|other| snapshots::find(&sweep, &versions, other))
        .transpose()?;
    let mark = match (&other, words.as_slice()) {
        (Some(other), _) => Some(Mark::SameAs(other.clone())),
        (None, ["unusable"]) => Some(Mark::Unusable(true)),
        (None, _) => None,
    };
    let request = MarkCodeRequest {
        sweep_id: sweep.id.clone(),
        request_id: request_id()?,
        version: version.clone(),
        mark,
    };
    client
        .call(request, async |mut service, request| {
            service.mark_code(request).await
        })
        .await?;
    let pinned = versions.iter().any(|known| {
        known.pinned
            && known
                .code
                .as_ref()
                .is_some_and(|code| code.version == version)
    });
    let version = display::code::short(&version);
    let mut out = out();
    match (other, words.as_slice()) {
        (Some(other), _) => writeln!(
            out,
            "Version {version} counts as {} from now on",
            display::code::short(&other)
        )?,
        (None, ["unusable"]) => writeln!(
            out,
            "results of version {version} are ignored from now on; its runs stay listed"
        )?,
        (None, _) => writeln!(out, "Version {version} is a version like any other again")?,
    }
    if pinned && words == ["unusable"] {
        say!(
            "The sweep is still pinned to it: `sweep code push {}` moves it to other code",
            sweep.id
        );
    }
    Ok(ExitCode::SUCCESS)
}
