//! `sweep reread`: reads the stored output of ended runs with the patterns that the sweep has now.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use sweep_agent::reread::{StoredMetric, StoredOutput};
use sweep_lifecycle::spec::{self, SweepSpec};
use sweep_proto::v1::{GetLogsRequest, MetricPoint, RereadRunRequest, Run};

use crate::client::{Client, ControllerArgs, request_id};

use crate::display::{bytes, out, printable};
use crate::failure::CommandError;
use crate::queries;

/// Values of one run that are added at most.
const POINTS_MAX: usize = 20_000;
/// Ended runs whose output is read to say what an edit of the patterns would mean.
const PREVIEWED_MAX: usize = 20;

/// Reads metrics again from the stored output of ended runs
///
/// With the `metric_patterns` that the sweep has now. Metrics that a run lacks are added; what it has reported stays as it is. A run that failed because
/// the objective was not read finishes, with the value that is read now. The controller keeps the first 10 MiB and the last 1 MiB of a run's output.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep reread ab12cd34 --dry-run    say what would be read
  sweep reread ab12cd34              all ended runs
  sweep reread ab12cd34 3 17         runs 3 and 17")]
pub(crate) struct RereadArgs {
    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// Numbers of runs
    #[arg(value_name = "RUN")]
    runs: Vec<u64>,

    /// Only say what would be read
    #[arg(long)]
    dry_run: bool,

