//! The page of one run.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use serde_json::Value;
use sweep_lifecycle::state::{CodeVersion, Environment, RunState, SweepId};
use sweep_proto::format::rounded;

use super::agents::brief;
use super::constants::{ConstantParameters, Parameters};
use super::failures::word;
use super::html::{
    Escaped, PageFrame, counted, document, duration, moment, number, state, value_text,
};
use super::series;
use super::sweep::short;
use super::sweeps::title;
use crate::store::{AttemptRow, Query, RunRow, StoreError, SweepRow};

/// Bytes of output that are shown without scripts.
const TAIL: usize = 32 << 10;
/// More constants than these are folded.
const CONSTANTS_SHOWN_MAX: usize = 5;

/// The content of the page.
pub(super) struct RunPage {
    sweep: SweepRow,
    run: RunRow,
    best: Option<RunRow>,
    constants: ConstantParameters,
    environment: Option<Environment>,
    tail: String,
}

/// Reads what the page says.
pub(super) fn read(
    query: &dyn Query,
    sweep: &SweepId,
    run: u64,
) -> Result<Option<RunPage>, StoreError> {
    let (Some((row, counts)), Some(run)) = (query.sweep(sweep)?, query.run(sweep, run)?) else {
        return Ok(None);
    };
    let best = match counts.best {
        Some((best, _)) => query.run(sweep, best)?,
        None => None,
    };
    let environment = environment_of(query, sweep, &run)?;
    let tail = match series::attempt(&run, None) {
        Some(attempt) => {
            String::from_utf8_lossy(&series::tail(query, &attempt, TAIL)?).into_owned()
        }
        None => String::new(),
    };
    Ok(Some(RunPage {
        constants: ConstantParameters::of(&row),
        sweep: row,
        run,
        best,
        environment,
        tail,
    }))
}

/// Returns the environment of the newest attempt that has one.
pub(super) fn environment_of(
    query: &dyn Query,
    sweep: &SweepId,
    run: &RunRow,
) -> Result<Option<Environment>, StoreError> {
    let attempts = run.attempts.iter().rev();
    let mut known = attempts.filter(|attempt| !attempt.environment.is_empty());
    match known.next() {
        Some(attempt) => query.environment(sweep, &attempt.environment),
        None => Ok(None),
    }
}

/// Writes the page.
pub(super) fn page(found: &RunPage, now_ms: i64) -> String {
    let (sweep, run) = (&found.sweep, &found.run);
    let output = html! {
        section #log { div.row.between { h2 { "Output" } div #log-tools.row {} } div.scroll { pre #output tabindex="0" { (Escaped(&found.tail)) } } }
    };
    // Why a run failed is mostly in its output. That of others is near the top too: people look for it first.
    let has_failed = run.state == RunState::Failed;
    let body = html! {
        div #run data-sweep=(Escaped(&sweep.id)) data-run=(run.run) data-metric=(Escaped(&sweep.metric)) data-goal=(word(&sweep.goal))
            data-code=(Escaped(&run.code)) data-best=[found.best.as_ref().map(|best| best.run)] data-best-code=[found.best.as_ref().map(|best| Escaped(&best.code).to_string())] {
            div data-refresh="head" { (head(found, now_ms)) }
            nav.sections aria-label="Sections" {
                @for (place, name) in SECTIONS { a href={ "#" (place) } { (name) } }
            }
            @if has_failed { (output) }
            div.grid2 {
                section #parameters { h2 { "Parameters" } (parameters(found)) }
                section #why { h2 { "Why it was suggested" } (why(found)) }
            }
            @if !has_failed { (output) }
            section #metrics { h2 { "Metrics" } div data-refresh="metrics" { (metrics(run)) } div #metrics-plot.charts {} }
            section #system hidden { h2 { "The machine" } div #system-plot.charts {} }
            section #attempts { h2 { "Attempts" } div data-refresh="attempts" { (attempts(found, now_ms)) } }
            section #code { h2 { "Code" } (code(found)) div #code-diff {} }
            section #environment { h2 { "Environment" } (environment(found)) }
            section #again { h2 { "Again" } (again(found)) }
        }
    };
    let place = format!("/sweeps/{}", sweep.id);
    let here = format!("{place}/runs/{}", run.run);
    let frame = PageFrame {
        title: &format!("run {} of {}", run.run, title(sweep)),
        live: &format!("{}/{}", sweep.id, run.run),
        trail: &[(&place, title(sweep)), (&here, &format!("run {}", run.run))],
        module: Some("run.js"),
        data: Some(&format!("{here}/series.json")),
    };
    document(&frame, &body)
}

