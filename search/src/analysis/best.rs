//! The best run.

use crate::observation::{Goal, Observation, Outcome};

/// Returns the observation with the best finite value; of equals, the first. A predicted value
/// counts only where no run has ended by itself.
pub fn best(goal: Goal, observations: &[Observation]) -> Option<&Observation> {
    let mut best: Option<(&Observation, (bool, f64, u64))> = None;
    for observation in observations {
        let Some(value) = observation.outcome.value() else {
            continue;
        };
        let is_stopped = matches!(observation.outcome, Outcome::Stopped(_));
        let rank = (is_stopped, goal.minimized(value), observation.index);
        if value.is_finite() && best.is_none_or(|(_, other)| rank < other) {
            best = Some((observation, rank));
        }
    }
    best.map(|(observation, _)| observation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Ending;
    use crate::space::Config;

    #[test]
    fn the_best_is_finite_and_by_the_goal() {
        let outcomes = [
            Outcome::Value(f64::NAN),
            Outcome::Stopped(Ending {
                mean: 0.05,
                deviation: 0.1,
            }),
            Outcome::Value(0.3),
            Outcome::Failed,
            Outcome::Value(0.1),
            Outcome::Value(f64::NEG_INFINITY),
            Outcome::Value(0.3),
        ];
        let observations: Vec<_> = outcomes
            .into_iter()
            .zip(1..)
            .map(|(outcome, index)| Observation::new(index, Config::default(), outcome))
            .collect();
        assert_eq!(best(Goal::Minimize, &observations).unwrap().index, 5);
        assert_eq!(best(Goal::Maximize, &observations).unwrap().index, 3);
        assert_eq!(best(Goal::Minimize, &observations[..1]), None);
    }
}
