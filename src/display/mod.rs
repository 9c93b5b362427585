//! Output: tables, a live view, diagnostics, and JSON.

pub(crate) mod code;
pub(crate) mod compare;
pub(crate) mod diagnostic;
pub(crate) mod edit;
pub(crate) mod environment;
mod failures;
pub(crate) mod json;
pub(crate) mod live;
mod run_facts;
pub(crate) mod spark;
pub(crate) mod table;
mod text;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sweep_proto::v1::{
    Agent, AnalyzeSweepResponse, Attempt, CodeVersion, Environment, Recommendation, Run, Sweep,
};

use crate::shell;

pub(crate) use code::code;
pub(crate) use failures::{FailureGroup, failures};
pub(crate) use run_facts::{Constants, last_beside, metrics, params_line, said};
use run_facts::{params_block, repeat, rounded};
use text::printable_lines;
pub(crate) use text::{ago, bytes, counted, is_seen, number, out, printable, span, width};

/// Causes of failures that are shown of a sweep.
const GROUPS_MAX: usize = 8;
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
        "start_up" => "start-up: points spread over the space, before there is a model",
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
            "  improvement   {} expected over the best result before",
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

/// The findings of a sweep: where runs fail, what the newest code has changed, and parameter importance.
fn shown(sweep: &Sweep, analysis: &AnalyzeSweepResponse, text: &mut String) {
    if !analysis.failing.is_empty() {
        let _ = writeln!(text, "\nWhere: {}", printable(&analysis.failing));
    }
    if let Some(last) = analysis.agreements.first() {
        let _ = writeln!(text, "\nCode: {}", code::agreement(sweep, last));
    }
    if analysis.effects.is_empty() {
        return;
    }
    // A controller of an earlier version does not say how many there were.
    let basis = if analysis.ended == 0 {
        String::new()
    } else {
        format!(" of {}", analysis.ended)
    };
    let _ = writeln!(
        text,
        "\nParameter importance (based on {}{basis} runs):",
        analysis.observations
    );
    let widest = analysis
        .effects
        .iter()
        .map(|effect| effect.parameter.chars().count())
        .max()
        .unwrap_or(0);
    for effect in &analysis.effects {
        let best = effect.curve.iter().map(|point| point.mean);
        let (low, high) = (
            best.clone().fold(f64::INFINITY, f64::min),
            best.fold(f64::NEG_INFINITY, f64::max),
        );
        let range = if low.is_finite() {
            format!("  {} to {}", number(low), number(high))
        } else {
            String::new()
        };
        let share = format!(
            "{:>3.0} ± {:.0} %",
            100.0 * effect.share,
            100.0 * effect.share_deviation
        );
        let direction = if effect.direction.is_empty() {
            String::new()
        } else {
            format!(", {}", effect.direction)
        };
        let _ = writeln!(
            text,
            "  {:<widest$}  {share}{range}{direction}",
            printable(&effect.parameter)
        );
    }
    if !analysis.advice.is_empty() {
        let _ = writeln!(text, "\nTry next:");
        for advice in &analysis.advice {
            let _ = writeln!(text, "  {}", printable(&advice.text));
        }
    }
}

/// A sweep in full.
pub(crate) fn sweep(
    sweep: &Sweep,
    best_run: Option<(&Run, &[CodeVersion])>,
    history: &[f64],
    failed: &[Run],
    agents: &[Agent],
    analysis: &AnalyzeSweepResponse,
) -> String {
    let mut text = String::new();
    let name = if sweep.name.is_empty() {
        String::new()
    } else {
        format!(" ({})", printable(&sweep.name))
    };
    let reason = if sweep.reason.is_empty() {
        String::new()
    } else {
        format!(": {}", printable(&sweep.reason))
    };
    let _ = writeln!(text, "Sweep {}{name} is {}{reason}", sweep.id, sweep.state);
    let _ = writeln!(
        text,
        "  {}, created {}",
        sweep.method,
        ago(sweep.created_ms)
    );
    let _ = writeln!(text, "  runs: {}", live::counts(sweep));
    if !sweep.early_stop_note.is_empty() {
        let _ = writeln!(text, "  note: {}", printable(&sweep.early_stop_note));
    }
    if !sweep.unread.is_empty() {
        let _ = writeln!(text, "\nNot read: {}", printable(&sweep.unread));
    }
    if let Some((run, versions)) = best_run {
        text.push('\n');
        text.push_str(&best(sweep, run));
        text.push_str(&code::newer_best(sweep, versions, run));
    } else if !sweep.metric.is_empty() && sweep.finished > 0 {
        let _ = writeln!(text, "\nBest: none; `sweep best {}` says why", sweep.id);
    }
    text.push_str(&course("so far", history));
    shown(sweep, analysis, &mut text);
    let groups = failures(failed);
    if !groups.is_empty() {
        let _ = writeln!(text, "\nFailures:");
        let rest = groups.len().saturating_sub(GROUPS_MAX);
        for group in groups.into_iter().take(GROUPS_MAX) {
            let runs: Vec<_> = group.runs.iter().take(8).map(u64::to_string).collect();
            let more = if group.runs.len() > 8 { ", …" } else { "" };
            let blame = if group.blame.is_empty() {
                String::new()
            } else {
                format!(" (attribution: {})", attribution(&group.blame))
            };
            let (count, runs) = (group.runs.len(), runs.join(", "));
            let _ = writeln!(
                text,
                "  {count} × {}{blame} (runs {runs}{more}): {}",
                group.kind,
                printable(&group.example)
            );
            if !group.evidence.is_empty() {
                let _ = writeln!(text, "    evidence: {}", printable(&group.evidence));
            }
            text.push_str(&printable_lines(&last_lines(&group.tail, 5), "    | "));
        }
        if rest > 0 {
            let causes = if rest == 1 { "cause" } else { "causes" };
            let _ = writeln!(
                text,
                "  and {rest} other {causes}: `sweep runs {} --state failed`",
                sweep.id
            );
        }
        let _ = writeln!(text, "  `sweep retry {}` runs them again", sweep.id);
    }
    let alive: Vec<_> = agents.iter().filter(|agent| agent.alive).collect();
    let _ = writeln!(
        text,
        "\nAgents: {}",
        if alive.is_empty() {
            format!("none; start one with `sweep agent {}`", sweep.id)
        } else {
            alive.len().to_string()
        }
    );
    for agent in alive {
        let health = if agent.reason.is_empty() {
            String::new()
        } else {
            format!("  {}: {}", agent.health, printable(&agent.reason))
        };
        let _ = writeln!(
            text,
            "  {}  {}  {} of {} slots busy{health}",
            agent.id,
            printable(&agent.host),
            agent.running,
            agent.slots
        );
    }
    text
}

/// Returns the attribution of a failure in words. Earlier controllers write `nobody` for `external`.
pub(crate) fn attribution(blame: &str) -> String {
    match blame {
        "nobody" => "external".to_owned(),
        party => printable(party).replace('_', " "),
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
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