    /// Print a JSON object for each run
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

/// Metrics in the output of a run that the run lacks.
struct RereadMetrics {
    points: Vec<MetricPoint>,
    /// Bytes that the controller does not have.
    missing: u64,
}

pub(crate) async fn run(args: &RereadArgs) -> Result<ExitCode> {
    let mut client = args.controller.connect().await?;
    let sweep = client.sweep(&args.sweep).await?;
    let (spec, _) = spec::parse(&sweep.yaml);
    let spec = spec.ok_or_else(|| {
        CommandError::new(format!(
            "this version of sweep cannot read the file of sweep {}",
            sweep.id
        ))
    })?;
    let runs = ended(&mut client, &sweep.id, &args.runs).await?;
    let mut read = 0;
    for run in &runs {
        let RereadMetrics {
            mut points,
            missing,
        } = read_again(&mut client, &spec, run).await?;
        if missing > 0 {
            say!(
                "note: {} in the middle of the output of run {} are not stored and not read",
                bytes(missing),
                run.run
            );
        }
        if points.is_empty() {
            continue;
        }
        read += 1;
        let names: BTreeSet<_> = points.iter().map(|point| point.name.clone()).collect();
        let count = points.len();
        if thin(&mut points, objective(&spec)) {
            say!(
                "note: {count} values of run {} are thinned to {}",
                run.run,
                points.len()
            );
        }
        let state = if args.dry_run {
            run.state.clone()
        } else {
            let attempt = run.attempts.last().map_or(0, |attempt| attempt.attempt);
            let request = RereadRunRequest {
                sweep_id: sweep.id.clone(),
                run: run.run,
                attempt,
                points,
                request_id: request_id()?,
            };
            client
                .call(request, async |mut service, request| {
                    service.reread_run(request).await
                })
                .await?
                .run_state
        };
        if args.json {
            let object = json!({"run": run.run, "values": count, "metrics": names, "was": run.state, "state": state});
            writeln!(out(), "{object}")?;
        } else {
            let names: Vec<_> = names
                .iter()
                .map(|name| format!("`{}`", printable(name)))
                .collect();
            let became = if state == run.state {
                String::new()
            } else {
                format!("; {}, now {state}", run.state)
            };
            let verb = if args.dry_run { "would get" } else { "got" };
            writeln!(
                out(),
                "run {} {verb} {count} values of {}{became}",
                run.run,
                names.join(", ")
            )?;
        }
    }
    if !args.json {
        let (all, plural) = (runs.len(), if runs.len() == 1 { "" } else { "s" });
        writeln!(
            out(),
            "{read} of {all} ended run{plural} {}",
            if args.dry_run {
                "would change"
            } else {
                "changed"
            }
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what the patterns of a new file read from the output of the runs so far; empty where they are the same as before.
pub(crate) async fn preview(
    client: &mut Client,
    sweep: &str,
    before: &str,
    after: &str,
) -> Result<String> {
    let (Some(before), Some(spec)) = (spec::parse(before).0, spec::parse(after).0) else {
        return Ok(String::new());
    };
    if before.metric_patterns == spec.metric_patterns || spec.metric_patterns.is_empty() {
        return Ok(String::new());
    }
    let mut runs = ended(client, sweep, &[]).await?;
    let all = runs.len();
    runs.reverse();
    runs.truncate(PREVIEWED_MAX);
    let mut found: BTreeMap<String, (u64, f64)> = BTreeMap::new();
    for run in &runs {
        let last: BTreeMap<_, _> = read_again(client, &spec, run)
            .await?
            .points
            .into_iter()
            .map(|point| (point.name, point.value))
            .collect();
        for (name, value) in last {
            let (runs, example) = found.entry(name).or_insert((0, value));
            (*runs, *example) = (*runs + 1, value);
        }
    }
    let of = if all > runs.len() {
        format!("the newest {} of {all} ended runs", runs.len())
    } else {
        format!("{all} ended runs")
    };
    if all == 0 {
        return Ok(String::new());
    }
    let metrics: Vec<_> = found
        .iter()
        .map(|(name, (runs, value))| {
            format!("`{}` from {runs} (for example {value})", printable(name))
        })
        .collect();
    Ok(match metrics.is_empty() {
        true => format!("metric_patterns read nothing new from the output of {of}\n"),
        false => format!(
            "metric_patterns read from the output of {of}: {}; `sweep reread {sweep}` adds that\n",
            metrics.join(", ")
        ),
    })
}

async fn ended(client: &mut Client, sweep: &str, numbers: &[u64]) -> Result<Vec<Run>> {
    let states = ["finished", "stopped", "failed", "cancelled"]
        .map(str::to_owned)
        .to_vec();
    let mut runs = queries::runs(client, sweep, states).await?;
    if let Some(unknown) = numbers
        .iter()
        .find(|number| runs.iter().all(|run| run.run != **number))
    {
        return Err(
            CommandError::input(format!("sweep {sweep} has no ended run {unknown}"))
                .hint(format!("`sweep runs {sweep}` lists them"))
                .into(),
        );
    }
    runs.retain(|run| {
        !run.attempts.is_empty() && (numbers.is_empty() || numbers.contains(&run.run))
    });
    runs.sort_by_key(|run| run.run);
    Ok(runs)
}

async fn read_again(client: &mut Client, spec: &SweepSpec, run: &Run) -> Result<RereadMetrics> {
    let patterns = spec
        .metric_patterns
        .iter()
        .map(|pattern| (pattern.name.as_deref(), pattern.regex.as_str()));
    let mut output = StoredOutput::new(patterns, objective(spec)).map_err(CommandError::input)?;
    let attempt = run.attempts.last();
    let request = GetLogsRequest {
        sweep_id: run.sweep_id.clone(),
        run: run.run,
        attempt: attempt.map_or(0, |attempt| attempt.attempt),
        offset: 0,
        follow: false,
    };
    let stream = client.service.get_logs(request).await;
    let mut stream = stream
        .map_err(|status| client.explain(&status))?
        .into_inner();
    let (mut found, mut end, mut missing) = (Vec::new(), 0, 0);
    while let Some(chunk) = stream
        .message()
        .await
        .map_err(|status| client.explain(&status))?
    {
        if chunk.offset > end {
            missing += chunk.offset - end;
            // What is left of a line is not a line.
            found.extend(output.push(b"\n"));
        }
        end = chunk.offset + chunk.data.len() as u64;
        found.extend(output.push(&chunk.data));
    }
    found.extend(output.finish());
    let known = |name: &str| attempt.is_some_and(|attempt| attempt.metrics.contains_key(name));
    found.retain(|metric| !known(&metric.name));
    let point = |StoredMetric { name, step, value }| MetricPoint {
        name,
        step,
        wall_ms: run.ended_ms,
        value,
    };
    Ok(RereadMetrics {
        points: found.into_iter().map(point).collect(),
        missing,
    })
}

fn objective(spec: &SweepSpec) -> &str {
    spec.objective
        .as_ref()
        .map_or("", |objective| objective.metric.as_str())
}

/// Thins values evenly where there are too many: those of the objective last. Returns whether it did.
fn thin(points: &mut Vec<MetricPoint>, objective: &str) -> bool {
    if points.len() <= POINTS_MAX {
        return false;
    }
    let own = points
        .iter()
        .filter(|point| point.name == objective)
        .count();
    let others = points.len() - own;
    let keeps = |count: usize, room: usize| count.div_ceil(room.max(1)).max(1);
    let room = POINTS_MAX.saturating_sub(own).max(POINTS_MAX / 10);
    let (every_own, every_other) = (
        keeps(own, POINTS_MAX - room.min(others)),
        keeps(others, room),
    );
    let (mut seen_own, mut seen_other) = (0, 0);
    points.retain(|point| {
        let (seen, every) = if point.name == objective {
            (&mut seen_own, every_own)
        } else {
            (&mut seen_other, every_other)
        };
        *seen += 1;
        *seen % every == 0
    });
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_values_are_thinned_and_the_objective_last() {
        for (own, other) in [
            (10, 30_000),
            (30_000, 10),
            (30_000, 30_000),
            (25_000, 0),
            (0, 100_000),
        ] {
            let named = |name: &str, count| {
                (0..count)
                    .map(|_| MetricPoint {
                        name: name.to_owned(),
                        ..MetricPoint::default()
                    })
                    .collect::<Vec<_>>()
            };
            let mut points = [named("loss", own), named("acc", other)].concat();
            assert!(thin(&mut points, "loss"));
            assert!(
                points.len() <= POINTS_MAX,
                "{own} {other}: {}",
                points.len()
            );
            assert!(own > 10 || points.iter().filter(|point| point.name == "loss").count() == own);
        }
    }
}
