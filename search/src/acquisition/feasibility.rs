//! How likely a point is to give a value at all.

use crate::gp::fit::fit;
use crate::gp::kernel::Geometry;
use crate::gp::posterior::Posterior;
use crate::space::unit_cube::normal_cdf;

/// What the model is told of a run that failed and of one that did not, about a threshold of zero.
const FAILED: f64 = 1.0;
const ENDED: f64 = -1.0;
/// What is believed where nothing is known: rather that a run will end well.
const BELIEVED: f64 = -0.5;

/// A model of failures beside that of the values. To call a failure a bad value instead would bend the model of the values for the worse
/// all around, and the best values often lie beside a cliff.
#[derive(Clone, Debug)]
pub(crate) struct Feasibility(Posterior);

impl Feasibility {
    /// Learns from points and whether they failed; `None` where none has.
    pub(crate) fn new(geometry: &Geometry, x: &[Vec<f64>], failed: &[bool]) -> Option<Self> {
        if !failed.contains(&true) {
            return None;
        }
        let labels: Vec<f64> = failed.iter().map(|failed| if *failed { FAILED } else { ENDED } - BELIEVED).collect();
        let theta = fit(geometry, x, &labels);
        Posterior::new(geometry.clone(), &theta, x.to_vec(), labels).map(Self)
    }

    /// Returns the logarithm of the probability that a run at each point does not fail.
    pub(crate) fn log_probabilities(&self, points: &[Vec<f64>]) -> Vec<f64> {
        let probability = |(mean, deviation): (f64, f64)| normal_cdf(-(mean + BELIEVED) / deviation.max(0.1));
        self.0.predict(points).into_iter().map(|prediction| probability(prediction).max(1e-12).ln()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_among_failures_are_likely_to_fail() {
        let x: Vec<Vec<f64>> = (0..20).map(|place| vec![f64::from(place) / 20.0]).collect();
        let failed: Vec<bool> = x.iter().map(|x| x[0] > 0.6).collect();
        let geometry = Geometry(vec![false]);
        let model = Feasibility::new(&geometry, &x, &failed).unwrap();
        let log = model.log_probabilities(&[vec![0.2], vec![0.58], vec![0.9]]);
        assert!(log[0] > -0.05 && log[2] < -2.0 && log[2] < log[1] && log[1] < log[0], "{log:?}");
        assert!(Feasibility::new(&geometry, &x, &[false; 20]).is_none());
    }
}
