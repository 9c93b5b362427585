//! `constraints`.

use super::diagnostic::DiagnosticReport;
use super::fields::{Fields, at};
use super::model::{Bound, Constraint, Objective, Summary};
use super::yaml::{MappingEntry, Node, NodeKind};

const EXAMPLE: &str = "`{metric: gpu_mem_gb, max: 40}`";
const SUMMARIES: [(&str, Summary); 3] = [
    ("last", Summary::Last),
    ("max", Summary::Max),
    ("min", Summary::Min),
];

/// Reads `constraints`.
pub(super) fn read(
    entry: &MappingEntry,
    objective: Option<&Objective>,
    report: &mut DiagnosticReport,
) -> Vec<Constraint> {
    let NodeKind::List(items) = &entry.value.kind else {
        let help = format!("for example `constraints: [{}]`", EXAMPLE.trim_matches('`'));
        report.error(
            Some(at(&entry.value, entry.key_span)),
            format!(
                "`constraints` must be a list, not {}",
                entry.value.described()
            ),
            Some(help),
        );
        return Vec::new();
    };
    if objective.is_none() {
        let help = "for example `metric: {name: val_loss, goal: minimize}`".to_owned();
        report.error(
            Some(entry.key_span),
            "`constraints` need a `metric` to find the best of",
            Some(help),
        );
    }
    items
        .iter()
        .filter_map(|item| constraint(entry, item, objective, report))
        .collect()
}

fn constraint(
    entry: &MappingEntry,
    item: &Node,
    objective: Option<&Objective>,
    report: &mut DiagnosticReport,
) -> Option<Constraint> {
    let fields = Fields::new(
        "a constraint",
        if item.span.end > item.span.start {
            item.span
        } else {
            entry.key_span
        },
        item,
        EXAMPLE,
        report,
    )?;
    fields.close(&["metric", "min", "max", "reduce"], report);
    let of = fields
        .word("reduce", &SUMMARIES, report)
        .unwrap_or_default();
    let (min, max) = (fields.number("min", report), fields.number("max", report));
    let bound = match (fields.entry("min"), fields.entry("max")) {
        (Some(_), None) => min.map(Bound::Min),
        (None, Some(_)) => max.map(Bound::Max),
        (None, None) => {
            report.error(
                Some(fields.span),
                "a constraint needs `min` or `max`",
                Some(format!("for example {EXAMPLE}")),
            );
            None
        }
        (Some(_), Some(second)) => {
            report.error(
                Some(second.key_span),
                "a constraint has `min` or `max`, not both",
                Some("write two constraints".to_owned()),
            );
            None
        }
    };
    fields.required("metric", report)?;
    let metric = fields.text("metric", report)?;
    if objective.is_some_and(|objective| objective.metric == metric) {
        let help = format!(
            "`metric: {{name: {metric}, target: …}}` ends the sweep once a run has reached it"
        );
        report.warning(
            Some(fields.span),
            format!("`{metric}` is the objective: a bound on it has no effect"),
            Some(help),
        );
    }
    Some(Constraint {
        metric,
        bound: bound?,
        of,
    })
}
