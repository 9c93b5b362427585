//! How much is computed for a suggestion.

use crate::tuning::EFFORT;

/// How much is computed for a suggestion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Effort {
    /// Draws of the hyperparameters: members of the ensemble.
    pub(crate) draws: usize,
    /// Candidates spread over the cube.
    pub(crate) spread: usize,
    /// Candidates around good points, for each of several widths.
    pub(crate) local: usize,
    /// The number of best candidates that are optimised locally.
    pub(crate) climbers: usize,
}

impl Effort {
    /// Returns the affordable effort for a number of values.
    pub(crate) fn of(values: usize) -> Self {
        let share = (EFFORT.values_in_full / values.max(1) as f64).min(1.0);
        let scaled = |(most, least): (f64, usize)| ((most * share).round() as usize).max(least);
        Self {
            draws: scaled(EFFORT.draws),
            spread: scaled(EFFORT.spread),
            local: scaled(EFFORT.local),
            climbers: scaled(EFFORT.climbers),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effort_falls_with_the_number_of_values_to_a_least() {
        assert_eq!(
            Effort::of(0),
            Effort {
                draws: 16,
                spread: 1024,
                local: 150,
                climbers: 6
            }
        );
        assert_eq!(
            Effort::of(100),
            Effort {
                draws: 8,
                spread: 512,
                local: 75,
                climbers: 3
            }
        );
        assert_eq!(
            Effort::of(5000),
            Effort {
                draws: 3,
                spread: 192,
                local: 40,
                climbers: 3
            }
        );
    }
}
