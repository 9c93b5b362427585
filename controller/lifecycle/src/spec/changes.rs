//! The differences of two sweep files, in words for the user that replaces one by the other.

use sweep_search::observation::Goal;
use sweep_search::space::{Distribution, Parameter, Path, Space, Value};

use super::model::{Objective, OverInits, Reduce, SweepSpec};

/// Returns what changes, one line each; nothing where both mean the same.
pub fn changes(before: &SweepSpec, after: &SweepSpec) -> Vec<String> {
    let mut lines = parameters(before, after);
    if before.method != after.method {
        lines.push(format!(
            "method: {} → {}",
            word(&before.method),
            word(&after.method)
        ));
    }
    if before.objective != after.objective {
        let words = |objective: &Option<Objective>| {
            objective
                .as_ref()
                .map_or_else(|| "none".to_owned(), objective_words)
        };
        lines.push(format!(
            "metric: {} → {}",
            words(&before.objective),
            words(&after.objective)
        ));
    }
    let added = after
        .constraints
        .iter()
        .filter(|constraint| !before.constraints.contains(constraint));
    lines.extend(added.map(|constraint| format!("constraint added: {constraint}")));
    let removed = before
        .constraints
        .iter()
        .filter(|constraint| !after.constraints.contains(constraint));
    lines.extend(removed.map(|constraint| format!("constraint removed: {constraint}")));
    lines.extend(settings(before, after));
    lines
}

/// Returns the parameters that are new in an edited file, vary, and whose previous value is unknown, with their definitions.
pub fn unexplained(before: &Space, after: &SweepSpec) -> Vec<(String, String)> {
    let is_new = |parameter: &&Parameter| after.origins.before(&parameter.path, before).is_none();
    let asks = |parameter: &&Parameter| {
        let fixed = matches!(parameter.distribution, Distribution::Constant { .. });
        !fixed && !after.origins.was.contains_key(&parameter.path)
    };
    let new = after.space.parameters().iter().filter(is_new).filter(asks);
    new.map(|parameter| (parameter.path.to_string(), words(&parameter.distribution)))
        .collect()
}

fn parameters(before: &SweepSpec, after: &SweepSpec) -> Vec<String> {
    let mut lines = Vec::new();
    let mut kept = Vec::new();
    for parameter in after.space.parameters() {
        let path = &parameter.path;
        let Some(earlier) = after
            .origins
            .before(path, &before.space)
            .and_then(|earlier| before.space.get(earlier))
        else {
            let used = after
                .origins
                .was
                .get(path)
                .map(|was| format!("; the code used {} before", text(was)))
                .unwrap_or_default();
            let renamed = former_name(parameter, before, after).filter(|_| used.is_empty());
            let renamed = renamed
                .map(|former| {
                    format!("; if that is another name of `{former}`, add `renamed_from: {former}`")
                })
                .unwrap_or_default();
            lines.push(format!(
                "parameter `{path}` is new: {}{used}{renamed}",
                words(&parameter.distribution)
            ));
            continue;
        };
        kept.push(&earlier.path);
        if earlier.path != *path {
            lines.push(format!(
                "parameter `{}` is called `{path}` now",
                earlier.path
            ));
        }
        if earlier.distribution != parameter.distribution {
            lines.push(format!(
                "parameter `{path}`: {}",
                difference(&earlier.distribution, &parameter.distribution)
            ));
        }
        if earlier.when != parameter.when {
            lines.push(format!(
                "parameter `{path}`: it is there under other conditions"
            ));
        }
    }
    let removed = before
        .space
        .parameters()
        .iter()
        .filter(|parameter| !kept.contains(&&parameter.path));
    lines.extend(removed.map(|parameter| {
        format!(
            "parameter `{}` is removed; it was {}",
            parameter.path,
            words(&parameter.distribution)
        )
    }));
    lines
}

/// Returns the only parameter that is removed and varied as a new one does, if no other new one does so too.
fn former_name<'a>(new: &Parameter, before: &'a SweepSpec, after: &SweepSpec) -> Option<&'a Path> {
    let is_alike = |other: &&Parameter| other.distribution == new.distribution;
    let is_new = |parameter: &&Parameter| {
        after
            .origins
            .before(&parameter.path, &before.space)
            .is_none()
    };
    let is_kept = |path: &Path| {
        after
            .space
            .parameters()
            .iter()
            .any(|parameter| after.origins.before(&parameter.path, &before.space) == Some(path))
    };
    let mut removed = before
        .space
        .parameters()
        .iter()
        .filter(is_alike)
        .filter(|parameter| !is_kept(&parameter.path));
    let added = after
        .space
        .parameters()
        .iter()
        .filter(is_alike)
        .filter(is_new)
        .count();
    let only = removed
        .next()
        .filter(|_| removed.next().is_none() && added == 1)?;
    (!matches!(new.distribution, Distribution::Constant { .. })).then_some(&only.path)
}

