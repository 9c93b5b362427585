//! A network with one hidden layer and a softmax, trained by stochastic gradient descent with momentum.

use crate::arguments::{Activation, Arguments};
use crate::data::{CLASSES, Example, FEATURES};
use crate::random::Random;

/// The network and how it learns.
pub(crate) struct Network {
    hidden: Layer,
    output: Layer,
    activation: Activation,
    learning_rate: f64,
    decay: f64,
    momentum: f64,
    dropout: f64,
    l2: f64,
}

/// Weights and biases: a row for each output, the bias last.
struct Layer {
    inputs: usize,
    weights: Vec<f64>,
    gradient: Vec<f64>,
    velocity: Vec<f64>,
}

impl Layer {
    /// Draws weights as Glorot and Bengio (2010) do.
    fn new(inputs: usize, outputs: usize, random: &mut Random) -> Self {
        let limit = (6.0 / (inputs + outputs) as f64).sqrt();
        let size = (inputs + 1) * outputs;
        let is_bias = |index: usize| index % (inputs + 1) == inputs;
        let weights = (0..size)
            .map(|index| {
                if is_bias(index) {
                    0.0
                } else {
                    limit * (2.0 * random.uniform() - 1.0)
                }
            })
            .collect();
        Self {
            inputs,
            weights,
            gradient: vec![0.0; size],
            velocity: vec![0.0; size],
        }
    }

    fn apply(&self, input: &[f64]) -> Vec<f64> {
        let rows = self.weights.chunks_exact(self.inputs + 1);
        rows.map(|row| {
            row[self.inputs]
                + row
                    .iter()
                    .zip(input)
                    .map(|(weight, value)| weight * value)
                    .sum::<f64>()
        })
        .collect()
    }

    /// Adds to the gradient of the weights, and returns the gradient of the input.
    fn backpropagate(&mut self, input: &[f64], output_gradient: &[f64]) -> Vec<f64> {
        let mut input_gradient = vec![0.0; self.inputs];
        let width = self.inputs + 1;
        for (row, &slope) in output_gradient.iter().enumerate() {
            let (weights, gradient) = (
                &self.weights[row * width..],
                &mut self.gradient[row * width..],
            );
            for i in 0..self.inputs {
                gradient[i] += slope * input[i];
                input_gradient[i] += slope * weights[i];
            }
            gradient[self.inputs] += slope;
        }
        input_gradient
    }

    fn step(&mut self, examples: usize, learning_rate: f64, momentum: f64, l2: f64) {
        for ((weight, gradient), velocity) in self
            .weights
            .iter_mut()
            .zip(&mut self.gradient)
            .zip(&mut self.velocity)
        {
            let slope = *gradient / examples as f64 + l2 * *weight;
            *velocity = momentum * *velocity - learning_rate * slope;
            *weight += *velocity;
            *gradient = 0.0;
        }
    }
}

impl Activation {
    fn apply(self, x: f64) -> f64 {
        match self {
            Self::Relu => x.max(0.0),
            Self::Tanh => x.tanh(),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        }
    }

    /// Returns the derivative where the activation is `y`.
    fn slope(self, y: f64) -> f64 {
        match self {
            Self::Relu => f64::from(u8::from(y > 0.0)),
            Self::Tanh => 1.0 - y * y,
            Self::Sigmoid => y * (1.0 - y),
        }
    }
}

impl Network {
    pub(crate) fn new(arguments: &Arguments, random: &mut Random) -> Self {
        Self {
            hidden: Layer::new(FEATURES, arguments.hidden_units, random),
            output: Layer::new(arguments.hidden_units, CLASSES, random),
            activation: arguments.activation,
            learning_rate: arguments.learning_rate,
            decay: arguments.decay,
            momentum: arguments.momentum,
            dropout: arguments.dropout,
            l2: arguments.l2,
        }
    }

