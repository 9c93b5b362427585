//! How one parameter varies. The quantile functions live in `unit_cube`.

use serde::{Deserialize, Serialize};

use super::Value;

/// How one parameter varies, with W&B's names. `q` is the step that sampled values are rounded to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "distribution", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the line above a variant speaks of its fields")]
pub enum Distribution {
    /// Always the same value.
    Constant { value: Value },
    /// One of the values, all equally likely. Whether their order matters: it does or does not, or
    /// it is learnt (numbers) and does not (all others).
    Categorical {
        values: Vec<Value>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ordered: Option<bool>,
    },
    /// One of the values, with these probabilities (same length, sum 1).
    CategoricalWithProbabilities {
        values: Vec<Value>,
        probabilities: Vec<f64>,
    },
    /// A whole number, both ends included.
    IntUniform { min: i64, max: i64 },
    /// A number in `[min, max]`.
    Uniform { min: f64, max: f64 },
    /// `round(uniform / q) * q`.
    QUniform { min: f64, max: f64, q: Step },
    /// `exp(uniform(min, max))`: the bounds are base-e exponents. Deprecated by W&B.
    LogUniform { min: f64, max: f64 },
    /// Uniform in the logarithm, bounds in the parameter's own unit.
    LogUniformValues { min: f64, max: f64 },
    /// `exp(-uniform(min, max))`, the quantile flipped so that it rises. Deprecated by W&B.
    InvLogUniform { min: f64, max: f64 },
    /// As `log_uniform_values` (W&B's definition amounts to the same).
    InvLogUniformValues { min: f64, max: f64 },
    /// `round(log_uniform / q) * q`. Deprecated by W&B.
    QLogUniform { min: f64, max: f64, q: Step },
    /// `round(log_uniform_values / q) * q`.
    QLogUniformValues { min: f64, max: f64, q: Step },
    /// A normal distribution.
    Normal { mu: f64, sigma: f64 },
    /// `round(normal / q) * q`.
    QNormal { mu: f64, sigma: f64, q: Step },
    /// `exp(normal)`.
    LogNormal { mu: f64, sigma: f64 },
    /// `round(log_normal / q) * q`.
    QLogNormal { mu: f64, sigma: f64, q: Step },
    /// A beta distribution on `[0, 1]`.
    Beta { a: f64, b: f64 },
    /// `round(beta / q) * q`.
    QBeta { a: f64, b: f64, q: Step },
}

impl Distribution {
    /// Returns whether null is one of its values.
    pub fn lists_null(&self) -> bool {
        match self {
            Self::Constant { value } => *value == Value::Null,
            Self::Categorical { values, .. }
            | Self::CategoricalWithProbabilities { values, .. } => values.contains(&Value::Null),
            _ => false,
        }
    }
}

/// The step of a quantised distribution. A whole step gives whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Step {
    /// A whole step: sampled values are integers.
    Int(i64),
    /// Any other step: sampled values are floats.
    Float(f64),
}

impl Step {
    /// Returns the step as a float.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(int) => int as f64,
            Self::Float(float) => float,
        }
    }
}
