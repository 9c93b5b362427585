"""Hyperparameter sweeps from Python.

In a training program::

    import sweep

    p = sweep.params(lr=0.1, epochs=10)
    for epoch in range(p.epochs):
        if sweep.report(step=epoch, val_loss=train(p.lr)):
            break

From Python, with the search alone::

    s = sweep.create({"method": "bayes", "metric": {"name": "loss"}, "parameters": {"x": {"min": 0.0, "max": 1.0}}})
    s.run(lambda p: (p["x"] - 0.3) ** 2, n=30)
    print(s.best)

The module has no dependencies. The client needs a controller (``sweep controller start``), which it finds as the command line does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List

from ._program import StopAnswer, Stopped, done, params, report

if TYPE_CHECKING:
    from pathlib import Path

    from ._client import agent, create, get, sweeps
    from ._records import Attempt, CurvePoint, Failure, Records, Run, Suggestion, SweepStatus
    from ._sweep import AskedRun, Sweep
    from .errors import (
        AccessDenied,
        DiskFull,
        InvalidArgument,
        NoProgram,
        NotFound,
        ParamsError,
        Refused,
        SweepError,
        TimedOut,
        Unavailable,
    )

    #: The folder for checkpoints, which outlives the attempt. Outside of a sweep ``./checkpoints``.
    checkpoint_dir: Path
    #: Whether an earlier attempt of the run may have left a checkpoint. Outside of a sweep false.
    resumed: bool
    #: The folder of the attempt. Outside of a sweep the working folder.
    run_dir: Path
    #: The seed of the run, the same for each of its attempts. Outside of a sweep 0.
    seed: int

_OF_THE_RUN = ("checkpoint_dir", "resumed", "run_dir", "seed")
#: Imported when they are used: a training program waits for none of them.
_LATER = {
    "_client": ("agent", "create", "get", "sweeps"),
    "_records": ("Attempt", "CurvePoint", "Failure", "Records", "Run", "Suggestion", "SweepStatus"),
    "_sweep": ("AskedRun", "Sweep"),
    "errors": (
        "AccessDenied",
        "DiskFull",
        "InvalidArgument",
        "NoProgram",
        "NotFound",
        "ParamsError",
        "Refused",
        "SweepError",
        "TimedOut",
        "Unavailable",
    ),
}

__all__ = [
    "AccessDenied",
    "AskedRun",
    "Attempt",
    "CurvePoint",
    "DiskFull",
    "Failure",
    "InvalidArgument",
    "NoProgram",
    "NotFound",
    "ParamsError",
    "Records",
    "Refused",
    "Run",
    "StopAnswer",
    "Stopped",
    "Suggestion",
    "Sweep",
    "SweepError",
    "SweepStatus",
    "TimedOut",
    "Unavailable",
    "agent",
    "checkpoint_dir",
    "create",
    "done",
    "get",
    "params",
    "report",
    "resumed",
    "run_dir",
    "seed",
    "sweeps",
]


def __getattr__(name: str) -> Any:
    if name in _OF_THE_RUN:
        from . import _context

        return getattr(_context.current(), name)
    for module, names in _LATER.items():
        if name in names:
            from importlib import import_module

            found = getattr(import_module(f"{__name__}.{module}"), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> List[str]:
    return sorted(__all__)
