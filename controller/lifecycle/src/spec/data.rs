//! `data`: what runs read.

use sweep_search::space::Value;

use super::diagnostic::{DiagnosticReport, Span};
use super::fields::{Fields, at};
use super::model::DataSource;
use super::yaml::{Node, NodeKind};

/// More than anybody declares; each is looked at before each run.
const SOURCES_MAX: usize = 100;

/// Reads a list of locations, a map from names to locations, or one location.
pub(super) fn read(fields: &Fields<'_>, report: &mut DiagnosticReport) -> Vec<DataSource> {
    let Some(entry) = fields.entry("data") else {
        return Vec::new();
    };
    let mut source = |name: Option<&str>, node: &Node, span: Span| {
        let location = location(node, span, report)?;
        Some(DataSource {
            name: name.map_or_else(|| location.clone(), str::to_owned),
            location,
        })
    };
    let sources: Vec<_> = match &entry.value.kind {
        NodeKind::Map(entries) => entries
            .iter()
            .filter_map(|entry| source(Some(&entry.key), &entry.value, entry.key_span))
            .collect(),
        NodeKind::List(items) => items
            .iter()
            .filter_map(|item| source(None, item, entry.key_span))
            .collect(),
        NodeKind::Scalar { .. } => source(None, &entry.value, entry.key_span)
            .into_iter()
            .collect(),
    };
    if sources.len() > SOURCES_MAX {
        report.error(
            Some(entry.key_span),
            format!(
                "`data` names {} data sets; at most {SOURCES_MAX} can be looked at",
                sources.len()
            ),
            None,
        );
    }
    sources
}

fn location(node: &Node, key_span: Span, report: &mut DiagnosticReport) -> Option<String> {
    let span = Some(at(node, key_span));
    let help = || {
        Some("`data: [data/train.csv, s3://bucket/prefix]`, or a map from names to them".to_owned())
    };
    let Value::Str(text) = node.to_value() else {
        report.error(
            span,
            format!("`data`: {} is not a place", node.described()),
            help(),
        );
        return None;
    };
    if text.is_empty() || text.chars().any(char::is_control) {
        report.error(span, "`data`: a place must be one line of text", help());
        return None;
    }
    match text.split_once("://") {
        Some(("s3" | "gs", rest)) if !rest.is_empty() && !rest.starts_with('/') => Some(text),
        Some(("s3" | "gs", _)) => {
            report.error(
                span,
                format!("`data`: `{text}` names no bucket"),
                Some("for example `s3://bucket/prefix`".to_owned()),
            );
            None
        }
        Some((scheme, _)) => {
            let message = format!("`data`: what lies at `{scheme}://` cannot be looked at");
            report.error(
                span,
                message,
                Some("a path, `s3://…` or `gs://…`".to_owned()),
            );
            None
        }
        None => Some(text),
    }
}
