//! Matérn-5/2 with one length scale a coordinate, and two kernels of quadratic functions, with and
//! without interactions.

use std::f64::consts::FRAC_PI_2;

use super::kinship::Kinship;
use crate::space::unit_cube::{INACTIVE, Scale, UnitCube};

/// The jitter on the diagonal, beside the noise, relative to a signal of variance one.
pub(crate) const JITTER: f64 = 1e-8;

/// Entries of θ behind the length scales: noise, signal, curve, alone.
pub(crate) const EXTRA: usize = 4;

/// The metric along a coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coordinate {
    /// Numbers: the gap is the squared difference.
    Ordered,
    /// Categories: the gap between any two is 1.
    Nominal,
    /// Numbers that are there only under a condition.
    ConditionalOrdered,
    /// Categories that are there only under a condition.
    ConditionalNominal,
    /// The values of the coordinate at this place, taken for categories: its own entry, behind
    /// those of all coordinates. Numbers in a list have it beside their order. Each of the two has
    /// its length scale, so that the evidence decides which one counts.
    Levels(usize),
}

/// The metric along each coordinate.
#[derive(Clone, Debug)]
pub(crate) struct Geometry(pub(crate) Vec<Coordinate>);

impl Geometry {
    pub(crate) fn of(cube: &UnitCube<'_>) -> Self {
        let coordinate = |(scale, conditional): (&Scale, bool)| match (
            matches!(scale, Scale::Nominal(_)),
            conditional,
        ) {
            (false, false) => Coordinate::Ordered,
            (true, false) => Coordinate::Nominal,
            (false, true) => Coordinate::ConditionalOrdered,
            (true, true) => Coordinate::ConditionalNominal,
        };
        let own = cube.scales().zip(cube.conditional()).map(coordinate);
        let levels = cube
            .learns_order()
            .enumerate()
            .filter(|(_, learns)| *learns)
            .map(|(place, _)| Coordinate::Levels(place));
        Self(own.chain(levels).collect())
    }

    /// Returns the number of entries: the coordinates of a point, and [`Coordinate::Levels`].
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the number of coordinates of a point.
    pub(super) fn dimensions(&self) -> usize {
        self.0
            .iter()
            .filter(|coordinate| !matches!(coordinate, Coordinate::Levels(_)))
            .count()
    }

    /// Returns what an entry sees of a point.
    pub(super) fn at(&self, entry: usize, point: &[f64]) -> f64 {
        match self.0[entry] {
            Coordinate::Levels(place) => point[place],
            _ => point[entry],
        }
    }

    /// Returns the squared distance along one coordinate. An inactive value is equally far from
    /// every active one, so that it neither attracts nor repels: numbers lie on a half circle of
    /// diameter 1 with the inactive one in its centre (after Hutter and Osborne 2013, A kernel for
    /// hierarchical parameter spaces), categories on the corners of a simplex.
    pub(crate) fn gap(&self, coordinate: usize, a: f64, b: f64) -> f64 {
        let half_active = (a == INACTIVE) != (b == INACTIVE);
        match self.0[coordinate] {
            Coordinate::Ordered => (a - b) * (a - b),
            Coordinate::ConditionalOrdered if half_active => 0.25,
            Coordinate::ConditionalOrdered => (FRAC_PI_2 * (a - b)).sin().powi(2),
            Coordinate::ConditionalNominal | Coordinate::Levels(_) if half_active => 0.5,
            Coordinate::Nominal | Coordinate::ConditionalNominal | Coordinate::Levels(_) => {
                f64::from(u8::from(a != b))
            }
        }
    }

    fn is_ordered(&self, coordinate: usize) -> bool {
        matches!(
            self.0[coordinate],
            Coordinate::Ordered | Coordinate::ConditionalOrdered
        )
    }

    /// Returns the kernel of quadratic functions: (1 + s a·b)² / 4 with coordinates from −1 to 1.
    /// The factor s makes the expected square of a random point one. Categories and inactive values
    /// are at 0.
    pub(crate) fn quadratic(&self, a: &[f64], b: &[f64]) -> f64 {
        let root = 1.0 + self.dot(a, b);
        0.25 * root * root
    }

    /// Returns the kernel of sums of quadratics of one coordinate each, with a constant for each
    /// category, which is one on the average of random points: of the first two Legendre
    /// polynomials. Most of what hyperparameters do they do alone.
    pub(crate) fn additive(&self, a: &[f64], b: &[f64]) -> f64 {
        let term = |entry: usize| {
            let (a, b) = (self.at(entry, a), self.at(entry, b));
            match self.is_ordered(entry) && a != INACTIVE && b != INACTIVE {
                true => 3.0 * centred(a) * centred(b) + 5.0 * bowl(centred(a)) * bowl(centred(b)),
                false => 2.0 * f64::from(u8::from(a == b)),
            }
        };
        (0..self.len()).map(term).sum::<f64>() * 0.5 / self.len() as f64
    }

