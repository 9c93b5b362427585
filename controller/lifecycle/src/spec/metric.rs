//! `metric`.

use sweep_search::observation::Goal;
use sweep_search::space::Value;

use super::diagnostic::DiagnosticReport;
use super::fields::Fields;
use super::model::{Impute, Objective, OverInits, Reduce};
use super::yaml::{MappingEntry, NodeKind};

const IMPUTE: [(&str, Impute); 3] = [
    ("worst", Impute::Worst),
    ("best", Impute::Best),
    ("latest", Impute::Latest),
];

/// Reads `metric`.
pub(super) fn read(entry: &MappingEntry, report: &mut DiagnosticReport) -> Option<Objective> {
    let fields = Fields::new(
        "`metric`",
        entry.key_span,
        &entry.value,
        "`metric: {name: val_loss, goal: minimize}`",
        report,
    )?;
    fields.close(
        &[
            "name",
            "goal",
            "target",
            "impute",
            "impute_while_running",
            "reduce",
        ],
        report,
    );
    let goal = fields.word(
        "goal",
        &[("minimize", Goal::Minimize), ("maximize", Goal::Maximize)],
        report,
    );
    let target = fields.number("target", report);
    let impute = fields.word("impute", &IMPUTE, report);
    let impute_while_running = while_running(&fields, report);
    let reduce = reduce(&fields, report);
    fields.required("name", report)?;
    let metric = fields.text("name", report)?;
    if metric.is_empty() {
        report.error(
            Some(fields.span),
            "`metric`: `name` is empty",
            Some("the name under which the program reports it".to_owned()),
        );
        return None;
    }
    Some(Objective {
        metric,
        goal: goal.unwrap_or_default(),
        target,
        impute: impute.unwrap_or_default(),
        impute_while_running,
        reduce,
        over_inits: OverInits::default(),
    })
}

/// Reads `objective_over_inits`.
pub(super) fn over_inits(fields: &Fields<'_>, report: &mut DiagnosticReport) -> OverInits {
    let words = [
        ("mean", OverInits::Mean),
        ("last", OverInits::Last),
        ("first", OverInits::First),
    ];
    let read = fields
        .word("objective_over_inits", &words, report)
        .unwrap_or_default();
    if let Some(entry) = fields
        .entry("objective_over_inits")
        .filter(|_| fields.entry("metric").is_none())
    {
        let help = "for example `metric: {name: val_loss, goal: minimize}`".to_owned();
        report.error(
            Some(entry.key_span),
            "`objective_over_inits` needs a `metric` to combine",
            Some(help),
        );
    }
    read
}

fn while_running(fields: &Fields<'_>, report: &mut DiagnosticReport) -> Option<Impute> {
    let entry = fields.entry("impute_while_running")?;
    // W&B wants the text "false"; the boolean says the same.
    match entry.value.to_value() {
        Value::Bool(false) => None,
        Value::Str(text) if text == "false" => None,
        _ => fields.word("impute_while_running", &IMPUTE, report),
    }
}

fn reduce(fields: &Fields<'_>, report: &mut DiagnosticReport) -> Reduce {
    let Some(entry) = fields.entry("reduce") else {
        return Reduce::Best;
    };
    if let NodeKind::Map(entries) = &entry.value.kind {
        let inner = Fields {
            of: "`reduce` of `metric`".to_owned(),
            span: entry.key_span,
            entries,
            is_null: |_, _| false,
        };
        inner.close(&["mean_last"], report);
        inner.required("mean_last", report);
        let count = inner
            .whole("mean_last", 1, report)
            .and_then(|count| u32::try_from(count).ok());
        return count.map_or(Reduce::Best, Reduce::MeanLast);
    }
    fields
        .word(
            "reduce",
            &[("best", Reduce::Best), ("last", Reduce::Last)],
            report,
        )
        .unwrap_or_default()
}
