//! One run as text: its values, why it was suggested, its parameters and its attempts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sweep_proto::v1::{Attempt, CodeVersion, Environment, Recommendation, Run, Sweep};

use super::run_facts::{Constants, last_beside, metrics, params_block, repeat, rounded, said};
use super::text::{counted, number, printable, printable_lines, span, width};
use super::{code, environment, spark};
use crate::shell;

/// A longer command line is no help on a screen.
const COMMAND_BYTES_MAX: usize = 400;
/// A wider course shows no more.
const COURSE_WIDTH_MAX: usize = 100;

/// The best run of a sweep: value, parameters, how to run it again.
pub(crate) fn best(sweep: &Sweep, run: &Run) -> String {
    chosen("Best", sweep, run)
}

/// A run of a sweep under a title: value, parameters, how to run it again.
pub(crate) fn chosen(title: &str, sweep: &Sweep, run: &Run) -> String {
    let mut text = String::new();
    let mean = run
        .repeats
        .as_ref()
        .and_then(|repeats| Some((repeats.mean?, repeats.deviation?, repeats.values)));
    let value = match mean {
        Some((mean, deviation, values)) => format!(
            "{} ± {} in {values} repeats",
            number(mean),
            number(rounded(deviation))
        ),
        None => run.value.map(number).unwrap_or_default(),
    };
    let last = last_beside(run)
        .map(|last| format!(", {last}"))
        .unwrap_or_default();
    let _ = writeln!(
        text,
        "{title}: {} = {value}{last} ({}/{})",
        printable(&sweep.metric),
        sweep.id,
        run.run
    );
    text.push_str(&params_block(run, &Constants::of(sweep), false));
    if let Some(command) = shell::command_line(run) {
        // `sweep best --command` prints long ones.
        let command = if command.len() > COMMAND_BYTES_MAX {
            format!("sweep reproduce {}/{} --run", sweep.id, run.run)
        } else {
            printable(&command)
        };
        let _ = writeln!(text, "  again: {command}");
    }
    text
}

/// Why a run is recommended, and why it is not the one with the best value.
pub(crate) fn recommendation(
    sweep: &Sweep,
    recommendation: &Recommendation,
    luckiest: &Run,
) -> String {
    let expected = format!(
        "{} ± {}",
        number(recommendation.mean),
        number(rounded(recommendation.deviation))
    );
    if recommendation.run == luckiest.run {
        return format!("  recommended by a model of all results, which expects {expected}\n");
    }
    let value = luckiest.value.map(number).unwrap_or_default();
    // A controller of an earlier version gives no reason.
    let reason = match recommendation.reason.as_str() {
        "" => format!(
            "run {} has the best value, {} = {value}",
            luckiest.run,
            printable(&sweep.metric)
        ),
        reason => printable(reason),
    };
    format!(
        "  recommended by a model of all results, which expects {expected}\n  {reason} (`--by value` shows it)\n"
    )
}

/// Why a run was suggested, in words and in the numbers behind them.
pub(crate) fn why(sweep: &Sweep, run: &Run) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "Run {}/{}: {}",
        run.sweep_id,
        run.run,
        printable(&run.why)
    );
    let Some(why) = &run.suggestion else {
        return text;
    };
    let kind = match why.kind.as_str() {
        "grid" => "grid: the next point of the grid",
        "random" => "random: an independent draw",
        "start_up" => "start-up: points spread over the space, until a model predicts the results",
        "probe" => "probe: good with older code, tried again with the newest",
        "exploit" => "exploitation: the model expects a value like the best or better there",
        "explore" => "exploration: promising mostly for the model's uncertainty there",
        "far" => "exploration: far from what was tried, or in the branch that was tried least",
        "dense" => "exploitation: where good results are dense, without the model",
        "external" => "external: a person or their program chose it",
        other => other,
    };
    let _ = writeln!(text, "  {kind}");
    let metric = printable(&sweep.metric);
    if let (Some(mean), Some(deviation)) = (why.mean, why.deviation) {
        let _ = writeln!(
            text,
            "  predicted     {metric} = {} ± {}",
            number(mean),
            number(rounded(deviation))
        );
    }
    if let Some(value) = run.value {
        let _ = writeln!(text, "  result        {metric} = {}", number(value));
    }
    if let Some(improvement) = why.improvement {
        let _ = writeln!(
            text,
            "  improvement   {} expected over the best of these results",
            number(rounded(improvement))
        );
    }
    if let Some(success) = why.success {
        let _ = writeln!(
            text,
            "  success       {:.0} % likely to end well",
            100.0 * success
        );
    }
    // The observations of an external search are unknown.
    if why.kind != "external" {
        let _ = writeln!(
            text,
            "  computed from {} and {}",
            counted(why.observations, "result"),
            counted(why.pending, "open run")
        );
        let _ = writeln!(text, "  rule          {}", rule(&sweep.method, &why.kind));
    }
    text
}

/// Names the rule that chose a run.
fn rule(method: &str, kind: &str) -> &'static str {
    match (method, kind) {
        (_, "start_up") => "scrambled Sobol sequence",
        (_, "probe") => "probes of new code (`code: {probe: 2}`)",
        (_, "far") => "floor of exploration: distance from all tried points",
        (_, "dense") => "density of the good results beside that of the others",
        (_, "exploit" | "explore") => {
            "highest expected improvement times probability of success, by an ensemble of Gaussian processes"
        }
        ("bayes", _) => "random draw: every promising point is taken",
        ("grid", _) => "grid order of W&B",
        _ => "random draw from the distributions of the sweep file",
    }
}

