//! The gate of `sweep run --fail-if EXPR`: a condition over the outcome under which CI should go red.

mod expression;
mod lexeme;

use std::collections::BTreeMap;

use self::expression::Expression;
use self::lexeme::{Arithmetic, ComparisonOperator, Name};
use super::outcome::{SweepOutcome, number_text};

pub(crate) use self::lexeme::GateError;

/// A condition under which the sweep counts as bad: `best.val_loss > 0.3 or failed / total > 0.2`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gate {
    text: String,
    expression: Expression,
}

/// The result of a gate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GateJudgement {
    /// The condition, as it was written.
    pub(crate) text: String,
    /// The condition is true, or cannot be judged.
    pub(crate) failed: bool,
    /// Why, with the numbers it went by.
    pub(crate) explanation: String,
}

impl Gate {
    /// Reads a gate, before the sweep starts.
    ///
    /// # Errors
    /// An error in the text: message, position and fix.
    pub(crate) fn parse(text: &str) -> Result<Self, GateError> {
        let expression = expression::parse(text)?;
        Ok(Self {
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
            expression,
        })
    }

    /// Judges an outcome. A gate over a value that does not exist fails: a sweep without a result must not pass for a good one.
    pub(crate) fn judge(&self, outcome: &SweepOutcome) -> GateJudgement {
        let mut evaluation = Evaluation {
            outcome,
            seen: BTreeMap::new(),
        };
        let (failed, explanation) = match evaluation.holds(&self.expression) {
            Ok(holds) => {
                let seen: Vec<String> = evaluation
                    .seen
                    .iter()
                    .map(|(name, value)| format!("{name} = {}", number_text(*value)))
                    .collect();
                let because = if seen.is_empty() {
                    String::new()
                } else {
                    format!(": {}", seen.join(", "))
                };
                (holds, format!("the condition is {holds}{because}"))
            }
            Err(missing) => (
                true,
                format!("the condition cannot be judged, which counts as failed: {missing}"),
            ),
        };
        GateJudgement {
            text: self.text.clone(),
            failed,
            explanation,
        }
    }
}

struct Evaluation<'a> {
    outcome: &'a SweepOutcome,
    seen: BTreeMap<String, f64>,
}

