//! Notebooks.

use super::{Points, first, has_program, lr, regular};

#[test]
fn f1b_papermill_log() {
    if has_program("papermill") {
        regular(
            "f1b_papermill_log",
            "papermill, ipykernel",
            "val_loss",
            |_| Points::Count(4),
            |params| Some(lr(params) / 4.0),
        );
    }
}

#[test]
fn f2_nbconvert_wandb() {
    if has_program("jupyter") {
        regular(
            "f2_nbconvert_wandb",
            "nbconvert, ipykernel, wandb",
            "val_loss",
            |_| first(5),
            |params| Some(lr(params) / 5.0),
        );
    }
}
