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

use super::lexeme::{Arithmetic, ComparisonOperator, GateError, Lexeme, Name, Span, fault, tokens};

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