/// The curve of values on one line, empty where there is none.
pub(crate) fn course(title: &str, values: &[f64]) -> String {
    let (Some(first), Some(last)) = (values.first(), values.last()) else {
        return String::new();
    };
    if values.len() < 2 {
        return String::new();
    }
    let ends = format!("{} → {}", number(*first), number(*last));
    let room = width()
        .min(COURSE_WIDTH_MAX)
        .saturating_sub(title.len() + ends.chars().count() + 6);
    format!("  {title}  {}  {ends}\n", spark::spark(values, room))
}

/// Returns the attribution of a failure in words. Earlier controllers write `nobody` for `external`.
pub(crate) fn attribution(blame: &str) -> String {
    match blame {
        "nobody" => "external".to_owned(),
        party => printable(party).replace('_', " "),
    }
}

/// A run in full.
pub(crate) fn run(
    sweep: &Sweep,
    run: &Run,
    values: &[f64],
    environments: &BTreeMap<String, Environment>,
    versions: &[CodeVersion],
    in_full: bool,
) -> String {
    let mut text = String::new();
    let reason = if run.reason.is_empty() {
        String::new()
    } else {
        format!(": {}", printable(&run.reason))
    };
    let _ = writeln!(
        text,
        "Run {}/{} is {}{reason}",
        run.sweep_id, run.run, run.state
    );
    if let Some(value) = run.value {
        let _ = writeln!(text, "  {} = {}", printable(&sweep.metric), number(value));
    }
    if let (Some(best), Some(last)) = (run.best, run.last)
        && (run.value.is_none() || number(best) != number(last))
    {
        let _ = writeln!(text, "  best {}, last {}", number(best), number(last));
    }
    text.push_str(&course("curve", values));
    if let Some(repeats) = &run.repeats {
        let _ = writeln!(text, "  {}", repeat(repeats));
    }
    if !run.aside.is_empty() {
        let _ = writeln!(text, "  {}", printable(&run.aside));
    }
    if run.pinned || !run.tags.is_empty() || !run.note.is_empty() {
        let _ = writeln!(text, "  {}", said(run));
    }
    for violated in &run.violates {
        let _ = writeln!(text, "  violates {}", printable(violated));
    }
    let _ = writeln!(text, "  why: {}", printable(&run.why));
    let _ = writeln!(text, "\nParameters:");
    text.push_str(&params_block(run, &Constants::of(sweep), true));
    for attempt in &run.attempts {
        let version = &attempt.code_version;
        let code = if version.is_empty() {
            String::new()
        } else {
            code::of_attempt(&sweep.id, version, versions)
        };
        attempt_block(attempt, &code, environments, in_full, &mut text);
        let differs = attempt.metrics.get(&sweep.metric).filter(|last| {
            run.value
                .is_some_and(|value| number(value) != number(**last))
        });
        if let Some(last) = differs {
            let line = |label: &str| {
                format!(
                    "  {} = {}{label}\n",
                    printable(&sweep.metric),
                    number(*last)
                )
            };
            text = text.replace(&line(""), &line(" (last)"));
        }
    }
    text
}

fn attempt_block(
    attempt: &Attempt,
    code: &str,
    environments: &BTreeMap<String, Environment>,
    in_full: bool,
    text: &mut String,
) {
    let took = if attempt.started_ms > 0 && attempt.ended_ms > 0 {
        format!(", took {}", span(attempt.ended_ms - attempt.started_ms))
    } else {
        String::new()
    };
    let _ = writeln!(
        text,
        "\nAttempt {} on {} is {}{took}",
        attempt.attempt,
        printable(&attempt.host),
        attempt.state
    );
    if !attempt.command.is_empty() {
        let _ = writeln!(text, "  {}", printable(&shell::line(&attempt.command)));
    }
    text.push_str(code);
    if let Some(found) = environments.get(&attempt.environment) {
        text.push_str(&if in_full {
            environment::full(found)
        } else {
            environment::summary(found)
        });
    }
    if let Some(failure) = &attempt.failure {
        let _ = writeln!(
            text,
            "  {} (attribution: {}): {}",
            failure.kind,
            attribution(&failure.blame),
            printable(&failure.message)
        );
        if !failure.evidence.is_empty() && !failure.message.contains(&failure.evidence) {
            let _ = writeln!(text, "  evidence: {}", printable(&failure.evidence));
        }
        text.push_str(&printable_lines(&failure.output_tail, "    | "));
    }
    if !attempt.orphan.is_empty() {
        let _ = writeln!(text, "  {}", printable(&attempt.orphan));
    }
    let (own, system) = metrics(attempt);
    for (name, value) in own {
        let _ = writeln!(text, "  {} = {}", printable(name), number(*value));
    }
    if !system.is_empty() {
        let _ = writeln!(text, "  at last it used:");
    }
    for (name, value) in system {
        let _ = writeln!(text, "    {} = {}", printable(name), number(*value));
    }
}
