"""The calls of a training program: outside of a sweep, under variables of an agent, and under a real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Dict, List

import pytest

import sweep
from conftest import needs, run_python
from sweep import _context

#: Reports until early stopping ends it, and writes down how.
TRAIN = """
import os, time
import sweep

p = sweep.params(x=0, how="look")
log = open(os.environ["ENDS"], "a")
try:
    for step in range(1 if p.x == 0 else 2000):
        stop = sweep.report(step=step, loss=p.x, stop="raise" if p.how == "raise" else "return")
        if p.how == "look" and stop:
            print("saved", file=log)
            break
        time.sleep(0.02)
except sweep.Stopped as error:
    print("raised", error, file=log)
    raise
"""


@pytest.fixture
def under_agent(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The variables of an agent."""
    variables = {
        "SWEEP_PARAMS": place / "params.json",
        "SWEEP_METRICS": place / "metrics.jsonl",
        "SWEEP_STOP": place / "stop",
        "SWEEP_RUN_DIR": place,
        "SWEEP_CHECKPOINT_DIR": place / "checkpoint",
        "SWEEP_RESUMED": "1",
        "SWEEP_SEED": "17",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    (place / "params.json").write_text('{"lr": 0.5}')
    monkeypatch.setattr(_context, "_agent", None)
    monkeypatch.setattr(_context, "_agent", _context.AgentContext(os.environ))
    return place


def lines(path: Path) -> List[Dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_outside_of_a_sweep_reports_are_printed_and_nothing_stops(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    assert not sweep.report(step=1, loss=0.5)
    assert not sweep.report({"val/loss": 1}, stop="raise")
    sweep.done(score=2)
    assert capsys.readouterr().out == '{"step": 1, "loss": 0.5}\n{"val/loss": 1}\n{"score": 2}\n'
    assert (sweep.seed, sweep.resumed, sweep.run_dir) == (0, False, place)
    assert sweep.checkpoint_dir == place / "checkpoints"
    assert sweep.checkpoint_dir.is_dir()


def test_reports_go_to_the_metrics_file(under_agent: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep.report(step=1, loss=Decimal("0.5"), acc=Fraction(1, 4))
    sweep.report({"val": {"loss": True}}, nan=float("nan"))
    sweep.done(score=3)
    assert (under_agent / "metrics.jsonl").read_text() == ('{"step": 1, "loss": 0.5, "acc": 0.25}\n{"nan": NaN, "val.loss": 1.0}\n{"score": 3}\n')
    assert capsys.readouterr().out == ""
    assert (sweep.seed, sweep.resumed, sweep.run_dir) == (17, True, under_agent)
    assert sweep.checkpoint_dir.is_dir()
    assert sweep.params(lr=1.0).lr == 0.5


def test_a_metrics_file_that_cannot_be_written_leaves_the_output(
    under_agent: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SWEEP_METRICS", "/dev/full")
    assert not sweep.report(step=1, loss=2)
    assert capsys.readouterr().out == '{"step": 1, "loss": 2}\n'


@pytest.mark.parametrize("value", ["0.5", None, [1.0, 2.0], object(), b"1"])
def test_what_is_no_number_is_named(value: Any) -> None:
    with pytest.raises(TypeError, match="metric 'loss' is"):
        sweep.report(loss=value)


def test_no_metric_is_called_step() -> None:
    with pytest.raises(ValueError, match="give it as step="):
        sweep.report({"step": 3})
    with pytest.raises(ValueError, match="stop='no'"):
        sweep.report(loss=1, stop="no")


def test_scalars_of_numpy_are_numbers(under_agent: Path) -> None:
    needs("numpy")
    import numpy

    sweep.report(step=numpy.int64(3), a=numpy.float32(0.5), b=numpy.array([2]), c=numpy.bool_(True))
    assert lines(under_agent / "metrics.jsonl") == [{"step": 3, "a": 0.5, "b": 2.0, "c": 1.0}]
    with pytest.raises(TypeError, match="metric 'a' is a numpy.ndarray"):
        sweep.report(a=numpy.zeros(2))


def test_tensors_are_numbers(under_agent: Path) -> None:
    needs("torch")
    import torch

    sweep.report(loss=torch.tensor(0.5, requires_grad=True), acc=torch.ones(1, dtype=torch.bfloat16))
    assert lines(under_agent / "metrics.jsonl") == [{"loss": 0.5, "acc": 1.0}]
    with pytest.raises(TypeError, match="metric 'loss' is a torch.Tensor"):
        sweep.report(loss=torch.zeros(2))


@pytest.mark.parametrize("variable", ["RANK", "LOCAL_RANK", "OMPI_COMM_WORLD_RANK"])
def test_rank_0_alone_reports(under_agent: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    sweep.report(loss=1)
    assert not (under_agent / "metrics.jsonl").exists()
    monkeypatch.setenv(variable, "0")
    sweep.report(loss=2)
    assert lines(under_agent / "metrics.jsonl") == [{"loss": 2}]


def test_the_stop_file_is_made_by_a_program_that_looks_at_the_answer_alone(under_agent: Path) -> None:
    stop = under_agent / "stop"
    answer = sweep.report(loss=1)
    assert not stop.exists()
    assert not answer
    assert stop.read_text() == ""
    stop.write_text("band 3\n")
    assert answer
    assert answer.reason == "band 3"
    assert repr(answer) == "StopAnswer('band 3')"
    with pytest.raises(sweep.Stopped, match="band 3"):
        sweep.report(loss=1, stop="raise")


def test_early_stopping_reaches_the_program(place: Path, binary: str) -> None:
    (place / "train.py").write_text(TRAIN)
    for how, expected in (("look", "saved"), ("raise", "raised"), ("ignore", "")):
        spec = {
            "method": "grid",
            "metric": {"name": "loss", "goal": "minimize"},
            "command": [sys.executable, "train.py"],
            "early_terminate": {"type": "asha", "min_iter": 1, "eta": 2},
            "parameters": {"x": {"values": [0, 1]}, "how": {"value": how}},
        }
        (place / "sweep.yaml").write_text(json.dumps(spec))
        command = [binary, "run", "sweep.yaml", "--agents", "1", "--json"]
        variables = dict(os.environ, ENDS=str(place / how))
        ended = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=100, check=False)
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout)["stopped"] == 1, ended.stdout
        assert (place / how).read_text().startswith(expected) and bool((place / how).read_text()) == bool(expected)


def test_the_import_is_quick_and_brings_no_client() -> None:
    code = "import sys, sweep; sweep.report; print(sorted(n for n in sys.modules if n.split('.')[0] in ('http', 'urllib', 'ssl', 'dataclasses')))"
    assert run_python(code).stdout.strip() == "[]"
    timed = "import time; t = time.process_time(); import sweep; print((time.process_time() - t) * 1000)"
    # The best of several, without what the machine does besides.
    assert min(float(run_python(timed).stdout) for _ in range(5)) <= 30


def test_a_report_takes_30_microseconds(under_agent: Path) -> None:
    import time
    import timeit

    def report() -> None:
        if sweep.report(step=3, val_loss=0.25, acc=0.5):
            raise AssertionError

    best = min(timeit.repeat(report, timer=time.process_time, number=1000, repeat=7)) / 1000
    assert best <= 30e-6, f"{best * 1e6:.1f} µs"
