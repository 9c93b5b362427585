"""Sweeps that a program of W&B defines itself, executed here: no account, no server of W&B.

``python -m sweep.wandb train.py`` runs an unedited script. Its ``wandb.sweep(config)`` makes a sweep here, and
``wandb.agent(id, function=main)`` executes the runs with an agent of this machine: each run executes the script again up to
``wandb.agent``, and calls the function once. So curves, early stopping, retries and GPUs work as for any program.

In a notebook, whose cells cannot be executed again, call :func:`patch` before: then runs are executed in the kernel.
"""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence

from . import _context, _numbers
from ._client import agent as _agent
from ._client import create, get
from ._program import report

_USAGE = "usage: python -m sweep.wandb SCRIPT [ARGUMENT …]"
#: Says in the process of a run which `wandb.sweep` of the script is meant, counted from 1.
_NUMBER = "SWEEP_WANDB_NUMBER"
_OF_A_RUN = ("WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_DIR")


def patch() -> None:
    """Replaces ``wandb.sweep`` and ``wandb.agent`` in this process: runs are executed here, one after the other.

    For notebooks. What ``run.log`` logs is recorded; the last value of each metric, and of the objective the best.

    Raises:
        ImportError: W&B's library is not installed.
    """
    import wandb

    def agent(sweep_id: str, function: Optional[Callable[[], Any]] = None, *_: Any, count: Optional[int] = None, **__: Any) -> None:
        with _logging(wandb):
            _agent(get(_id_of(sweep_id)), None if function is None else lambda: _call(wandb, function), count)

    wandb.sweep = _sweep
    wandb.agent = agent


def _sweep(sweep: Any, entity: Optional[str] = None, project: Optional[str] = None, prior_runs: Any = None) -> str:
    """Makes a sweep as `wandb.sweep` does."""
    made = create(_config(sweep))
    print(f"Create sweep with ID: {made.id}", file=sys.stderr)
    return made.id


def _config(sweep: Any) -> Dict[str, Any]:
    config = sweep() if callable(sweep) else sweep
    if not isinstance(config, Mapping):
        raise TypeError(f"wandb.sweep takes a dictionary, and not {type(config).__name__}")
    return dict(config)


def _id_of(sweep_id: str) -> str:
    """Returns the id of `entity/project/id`."""
    return str(sweep_id).rsplit("/", 1)[-1]


def _call(wandb: Any, function: Callable[[], Any]) -> None:
    """Calls a function in a run of W&B's library that has the parameters of ours."""
    context = _context.current()
    folder = context.run_dir
    file = folder / "wandb-config.yaml"
    # JSON is YAML.
    file.write_text(json.dumps({"wandb_version": 1, **{name: {"value": value} for name, value in context.params.items()}}))
    sweep_id, run = folder.parent.parent.name, folder.parent.name
    values = (f"{sweep_id}-{run}", sweep_id, str(file), str(folder))
    before = {name: os.environ.get(name) for name in (*_OF_A_RUN, "WANDB_MODE")}
    os.environ.update(dict(zip(_OF_A_RUN, values)))
    os.environ.setdefault("WANDB_MODE", "offline")
    # The library reads the environment once, at its start.
    wandb.teardown()
    try:
        function()
    finally:
        wandb.teardown()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _logging(wandb: Any) -> Iterator[None]:
    """Has `run.log` report, too."""
    kind = wandb.sdk.wandb_run.Run
    log = kind.log

    def reporting(self: Any, data: Mapping[str, Any], *arguments: Any, **options: Any) -> Any:
        numbers = _numbers.known(data)
        if numbers and _context.current().is_sweep:
            report(numbers)
        return log(self, data, *arguments, **options)

    kind.log = reporting
    try:
        yield
    finally:
        kind.log = log


class _Script:
    """A script whose sweeps are executed by agents, each run by a separate process."""

    def __init__(self, path: str, arguments: Sequence[str]) -> None:
        self._path = path
        self._arguments = list(arguments)
        self._count = 0
        #: The sweep of the run that this process executes; empty: it executes none.
        self._own = os.environ.get("SWEEP_ID", "") if "SWEEP_RUN" in os.environ else ""

    def run(self) -> None:
        """Runs the script."""
        try:
            import wandb
        except ImportError as error:
            raise SystemExit(f"{error}: pip install wandb") from error
        os.environ.setdefault("WANDB_MODE", "offline")
        wandb.sweep = self.sweep
        wandb.agent = self.agent
        sys.argv = [self._path, *self._arguments]
        sys.path[0] = str(Path(self._path).resolve().parent)
        runpy.run_path(self._path, run_name="__main__")

    def sweep(self, sweep: Any, entity: Optional[str] = None, project: Optional[str] = None, prior_runs: Any = None) -> str:
        """Makes a sweep whose command is this script. In a run it returns the sweep of the run."""
        self._count += 1
        if self._own:
            # Another sweep of the same script is none of this run.
            return self._own if os.environ.get(_NUMBER) == str(self._count) else f"not-{self._own}-{self._count}"
        config = _config(sweep)
        program = config.get("program")
        if "command" not in config and (program is None or Path(program).resolve() == Path(self._path).resolve()):
            # A variable of the command, since the arguments are the script's.
            config["command"] = [
                "/usr/bin/env",
                f"{_NUMBER}={self._count}",
                sys.executable,
                "-m",
                __name__ if __name__ != "__main__" else "sweep.wandb",
                self._path,
                *self._arguments,
            ]
        return _sweep(config, entity, project, prior_runs)

    def agent(self, sweep_id: str, function: Optional[Callable[[], Any]] = None, *_: Any, count: Optional[int] = None, **__: Any) -> None:
        """Executes runs with an agent. In a run it calls the function, and ends the script."""
        found = _id_of(sweep_id)
        if not self._own:
            _agent(found, count=count)
        elif found == self._own and function is not None:
            function()
            # The rest of the script belongs to the process that started the agent.
            sys.exit()


def main(arguments: List[str]) -> None:
    """Runs ``python -m sweep.wandb``."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__ and __doc__.strip())
        print("\n" + _USAGE)
        sys.exit(0 if arguments else 2)
    _Script(arguments[0], arguments[1:]).run()


if __name__ == "__main__":
    main(sys.argv[1:])
