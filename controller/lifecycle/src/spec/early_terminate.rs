//! `early_terminate`.

use sweep_search::early_stop::{Asha, Bands, EarlyStop, Hyperband, Median, Predictive};

use super::diagnostic::{DiagnosticReport, suggestion};
use super::fields::{Fields, at};
use super::yaml::MappingEntry;

const TYPES: [&str; 4] = ["hyperband", "asha", "median", "predictive"];

/// Names of our keys in other programs.
const ELSEWHERE: [(&str, &str); 11] = [
    ("grace_period", "min_iter"),
    ("min_resource", "min_iter"),
    ("min_t", "min_iter"),
    ("n_warmup_steps", "min_iter"),
    ("max_resource", "max_iter"),
    ("max_t", "max_iter"),
    ("reduction_factor", "eta"),
    ("min_samples_required", "min_runs"),
    ("min_num_trials", "min_runs"),
    ("n_startup_trials", "min_runs"),
    ("probability", "min_probability"),
];

/// As few finished runs as anything can be learnt from.
const PREDICTIVE_RUNS_MIN: i64 = 3;

/// Reads `early_terminate`.
pub(super) fn read(entry: &MappingEntry, report: &mut DiagnosticReport) -> Option<EarlyStop> {
    let fields = Fields::new(
        "`early_terminate`",
        entry.key_span,
        &entry.value,
        "`early_terminate: {type: hyperband, min_iter: 3}`",
        report,
    )?;
    fields.required("type", report)?;
    let kind = fields.text("type", report)?;
    match kind.as_str() {
        "hyperband" => hyperband(&fields, report).map(EarlyStop::Hyperband),
        "asha" => asha(&fields, report).map(EarlyStop::Asha),
        "median" => median(&fields, report).map(EarlyStop::Median),
        "predictive" => predictive(&fields, report).map(EarlyStop::Predictive),
        _ => {
            let node = fields.entry("type")?;
            let message = format!("`early_terminate`: there is no type `{kind}`");
            report.error(
                Some(at(&node.value, node.key_span)),
                message,
                Some(suggestion(&kind, &TYPES)),
            );
            None
        }
    }
}

fn close(fields: &Fields<'_>, known: &[&str], report: &mut DiagnosticReport) {
    for entry in fields
        .entries
        .iter()
        .filter(|entry| !known.contains(&entry.key.as_str()))
    {
        let ours = ELSEWHERE
            .iter()
            .find(|(theirs, ours)| *theirs == entry.key && known.contains(ours));
        let help = ours.map_or_else(
            || suggestion(&entry.key, known),
            |(_, ours)| format!("it is called `{ours}` here"),
        );
        report.error(
            Some(entry.key_span),
            format!("{} has no key `{}`", fields.of, entry.key),
            Some(help),
        );
    }
}

fn hyperband(fields: &Fields<'_>, report: &mut DiagnosticReport) -> Option<Hyperband> {
    close(
        fields,
        &["type", "min_iter", "max_iter", "s", "eta", "strict"],
        report,
    );
    let eta = eta(fields, report);
    let strict = fields.boolean("strict", report).unwrap_or(true);
    for entry in ["max_iter", "s"]
        .into_iter()
        .filter(|_| fields.entry("min_iter").is_some())
        // Both together count, and `min_iter` does not.
        .filter(|_| fields.entry("max_iter").is_none() || fields.entry("s").is_none())
        .filter_map(|key| fields.entry(key))
    {
        let message = format!(
            "`early_terminate`: `{}` has no effect beside `min_iter`",
            entry.key
        );
        let help =
            "the bands are min_iter, min_iter · eta, min_iter · eta², …; leave one of the two out"
                .to_owned();
        report.warning(Some(at(&entry.value, entry.key_span)), message, Some(help));
    }
    Some(Hyperband {
        bands: bands(fields, report)?,
        eta: eta?,
        strict,
    })
}

fn asha(fields: &Fields<'_>, report: &mut DiagnosticReport) -> Option<Asha> {
    close(fields, &["type", "min_iter", "max_iter", "eta"], report);
    let eta = eta(fields, report);
    let (min_iter, max_iter) = min_and_max_iter(fields, report);
    Some(Asha {
        min_iter: min_iter.unwrap_or(1),
        max_iter,
        eta: eta?,
    })
}

