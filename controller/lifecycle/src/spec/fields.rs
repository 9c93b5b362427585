//! Reads the entries of one mapping, reporting what does not fit.

use sweep_search::space::Value;

use super::diagnostic::{DiagnosticReport, Span, instead, nearest, suggestion};
use super::yaml::{MappingEntry, Node, NodeKind};

/// Unknown keys that are compared with the known ones. A file with more was not mistyped.
const COMPARED_MAX: usize = 100;

/// A mapping whose keys are known.
pub(super) struct Fields<'n> {
    /// The name of the mapping in messages: "`metric`", "parameter `lr`".
    pub(super) of: String,
    /// Where to point when something is missing.
    pub(super) span: Span,
    pub(super) entries: &'n [MappingEntry],
    /// Returns whether a key is there though it has no value, since its value may be null.
    pub(super) is_null: fn(&[MappingEntry], &str) -> bool,
}

impl<'n> Fields<'n> {
    /// Reads a node that must be a mapping; `example` shows one.
    pub(super) fn new(
        of: impl Into<String>,
        span: Span,
        node: &'n Node,
        example: &str,
        report: &mut DiagnosticReport,
    ) -> Option<Self> {
        let of = of.into();
        match &node.kind {
            NodeKind::Map(entries) => Some(Self {
                of,
                span,
                entries,
                is_null: |_, _| false,
            }),
            _ => {
                report.error(
                    Some(at(node, span)),
                    format!("{of} must be a map, not {}", node.described()),
                    Some(format!("for example {example}")),
                );
                None
            }
        }
    }

    /// Returns an entry by its key. One without a value is absent, as `name:`.
    pub(super) fn entry(&self, key: &str) -> Option<&'n MappingEntry> {
        self.entries.iter().find(|entry| {
            entry.key == key && (!entry.value.is_blank() || (self.is_null)(self.entries, key))
        })
    }

    /// Returns the entries whose keys are none of `known`, each with the known key that was probably meant.
    pub(super) fn strange<'k>(
        &self,
        known: &'k [&'k str],
    ) -> impl Iterator<Item = (&'n MappingEntry, Option<&'k str>)> + use<'n, 'k> {
        let strange = self
            .entries
            .iter()
            .filter(|entry| !known.contains(&entry.key.as_str()));
        strange.enumerate().map(|(place, entry)| {
            (
                entry,
                if place < COMPARED_MAX {
                    nearest(&entry.key, known)
                } else {
                    None
                },
            )
        })
    }

    /// Reports keys other than `known` as errors.
    pub(super) fn close(&self, known: &[&str], report: &mut DiagnosticReport) {
        for (entry, near) in self.strange(known) {
            report.error(
                Some(entry.key_span),
                format!("{} has no key `{}`", self.of, entry.key),
                Some(instead(near, known)),
            );
        }
    }

    /// Returns an entry's value that must be there.
    pub(super) fn required(
        &self,
        key: &str,
        report: &mut DiagnosticReport,
    ) -> Option<&'n MappingEntry> {
        let found = self.entry(key);
        if found.is_none() {
            report.error(Some(self.span), format!("{} needs `{key}`", self.of), None);
        }
        found
    }

    /// Reads text.
    pub(super) fn text(&self, key: &str, report: &mut DiagnosticReport) -> Option<String> {
        let entry = self.entry(key)?;
        match &entry.value.kind {
            NodeKind::Scalar {
                value: Value::Str(text),
                ..
            } => Some(text.clone()),
            // A name such as `2024` is a number to YAML and a name to its author.
            NodeKind::Scalar {
                value: Value::Int(int),
                ..
            } => Some(int.to_string()),
            _ => self.wrong(entry, "text", report),
        }
    }

    /// Reads a number, whole or not. Infinite and NaN are refused.
    pub(super) fn number(&self, key: &str, report: &mut DiagnosticReport) -> Option<f64> {
        let entry = self.entry(key)?;
        match entry
            .value
            .to_value()
            .as_f64()
            .filter(|number| number.is_finite())
        {
            Some(number) => Some(number),
            None => self.wrong(entry, "a finite number", report),
        }
    }

    /// Reads a whole number of at least `min`.
    pub(super) fn whole(&self, key: &str, min: i64, report: &mut DiagnosticReport) -> Option<i64> {
        let entry = self.entry(key)?;
        match entry.value.to_value() {
            Value::Int(int) if int >= min => Some(int),
            // `s: 2.0` passes W&B's schema.
            Value::Float(float) if float.fract() == 0.0 && float >= min as f64 && float < 1e15 => {
                Some(float as i64)
            }
            _ => self.wrong(entry, &format!("a whole number of at least {min}"), report),
        }
    }

    /// Reads a boolean.
    pub(super) fn boolean(&self, key: &str, report: &mut DiagnosticReport) -> Option<bool> {
        let entry = self.entry(key)?;
        match entry.value.to_value() {
            Value::Bool(bool) => Some(bool),
            _ => self.wrong(entry, "true or false", report),
        }
    }

    /// Reads one of a few words.
    pub(super) fn word<T: Copy>(
        &self,
        key: &str,
        words: &[(&str, T)],
        report: &mut DiagnosticReport,
    ) -> Option<T> {
        let entry = self.entry(key)?;
        let value = entry.value.to_value();
        let names: Vec<_> = words.iter().map(|(name, _)| *name).collect();
        let found = match &value {
            Value::Str(text) => words.iter().find(|(name, _)| name == text),
            _ => None,
        };
        if found.is_none() {
            let help = match &value {
                Value::Str(text) => suggestion(text, &names),
                _ => format!("one of {}", names.join(", ")),
            };
            let message = format!("{}: `{key}` cannot be {}", self.of, entry.value.described());
            report.error(Some(at(&entry.value, entry.key_span)), message, Some(help));
        }
        found.map(|(_, word)| *word)
    }

    fn wrong<T>(
        &self,
        entry: &MappingEntry,
        wanted: &str,
        report: &mut DiagnosticReport,
    ) -> Option<T> {
        let help = match &entry.value.kind {
            NodeKind::Scalar {
                value: Value::Str(text),
                quoted: true,
                ..
            } if text.parse::<f64>().is_ok() => {
                Some(format!("without quotes: `{}: {text}`", entry.key))
            }
            _ => None,
        };
        let message = format!(
            "{}: `{}` must be {wanted}, not {}",
            self.of,
            entry.key,
            entry.value.described()
        );
        report.error(Some(at(&entry.value, entry.key_span)), message, help);
        None
    }
}

/// Where to point for a value: at the value, or at its key where the value spans lines or is empty.
pub(super) fn at(node: &Node, key_span: Span) -> Span {
    match &node.kind {
        NodeKind::Scalar { .. } if node.span.end > node.span.start => node.span,
        _ => key_span,
    }
}
