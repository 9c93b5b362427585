//! `sweep gate`: tests whether a sweep is worse than a baseline.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use sweep_proto::v1::{Run, Sweep};

use crate::ci::compare::{Comparison, Estimate, compare};
use crate::ci::junit;
use crate::client::{Client, ControllerArgs};

use crate::display::{number, out, printable};
use crate::failure::CommandError;
use crate::queries;

/// The default significance level.
const ALPHA: f64 = 0.05;

/// Tests whether a sweep is worse than a baseline, given the observed noise
///
/// Training has luck in it, so two results are never the same. With `repeats` in the sweep files, the repeats of each sweep's best configuration are
/// compared; without, what the model of the search expects of it. The sweep fails where it is worse by more than the margin with confidence.
#[derive(Debug, Args)]
#[command(
    after_help = "A file holds numbers, one a line or as a JSON list, or what `--save` wrote.

Exit status:
  0    not worse by more than the margin, with the given confidence
  1    worse
  2    bad input
  3    too few results to tell

Examples:
  sweep gate ab12cd34 --baseline ef56gh78 --margin 0.005
  sweep gate ab12cd34 --save baseline.json
  sweep gate ef56gh78 --baseline baseline.json --junit gate.xml"
)]
pub(crate) struct GateArgs {
    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// The baseline: another sweep, or a file
    #[arg(long, value_name = "SWEEP|FILE", required_unless_present = "save")]
    baseline: Option<String>,

    /// Compare this metric of the best configurations instead of the objective
    #[arg(long, value_name = "METRIC")]
    metric: Option<String>,

    /// The goal of that metric
    #[arg(long, value_enum, requires = "metric")]
    goal: Option<MetricGoal>,

    /// The significance level: the probability that equal sweeps fail
    #[arg(long, value_name = "SHARE", default_value_t = ALPHA)]
    alpha: f64,

    /// By how much the sweep may be worse, in the metric's unit
    #[arg(
        long,
        value_name = "X",
        default_value_t = 0.0,
        allow_hyphen_values = true
    )]
    margin: f64,

    /// Write the result of the sweep's best configuration as a baseline file for later
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    /// Write the verdict as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

/// The goal of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum MetricGoal {
    Minimize,
    Maximize,
}

/// One side of the comparison.
struct ComparedSide {
    name: String,
    /// The sources of the values, in words.
    basis: String,
    values: Vec<f64>,
    evidence: Option<Estimate>,
}

pub(crate) async fn run(args: &GateArgs) -> Result<ExitCode> {
    if !(args.alpha > 0.0 && args.alpha < 0.5) {
        return Err(CommandError::input(format!(
            "--alpha {}: a share above 0 and below 0.5, like 0.05",
            args.alpha
        ))
        .into());
    }
    if !(args.margin >= 0.0 && args.margin.is_finite()) {
        return Err(
            CommandError::input(format!("--margin {}: a number from 0 on", args.margin)).into(),
        );
    }
    let mut client = args.controller.connect().await?;
    let sweep = client.sweep(&args.sweep).await?;
    let maximize = is_maximized(args, &sweep)?;
    let candidate = of_sweep(&mut client, &sweep, args.metric.as_deref()).await?;
    if let Some(path) = &args.save {
        save(path, &sweep, args.metric.as_deref(), &candidate)?;
    }
    let Some(baseline) = &args.baseline else {
        say!("{} of {} is kept as a baseline", candidate.basis, sweep.id);
        return Ok(ExitCode::SUCCESS);
    };
    let baseline = side(&mut client, baseline, args.metric.as_deref()).await?;
    let compared = candidate.evidence.zip(baseline.evidence);
    let compared =
        compared.map(|(own, other)| compare(own, other, maximize, args.margin, args.alpha));
    let metric = args.metric.as_deref().unwrap_or(&sweep.metric);
    let words = in_words(
        metric,
        (args.margin, args.alpha),
        &candidate,
        &baseline,
        compared.as_ref(),
    );
    if let Some(path) = &args.junit {
        let failed = compared.is_none_or(|compared| compared.fails);
        let xml = junit::gate(
            &format!("{} against {}", candidate.name, baseline.name),
            failed,
            &words,
        )?;
        std::fs::write(path, xml)
            .map_err(|error| CommandError::input(format!("{}: {error}", path.display())))?;
    }
    if args.json {
        writeln!(
            out(),
            "{}",
            as_json(
                metric,
                (args.margin, args.alpha),
                &candidate,
                &baseline,
                compared.as_ref()
            )
        )?;
    } else {
        writeln!(out(), "{words}")?;
    }
    Ok(ExitCode::from(match compared {
        None => 3,
        Some(compared) => u8::from(compared.fails),
    }))
}

