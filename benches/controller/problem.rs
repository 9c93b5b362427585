//! The problem: eight parameters of a training, and a smooth substitute for its loss.

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

/// Name, distribution and bounds.
const NUMBERS: [(&str, &str, f64, f64); 7] = [
    ("learning_rate", "log_uniform_values", 1e-5, 1e-1),
    ("weight_decay", "log_uniform_values", 1e-6, 1e-2),
    ("batch_size", "q_log_uniform_values", 16.0, 512.0),
    ("units", "q_log_uniform_values", 64.0, 1024.0),
    ("layers", "int_uniform", 1.0, 5.0),
    ("dropout", "uniform", 0.0, 1.0),
    // There with one optimizer only.
    ("momentum", "uniform", 0.1, 0.99),
];
const OPTIMIZERS: [&str; 3] = ["adam", "lion", "sgd"];
/// Steps of a sequence that fills the space evenly: the square roots of primes have nothing to do with each other.
const PRIMES: [f64; 8] = [2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0, 19.0];

/// Returns a sweep file.
pub(crate) fn file(method: &str) -> String {
    let mut parameters = Map::new();
    for (name, distribution, min, max) in NUMBERS {
        let mut parameter = json!({"distribution": distribution, "min": min, "max": max});
        if is_whole(distribution) {
            (parameter["min"], parameter["max"]) = (json!(min as i64), json!(max as i64));
        }
        if name == "momentum" {
            parameter["when"] = json!({"optimizer": "sgd"});
        }
        parameters.insert(name.to_owned(), parameter);
    }
    parameters.insert("optimizer".to_owned(), json!({"values": OPTIMIZERS}));
    json!({"program": "train", "method": method, "metric": {"name": "loss", "goal": "minimize"}, "seed": 1, "parameters": parameters})
        .to_string()
}

/// Returns a configuration, another one for each run.
pub(crate) fn configuration(run: usize) -> Value {
    let at = |place: usize| (0.5 + (run as f64 + 1.0) * PRIMES[place].sqrt()).fract();
    let mut parameters = Map::new();
    let optimizer = OPTIMIZERS[(at(NUMBERS.len()) * OPTIMIZERS.len() as f64) as usize];
    for (place, (name, distribution, min, max)) in NUMBERS.into_iter().enumerate() {
        let value = if distribution.contains("log") {
            min * (max / min).powf(at(place))
        } else {
            min + (max - min) * at(place)
        };
        if name != "momentum" || optimizer == "sgd" {
            parameters.insert(
                name.to_owned(),
                if is_whole(distribution) {
                    json!(value.round() as i64)
                } else {
                    json!(value)
                },
            );
        }
    }
    parameters.insert("optimizer".to_owned(), json!(optimizer));
    Value::Object(parameters)
}

/// Returns a loss: a bowl along each number, each flatter than the one before, and a better optimizer.
pub(crate) fn loss(params_json: &str) -> Result<f64> {
    let parameters: Value = serde_json::from_str(params_json)?;
    let mut loss = if parameters["optimizer"] == "sgd" {
        0.0
    } else {
        0.05
    };
    for (place, (name, distribution, min, max)) in NUMBERS.into_iter().enumerate() {
        let value = match &parameters[name] {
            Value::Null => continue,
            value => value
                .as_f64()
                .with_context(|| format!("{name} is not a number in {params_json}"))?,
        };
        let at = if distribution.contains("log") {
            (value / min).ln() / (max / min).ln()
        } else {
            (value - min) / (max - min)
        };
        let middle = 0.2 + 0.6 * (place as f64 * 0.618).fract();
        loss += (at - middle).powi(2) / (1.0 + place as f64);
    }
    Ok(loss)
}

/// Returns whether the values are integers.
fn is_whole(distribution: &str) -> bool {
    distribution.starts_with("q_") || distribution.starts_with("int_")
}
