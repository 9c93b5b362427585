"""The programs of the documentation work as they are shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
PAGES = ["python.md"]
_BLOCK = re.compile(r"^```(\w+)(?: (norun))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> Tuple[Dict[str, str], List[str]]:
    """Returns the files that a page shows, and its other blocks of Python."""
    files: Dict[str, str] = {}
    programs: List[str] = []
    for language, skipped, text in _BLOCK.findall((GUIDES / page).read_text(encoding="utf-8")):
        named = re.match(r"# ([\w.-]+\.\w+)\n", text)
        if named:
            files[named[1]] = text
        elif language == "python" and not skipped:
            programs.append(text)
    return files, programs


@pytest.mark.parametrize("page", PAGES)
def test_the_programs_of_a_page_run_one_after_the_other(page: str, place: Path) -> None:
    files, programs = blocks(page)
    for name, text in files.items():
        (place / name).write_text(text)
    scope: Dict[str, Any] = {}
    assert programs
    for text in programs:
        exec(compile(text, page, "exec"), scope)


def test_the_training_program_of_the_guide_runs_alone_and_in_a_sweep(place: Path, binary: str) -> None:
    for name, text in blocks("python.md")[0].items():
        (place / name).write_text(text)
    alone = subprocess.run([sys.executable, "train.py"], capture_output=True, text=True, timeout=60, check=True)
    assert alone.stdout.count('"val_loss"') == 3
    # The command of a sweep file is `python`.
    (place / "bin").mkdir()
    (place / "bin" / "python").symlink_to(sys.executable)
    variables = dict(os.environ, PATH=f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}")
    command = [binary, "run", "train.yaml", "--fail-if", "failed > 0 or finished < 5"]
    ended = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stderr + ended.stdout
