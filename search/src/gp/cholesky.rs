//! Cholesky factors, on one thread so that results do not depend on how many processors there are.
//! The last digits still depend on their vector instructions, by which faer chooses its kernels.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Mat, Par, Spec};

/// *L* with *K* = *L Lᵀ*. Only the lower triangle means anything.
#[derive(Clone, Debug)]
pub(crate) struct Cholesky(Mat<f64>);

impl Cholesky {
    /// Factors a matrix of which only the lower triangle is read, or gives `None` where it is not
    /// positive definite.
    pub(crate) fn new(mut matrix: Mat<f64>) -> Option<Self> {
        let size = matrix.nrows();
        let params = Spec::default();
        let mut memory = MemBuffer::new(llt::factor::cholesky_in_place_scratch::<f64>(
            size,
            Par::Seq,
            params,
        ));
        let stack = MemStack::new(&mut memory);
        llt::factor::cholesky_in_place(
            matrix.as_mut(),
            llt::factor::LltRegularization::default(),
            Par::Seq,
            stack,
            params,
        )
        .ok()?;
        let sound = (0..size).all(|i| matrix[(i, i)].is_finite() && matrix[(i, i)] > 0.0);
        sound.then_some(Self(matrix))
    }

    /// Returns the logarithm of the determinant of *L*.
    pub(crate) fn log_determinant(&self) -> f64 {
        (0..self.0.nrows()).map(|i| self.0[(i, i)].ln()).sum()
    }

    /// Returns bᵀ K⁻¹ b.
    pub(crate) fn norm_squared(&self, b: &[f64]) -> f64 {
        let mut x = b.to_vec();
        self.lower(&mut x);
        x.iter().map(|entry| entry * entry).sum()
    }

    /// Returns K⁻¹ b.
    pub(crate) fn solve(&self, b: &[f64]) -> Vec<f64> {
        let mut x = b.to_vec();
        self.lower(&mut x);
        self.upper(&mut x);
        x
    }

    /// Turns B into L⁻¹ B.
    pub(crate) fn solve_lower(&self, b: &mut Mat<f64>) {
        solve_lower_triangular_in_place(self.0.as_ref(), b.as_mut(), Par::Seq);
    }

    /// Turns one vector b into L⁻¹ b.
    pub(crate) fn lower(&self, b: &mut [f64]) {
        for j in 0..b.len() {
            let column = &self.0.col_as_slice(j)[j..];
            let (head, tail) = b[j..].split_at_mut(1);
            head[0] /= column[0];
            let x = head[0];
            tail.iter_mut()
                .zip(&column[1..])
                .for_each(|(b, l)| *b -= l * x);
        }
    }

    /// Turns one vector b into L⁻ᵀ b.
    pub(crate) fn upper(&self, b: &mut [f64]) {
        for j in (0..b.len()).rev() {
            let column = &self.0.col_as_slice(j)[j..];
            let (head, tail) = b[j..].split_at_mut(1);
            let known: f64 = tail.iter().zip(&column[1..]).map(|(b, l)| b * l).sum();
            head[0] = (head[0] - known) / column[0];
        }
    }

    /// Returns the factor of the matrix with one more row, given without its last entry, and that
    /// entry. `None` where it is not positive definite.
    pub(crate) fn extended(&self, row: Vec<f64>, last: f64) -> Option<Self> {
        let size = row.len();
        let mut solved = row;
        self.lower(&mut solved);
        let left = last - solved.iter().map(|entry| entry * entry).sum::<f64>();
        if !(left.is_finite() && left > 0.0) {
            return None;
        }
        let entry = |i: usize, j: usize| match (i == size, j == size) {
            (false, false) => self.0[(i, j)],
            (true, false) => solved[j],
            (true, true) => left.sqrt(),
            (false, true) => 0.0,
        };
        Some(Self(Mat::from_fn(size + 1, size + 1, entry)))
    }

    /// Returns *L* x.
    pub(crate) fn times(&self, x: &[f64]) -> Vec<f64> {
        let mut product = vec![0.0; x.len()];
        for (j, x) in x.iter().enumerate() {
            let column = &self.0.col_as_slice(j)[j..];
            product[j..]
                .iter_mut()
                .zip(column)
                .for_each(|(entry, l)| *entry += l * x);
        }
        product
    }

    /// Returns the factor of the matrix with more rows: `solved` is L⁻¹ times their covariances
    /// with the rows that there are, a column each, and `rest` the factor of what these leave
    /// unexplained.
    pub(crate) fn joined(&self, solved: &Mat<f64>, rest: &Self) -> Self {
        let (size, more) = (self.0.nrows(), rest.0.nrows());
        let entry = |i: usize, j: usize| match (i < size, j < size) {
            (true, true) => self.0[(i, j)],
            (false, true) => solved[(j, i - size)],
            (false, false) if i >= j => rest.0[(i - size, j - size)],
            _ => 0.0,
        };
        Self(Mat::from_fn(size + more, size + more, entry))
    }

    /// Returns the lower triangle of K⁻¹.
    pub(crate) fn inverse(&self) -> Mat<f64> {
        let size = self.0.nrows();
        let mut inverse = Mat::zeros(size, size);
        let mut memory = MemBuffer::new(llt::inverse::inverse_scratch::<f64>(size, Par::Seq));
        llt::inverse::inverse(
            inverse.as_mut(),
            self.0.as_ref(),
            Par::Seq,
            MemStack::new(&mut memory),
        );
        inverse
    }
}
