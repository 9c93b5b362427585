//! The parts of a suggestion one by one, for `benches/model.rs`.
//!
//! Not part of the interface: it exists only with the feature `bench`, and changes with the parts
//! that it measures.

use std::sync::Arc;

use crate::gp;
use crate::gp::fit::fit;
use crate::gp::kernel::Geometry;
use crate::gp::likelihood::Evidence;
use crate::gp::posterior::ObservedPoints;
use crate::gp::warp::Warp;
use crate::observation::{CodeLine, Goal, Observation};
use crate::sampler::history::History;
use crate::sampler::model::Model;
use crate::space::Space;
use crate::space::unit_cube::UnitCube;

const SEED: u64 = 1;
const FLOOR: f64 = 1.0;

/// Observations, ready to be learnt from.
#[derive(Debug)]
pub struct ModelBench<'a> {
    cube: UnitCube<'a>,
    observations: &'a [Observation],
    geometry: Arc<Geometry>,
    seen: ObservedPoints,
}

/// A Gaussian process with given hyperparameters.
#[derive(Debug)]
pub struct BenchPosterior(gp::posterior::Posterior);

/// Everything that is learnt for a suggestion.
pub struct BenchModel(Model);

impl<'a> ModelBench<'a> {
    /// Prepares observations whose values should be minimised.
    pub fn new(space: &'a Space, observations: &'a [Observation]) -> Self {
        let cube = UnitCube::new(space);
        let value = |seen: &Observation| seen.outcome.value().unwrap_or(f64::INFINITY);
        let valued: Vec<&Observation> = observations
            .iter()
            .filter(|seen| value(seen).is_finite())
            .collect();
        let values: Vec<f64> = valued.iter().map(|seen| value(seen)).collect();
        let warp = Warp::new(&values, FLOOR);
        let x = valued
            .iter()
            .map(|seen| cube.point_of(&seen.config))
            .collect();
        let seen =
            ObservedPoints::once(x, values.iter().map(|value| warp.warped(*value)).collect());
        let geometry = Arc::new(Geometry::of(&cube));
        Self {
            cube,
            observations,
            geometry,
            seen,
        }
    }

    /// Returns the most probable hyperparameters.
    pub fn fit(&self) -> Vec<f64> {
        fit(&Evidence::new(&self.geometry, &self.seen), &self.seen.z)
    }

    /// Conditions a Gaussian process with these hyperparameters on all observations.
    pub fn posterior(&self, theta: &[f64]) -> Option<BenchPosterior> {
        gp::posterior::Posterior::new(Arc::clone(&self.geometry), theta, &self.seen)
            .map(BenchPosterior)
    }

    /// Learns all that a suggestion needs: several draws of the hyperparameters, a model for each.
    /// `None` where there is too little to learn from.
    pub fn learn(&self) -> Option<BenchModel> {
        let history = History {
            goal: Goal::Minimize,
            observations: self.observations,
            pending: &[],
            code: CodeLine::default(),
        };
        Model::new(&self.cube, &history, false, &[], SEED, self.next_index()).map(BenchModel)
    }

    /// Returns the highest score found.
    pub fn maximize(&self, model: &mut BenchModel) -> Option<f64> {
        model
            .0
            .search(&self.cube, SEED, self.next_index())
            .first()
            .map(|best| best.score)
    }

    fn next_index(&self) -> u64 {
        self.observations.len() as u64 + 1
    }
}

impl BenchPosterior {
    /// Returns mean and standard deviation at each point.
    pub fn predict(&self, points: &[Vec<f64>]) -> Vec<(f64, f64)> {
        self.0.predict(points)
    }
}
