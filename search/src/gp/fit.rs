//! The most probable hyperparameters.

use std::cell::RefCell;

use argmin::core::{CostFunction, Error, Executor, Gradient};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;

use super::likelihood::Evidence;
use crate::tuning::TRANSFER;

/// The cost of a singular kernel matrix: finite, since argmin ends at NaN and infinity.
const COST_SINGULAR: f64 = 1e12;
const ITERATIONS_MAX: u64 = 20;
/// How many corrections L-BFGS keeps.
const MEMORY: usize = 8;

/// Returns θ with the highest posterior density found from a few starts. A line search that fails
/// costs nothing: of all θ that were looked at the best is kept.
pub(crate) fn fit(evidence: &Evidence, z: &[f64]) -> Vec<f64> {
    let (d, changes) = (evidence.dimensions(), evidence.changes());
    let start = |length: f64, log_noise: f64, eta: f64| {
        let mut theta = vec![length.ln(); d];
        theta.extend([log_noise, 0.0, -2.0, -2.0]);
        theta.extend([eta, TRANSFER.log_level.0].repeat(changes));
        theta
    };
    let mut starts = vec![
        start(0.5, -6.0, TRANSFER.eta.0),
        start(1.5 * (d as f64).sqrt(), -4.0, TRANSFER.eta.0),
        // Values that are noise alone have a second maximum, where each is a separate bump: from
        // little noise the search ends there.
        start(1.5 * (d as f64).sqrt(), -0.7, TRANSFER.eta.0),
    ];
    // That a change turned everything round lies beyond a valley.
    if changes > 0 {
        starts.push(start(0.5, -6.0, TRANSFER.eta_turned));
    }
    let search = ThetaSearch {
        evidence,
        z,
        last: RefCell::new(None),
        best: RefCell::new((f64::INFINITY, starts[1].clone())),
    };
    for start in starts {
        let Ok(solver) = LBFGS::new(MoreThuenteLineSearch::new(), MEMORY).with_tolerance_grad(1e-3)
        else {
            continue;
        };
        let Ok(solver) = solver.with_tolerance_cost(1e-7) else {
            continue;
        };
        // However the search ends, `best` is the best of all its steps.
        let _ = Executor::new(&search, solver)
            .configure(|state| state.param(start).max_iters(ITERATIONS_MAX))
            .timer(false)
            .ctrlc(false)
            .run();
    }
    search.best.into_inner().1
}

type Evaluation = (f64, Vec<f64>);

struct ThetaSearch<'a> {
    evidence: &'a Evidence,
    z: &'a [f64],
    /// The last θ and its cost: argmin asks for cost and gradient one after the other.
    last: RefCell<Option<(Vec<f64>, Evaluation)>>,
    best: RefCell<(f64, Vec<f64>)>,
}

impl ThetaSearch<'_> {
    fn evaluate(&self, theta: &[f64]) -> Evaluation {
        if let Some((seen, evaluation)) = self.last.borrow().as_ref()
            && seen == theta
        {
            return evaluation.clone();
        }
        let evaluation = match self.evidence.log_posterior(theta, self.z) {
            Some((density, gradient)) => {
                (-density, gradient.into_iter().map(|slope| -slope).collect())
            }
            None => (COST_SINGULAR, vec![0.0; theta.len()]),
        };
        if evaluation.0 < self.best.borrow().0 {
            *self.best.borrow_mut() = (evaluation.0, theta.to_vec());
        }
        *self.last.borrow_mut() = Some((theta.to_vec(), evaluation.clone()));
        evaluation
    }
}

impl CostFunction for &ThetaSearch<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, theta: &Self::Param) -> Result<f64, Error> {
        Ok(self.evaluate(theta).0)
    }
}

impl Gradient for &ThetaSearch<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, theta: &Self::Param) -> Result<Vec<f64>, Error> {
        Ok(self.evaluate(theta).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::super::kernel::{Coordinate, Geometry};
    use super::super::posterior::ObservedPoints;

    #[test]
    fn a_coordinate_that_does_not_matter_gets_the_longer_scale() {
        let x: Vec<Vec<f64>> = (0..30)
            .map(|i| {
                vec![
                    (f64::from(i) * 0.377).fract(),
                    (f64::from(i) * 0.618).fract(),
                ]
            })
            .collect();
        let z: Vec<f64> = x.iter().map(|x| (9.0 * x[0]).sin()).collect();
        let theta = fit(
            &Evidence::new(
                &Geometry(vec![Coordinate::Ordered; 2]),
                &ObservedPoints::once(x, Vec::new()),
            ),
            &z,
        );
        assert!(theta[0] + 1.5 < theta[1], "{theta:?}");
        assert!(theta[2] < -4.0, "there is no noise: {theta:?}");
    }

    #[test]
    fn noise_alone_is_taken_for_noise() {
        let place = |i: i32, step: f64| (f64::from(i) * step).fract();
        let x: Vec<Vec<f64>> = (0..60)
            .map(|i| [0.377, 0.618, 0.755].map(|step| place(i, step)).to_vec())
            .collect();
        let mut noise = 0.5;
        let mut next = || {
            noise = (noise * 7919.0 + 0.1234_f64).fract();
            2.0 * noise - 1.0
        };
        // Nearly normal, and not of the places.
        let z: Vec<f64> = x.iter().map(|_| next() + next() + next()).collect();
        let evidence = Evidence::new(
            &Geometry(vec![Coordinate::Ordered; 3]),
            &ObservedPoints::once(x, Vec::new()),
        );
        let theta = fit(&evidence, &z);
        assert!(theta[3] > -2.0, "the log of the noise: {theta:?}");
    }

    #[test]
    fn repeated_points_and_constant_values_do_no_harm() {
        let evidence = Evidence::new(
            &Geometry(vec![Coordinate::Ordered]),
            &ObservedPoints::once(vec![vec![0.5]; 20], Vec::new()),
        );
        for z in [vec![0.0; 20], (0..20).map(|i| f64::from(i % 2)).collect()] {
            assert!(fit(&evidence, &z).iter().all(|entry| entry.is_finite()));
        }
    }
}
