//! The outcome as Markdown that reads well in a pull request.

use std::fmt::Write as _;

use sweep_lifecycle::spec::ParameterAxis;
use sweep_proto::format;
use sweep_proto::v1::{AnalyzeSweepResponse, CodeChanges, Run};

use super::super::gate::GateJudgement;
use super::super::outcome::{CiVerdict, SweepOutcome, number_text, param_text};
use super::content::{Budget, Figure, Learnt, Reproduce, grouped};
use super::escape::{block, code, escape, printable};
use crate::display::{self, Constants, FailureGroup};

/// Rows of the table of the best runs.
const TOP_RUNS: usize = 5;
/// Kinds of failures that are shown; the rest is counted.
const FAILURE_GROUPS_MAX: usize = 5;
/// Lines of output shown for each kind.
const TAIL_LINES_MAX: usize = 20;

/// Writes the report. Its first line is a hidden comment by which a bot can find its earlier report on the same sweep.
pub(crate) fn markdown(
    outcome: &SweepOutcome,
    gate: Option<&GateJudgement>,
    reproduce: &Reproduce,
) -> String {
    let parts = [
        marker(outcome.title()),
        title(outcome, gate),
        gate.map(gate_line).unwrap_or_default(),
        progress(outcome),
        best(outcome),
        top_runs(outcome),
        failures(outcome),
        reproduction(reproduce),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n\n") + "\n"
}

/// Writes the report of a sweep that need not have ended: question, budget, best, comparison, importance, failures, code, how to reproduce.
pub(crate) fn account(outcome: &SweepOutcome, learnt: &Learnt, reproduce: &Reproduce) -> String {
    let sweep = &outcome.sweep;
    let parts = [
        marker(outcome.title()),
        format!(
            "## Sweep {} is {}",
            code(outcome.title()),
            escape(&sweep.state)
        ),
        escape(&sweep.reason),
        question(outcome),
        space(learnt),
        progress(outcome),
        budget(outcome),
        best(outcome),
        recommended(outcome, &learnt.analysis),
        comparison(&learnt.compared),
        importance(&learnt.analysis),
        top_runs(outcome),
        failures(outcome),
        if learnt.analysis.failing.is_empty() {
            String::new()
        } else {
            format!("Where: {}.", escape(&learnt.analysis.failing))
        },
        versions(outcome, learnt),
        figures(&learnt.figures),
        reproduction(reproduce),
        format!(
            "<details><summary>sweep.yaml</summary>\n\n{}\n\n</details>",
            block("yaml", sweep_code::redacted(&learnt.yaml).trim_end())
        ),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n\n") + "\n"
}

fn question(outcome: &SweepOutcome) -> String {
    let sweep = &outcome.sweep;
    if sweep.metric.is_empty() {
        return String::new();
    }
    format!(
        "Question: with which configuration is {} {}?",
        code(&sweep.metric),
        if sweep.goal == "maximize" {
            "highest"
        } else {
            "lowest"
        }
    )
}

fn space(learnt: &Learnt) -> String {
    let said = |axis: &ParameterAxis| {
        let values = match axis.range {
            Some((low, high)) => format!(
                "{} to {}{}",
                number_text(low),
                number_text(high),
                if axis.log { ", by factors" } else { "" }
            ),
            None if axis.values.is_empty() => if axis.log {
                "any positive number"
            } else {
                "any number"
            }
            .to_owned(),
            None => axis
                .values
                .iter()
                .map(param_text)
                .collect::<Vec<_>>()
                .join(", "),
        };
        let when = if axis.conditional {
            " where it applies"
        } else {
            ""
        };
        format!("{} ({}{when})", code(&axis.name), code(&values))
    };
    let varied: Vec<String> = learnt
        .axes()
        .iter()
        .filter(|axis| !axis.constant)
        .map(said)
        .collect();
    if varied.is_empty() {
        String::new()
    } else {
        format!("Searched: {}.", varied.join(", "))
    }
}

fn budget(outcome: &SweepOutcome) -> String {
    let Budget {
        attempts,
        spent,
        machines,
    } = Budget::of(outcome);
    if machines.is_empty() {
        return String::new();
    }
    let noun = if machines.len() == 1 {
        "machine"
    } else {
        "machines"
    };
    format!(
        "Budget: {} of training in {attempts} attempts on {} {noun}.",
        format::duration(spent),
        machines.len()
    )
}

fn recommended(outcome: &SweepOutcome, analysis: &AnalyzeSweepResponse) -> String {
    let Some(run) = analysis.recommendation.as_ref().filter(|run| run.by_model) else {
        return String::new();
    };
    let (mean, deviation) = (number_text(run.mean), number_text(run.deviation));
    let reason = if run.reason.is_empty() {
        String::new()
    } else {
        format!(" {}.", escape(&run.reason))
    };
    format!(
        "Recommended run: {}. The model expects {} = {mean} ± {deviation}.{reason}",
        run.run,
        code(&outcome.sweep.metric)
    )
}

fn comparison(words: &str) -> String {
    if words.is_empty() {
        String::new()
    } else {
        format!("### Against the baseline\n\n{}", escape(words))
    }
}

fn importance(analysis: &AnalyzeSweepResponse) -> String {
    if analysis.effects.is_empty() {
        return String::new();
    }
    let basis = if analysis.ended == 0 {
        String::new()
    } else {
        format!(" of {}", analysis.ended)
    };
    let mut text = format!(
        "### Parameter importance\n\nBased on {}{basis} runs.\n\n",
        analysis.observations
    );
    text.push_str("| parameter | share of variation | |\n|---|---:|---|\n");
    for effect in &analysis.effects {
        let (share, deviation) = (100.0 * effect.share, 100.0 * effect.share_deviation);
        let _ = writeln!(
            text,
            "| {} | {share:.0} ± {deviation:.0} % | {} |",
            code(&effect.parameter),
            escape(&effect.direction)
        );
    }
    text.trim_end().to_owned()
}

fn figures(figures: &[Figure]) -> String {
    let figure = |figure: &Figure| {
        format!(
            "![{}](<{}>)",
            escape(&figure.caption),
            printable(&figure.address).replace(['<', '>', '\n'], "")
        )
    };
    let figures: Vec<String> = figures.iter().map(figure).collect();
    if figures.is_empty() {
        String::new()
    } else {
        format!("### Figures\n\n{}", figures.join("\n\n"))
    }
}

fn versions(outcome: &SweepOutcome, learnt: &Learnt) -> String {
    let versions = &learnt.versions;
    if versions.is_empty() {
        return String::new();
    }
    let mut text =
        "### Code\n\n| version | commit | uncommitted | since the one before | runs | best |\n|---:|---|---|---|---:|---:|\n".to_owned();
    for version in versions {
        let about = version.code.clone().unwrap_or_default();
        let commit = about.commit.get(..8).unwrap_or_default();
        let own = CodeChanges {
            files: about.files,
            lines_added: about.lines_added,
            lines_removed: about.lines_removed,
        };
        let uncommitted = if own.files == 0 {
            String::new()
        } else {
            display::code::stat(own)
        };
        let changes = version.changes.map(display::code::stat);
        let best = version.best_value.map(number_text).unwrap_or_default();
        let subject = format!("{commit} {}", about.subject);
        let subject = if subject.trim().is_empty() {
            String::new()
        } else {
            code(subject.trim())
        };
        let _ = writeln!(
            text,
            "| {} | {subject} | {uncommitted} | {} | {} | {best} |",
            version.number,
            changes.unwrap_or_default(),
            version.runs
        );
    }
    for agreement in &learnt.analysis.agreements {
        let _ = writeln!(
            text,
            "\nThe search has learnt: {}.",
            escape(&display::code::agreement(&outcome.sweep, agreement))
        );
    }
    let _ = write!(
        text,
        "\n`sweep code {0}` lists them, `sweep diff {0}@1 {0}@2` compares two.",
        outcome.sweep.id
    );
    text
}

fn marker(title: &str) -> String {
    let plain: String = title
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') {
                c
            } else {
                '_'
            }
        })
        .collect();
    format!("<!-- sweep-report:{plain} -->")
}

