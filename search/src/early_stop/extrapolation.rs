//! From the shape of a curve to the value at its end: a Bayesian regression on finished curves.

/// Values are seen linearly within this many units of a usual ending, and logarithmically beyond.
const BEND: f64 = 4.0;
const FEATURES: usize = 5;
/// The prior standard deviations of the coefficients, in units. The first is a gain that all curves
/// have in common. The others weigh the features of the gain: the position of the curve, its recent
/// fall, the distance to its own best, and whether it is of other code.
const COEFFICIENTS: [f64; FEATURES] = [2.0, 0.5, 1.0, 1.0, 0.3];
const OTHER: usize = 4;
/// The candidates for the standard deviation of the residuals, in units, equally likely.
const NOISES: [f64; 7] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];
/// No prediction is more certain than this, in units.
const DEVIATION_MIN: f64 = 1e-6;

/// The part of a curve up to some iteration; small values are good.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) length: usize,
    pub(super) best: f64,
    pub(super) last: f64,
    /// The best by half of the way.
    pub(super) half: f64,
}

impl Shape {
    /// Returns the shape of a whole curve; `None` where it has no values.
    pub(super) fn of(values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let length = values.clone().count();
        let mut shape = Self {
            length,
            best: f64::INFINITY,
            last: f64::NAN,
            half: f64::INFINITY,
        };
        for (place, value) in values.enumerate() {
            shape.last = value;
            shape.best = shape.best.min(value);
            if place < length.div_ceil(2) {
                shape.half = shape.best;
            }
        }
        (length > 0).then_some(shape)
    }

    /// Returns how far it fell in its last half.
    pub(super) fn fall(&self) -> f64 {
        self.half - self.best
    }
}

/// A finished curve: the shape that it had at some length, and its value.
#[derive(Clone, Debug)]
pub(super) struct FinishedCurve {
    pub(super) shape: Shape,
    pub(super) value: f64,
    /// It is of other code than the runs whose endings are predicted.
    pub(super) is_other: bool,
}

/// A prediction of the end of a curve that was stopped at a given length, learnt from finished
/// curves.
#[derive(Clone, Debug)]
pub(super) struct Extrapolation {
    scale: UnitScale,
    /// The means of the features over all finished curves.
    middle: [f64; FEATURES],
    /// One for each size of the noise, with its probability.
    models: Vec<(f64, Gaussian)>,
    /// No curve ended above its best value so far, so none will.
    never_rises: bool,
}

impl Extrapolation {
    /// Learns from finished curves at the same length; `None` where there are none.
    pub(super) fn fit(finished: &[FinishedCurve]) -> Option<Self> {
        let scale = UnitScale::of(finished)?;
        let row = |curve: &FinishedCurve| {
            let mut features = scale.features(&curve.shape);
            features[OTHER] = f64::from(u8::from(curve.is_other));
            (
                features,
                scale.squash(curve.value) - scale.squash(curve.shape.best),
            )
        };
        let rows: Vec<([f64; FEATURES], f64)> = finished.iter().map(row).collect();
        let mut middle = [0.0; FEATURES];
        for feature in 1..OTHER {
            middle[feature] = rows
                .iter()
                .map(|(x, _)| x[feature] / rows.len() as f64)
                .sum();
        }
        let models: Vec<(f64, Gaussian)> = NOISES
            .iter()
            .map(|noise| Gaussian::fit(&rows, &middle, *noise))
            .collect();
        let most = models
            .iter()
            .map(|(log, _)| *log)
            .fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = models.iter().map(|(log, _)| (log - most).exp()).sum();
        let models = models
            .into_iter()
            .map(|(log, model)| ((log - most).exp() / total, model))
            .collect();
        Some(Self {
            scale,
            middle,
            models,
            never_rises: rows.iter().all(|(_, gain)| *gain <= 0.0),
        })
    }

    /// Returns the expected value at the end, and its standard deviation.
    pub(super) fn predict(&self, shape: &Shape) -> (f64, f64) {
        let x = centred(&self.scale.features(shape), &self.middle);
        let each: Vec<(f64, f64, f64)> = self
            .models
            .iter()
            .map(|(weight, model)| (*weight, model.mean(&x), model.variance(&x)))
            .collect();
        let gain: f64 = each.iter().map(|(weight, mean, _)| weight * mean).sum();
        let variance: f64 = each
            .iter()
            .map(|(weight, mean, variance)| weight * (variance + (mean - gain).powi(2)))
            .sum();
        let gain = if self.never_rises {
            gain.min(0.0)
        } else {
            gain
        };
        self.scale.unsquash(
            self.scale.squash(shape.best) + gain,
            variance.sqrt().max(DEVIATION_MIN),
        )
    }
}

