//! How runs are looked after: limits of time, a look at the machine before each, retries, and what an agent does without its controller.

use std::path::{Component, Path};
use std::time::Duration;

use sweep_search::space::Value;

use super::diagnostic::DiagnosticReport;
use super::fields::{Fields, at};
use super::model::{CodeMode, CodePolicy, OnLeaseLost, RetryPolicy};
use super::yaml::{MappingEntry, NodeKind};

const RETRIES_MAX: u32 = 1000;
const PROBES_MAX: u32 = 100;
const PATTERNS_MAX: usize = 100;
const MODES: [(&str, CodeMode); 2] = [("track", CodeMode::Track), ("pin", CodeMode::Pin)];
const WORDS: [(&str, OnLeaseLost); 2] = [
    ("continue", OnLeaseLost::Continue),
    ("stop", OnLeaseLost::Stop),
];

/// `retry`.
pub(super) fn retry(fields: &Fields<'_>, report: &mut DiagnosticReport) -> RetryPolicy {
    let mut policy = RetryPolicy::default();
    let Some(entry) = fields.entry("retry") else {
        return policy;
    };
    let Some(fields) = Fields::new(
        "`retry`",
        entry.key_span,
        &entry.value,
        "`retry: {lost: 3, machine: 3, crashed: 1}`",
        report,
    ) else {
        return policy;
    };
    fields.close(&["lost", "machine", "crashed"], report);
    let mut set = |key: &str, count: &mut u32| {
        if let Some(number) = fields.whole(key, 0, report) {
            match u32::try_from(number)
                .ok()
                .filter(|number| *number <= RETRIES_MAX)
            {
                Some(number) => *count = number,
                None => {
                    let place = fields.entry(key).map(|entry| entry.key_span);
                    report.error(
                        place,
                        format!("`retry`: `{key}` is at most {RETRIES_MAX}"),
                        None,
                    );
                }
            }
        }
    };
    set("lost", &mut policy.lost);
    set("machine", &mut policy.machine);
    set("crashed", &mut policy.crashed);
    policy
}

/// `code`.
pub(super) fn code(fields: &Fields<'_>, report: &mut DiagnosticReport) -> CodePolicy {
    let mut policy = CodePolicy::default();
    let Some(entry) = fields.entry("code") else {
        return policy;
    };
    let Some(fields) = Fields::new(
        "`code`",
        entry.key_span,
        &entry.value,
        "`code: {mode: track, probe: 2}`",
        report,
    ) else {
        return policy;
    };
    fields.close(&["mode", "probe", "include"], report);
    policy.mode = fields.word("mode", &MODES, report).unwrap_or_default();
    if let Some(number) = fields.whole("probe", 0, report) {
        match u32::try_from(number)
            .ok()
            .filter(|number| *number <= PROBES_MAX)
        {
            Some(number) => policy.probe = number,
            None => {
                let place = fields.entry("probe").map(|entry| entry.key_span);
                report.error(
                    place,
                    format!("`code`: `probe` is at most {PROBES_MAX}"),
                    None,
                );
            }
        }
    }
    if let Some(entry) = fields.entry("include") {
        let patterns = include(entry);
        if patterns.is_none() {
            let message = format!(
                "`code`: `include` must be a list of paths or patterns inside of the working folder, not {}",
                entry.value.described()
            );
            report.error(
                Some(at(&entry.value, entry.key_span)),
                message,
                Some("`code: {include: [prompts, \"data/*.json\"]}`".to_owned()),
            );
        }
        policy.include = patterns.unwrap_or_default();
    }
    policy
}

fn include(entry: &MappingEntry) -> Option<Vec<String>> {
    let is_inside = |pattern: &String| {
        let mut parts = Path::new(pattern).components();
        !pattern.is_empty()
            && !pattern.contains('\0')
            && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
    };
    let patterns = match &entry.value.kind {
        NodeKind::List(_) => argv(entry)?,
        _ => match entry.value.to_value() {
            Value::Str(text) => vec![text],
            _ => return None,
        },
    };
    (patterns.len() <= PATTERNS_MAX && patterns.iter().all(is_inside)).then_some(patterns)
}

/// `max_runtime` or `max_silence`, in milliseconds.
pub(super) fn time(fields: &Fields<'_>, key: &str, report: &mut DiagnosticReport) -> Option<u64> {
    let entry = fields.entry(key)?;
    let time = match entry.value.to_value() {
        Value::Int(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
        Value::Float(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Value::Str(text) => duration(&text),
        _ => None,
    };
    let milliseconds = time
        .and_then(|time| u64::try_from(time.as_millis()).ok())
        .filter(|time| *time > 0 && i64::try_from(*time).is_ok());
    if milliseconds.is_none() {
        let message = format!(
            "`{key}` must be a time above 0, not {}",
            entry.value.described()
        );
        report.error(
            Some(at(&entry.value, entry.key_span)),
            message,
            Some(format!("`{key}: 90s`, `30m`, `2h`, `1d`, or seconds")),
        );
    }
    milliseconds
}

/// Reads `90s`, `1.5h`, `250ms`.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.')?);
    let seconds = match unit.trim() {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

/// `on_lease_lost`.
pub(super) fn on_lease_lost(fields: &Fields<'_>, report: &mut DiagnosticReport) -> OnLeaseLost {
    fields
        .word("on_lease_lost", &WORDS, report)
        .unwrap_or_default()
}

/// `preflight`: argv of a program. No macros: it looks at the machine, not at the configuration.
pub(super) fn preflight(fields: &Fields<'_>, report: &mut DiagnosticReport) -> Vec<String> {
    let Some(entry) = fields.entry("preflight") else {
        return Vec::new();
    };
    let argv = argv(entry);
    if argv.as_ref().is_none_or(Vec::is_empty) {
        let message = format!(
            "`preflight` must be a list of texts, a program and its arguments, not {}",
            entry.value.described()
        );
        report.error(
            Some(at(&entry.value, entry.key_span)),
            message,
            Some("`preflight: [test, -d, /data/imagenet]`".to_owned()),
        );
    }
    argv.unwrap_or_default()
}

fn argv(entry: &MappingEntry) -> Option<Vec<String>> {
    let NodeKind::List(items) = &entry.value.kind else {
        return None;
    };
    let text = |value| match value {
        Value::Str(text) if !text.contains('\0') => Some(text),
        Value::Int(int) => Some(int.to_string()),
        _ => None,
    };
    items.iter().map(|item| text(item.to_value())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, ms) in [
            ("90s", 90_000),
            ("1.5m", 90_000),
            ("30 min", 1_800_000),
            ("250ms", 250),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "",
            "s",
            "90",
            "1e3s",
            "-1s",
            "5 parsecs",
            "1.2.3s",
            "99999999999999999999d",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