fn title(outcome: &SweepOutcome, gate: Option<&GateJudgement>) -> String {
    let verdict = outcome.verdict(gate.is_some_and(|gate| gate.failed));
    let sign = if verdict == CiVerdict::Passed {
        "✅"
    } else {
        "❌"
    };
    format!(
        "## {sign} Sweep {}: {}",
        code(outcome.title()),
        verdict.in_words()
    )
}

fn gate_line(gate: &GateJudgement) -> String {
    let word = if gate.failed { "failed" } else { "passed" };
    format!(
        "**Gate {word}** · fails if {} · {}",
        code(&gate.text),
        escape(&gate.explanation)
    )
}

fn progress(outcome: &SweepOutcome) -> String {
    let sweep = &outcome.sweep;
    let states = [
        ("finished", sweep.finished),
        ("stopped early", sweep.stopped),
        ("failed", sweep.failed),
        ("cancelled", sweep.cancelled),
        ("running", sweep.running),
        ("queued", sweep.queued),
    ];
    let states: Vec<String> = states
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    let total = match (outcome.total(), sweep.planned) {
        (1, 0 | 1) => "1 run".to_owned(),
        (total, planned) if planned > total => format!("{total} of {planned} runs"),
        (total, _) => format!("{total} runs"),
    };
    let states = if states.is_empty() {
        String::new()
    } else {
        format!(": {}", states.join(", "))
    };
    format!(
        "{total} by {} search in {}{states}.",
        escape(&sweep.method),
        format::duration(outcome.duration)
    )
}