fn centred(x: &[f64; FEATURES], middle: &[f64; FEATURES]) -> [f64; FEATURES] {
    std::array::from_fn(|feature| x[feature] - middle[feature])
}

/// A linear model with noise of a known size.
#[derive(Clone, Debug)]
struct Gaussian {
    coefficients: [f64; FEATURES],
    covariance: [[f64; FEATURES]; FEATURES],
    noise: f64,
}

impl Gaussian {
    /// Returns the model and the logarithm of its evidence, but for a constant.
    fn fit(rows: &[([f64; FEATURES], f64)], middle: &[f64; FEATURES], noise: f64) -> (f64, Self) {
        let diagonal = |i: usize| {
            std::array::from_fn(|j| {
                if i == j {
                    COEFFICIENTS[i] * COEFFICIENTS[i]
                } else {
                    0.0
                }
            })
        };
        let mut model = Self {
            coefficients: [0.0; FEATURES],
            covariance: std::array::from_fn(diagonal),
            noise,
        };
        let mut log = 0.0;
        for (x, y) in rows {
            let x = centred(x, middle);
            let spread: [f64; FEATURES] = std::array::from_fn(|i| dot(&model.covariance[i], &x));
            let total = noise * noise + dot(&spread, &x).max(0.0);
            let error = y - dot(&model.coefficients, &x);
            log -= 0.5 * (total.ln() + error * error / total);
            for i in 0..FEATURES {
                model.coefficients[i] += spread[i] * error / total;
                for j in 0..FEATURES {
                    model.covariance[i][j] -= spread[i] * spread[j] / total;
                }
            }
        }
        (log, model)
    }

    fn mean(&self, x: &[f64; FEATURES]) -> f64 {
        dot(&self.coefficients, x)
    }

    fn variance(&self, x: &[f64; FEATURES]) -> f64 {
        let spread: [f64; FEATURES] = std::array::from_fn(|i| dot(&self.covariance[i], x));
        self.noise * self.noise + dot(&spread, x).max(0.0)
    }
}

fn dot(a: &[f64; FEATURES], b: &[f64; FEATURES]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A scale on which a usual ending is 0 and the values of a usual curve lie within a few units:
/// linear there, logarithmic far from it, so that one diverged run does no harm.
#[derive(Clone, Debug)]
struct UnitScale {
    centre: f64,
    unit: f64,
}

impl UnitScale {
    /// The unit is how far curves usually fall from here, and how far apart they stand and end.
    fn of(finished: &[FinishedCurve]) -> Option<Self> {
        let typical = |of: &dyn Fn(&FinishedCurve) -> f64| median(finished.iter().map(of));
        let (centre, stand) = (
            typical(&|curve| curve.value)?,
            typical(&|curve| curve.shape.best)?,
        );
        let gain = typical(&|curve| (curve.shape.best - curve.value).abs())?;
        let apart = typical(&|curve| (curve.shape.best - stand).abs())?;
        let ends = typical(&|curve| (curve.value - centre).abs())?;
        let unit = [gain + apart + ends, 1e-6 * centre.abs()]
            .into_iter()
            .find(|unit| *unit > 0.0)
            .unwrap_or(1.0);
        Some(Self {
            centre,
            unit: unit.clamp(f64::MIN_POSITIVE, 1e300),
        })
    }

    fn squash(&self, value: f64) -> f64 {
        // The bounds keep what follows finite.
        BEND * ((value / self.unit - self.centre / self.unit) / BEND)
            .clamp(-1e100, 1e100)
            .asinh()
    }

    fn unsquash(&self, squashed: f64, deviation: f64) -> (f64, f64) {
        let (low, high) = (-f64::MAX, f64::MAX);
        let mean = (self.centre + BEND * self.unit * (squashed / BEND).sinh()).clamp(low, high);
        let deviation =
            (self.unit * (squashed / BEND).cosh() * deviation).clamp(f64::MIN_POSITIVE, high);
        (mean, deviation)
    }

    fn features(&self, shape: &Shape) -> [f64; FEATURES] {
        let [best, last, half] =
            [shape.best, shape.last, shape.half].map(|value| self.squash(value));
        [1.0, best, half - best, last - best, 0.0]
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values
        .map(|value| value.clamp(-f64::MAX, f64::MAX))
        .collect();
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let (_, median, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    Some(*median)
}
