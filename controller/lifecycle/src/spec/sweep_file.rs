//! The top level of a sweep file.

use regex::Regex;
use sweep_search::space::{Distribution, Origins, Parameter, Space, Value};
use sweep_search::suggest::Method;

use super::command_line::command;
use super::diagnostic::{DiagnosticReport, Span};
use super::fields::{Fields, at};
use super::model::{MetricPattern, Objective, SweepSpec};
use super::parameter::{self, Read};
use super::yaml::{Node, NodeKind};
use super::{constraints, data, early_terminate, lints, metric, metric_files, upkeep, when};

/// The greatest number of runs for each point.
const REPEATS_MAX: u32 = 100;

/// Keys with an effect here.
const KEYS: [&str; 26] = [
    "method",
    "parameters",
    "metric",
    "objective_over_inits",
    "constraints",
    "repeats",
    "early_terminate",
    "command",
    "program",
    "name",
    "description",
    "project",
    "entity",
    "run_cap",
    "seed",
    "retry",
    "code",
    "max_runtime",
    "max_silence",
    "on_lease_lost",
    "omit_none",
    "preflight",
    "data",
    "metric_patterns",
    "metric_files",
    "metrics",
];

/// W&B's keys that say where and how W&B runs a sweep.
const WITHOUT_EFFECT: [&str; 8] = [
    "controller",
    "scheduler",
    "launch",
    "job",
    "image_uri",
    "apiVersion",
    "kind",
    "settings",
];

/// Our keys that a later version will know: ignoring one would be a silent lie.
const LATER: [&str; 4] = ["transfer", "fidelity", "patience", "artifacts"];

const METHODS: [(&str, Method); 4] = [
    ("grid", Method::Grid),
    ("random", Method::Random),
    ("bayes", Method::Bayes),
    ("external", Method::External),
];

/// Reads the whole file. `None` where the report has an error.
pub(super) fn read(root: &Node, report: &mut DiagnosticReport) -> Option<SweepSpec> {
    let fields = Fields::new(
        "a sweep file",
        root.span,
        root,
        "`method: random` and `parameters: {…}`",
        report,
    )?;
    unknown_keys(&fields, report);
    let method = method(&fields, report);
    let over_inits = metric::over_inits(&fields, report);
    let objective = fields
        .entry("metric")
        .and_then(|entry| metric::read(entry, report));
    let objective = objective.map(|objective| Objective {
        over_inits,
        ..objective
    });
    let constraints = fields
        .entry("constraints")
        .map(|entry| constraints::read(entry, objective.as_ref(), report));
    let early_terminate = fields
        .entry("early_terminate")
        .and_then(|entry| early_terminate::read(entry, report));
    needs_metric(&fields, method, report);
    let (space, origins) = space(&fields, method, report).unzip();
    let (program, command) = command(&fields, report);
    let spec = SweepSpec {
        name: fields.text("name", report),
        description: fields.text("description", report),
        project: fields.text("project", report),
        entity: fields.text("entity", report),
        program,
        command,
        method: method.unwrap_or(Method::Random),
        space: space.unwrap_or_default(),
        origins: origins.unwrap_or_default(),
        objective,
        constraints: constraints.unwrap_or_default(),
        early_terminate,
        repeats: repeats(&fields, report),
        run_cap: fields.whole("run_cap", 1, report).map(i64::unsigned_abs),
        seed: fields.whole("seed", 0, report).map(i64::unsigned_abs),
        retry: upkeep::retry(&fields, report),
        code: upkeep::code(&fields, report),
        max_runtime_ms: upkeep::time(&fields, "max_runtime", report),
        max_silence_ms: upkeep::time(&fields, "max_silence", report),
        on_lease_lost: upkeep::on_lease_lost(&fields, report),
        omit_none: fields.boolean("omit_none", report).unwrap_or(false),
        preflight: upkeep::preflight(&fields, report),
        data: data::read(&fields, report),
        metric_patterns: metric_patterns(&fields, report),
        metric_files: metric_files::read(&fields, report),
    };
    lints::whole(&spec, &fields, report);
    (!report.has_errors()).then_some(spec)
}