    /// Returns the factor that makes the expected square of a product of two random points one.
    pub(super) fn stretch(&self) -> f64 {
        3.0 / self.dimensions() as f64
    }

    fn dot(&self, a: &[f64], b: &[f64]) -> f64 {
        let products = (0..a.len())
            .filter(|j| self.is_ordered(*j))
            .map(|j| centred(a[j]) * centred(b[j]));
        products.sum::<f64>() * self.stretch()
    }
}

/// The second Legendre polynomial.
pub(super) fn bowl(c: f64) -> f64 {
    1.5 * c * c - 0.5
}

pub(super) fn centred(u: f64) -> f64 {
    if u == INACTIVE { 0.0 } else { 2.0 * u - 1.0 }
}

/// The parts of θ (see the notation table).
#[derive(Clone, Debug)]
pub(crate) struct Hyperparameters {
    /// 1 / ℓ².
    pub(crate) inverse_squares: Vec<f64>,
    pub(crate) noise: f64,
    pub(crate) signal: f64,
    pub(crate) curve: f64,
    pub(crate) alone: f64,
    pub(crate) kinship: Kinship,
}

impl Hyperparameters {
    pub(crate) fn from_theta(theta: &[f64], dimensions: usize) -> Self {
        let (lengths, rest) = theta.split_at(dimensions);
        let (rest, kinship) = rest.split_at(EXTRA);
        Self {
            inverse_squares: lengths
                .iter()
                .map(|log| (-2.0 * log).exp().min(1e12))
                .collect(),
            noise: rest[0].exp().min(1e6),
            signal: rest[1].exp().clamp(1e-12, 1e12),
            curve: rest[2].exp().clamp(1e-12, 1e12),
            alone: rest[3].exp().clamp(1e-12, 1e12),
            kinship: Kinship::from_theta(kinship),
        }
    }

    /// Returns the variance at a point under the newest version, noise left out.
    pub(crate) fn variance(&self, geometry: &Geometry, point: &[f64]) -> f64 {
        let newest = self.kinship.newest();
        self.variance_under(geometry, point, newest)
    }

    /// Returns the variance at a point under a version, noise left out.
    pub(super) fn variance_under(&self, geometry: &Geometry, point: &[f64], version: usize) -> f64 {
        let own = self.signal
            + self.curve * geometry.quadratic(point, point)
            + self.alone * geometry.additive(point, point);
        own + self.kinship.level(version, version)
    }

    /// Returns the variance of the difference between two points under the newest version: what all
    /// points have in common drops out.
    pub(super) fn difference_variance(&self, geometry: &Geometry, a: &[f64], b: &[f64]) -> f64 {
        let square: f64 = self
            .inverse_squares
            .iter()
            .enumerate()
            .map(|(j, inverse)| inverse * geometry.gap(j, geometry.at(j, a), geometry.at(j, b)))
            .sum();
        let twice = |of: &dyn Fn(&[f64], &[f64]) -> f64| of(a, a) + of(b, b) - 2.0 * of(a, b);
        let rough = 2.0 * self.signal * (1.0 - matern52(square).0);
        rough
            + self.curve * twice(&|a, b| geometry.quadratic(a, b))
            + self.alone * twice(&|a, b| geometry.additive(a, b))
    }

    /// Returns the gradient of half the variance at a point.
    pub(super) fn variance_slope(&self, geometry: &Geometry, point: &[f64]) -> Vec<f64> {
        let bend = self.curve * (1.0 + geometry.dot(point, point)) * geometry.stretch();
        let alone = self.alone / geometry.len() as f64;
        let along = |(j, u): (usize, &f64)| {
            let c = centred(*u);
            if geometry.is_ordered(j) && *u != INACTIVE {
                bend * c + alone * (3.0 * c + 15.0 * c * bowl(c))
            } else {
                0.0
            }
        };
        point.iter().enumerate().map(along).collect()
    }
}

/// Returns the correlation at a squared scaled distance, and how fast it falls: minus its
/// derivative by half that square.
pub(crate) fn matern52(square: f64) -> (f64, f64) {
    let r = (5.0 * square).sqrt();
    let decay = (-r).exp();
    (
        (1.0 + r + r * r / 3.0) * decay,
        5.0 / 3.0 * (1.0 + r) * decay,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inactive_value_is_as_far_from_each_active_one() {
        let geometry = Geometry(vec![
            Coordinate::ConditionalOrdered,
            Coordinate::ConditionalNominal,
        ]);
        for coordinate in 0..2 {
            let gaps: Vec<_> = [0.0, 0.3, 1.0]
                .iter()
                .map(|active| geometry.gap(coordinate, INACTIVE, *active))
                .collect();
            assert!(
                gaps.windows(2).all(|pair| pair[0] == pair[1]) && gaps[0] > 0.0,
                "{gaps:?}"
            );
            assert_eq!(geometry.gap(coordinate, INACTIVE, INACTIVE), 0.0);
        }
    }
}
