//! The wines, always split in the same way.

use crate::arguments::Features;
use crate::random::Random;

/// Measurements of a wine.
pub(crate) const FEATURES: usize = 11;
/// Grades from 3 to 8.
pub(crate) const CLASSES: usize = 6;
/// A quarter of the wines.
const VALIDATION: usize = 400;
/// Other splits would make the losses of different runs incomparable.
const SPLIT_SEED: u64 = 1;

/// A wine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Example {
    pub(crate) features: [f64; FEATURES],
    pub(crate) class: usize,
}

/// The wines to learn from and those to judge by.
pub(crate) struct Data {
    pub(crate) training: Vec<Example>,
    pub(crate) validation: Vec<Example>,
}

/// Loads the wines. Scales are taken from the training wines alone.
pub(crate) fn load(scaling: Features) -> Data {
    let dataset = linfa_datasets::winequality();
    let mut training: Vec<Example> = (dataset.records().rows().into_iter())
        .zip(dataset.targets())
        .map(|(row, grade)| Example {
            features: std::array::from_fn(|i| row[i]),
            class: grade - 3,
        })
        .collect();
    Random::new(SPLIT_SEED).shuffle(&mut training);
    let mut validation = training.split_off(training.len() - VALIDATION);
    if scaling == Features::Logarithmic {
        for value in training
            .iter_mut()
            .chain(&mut validation)
            .flat_map(|example| &mut example.features)
        {
            *value = value.ln_1p();
        }
    }
    if scaling != Features::Raw {
        standardise(&mut training, &mut validation);
    }
    Data {
        training,
        validation,
    }
}

fn standardise(training: &mut [Example], validation: &mut [Example]) {
    for i in 0..FEATURES {
        let count = training.len() as f64;
        let mean = training
            .iter()
            .map(|example| example.features[i])
            .sum::<f64>()
            / count;
        let variance = training
            .iter()
            .map(|example| (example.features[i] - mean).powi(2))
            .sum::<f64>()
            / count;
        for example in training.iter_mut().chain(validation.iter_mut()) {
            example.features[i] = (example.features[i] - mean) / variance.sqrt();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_split_is_whole_and_always_the_same() {
        let (raw, scaled) = (load(Features::Raw), load(Features::Standardised));
        assert_eq!((raw.training.len(), raw.validation.len()), (1_199, 400));
        let classes = |data: &Data| {
            data.validation
                .iter()
                .map(|example| example.class)
                .collect::<Vec<_>>()
        };
        assert_eq!(classes(&raw), classes(&scaled));
        assert!(
            (0..CLASSES).all(|class| raw.training.iter().any(|example| example.class == class))
        );
    }

    #[test]
    fn standardised_features_have_mean_0_and_deviation_1() {
        for scaling in [Features::Standardised, Features::Logarithmic] {
            let data = load(scaling);
            for i in 0..FEATURES {
                let sum: f64 = data
                    .training
                    .iter()
                    .map(|example| example.features[i])
                    .sum();
                let squares: f64 = data
                    .training
                    .iter()
                    .map(|example| example.features[i].powi(2))
                    .sum();
                assert!(
                    sum.abs() < 1e-6 && (squares - 1_199.0).abs() < 1e-6,
                    "{scaling:?} {i}"
                );
            }
        }
    }
}