fn difference(before: &Distribution, after: &Distribution) -> String {
    if let (
        Distribution::Categorical {
            values: old,
            ordered: was,
        },
        Distribution::Categorical {
            values: new,
            ordered: is,
        },
    ) = (before, after)
    {
        let missing = |of: &[Value], from: &[Value]| -> Vec<String> {
            of.iter()
                .filter(|value| {
                    from.iter()
                        .all(|other| other.identity() != value.identity())
                })
                .map(text)
                .collect()
        };
        let (dropped, added) = (missing(old, new), missing(new, old));
        let parts = [("dropped", dropped), ("added", added)]
            .into_iter()
            .filter(|(_, values)| !values.is_empty());
        let mut parts: Vec<_> = parts
            .map(|(what, values)| format!("{} {what}", values.join(", ")))
            .collect();
        let order = |ordered: &Option<bool>| {
            ordered.map_or("learnt".to_owned(), |ordered| ordered.to_string())
        };
        parts.extend(
            (was != is).then(|| format!("`ordered` is {} in place of {}", order(is), order(was))),
        );
        return if parts.is_empty() {
            "the same values in another order".to_owned()
        } else {
            parts.join("; ")
        };
    }
    let how = match (range(before), range(after)) {
        (Some((low, high)), Some((new_low, new_high)))
            if std::mem::discriminant(before) == std::mem::discriminant(after) =>
        {
            match (
                new_low < low || new_high > high,
                new_low > low || new_high < high,
            ) {
                (true, false) => " (wider)",
                (false, true) => " (narrower)",
                (true, true) => " (moved)",
                (false, false) => "",
            }
        }
        _ => "",
    };
    format!("{} → {}{how}", words(before), words(after))
}

fn range(distribution: &Distribution) -> Option<(f64, f64)> {
    match *distribution {
        Distribution::IntUniform { min, max } => Some((min as f64, max as f64)),
        Distribution::Uniform { min, max }
        | Distribution::QUniform { min, max, .. }
        | Distribution::LogUniform { min, max }
        | Distribution::QLogUniform { min, max, .. }
        | Distribution::LogUniformValues { min, max }
        | Distribution::QLogUniformValues { min, max, .. }
        | Distribution::InvLogUniform { min, max }
        | Distribution::InvLogUniformValues { min, max } => Some((min, max)),
        _ => None,
    }
}

/// Says how a parameter varies.
/// Returns a distribution in words: "0.001 to 0.1, logarithmic".
pub(super) fn words(distribution: &Distribution) -> String {
    let to = |min: f64, max: f64| format!("{} to {}", number(min), number(max));
    match distribution {
        Distribution::Constant { value } => format!("fixed at {}", text(value)),
        Distribution::Categorical { values, .. }
        | Distribution::CategoricalWithProbabilities { values, .. } => {
            format!(
                "one of {}",
                values.iter().map(text).collect::<Vec<_>>().join(", ")
            )
        }
        Distribution::IntUniform { min, max } => format!("{min} to {max}, whole numbers"),
        Distribution::Uniform { min, max } => to(*min, *max),
        Distribution::QUniform { min, max, q } => {
            format!("{} in steps of {}", to(*min, *max), number(q.as_f64()))
        }
        Distribution::LogUniformValues { min, max }
        | Distribution::InvLogUniformValues { min, max } => {
            format!("{}, logarithmic", to(*min, *max))
        }
        Distribution::QLogUniformValues { min, max, q } => {
            format!(
                "{}, logarithmic, in steps of {}",
                to(*min, *max),
                number(q.as_f64())
            )
        }
        Distribution::LogUniform { min, max } | Distribution::QLogUniform { min, max, .. } => {
            format!("{}, logarithmic", to(min.exp(), max.exp()))
        }
        Distribution::InvLogUniform { min, max } => {
            format!("{}, logarithmic", to((-max).exp(), (-min).exp()))
        }
        Distribution::Normal { mu, sigma } | Distribution::QNormal { mu, sigma, .. } => {
            format!("normal around {} ± {}", number(*mu), number(*sigma))
        }
        Distribution::LogNormal { mu, sigma } | Distribution::QLogNormal { mu, sigma, .. } => {
            format!(
                "log-normal, {} ± {} in the logarithm",
                number(*mu),
                number(*sigma)
            )
        }
        Distribution::Beta { a, b } | Distribution::QBeta { a, b, .. } => {
            format!("beta({}, {})", number(*a), number(*b))
        }
    }
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Str(text) if looks_like_another_kind(text) => format!("\"{text}\""),
        Value::Str(text) => text.clone(),
        Value::Float(float) => number(*float),
        other => other.to_json().to_string(),
    }
}

/// Whether a text reads as a number, a boolean or null.
fn looks_like_another_kind(text: &str) -> bool {
    let is_word = |word: &&str| text.eq_ignore_ascii_case(word);
    text.is_empty()
        || text.trim().parse::<f64>().is_ok()
        || [
            "true", "false", "null", "none", "~", ".inf", "-.inf", ".nan",
        ]
        .iter()
        .any(is_word)
}

