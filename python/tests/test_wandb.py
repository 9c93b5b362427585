"""Scripts that define sweeps of W&B themselves, unedited, with the real library."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Iterator, List

import pytest

import sweep
from conftest import needs

SCRIPT = """
import sys
import wandb

wandb.login()
config = {
    "method": "random",
    "metric": {"name": "val_loss", "goal": "minimize"},
    "parameters": {"lr": {"min": 0.0, "max": 1.0}, "epochs": {"value": 3}},
}

def main():
    with wandb.init(project="moons") as run:
        for epoch in range(run.config.epochs):
            run.log({"val_loss": run.config.lr + 1 / (epoch + 1), "text": "x", "nested": {"acc": epoch}})

if __name__ == "__main__":
    print("begins with", sys.argv[1:])
    sweep_id = wandb.sweep(config, project="moons")
    other = wandb.sweep(dict(config, method="grid", parameters={"lr": {"values": [5, 6]}, "epochs": {"value": 1}}))
    wandb.agent(sweep_id, function=main, count=3)
    wandb.agent(other, main, None, "moons", count=2)
    print("the sweeps", sweep_id, other)
"""


# The library leaves sockets open.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def wandb() -> Iterator[None]:
    needs("wandb")
    yield
    gc.collect()


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "sweep.wandb", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)


def test_an_unedited_script_makes_its_sweeps_and_executes_them_here(place: Path) -> None:
    (place / "train.py").write_text(SCRIPT)
    ended = run("train.py", "--fast", "1")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("begins with ['--fast', '1']") == 1
    first, second = (sweep.get(name) for name in ended.stdout.split("the sweeps ")[1].split())
    runs = first.runs()
    assert [run.state for run in runs] == ["finished"] * 3
    for one in runs:
        assert one.value == pytest.approx(one.params["lr"] + 1 / 3)
    points = first.curves(runs=[1], metrics=["val_loss", "nested.acc"])
    assert [(point.metric, point.step) for point in points if point.metric == "val_loss"] == [("val_loss", step) for step in range(3)]
    assert [run.value for run in second.runs()] == [6.0, 7.0]


def test_a_failing_function_is_a_failed_run(place: Path) -> None:
    (place / "train.py").write_text(SCRIPT.replace("with wandb.init", "raise RuntimeError('no data')\n    with wandb.init"))
    ended = run("train.py")
    found = sweep.get(ended.stdout.split("the sweeps ")[1].split()[0])
    run_ = found.get_run(1)
    assert run_.state == "failed" and run_.failure is not None and "no data" in run_.failure.output_tail


def test_help_and_usage() -> None:
    assert run("--help").returncode == 0
    assert "usage: python -m sweep.wandb SCRIPT" in run("--help").stdout
    assert run().returncode == 2


def test_a_notebook_executes_runs_in_its_kernel(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    import sweep.wandb

    monkeypatch.setattr(wandb, "sweep", wandb.sweep)
    monkeypatch.setattr(wandb, "agent", wandb.agent)
    sweep.wandb.patch()
    seen: List[float] = []

    def main() -> None:
        with wandb.init() as run:
            seen.append(run.config["lr"])
            for epoch in range(3):
                run.log({"val_loss": run.config["lr"] + epoch, "picture": "x"})

    space = {"lr": {"values": [0.5, 0.25]}}
    sweep_id = wandb.sweep({"method": "grid", "metric": {"name": "val_loss", "goal": "minimize"}, "parameters": space})
    wandb.agent(f"me/project/{sweep_id}", function=main)
    assert seen == [0.5, 0.25]
    assert [run.value for run in sweep.get(sweep_id).runs()] == [0.5, 0.25]
    assert not any(name in os.environ for name in ("WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_DIR"))
