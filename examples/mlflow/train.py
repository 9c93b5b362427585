"""Fits a line through noisy points and logs to MLflow."""

import argparse
import random

import mlflow

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--momentum", type=float, default=0.0)
parser.add_argument("--epochs", type=int, default=20)
args = parser.parse_args()

rng = random.Random(0)
points = [(x / 50, 2 * x / 50 + 1 + rng.gauss(0, 0.1)) for x in range(100)]
train, val = points[::2], points[1::2]

mlflow.set_experiment("line")
with mlflow.start_run():
    mlflow.log_params(vars(args))
    slope = intercept = slope_step = intercept_step = 0.0
    for epoch in range(args.epochs):
        errors = [(slope * x + intercept - y, x) for x, y in train]
        slope_step = args.momentum * slope_step - args.lr * sum(error * x for error, x in errors) / len(errors)
        intercept_step = args.momentum * intercept_step - args.lr * sum(error for error, _ in errors) / len(errors)
        slope, intercept = slope + slope_step, intercept + intercept_step
        loss = sum((slope * x + intercept - y) ** 2 for x, y in val) / len(val)
        mlflow.log_metric("val_loss", loss, step=epoch)
