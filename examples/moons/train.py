"""Trains a small network on two half moons, in plain Python, and logs to W&B. Nothing in it knows of sweep."""

import math
import os
import random
import time

import wandb


def moons(count, chance):
    """Two half circles that reach into each other, with noise: ((x, y), which)."""
    points = []
    for index in range(count):
        which, angle = index % 2, math.pi * chance.random()
        x, y = math.cos(angle), math.sin(angle)
        if which:
            x, y = 1 - x, 0.5 - y
        points.append(((x + chance.gauss(0, 0.15), y + chance.gauss(0, 0.15)), which))
    return points


def sigmoid(z):
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, z))))


class Network:
    """One hidden layer of tanh units."""

    def __init__(self, hidden, chance):
        self.inner = [[chance.gauss(0, 1) for _ in range(3)] for _ in range(hidden)]
        self.outer = [chance.gauss(0, 1) / math.sqrt(hidden) for _ in range(hidden + 1)]

    def forward(self, x, y):
        hidden = [math.tanh(a * x + b * y + c) for a, b, c in self.inner] + [1.0]
        return hidden, sigmoid(sum(weight * unit for weight, unit in zip(self.outer, hidden)))

    def step(self, x, y, which, rate):
        hidden, probability = self.forward(x, y)
        error = probability - which
        for index, weights in enumerate(self.inner):
            slope = rate * error * self.outer[index] * (1 - hidden[index] ** 2)
            weights[0] -= slope * x
            weights[1] -= slope * y
            weights[2] -= slope
        for index, unit in enumerate(hidden):
            self.outer[index] -= rate * error * unit

    def loss(self, points):
        total = 0.0
        for (x, y), which in points:
            probability = self.forward(x, y)[1]
            total -= math.log(max(1e-12, probability if which else 1 - probability))
        return total / len(points)

    def accuracy(self, points):
        return sum((self.forward(x, y)[1] > 0.5) == bool(which) for (x, y), which in points) / len(points)


def main():
    wandb.init(config={"learning_rate": 0.01, "hidden": 4, "epochs": 20})
    config = wandb.config
    chance = random.Random(0)
    train, valid = moons(160, chance), moons(160, chance)
    network = Network(config.hidden, chance)
    for epoch in range(config.epochs):
        chance.shuffle(train)
        for (x, y), which in train:
            network.step(x, y, which, config.learning_rate)
        wandb.log({"epoch": epoch, "val_loss": network.loss(valid), "train": {"loss": network.loss(train)}})
        time.sleep(float(os.environ.get("EPOCH_SECONDS", "0")))
    wandb.summary["val_accuracy"] = network.accuracy(valid)


if __name__ == "__main__":
    main()
