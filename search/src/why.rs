//! The reason for a suggestion.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The reason for a suggestion: in words, and in the numbers behind them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Why {
    /// In words that a person understands: `grid point 3`, `random draw`, `start-up point 2 of 6`,
    /// `expected improvement 0.02 over 0.31, predicted 0.30 ± 0.04`.
    pub reason: String,
    /// The kind of suggestion.
    pub kind: Kind,
    /// The model's prediction there, where there is a model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted: Option<Prediction>,
    /// The expected improvement over the best value seen, in the objective's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub improvement: Option<f64>,
    /// The probability that a run there neither fails nor violates a constraint, where any has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success: Option<f64>,
    /// The number of ended runs that the search used.
    #[serde(default)]
    pub observations: u64,
    /// The number of open runs that it used.
    #[serde(default)]
    pub pending: u64,
}

/// A model's prediction of the objective at a point.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The expected value.
    pub mean: f64,
    /// The standard deviation of the prediction, without the noise of a single run.
    pub deviation: f64,
}

/// The purpose of a suggestion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The next point of a grid.
    Grid,
    /// An independent draw.
    #[default]
    Random,
    /// A point spread over the space before there is a model.
    StartUp,
    /// Good with older code: its result tests how much of the old evidence still holds.
    Probe,
    /// Has the highest expected improvement, since the model expects a value like the best or better.
    Exploit,
    /// Has the highest expected improvement, mostly for the model's uncertainty there.
    Explore,
    /// Far from all tried points, or in a branch that was tried least: the floor of exploration.
    Far,
    /// Where good results are dense, while the model does not predict.
    Dense,
    /// Offered or imported by a user or their program.
    External,
}

impl Why {
    /// A reason without numbers.
    pub fn new(kind: Kind, reason: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
            ..Self::default()
        }
    }
}

/// Writes a number with three significant digits.
pub fn short(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 || !size.is_finite() || number.fract() == 0.0 && size < 1e6 {
        format!("{number}")
    } else if (1e-4..1e6).contains(&size) {
        let decimals = (2 - size.log10().floor() as i32).max(0) as usize;
        format!("{number:.decimals$}")
    } else {
        format!("{number:.2e}")
    }
}

/// Logs of the first version hold nothing but the words.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Words(String),
    Full(#[serde(with = "Why")] Why),
}

impl Serialize for Why {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // `remote = "Self"` derives a function of the type, which goes before that of the trait.
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Why {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Words(reason) => Self {
                reason,
                ..Self::default()
            },
            Written::Full(why) => why,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_first_version_can_be_read() {
        let old: Why = serde_json::from_str(r#""grid point 3""#).unwrap();
        assert_eq!(old.reason, "grid point 3");
        let predicted = Some(Prediction {
            mean: 0.25,
            deviation: 0.5,
        });
        let why = Why {
            predicted,
            observations: 7,
            ..Why::new(Kind::Exploit, "promising")
        };
        assert_eq!(
            serde_json::from_str::<Why>(&serde_json::to_string(&why).unwrap()).unwrap(),
            why
        );
    }
}
