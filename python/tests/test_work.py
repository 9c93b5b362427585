"""`Sweep.run` and `sweep.agent`: in this process, in threads, in processes; failures and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Dict, List

import pytest

import sweep
from conftest import SPACE, until

MODES: List[Dict[str, Any]] = [{}, {"workers": 3}, {"workers": 2, "processes": True}]


def square(p: Any) -> float:
    return float((p.x - 0.3) ** 2)


@pytest.mark.parametrize("mode", MODES)
def test_an_objective_is_optimised(mode: Dict[str, Any]) -> None:
    s = sweep.create(dict(SPACE, method="bayes", run_cap=12))
    best = s.run(square, n=8, **mode)
    assert best is not None and best.value is not None
    runs = s.runs()
    assert [run.state for run in runs] == ["finished"] * 8
    assert best.value == min(run.value for run in runs if run.value is not None)
    # The rest, to the end of the sweep.
    s.run(square, **mode)
    assert s.status().state == "finished" and len(s.runs()) == 12


@pytest.mark.parametrize("mode", MODES)
def test_an_exception_is_a_failed_run_with_its_trace(mode: Dict[str, Any]) -> None:
    def fails(p: Any) -> float:
        raise RuntimeError(f"no data for {p.x}")

    s = sweep.create(SPACE)
    assert s.run(fails, n=2, **mode) is None
    for run in s.runs():
        assert run.state == "failed" and run.failure is not None
        text = run.failure.message + run.failure.output_tail
        assert "RuntimeError: no data for" in text and "in fails" in text and "sweep/_work.py" not in text


def test_a_process_that_dies_is_a_failed_run() -> None:
    def dies(p: Any) -> float:
        os.kill(os.getpid(), signal.SIGKILL)
        return 1.0

    def exits(p: Any) -> float:
        os._exit(3)

    s = sweep.create(SPACE)
    s.run(dies, n=1, processes=True)
    s.run(exits, n=1, processes=True)
    messages = [run.failure.message for run in s.runs() if run.failure]
    assert messages == ["its process was killed by SIGKILL", "its process exited with status 3 and without a result"]


def test_what_an_objective_starts_ends_with_its_process(place: Path) -> None:
    def leaves(p: Any) -> float:
        left = subprocess.Popen(["sleep", "1000"])
        (place / "pid").write_text(str(left.pid))
        return 1.0

    sweep.create(SPACE).run(leaves, n=1, processes=True)
    until(lambda: is_gone(int((place / "pid").read_text())))


@pytest.mark.parametrize(
    ("objective", "value", "metrics"),
    [
        (lambda p: {"loss": 2, "acc": 1}, 2.0, {"acc": 1.0, "loss": 2.0}),
        (lambda p: [sweep.report(step=i, loss=v) for i, v in enumerate((3, 1, 2))] and None, 1.0, {"loss": 1.0}),
        (lambda: sweep.done(loss=sweep.params(x=0.5).x * 0 + 5, acc=2), 5.0, {"acc": 2.0, "loss": 5.0}),
    ],
)
def test_an_objective_returns_or_reports(objective: Any, value: float, metrics: Dict[str, float]) -> None:
    s = sweep.create(SPACE)
    best = s.run(objective, n=1)
    assert best is not None
    assert (best.value, best.metrics) == (value, metrics)


def test_the_best_of_a_maximised_objective_is_the_largest() -> None:
    s = sweep.create(dict(SPACE, metric={"name": "acc", "goal": "maximize"}))
    best = s.run(lambda p: [sweep.report(acc=v) for v in (1, 3, 2)] and None, n=1)
    assert best is not None and best.value == 3


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (lambda p: None, "was neither returned nor reported"),
        (lambda p: {"acc": 1}, "lack the objective 'loss'"),
        (lambda p: "0.5", "metric 'loss' is '0.5'"),
        (lambda p: float("nan"), "nan"),
        (lambda p: sweep.done(loss=float("nan")), "is NaN"),
        (lambda p: sys.exit("no GPU"), "the program exited with 'no GPU'"),
    ],
)
def test_a_result_that_is_none_is_a_failed_run(objective: Any, message: str) -> None:
    s = sweep.create(SPACE)
    s.run(objective, n=1)
    run = s.get_run(1)
    assert run.state == "failed" and run.failure is not None and message in run.failure.message


def test_the_time_ends_a_run_of_runs() -> None:
    s = sweep.create(SPACE)
    s.run(lambda p: time.sleep(0.1) or 1.0, timeout=0.35)
    assert 1 <= len(s.runs()) <= 5


def test_workers_are_at_least_one_and_a_lost_controller_is_an_error() -> None:
    s = sweep.create(SPACE)
    with pytest.raises(ValueError, match="workers=0"):
        s.run(square, workers=0)
    s._connection.target = s._connection.target._replace(token="swp_0123456789abcdef")
    for mode in MODES:
        with pytest.raises(sweep.AccessDenied):
            s.run(square, n=1, **mode)


@pytest.mark.parametrize("mode", MODES)
def test_ctrl_c_leaves_nothing_behind(mode: Dict[str, Any], place: Path) -> None:
    def trains(p: Any) -> float:
        (place / f"pid-{os.getpid()}-{threading.get_ident()}").write_text(str(os.getpid()))
        end = time.monotonic() + 60
        while time.monotonic() < end:
            time.sleep(0.01)
        return 1.0

    workers = mode.get("workers", 1)
    s = sweep.create(SPACE)
    interrupter = threading.Thread(target=lambda: until(lambda: len(list(place.glob("pid-*"))) == workers) and os.kill(os.getpid(), signal.SIGINT))
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        s.run(trains, **mode)
    interrupter.join()
    until(lambda: not [one for one in threading.enumerate() if one.name.startswith("sweep-") and one.is_alive()])
    assert [run.state for run in s.runs()] == ["queued"] * workers
    pids = {int(path.read_text()) for path in place.glob("pid-*")} - {os.getpid()}
    assert all(is_gone(pid) for pid in pids) and bool(pids) == bool(mode.get("processes"))
    # They are continued.
    s.run(square, n=workers)
    assert [(run.state, len(run.attempts)) for run in s.runs()] == [("finished", 2)] * workers


def test_an_objective_that_obeys_ctrl_c_has_no_result(place: Path) -> None:
    def obeys(p: Any) -> float:
        (place / f"begun-{threading.get_ident()}").touch()
        while not sweep.report(loss=1):
            time.sleep(0.01)
        return 1.0

    s = sweep.create(SPACE)
    interrupter = threading.Thread(target=lambda: until(lambda: len(list(place.glob("begun-*"))) == 2) and os.kill(os.getpid(), signal.SIGINT))
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        s.run(obeys, workers=2)
    interrupter.join()
    assert [run.state for run in s.runs()] == ["queued"] * 2


def test_processes_end_with_a_parent_that_is_killed(place: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("SKIPPED: only Linux ends processes with their parent")
    s = sweep.create(SPACE)
    (place / "parent.py").write_text(
        "import os, sys, time, sweep\n"
        "def trains(p):\n    open(f'pid-{os.getpid()}', 'w').close()\n    time.sleep(1000)\n"
        "sweep.get(sys.argv[1]).run(trains, workers=2, processes=True)\n"
    )
    parent = subprocess.Popen([sys.executable, "parent.py", s.id])
    until(lambda: len(list(place.glob("pid-*"))) == 2)
    parent.kill()
    parent.wait()
    for path in place.glob("pid-*"):
        until(lambda path=path: is_gone(int(path.name.split("-")[1])))


def test_an_agent_calls_a_function_and_keeps_its_output(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    s = sweep.create(SPACE)

    def train() -> None:
        p = sweep.params(x=0.0)
        (sweep.checkpoint_dir / "model").write_text("x")
        print("epoch 1 of", sweep.seed)
        sweep.report(loss=p.x)

    sweep.agent(s.id, function=train, count=2)
    assert s.status().finished == 2
    assert capsys.readouterr().out.count("epoch 1 of") == 2
    folder = Path(os.environ["XDG_STATE_HOME"]) / "sweep" / s.id / "1"
    assert "epoch 1 of" in (folder / "1" / "output.log").read_text()
    assert (folder / "checkpoint" / "model").exists()


def test_an_agent_without_a_function_runs_the_program(place: Path) -> None:
    (place / "train.py").write_text("import sweep\np = sweep.params(x=0.0)\nfor e in range(3):\n    sweep.report(step=e, loss=p.x + e)\n")
    s = sweep.create(dict(SPACE, command=[sys.executable, "train.py"]))
    sweep.agent(s, count=2)
    assert [run.state for run in s.runs()] == ["finished"] * 2
    assert [(point.step, point.metric) for point in s.curves(runs=[1], metrics=["loss"])] == [(0, "loss"), (1, "loss"), (2, "loss")]
    with pytest.raises(sweep.NotFound, match="exited with status 2"):
        sweep.agent("missing")


def is_gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True