fn median(fields: &Fields<'_>, report: &mut DiagnosticReport) -> Option<Median> {
    close(fields, &["type", "min_iter", "min_runs"], report);
    let min_iter = count(fields, "min_iter", 1, report).unwrap_or(1);
    Some(Median {
        min_iter,
        min_runs: count(fields, "min_runs", 1, report).unwrap_or(5),
    })
}

fn predictive(fields: &Fields<'_>, report: &mut DiagnosticReport) -> Option<Predictive> {
    close(
        fields,
        &[
            "type",
            "min_probability",
            "min_iter",
            "max_iter",
            "min_runs",
        ],
        report,
    );
    let (min_iter, max_iter) = min_and_max_iter(fields, report);
    let min_runs = count(fields, "min_runs", PREDICTIVE_RUNS_MIN, report).unwrap_or(5);
    let min_probability = fields.number("min_probability", report).unwrap_or(0.2);
    if let Some(entry) = fields
        .entry("min_probability")
        .filter(|_| !(min_probability > 0.0 && min_probability <= 0.5))
    {
        let message = format!(
            "`early_terminate`: `min_probability` must be above 0 and at most 0.5, not {min_probability}"
        );
        let help = "a run stops when it beats the best with less than this probability, and early with less: `0.2` by default".to_owned();
        report.error(Some(at(&entry.value, entry.key_span)), message, Some(help));
        return None;
    }
    Some(Predictive {
        min_probability,
        min_iter,
        max_iter,
        min_runs,
    })
}

fn count(fields: &Fields<'_>, key: &str, min: i64, report: &mut DiagnosticReport) -> Option<u64> {
    fields.whole(key, min, report).map(i64::unsigned_abs)
}

// One that is too large for the other would silently turn the rule off.
fn min_and_max_iter(
    fields: &Fields<'_>,
    report: &mut DiagnosticReport,
) -> (Option<u64>, Option<u64>) {
    let (min_iter, max_iter) = (
        count(fields, "min_iter", 1, report),
        count(fields, "max_iter", 1, report),
    );
    if let (Some(min), Some(max), Some(entry)) = (min_iter, max_iter, fields.entry("min_iter"))
        && min >= max
    {
        let message = format!(
            "`early_terminate`: `min_iter` must be below `max_iter`, but {min} is not below {max}"
        );
        let help = "no run would ever be stopped: runs are judged from `min_iter` on, and end at `max_iter`".to_owned();
        report.error(Some(at(&entry.value, entry.key_span)), message, Some(help));
    }
    (min_iter, max_iter)
}

// `None`: it is there and wrong.
fn eta(fields: &Fields<'_>, report: &mut DiagnosticReport) -> Option<f64> {
    let Some(entry) = fields.entry("eta") else {
        return Some(3.0);
    };
    let eta = fields.number("eta", report)?;
    if eta <= 1.0 {
        report.error(
            Some(at(&entry.value, entry.key_span)),
            format!("`early_terminate`: `eta` must be above 1, not {eta}"),
            None,
        );
        return None;
    }
    Some(eta)
}

fn bands(fields: &Fields<'_>, report: &mut DiagnosticReport) -> Option<Bands> {
    let has = |key: &str| fields.entry(key).is_some();
    if has("max_iter") && has("s") {
        if let Some(entry) = fields.entry("min_iter") {
            let message = "`early_terminate` has `min_iter` as well as `max_iter` and `s`; the latter two count".to_owned();
            report.warning(
                Some(entry.key_span),
                message,
                Some("remove `min_iter`".to_owned()),
            );
        }
        let (max_iter, s) = (
            fields.whole("max_iter", 1, report),
            fields.whole("s", 1, report),
        );
        return Some(Bands::MaxIter {
            max_iter: max_iter?.unsigned_abs(),
            s: s?.unsigned_abs(),
        });
    }
    if has("min_iter") {
        return fields
            .whole("min_iter", 1, report)
            .map(|min_iter| Bands::MinIter(min_iter.unsigned_abs()));
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
