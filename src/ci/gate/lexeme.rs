//! The words of `--fail-if`: text in, lexemes with their places out.

use std::fmt;

/// A number that the outcome of the sweep gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Total,
    Finished,
    Failed,
    Stopped,
    Cancelled,
    Running,
    Queued,
    DurationS,
    BestValue,
    BestMetric(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Plus,
    Minus,
    Times,
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ComparisonOperator {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

pub(super) const NAMES: [(&str, Name); 9] = [
    ("total", Name::Total),
    ("finished", Name::Finished),
    ("failed", Name::Failed),
    ("stopped", Name::Stopped),
    ("cancelled", Name::Cancelled),
    ("running", Name::Running),
    ("queued", Name::Queued),
    ("duration_s", Name::DurationS),
    ("best.value", Name::BestValue),
];

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BestMetric(metric) if metric.chars().all(|c| is_name_char(c) || c == '.') => {
                write!(f, "best.{metric}")
            }
            Self::BestMetric(metric) => write!(f, "best.\"{metric}\""),
            plain => f.write_str(
                NAMES
                    .iter()
                    .find(|(_, name)| name == plain)
                    .map_or("", |(text, _)| text),
            ),
        }
    }
}

/// An error in the text of a gate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}\n  | {text}\n  | {:indent$}{} column {column}\n{help}", "", "^".repeat(*width), indent = column - 1)]
pub(crate) struct GateError {
    /// The message.
    pub(super) message: String,
    /// The text, on one line.
    pub(super) text: String,
    /// Where, in characters from 1.
    pub(super) column: usize,
    /// How many characters are wrong, at least 1.
    pub(super) width: usize,
    /// The fix.
    pub(super) help: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Lexeme {
    Number(f64),
    Name(Name),
    Open,
    Close,
    Sign(Arithmetic),
    Compare(ComparisonOperator),
    Not,
    And,
    Or,
    End,
}

/// Characters from–to.
pub(super) type Span = (usize, usize);

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

pub(super) fn fault(
    text: &str,
    message: impl Into<String>,
    span: Span,
    help: impl Into<String>,
) -> GateError {
    let width = span.1.saturating_sub(span.0).max(1);
    GateError {
        message: message.into(),
        text: text.trim_end().to_owned(),
        column: span.0 + 1,
        width,
        help: help.into(),
    }
}

pub(super) fn tokens(text: &str) -> Result<Vec<(Lexeme, Span)>, GateError> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        if chars[at] == ' ' {
            at += 1;
            continue;
        }
        let (token, end) = token(text, &chars, at)?;
        tokens.push((token, (at, end)));
        at = end;
    }
    let end = text.trim_end().chars().count();
    tokens.push((Lexeme::End, (end, end)));
    Ok(tokens)
}

fn token(text: &str, chars: &[char], at: usize) -> Result<(Lexeme, usize), GateError> {
    let next = chars.get(at + 1).copied();
    let token = match (chars[at], next) {
        ('<', Some('=')) => (Lexeme::Compare(ComparisonOperator::LessOrEqual), 2),
        ('<', _) => (Lexeme::Compare(ComparisonOperator::Less), 1),
        ('>', Some('=')) => (Lexeme::Compare(ComparisonOperator::GreaterOrEqual), 2),
        ('>', _) => (Lexeme::Compare(ComparisonOperator::Greater), 1),
        ('=', Some('=')) => (Lexeme::Compare(ComparisonOperator::Equal), 2),
        ('=', _) => {
            return Err(fault(
                text,
                "`=` alone compares nothing",
                (at, at + 1),
                "write `==`",
            ));
        }
        ('!', Some('=')) => (Lexeme::Compare(ComparisonOperator::NotEqual), 2),
        ('!', _) => (Lexeme::Not, 1),
        ('&', Some('&')) => (Lexeme::And, 2),
        ('|', Some('|')) => (Lexeme::Or, 2),
        ('(', _) => (Lexeme::Open, 1),
        (')', _) => (Lexeme::Close, 1),
        ('+', _) => (Lexeme::Sign(Arithmetic::Plus), 1),
        ('-', _) => (Lexeme::Sign(Arithmetic::Minus), 1),
        ('*', _) => (Lexeme::Sign(Arithmetic::Times), 1),
        ('/', _) => (Lexeme::Sign(Arithmetic::Over), 1),
        (c, _) if c.is_ascii_digit() || c == '.' => return number(text, chars, at),
        (c, _) if is_name_char(c) => return word(text, chars, at),
        (c, _) => {
            let message = format!("`{}` means nothing here", c.escape_debug());
            return Err(fault(
                text,
                message,
                (at, at + 1),
                "a gate has numbers, names, + - * /, comparisons, and, or, not, brackets",
            ));
        }
    };
    Ok((token.0, at + token.1))
}

