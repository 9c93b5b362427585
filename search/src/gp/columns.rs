//! Points stored coordinate by coordinate, so that the covariances of one point with all of them
//! are quick to compute.

use std::f64::consts::PI;
use std::sync::Arc;

use super::kernel::{Coordinate, Geometry, Hyperparameters, bowl, centred, matern52};
use crate::space::unit_cube::INACTIVE;

/// Points, coordinate by coordinate.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    geometry: Arc<Geometry>,
    axes: Vec<CoordinateColumn>,
    count: usize,
}

/// One coordinate of all points.
#[derive(Clone, Debug)]
enum CoordinateColumn {
    Ordered(Vec<f64>),
    Nominal(Vec<f64>),
    ConditionalNominal(Vec<f64>),
    ConditionalOrdered(CircleColumn),
}

/// The points of [`Geometry::gap`] in the plane: twice the position on the half circle, and the
/// coordinate from −1 to 1. Inactive values are at 0.
#[derive(Clone, Debug, Default)]
struct CircleColumn {
    cosines: Vec<f64>,
    sines: Vec<f64>,
    centred: Vec<f64>,
}

impl CircleColumn {
    fn push(&mut self, u: f64) {
        let (cosine, sine) = on_circle(u);
        self.cosines.push(cosine);
        self.sines.push(sine);
        self.centred.push(centred(u));
    }

    fn iter(&self) -> impl Iterator<Item = ((&f64, &f64), &f64)> {
        self.cosines.iter().zip(&self.sines).zip(&self.centred)
    }
}

/// The parts of the covariances of one point with all others: correlation, its slope, the root of
/// the quadratic part with interactions, and the quadratic parts.
pub(crate) struct Relation {
    pub(crate) correlations: Vec<f64>,
    falls: Vec<f64>,
    roots: Vec<f64>,
    curves: Vec<f64>,
}

impl Columns {
    pub(crate) fn new(geometry: Arc<Geometry>, points: &[Vec<f64>]) -> Self {
        let axis = |kind: &Coordinate| match kind {
            Coordinate::Ordered => CoordinateColumn::Ordered(Vec::new()),
            Coordinate::Nominal => CoordinateColumn::Nominal(Vec::new()),
            Coordinate::ConditionalNominal | Coordinate::Levels(_) => {
                CoordinateColumn::ConditionalNominal(Vec::new())
            }
            Coordinate::ConditionalOrdered => {
                CoordinateColumn::ConditionalOrdered(CircleColumn::default())
            }
        };
        let axes = geometry.0.iter().map(axis).collect();
        let mut columns = Self {
            geometry,
            axes,
            count: 0,
        };
        points.iter().for_each(|point| columns.push(point));
        columns
    }

