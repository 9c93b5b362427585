//! A mistake in a sweep file, or a warning about it.

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is accepted.
    Warning,
}

/// A place in the file: bytes `start..end`, and the 1-based line and column (in characters) of the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// A mistake in a sweep file, or a warning about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The message, a sentence without a full stop.
    pub message: String,
    /// Where; absent where something is missing from the whole file.
    pub span: Option<Span>,
    /// The fix.
    pub help: Option<String>,
}

impl std::fmt::Display for Diagnostic {
    /// One line: `line 3, column 5: message (help)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(span) = self.span {
            write!(f, "line {}, column {}: ", span.line, span.column)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

/// The greatest number of errors, and of warnings, that are reported: a hostile file could have one in each line.
const TOLD_MAX: usize = 100;

/// Gathers diagnostics while a file is read.
#[derive(Debug, Default)]
pub(super) struct DiagnosticReport {
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    untold_errors: usize,
    untold_warnings: usize,
}

impl DiagnosticReport {
    pub(super) fn error(
        &mut self,
        span: Option<Span>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        match self.errors.len() < TOLD_MAX {
            true => self.errors.push(Diagnostic {
                severity: Severity::Error,
                message: message.into(),
                span,
                help,
            }),
            false => self.untold_errors += 1,
        }
    }

    pub(super) fn warning(
        &mut self,
        span: Option<Span>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        match self.warnings.len() < TOLD_MAX {
            true => self.warnings.push(Diagnostic {
                severity: Severity::Warning,
                message: message.into(),
                span,
                help,
            }),
            false => self.untold_warnings += 1,
        }
    }

    /// Returns whether an error has been reported.
    pub(super) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Returns the diagnostics in the order of the file; those without a place come last.
    pub(super) fn into_sorted(self) -> Vec<Diagnostic> {
        let untold = [
            (Severity::Error, "errors", self.untold_errors),
            (Severity::Warning, "warnings", self.untold_warnings),
        ];
        let untold =
            untold
                .into_iter()
                .filter(|(_, _, count)| *count > 0)
                .map(|(severity, what, count)| {
                    let message = format!(
                        "the file has {count} more {what} than the {TOLD_MAX} that are told"
                    );
                    Diagnostic {
                        severity,
                        message,
                        span: None,
                        help: None,
                    }
                });
        let mut told = self.errors;
        told.extend(self.warnings);
        told.extend(untold);
        told.sort_by_key(|diagnostic| {
            (
                diagnostic.span.is_none(),
                diagnostic.span.map(|span| span.start),
            )
        });
        told
    }
}

/// Returns the word nearest to `word`, where one is near enough to be what was meant.
pub(super) fn nearest<'a>(word: &str, words: &[&'a str]) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let distance =
        |candidate: &&&str| strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
    let best = words.iter().min_by_key(distance)?;
    let allowed = match word.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        6..=9 => 2,
        _ => 3,
    };
    (distance(&best) <= allowed).then_some(*best)
}

/// Returns "did you mean `x`?", or the whole list where nothing is near.
pub(super) fn suggestion(word: &str, words: &[&str]) -> String {
    instead(nearest(word, words), words)
}

/// Says which word was meant, or which there are.
pub(super) fn instead(near: Option<&str>, words: &[&str]) -> String {
    match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!(
            "known here: {}",
            words
                .iter()
                .map(|word| format!("`{word}`"))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}
