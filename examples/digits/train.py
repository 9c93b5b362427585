"""Trains a small neural network on the handwritten digits that come with scikit-learn.

An ordinary training program: argparse in, one line of JSON an epoch out. It needs no library of sweep.

    python train.py --learning_rate=0.01 --hidden_units=32
    {"epoch": 1, "val_loss": 0.8512, "val_accuracy": 0.7861}
"""

import argparse
import json
import warnings

from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier


def parse_arguments():
    parser = argparse.ArgumentParser(description="Train a network on handwritten digits.")
    parser.add_argument("--learning_rate", type=float, default=0.003)
    parser.add_argument("--hidden_units", type=int, default=32)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--alpha", type=float, default=1e-4, help="L2 penalty")
    parser.add_argument("--activation", choices=["relu", "tanh", "logistic"], default="relu")
    parser.add_argument("--solver", choices=["adam", "sgd"], default="adam")
    parser.add_argument("--epochs", type=int, default=81)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    images, labels = load_digits(return_X_y=True)
    # The split does not depend on the seed: otherwise the losses of two runs could not be compared.
    train_x, val_x, train_y, val_y = train_test_split(images / 16.0, labels, test_size=0.3, random_state=0, stratify=labels)

    model = MLPClassifier(
        hidden_layer_sizes=(arguments.hidden_units,),
        activation=arguments.activation,
        solver=arguments.solver,
        alpha=arguments.alpha,
        batch_size=arguments.batch_size,
        learning_rate_init=arguments.learning_rate,
        random_state=arguments.seed,
    )
    for epoch in range(1, arguments.epochs + 1):
        model.partial_fit(train_x, train_y, classes=range(10))
        probabilities = model.predict_proba(val_x)
        val_loss = log_loss(val_y, probabilities, labels=range(10))
        val_accuracy = accuracy_score(val_y, probabilities.argmax(axis=1))
        # All that sweep needs: one line of JSON. Unflushed output would arrive too late to stop a bad run early.
        print(json.dumps({"epoch": epoch, "val_loss": round(val_loss, 5), "val_accuracy": round(val_accuracy, 4)}), flush=True)


if __name__ == "__main__":
    main()
