//! Two densities, of the good points and of the rest: where the first is high and the second low,
//! more good points are expected.
//!
//! It presumes less than a Gaussian process, and finds the way where noise hides the shape of the
//! objective.
//!
//! Bergstra, Bardenet, Bengio, Kégl (2011), Algorithms for hyper-parameter optimization, section 4;
//! the kernels are products over all coordinates, as in Falkner, Klein, Hutter (2018), BOHB,
//! section 3.2.

use std::f64::consts::TAU;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::acquisition::feasibility::Feasibility;
use crate::space::unit_cube::{INACTIVE, Scale, UnitCube, normal_cdf};
use crate::tuning::DENSITY;

/// A mixture of one kernel for each point and a wide one for all the range.
struct Density<'a> {
    cube: &'a UnitCube<'a>,
    points: &'a [Vec<f64>],
    width: f64,
}

impl<'a> Density<'a> {
    fn new(cube: &'a UnitCube<'a>, points: &'a [Vec<f64>]) -> Self {
        let (count, dimensions) = (points.len(), cube.scales().len());
        let narrowest = 1.0 / (1 + count).min(DENSITY.narrowest) as f64;
        let width = DENSITY.width * (count.max(1) as f64).powf(-1.0 / (dimensions as f64 + 4.0));
        Self {
            cube,
            points,
            width: width.clamp(narrowest, 1.0),
        }
    }

    /// Returns the place of the middle of a kernel along a coordinate, and the kernel's width
    /// there. `None`: it covers the range evenly.
    fn kernel(&self, component: usize, coordinate: usize) -> Option<(f64, f64)> {
        match self.points.get(component).map(|point| point[coordinate]) {
            None => Some((0.5, 1.0)),
            Some(INACTIVE) => None,
            Some(middle) => Some((middle, self.width)),
        }
    }

    /// Returns the probability of each category of a coordinate in one kernel.
    fn weights(&self, component: usize, coordinate: usize, middles: &[f64]) -> Vec<f64> {
        let count = self.points.len() + 1;
        let own = self.points.get(component).map(|point| point[coordinate]);
        let weight = |middle: &f64| f64::from(u8::from(own == Some(*middle))) + 1.0 / count as f64;
        let weights: Vec<f64> = middles.iter().map(weight).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / sum).collect()
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let component = rng.random_range(0..=self.points.len());
        let draw = |(coordinate, scale): (usize, &Scale)| match (
            scale,
            self.kernel(component, coordinate),
        ) {
            (Scale::Nominal(middles), _) => {
                let mut left: f64 = rng.random();
                let weights = self.weights(component, coordinate, middles);
                let place = weights.iter().position(|weight| {
                    left -= weight;
                    left < 0.0
                });
                middles[place.unwrap_or(middles.len() - 1)]
            }
            (_, None) => rng.random(),
            (_, Some((middle, width))) => {
                let mut draws = (0..DENSITY.redraws)
                    .map(|_| middle + width * rng.sample::<f64, _>(StandardNormal));
                draws
                    .find(|draw| (0.0..=1.0).contains(draw))
                    .unwrap_or(middle)
            }
        };
        let mut point: Vec<f64> = self.cube.scales().enumerate().map(draw).collect();
        self.cube.snap(&mut point);
        point
    }

    /// Returns the logarithm of the density at a point.
    fn log(&self, point: &[f64]) -> f64 {
        let along = |component: usize, coordinate: usize, scale: &Scale| match (
            scale,
            self.kernel(component, coordinate),
        ) {
            _ if point[coordinate] == INACTIVE => 0.0,
            (Scale::Nominal(middles), _) => {
                let place = middles
                    .iter()
                    .position(|middle| *middle == point[coordinate]);
                place.map_or(0.0, |place| {
                    self.weights(component, coordinate, middles)[place].ln()
                })
            }
            (_, None) => 0.0,
            (_, Some((middle, width))) => {
                let standard = (point[coordinate] - middle) / width;
                let inside = normal_cdf((1.0 - middle) / width) - normal_cdf(-middle / width);
                -0.5 * standard * standard - (TAU.sqrt() * width * inside).ln()
            }
        };
        let one = |component: usize| -> f64 {
            self.cube
                .scales()
                .enumerate()
                .map(|(coordinate, scale)| along(component, coordinate, scale))
                .sum()
        };
        let logs: Vec<f64> = (0..=self.points.len()).map(one).collect();
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        largest
            + (logs.iter().map(|log| (log - largest).exp()).sum::<f64>() / logs.len() as f64).ln()
    }
}

