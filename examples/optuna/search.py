"""Optuna chooses the runs of a sweep, and agents execute them. How to run it stands in sweep.yaml."""

import json
import subprocess
import sys
import time

import optuna

SWEEP, TRIALS, IN_FLIGHT = sys.argv[1], 30, 4


def sweep(*arguments):
    output = subprocess.run(["sweep", *arguments, "--json"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in output.splitlines()]


def suggest(trial):
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1.0, log=True),
        "momentum": trial.suggest_float("momentum", 0.0, 0.99),
        "batch_size": trial.suggest_categorical("batch_size", [4, 8, 16, 32, 64]),
        "l2": trial.suggest_float("l2", 1e-6, 1.0, log=True),
    }


study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1, constant_liar=True))
in_flight = []
while len(study.trials) < TRIALS or in_flight:
    while len(study.trials) < TRIALS and len(in_flight) < IN_FLIGHT:
        trial = study.ask()
        offered = sweep("offer", SWEEP, "--params", json.dumps(suggest(trial)), "--why", f"Optuna trial {trial.number}")
        in_flight.append((trial, offered[0]["runs"][0]))
    runs = {run["run"]: run for run in sweep("runs", SWEEP)}
    ended = [(trial, number) for trial, number in in_flight if runs[number]["ended_ms"]]
    for trial, number in ended:
        value = runs[number]["value"]
        study.tell(trial, value, state=optuna.trial.TrialState.FAIL if value is None else None)
    in_flight = [pair for pair in in_flight if pair not in ended]
    time.sleep(0.0 if ended else 1.0)
sweep("offer", SWEEP, "--end")
print(f"best: {study.best_value} with {study.best_params}")
