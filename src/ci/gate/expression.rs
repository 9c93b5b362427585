//! The language of `--fail-if`: text in, a checked expression out, or what is wrong and where.
//!
//! ```text
//! either     = both ("or" both)*
//! both       = negation ("and" negation)*
//! negation   = "not" negation | comparison
//! comparison = sum (("<" | "<=" | ">" | ">=" | "==" | "!=") sum)?
//! sum        = product (("+" | "-") product)*
//! product    = factor (("*" | "/") factor)*
//! factor     = "-" factor | number | name | "(" either ")"
//! ```

use std::fmt;

/// Longer texts are refused.
const TEXT_CHARS_MAX: usize = 2_000;
/// More brackets, `not` and `-` within each other are refused, so that no text can exhaust the stack.
const DEPTH_MAX: usize = 64;

/// A checked expression. Numbers and truth values never meet in the wrong place.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Number(f64),
    Name(Name),
    Negative(Box<Self>),
    Arithmetic(Box<Self>, Arithmetic, Box<Self>),
    Comparison(Box<Self>, ComparisonOperator, Box<Self>),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

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

const NAMES: [(&str, Name); 9] = [
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
    message: String,
    /// The text, on one line.
    text: String,
    /// Where, in characters from 1.
    column: usize,
    /// How many characters are wrong, at least 1.
    width: usize,
    /// The fix.
    help: String,
}

/// Reads a gate.
pub(super) fn parse(text: &str) -> Result<Expression, GateError> {
    let text: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .collect();
    let length = text.chars().count();
    if length > TEXT_CHARS_MAX {
        let start = text.chars().take(40).collect::<String>() + "…";
        let message = format!("the gate has {length} characters");
        return Err(GateError {
            message,
            text: start,
            column: 1,
            width: 1,
            help: format!("at most {TEXT_CHARS_MAX} are read"),
        });
    }
    let mut parser = ExpressionParser {
        text: &text,
        tokens: tokens(&text)?,
        next: 0,
        depth: 0,
    };
    let (expression, span) = parser.either()?;
    match parser.peek() {
        Lexeme::End => {}
        Lexeme::Close => {
            return Err(parser.error(
                "this bracket was never opened",
                "remove it, or add `(` before",
            ));
        }
        Lexeme::Compare(_) => {
            return Err(parser.error("comparisons cannot be chained", "write `a < b and b < c`"));
        }
        _ => {
            return Err(parser.error(
                "the gate should end here",
                "join conditions with `and` or `or`",
            ));
        }
    }
    if !is_condition(&expression) {
        let help = format!("compare it with something: `{} > 0`", text.trim());
        return Err(fault(
            &text,
            "a number alone is not a condition",
            span,
            help,
        ));
    }
    Ok(expression)
}

#[derive(Clone, Debug, PartialEq)]
enum Lexeme {
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
type Span = (usize, usize);

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn fault(text: &str, message: impl Into<String>, span: Span, help: impl Into<String>) -> GateError {
    let width = span.1.saturating_sub(span.0).max(1);
    GateError {
        message: message.into(),
        text: text.trim_end().to_owned(),
        column: span.0 + 1,
        width,
        help: help.into(),
    }
}

fn tokens(text: &str) -> Result<Vec<(Lexeme, Span)>, GateError> {
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

struct ExpressionParser<'a> {
    text: &'a str,
    tokens: Vec<(Lexeme, Span)>,
    next: usize,
    depth: usize,
}

type Parsed = Result<(Expression, Span), GateError>;

impl ExpressionParser<'_> {
    fn peek(&self) -> &Lexeme {
        &self.tokens[self.next].0
    }

    fn span(&self) -> Span {
        self.tokens[self.next].1
    }

    /// Takes the next token; the end is never passed.
    fn take(&mut self) -> Span {
        let span = self.span();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        span
    }

    fn error(&self, message: &str, help: &str) -> GateError {
        fault(self.text, message, self.span(), help)
    }

    fn either(&mut self) -> Parsed {
        self.joined(&Lexeme::Or, Self::both, Expression::Or)
    }

    fn both(&mut self) -> Parsed {
        self.joined(&Lexeme::And, Self::negation, Expression::And)
    }