/// Returns a canonical point where good points are likelier than others. `points` are those of runs
/// with values, the best first.
pub(super) fn point(
    cube: &UnitCube<'_>,
    points: &[Vec<f64>],
    feasibility: Option<&Feasibility>,
    rng: &mut ChaCha8Rng,
) -> Vec<f64> {
    let (good, rest) = points.split_at(
        points
            .len()
            .div_ceil(DENSITY.good_share)
            .min(DENSITY.good_max),
    );
    let (good, rest) = (Density::new(cube, good), Density::new(cube, rest));
    let draws: Vec<Vec<f64>> = (0..DENSITY.draws).map(|_| good.draw(rng)).collect();
    let mut scores: Vec<f64> = draws
        .iter()
        .map(|draw| good.log(draw) - rest.log(draw))
        .collect();
    if let Some(feasibility) = feasibility {
        for (score, log) in scores.iter_mut().zip(feasibility.log_probabilities(&draws)) {
            *score += log;
        }
    }
    let best = draws
        .into_iter()
        .zip(scores)
        .max_by(|a, b| a.1.total_cmp(&b.1));
    best.map_or_else(|| vec![0.5; cube.scales().len()], |(point, _)| point)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::space::fixture::space_with;
    use crate::space::{Distribution, Space};

    fn space() -> Space {
        space_with(Distribution::Uniform { min: 0.0, max: 1.0 })
    }

    fn rng(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    #[test]
    fn points_lie_where_good_ones_are_dense() {
        let space = space();
        let cube = UnitCube::new(&space);
        // Good near c = 0.2 with `b: y`, independently of `a`.
        let mut points: Vec<Vec<f64>> = (0..4)
            .map(|i| vec![0.2 + 0.2 * f64::from(i), 0.75, 0.2 + 0.01 * f64::from(i)])
            .collect();
        points.extend((0..36).map(|i| vec![INACTIVE, 0.25, 0.3 + 0.02 * f64::from(i)]));
        let drawn: Vec<Vec<f64>> = (0..200)
            .map(|seed| point(&cube, &points, None, &mut rng(seed)))
            .collect();
        let share = |is: &dyn Fn(&Vec<f64>) -> bool| {
            drawn.iter().filter(|point| is(point)).count() as f64 / drawn.len() as f64
        };
        assert!(share(&|point| point[1] == 0.75) > 0.9);
        assert!(share(&|point| (point[2] - 0.2).abs() < 0.25) > 0.8);
        assert!(share(&|point| point[1] == 0.75 && point[0] < 0.5) > 0.2);
        for point in &drawn {
            let mut snapped = point.clone();
            cube.snap(&mut snapped);
            assert_eq!(&snapped, point);
        }
    }

    #[test]
    fn the_density_sums_to_one() {
        let space = space();
        let cube = UnitCube::new(&space);
        let points = [vec![0.05, 0.75, 0.9], vec![0.5, 0.75, 0.4]];
        let density = Density::new(&cube, &points);
        let grid = || (0..50).map(|place| (f64::from(place) + 0.5) / 50.0);
        let with_a: f64 = grid()
            .flat_map(|a| grid().map(move |c| vec![a, 0.75, c]))
            .map(|point| density.log(&point).exp() / 2500.0)
            .sum();
        let without: f64 = grid()
            .map(|c| density.log(&[INACTIVE, 0.25, c]).exp() / 50.0)
            .sum();
        assert!(
            (with_a + without - 1.0).abs() < 0.01,
            "{with_a} + {without}"
        );
    }

    #[test]
    fn few_points_or_none_are_enough() {
        let space = space();
        let cube = UnitCube::new(&space);
        for points in [
            vec![],
            vec![vec![0.5, 0.75, 0.5]],
            vec![vec![0.5, 0.75, 0.5], vec![INACTIVE, 0.25, 0.0]],
        ] {
            let point = point(&cube, &points, None, &mut rng(1));
            assert_eq!(point.len(), 3);
            assert!((0.0..=1.0).contains(&point[2]));
        }
    }
}
