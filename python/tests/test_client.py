"""Sweeps from Python: over JSON, with a real controller."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

import sweep
from conftest import SPACE, needs, until
from sweep import _http, _locate


def test_a_sweep_is_made_from_a_dictionary_a_path_and_a_text_path(place: Path) -> None:
    (place / "sweep.yaml").write_text("method: random\nname: from-file\nparameters: {x: {min: 0.0, max: 1.0}}\n")
    assert sweep.create("sweep.yaml").status().name == "from-file"
    assert sweep.create(place / "sweep.yaml", name="other").status().name == "other"
    status = sweep.create(dict(SPACE, run_cap=7)).status()
    assert (status.method, status.metric, status.goal, status.planned, status.is_ended) == ("random", "loss", "minimize", 7, False)
    assert json.loads(status.yaml)["run_cap"] == 7
    with pytest.raises(TypeError, match="and not from int"):
        sweep.create(3)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        sweep.create("missing.yaml")


def test_values_of_numpy_and_paths_can_be_in_the_dictionary() -> None:
    needs("numpy")
    import numpy

    space = {"x": {"values": numpy.array([0.5, 1.5])}, "n": {"value": numpy.int64(3)}}
    asked = sweep.create({"method": "grid", "parameters": space, "program": Path("train.py")}).ask()
    assert asked is not None
    assert asked.params == {"n": 3, "x": 0.5}


def test_all_mistakes_of_a_sweep_file_are_named() -> None:
    with pytest.raises(sweep.InvalidArgument, match=r"(?s)unknown key `metod`.*did you mean `method`.*no `parameters`"):
        sweep.create({"metod": "random"})


def test_a_sweep_is_found_by_id_prefix_and_name() -> None:
    made = sweep.create(SPACE, name=f"name-{os.getpid()}")
    for text in (made.id, made.id[:7], f"name-{os.getpid()}"):
        assert sweep.get(text).id == made.id
    with pytest.raises(sweep.NotFound, match="no sweep `missing`"):
        sweep.get("missing")
    assert made.id in [status.id for status in sweep.sweeps()]


def test_ask_and_tell() -> None:
    s = sweep.create(dict(SPACE, run_cap=3))
    first = s.ask(worker="w", code_version="v1")
    assert first is not None
    assert first.attempt == 1 and first.repeat == 1 and 0 <= first.params["x"] <= 1
    assert first.suggestion is not None and first.suggestion.kind == "random"
    first.tell(0.5, {"acc": 1, "nan": math.nan, "val": {"f1": 2}})
    run = s.get_run(1)
    assert (run.state, run.value, run.metrics, run.code_version) == ("finished", 0.5, {"acc": 1.0, "loss": 0.5, "val.f1": 2.0}, "v1")
    second = s.ask()
    assert second is not None
    second.fail("CUDA out of memory")
    failed = s.get_run(2)
    assert failed.state == "failed" and failed.failure is not None and "CUDA" in failed.failure.message
    third = s.ask()
    assert third is not None
    third.tell(math.inf)
    assert s.get_run(3).state == "failed"
    assert s.ask() is None
    best = s.best
    assert best is not None and best.number == 1
    with pytest.raises(sweep.Refused, match="told before"):
        first.tell(0.4)
    with pytest.raises(ValueError, match="either a value or a failure"):
        s.tell(first)
    with pytest.raises(sweep.NotFound):
        s.get_run(17)


def test_a_released_run_is_the_next_one_that_is_asked_for() -> None:
    s = sweep.create(SPACE)
    asked = s.ask()
    assert asked is not None
    asked.release()
    again = s.ask()
    assert again is not None
    assert (again.number, again.attempt, again.params) == (1, 2, asked.params)
    again.tell(1)
    again.release()
    assert s.get_run(1).state == "finished"


def test_a_paused_sweep_is_waited_for() -> None:
    s = sweep.create(SPACE)
    assert s.set_state("pause") == "paused"
    with pytest.raises(sweep.TimedOut, match="paused"):
        s.ask(timeout=1.5)
    threading.Timer(0.5, s.set_state, ["resume"]).start()
    assert s.ask() is not None
    with pytest.raises(ValueError, match="'halt' is none of"):
        s.set_state("halt")


def test_an_offered_point_is_tried_next() -> None:
    s = sweep.create(SPACE)
    assert s.offer({"x": 0.125}, why="a guess") == 1
    asked = s.ask()
    assert asked is not None
    assert asked.params == {"x": 0.125}


@pytest.fixture
def told() -> sweep.Sweep:
    """A sweep with three ended runs."""
    space = {"x": {"values": [1, 2, 3]}, "opt": {"parameters": {"lr": {"value": 0.5}}}}
    s = sweep.create({"method": "grid", "metric": {"name": "loss"}, "parameters": space})
    for value in (3.0, 1.0):
        asked = s.ask()
        assert asked is not None
        asked.tell(value, {"acc": value / 4})
    asked = s.ask()
    assert asked is not None
    asked.fail("no")
    return s


def test_runs_and_curves_are_tables(told: sweep.Sweep) -> None:
    runs = told.runs()
    assert [run.state for run in runs] == ["finished", "finished", "failed"]
    assert [run.number for run in told.runs(states=["failed"])] == [3]
    row = runs.rows()[1]
    assert list(row)[:9] == ["run", "state", "value", "best", "last", "param.opt.lr", "param.x", "metric.acc", "metric.loss"]
    assert (row["param.x"], row["metric.acc"], row["attempts"]) == (2, 0.25, 1)
    assert runs.rows()[2]["failure"] == "no"
    points = told.curves(metrics=["loss"])
    assert [(point.run, point.metric, point.value, point.step) for point in points] == [(1, "loss", 3.0, None), (2, "loss", 1.0, None)]
    assert {point.metric for point in told.curves(runs=[2])} == {"acc", "loss"}


def test_runs_become_a_data_frame_of_pandas(told: sweep.Sweep) -> None:
    needs("pandas")
    frame = told.to_pandas()
    assert list(frame["run"]) == [1, 2, 3]
    assert frame.loc[frame["value"].idxmin(), "param.x"] == 2
    assert list(told.curves(metrics=["acc"]).to_pandas()["value"]) == [0.75, 0.25]


def test_runs_become_a_data_frame_of_polars(told: sweep.Sweep) -> None:
    needs("polars")
    frame = told.to_polars()
    assert frame["param.x"].to_list() == [1, 2, 3]
    assert frame["value"].to_list() == [3.0, 1.0, None]
    assert told.curves(metrics=["acc"]).to_polars()["value"].to_list() == [0.75, 0.25]


def test_plots_are_svg(told: sweep.Sweep, place: Path) -> None:
    for kind in ("history", "parallel"):
        picture = told.plot(kind)
        assert picture.svg.startswith("<svg") and picture._repr_svg_() == picture.svg
    picture.save(place / "plot.svg")
    assert (place / "plot.svg").read_text() == picture.svg
    with pytest.raises(ValueError, match=r"does not end in \.svg"):
        picture.save("plot.pdf")
    with pytest.raises(ValueError, match="'pie' is none of"):
        told.plot("pie")
    with pytest.raises(sweep.SweepError, match="for `slice` alone"):
        told.plot("history", params=["x"])


def test_a_view_in_a_terminal_has_a_line_for_each_change(told: sweep.Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    assert told.watch(interval=0.05).state == "finished"
    assert capsys.readouterr().out == f"sweep {told.id} finished: 2 finished, 1 failed; best loss 1 (run 2)\n"
    other = sweep.create(SPACE)
    assert other.watch(interval=0.05, timeout=0.2).state == "running"
    assert capsys.readouterr().out == f"sweep {other.id} running: no runs yet\n"


def test_a_sweep_in_a_notebook_is_a_table(told: sweep.Sweep) -> None:
    html = told._repr_html_()
    assert "best loss 1 (run 2)" in html and "<th>x</th>" in html and html.count("<tr>") == 3


def test_a_token_is_in_no_text() -> None:
    target = _locate.target(token="swp_secret_of_the_user")
    assert "secret" not in repr(target) + str(target) and target.token == "swp_secret_of_the_user"


def test_a_controller_of_another_token_refuses() -> None:
    with pytest.raises(sweep.AccessDenied, match="token"):
        sweep.sweeps(token="swp_0123456789abcdef")


def test_an_address_without_a_controller_is_named() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(sweep.Unavailable, match=f"no controller answers at {address}.*sweep controller start"):
            sweep.create(SPACE, controller=address, timeout=0.5)
    for wrong in ("https://host:1", "host"):
        with pytest.raises(sweep.SweepError, match="is no address of a controller"):
            sweep.sweeps(wrong)


def test_a_silent_controller_is_not_waited_for_without_end() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        with pytest.raises(sweep.TimedOut, match="did not answer in time"):
            sweep.sweeps(f"127.0.0.1:{silent.getsockname()[1]}", timeout=0.5)
        assert time.monotonic() - began < 5


def test_a_call_without_an_answer_is_repeated_with_the_same_request_id(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: List[Dict[str, Any]] = []
    once = _http.Connection._once

    def cut(self: _http.Connection, name: str, fields: Dict[str, Any], end: float) -> Any:
        answer = once(self, name, fields, end)
        seen.append(fields)
        if name == "CreateSweep" and len(seen) < 3:
            raise sweep.Unavailable("the answer is lost")
        return answer

    before = len(sweep.sweeps())
    monkeypatch.setattr(_http.Connection, "_once", cut)
    sweep.create(SPACE)
    assert len({fields["request_id"] for fields in seen}) == 1 and len(seen) == 3
    assert len(sweep.sweeps()) == before + 1


@pytest.fixture
def other_world(place: Path, monkeypatch: pytest.MonkeyPatch, binary: str) -> Iterator[int]:
    """A user without a controller, whose own one would have a free port."""
    monkeypatch.delenv("SWEEP_CONTROLLER")
    monkeypatch.setenv("XDG_DATA_HOME", str(place / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "state"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    monkeypatch.setattr(_locate, "LOCAL", f"127.0.0.1:{port}")
    yield port
    command = [binary, "controller", "stop", "--controller", f"127.0.0.1:{port}"]
    subprocess.run(command, capture_output=True, check=False)


def test_create_starts_a_controller_where_there_is_none(other_world: int) -> None:
    with pytest.raises(sweep.Unavailable):
        sweep.sweeps(timeout=0.3)
    s = sweep.create(SPACE)
    assert [status.id for status in sweep.sweeps()] == [s.id]
    # It is found by each of its names, and its token with it.
    for name in (f"localhost:{other_world}", f"http://127.0.0.1:{other_world}/"):
        assert sweep.get(s.id, name).id == s.id


def test_without_the_program_no_controller_is_started(other_world: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(sweep.NoProgram, match="install it"):
        sweep.create(SPACE)


def test_no_token_is_shown_to_a_program_that_took_the_port(other_world: int, place: Path) -> None:
    sweep.create(SPACE)
    data = place / "data" / "sweep"
    assert _locate.target().token == (data / "token").read_text().strip()
    card = json.loads((data / "controller.json").read_text())
    os.kill(card["pid"], 9)
    until(lambda: _locate.target().token is None)
    assert (data / "controller.json").exists(), "the card of the one that was killed is still there"


def test_the_token_of_the_variable_is_for_controllers_elsewhere(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEP_TOKEN", "swp_from_the_variable")
    assert _locate.target("gpu-head:7433").token == "swp_from_the_variable"
    assert _locate.target().token != "swp_from_the_variable"
    (place / "token").write_text("swp_from_the_file\n")
    monkeypatch.setenv("SWEEP_TOKEN_FILE", str(place / "token"))
    assert _locate.target().token == "swp_from_the_file"
    assert _locate.target(token="swp_argument").token == "swp_argument"
    monkeypatch.setenv("SWEEP_TOKEN_FILE", str(place / "missing"))
    with pytest.raises(sweep.SweepError, match="SWEEP_TOKEN_FILE"):
        _locate.target()