    fn joined(
        &mut self,
        word: &Lexeme,
        part: fn(&mut Self) -> Parsed,
        join: fn(Box<Expression>, Box<Expression>) -> Expression,
    ) -> Parsed {
        let mut left = part(self)?;
        while self.peek() == word {
            self.condition(&left)?;
            self.take();
            let right = part(self)?;
            self.condition(&right)?;
            left = (
                join(Box::new(left.0), Box::new(right.0)),
                (left.1.0, right.1.1),
            );
        }
        Ok(left)
    }

    fn negation(&mut self) -> Parsed {
        if *self.peek() != Lexeme::Not {
            return self.comparison();
        }
        let start = self.take();
        let inner = self.deeper(Self::negation)?;
        self.condition(&inner)?;
        Ok((Expression::Not(Box::new(inner.0)), (start.0, inner.1.1)))
    }

    fn comparison(&mut self) -> Parsed {
        let left = self.sum()?;
        let Lexeme::Compare(sign) = *self.peek() else {
            return Ok(left);
        };
        self.number(&left)?;
        self.take();
        let right = self.sum()?;
        self.number(&right)?;
        Ok((
            Expression::Comparison(Box::new(left.0), sign, Box::new(right.0)),
            (left.1.0, right.1.1),
        ))
    }

    fn sum(&mut self) -> Parsed {
        self.chain(&[Arithmetic::Plus, Arithmetic::Minus], Self::product)
    }

    fn product(&mut self) -> Parsed {
        self.chain(&[Arithmetic::Times, Arithmetic::Over], Self::factor)
    }

    fn chain(&mut self, signs: &[Arithmetic], part: fn(&mut Self) -> Parsed) -> Parsed {
        let mut left = part(self)?;
        while let Lexeme::Sign(sign) = *self.peek()
            && signs.contains(&sign)
        {
            self.number(&left)?;
            self.take();
            let right = part(self)?;
            self.number(&right)?;
            left = (
                Expression::Arithmetic(Box::new(left.0), sign, Box::new(right.0)),
                (left.1.0, right.1.1),
            );
        }
        Ok(left)
    }

    fn factor(&mut self) -> Parsed {
        match self.peek().clone() {
            Lexeme::Sign(Arithmetic::Minus) => {
                let start = self.take();
                let inner = self.deeper(Self::factor)?;
                self.number(&inner)?;
                Ok((
                    Expression::Negative(Box::new(inner.0)),
                    (start.0, inner.1.1),
                ))
            }
            Lexeme::Number(value) => Ok((Expression::Number(value), self.take())),
            Lexeme::Name(name) => Ok((Expression::Name(name), self.take())),
            Lexeme::Open => {
                let start = self.take();
                let inner = self.deeper(Self::either)?;
                if *self.peek() != Lexeme::Close {
                    return Err(fault(
                        self.text,
                        "this bracket is never closed",
                        start,
                        "add `)`",
                    ));
                }
                let end = self.take();
                Ok((inner.0, (start.0, end.1)))
            }
            Lexeme::End => Err(self.error(
                "something is missing at the end",
                "a number, a name or a bracket comes here",
            )),
            _ => Err(self.error(
                "a number, a name or a bracket should stand here",
                "for example: failed / total > 0.2",
            )),
        }
    }

    fn deeper(&mut self, part: fn(&mut Self) -> Parsed) -> Parsed {
        if self.depth == DEPTH_MAX {
            return Err(self.error(
                "the gate is nested too deeply",
                "say it with fewer brackets",
            ));
        }
        self.depth += 1;
        let parsed = part(self);
        self.depth -= 1;
        parsed
    }

    fn condition(&self, (expression, span): &(Expression, Span)) -> Result<(), GateError> {
        if is_condition(expression) {
            return Ok(());
        }
        Err(fault(
            self.text,
            "a condition should stand here, this is a number",
            *span,
            "compare it with something: `failed > 0`",
        ))
    }

    fn number(&self, (expression, span): &(Expression, Span)) -> Result<(), GateError> {
        if !is_condition(expression) {
            return Ok(());
        }
        Err(fault(
            self.text,
            "a number should stand here, this is a condition",
            *span,
            "join conditions with `and` or `or`",
        ))
    }
}

fn is_condition(expression: &Expression) -> bool {
    matches!(
        expression,
        Expression::Comparison(..) | Expression::Not(_) | Expression::And(..) | Expression::Or(..)
    )
}