const SECTIONS: [(&str, &str); 7] = [
    ("log", "Output"),
    ("parameters", "Parameters"),
    ("metrics", "Metrics"),
    ("attempts", "Attempts"),
    ("code", "Code"),
    ("environment", "Environment"),
    ("again", "Again"),
];

fn head(found: &RunPage, now_ms: i64) -> Markup {
    let run = &found.run;
    let attempt = run.attempts.last();
    html! {
        div.row.between {
            h1 { "Run " (run.run) " " (state(run.state)) }
            div #actions.row {}
        }
        @if !run.reason.is_empty() { p { (Escaped(&run.reason)) } }
        @if !run.aside.is_empty() { p.soft { (Escaped(&run.aside)) } }
        @for violated in run.violates.iter().filter(|_| run.state != RunState::Failed) { p.bad { "Violates a constraint: " (Escaped(violated)) } }
        p.facts {
            @if let Some(value) = run.value { span { (Escaped(&found.sweep.metric)) " = " strong { (number(value)) } } }
            @if let (Some(best), Some(last)) = (run.best, run.last) && (run.value.is_none() || number(best) != number(last)) { span.soft { "best " (number(best)) ", last " (number(last)) } }
            @if let Some(attempt) = attempt {
                span { "on " strong { (Escaped(&attempt.host)) } }
                @if attempt.started_ms > 0 {
                    span { "took " (duration(if attempt.ended_ms > 0 { attempt.ended_ms } else { now_ms } - attempt.started_ms)) }
                }
            }
            @if let Some(best) = &found.best { @if best.run == run.run { span.state.finished { "the best" } } @else {
                span { a href={ "/sweeps/" (Escaped(&run.sweep)) "/compare?runs=" (best.run) "," (run.run) } { "compare with the best, run " (best.run) } }
            } }
            span.soft { "created " (moment(run.created_ms, now_ms)) }
        }
    }
}

fn parameters(found: &RunPage) -> Markup {
    let constants = &found.constants;
    let (varied, fixed) = constants.split(&found.run.params_json);
    let best = found
        .best
        .as_ref()
        .filter(|best| best.run != found.run.run)
        .map(|best| (best.run, constants.split(&best.params_json)));
    let best_run = best.as_ref().map(|(run, _)| *run);
    let varied = parameter_rows(&varied, best.as_ref().map(|(_, (varied, _))| varied));
    let many = fixed.len() > CONSTANTS_SHOWN_MAX;
    let count = counted(fixed.len() as u64, "constant");
    let fixed = parameter_rows(&fixed, best.as_ref().map(|(_, (_, fixed))| fixed));
    html! {
        @if many {
            (parameter_table("Parameters", &varied, best_run))
            details.constants { summary { (count) } (parameter_table("Constants", &fixed, best_run)) }
        } @else { (parameter_table("Parameters", &html! { (varied) (fixed) }, best_run)) }
    }
}

fn parameter_table(title: &str, rows: &Markup, best: Option<u64>) -> Markup {
    html! {
        div.scroll { table aria-label=(title) {
            thead { tr { th { (title.trim_end_matches('s')) } th.number { "Value" } @if let Some(run) = best { th.number { "Best (run " (run) ")" } th.number { "Difference" } } } }
            tbody { (rows) }
        } }
    }
}

/// Rows of parameters, beside those of the best run.
fn parameter_rows(own: &Parameters, best: Option<&Parameters>) -> Markup {
    let names: BTreeSet<&String> = own
        .keys()
        .chain(best.into_iter().flat_map(BTreeMap::keys))
        .collect();
    html! {
        @for name in names {
            @let (here, there) = (own.get(name), best.map(|params| params.get(name)));
            tr class=[there.is_some_and(|there| there != here).then_some("differs")] {
                td { (Escaped(name)) }
                td.number { (Escaped(&here.map(value_text).unwrap_or_default())) }
                @if let Some(there) = there { td.number { (Escaped(&there.map(value_text).unwrap_or_default())) } td.number.soft { (difference(here, there)) } }
            }
        }
    }
}

