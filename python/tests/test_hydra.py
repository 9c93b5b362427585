"""The sweeper of Hydra, with the real package."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sweep
from conftest import needs

TRAIN = """
import hydra, json, sys

@hydra.main(version_base=None, config_path=None, config_name="config")
def main(config):
    if config.get("fails") and config.lr > 0.05:
        raise RuntimeError("no data")
    with open(LOG, "a") as file:
        print(json.dumps([config.lr, config.get("n"), config.get("opt"), config.get("tag"), config.get("new")]), file=file)
    return abs(config.lr - 0.01) * 100 + (config.get("opt") == "sgd")

from hydra.core.config_store import ConfigStore
ConfigStore.instance().store("config", {"lr": 0.1, "n": 1, "opt": "adam", "tag": "x", "fails": False})
main()
"""


@pytest.fixture(autouse=True)
def train(place: Path) -> None:
    needs("hydra")
    (place / "train.py").write_text(TRAIN.replace("LOG", repr(str(place / "log"))))


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "train.py", "-m", "hydra/sweeper=sweep", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


def sweep_of(ended: "subprocess.CompletedProcess[str]") -> sweep.Sweep:
    found = re.search(r"sweep (\w{8}): \d+ runs", ended.stdout)
    assert ended.returncode == 0 and found, ended.stderr + ended.stdout
    return sweep.get(found[1])


def test_a_multirun_is_searched_by_a_sweep(place: Path) -> None:
    ended = run(
        "hydra.sweeper.n_trials=8",
        "hydra.sweeper.n_jobs=3",
        "hydra.sweeper.seed=1",
        "lr=tag(log, interval(1e-4, 1e-1))",
        "n=range(1, 9)",
        "opt=adam,sgd",
        "+new=int(interval(2, 5))",
        "tag='a b'",
    )
    s = sweep_of(ended)
    runs = s.runs()
    assert [run.state for run in runs] == ["finished"] * 8
    lines = [json.loads(line) for line in (place / "log").read_text().splitlines()]
    assert lines == [[r.params["lr"], r.params["n"], r.params["opt"], "a b", r.params["new"]] for r in runs]
    assert all(isinstance(line[1], int) and 1 <= line[1] <= 8 and line[4] in (2, 3, 4, 5) for line in lines)
    (results,) = place.glob("multirun/*/*/optimization_results.yaml")
    text, best = results.read_text(), s.best
    assert best is not None and f"best_value: {best.value}" in text and "+new:" in text and f"sweep: {s.id}" in text


def test_failed_jobs_are_failed_runs_and_the_configuration_has_defaults(place: Path) -> None:
    ended = run("hydra.sweeper.n_trials=6", "hydra.sweeper.method=grid", "fails=true", "lr=0.02,0.03,0.09")
    runs = sweep_of(ended).runs()
    assert [run.state for run in runs] == ["finished", "finished", "failed"]
    assert runs[2].failure is not None and "no data" in runs[2].failure.message


def test_all_failed_and_nothing_varied_are_errors(place: Path) -> None:
    failed = run("hydra.sweeper.n_trials=2", "fails=true", "lr=0.08,0.09")
    assert failed.returncode != 0 and "has a value; the last one: RuntimeError: no data" in failed.stderr
    nothing = run("lr=0.1")
    assert nothing.returncode != 0 and "nothing varies" in nothing.stderr
