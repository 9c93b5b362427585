"""Trains a logistic regression on made-up data, with stochastic gradient descent. Needs nothing but Python.

    python train.py --learning_rate=0.1 --momentum=0.9
    {"epoch": 1, "val_loss": 0.5531}
"""

import argparse
import json
import math
import random

FEATURES, EPOCHS = 6, 10


def parse_arguments():
    parser = argparse.ArgumentParser(description="Train a logistic regression.")
    parser.add_argument("--learning_rate", type=float, default=0.1)
    parser.add_argument("--momentum", type=float, default=0.0)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--l2", type=float, default=1e-4)
    return parser.parse_args()


def examples(draw, count):
    """Two classes that overlap, in features of very different scales."""
    for _ in range(count):
        label = draw.random() < 0.5
        yield [draw.gauss(0.8 if label else -0.8, 1.0) * 3.0 ** -feature for feature in range(FEATURES)], float(label)


def probability(weights, features):
    score = sum(weight * feature for weight, feature in zip(weights, features))
    return 1.0 / (1.0 + math.exp(-max(-500.0, min(500.0, score))))


def main():
    arguments = parse_arguments()
    draw = random.Random(0)
    train, val = list(examples(draw, 256)), list(examples(draw, 256))
    weights, speeds = [0.0] * FEATURES, [0.0] * FEATURES
    for epoch in range(1, EPOCHS + 1):
        draw.shuffle(train)
        for start in range(0, len(train), arguments.batch_size):
            batch = train[start : start + arguments.batch_size]
            errors = [probability(weights, features) - label for features, label in batch]
            for place in range(FEATURES):
                slope = sum(error * features[place] for error, (features, _) in zip(errors, batch)) / len(batch)
                slope += arguments.l2 * weights[place]
                speeds[place] = arguments.momentum * speeds[place] - arguments.learning_rate * slope
                weights[place] += speeds[place]
        likelihoods = [probability(weights, features) if label else 1.0 - probability(weights, features) for features, label in val]
        val_loss = sum(-math.log(max(likelihood, 1e-12)) for likelihood in likelihoods) / len(val)
        print(json.dumps({"epoch": epoch, "val_loss": round(val_loss, 5)}), flush=True)


if __name__ == "__main__":
    main()