/// Says whether more is better. The sweep's goal speaks of its objective alone.
fn is_maximized(args: &GateArgs, sweep: &Sweep) -> Result<bool> {
    match (args.goal, &args.metric) {
        (Some(goal), _) => Ok(goal == MetricGoal::Maximize),
        (None, Some(metric)) if *metric != sweep.metric => {
            let failure =
                CommandError::input(format!("the goal of `{}` is unknown", printable(metric)));
            Err(failure
                .hint("`--goal minimize` or `--goal maximize`")
                .into())
        }
        _ => Ok(sweep.goal == "maximize"),
    }
}

/// Results of the best configuration of a sweep: its repeats, or the model's prediction.
async fn of_sweep(
    client: &mut Client,
    sweep: &Sweep,
    metric: Option<&str>,
) -> Result<ComparedSide> {
    let none = || {
        CommandError::input(format!(
            "no run of sweep {} has a result that counts",
            sweep.id
        ))
    };
    let best = queries::best_run(client, sweep).await?.ok_or_else(none)?;
    let first = best
        .repeats
        .as_ref()
        .map_or(best.run, |repeats| repeats.first);
    let all = queries::runs(
        client,
        &sweep.id,
        vec!["finished".to_owned(), "stopped".to_owned()],
    )
    .await?;
    let is_repeat = |run: &&Run| {
        run.repeats
            .as_ref()
            .map_or(run.run, |repeats| repeats.first)
            == first
    };
    let value = |run: &Run| match metric {
        None => run.value,
        Some(name) => run
            .attempts
            .iter()
            .rev()
            .find_map(|attempt| attempt.metrics.get(name).copied()),
    };
    let values: Vec<f64> = all.iter().filter(is_repeat).filter_map(value).collect();
    if let (true, Some(metric)) = (values.is_empty(), metric) {
        return Err(CommandError::input(format!(
            "run {}/{} did not report `{}`",
            sweep.id,
            best.run,
            printable(metric)
        ))
        .into());
    }
    let name = if sweep.name.is_empty() {
        sweep.id.clone()
    } else {
        format!("{} ({})", sweep.id, printable(&sweep.name))
    };
    if let Some(evidence) = Estimate::of_values(&values) {
        return Ok(ComparedSide {
            name,
            basis: format!("{} repeats of the best configuration", values.len()),
            values,
            evidence: Some(evidence),
        });
    }
    // Of other metrics there is no model.
    let model = match metric {
        None => queries::analysis(client, sweep)
            .await?
            .recommendation
            .filter(|recommendation| recommendation.by_model),
        Some(_) => None,
    };
    let evidence = model.map(|model| Estimate::of_model(model.mean, model.deviation));
    let basis = if evidence.is_some() {
        "what the model expects of the best configuration"
    } else {
        "a single result"
    };
    Ok(ComparedSide {
        name,
        basis: basis.to_owned(),
        values,
        evidence,
    })
}

/// The comparison of a sweep with a baseline.
pub(crate) struct Against {
    /// In words.
    pub(crate) words: String,
    /// For machines.
    pub(crate) json: Value,
}

/// Compares a sweep with a baseline by the gate's usual terms.
pub(crate) async fn against(client: &mut Client, sweep: &Sweep, baseline: &str) -> Result<Against> {
    let candidate = of_sweep(client, sweep, None).await?;
    let other = side(client, baseline, None).await?;
    let compared = candidate.evidence.zip(other.evidence);
    let compared =
        compared.map(|(own, other)| compare(own, other, sweep.goal == "maximize", 0.0, ALPHA));
    let terms = (0.0, ALPHA);
    let words = in_words(&sweep.metric, terms, &candidate, &other, compared.as_ref());
    Ok(Against {
        words,
        json: as_json(&sweep.metric, terms, &candidate, &other, compared.as_ref()),
    })
}

/// The result of a baseline: another sweep, or a file.
async fn side(client: &mut Client, baseline: &str, metric: Option<&str>) -> Result<ComparedSide> {
    if Path::new(baseline).is_file() {
        return of_file(Path::new(baseline));
    }
    let other = client.sweep(baseline).await?;
    of_sweep(client, &other, metric).await
}

