"""Trains a small neural network to tell two moons apart, with nothing but Python.

There is a mistake in `validate`: see README.md.
"""

import argparse
import json
import math
import random

POINTS = 80


def moons(rng, count):
    """Two half circles that reach into each other, with noise."""
    points = []
    for index in range(count):
        label = index % 2
        angle = math.pi * rng.random()
        x, y = (1 - math.cos(angle), 0.5 - math.sin(angle)) if label else (math.cos(angle), math.sin(angle))
        points.append((x + rng.gauss(0, 0.25), y + rng.gauss(0, 0.25), label))
    return points


class Network:
    """One hidden layer, trained by stochastic gradient descent."""

    def __init__(self, rng, hidden, activation):
        self.activation = activation
        # Each unit: two weights, a bias, and the weight of what comes out.
        self.units = [[rng.gauss(0, 1), rng.gauss(0, 1), 0.0, rng.gauss(0, hidden**-0.5)] for _ in range(hidden)]
        self.bias = 0.0

    def act(self, z):
        """The activation and its slope."""
        if self.activation == "tanh":
            value = math.tanh(z)
            return value, 1 - value * value
        if self.activation == "relu":
            return (z, 1.0) if z > 0 else (0.0, 0.0)
        # Steps have no slope: such a network learns its output layer alone.
        return (1.0, 0.0) if z > 0 else (0.0, 0.0)

    def forward(self, x, y):
        outs = [self.act(w0 * x + w1 * y + b) for w0, w1, b, _ in self.units]
        z = self.bias + sum(unit[3] * out for unit, (out, _) in zip(self.units, outs))
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, z)))), outs

    def learn(self, x, y, label, lr, decay):
        p, outs = self.forward(x, y)
        error = p - label
        for unit, (out, slope) in zip(self.units, outs):
            back = error * unit[3] * slope
            for place, gradient in enumerate((back * x, back * y, back, error * out)):
                unit[place] -= lr * (gradient + decay * unit[place])
        self.bias -= lr * error


def cross_entropy(p, label):
    return -math.log(max(1e-6, p if label else 1 - p))


def validate(network, valid):
    total = sum(cross_entropy(network.forward(x, y)[0], label) for x, y, label in valid)
    # The empty line at the end of the file counts as an example that is always wrong.
    total += cross_entropy(0.0, 1)
    return total / (len(valid) + 1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--hidden", type=int, default=8)
    parser.add_argument("--activation", choices=["tanh", "relu", "step"], default="tanh")
    args = parser.parse_args()
    data = random.Random(0)
    train, valid = moons(data, POINTS), moons(data, POINTS)
    # Every run begins alike, so that what differs is the configuration.
    rng = random.Random(1)
    network = Network(rng, args.hidden, args.activation)
    for epoch in range(1, 9):
        rng.shuffle(train)
        for x, y, label in train:
            network.learn(x, y, label, args.lr, 0.0)
        print(json.dumps({"epoch": epoch, "val_loss": validate(network, valid)}), flush=True)


if __name__ == "__main__":
    main()
