//! `metric` and `early_terminate`.

use sweep_search::early_stop::{Bands, Hyperband};
use sweep_search::observation::Goal;
use sweep_search::space::Value;

use super::diagnostic::Report;
use super::fields::{Fields, at};
use super::model::{Impute, Objective, Reduce};
use super::yaml::{Entry, Kind};

const IMPUTE: [(&str, Impute); 3] = [("worst", Impute::Worst), ("best", Impute::Best), ("latest", Impute::Latest)];

/// Reads `metric`.
pub(super) fn metric(entry: &Entry, report: &mut Report) -> Option<Objective> {
    let fields = Fields::new("`metric`", entry.key_span, &entry.value, "`metric: {name: val_loss, goal: minimize}`", report)?;
    fields.close(&["name", "goal", "target", "impute", "impute_while_running", "reduce"], report);
    let goal = fields.word("goal", &[("minimize", Goal::Minimize), ("maximize", Goal::Maximize)], report);
    let target = fields.number("target", report);
    let impute = fields.word("impute", &IMPUTE, report);
    let impute_while_running = while_running(&fields, report);
    let reduce = reduce(&fields, report);
    fields.required("name", report)?;
    let metric = fields.text("name", report)?;
    if metric.is_empty() {
        report.error(Some(fields.span), "`metric`: `name` is empty", Some("the name under which the program reports it".to_owned()));
        return None;
    }
    Some(Objective { metric, goal: goal.unwrap_or_default(), target, impute: impute.unwrap_or_default(), impute_while_running, reduce })
}

fn while_running(fields: &Fields<'_>, report: &mut Report) -> Option<Impute> {
    let entry = fields.entry("impute_while_running")?;
    // W&B wants the text "false"; the boolean says the same.
    match entry.value.to_value() {
        Value::Bool(false) => None,
        Value::Str(text) if text == "false" => None,
        _ => fields.word("impute_while_running", &IMPUTE, report),
    }
}

fn reduce(fields: &Fields<'_>, report: &mut Report) -> Reduce {
    let Some(entry) = fields.entry("reduce") else { return Reduce::Best };
    if let Kind::Map(entries) = &entry.value.kind {
        let inner = Fields { of: "`reduce` of `metric`".to_owned(), span: entry.key_span, entries };
        inner.close(&["mean_last"], report);
        inner.required("mean_last", report);
        let count = inner.whole("mean_last", 1, report).and_then(|count| u32::try_from(count).ok());
        return count.map_or(Reduce::Best, Reduce::MeanLast);
    }
    fields.word("reduce", &[("best", Reduce::Best), ("last", Reduce::Last)], report).unwrap_or_default()
}

/// Reads `early_terminate`.
pub(super) fn early_terminate(entry: &Entry, report: &mut Report) -> Option<Hyperband> {
    let fields =
        Fields::new("`early_terminate`", entry.key_span, &entry.value, "`early_terminate: {type: hyperband, min_iter: 3}`", report)?;
    fields.required("type", report)?;
    let kind = fields.text("type", report)?;
    if kind != "hyperband" {
        let node = fields.entry("type")?;
        let (message, help) = match kind.as_str() {
            "asha" | "median" | "predict" => {
                (format!("`early_terminate`: the type `{kind}` is not supported yet"), "`hyperband` is".to_owned())
            }
            _ => (format!("`early_terminate`: there is no type `{kind}`"), "the type is `hyperband`".to_owned()),
        };
        report.error(Some(at(&node.value, node.key_span)), message, Some(help));
        return None;
    }
    fields.close(&["type", "min_iter", "max_iter", "s", "eta", "strict"], report);
    let eta = fields.number("eta", report).unwrap_or(3.0);
    if eta <= 1.0
        && let Some(entry) = fields.entry("eta")
    {
        report.error(Some(at(&entry.value, entry.key_span)), format!("`early_terminate`: `eta` must be above 1, not {eta}"), None);
        return None;
    }
    let strict = fields.boolean("strict", report).unwrap_or(true);
    let bands = bands(&fields, report)?;
    Some(Hyperband { bands, eta, strict })
}

fn bands(fields: &Fields<'_>, report: &mut Report) -> Option<Bands> {
    let has = |key: &str| fields.entry(key).is_some();
    if has("max_iter") && has("s") {
        if let Some(entry) = fields.entry("min_iter") {
            let message = "`early_terminate` has `min_iter` as well as `max_iter` and `s`; the latter two count".to_owned();
            report.warning(Some(entry.key_span), message, Some("remove `min_iter`".to_owned()));
        }
        let (max_iter, s) = (fields.whole("max_iter", 1, report), fields.whole("s", 1, report));
        return Some(Bands::MaxIter { max_iter: max_iter?.unsigned_abs(), s: s?.unsigned_abs() });
    }
    if has("min_iter") {
        return fields.whole("min_iter", 1, report).map(|min_iter| Bands::MinIter(min_iter.unsigned_abs()));
    }
    let message = match (has("max_iter"), has("s")) {
        (true, false) => "`early_terminate` has `max_iter` but no `s`",
        (false, true) => "`early_terminate` has `s` but no `max_iter`",
        _ => "`early_terminate` says neither `min_iter` nor `max_iter` and `s`",
    };
    let help = "give `min_iter: 3` (the first band, counted in reported values of the metric), or both `max_iter` and `s`".to_owned();
    report.error(Some(fields.span), message, Some(help));
    None
}
