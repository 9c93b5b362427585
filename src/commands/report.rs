//! `sweep report`: the results of a sweep, for a pull request, a colleague or a program.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use sweep_proto::v1::{AnalyzeSweepResponse, Run, Sweep};

use crate::ci::report::{self, Figure, Learnt, Reproduce};
use crate::ci::{SweepOutcome, SweepRunEnd};
use crate::client::{Client, ControllerArgs};
use crate::commands::{gate, plot};
use crate::display::out;
use crate::failure::CommandError;
use crate::figures::{self, Picture, Subject};
use crate::queries;
use crate::{shell, snapshots};

/// Reports the results of a sweep: Markdown for a pull request, a self-contained page, or JSON
///
/// Question, budget, the best configuration and its uncertainty, parameter importance, failures by cause, versions of the code, and how to reproduce it. The sweep need not
/// have ended. `sweep run --report` writes a shorter one at its end.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep report ab12cd34 --out report.html
  sweep report ef56gh78 --baseline ab12cd34 | gh pr comment --body-file -
  sweep report ab12cd34 --out report.md --figures figures")]
pub(crate) struct ReportArgs {
    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// Compare it with another sweep, or with a file as `sweep gate` takes it
    #[arg(long, value_name = "SWEEP|FILE")]
    baseline: Option<String>,

    /// Write it into a file instead of the standard output
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,

    /// In which format; by default what the ending of the file says, or else Markdown
    #[arg(long, value_enum)]
    format: Option<ReportFormat>,

    /// For Markdown: write the pictures into this folder as SVG and link them. A page has them inside
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,

    #[command(flatten)]
    controller: ControllerArgs,
}

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    Markdown,
    Html,
    Json,
}

impl ReportArgs {
    fn format(&self) -> ReportFormat {
        let ending = self
            .out
            .as_deref()
            .and_then(Path::extension)
            .and_then(|ending| ending.to_str())
            .unwrap_or_default();
        self.format
            .unwrap_or(match ending.to_ascii_lowercase().as_str() {
                "html" | "htm" => ReportFormat::Html,
                "json" => ReportFormat::Json,
                _ => ReportFormat::Markdown,
            })
    }
}

pub(crate) async fn run(args: &ReportArgs) -> Result<ExitCode> {
    let format = args.format();
    if args.figures.is_some() && format != ReportFormat::Markdown {
        return Err(CommandError::input(
            "--figures is for Markdown alone: a page has its pictures inside, and JSON has none",
        )
        .into());
    }
    let mut client = args.controller.connect().await?;
    let sweep = client.sweep(&args.sweep).await?;
    let (compared, comparison) = match &args.baseline {
        Some(baseline) => gate::against(&mut client, &sweep, baseline)
            .await
            .map(|against| (against.words, against.json))?,
        None => Default::default(),
    };
    let mut learnt = Learnt {
        analysis: queries::analysis(&client, &sweep).await?,
        versions: snapshots::versions(&client, &sweep).await?,
        compared,
        comparison,
        yaml: sweep.yaml.clone(),
        figures: Vec::new(),
    };
    let reproduce = reproduce(&client, &sweep).await?;
    let runs = queries::runs(&mut client, &sweep.id, Vec::new()).await?;
    let pictures = match format {
        ReportFormat::Json => Vec::new(),
        ReportFormat::Markdown if args.figures.is_none() => Vec::new(),
        ReportFormat::Markdown | ReportFormat::Html => {
            pictures(&client, &sweep, &runs, &learnt.analysis).await?
        }
    };
    learnt.figures = pictures
        .iter()
        .map(|picture| figure(picture, args))
        .collect();
    let last = runs
        .iter()
        .map(|run| run.ended_ms)
        .max()
        .unwrap_or(sweep.created_ms);
    let duration = Duration::from_millis(u64::try_from(last - sweep.created_ms).unwrap_or(0));
    let outcome = SweepOutcome {
        sweep,
        runs,
        duration,
        end: SweepRunEnd::Done,
    };
    let text = match format {
        ReportFormat::Markdown => report::account(&outcome, &learnt, &reproduce),
        ReportFormat::Html => report::html(
            outcome.title(),
            &report::account(&outcome, &learnt, &reproduce),
            &pictures,
        ),
        ReportFormat::Json => format!("{:#}\n", report::json(&outcome, &learnt, &reproduce)),
    };
    if let Some(folder) = &args.figures {
        std::fs::create_dir_all(folder)
            .map_err(|error| CommandError::input(format!("{}: {error}", folder.display())))?;
        for picture in &pictures {
            plot::write(
                &folder.join(format!("{}.svg", picture.name)),
                picture.svg.as_bytes(),
            )?;
        }
    }
    match &args.out {
        Some(path) => plot::write(path, text.as_bytes())?,
        None => write!(out(), "{text}")?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn reproduce(client: &Client, sweep: &Sweep) -> Result<Reproduce> {
    let best = queries::best_run(client, sweep).await?;
    // Without a known version of the code the line that was executed is all there is.
    let again = best
        .as_ref()
        .and_then(|best| match best.code_version.as_str() {
            "" => shell::command_line(best),
            _ => Some(format!("sweep reproduce {}/{} --run", sweep.id, best.run)),
        });
    Ok(Reproduce {
        sweep: "sweep create sweep.yaml".to_owned(),
        best: again,
    })
}

/// Draws what there is to draw.
async fn pictures(
    client: &Client,
    sweep: &Sweep,
    runs: &[Run],
    analysis: &AnalyzeSweepResponse,
) -> Result<Vec<Picture>> {
    let subject = Subject::new(sweep, runs);
    if sweep.metric.is_empty() || runs.is_empty() {
        return Ok(Vec::new());
    }
    let mut pictures = vec![
        figures::history(&subject),
        figures::parallel(&subject, analysis),
    ];
    pictures.extend(figures::importance(&subject, analysis));
    pictures.extend(plot::slices(client, sweep, &subject, plot::most_important(analysis)).await?);
    Ok(pictures)
}

/// Says where a picture lies, seen from the report; inside a page it is known by its name.
fn figure(picture: &Picture, args: &ReportArgs) -> Figure {
    let address = match &args.figures {
        None => picture.name.to_owned(),
        Some(folder) => {
            let beside = args
                .out
                .as_deref()
                .and_then(Path::parent)
                .and_then(|parent| folder.strip_prefix(parent).ok());
            beside
                .unwrap_or(folder)
                .join(format!("{}.svg", picture.name))
                .display()
                .to_string()
        }
    };
    Figure {
        caption: picture.caption.clone(),
        address,
    }
}
