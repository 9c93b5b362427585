"""The example of a notebook, from `create` to data frames and plots, executed by nbconvert."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import sweep
from conftest import needs

EXAMPLE = Path(__file__).parents[2] / "examples" / "notebook"


def test_the_notebook_runs_from_create_to_plots(place: Path) -> None:
    for module in ("nbconvert", "ipykernel", "pandas"):
        needs(module)
    for file in ("sweep.ipynb", "sweep.yaml"):
        shutil.copy(EXAMPLE / file, place)
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "sweep.ipynb", "--output", "executed.ipynb"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert ended.returncode == 0, ended.stderr
    notebook = json.loads((place / "executed.ipynb").read_text())
    outputs: List[Dict[str, Any]] = [output.get("data", {}) for cell in notebook["cells"] for output in cell.get("outputs", [])]
    pages = ["".join(data.get("text/html", "")) for data in outputs]
    assert any("best val_loss" in page and "<svg" in page for page in pages), "s.watch() shows a table and plots"
    assert any("param.learning_rate" in page for page in pages), "the data frame"
    assert any("image/svg+xml" in data for data in outputs), "s.plot() is a picture"
    (status,) = (status for status in sweep.sweeps() if status.name == "notebook")
    assert status.state == "finished" and status.finished + status.failed == 24