fn number(text: &str, chars: &[char], at: usize) -> Result<(Lexeme, usize), GateError> {
    let mut end = at;
    while let Some(&c) = chars.get(end) {
        let signed = matches!(c, '+' | '-') && matches!(chars[end - 1], 'e' | 'E') && end > at;
        if !(is_name_char(c) || c == '.' || signed) {
            break;
        }
        end += 1;
    }
    if chars.get(end) == Some(&'%') {
        let percent: String = chars[at..=end].iter().collect();
        return Err(fault(
            text,
            format!("`{percent}`: a gate knows no percent"),
            (at, end + 1),
            "write a fraction: 0.2 for 20 %",
        ));
    }
    let digits: String = chars[at..end].iter().collect();
    match digits.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok((Lexeme::Number(value), end)),
        _ => Err(fault(
            text,
            format!("`{digits}` is not a number"),
            (at, end),
            "numbers look like 3, 0.25 or 1e-3",
        )),
    }
}

fn word(text: &str, chars: &[char], at: usize) -> Result<(Lexeme, usize), GateError> {
    let mut end = at;
    while chars.get(end).is_some_and(|&c| is_name_char(c) || c == '.') {
        end += 1;
    }
    let word: String = chars[at..end].iter().collect();
    if word == "best."
        && let Some(&quote) = chars.get(end).filter(|c| matches!(c, '"' | '\''))
    {
        let Some(length) = chars[end + 1..].iter().position(|&c| c == quote) else {
            return Err(fault(
                text,
                "this quote is never closed",
                (end, end + 1),
                format!("add `{quote}` after the metric's name"),
            ));
        };
        let metric: String = chars[end + 1..end + 1 + length].iter().collect();
        return Ok((Lexeme::Name(Name::BestMetric(metric)), end + length + 2));
    }
    let token = match word.as_str() {
        "and" => Lexeme::And,
        "or" => Lexeme::Or,
        "not" => Lexeme::Not,
        _ => match (
            NAMES.iter().find(|(name, _)| *name == word),
            word.strip_prefix("best."),
        ) {
            (Some((_, name)), _) => Lexeme::Name(name.clone()),
            (None, Some(metric)) if !metric.is_empty() => {
                Lexeme::Name(Name::BestMetric(metric.to_owned()))
            }
            _ => {
                return Err(fault(
                    text,
                    format!("unknown name `{word}`"),
                    (at, end),
                    unknown_name_help(&word),
                ));
            }
        },
    };
    Ok((token, end))
}

fn unknown_name_help(word: &str) -> String {
    let lower = word.to_lowercase();
    let known = NAMES
        .iter()
        .map(|(name, _)| *name)
        .chain(["and", "or", "not"]);
    let nearest = known
        .map(|name| (strsim::damerau_levenshtein(name, &lower), name))
        .min();
    match (nearest, lower.strip_prefix("best")) {
        (_, Some("" | ".")) => {
            "the best run has metrics: write `best.value`, or `best.<metric>`".to_owned()
        }
        (Some((distance, name)), _) if distance <= 2 => format!("did you mean `{name}`?"),
        _ => {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            format!(
                "known names: {}, best.<metric>; did you mean `best.{word}`?",
                names.join(", ")
            )
        }
    }
}
