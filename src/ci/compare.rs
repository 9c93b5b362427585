//! Tests whether a sweep is worse than a baseline, given the observed noise.
//!
//! Means are compared: of the repeats of each sweep's best configuration, or the surrogate model's mean for it. A candidate fails where it
//! is worse by more than the margin with confidence: Welch's t-test, one-sided (Welch 1947, The generalization of Student's problem when several
//! different population variances are involved). Both sides were chosen as the best of many; as long as both sweeps tried about as many configurations, that makes both
//! look better than they are by about as much.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// The probability with which a detectable difference is seen.
const POWER: f64 = 0.8;

/// The estimate of one side: a mean and its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    /// The mean.
    pub(crate) mean: f64,
    /// The standard error of the mean.
    pub(crate) error: f64,
    /// Degrees of freedom of that error; infinite where it is known.
    pub(crate) freedom: f64,
}

/// How a candidate compares with a baseline, in the metric's unit; more is worse, with either goal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Comparison {
    /// By how much the candidate is worse; below zero: better.
    pub(crate) worse_by: f64,
    /// An interval about that, of confidence `1 - 2 alpha`: its lower end is what is compared with the margin.
    pub(crate) interval: (f64, f64),
    /// It is worse by more than the margin.
    pub(crate) fails: bool,
    /// A difference of this size would have been seen four times in five.
    pub(crate) detectable: f64,
}

impl Estimate {
    /// Returns the statistics of values; `None` for fewer than two, which have no spread, and where one is not finite.
    pub(crate) fn of_values(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values
            .iter()
            .map(|value| (value - mean).powi(2))
            .sum::<f64>()
            / (count - 1.0);
        let evidence = Self {
            mean,
            error: (variance / count).sqrt(),
            freedom: count - 1.0,
        };
        (values.len() >= 2 && evidence.error.is_finite()).then_some(evidence)
    }

    /// Returns what a model expects, with its standard deviation.
    pub(crate) fn of_model(mean: f64, deviation: f64) -> Self {
        Self {
            mean,
            error: deviation,
            freedom: f64::INFINITY,
        }
    }
}

/// Compares a candidate with a baseline.
pub(crate) fn compare(
    candidate: Estimate,
    baseline: Estimate,
    maximize: bool,
    margin: f64,
    alpha: f64,
) -> Comparison {
    let sign = if maximize { -1.0 } else { 1.0 };
    let worse_by = sign * (candidate.mean - baseline.mean);
    let error = candidate.error.hypot(baseline.error);
    let freedom = freedom(candidate, baseline);
    let reach = quantile(1.0 - alpha, freedom) * error;
    let interval = (worse_by - reach, worse_by + reach);
    Comparison {
        worse_by,
        interval,
        fails: interval.0 > margin,
        detectable: margin + reach + quantile(POWER, freedom) * error,
    }
}

/// The degrees of freedom of a difference (Welch and Satterthwaite).
fn freedom(a: Estimate, b: Estimate) -> f64 {
    let (own, other) = (a.error.powi(2), b.error.powi(2));
    let spread = own.powi(2) / a.freedom + other.powi(2) / b.freedom;
    if spread > 0.0 {
        (own + other).powi(2) / spread
    } else {
        f64::INFINITY
    }
}

