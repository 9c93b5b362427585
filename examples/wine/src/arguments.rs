//! The hyperparameters, from the command line.

use std::str::FromStr;

/// The hyperparameters, with defaults that learn something.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arguments {
    pub(crate) learning_rate: f64,
    /// The learning rate is multiplied by this after each epoch.
    pub(crate) decay: f64,
    pub(crate) momentum: f64,
    pub(crate) batch_size: usize,
    pub(crate) hidden_units: usize,
    pub(crate) activation: Activation,
    /// The share of hidden units that is left out of a training step.
    pub(crate) dropout: f64,
    pub(crate) l2: f64,
    pub(crate) features: Features,
    pub(crate) epochs: u32,
    pub(crate) seed: u64,
}

/// The activation function of hidden units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    Relu,
    Tanh,
    Sigmoid,
}

/// How the measurements are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Features {
    /// As they were measured.
    Raw,
    /// To mean 0 and standard deviation 1.
    Standardised,
    /// Their logarithms, to mean 0 and standard deviation 1.
    Logarithmic,
}

const NAMES: &str = "learning_rate decay momentum batch_size hidden_units activation dropout l2 features epochs seed";

impl Arguments {
    /// Reads `--name=value` arguments.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self {
            learning_rate: 0.05,
            decay: 1.0,
            momentum: 0.9,
            batch_size: 32,
            hidden_units: 16,
            activation: Activation::Relu,
            dropout: 0.0,
            l2: 1e-4,
            features: Features::Standardised,
            epochs: 60,
            seed: 0,
        };
        for argument in arguments {
            let Some((name, value)) = argument
                .strip_prefix("--")
                .and_then(|rest| rest.split_once('='))
            else {
                return Err(format!(
                    "`{argument}`: arguments look like --learning_rate=0.05"
                ));
            };
            parsed
                .set(name, value)
                .map_err(|problem| format!("`{argument}`: {problem}"))?;
        }
        Ok(parsed)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "learning_rate" => self.learning_rate = number(value, 0.0, f64::MAX)?,
            "decay" => self.decay = number(value, 0.0, 1.0)?,
            "momentum" => self.momentum = number(value, 0.0, 1.0)?,
            "batch_size" => self.batch_size = number(value, 1, 10_000)?,
            "hidden_units" => self.hidden_units = number(value, 1, 10_000)?,
            "activation" => {
                let known = [
                    ("relu", Activation::Relu),
                    ("tanh", Activation::Tanh),
                    ("sigmoid", Activation::Sigmoid),
                ];
                self.activation = choice(value, &known)?;
            }
            "dropout" => self.dropout = number(value, 0.0, 0.95)?,
            "l2" => self.l2 = number(value, 0.0, f64::MAX)?,
            "features" => {
                let known = [
                    ("raw", Features::Raw),
                    ("standardised", Features::Standardised),
                    ("logarithmic", Features::Logarithmic),
                ];
                self.features = choice(value, &known)?;
            }
            "epochs" => self.epochs = number(value, 1, 10_000)?,
            "seed" => self.seed = number(value, 0, u64::MAX)?,
            _ => return Err(format!("no such hyperparameter; there are {NAMES}")),
        }
        Ok(())
    }
}

fn number<T: FromStr + PartialOrd + std::fmt::Display>(
    value: &str,
    min: T,
    max: T,
) -> Result<T, String> {
    let number: T = value
        .parse()
        .map_err(|_| format!("`{value}` should be a number like {min}"))?;
    if number >= min && number <= max {
        Ok(number)
    } else {
        Err(format!("should lie between {min} and {max}"))
    }
}

fn choice<T: Copy>(value: &str, known: &[(&str, T)]) -> Result<T, String> {
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    let found = known.iter().find(|(name, _)| *name == value);
    found
        .map(|(_, choice)| *choice)
        .ok_or_else(|| format!("should be one of {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Arguments, String> {
        Arguments::parse(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn arguments_are_read() {
        let parsed = parse(&[
            "--learning_rate=1e-3",
            "--activation=tanh",
            "--features=raw",
            "--hidden_units=7",
        ])
        .expect("all are right");
        assert_eq!(
            (parsed.learning_rate, parsed.activation),
            (1e-3, Activation::Tanh)
        );
        assert_eq!((parsed.features, parsed.hidden_units), (Features::Raw, 7));
    }

    #[test]
    fn mistakes_are_named() {
        for (argument, message) in [
            ("lr", "`lr`: arguments look like --learning_rate=0.05"),
            (
                "--hidden_units=7.5",
                "`--hidden_units=7.5`: `7.5` should be a number like 1",
            ),
            (
                "--dropout=nan",
                "`--dropout=nan`: should lie between 0 and 0.95",
            ),
            (
                "--activation=gelu",
                "`--activation=gelu`: should be one of relu, tanh, sigmoid",
            ),
        ] {
            assert_eq!(parse(&[argument]).expect_err(argument), message);
        }
        assert!(
            parse(&["--lr=1"])
                .expect_err("unknown")
                .contains("there are learning_rate decay")
        );
    }
}
