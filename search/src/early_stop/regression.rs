//! Bayesian linear regression on a handful of rows.

/// A linear model of `y` given `N` features, and how far it is off.
pub(super) struct Regression<const N: usize> {
    coefficients: [f64; N],
    /// Of the coefficients, in units of the noise's variance.
    covariance: [[f64; N]; N],
    /// The standard deviation of `y` around the model.
    noise: f64,
    rows: usize,
}

/// A Student distribution.
pub(super) struct Student {
    pub(super) mean: f64,
    pub(super) scale: f64,
    pub(super) freedom: f64,
}

/// The variance of a coefficient before anything is seen, in units of the noise's variance.
const COEFFICIENT_VARIANCE: f64 = 10.0;
/// The prior of the noise, and its weight in residuals: in units of `y`, whose spread is about 1.
const NOISE: f64 = 0.5;
const NOISE_ROWS: f64 = 2.0;
/// The leverage above which a row's residual is ignored: it decides its own fit.
const LEVERAGE_MAX: f64 = 0.95;

impl<const N: usize> Regression<N> {
    /// Fits to rows of features and `y`, with coefficients that are `prior` where the rows do not
    /// say otherwise.
    ///
    /// The noise comes from the residuals that each row has when the model is fitted to the others,
    /// so that it stays honest with nearly as many coefficients as rows.
    pub(super) fn fit(rows: &[([f64; N], f64)], prior: [f64; N]) -> Self {
        let diagonal =
            |i: usize| std::array::from_fn(|j| if i == j { COEFFICIENT_VARIANCE } else { 0.0 });
        let covariance = std::array::from_fn(diagonal);
        let mut model = Self {
            coefficients: prior,
            covariance,
            noise: NOISE,
            rows: rows.len(),
        };
        for (x, y) in rows {
            model.learn(x, *y);
        }
        let left_out = rows.iter().map(|(x, y)| {
            let leverage = model.variance(x).min(LEVERAGE_MAX);
            ((y - dot(&model.coefficients, x)) / (1.0 - leverage)).powi(2)
        });
        let squares: f64 = left_out.sum();
        model.noise =
            ((squares + NOISE_ROWS * NOISE * NOISE) / (rows.len() as f64 + NOISE_ROWS)).sqrt();
        model
    }

    /// Returns what `y` is where the features are `x`.
    pub(super) fn predict(&self, x: &[f64; N]) -> Student {
        let mean = dot(&self.coefficients, x);
        Student {
            mean,
            scale: self.noise * (1.0 + self.variance(x)).sqrt(),
            freedom: self.rows as f64 + NOISE_ROWS,
        }
    }

    fn learn(&mut self, x: &[f64; N], y: f64) {
        let spread: [f64; N] = std::array::from_fn(|i| dot(&self.covariance[i], x));
        let total = 1.0 + dot(&spread, x);
        let error = y - dot(&self.coefficients, x);
        for i in 0..N {
            self.coefficients[i] += spread[i] * error / total;
            for j in 0..N {
                self.covariance[i][j] -= spread[i] * spread[j] / total;
            }
        }
    }

    // Of the model at `x`, in units of the noise's variance.
    fn variance(&self, x: &[f64; N]) -> f64 {
        let spread: [f64; N] = std::array::from_fn(|i| dot(&self.covariance[i], x));
        dot(&spread, x).max(0.0)
    }
}

fn dot<const N: usize>(a: &[f64; N], b: &[f64; N]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(rows: usize, wobble: f64) -> Vec<([f64; 2], f64)> {
        let row = |i: usize| {
            (
                [1.0, i as f64],
                2.0 - 0.5 * i as f64 + if i.is_multiple_of(2) { wobble } else { -wobble },
            )
        };
        (0..rows).map(row).collect()
    }

    #[test]
    fn a_line_is_found_and_its_noise() {
        let at_ten = Regression::fit(&line(200, 0.3), [0.0, 0.0]).predict(&[1.0, 10.0]);
        assert!((at_ten.mean + 3.0).abs() < 0.05, "{}", at_ten.mean);
        assert!((at_ten.scale - 0.3).abs() < 0.02, "{}", at_ten.scale);
    }

    #[test]
    fn without_rows_the_prior_holds_and_is_not_trusted() {
        let nothing = Regression::fit(&[], [0.0, 1.0]).predict(&[1.0, 3.0]);
        assert_eq!(nothing.mean, 3.0);
        assert!(nothing.scale > 3.0, "{}", nothing.scale);
    }

    #[test]
    fn few_rows_say_less_of_far_places_than_many() {
        let scale = |rows, at| {
            Regression::fit(&line(rows, 0.1), [0.0, 0.0])
                .predict(&[1.0, at])
                .scale
        };
        assert!(scale(5, 2.0) < scale(5, 20.0));
        assert!(scale(50, 2.0) < scale(5, 2.0));
    }
}