fn needs_metric(fields: &Fields<'_>, method: Option<Method>, report: &mut DiagnosticReport) {
    for (key, wants) in [
        ("early_terminate", "early_terminate"),
        ("method", "method: bayes"),
    ] {
        let applies = key == "early_terminate" || method == Some(Method::Bayes);
        if let Some(entry) = fields
            .entry(key)
            .filter(|_| applies && fields.entry("metric").is_none())
        {
            let help = "for example `metric: {name: val_loss, goal: minimize}`".to_owned();
            report.error(
                Some(entry.key_span),
                format!("`{wants}` needs a `metric` to go by"),
                Some(help),
            );
        }
    }
}

fn repeats(fields: &Fields<'_>, report: &mut DiagnosticReport) -> u32 {
    let Some(repeats) = fields.whole("repeats", 1, report) else {
        return 1;
    };
    let bounded = u32::try_from(repeats)
        .ok()
        .filter(|repeats| *repeats <= REPEATS_MAX);
    if bounded.is_none() {
        let place = fields
            .entry("repeats")
            .map(|entry| at(&entry.value, entry.key_span));
        report.error(
            place,
            format!("`repeats` must be at most {REPEATS_MAX}, not {repeats}"),
            None,
        );
    }
    bounded.unwrap_or(1)
}

fn unknown_keys(fields: &Fields<'_>, report: &mut DiagnosticReport) {
    let missing = |key: &str| fields.entry(key).is_none();
    if let Some(entry) = fields.entry("metrics") {
        report.error(
            Some(entry.key_span),
            "several `metrics` are not supported yet",
            Some("name one with `metric`".to_owned()),
        );
    }
    for (entry, near) in fields.strange(&KEYS) {
        let key = entry.key.as_str();
        if WITHOUT_EFFECT.contains(&key) {
            report.warning(
                Some(entry.key_span),
                format!("`{key}` has no effect here"),
                Some("it tells W&B's cloud how to run the sweep".to_owned()),
            );
        } else if LATER.contains(&key) {
            report.error(
                Some(entry.key_span),
                format!("`{key}` is not supported yet"),
                Some("remove it to run without".to_owned()),
            );
        } else {
            // A near miss of a key that the file lacks is why that key is missing.
            match near {
                Some(near) if missing(near) => {
                    report.error(
                        Some(entry.key_span),
                        format!("unknown key `{key}`"),
                        Some(format!("did you mean `{near}`?")),
                    );
                }
                Some(near) => report.warning(
                    Some(entry.key_span),
                    format!("unknown key `{key}` has no effect"),
                    Some(format!("did you mean `{near}`?")),
                ),
                None => report.warning(
                    Some(entry.key_span),
                    format!("unknown key `{key}` has no effect"),
                    None,
                ),
            }
        }
    }
}

/// Returns whether some unknown key is a near miss of `key`: then that has been reported already.
fn misspelt(fields: &Fields<'_>, key: &str) -> bool {
    fields.strange(&KEYS).any(|(_, near)| near == Some(key))
}

fn method(fields: &Fields<'_>, report: &mut DiagnosticReport) -> Option<Method> {
    let Some(entry) = fields.entry("method") else {
        if !misspelt(fields, "method") {
            report.error(
                None,
                "the file says no `method`",
                Some("`method: bayes`, `random`, `grid` or `external`".to_owned()),
            );
        }
        return None;
    };
    if let Value::Str(word) = entry.value.to_value()
        && word == "custom"
    {
        let help =
            "`external`, for your own search that offers its runs; or `bayes`, `random` or `grid`"
                .to_owned();
        report.error(
            Some(entry.value.span),
            "`method: custom` is not supported here",
            Some(help),
        );
        return None;
    }
    fields.word("method", &METHODS, report)
}

fn space(
    fields: &Fields<'_>,
    method: Option<Method>,
    report: &mut DiagnosticReport,
) -> Option<(Space, Origins)> {
    let Some(entry) = fields.entry("parameters") else {
        if !misspelt(fields, "parameters") {
            let help = "for example `parameters: {lr: {min: 0.001, max: 0.1}}`".to_owned();
            report.error(None, "the file has no `parameters`", Some(help));
        }
        return None;
    };
    let mut read = parameter::read_all(&entry.value, entry.key_span, report);
    if method == Some(Method::Grid) {
        grid_only(&read, report);
    }
    conditions(&mut read, report);
    lints::parameters(&read, report);
    let parameters: Vec<Parameter> = read.iter().map(|read| read.parameter.clone()).collect();
    match Space::new(parameters) {
        Ok(space) => Some((space, origins(&read))),
        Err(error) => {
            report.error(Some(entry.key_span), error.to_string(), None);
            None
        }
    }
}

