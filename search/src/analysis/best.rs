//! The best run.

use crate::observation::{Goal, Observation, Outcome};

/// Returns the observation with the best finite value. One that ended by itself goes before one that was stopped with the same value;
/// of equals, the first wins.
pub fn best(goal: Goal, observations: &[Observation]) -> Option<&Observation> {
    let mut best: Option<(&Observation, (f64, bool, u64))> = None;
    for observation in observations {
        let (value, stopped) = match observation.outcome {
            Outcome::Value(value) => (value, false),
            Outcome::Stopped(value) => (value, true),
            Outcome::Failed => continue,
        };
        let rank = (goal.minimized(value), stopped, observation.index);
        if value.is_finite() && best.is_none_or(|(_, other)| rank < other) {
            best = Some((observation, rank));
        }
    }
    best.map(|(observation, _)| observation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::Config;

    #[test]
    fn the_best_is_finite_and_by_the_goal() {
        let outcomes = [
            Outcome::Value(f64::NAN),
            Outcome::Stopped(0.1),
            Outcome::Value(0.3),
            Outcome::Failed,
            Outcome::Value(0.1),
            Outcome::Value(f64::NEG_INFINITY),
            Outcome::Value(0.3),
        ];
        let observations: Vec<_> =
            outcomes.into_iter().zip(1..).map(|(outcome, index)| Observation::new(index, Config::default(), outcome)).collect();
        assert_eq!(best(Goal::Minimize, &observations).unwrap().index, 5);
        assert_eq!(best(Goal::Maximize, &observations).unwrap().index, 3);
        assert_eq!(best(Goal::Minimize, &observations[..1]), None);
    }
}
