"""A searcher of Ray Tune chooses the runs of a sweep, and agents execute them. How to run it stands in sweep.yaml."""

import json
import subprocess
import sys
import time

from ray import tune
from ray.tune.search.optuna import OptunaSearch

SWEEP, TRIALS, IN_FLIGHT = sys.argv[1], 30, 4


def sweep(*arguments):
    output = subprocess.run(["sweep", *arguments, "--json"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in output.splitlines()]


space = {
    "learning_rate": tune.loguniform(1e-4, 1.0),
    "momentum": tune.uniform(0.0, 0.99),
    "batch_size": tune.choice([4, 8, 16, 32, 64]),
    "l2": tune.loguniform(1e-6, 1.0),
}
# Other searchers fit here as well: only `suggest` and `on_trial_complete` are used.
searcher = OptunaSearch(seed=1)
searcher.set_search_properties("val_loss", "min", space)
trials, in_flight = 0, {}
while trials < TRIALS or in_flight:
    while trials < TRIALS and len(in_flight) < IN_FLIGHT:
        name, trials = f"trial {trials}", trials + 1
        offered = sweep("offer", SWEEP, "--params", json.dumps(searcher.suggest(name)), "--why", f"Ray Tune {name}")
        in_flight[name] = offered[0]["runs"][0]
    runs = {run["run"]: run for run in sweep("runs", SWEEP)}
    ended = {name: runs[number] for name, number in in_flight.items() if runs[number]["ended_ms"]}
    for name, run in ended.items():
        value = run["value"]
        searcher.on_trial_complete(name, {"val_loss": value} if value is not None else None, error=value is None)
        del in_flight[name]
    time.sleep(0.0 if ended else 1.0)
sweep("offer", SWEEP, "--end")
