//! Edits of a sweep: what they change, what that means, and what there has been.

use std::fmt::Write as _;

use serde_json::{Value, json};
use sweep_proto::v1::{CodeStep, CodeVersion, EditSweepResponse, Revision, RevisionEffect, Sweep};

use super::code::{origin, short};
use super::{ago, printable};

/// Prints the changes of an edit and its effect on the runs so far.
pub(crate) fn preview(sweep: &Sweep, edit: &EditSweepResponse) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "Sweep {}, revision {}:", sweep.id, edit.revision);
    for change in &edit.changes {
        let _ = writeln!(text, "  {}", printable(change));
    }
    let lines = edit
        .effect
        .as_ref()
        .map(|effect| effects(effect, &sweep.metric, &edit.changes))
        .unwrap_or_default();
    if !lines.is_empty() {
        let _ = writeln!(text, "\nEffect on the runs so far:");
        let width = lines
            .iter()
            .map(|(count, _)| count.to_string().len())
            .max()
            .unwrap_or(1);
        for (count, meaning) in lines {
            let _ = writeln!(text, "  {count:>width$} {meaning}");
        }
    }
    if sweep.state == "finished" && edit.state == "running" {
        let _ = writeln!(text, "\nThe sweep was finished; it continues.");
    } else if sweep.state == "running" && edit.state == "finished" {
        let _ = writeln!(text, "\nNo run is left to try: the sweep ends.");
    }
    text
}

fn effects(effect: &RevisionEffect, metric: &str, changes: &[String]) -> Vec<(u64, String)> {
    let objective = changes.iter().any(|change| change.starts_with("metric: "));
    let constraint = changes
        .iter()
        .any(|change| change.starts_with("constraint added: "));
    let reported = if objective { "the new metric" } else { metric };
    let lines = [
        (
            effect.inside,
            "in the space: the search uses them".to_owned(),
        ),
        (
            effect.outside,
            "outside of it: kept and used by the search, but none of them can be the best"
                .to_owned(),
        ),
        (
            effect.nowhere,
            "cannot be placed in the new space (previous value unknown): kept, not used".to_owned(),
        ),
        (
            effect.unreported,
            format!("of these ended without a report of {}", printable(reported)),
        ),
        (
            if constraint { effect.violating } else { 0 },
            "of these violate a constraint, or did not report its metric".to_owned(),
        ),
        (
            effect.withdrawn,
            "queued and not in the space: withdrawn".to_owned(),
        ),
        (effect.running, "running: they end unchanged".to_owned()),
    ];
    lines.into_iter().filter(|(count, _)| *count > 0).collect()
}

/// The same for programs.
pub(crate) fn json(sweep: &Sweep, edit: &EditSweepResponse, done: bool) -> Value {
    json!({"sweep": sweep.id, "revision": edit.revision, "done": done, "changes": edit.changes, "state": edit.state,
        "effect": edit.effect.as_ref().map(effect_json),
        "unexplained": edit.questions.iter().map(|question| &question.parameter).collect::<Vec<_>>()})
}

fn effect_json(effect: &RevisionEffect) -> Value {
    let RevisionEffect {
        inside,
        outside,
        nowhere,
        unreported,
        violating,
        withdrawn,
        running,
    } = *effect;
    json!({"inside": inside, "outside": outside, "nowhere": nowhere, "unreported": unreported, "violating": violating, "withdrawn": withdrawn, "running": running})
}

/// All that has changed in a sweep, the oldest first.
pub(crate) fn history(
    revisions: &[Revision],
    versions: &[CodeVersion],
    steps: &[CodeStep],
) -> String {
    let mut entries: Vec<(i64, String)> = revisions
        .iter()
        .map(|revision| (revision.since_ms, entry(revision)))
        .collect();
    entries.extend(
        versions
            .iter()
            .map(|version| (version.since_ms, code_entry(version))),
    );
    entries.extend(
        steps
            .iter()
            .map(|step| (step.since_ms, step_entry(step, versions))),
    );
    entries.sort_by_key(|(since, _)| *since);
    entries
        .into_iter()
        .map(|(since, text)| format!("{:<12} {text}", ago(since)))
        .collect()
}

fn entry(revision: &Revision) -> String {
    let number = revision.revision;
    if number == 1 {
        return "created: revision 1\n".to_owned();
    }
    let restores = if revision.restores > 0 {
        format!(", back to revision {}", revision.restores)
    } else {
        String::new()
    };
    let mut text = format!(
        "edited: revision {number}, space version {}{restores}\n",
        revision.space
    );
    for change in &revision.changes {
        let _ = writeln!(text, "{:13}{}", "", printable(change));
    }
    let Some(effect) = &revision.effect else {
        return text;
    };
    let counts = [
        (effect.inside, "inside"),
        (effect.outside, "outside"),
        (effect.nowhere, "of unknown place"),
        (effect.unreported, "without a value"),
        (effect.violating, "against a constraint"),
        (effect.withdrawn, "withdrawn"),
        (effect.running, "running"),
    ];
    let counts: Vec<_> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if !counts.is_empty() {
        let _ = writeln!(text, "{:13}runs then: {}", "", counts.join(", "));
    }
    text
}

fn step_entry(step: &CodeStep, versions: &[CodeVersion]) -> String {
    let name = |hash: &str| {
        let found = versions.iter().find(|version| {
            version
                .code
                .as_ref()
                .is_some_and(|code| code.version == hash)
        });
        found.map_or_else(
            || format!("version {}", short(hash)),
            |version| format!("version {}", version.number),
        )
    };
    let what = match step.act.as_str() {
        "pinned" => format!("pinned to {}", name(&step.version)),
        "same-as" => format!(
            "{} marked the same as {}",
            name(&step.version),
            name(&step.same_as)
        ),
        "unmarked" => format!("{} no longer marked", name(&step.version)),
        other => format!("{} marked {}", name(&step.version), printable(other)),
    };
    format!("code: {what}\n")
}

fn code_entry(version: &CodeVersion) -> String {
    let Some(code) = &version.code else {
        return String::new();
    };
    let origin = origin(code);
    let from = if origin.is_empty() {
        String::new()
    } else {
        format!(" from {origin}")
    };
    format!(
        "code: version {} ({}){from}\n",
        version.number,
        short(&code.version)
    )
}

/// The same for programs.
pub(crate) fn history_json(
    revisions: &[Revision],
    versions: &[CodeVersion],
    steps: &[CodeStep],
) -> Vec<Value> {
    let mut entries: Vec<(i64, Value)> = Vec::new();
    entries.extend(revisions.iter().map(|revision| {
        let restores = (revision.restores > 0).then_some(revision.restores);
        let effect = revision.effect.as_ref().map(effect_json);
        let object = json!({"type": "revision", "revision": revision.revision, "space": revision.space, "restores": restores,
            "changes": revision.changes, "effect": effect, "since_ms": revision.since_ms});
        (revision.since_ms, object)
    }));
    entries.extend(versions.iter().map(|version| {
        let hash = version.code.as_ref().map(|code| code.version.as_str());
        (version.since_ms, json!({"type": "code", "number": version.number, "version": hash, "since_ms": version.since_ms}))
    }));
    entries.extend(steps.iter().map(|step| {
        let same_as = (!step.same_as.is_empty()).then_some(&step.same_as);
        let object = json!({"type": "code_step", "act": step.act, "version": step.version, "same_as": same_as, "since_ms": step.since_ms});
        (step.since_ms, object)
    }));
    entries.sort_by_key(|(since, _)| *since);
    entries.into_iter().map(|(_, object)| object).collect()
}