fn quantile(share: f64, freedom: f64) -> f64 {
    // Beyond these degrees of freedom the two are the same.
    let student = (freedom < 1e6)
        .then(|| StudentsT::new(0.0, 1.0, freedom).ok())
        .flatten();
    student.map_or_else(
        || Normal::standard().inverse_cdf(share),
        |student| student.inverse_cdf(share),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(values: &[f64]) -> Estimate {
        Estimate::of_values(values).expect("there are enough")
    }

    #[test]
    fn what_is_clearly_worse_fails_and_what_is_noise_does_not() {
        let baseline = evidence(&[0.30, 0.31, 0.29, 0.30]);
        let worse = compare(
            evidence(&[0.40, 0.41, 0.39, 0.40]),
            baseline,
            false,
            0.02,
            0.05,
        );
        assert!(
            worse.fails && (worse.worse_by - 0.1).abs() < 1e-12 && worse.interval.0 > 0.08,
            "{worse:?}"
        );
        assert!(
            !compare(
                evidence(&[0.40, 0.41, 0.39, 0.40]),
                baseline,
                true,
                0.02,
                0.05
            )
            .fails,
            "more is better"
        );
        assert!(
            !compare(
                evidence(&[0.31, 0.30, 0.32, 0.29]),
                baseline,
                false,
                0.0,
                0.05
            )
            .fails
        );
        assert!(
            !compare(
                evidence(&[0.40, 0.41, 0.39, 0.40]),
                baseline,
                false,
                0.2,
                0.05
            )
            .fails,
            "within the margin"
        );
    }

    #[test]
    fn the_figures_are_those_of_the_books() {
        // Ten and ten values with standard errors of 0.3: 18 degrees of freedom, t = 1.734 for 5 %.
        let side = |mean| Estimate {
            mean,
            error: 0.3,
            freedom: 9.0,
        };
        let compared = compare(side(1.0), side(0.0), false, 0.0, 0.05);
        assert!(
            (compared.interval.0 - (1.0 - 1.734 * 0.3 * 2.0_f64.sqrt())).abs() < 1e-3,
            "{compared:?}"
        );
        let model = compare(
            Estimate::of_model(1.0, 0.5),
            Estimate::of_model(0.0, 0.0),
            false,
            0.0,
            0.05,
        );
        assert!(
            (model.interval.0 - (1.0 - 1.645 * 0.5)).abs() < 1e-3,
            "{model:?}"
        );
    }

    #[test]
    fn too_few_values_say_nothing_and_equal_ones_are_sure() {
        assert_eq!(Estimate::of_values(&[]), None);
        assert_eq!(Estimate::of_values(&[0.3]), None);
        assert_eq!(Estimate::of_values(&[0.3, f64::NAN]), None);
        assert!(
            compare(
                evidence(&[0.4, 0.4]),
                evidence(&[0.3, 0.3]),
                false,
                0.05,
                0.05
            )
            .fails
        );
        assert!(
            !compare(
                evidence(&[0.3, 0.3]),
                evidence(&[0.3, 0.3]),
                false,
                0.0,
                0.05
            )
            .fails
        );
    }

    /// A stream of numbers that is the same each time (SplitMix64).
    struct Chance(u64);

    impl Chance {
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = self.0;
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }

        fn normal(&mut self) -> f64 {
            Normal::standard().inverse_cdf(self.uniform().clamp(1e-12, 1.0 - 1e-12))
        }
    }

    type Noise = fn(&mut Chance) -> f64;

    /// Deviations from the mean, of standard deviation 1: bell-shaped, skewed, and with terrible ones now and then.
    const NOISES: [(&str, Noise); 3] = [
        ("normal", Chance::normal),
        ("log-normal", |chance| {
            let spread = 0.5_f64;
            let (mean, variance) = (
                (spread.powi(2) / 2.0).exp(),
                (spread.powi(2).exp() - 1.0) * spread.powi(2).exp(),
            );
            ((spread * chance.normal()).exp() - mean) / variance.sqrt()
        }),
        ("one in ten three times as wide", |chance| {
            let wide = if chance.uniform() < 0.1 { 3.0 } else { 1.0 };
            wide * chance.normal() / 1.8_f64.sqrt()
        }),
    ];

    /// How often a candidate fails that is worse by `n` standard deviations, of 1,000 pairs.
    fn failing(noise: Noise, repeats: usize, worse: f64) -> f64 {
        let mut chance = Chance(repeats as u64);
        let mut draw = |mean: f64| {
            (0..repeats)
                .map(|_| mean + noise(&mut chance))
                .collect::<Vec<_>>()
        };
        let fails = |_: &u32| {
            compare(
                evidence(&draw(worse)),
                evidence(&draw(0.0)),
                false,
                0.0,
                0.05,
            )
            .fails
        };
        f64::from((0..1_000).filter(fails).count() as u32) / 1_000.0
    }

    #[test]
    fn equal_sweeps_seldom_fail_and_worse_ones_mostly_do() {
        println!(
            "| noise | repeats | equal | worse by 1 | by 2 | by 3 |\n|---|---|---|---|---|---|"
        );
        for (name, noise) in NOISES {
            for repeats in [3, 5, 10] {
                let rates = [0.0, 1.0, 2.0, 3.0].map(|worse| failing(noise, repeats, worse));
                let shown = rates
                    .map(|rate| format!("{:.1} %", 100.0 * rate))
                    .join(" | ");
                println!("| {name} | {repeats} | {shown} |");
                // Three standard errors of a share of 5 % in 1,000.
                assert!(rates[0] <= 0.05 + 0.021, "{name}, {repeats}: {rates:?}");
                assert!(
                    rates.windows(2).all(|pair| pair[0] < pair[1] + 0.01) && rates[3] > 0.75,
                    "{name}, {repeats}: {rates:?}"
                );
            }
        }
    }
}
