//! Programs that log to TensorBoard or MLflow.

use serde_json::Value;

use super::{HF, Points, distance, first, lr, regular, steps_of, unknown};

#[test]
fn b1_tb() {
    regular(
        "b1_tb",
        "torch, tensorboard",
        "Loss/val",
        |_| first(8),
        |params| Some(distance(params) + 0.125),
    );
}

#[test]
fn b2_tbx() {
    regular(
        "b2_tbx",
        "tensorboardX",
        "Loss/val",
        |_| first(8),
        |params| Some(distance(params) + 0.125),
    );
}

#[test]
fn b3_keras_tb() {
    regular(
        "b3_keras_tb",
        "keras, tensorflow",
        "val_loss",
        |_| first(5),
        unknown,
    );
}

#[test]
fn b5_pl_default() {
    regular(
        "b5_pl_default",
        "lightning, torch, tensorboard",
        "val_loss",
        |_| Points::At(vec![3, 7, 11, 15, 19]),
        unknown,
    );
}

#[test]
fn b6_hf_tb() {
    // Its last step has two evaluations.
    let steps =
        |params: &Value| Points::At([1, 2, 3, 3].map(|epoch| epoch * steps_of(params)).to_vec());
    regular(
        "b6_hf_tb",
        &format!("tensorboard, {HF}"),
        "eval/loss",
        steps,
        unknown,
    );
}

#[test]
fn d1_mlflow() {
    regular(
        "d1_mlflow",
        "mlflow",
        "val_loss",
        |_| first(5),
        |params| Some(lr(params) / 5.0),
    );
}