impl Evaluation<'_> {
    fn holds(&mut self, expression: &Expression) -> Result<bool, String> {
        match expression {
            Expression::Not(inner) => Ok(!self.holds(inner)?),
            Expression::And(left, right) => Ok(self.holds(left)? && self.holds(right)?),
            Expression::Or(left, right) => Ok(self.holds(left)? || self.holds(right)?),
            Expression::Comparison(left, sign, right) => {
                let (left, right) = (self.number(left)?, self.number(right)?);
                Ok(match sign {
                    ComparisonOperator::Less => left < right,
                    ComparisonOperator::LessOrEqual => left <= right,
                    ComparisonOperator::Greater => left > right,
                    ComparisonOperator::GreaterOrEqual => left >= right,
                    ComparisonOperator::Equal => left == right,
                    ComparisonOperator::NotEqual => left != right,
                })
            }
            Expression::Number(_)
            | Expression::Name(_)
            | Expression::Negative(_)
            | Expression::Arithmetic(..) => {
                unreachable!("the parser accepts no number as a condition")
            }
        }
    }

    fn number(&mut self, expression: &Expression) -> Result<f64, String> {
        let value = match expression {
            Expression::Number(value) => *value,
            Expression::Negative(inner) => -self.number(inner)?,
            Expression::Arithmetic(left, sign, right) => {
                let (left, right) = (self.number(left)?, self.number(right)?);
                match sign {
                    Arithmetic::Plus => left + right,
                    Arithmetic::Minus => left - right,
                    Arithmetic::Times => left * right,
                    Arithmetic::Over => left / right,
                }
            }
            Expression::Name(name) => {
                let value = self.value_of(name)?;
                self.seen.insert(name.to_string(), value);
                if value.is_nan() {
                    return Err(format!("{name} is not a number"));
                }
                value
            }
            Expression::Not(_)
            | Expression::And(..)
            | Expression::Or(..)
            | Expression::Comparison(..) => {
                unreachable!("the parser accepts no condition as a number")
            }
        };
        // Each comparison with NaN is false, so that a gate could pass because of it.
        if value.is_nan() {
            Err("a quotient like 0 / 0 is not a number".to_owned())
        } else {
            Ok(value)
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "no sweep has 2^53 runs")]
    fn value_of(&self, name: &Name) -> Result<f64, String> {
        let sweep = &self.outcome.sweep;
        let count = match name {
            Name::Total => self.outcome.total(),
            Name::Finished => sweep.finished,
            Name::Failed => sweep.failed,
            Name::Stopped => sweep.stopped,
            Name::Cancelled => sweep.cancelled,
            Name::Running => sweep.running,
            Name::Queued => sweep.queued,
            Name::DurationS => return Ok(self.outcome.duration.as_secs_f64()),
            Name::BestValue => return sweep.best_value.ok_or_else(|| self.no_best(name)),
            Name::BestMetric(metric) => return self.best_metric(name, metric),
        };
        Ok(count as f64)
    }

    fn no_best(&self, name: &Name) -> String {
        match self.outcome.sweep.metric.as_str() {
            "" => format!("{name} does not exist, since the sweep file names no metric"),
            metric => format!("{name} does not exist, since no run reported {metric}"),
        }
    }

    fn best_metric(&self, name: &Name, metric: &str) -> Result<f64, String> {
        let best = self.outcome.best().ok_or_else(|| self.no_best(name))?;
        let metrics = self.outcome.metrics(best);
        if let Some(value) = metrics.get(metric) {
            return Ok(*value);
        }
        let known: Vec<String> = metrics
            .keys()
            .map(|known| Name::BestMetric((*known).to_owned()).to_string())
            .collect();
        Err(format!(
            "{name} does not exist; run {}, the best, reported {}",
            best.run,
            known.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::super::outcome::tests::outcome;
    use super::*;

    fn judge(text: &str) -> GateJudgement {
        Gate::parse(text).expect(text).judge(&outcome())
    }

    fn error(text: &str) -> String {
        Gate::parse(text).expect_err(text).to_string()
    }

    #[test]
    fn conditions_follow_the_usual_precedence() {
        for (text, failed) in [
            ("best.val_loss > 0.3", false),
            ("best.val_loss > 0.2", true),
            ("best.value == 0.25", true),
            ("best.value != 0.25", false),
            ("best.\"val/accuracy\" < 0.95", true),
            ("best.'val/accuracy' < 0.85", false),
            ("failed / total > 0.2", true),
            ("failed/total>=0.25", true),
            ("total - finished - stopped - failed == 0", true),
            ("1 + 2 * 3 == 7", true),
            ("(1 + 2) * 3 == 9", true),
            ("8 / 4 / 2 == 1", true),
            ("--1 == 1 and -1 < 0", true),
            ("1 > 2 and 1 > 2 or 1 < 2", true),
            ("1 > 2 and (1 > 2 or 1 < 2)", false),
            ("not 1 > 2 and not not 1 < 2", true),
            ("! (1 > 2) && !(2 > 3) || 1 > 2", true),
            ("duration_s > 199.5 and duration_s < 2.005e2", true),
            (".5 < 1. and 1e-3 == 0.001 and 1E+2 == 100", true),
            ("running + queued + cancelled > 0", false),
        ] {
            assert_eq!(judge(text).failed, failed, "{text}");
        }
    }

    #[test]
    fn a_judgement_names_its_numbers() {
        assert_snapshot!(judge("best.val_loss > 0.3 or  failed /\n total > 0.2").explanation, @"the condition is true: best.val_loss = 0.25, failed = 1, total = 4");
        assert_snapshot!(judge("best.val_loss > 0.3").explanation, @"the condition is false: best.val_loss = 0.25");
        assert_snapshot!(judge("1 > 2").explanation, @"the condition is false");
        assert_eq!(judge("1 >\n 2").text, "1 > 2");
    }

    #[test]
    fn what_does_not_exist_fails_the_gate() {
        let mut empty = outcome();
        (empty.sweep.best_run, empty.sweep.best_value) = (None, None);
        let on_empty = |text: &str| Gate::parse(text).expect(text).judge(&empty);
        assert!(
            on_empty("best.value > 3").failed
                && on_empty("best.value < 3").failed
                && on_empty("not best.value < 3").failed
        );
        assert!(on_empty("best.val_loss > 3").failed);
        assert!(
            !on_empty("total > 100 and best.value > 3").failed,
            "what need not be looked at cannot be missing"
        );
        assert_snapshot!(on_empty("best.value > 3").explanation, @"the condition cannot be judged, which counts as failed: best.value does not exist, since no run reported val_loss");
        empty.sweep.metric.clear();
        let judgement = Gate::parse("best.value > 3")
            .expect("it parses")
            .judge(&empty);
        assert_snapshot!(judgement.explanation, @"the condition cannot be judged, which counts as failed: best.value does not exist, since the sweep file names no metric");
        assert_snapshot!(judge("best.val > 3").explanation, @r#"the condition cannot be judged, which counts as failed: best.val does not exist; run 2, the best, reported best."val/accuracy", best.val_loss"#);
    }

    #[test]
    fn not_a_number_fails_the_gate() {
        assert!(judge("0 / 0 > 1").failed);
        assert!(judge("not running / queued > 1").failed);
        let mut odd = outcome();
        odd.sweep.best_value = Some(f64::NAN);
        assert_snapshot!(Gate::parse("best.value > 1").expect("it parses").judge(&odd).explanation, @"the condition cannot be judged, which counts as failed: best.value is not a number");
    }

    #[test]
    fn mistakes_are_shown_where_they_are() {
        assert_snapshot!(error("failled / total > 0.2"), @r"
        unknown name `failled`
          | failled / total > 0.2
          | ^^^^^^^ column 1
        did you mean `failed`?
        ");
        assert_snapshot!(error("total > 1 and val_loss > 0.3"), @r"
        unknown name `val_loss`
          | total > 1 and val_loss > 0.3
          |               ^^^^^^^^ column 15
        known names: total, finished, failed, stopped, cancelled, running, queued, duration_s, best.value, best.<metric>; did you mean `best.val_loss`?
        ");
        assert_snapshot!(error("best > 1"), @r"
        unknown name `best`
          | best > 1
          | ^^^^ column 1
        the best run has metrics: write `best.value`, or `best.<metric>`
        ");
        assert_snapshot!(error("failed / total > 20%"), @r"
        `20%`: a gate knows no percent
          | failed / total > 20%
          |                  ^^^ column 18
        write a fraction: 0.2 for 20 %
        ");
        assert_snapshot!(error("0 < failed < 3"), @r"
        comparisons cannot be chained
          | 0 < failed < 3
          |            ^ column 12
        write `a < b and b < c`
        ");
        assert_snapshot!(error("failed"), @r"
        a number alone is not a condition
          | failed
          | ^^^^^^ column 1
        compare it with something: `failed > 0`
        ");
    }

    #[test]
    fn every_mistake_has_a_column_and_a_remedy() {
        for (text, column) in [
            ("", 1),
            ("   ", 1),
            ("failed >", 9),
            ("(failed > 1", 1),
            ("failed > 1)", 11),
            ("failed = 1", 8),
            ("failed > 1 2", 12),
            ("failed and total", 1),
            ("not failed", 5),
            ("(1 < 2) + 3 > 4", 1),
            ("1 < 2 and 3", 11),
            ("1.2.3 > 4", 1),
            ("1e999 > 4", 1),
            ("best.\"x > 4", 6),
            ("total > 3 # why", 11),
            ("* 3 > 2", 1),
        ] {
            let error = Gate::parse(text).expect_err(text);
            let said = error.to_string();
            assert!(
                said.contains(&format!(" column {column}\n")),
                "{text}: {said}"
            );
            assert!(!said.ends_with('\n'), "no remedy: {said}");
        }
    }

    #[test]
    fn huge_gates_are_refused() {
        assert!(error(&"(".repeat(1_000)).contains("nested too deeply"));
        assert!(error(&"not ".repeat(400)).contains("nested too deeply"));
        assert!(error(&"1 + ".repeat(1_000_000)).contains("at most 2000"));
        assert!(Gate::parse(&format!("{}1 > 0{}", "(".repeat(60), ")".repeat(60))).is_ok());
        assert!(judge(&format!("{}1 == 499", "1 + ".repeat(498))).failed);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ a-z0-9.<>=!&|()+*/\"'%e-]{0,40}|\\PC{0,30}") {
            if let Ok(gate) = Gate::parse(&text) {
                gate.judge(&outcome());
            }
        }

        #[test]
        fn sums_and_comparisons_agree_with_rust(a in -1e3..1e3_f64, b in -1e3..1e3_f64, c in 1.0..9.0_f64) {
            prop_assert_eq!(judge(&format!("{a:?} + {b:?} / {c:?} < {c:?} * {a:?} - {b:?}")).failed, a + b / c < c * a - b);
        }
    }
}
