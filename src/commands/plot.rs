//! `sweep plot`: a picture of a sweep, for papers and reports.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use sweep_proto::v1::{AnalyzeSweepResponse, SliceSweepRequest, SliceSweepResponse, Sweep};

use crate::client::{Client, ControllerArgs};

use crate::display::{out, printable};
use crate::failure::CommandError;
use crate::figures::{self, Picture, PngError, Subject};
use crate::queries;

/// Parameters whose slices are drawn where none is named.
const SLICES: usize = 4;

/// Plots a sweep, for papers and reports
///
/// The pictures are those of the page, on white, in colours that the colour-blind tell apart.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep plot ab12cd34 history --out history.svg
  sweep plot ab12cd34 slice --param lr --param dropout --out slice.png
  sweep plot ab12cd34 parallel > parallel.svg")]
pub(crate) struct PlotArgs {
    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// The kind of plot
    #[arg(value_name = "PICTURE", value_enum)]
    kind: PictureKind,

    /// For `slice`: along this parameter; can be given more than once. By default the most important ones
    #[arg(long, value_name = "NAME")]
    param: Vec<String>,

    /// Write it into a file that ends in .svg or .png; without, SVG goes to the standard output
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,

    #[command(flatten)]
    controller: ControllerArgs,
}

/// A kind of picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PictureKind {
    /// The result of each run and the best one so far
    History,
    /// Each run as a line through its parameters
    Parallel,
    /// Parameter importance
    Importance,
    /// The surrogate model along a parameter
    Slice,
}

pub(crate) async fn run(args: &PlotArgs) -> Result<ExitCode> {
    let pixels = args
        .out
        .as_deref()
        .map(in_pixels)
        .transpose()?
        .unwrap_or(false);
    if !args.param.is_empty() && args.kind != PictureKind::Slice {
        return Err(CommandError::input("--param is for `slice` alone").into());
    }
    let mut client = args.controller.connect().await?;
    let sweep = client.sweep(&args.sweep).await?;
    let runs = queries::runs(&mut client, &sweep.id, Vec::new()).await?;
    let subject = Subject::new(&sweep, &runs);
    let analysis = if args.kind == PictureKind::History {
        AnalyzeSweepResponse::default()
    } else {
        queries::analysis(&client, &sweep).await?
    };
    let picture = match args.kind {
        PictureKind::History => figures::history(&subject),
        PictureKind::Parallel => figures::parallel(&subject, &analysis),
        PictureKind::Importance => {
            figures::importance(&subject, &analysis).ok_or_else(|| too_few(&sweep, &analysis))?
        }
        PictureKind::Slice => {
            let names = named(&subject, &analysis, &args.param)?;
            slices(&client, &sweep, &subject, names)
                .await?
                .ok_or_else(|| too_few(&sweep, &analysis))?
        }
    };
    match &args.out {
        None => writeln!(out(), "{}", picture.svg)?,
        Some(path) if pixels => write(path, &figures::png(&picture.svg).map_err(no_pixels)?)?,
        Some(path) => write(path, picture.svg.as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Draws slices along parameters. `None`: the model does not know enough.
pub(crate) async fn slices(
    client: &Client,
    sweep: &Sweep,
    subject: &Subject<'_>,
    names: Vec<String>,
) -> Result<Option<Picture>> {
    let mut slices = Vec::new();
    for name in names {
        let slice = along(client, sweep, &name).await?;
        if !slice.mean.is_empty() {
            slices.push((name, slice));
        }
    }
    Ok((!slices.is_empty()).then(|| figures::slice(subject, &slices)))
}

/// The parameters that matter most.
pub(crate) fn most_important(analysis: &AnalyzeSweepResponse) -> Vec<String> {
    analysis
        .effects
        .iter()
        .take(SLICES)
        .map(|effect| effect.parameter.clone())
        .collect()
}

async fn along(client: &Client, sweep: &Sweep, name: &str) -> Result<SliceSweepResponse> {
    let request = SliceSweepRequest {
        sweep_id: sweep.id.clone(),
        x: name.to_owned(),
        ..SliceSweepRequest::default()
    };
    client
        .call(request, async |mut service, request| {
            service.slice_sweep(request).await
        })
        .await
}

fn named(
    subject: &Subject<'_>,
    analysis: &AnalyzeSweepResponse,
    asked: &[String],
) -> Result<Vec<String>> {
    if asked.is_empty() {
        return Ok(most_important(analysis));
    }
    for name in asked {
        if !subject.varied().any(|varied| varied == name) {
            let known: Vec<String> = subject.varied().map(printable).collect();
            let failure = CommandError::input(format!(
                "no parameter `{}` varies in this sweep",
                printable(name)
            ));
            return Err(failure
                .hint(format!("these do: {}", known.join(", ")))
                .into());
        }
    }
    Ok(asked.to_vec())
}

fn too_few(sweep: &Sweep, analysis: &AnalyzeSweepResponse) -> CommandError {
    let failure = CommandError::new(format!(
        "{} results of sweep {} say too little for a model",
        analysis.observations, sweep.id
    ));
    failure.hint("`history` and `parallel` can be drawn")
}

/// Says whether a file is to hold pixels, by its ending.
fn in_pixels(path: &Path) -> Result<bool> {
    match path
        .extension()
        .and_then(|ending| ending.to_str())
        .map(str::to_ascii_lowercase)
        .as_deref()
    {
        Some("svg") => Ok(false),
        Some("png") => Ok(true),
        _ => Err(CommandError::input(format!(
            "--out {}: a file that ends in .svg or .png",
            path.display()
        ))
        .into()),
    }
}

fn no_pixels(error: PngError) -> CommandError {
    let failure = CommandError::new(error.to_string());
    match error {
        PngError::NoFonts => {
            failure.hint("install some, such as the package fonts-dejavu-core, or write an .svg")
        }
        PngError::Drawing(_) => failure,
    }
}

/// Writes a file whole.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes)
        .map_err(|error| CommandError::input(format!("{}: {error}", path.display())).into())
}
