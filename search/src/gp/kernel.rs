//! Matérn-5/2 with one length scale a coordinate.

/// The jitter on the diagonal, beside the noise, relative to a signal of variance one.
pub(crate) const JITTER: f64 = 1e-8;

/// Which coordinates are nominal.
#[derive(Clone, Debug)]
pub(crate) struct Geometry(pub(crate) Vec<bool>);

impl Geometry {
    /// Returns the squared distance along one coordinate.
    pub(crate) fn gap(&self, coordinate: usize, a: f64, b: f64) -> f64 {
        if self.0[coordinate] { if a == b { 0.0 } else { 1.0 } } else { (a - b) * (a - b) }
    }
}

/// What the kernel is made of: θ of the notation table, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Hyperparameters {
    /// 1 / ℓ².
    pub(crate) inverse_squares: Vec<f64>,
    pub(crate) noise: f64,
    pub(crate) signal: f64,
}

impl Hyperparameters {
    pub(crate) fn from_theta(theta: &[f64]) -> Self {
        let (lengths, rest) = theta.split_at(theta.len() - 2);
        Self {
            inverse_squares: lengths.iter().map(|log| (-2.0 * log).exp().min(1e12)).collect(),
            noise: rest[0].exp().min(1e6),
            signal: rest[1].exp().clamp(1e-12, 1e12),
        }
    }

    /// Returns the correlation of two points, signal left out.
    pub(crate) fn correlation(&self, geometry: &Geometry, a: &[f64], b: &[f64]) -> f64 {
        let squares = self.inverse_squares.iter().enumerate().map(|(j, inverse)| inverse * geometry.gap(j, a[j], b[j]));
        matern52(squares.sum()).0
    }
}

/// Returns the correlation at a squared scaled distance, and how fast it falls: minus its derivative by half that square.
pub(crate) fn matern52(square: f64) -> (f64, f64) {
    let r = (5.0 * square).sqrt();
    let decay = (-r).exp();
    ((1.0 + r + r * r / 3.0) * decay, 5.0 / 3.0 * (1.0 + r) * decay)
}