    pub(crate) fn push(&mut self, point: &[f64]) {
        for (entry, axis) in self.axes.iter_mut().enumerate() {
            let u = self.geometry.at(entry, point);
            match axis {
                CoordinateColumn::Ordered(column)
                | CoordinateColumn::Nominal(column)
                | CoordinateColumn::ConditionalNominal(column) => {
                    column.push(u);
                }
                CoordinateColumn::ConditionalOrdered(column) => column.push(u),
            }
        }
        self.count += 1;
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Writes the covariance of a point with each of the first `covariances.len()` points, noise
    /// left out.
    pub(crate) fn covariances(
        &self,
        hyper: &Hyperparameters,
        point: &[f64],
        covariances: &mut [f64],
    ) {
        let count = covariances.len();
        let (mut roots, mut sums) = (vec![1.0; count], vec![0.0; count]);
        covariances.fill(0.0);
        self.accumulate(hyper, point, covariances, &mut roots, &mut sums);
        for (covariance, (root, sum)) in covariances.iter_mut().zip(roots.iter().zip(&sums)) {
            *covariance = hyper.signal * matern52(*covariance).0 + self.curve(hyper, *root, *sum);
        }
    }

    /// Returns the parts of the covariances of a point with all of them.
    pub(crate) fn relation(&self, hyper: &Hyperparameters, point: &[f64]) -> Relation {
        let mut squares = vec![0.0; self.count];
        let (mut roots, mut sums) = (vec![1.0; self.count], vec![0.0; self.count]);
        self.accumulate(hyper, point, &mut squares, &mut roots, &mut sums);
        let (correlations, falls) = squares.into_iter().map(matern52).unzip();
        let curves = roots
            .iter()
            .zip(&sums)
            .map(|(root, sum)| self.curve(hyper, *root, *sum))
            .collect();
        Relation {
            correlations,
            falls,
            roots,
            curves,
        }
    }

    /// Returns the quadratic parts.
    fn curve(&self, hyper: &Hyperparameters, root: f64, sum: f64) -> f64 {
        hyper.curve * 0.25 * root * root + hyper.alone * sum * 0.5 / self.axes.len() as f64
    }

    /// Adds squared scaled distances, scaled products, and the terms of what each coordinate does
    /// alone.
    fn accumulate(
        &self,
        hyper: &Hyperparameters,
        point: &[f64],
        squares: &mut [f64],
        roots: &mut [f64],
        sums: &mut [f64],
    ) {
        let stretch = self.geometry.stretch();
        for ((entry, axis), inverse) in self.axes.iter().enumerate().zip(&hyper.inverse_squares) {
            let u = &self.geometry.at(entry, point);
            let own = centred(*u);
            let (product, line, bow) = (stretch * own, 3.0 * own, 5.0 * bowl(own));
            match axis {
                CoordinateColumn::Ordered(column) => {
                    for ((x, square), (root, sum)) in column
                        .iter()
                        .zip(squares.iter_mut())
                        .zip(roots.iter_mut().zip(sums.iter_mut()))
                    {
                        let c = 2.0 * x - 1.0;
                        *square += inverse * (x - u) * (x - u);
                        *root += product * c;
                        *sum += line * c + bow * bowl(c);
                    }
                }
                CoordinateColumn::Nominal(column) => {
                    for (x, (square, sum)) in
                        column.iter().zip(squares.iter_mut().zip(sums.iter_mut()))
                    {
                        *square += if x == u { 0.0 } else { *inverse };
                        *sum += if x == u { 2.0 } else { 0.0 };
                    }
                }
                CoordinateColumn::ConditionalNominal(column) => {
                    for (x, (square, sum)) in
                        column.iter().zip(squares.iter_mut().zip(sums.iter_mut()))
                    {
                        let halved = (*x == INACTIVE) != (*u == INACTIVE);
                        *square += if x == u {
                            0.0
                        } else {
                            inverse * if halved { 0.5 } else { 1.0 }
                        };
                        *sum += if x == u { 2.0 } else { 0.0 };
                    }
                }
                CoordinateColumn::ConditionalOrdered(column) => {
                    let (cosine, sine) = on_circle(*u);
                    let results = squares
                        .iter_mut()
                        .zip(roots.iter_mut().zip(sums.iter_mut()));
                    for (((c, s), x), (square, (root, sum))) in column.iter().zip(results) {
                        *square += 0.25
                            * inverse
                            * ((c - cosine) * (c - cosine) + (s - sine) * (s - sine));
                        *root += product * x;
                        // Active values are on the circle.
                        *sum += match (*c == 0.0 && *s == 0.0, *u == INACTIVE) {
                            (false, false) => line * x + bow * bowl(*x),
                            (true, true) => 2.0,
                            _ => 0.0,
                        };
                    }
                }
            }
        }
    }

    /// Returns the gradient by the point of the sum of its covariances, each with a weight. It is
    /// zero along coordinates without order.
    pub(crate) fn slope(
        &self,
        hyper: &Hyperparameters,
        point: &[f64],
        relation: &Relation,
        weights: &[f64],
    ) -> Vec<f64> {
        let bend = 0.5 * hyper.curve * self.geometry.stretch();
        let alone = hyper.alone / self.axes.len() as f64;
        let falls: Vec<f64> = relation
            .falls
            .iter()
            .zip(weights)
            .map(|(fall, weight)| hyper.signal * fall * weight)
            .collect();
        let bends: Vec<f64> = relation
            .roots
            .iter()
            .zip(weights)
            .map(|(root, weight)| bend * root * weight)
            .collect();
        let along = |((axis, u), inverse): ((&CoordinateColumn, &f64), &f64)| match axis {
            CoordinateColumn::Nominal(_) | CoordinateColumn::ConditionalNominal(_) => 0.0,
            CoordinateColumn::Ordered(column) => {
                let mut sums = (0.0, 0.0, 0.0);
                let bent = 15.0 * centred(*u);
                for ((x, weight), (fall, bend)) in
                    column.iter().zip(weights).zip(falls.iter().zip(&bends))
                {
                    let c = 2.0 * x - 1.0;
                    sums.0 += fall * (x - u);
                    sums.1 += bend * c;
                    sums.2 += weight * (3.0 * c + bent * bowl(c));
                }
                inverse * sums.0 + 2.0 * sums.1 + alone * sums.2
            }
            CoordinateColumn::ConditionalOrdered(_) if *u == INACTIVE => 0.0,
            CoordinateColumn::ConditionalOrdered(column) => {
                let (cosine, sine) = on_circle(*u);
                let mut sums = (0.0, 0.0, 0.0);
                let bent = 15.0 * centred(*u);
                for ((((c, s), x), weight), (fall, bend)) in
                    column.iter().zip(weights).zip(falls.iter().zip(&bends))
                {
                    sums.0 += fall * (s * cosine - c * sine);
                    sums.1 += bend * x;
                    if *c != 0.0 || *s != 0.0 {
                        sums.2 += weight * (3.0 * x + bent * bowl(*x));
                    }
                }
                0.25 * PI * inverse * sums.0 + 2.0 * sums.1 + alone * sums.2
            }
        };
        self.axes
            .iter()
            .zip(point)
            .zip(&hyper.inverse_squares)
            .map(along)
            .collect()
    }
}

impl Relation {
    /// Returns the covariances with all points, noise left out.
    pub(crate) fn covariances(&self, hyper: &Hyperparameters) -> Vec<f64> {
        let both = self.correlations.iter().zip(&self.curves);
        both.map(|(correlation, curve)| hyper.signal * correlation + curve)
            .collect()
    }
}

fn on_circle(u: f64) -> (f64, f64) {
    if u == INACTIVE {
        (0.0, 0.0)
    } else {
        ((PI * u).cos(), (PI * u).sin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_geometry_and_slopes_those_of_the_covariance() {
        let kinds = [
            Coordinate::Ordered,
            Coordinate::ConditionalOrdered,
            Coordinate::Nominal,
            Coordinate::ConditionalNominal,
            Coordinate::ConditionalOrdered,
            Coordinate::Levels(0),
            Coordinate::Levels(4),
        ];
        let geometry = Arc::new(Geometry(kinds.to_vec()));
        let hyper = Hyperparameters::from_theta(
            &[-0.5, 0.2, 0.0, -0.1, 0.3, 0.1, -0.2, -3.0, 0.3, -0.4, -0.2],
            7,
        );
        let points = vec![
            vec![0.7, 0.1, 0.75, 0.25, 0.5],
            vec![0.2, INACTIVE, 0.25, INACTIVE, 0.9],
            vec![0.3, 0.8, 0.25, 0.75, INACTIVE],
            vec![0.9, 0.4, 0.75, 0.75, 0.2],
        ];
        let columns = Columns::new(Arc::clone(&geometry), &points);
        let point = [0.3, 0.8, 0.25, 0.25, INACTIVE];
        let one = |point: &[f64], other: &[f64]| {
            let square: f64 = (0..7)
                .map(|j| {
                    hyper.inverse_squares[j]
                        * geometry.gap(j, geometry.at(j, point), geometry.at(j, other))
                })
                .sum();
            hyper.signal * matern52(square).0
                + hyper.curve * geometry.quadratic(point, other)
                + hyper.alone * geometry.additive(point, other)
        };
        let mut covariances = vec![0.0; points.len()];
        columns.covariances(&hyper, &point, &mut covariances);
        let relation = columns.relation(&hyper, &point);
        for ((covariance, also), other) in covariances
            .iter()
            .zip(relation.covariances(&hyper))
            .zip(&points)
        {
            assert!(
                (covariance - one(&point, other)).abs() < 1e-12
                    && (covariance - also).abs() < 1e-12
            );
        }
        let weights = [1.0, -0.5, 2.0, 0.7];
        let slope = columns.slope(&hyper, &point, &relation, &weights);
        for j in [0, 1] {
            let at = |step: f64| {
                let mut moved = point;
                moved[j] += step;
                points
                    .iter()
                    .zip(weights)
                    .map(|(other, weight)| weight * one(&moved, other))
                    .sum::<f64>()
            };
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!(
                (slope[j] - difference).abs() < 1e-7,
                "{j}: {} is not {difference}",
                slope[j]
            );
        }
        assert_eq!(slope[2..], [0.0; 3]);
    }
}
