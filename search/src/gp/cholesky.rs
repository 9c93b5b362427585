//! Cholesky factors, on one thread so that results do not depend on the machine.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::{Mat, Par, Spec};

/// *L* with *K* = *L Lᵀ*. Only the lower triangle means anything.
#[derive(Clone, Debug)]
pub(crate) struct Cholesky(Mat<f64>);

impl Cholesky {
    /// Factors a matrix of which only the lower triangle is read, or gives `None` where it is not positive definite.
    pub(crate) fn new(mut matrix: Mat<f64>) -> Option<Self> {
        let size = matrix.nrows();
        let params = Spec::default();
        let mut memory = MemBuffer::new(llt::factor::cholesky_in_place_scratch::<f64>(size, Par::Seq, params));
        let stack = MemStack::new(&mut memory);
        llt::factor::cholesky_in_place(matrix.as_mut(), llt::factor::LltRegularization::default(), Par::Seq, stack, params).ok()?;
        let sound = (0..size).all(|i| matrix[(i, i)].is_finite() && matrix[(i, i)] > 0.0);
        sound.then_some(Self(matrix))
    }

    /// Returns the logarithm of the determinant of *L*.
    pub(crate) fn log_determinant(&self) -> f64 {
        (0..self.0.nrows()).map(|i| self.0[(i, i)].ln()).sum()
    }

    /// Returns bᵀ K⁻¹ b.
    pub(crate) fn norm_squared(&self, b: &[f64]) -> f64 {
        let mut x = Mat::from_fn(b.len(), 1, |i, _| b[i]);
        solve_lower_triangular_in_place(self.0.as_ref(), x.as_mut(), Par::Seq);
        (0..b.len()).map(|i| x[(i, 0)] * x[(i, 0)]).sum()
    }

    /// Returns K⁻¹ b.
    pub(crate) fn solve(&self, b: &[f64]) -> Vec<f64> {
        let mut x = Mat::from_fn(b.len(), 1, |i, _| b[i]);
        solve_lower_triangular_in_place(self.0.as_ref(), x.as_mut(), Par::Seq);
        solve_upper_triangular_in_place(self.0.as_ref().transpose(), x.as_mut(), Par::Seq);
        (0..b.len()).map(|i| x[(i, 0)]).collect()
    }

    /// Turns B into L⁻¹ B.
    pub(crate) fn solve_lower(&self, b: &mut Mat<f64>) {
        solve_lower_triangular_in_place(self.0.as_ref(), b.as_mut(), Par::Seq);
    }

    /// Turns B into L⁻ᵀ B.
    pub(crate) fn solve_upper(&self, b: &mut Mat<f64>) {
        solve_upper_triangular_in_place(self.0.as_ref().transpose(), b.as_mut(), Par::Seq);
    }

    /// Returns the lower triangle of K⁻¹.
    pub(crate) fn inverse(&self) -> Mat<f64> {
        let size = self.0.nrows();
        let mut inverse = Mat::zeros(size, size);
        let mut memory = MemBuffer::new(llt::inverse::inverse_scratch::<f64>(size, Par::Seq));
        llt::inverse::inverse(inverse.as_mut(), self.0.as_ref(), Par::Seq, MemStack::new(&mut memory));
        inverse
    }
}
