//! `metric_files`: globs of files that hold metrics.

use globset::GlobBuilder;
use sweep_search::space::Value;

use super::diagnostic::{DiagnosticReport, Span};
use super::fields::{Fields, at};
use super::yaml::{Node, NodeKind};

/// Globs in one file.
const GLOBS_MAX: usize = 100;
const EXAMPLE: &str = "`metric_files: [logs/*.jsonl, 'runs/**/curve.csv']`";

/// Reads one glob or a list of them.
pub(super) fn read(fields: &Fields<'_>, report: &mut DiagnosticReport) -> Vec<String> {
    let Some(entry) = fields.entry("metric_files") else {
        return Vec::new();
    };
    let globs: Vec<_> = match &entry.value.kind {
        NodeKind::List(items) => items
            .iter()
            .filter_map(|item| glob(item, entry.key_span, report))
            .collect(),
        NodeKind::Scalar { .. } => glob(&entry.value, entry.key_span, report)
            .into_iter()
            .collect(),
        NodeKind::Map(_) => {
            report.error(
                Some(entry.key_span),
                "`metric_files` must be a list of globs",
                Some(EXAMPLE.to_owned()),
            );
            Vec::new()
        }
    };
    if globs.len() > GLOBS_MAX {
        report.error(
            Some(entry.key_span),
            format!(
                "`metric_files` has {} globs; at most {GLOBS_MAX} are read",
                globs.len()
            ),
            None,
        );
    }
    globs
}

fn glob(node: &Node, key_span: Span, report: &mut DiagnosticReport) -> Option<String> {
    let span = Some(at(node, key_span));
    let Value::Str(text) = node.to_value() else {
        report.error(
            span,
            format!("`metric_files`: {} is not a glob", node.described()),
            Some(EXAMPLE.to_owned()),
        );
        return None;
    };
    if text.is_empty() || text.chars().any(char::is_control) {
        report.error(
            span,
            "`metric_files`: a glob must be one line of text",
            Some(EXAMPLE.to_owned()),
        );
        return None;
    }
    if text.split('/').any(|part| part == "..") {
        let help = "name the folder from the root, as `/scratch/logs/*.csv`";
        report.error(
            span,
            format!("`metric_files`: `{text}` leads out of the working folder"),
            Some(help.to_owned()),
        );
        return None;
    }
    match GlobBuilder::new(&text).literal_separator(true).build() {
        Ok(_) => Some(text.strip_prefix("./").unwrap_or(&text).to_owned()),
        Err(error) => {
            report.error(
                span,
                format!("`metric_files`: `{text}` is not a glob: {}", error.kind()),
                None,
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    fn read(value: &str) -> Result<Vec<String>, String> {
        let text = format!(
            "program: a.py\nmethod: random\nmetric_files: {value}\nparameters: {{x: {{min: 0.0, max: 1.0}}}}\n"
        );
        let (spec, diagnostics) = parse(&text);
        spec.map(|spec| spec.metric_files).ok_or_else(|| {
            diagnostics
                .into_iter()
                .map(|diagnostic| diagnostic.message)
                .collect()
        })
    }

    #[test]
    fn globs_are_read_and_checked() {
        assert_eq!(read("logs/*.jsonl"), Ok(vec!["logs/*.jsonl".to_owned()]));
        assert_eq!(
            read("[./a.csv, 'runs/**/b.csv']"),
            Ok(vec!["a.csv".to_owned(), "runs/**/b.csv".to_owned()])
        );
        for (value, message) in [
            ("{a: b}", "must be a list"),
            ("[7]", "is not a glob"),
            ("['']", "one line of text"),
            ("['../x.csv']", "leads out of the working folder"),
            ("['[x.csv']", "is not a glob: "),
        ] {
            assert!(
                read(value).is_err_and(|found| found.contains(message)),
                "{value}: {:?}",
                read(value)
            );
        }
    }
}
