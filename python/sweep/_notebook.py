"""Pictures and tables of a sweep, for notebooks and terminals."""

from __future__ import annotations

import html as _html
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Union

from . import _locate
from .errors import NoProgram, SweepError, TimedOut

if TYPE_CHECKING:
    from ._records import SweepStatus
    from ._sweep import Sweep

KINDS = ("history", "parallel", "importance", "slice")
#: Runs in the table.
_ROWS = 10
#: The least time between two drawings of a view's pictures, in seconds.
_PICTURES_S = 5.0


class Picture:
    """A plot as SVG. A notebook shows it."""

    def __init__(self, svg: str) -> None:
        #: The text of the picture.
        self.svg = svg

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: Union[str, "os.PathLike[str]"]) -> None:
        """Writes the picture to a file that ends in ``.svg``.

        Raises:
            ValueError: The name ends otherwise.
            OSError: The file cannot be written.

        >>> Picture("<svg/>").save("picture.svg")
        """
        if not os.fspath(path).endswith(".svg"):
            raise ValueError(f"{os.fspath(path)!r} does not end in .svg; `sweep plot --out` writes PNG, too")
        Path(path).write_text(self.svg, encoding="utf-8")

    def __repr__(self) -> str:
        return f"Picture({len(self.svg)} characters of SVG)"


def plot(sweep: "Sweep", kind: str, params: Sequence[str], timeout: float) -> Picture:
    """Draws a sweep with the program ``sweep``. :meth:`Sweep.plot` has the details."""
    from ._client import environment

    if kind not in KINDS:
        raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")
    command = [_locate.binary(), "plot", sweep.id, kind]
    for name in params:
        command += ["--param", name]
    try:
        ended = subprocess.run(
            command,
            env=environment(sweep._connection.target),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimedOut(f"the plot took more than {timeout:g} s") from error
    if ended.returncode:
        raise SweepError(ended.stderr.strip())
    return Picture(ended.stdout)


def line(status: "SweepStatus") -> str:
    """Returns the progress as one line of text."""
    counts = ", ".join(
        f"{getattr(status, name)} {name}" for name in ("running", "queued", "finished", "stopped", "failed", "cancelled") if getattr(status, name)
    )
    best = "" if status.best_run is None else f"; best {status.metric} {status.best_value:.6g} (run {status.best_run})"
    return f"sweep {status.id} {status.state}: {counts or 'no runs yet'}{best}"


def html(sweep: "Sweep", pictures: Sequence[str] = ()) -> str:
    """Returns the progress and the best runs as HTML, with pictures below."""
    status = sweep.status()
    runs = [run for run in sweep.runs() if run.value is not None]
    runs.sort(key=lambda run: run.value or 0.0, reverse=status.goal == "maximize")
    rows: List[str] = []
    for run in runs[:_ROWS]:
        row = run.row()
        cells = [f"{run.number}", run.state, f"{run.value:.6g}"]
        cells += [str(value) for name, value in row.items() if name.startswith("param.")]
        rows.append("<tr>" + "".join(f"<td>{_html.escape(cell)}</td>" for cell in cells) + "</tr>")
    table = ""
    if rows:
        names = ["run", "state", status.metric or "value"]
        names += [name[len("param.") :] for name in runs[0].row() if name.startswith("param.")]
        head = "".join(f"<th>{_html.escape(name)}</th>" for name in names)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f"<p>{_html.escape(line(status))}</p>{table}{''.join(pictures)}"


def watch(sweep: "Sweep", interval: float, timeout: Optional[float]) -> "SweepStatus":
    """Shows a sweep until it ends. :meth:`Sweep.watch` has the details."""
    end = None if timeout is None else time.monotonic() + timeout
    view = _View(sweep)
    status = sweep.status()
    try:
        while True:
            view.show(status)
            if status.is_ended or (end is not None and time.monotonic() >= end):
                return status
            time.sleep(interval)
            status = sweep.status()
    except KeyboardInterrupt:
        return status


class _View:
    """One place in a notebook that is drawn again, or lines in a terminal."""

    def __init__(self, sweep: "Sweep") -> None:
        self._sweep = sweep
        self._handle: Any = None
        self._shown = ""
        self._pictures: List[str] = []
        self._drawn = -_PICTURES_S

    def show(self, status: "SweepStatus") -> None:
        """Shows the state; the same state again costs nothing."""
        text = line(status)
        if text == self._shown:
            return
        self._shown = text
        if not _in_notebook():
            print(text, flush=True)
            return
        from IPython.display import HTML, display

        if status.is_ended or time.monotonic() - self._drawn >= _PICTURES_S:
            self._pictures, self._drawn = self._draw(), time.monotonic()
        content = HTML(html(self._sweep, self._pictures))
        if self._handle is None:
            self._handle = display(content, display_id=True)
        else:
            self._handle.update(content)

    def _draw(self) -> List[str]:
        pictures: List[str] = []
        for kind in ("history", "parallel"):
            try:
                pictures.append(plot(self._sweep, kind, (), 30.0).svg)
            except NoProgram:
                return []
            except SweepError:
                # Too few results for a picture.
                continue
        return pictures


def _in_notebook() -> bool:
    """Returns whether a kernel of Jupyter runs this program."""
    shell = sys.modules.get("IPython")
    found = shell.get_ipython() if shell is not None else None
    return found is not None and hasattr(found, "kernel")