fn number(x: f64) -> String {
    if x != 0.0 && (x.abs() < 1e-3 || x.abs() >= 1e7) {
        format!("{x:e}")
    } else {
        x.to_string()
    }
}

fn objective_words(objective: &Objective) -> String {
    let goal = match objective.goal {
        Goal::Minimize => "minimize",
        Goal::Maximize => "maximize",
    };
    let reduce = match objective.reduce {
        Reduce::Best => String::new(),
        Reduce::Last => ", its last value".to_owned(),
        Reduce::MeanLast(count) => format!(", the mean of its last {count} values"),
    };
    let inits = match objective.over_inits {
        OverInits::Mean => "",
        OverInits::Last => ", of the last wandb.init",
        OverInits::First => ", of the first wandb.init",
    };
    let target = objective
        .target
        .map(|target| format!(", until {}", number(target)))
        .unwrap_or_default();
    format!("{goal} {}{reduce}{inits}{target}", objective.metric)
}

#[expect(clippy::too_many_lines, reason = "one key of the file after the other")]
fn settings(before: &SweepSpec, after: &SweepSpec) -> Vec<String> {
    let name = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let count =
        |count: Option<u64>| count.map_or_else(|| "none".to_owned(), |count| count.to_string());
    let argv = |words: &[String]| {
        if words.is_empty() {
            "none".to_owned()
        } else {
            words.join(" ")
        }
    };
    let time = |ms: Option<u64>| {
        ms.map_or_else(
            || "none".to_owned(),
            |ms| format!("{} s", number(ms as f64 / 1000.0)),
        )
    };
    let pairs = [
        ("run_cap", count(before.run_cap), count(after.run_cap)),
        (
            "repeats",
            before.repeats.to_string(),
            after.repeats.to_string(),
        ),
        ("early_terminate", early(before), early(after)),
        ("program", name(&before.program), name(&after.program)),
        ("command", argv(&before.command), argv(&after.command)),
        (
            "omit_none",
            before.omit_none.to_string(),
            after.omit_none.to_string(),
        ),
        ("preflight", argv(&before.preflight), argv(&after.preflight)),
        ("data", plain(&before.data), plain(&after.data)),
        ("retry", plain(&before.retry), plain(&after.retry)),
        ("code", plain(&before.code), plain(&after.code)),
        (
            "max_runtime",
            time(before.max_runtime_ms),
            time(after.max_runtime_ms),
        ),
        (
            "max_silence",
            time(before.max_silence_ms),
            time(after.max_silence_ms),
        ),
        (
            "on_lease_lost",
            word(&before.on_lease_lost),
            word(&after.on_lease_lost),
        ),
        (
            "metric_patterns",
            plain(&before.metric_patterns),
            plain(&after.metric_patterns),
        ),
        (
            "metric_files",
            argv(&before.metric_files),
            argv(&after.metric_files),
        ),
        ("name", name(&before.name), name(&after.name)),
        (
            "description",
            name(&before.description),
            name(&after.description),
        ),
        ("project", name(&before.project), name(&after.project)),
        ("entity", name(&before.entity), name(&after.entity)),
    ];
    let changed = pairs
        .into_iter()
        .filter(|(_, before, after)| before != after);
    changed
        .map(|(key, before, after)| format!("{key}: {before} → {after}"))
        .collect()
}

fn early(spec: &SweepSpec) -> String {
    spec.early_terminate
        .as_ref()
        .map_or_else(|| "none".to_owned(), plain)
}

fn word<T: serde::Serialize>(value: &T) -> String {
    plain(value).trim_matches('"').to_owned()
}

/// A setting as JSON writes it: every part of it shows, also one that is added later.
fn plain<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn spec(text: &str) -> SweepSpec {
        let (spec, diagnostics) = parse(text);
        spec.unwrap_or_else(|| panic!("{diagnostics:?}"))
    }

    #[test]
    fn every_change_has_its_line() {
        let before = spec(
            "method: bayes\nmetric: {name: loss}\nprogram: a.py\nrun_cap: 40\nparameters:\n  lr: {distribution: log_uniform_values, min: 1.0e-5, max: 0.1}\n  opt: {values: [adam, sgd, lamb]}\n  bs: {values: [32, 64]}\n  gone: {min: 0.0, max: 1.0}\n",
        );
        let after = spec(
            "method: random\nmetric: {name: acc, goal: maximize}\nprogram: a.py\nconstraints:\n  - {metric: mem, max: 40}\nparameters:\n  lr: {distribution: log_uniform_values, min: 1.0e-4, max: 0.1}\n  opt: {values: [adam, sgd, adamw]}\n  batch_size: {values: [32, 64], renamed_from: bs}\n  dropout: {min: 0.0, max: 0.5, was: 0.1}\n  depth: {min: 1, max: 4}\n",
        );
        insta::assert_snapshot!(changes(&before, &after).join("\n"));
        assert!(changes(&before, &before).is_empty());
        assert_eq!(
            unexplained(&before.space, &after),
            [("depth".to_owned(), "1 to 4, whole numbers".to_owned())]
        );
    }
}