fn of_file(path: &Path) -> Result<ComparedSide> {
    let wrong = |what: String| CommandError::input(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let name = path.display().to_string();
    let numbers = |values: Vec<f64>| {
        let evidence = Estimate::of_values(&values);
        ComparedSide {
            name: name.clone(),
            basis: format!("{} values", values.len()),
            values,
            evidence,
        }
    };
    if let Ok(values) = serde_json::from_str::<Vec<f64>>(&text) {
        return Ok(numbers(values));
    }
    if let Ok(Value::Object(saved)) = serde_json::from_str(&text) {
        let values: Vec<f64> = saved
            .get("values")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_f64)
            .collect();
        let figure = |name: &str| saved.get(name).and_then(Value::as_f64);
        if let (true, Some(mean), Some(deviation)) =
            (values.len() < 2, figure("mean"), figure("deviation"))
        {
            let evidence = Some(Estimate::of_model(mean, deviation));
            return Ok(ComparedSide {
                name,
                basis: "what a model expected".to_owned(),
                values,
                evidence,
            });
        }
        return if saved.contains_key("values") {
            Ok(numbers(values))
        } else {
            Err(wrong("it has no `values`".to_owned()).into())
        };
    }
    let mut values = Vec::new();
    for (place, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let value = line
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|value| value.is_finite());
        values.push(value.ok_or_else(|| {
            wrong(format!(
                "line {}: `{}` is not a number",
                place + 1,
                printable(line.trim())
            ))
        })?);
    }
    Ok(numbers(values))
}

fn save(path: &Path, sweep: &Sweep, metric: Option<&str>, side: &ComparedSide) -> Result<()> {
    let model = side
        .evidence
        .filter(|evidence| evidence.freedom.is_infinite());
    let object = json!({
        "generator": "sweep",
        "sweep": sweep.id,
        "metric": metric.unwrap_or(&sweep.metric),
        "goal": sweep.goal,
        "values": side.values,
        "mean": model.map(|model| model.mean),
        "deviation": model.map(|model| model.error),
    });
    std::fs::write(path, format!("{object}\n"))
        .map_err(|error| CommandError::input(format!("{}: {error}", path.display())))?;
    Ok(())
}

fn in_words(
    metric: &str,
    (margin, alpha): (f64, f64),
    candidate: &ComparedSide,
    baseline: &ComparedSide,
    compared: Option<&Comparison>,
) -> String {
    let sides = format!(
        "{} of {} against {} of {}",
        candidate.basis, candidate.name, baseline.basis, baseline.name
    );
    let Some(compared) = compared else {
        let hint =
            "set `repeats: 5` in the sweep file, or wait for more results, to estimate the noise";
        return format!("inconclusive: {sides}; {hint}");
    };
    let Comparison {
        worse_by,
        interval,
        fails,
        detectable,
    } = *compared;
    let way = if worse_by > 0.0 { "worse" } else { "better" };
    let level = 100.0 * (1.0 - 2.0 * alpha);
    let verdict = if fails { "fail" } else { "pass" };
    let signed = |value: f64| number(value).replacen('-', "−", usize::from(value < 0.0));
    let interval = format!(
        "{level:.0} % CI {} to {}",
        signed(interval.0),
        signed(interval.1)
    );
    let seen = if fails {
        String::new()
    } else {
        format!(
            "\nMinimum detectable difference: {} (power 80 %)",
            number(detectable)
        )
    };
    format!(
        "{verdict}: {} {} {way} than baseline ({interval}; margin {})\n{sides}{seen}",
        printable(metric),
        number(worse_by.abs()),
        number(margin)
    )
}

fn as_json(
    metric: &str,
    (margin, alpha): (f64, f64),
    candidate: &ComparedSide,
    baseline: &ComparedSide,
    compared: Option<&Comparison>,
) -> Value {
    let side = |side: &ComparedSide| json!({"name": side.name, "basis": side.basis, "mean": side.evidence.map(|own| own.mean), "error": side.evidence.map(|own| own.error), "values": side.values});
    json!({
        "verdict": compared.map_or("cannot tell", |compared| if compared.fails { "fails" } else { "passes" }),
        "metric": metric,
        "worse_by": compared.map(|compared| compared.worse_by),
        "interval": compared.map(|compared| [compared.interval.0, compared.interval.1]),
        "detectable": compared.map(|compared| compared.detectable),
        "alpha": alpha,
        "margin": margin,
        "candidate": side(candidate),
        "baseline": side(baseline),
    })
}