/// How far a number is from another one: a factor where both have a sign.
fn difference(here: Option<&Value>, there: Option<&Value>) -> String {
    let (Some(here), Some(there)) = (here.and_then(Value::as_f64), there.and_then(Value::as_f64))
    else {
        return String::new();
    };
    if here == there {
        String::new()
    } else if here > 0.0 && there > 0.0 {
        format!("× {}", number(here / there))
    } else {
        format!("{:+}", here - there)
    }
}

fn why(found: &RunPage) -> Markup {
    let (run, why) = (&found.run, &found.run.suggestion);
    let metric = Escaped(&found.sweep.metric);
    html! {
        p { (Escaped(&run.why)) }
        dl.findings {
            dt { "Kind" } dd { (Escaped(kind_in_words(&word(&why.kind)))) }
            @if let Some(predicted) = why.predicted { dt { "Predicted" } dd { (metric) " = " (number(predicted.mean)) " ± " (number(rounded(predicted.deviation, 2))) } }
            @if let (Some(value), true) = (run.value, why.predicted.is_some()) { dt { "Result" } dd { (metric) " = " (number(value)) } }
            @if let Some(improvement) = why.improvement { dt { "Improvement" } dd { (number(rounded(improvement, 2))) " expected over the best before" } }
            @if let Some(success) = why.success { dt { "Success" } dd { (format!("{:.0} %", 100.0 * success)) " likely to end well" } }
            dt { "Computed from" } dd { (counted(why.observations, "result")) " and " (counted(why.pending, "open run")) }
        }
    }
}

/// Returns the meaning of a kind of suggestion.
fn kind_in_words(kind: &str) -> &str {
    match kind {
        "start up" => "start-up: spread over the space",
        "probe" => "probe: good with older code",
        "exploit" => "exploitation: a value like the best or better is expected",
        "explore" => "exploration: promising mostly for the model's uncertainty",
        "far" => "exploration: far from what was tried",
        "dense" => "exploitation: where good results are dense",
        other => other,
    }
}

fn metrics(run: &RunRow) -> Markup {
    let mut last: BTreeMap<&str, f64> = BTreeMap::new();
    for attempt in &run.attempts {
        last.extend(
            attempt
                .metrics
                .iter()
                .map(|(name, value)| (name.as_str(), *value)),
        );
    }
    if last.is_empty() {
        return html! { p.soft { "None was reported." } };
    }
    html! {
        div.scroll { table.narrow aria-label="Metrics" {
            thead { tr { th { "Metric" } th.number { "Last value" } } }
            tbody { @for (name, value) in last { tr { td { (Escaped(name)) } td.number { (number(value)) } } } }
        } }
    }
}

fn attempts(found: &RunPage, now_ms: i64) -> Markup {
    if found.run.attempts.is_empty() {
        return html! { p.soft { "It has not begun." } };
    }
    html! { @for attempt in &found.run.attempts { (one(found, attempt, now_ms)) } }
}

fn one(found: &RunPage, attempt: &AttemptRow, now_ms: i64) -> Markup {
    let end = if attempt.ended_ms > 0 {
        attempt.ended_ms
    } else {
        now_ms
    };
    html! {
        div.card {
            p.facts {
                strong { "Attempt " (attempt.attempt) } (state(attempt.state))
                span { "on " (Escaped(&attempt.host)) " " code.soft title=(Escaped(&attempt.agent)) { (Escaped(brief(&attempt.agent))) } }
                @if attempt.started_ms > 0 { span { (duration(end - attempt.started_ms)) } }
                span.soft { "assigned " (moment(attempt.assigned_ms, now_ms)) }
                @if !attempt.code.is_empty() { span.soft { "code " (Escaped(&version(found, &attempt.code))) } }
            }
            @if let Some(failure) = &attempt.failure {
                p { span.state.failed { (Escaped(&word(&failure.kind))) } " attribution: " strong { (Escaped(&word(&failure.blame))) } ": " (Escaped(&failure.message)) }
                @if !failure.evidence.is_empty() { p { span.soft { "Evidence: " } (Escaped(&failure.evidence)) } }
                @if !failure.output_tail.is_empty() { div.scroll { pre { (Escaped(&failure.output_tail)) } } }
            }
            @if !attempt.orphan.is_empty() { p.soft { "Too late: " (Escaped(&attempt.orphan)) } }
        }
    }
}