fn best(outcome: &SweepOutcome) -> String {
    let Some((run, value)) = outcome.best().and_then(|run| Some((run, run.value?))) else {
        return "No run has a result.".to_owned();
    };
    let metric = code(&outcome.sweep.metric);
    let mut text = format!(
        "### Best: {metric} = {} (run {})\n\n",
        value_text(run, value),
        run.run
    );
    text.push_str("| parameter | value |\n|---|---|\n");
    let (varied, fixed) = Constants::of(&outcome.sweep).split(run);
    for (name, value) in varied.iter().chain(&fixed) {
        let _ = writeln!(text, "| {} | {} |", code(name), code(value));
    }
    text.trim_end().to_owned()
}

fn value_text(run: &Run, value: f64) -> String {
    let last = display::last_beside(run)
        .map(|last| format!(", {last}"))
        .unwrap_or_default();
    format!("{}{last}", number_text(value))
}

fn top_runs(outcome: &SweepOutcome) -> String {
    let ranking = outcome.ranking();
    if ranking.len() < 2 {
        return String::new();
    }
    let shown = ranking.len().min(TOP_RUNS);
    let goal = if outcome.sweep.goal == "maximize" {
        "highest"
    } else {
        "lowest"
    };
    let mut text = format!(
        "### Top {shown} ({goal} {})\n\n",
        code(&outcome.sweep.metric)
    );
    text.push_str("| run | value | state | parameters |\n|---:|---:|---|---|\n");
    let constants = Constants::of(&outcome.sweep);
    for (run, value) in &ranking[..shown] {
        let params = display::params_line(run, &constants);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            run.run,
            value_text(run, *value),
            escape(&run.state),
            code(&params)
        );
    }
    text.trim_end().to_owned()
}

fn failures(outcome: &SweepOutcome) -> String {
    let groups = grouped(outcome);
    if groups.is_empty() {
        return String::new();
    }
    let mut text = "### Failures\n".to_owned();
    for group in groups.iter().take(FAILURE_GROUPS_MAX) {
        let _ = write!(text, "\n{}", failure_group(group));
    }
    if let Some(rest) = groups
        .get(FAILURE_GROUPS_MAX..)
        .filter(|rest| !rest.is_empty())
    {
        let _ = write!(text, "\nAnd {} further kinds of failure.", rest.len());
    }
    text.trim_end().to_owned()
}

fn failure_group(group: &FailureGroup) -> String {
    let FailureGroup {
        kind,
        runs,
        example,
        tail,
        ..
    } = group;
    let numbers: Vec<String> = runs.iter().take(10).map(u64::to_string).collect();
    let more = if runs.len() > 10 { ", …" } else { "" };
    let noun = if runs.len() == 1 { "run" } else { "runs" };
    let mut text = format!(
        "- **{}** · {} · {} {noun} ({}{more})\n",
        escape(kind),
        escape(example),
        runs.len(),
        numbers.join(", ")
    );
    if let (Some(run), false) = (runs.first(), tail.trim().is_empty()) {
        let lines: Vec<&str> = tail.trim_end().lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES_MAX)..].join("\n");
        let _ = write!(
            text,
            "\n<details><summary>Last output of run {run}</summary>\n\n{}\n\n</details>\n",
            block("", &tail)
        );
    }
    text
}

fn reproduction(reproduce: &Reproduce) -> String {
    let mut lines = String::new();
    if let Some(best) = &reproduce.best {
        let _ = writeln!(lines, "# the best configuration\n{best}");
    }
    if !reproduce.sweep.is_empty() {
        let _ = writeln!(lines, "# the whole sweep\n{}", reproduce.sweep);
    }
    if lines.is_empty() {
        String::new()
    } else {
        format!("### Reproduce\n\n{}", block("sh", lines.trim_end()))
    }
}

#[cfg(test)]
mod tests;