fn origins(read: &[Read]) -> Origins {
    let path = |read: &Read| read.parameter.path.clone();
    Origins {
        renamed: read
            .iter()
            .filter_map(|read| Some((path(read), read.renamed_from.clone()?)))
            .collect(),
        was: read
            .iter()
            .filter_map(|read| Some((path(read), read.was.clone()?)))
            .collect(),
    }
}

fn conditions(read: &mut [Read], report: &mut DiagnosticReport) {
    let parameters: Vec<Parameter> = read.iter().map(|read| read.parameter.clone()).collect();
    for Read {
        parameter, wishes, ..
    } in read
    {
        parameter.when = wishes
            .iter()
            .filter_map(|wish| when::resolve(wish, &parameter.path, &parameters, report))
            .collect();
    }
}

fn grid_only(read: &[Read], report: &mut DiagnosticReport) {
    for Read {
        parameter, span, ..
    } in read
    {
        let (why, help) = match &parameter.distribution {
            Distribution::Constant { .. }
            | Distribution::Categorical { .. }
            | Distribution::IntUniform { .. }
            | Distribution::QUniform { .. } => continue,
            Distribution::CategoricalWithProbabilities { .. } => (
                "has probabilities, which a grid cannot honour",
                "leave `probabilities` out",
            ),
            _ => (
                "is continuous, and a grid needs a finite list",
                "list them: `values: [0.001, 0.01, 0.1]`, or use `q_uniform` with a step `q`",
            ),
        };
        report.error(
            Some(*span),
            format!("parameter `{}` {why}", parameter.path),
            Some(help.to_owned()),
        );
    }
}

fn metric_patterns(fields: &Fields<'_>, report: &mut DiagnosticReport) -> Vec<MetricPattern> {
    let Some(entry) = fields.entry("metric_patterns") else {
        return Vec::new();
    };
    match &entry.value.kind {
        NodeKind::Map(entries) => entries
            .iter()
            .filter_map(|entry| pattern(Some(&entry.key), &entry.value, entry.key_span, report))
            .collect(),
        NodeKind::List(items) => items
            .iter()
            .filter_map(|item| pattern(None, item, entry.key_span, report))
            .collect(),
        NodeKind::Scalar { .. } => {
            let help = "`metric_patterns: {val_loss: 'val_loss=([-+.0-9e]+)'}`, or a list of expressions with named groups".to_owned();
            report.error(
                Some(entry.key_span),
                "`metric_patterns` must be a map or a list",
                Some(help),
            );
            Vec::new()
        }
    }
}

fn pattern(
    name: Option<&str>,
    node: &Node,
    key_span: Span,
    report: &mut DiagnosticReport,
) -> Option<MetricPattern> {
    let span = Some(at(node, key_span));
    let Value::Str(regex) = node.to_value() else {
        report.error(
            span,
            "a metric pattern must be text",
            Some("write it in single quotes".to_owned()),
        );
        return None;
    };
    match Regex::new(&regex) {
        Err(error) => {
            let reason = error.to_string();
            let reason = reason
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            report.error(
                span,
                format!("this is not a regular expression: {reason}"),
                None,
            );
            None
        }
        Ok(compiled) if name.is_some() && compiled.captures_len() < 2 => {
            report.error(
                span,
                "the pattern has no group to take the value from",
                Some("put the number in parentheses: `loss=([-+.0-9e]+)`".to_owned()),
            );
            None
        }
        Ok(compiled) if name.is_none() && compiled.capture_names().flatten().next().is_none() => {
            report.error(
                span,
                "the pattern has no named group to name a metric",
                Some("`(?<val_loss>[-+.0-9e]+)`".to_owned()),
            );
            None
        }
        Ok(_) => Some(MetricPattern {
            name: name.map(str::to_owned),
            regex,
        }),
    }
}