    /// Takes one step downhill, and returns the sum of the losses before it.
    pub(crate) fn learn(&mut self, examples: &[&Example], random: &mut Random) -> f64 {
        let mut loss = 0.0;
        for example in examples {
            // Kept units are scaled up, so that nothing changes when all are there.
            let mask: Vec<f64> = (0..self.output.inputs)
                .map(|_| {
                    if random.uniform() < self.dropout {
                        0.0
                    } else {
                        1.0 / (1.0 - self.dropout)
                    }
                })
                .collect();
            loss += self.accumulate(example, &mask);
        }
        for layer in [&mut self.hidden, &mut self.output] {
            layer.step(examples.len(), self.learning_rate, self.momentum, self.l2);
        }
        loss
    }

    /// Adds the gradient of one example's loss, and returns that loss.
    fn accumulate(&mut self, example: &Example, mask: &[f64]) -> f64 {
        let activation = self.activation;
        let active: Vec<f64> = self
            .hidden
            .apply(&example.features)
            .into_iter()
            .map(|x| activation.apply(x))
            .collect();
        let kept: Vec<f64> = active.iter().zip(mask).map(|(y, keep)| y * keep).collect();
        let log_probabilities = log_softmax(&self.output.apply(&kept));
        let mut slope: Vec<f64> = log_probabilities.iter().map(|log| log.exp()).collect();
        slope[example.class] -= 1.0;
        let mut back = self.output.backpropagate(&kept, &slope);
        for ((slope, y), keep) in back.iter_mut().zip(&active).zip(mask) {
            *slope *= keep * activation.slope(*y);
        }
        self.hidden.backpropagate(&example.features, &back);
        -log_probabilities[example.class]
    }

    pub(crate) fn end_epoch(&mut self) {
        self.learning_rate *= self.decay;
    }

    /// Returns the mean cross-entropy and the share of right answers.
    pub(crate) fn evaluate(&self, examples: &[Example]) -> (f64, f64) {
        let (mut loss, mut right) = (0.0, 0);
        for example in examples {
            let active: Vec<f64> = self
                .hidden
                .apply(&example.features)
                .into_iter()
                .map(|x| self.activation.apply(x))
                .collect();
            let log_probabilities = log_softmax(&self.output.apply(&active));
            loss -= log_probabilities[example.class];
            right += usize::from(
                (0..CLASSES)
                    .all(|class| log_probabilities[class] <= log_probabilities[example.class]),
            );
        }
        let count = examples.len() as f64;
        (loss / count, right as f64 / count)
    }
}

fn log_softmax(scores: &[f64]) -> Vec<f64> {
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let log_sum = highest
        + scores
            .iter()
            .map(|score| (score - highest).exp())
            .sum::<f64>()
            .ln();
    scores.iter().map(|score| score - log_sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(activation: &str) -> Network {
        let arguments = [
            format!("--activation={activation}"),
            "--hidden_units=5".to_owned(),
        ];
        Network::new(
            &Arguments::parse(arguments.into_iter()).expect("they are right"),
            &mut Random::new(3),
        )
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let example = Example {
            features: std::array::from_fn(|i| (i as f64 * 0.7).sin()),
            class: 2,
        };
        let mask = [1.0, 0.0, 2.0, 1.0, 1.0];
        for activation in ["relu", "tanh", "sigmoid"] {
            let mut exact = network(activation);
            exact.accumulate(&example, &mask);
            for index in (0..exact.hidden.weights.len()).step_by(7) {
                let loss = |shift: f64| {
                    let mut moved = network(activation);
                    moved.hidden.weights[index] += shift;
                    moved.accumulate(&example, &mask)
                };
                let estimate = (loss(1e-6) - loss(-1e-6)) / 2e-6;
                assert!(
                    (estimate - exact.hidden.gradient[index]).abs() < 1e-6,
                    "{activation} {index}"
                );
            }
        }
    }

    #[test]
    fn learning_lowers_the_loss() {
        let data = crate::data::load(crate::arguments::Features::Standardised);
        let mut network = network("relu");
        let (before, _) = network.evaluate(&data.validation);
        let batch: Vec<&Example> = data.training.iter().collect();
        for _ in 0..20 {
            network.learn(&batch, &mut Random::new(0));
        }
        let (after, accuracy) = network.evaluate(&data.validation);
        assert!(
            after < before && accuracy > 0.4,
            "{before} → {after}, {accuracy}"
        );
    }
}
