"""A controller for the tests, apart from those of the user."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator

import pytest

import sweep

SPACE: Dict[str, Any] = {
    "method": "random",
    "seed": 1,
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {"x": {"min": 0.0, "max": 1.0}},
}
PYTHON = Path(__file__).parent
# Where the tests run in the background, Ctrl-C is ignored, and Python raises nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)


def needs(module: str) -> None:
    """Skips a test without a module; `SWEEP_TEST_REQUIRE` with its name makes the test fail instead."""
    try:
        __import__(module)
    except ImportError as error:
        if module in os.environ.get("SWEEP_TEST_REQUIRE", "").split(","):
            pytest.fail(f"SWEEP_TEST_REQUIRE asks for {module}: {error}")
        pytest.skip(f"SKIPPED: no {module} ({error})")


@pytest.fixture(scope="session")
def binary() -> str:
    """The program `sweep`: `$SWEEP_BINARY`, else the one in `$PATH`."""
    found = os.environ.get("SWEEP_BINARY") or shutil.which("sweep")
    assert found, "no program `sweep`: build it, and name it with SWEEP_BINARY=target/debug/sweep"
    return str(Path(found).resolve())


@pytest.fixture(scope="session")
def world(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders of a user that has nothing yet, with a controller."""
    folder = tmp_path_factory.mktemp("world")
    programs = folder / "bin"
    programs.mkdir()
    (programs / "sweep").symlink_to(binary)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    patch = pytest.MonkeyPatch()
    for name in list(os.environ):
        if name.startswith("SWEEP_") and not name.startswith("SWEEP_TEST") or name in ("RANK", "LOCAL_RANK"):
            patch.delenv(name)
    patch.setenv("HOME", str(folder / "home"))
    patch.setenv("XDG_DATA_HOME", str(folder / "data"))
    patch.setenv("XDG_STATE_HOME", str(folder / "state"))
    patch.setenv("SWEEP_CONTROLLER", f"http://127.0.0.1:{port}")
    patch.setenv("CUDA_VISIBLE_DEVICES", "")
    patch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    patch.setenv("PYTHONPATH", str(PYTHON))
    command = [binary, "controller", "--listen", f"127.0.0.1:{port}", "--lease", "5s"]
    log = open(folder / "controller.log", "w")
    controller = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        until(_answers)
        yield folder
    finally:
        controller.terminate()
        controller.wait(30)
        log.close()
        patch.undo()


@pytest.fixture(autouse=True)
def place(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, doctest_namespace: Dict[str, Any]) -> Path:
    """The working folder of a test."""
    monkeypatch.chdir(tmp_path)
    doctest_namespace.update(SPACE=SPACE, sweep=sweep)
    return tmp_path


def _answers() -> bool:
    try:
        sweep.sweeps()
        return True
    except sweep.SweepError:
        return False


def until(look: Callable[[], Any], limit: float = 30.0) -> Any:
    """Waits until `look` returns something true, and returns that."""
    end = time.monotonic() + limit
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, "it has not happened in time"
        time.sleep(0.05)


def run_python(code: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Runs a program of Python to its end."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env=dict(os.environ, **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
