"""Fits a curve through noisy points by gradient descent and logs to TensorBoard."""

import argparse

import numpy as np
from tensorboardX import SummaryWriter

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--degree", type=int, default=5)
parser.add_argument("--epochs", type=int, default=60)
args = parser.parse_args()

rng = np.random.default_rng(0)
x = rng.uniform(-1, 1, 400_000)
y = np.sin(3 * x) + rng.normal(0, 0.1, 400_000)
features = np.stack([x**power for power in range(args.degree + 1)], axis=1)
train, val = slice(0, 300_000), slice(300_000, 400_000)

writer = SummaryWriter()
weights = np.zeros(args.degree + 1)
for epoch in range(args.epochs):
    error = features[train] @ weights - y[train]
    weights -= args.lr * features[train].T @ error / len(error)
    writer.add_scalar("Loss/train", float(np.mean(error**2)), epoch)
    writer.add_scalar("Loss/val", float(np.mean((features[val] @ weights - y[val]) ** 2)), epoch)
writer.close()