fn version(found: &RunPage, code: &str) -> String {
    let place = found
        .sweep
        .codes
        .iter()
        .position(|known| known.version == code);
    place.map_or_else(
        || short(code).to_owned(),
        |place| format!("version {} ({})", place + 1, short(code)),
    )
}

fn code(found: &RunPage) -> Markup {
    let Some(CodeVersion {
        version: digest,
        about,
        ..
    }) = found
        .sweep
        .codes
        .iter()
        .find(|known| known.version == found.run.code)
    else {
        return html! { p.soft { "Its version is not known." } };
    };
    html! {
        p { (Escaped(&version(found, digest))) " " code.soft { (Escaped(digest)) } }
        @if !about.commit.is_empty() {
            p { "commit " code { (Escaped(short(&about.commit))) } " " (Escaped(&about.subject)) @if !about.branch.is_empty() { ", branch " (Escaped(&about.branch)) }
                @if !about.remote.is_empty() { ", " (Escaped(&about.remote)) }
                @if about.files > 0 { ", " (counted(about.files, "file")) " uncommitted (+" (about.added) " −" (about.removed) ")" } }
        }
        @for note in &about.notes { p.soft { (Escaped(note)) } }
    }
}

fn environment(found: &RunPage) -> Markup {
    let Some(Environment {
        facts,
        packages,
        variables,
        data,
        ..
    }) = &found.environment
    else {
        return html! { p.soft { "Nothing was recorded." } };
    };
    html! {
        div.scroll { table.narrow aria-label="Environment" { tbody { @for (name, fact) in facts { tr { td.soft { (Escaped(name)) } td { (Escaped(fact)) } } } } } }
        @if !data.is_empty() { p { "Data: " @for set in data { span { (Escaped(&set.name)) " " code { (Escaped(short(&set.digest))) } " " } } } }
        details { summary { (packages.len()) " packages" } p { @for package in packages { code { (Escaped(package)) } " " } } }
        details { summary { (variables.len()) " variables" } p { @for variable in variables { code { (Escaped(variable)) } " " } } }
    }
}

fn again(found: &RunPage) -> Markup {
    let run = &found.run;
    let command = run
        .attempts
        .iter()
        .rev()
        .find(|attempt| !attempt.command.is_empty())
        .map(|attempt| attempt.command.as_slice());
    html! {
        p { "Exactly that code, configuration and result:" }
        div.scroll { pre { "sweep reproduce " (Escaped(&run.sweep)) "/" (run.run) " --run" } }
        @if let Some(command) = command {
            p { "The command:" }
            div.scroll { pre { @for (index, argument) in command.iter().enumerate() { @if index > 0 { " " } (Escaped(&quoted(argument))) } } }
        }
    }
}

/// An argument as a shell takes it.
fn quoted(argument: &str) -> String {
    let plain =
        |character: char| character.is_ascii_alphanumeric() || "-_./=:,@%+".contains(character);
    if !argument.is_empty() && argument.chars().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_differ_by_a_factor_and_words_do_not() {
        assert_eq!(difference(Some(&json!(0.2)), Some(&json!(0.1))), "× 2");
        assert_eq!(difference(Some(&json!(-1)), Some(&json!(1))), "-2");
        assert_eq!(difference(Some(&json!("a")), Some(&json!("b"))), "");
        assert_eq!(difference(None, Some(&json!(1))), "");
    }

    #[test]
    fn a_command_can_be_pasted() {
        assert_eq!(quoted("--lr=0.1"), "--lr=0.1");
        assert_eq!(quoted("it's; rm"), r"'it'\''s; rm'");
    }
}
