//! One sweep as text: its counts, its best run, its findings, its failures and its agents.

use std::fmt::Write as _;

use sweep_proto::v1::{Agent, AnalyzeSweepResponse, CodeVersion, Run, Sweep};

use super::failures::failures;
use super::run::{attribution, best, course};
use super::run_facts::rounded;
use super::text::{ago, number, printable, printable_lines};
use super::{code, live};

/// Causes of failures that are shown of a sweep.
const GROUPS_MAX: usize = 8;

/// The findings of a sweep: where runs fail, what the newest code has changed, and parameter importance.
fn shown(sweep: &Sweep, analysis: &AnalyzeSweepResponse, text: &mut String) {
    if !analysis.failing.is_empty() {
        let _ = writeln!(text, "\nWhere: {}", printable(&analysis.failing));
    }
    if let Some(last) = analysis.agreements.first() {
        let _ = writeln!(text, "\nCode: {}", code::agreement(sweep, last));
    }
    if !analysis.effects.is_empty() {
        importance(analysis, text);
    }
    if !analysis.advice.is_empty() {
        let _ = writeln!(text, "\nTry next:");
        for advice in &analysis.advice {
            let _ = writeln!(text, "  {}", printable(&advice.text));
        }
    }
}

/// The importance of the parameters.
fn importance(analysis: &AnalyzeSweepResponse, text: &mut String) {
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
}

/// The recommended run, where it is not the one with the best value.
fn recommended(sweep: &Sweep, best: &Run, analysis: &AnalyzeSweepResponse) -> String {
    let Some(run) = analysis
        .recommendation
        .as_ref()
        .filter(|recommended| recommended.by_model && recommended.run != best.run)
    else {
        return String::new();
    };
    let reason = match run.reason.as_str() {
        "" => String::new(),
        reason => format!("\n  {}", printable(reason)),
    };
    format!(
        "Recommended: run {}, the model expects {} = {} ± {} (`sweep best {}`){reason}\n",
        run.run,
        printable(&sweep.metric),
        number(run.mean),
        number(rounded(run.deviation)),
        sweep.id
    )
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
        text.push_str(&recommended(sweep, run, analysis));
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

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
