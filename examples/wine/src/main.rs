//! Trains a classifier on the UCI wine-quality data: the grade of 1,599 red wines from 11 chemical measurements.
//!
//! It knows nothing of `sweep`. It takes its hyperparameters as `--name=value` and prints a JSON line for each epoch:
//!
//! ```text
//! cargo run --release -p wine -- --learning_rate=0.05 --hidden_units=32
//! {"epoch":1,"train_loss":1.1327,"val_loss":1.1024,"val_accuracy":0.5475}
//! ```
//!
//! Modules import rightwards only: `network → data → arguments, random`.
#![expect(clippy::print_stdout, reason = "the lines are the metrics")]

mod arguments;
mod data;
mod network;
mod random;

use std::process::ExitCode;

use arguments::Arguments;
use network::Network;
use random::Random;

fn main() -> ExitCode {
    let result = Arguments::parse(std::env::args().skip(1)).and_then(|arguments| train(&arguments));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("wine: {message}");
            ExitCode::FAILURE
        }
    }
}

fn train(arguments: &Arguments) -> Result<(), String> {
    let data = data::load(arguments.features);
    let mut random = Random::new(arguments.seed);
    let mut network = Network::new(arguments, &mut random);
    let mut order: Vec<usize> = (0..data.training.len()).collect();
    for epoch in 1..=arguments.epochs {
        random.shuffle(&mut order);
        let mut train_loss = 0.0;
        for batch in order.chunks(arguments.batch_size) {
            let examples: Vec<_> = batch.iter().map(|&index| &data.training[index]).collect();
            train_loss += network.learn(&examples, &mut random);
        }
        network.end_epoch();
        let (val_loss, val_accuracy) = network.evaluate(&data.validation);
        if !val_loss.is_finite() {
            println!(r#"{{"epoch":{epoch},"val_loss":NaN}}"#);
            return Err(format!(
                "the loss is not a number after epoch {epoch}: the learning rate is too large"
            ));
        }
        let train_loss = train_loss / order.len() as f64;
        println!(
            r#"{{"epoch":{epoch},"train_loss":{train_loss:.5},"val_loss":{val_loss:.5},"val_accuracy":{val_accuracy:.4}}}"#
        );
    }
    Ok(())
}
