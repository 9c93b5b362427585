"""Sweeps of a controller: made, found, executed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any, Callable, List, Mapping, Optional, Union

from . import _locate
from ._http import TIMEOUT_S, Connection, request_id
from ._records import Records, SweepStatus, status_of
from ._sweep import Sweep
from .errors import NotFound, SweepError, Unavailable

#: The exit status of `sweep agent` after runs of which none has succeeded.
_ALL_FAILED = 3


def create(
    source: Union[str, "os.PathLike[str]", Mapping[str, Any]],
    controller: Optional[str] = None,
    *,
    name: str = "",
    token: Optional[str] = None,
    timeout: float = TIMEOUT_S,
) -> Sweep:
    """Makes a sweep. When no controller is named and none answers on this machine, one is started in the background, as by ``sweep create``.

    Args:
        source: The path of a sweep file, or a dictionary with its keys.
        controller: ``host:port``; by default ``$SWEEP_CONTROLLER``, else the controller of this machine.
        name: The name of the sweep, in place of the file's.
        token: The token; by default as the command line finds it.
        timeout: The limit in seconds.

    Raises:
        sweep.InvalidArgument: The file has mistakes; the message has a line for each.
        sweep.Unavailable: No controller answers at the address that was named.
        OSError: The file cannot be read.

    >>> s = sweep.create({"method": "random", "metric": {"name": "loss"}, "parameters": {"x": {"min": 0.0, "max": 1.0}}})
    >>> len(s.id)
    8
    """
    if isinstance(source, Mapping):
        text = json.dumps(source, default=_plain)
    elif isinstance(source, (str, os.PathLike)):
        text = Path(source).read_text(encoding="utf-8")
    else:
        raise TypeError(f"a sweep is made from the path of a sweep file or a dictionary with its keys, and not from {type(source).__name__}")
    connection = connect(controller, token, starts=True, timeout=timeout)
    fields = {"yaml": text, "request_id": request_id(), "name": name}
    return Sweep(connection, connection.call("CreateSweep", fields, timeout)["sweep_id"])


def get(sweep_id: str, controller: Optional[str] = None, *, token: Optional[str] = None, timeout: float = TIMEOUT_S) -> Sweep:
    """Returns a sweep by its id, by a unique prefix of that, or by its name.

    Args:
        sweep_id: The id, a prefix, or the name of the newest sweep with that name.
        controller: As in :func:`create`; none is started.
        token: As in :func:`create`.
        timeout: The limit in seconds.

    Raises:
        sweep.NotFound: There is no such sweep.

    >>> s = sweep.create(SPACE)
    >>> sweep.get(s.id[:6]).id == s.id
    True
    """
    connection = connect(controller, token, timeout=timeout)
    found = connection.call("GetSweep", {"sweep_id": sweep_id}, timeout)["sweep"]
    return Sweep(connection, found["id"])


def sweeps(controller: Optional[str] = None, *, archived: bool = False, token: Optional[str] = None, timeout: float = TIMEOUT_S) -> List[SweepStatus]:
    """Returns the sweeps of a controller, the newest first.

    Args:
        controller: As in :func:`create`; none is started.
        archived: Archived sweeps as well.
        token: As in :func:`create`.
        timeout: The limit in seconds.

    >>> s = sweep.create(SPACE)
    >>> sweep.sweeps()[0].id == s.id
    True
    """
    connection = connect(controller, token, timeout=timeout)
    found = connection.call("ListSweeps", {"include_archived": archived}, timeout)["sweeps"]
    by_age = sorted((status_of(item) for item in found), key=lambda status: (status.created is not None, status.created))
    return Records(reversed(by_age))


def agent(
    sweep_id: Union[str, Sweep],
    function: Optional[Callable[..., Any]] = None,
    count: Optional[int] = None,
    controller: Optional[str] = None,
    *,
    token: Optional[str] = None,
) -> None:
    """Executes runs of a sweep on this machine.

    With a function: calls it for each run, in this thread, until ``count`` runs or the end of the sweep. It reads its parameters with
    :func:`sweep.params` (or takes them as its argument), and reports with :func:`sweep.report` or by what it returns. What it prints is also in
    ``output.log`` of its run folder. An exception makes the run fail, with its trace. Ctrl-C puts the run back into the queue.

    Without one: runs ``sweep agent``, which executes the program of the sweep file.

    Args:
        sweep_id: The sweep, its id or its name.
        function: The training.
        count: The number of runs; by default until the sweep has ended.
        controller: As in :func:`create`; none is started.
        token: As in :func:`create`.

    Raises:
        KeyboardInterrupt: After Ctrl-C.
        sweep.SweepError: The controller is gone, or refuses.
        sweep.NoProgram: Without a function: the program ``sweep`` is not here.

    >>> s = sweep.create(SPACE)
    >>> def train():
    ...     p = sweep.params(x=0.5)
    ...     sweep.report(loss=p.x ** 2)
    >>> sweep.agent(s.id, function=train, count=3)
    >>> s.status().finished
    3
    """
    if function is None:
        found = sweep_id.id if isinstance(sweep_id, Sweep) else sweep_id
        target = sweep_id._connection.target if isinstance(sweep_id, Sweep) else _locate.target(controller, token)
        _agent_program(found, count, target)
        return
    from ._work import work

    found_sweep = sweep_id if isinstance(sweep_id, Sweep) else get(sweep_id, controller, token=token)
    work(found_sweep, function, count=count, keeps_output=True)


def environment(target: _locate.Target) -> "dict[str, str]":
    """Returns the environment of a program that talks to a controller."""
    found = dict(os.environ, SWEEP_CONTROLLER=f"http://{target.address}")
    if target.token:
        found["SWEEP_TOKEN"] = target.token
    return found


def _agent_program(sweep_id: str, count: Optional[int], target: _locate.Target) -> None:
    command = [_locate.binary(), "agent", sweep_id]
    if count is not None:
        command += ["--count", str(count)]
    started = subprocess.Popen(command, env=environment(target), stdin=subprocess.DEVNULL)
    try:
        code = started.wait()
    except BaseException:
        # The second one makes it hand its runs back at once.
        for _ in range(2):
            started.send_signal(signal.SIGINT)
            try:
                started.wait(0.5)
            except subprocess.TimeoutExpired:
                continue
        started.wait()
        raise
    # That all runs have failed is in the sweep.
    if code not in (0, _ALL_FAILED):
        kind = {2: NotFound, 4: NotFound, 5: Unavailable}.get(code, SweepError)
        raise kind(f"`{' '.join(command)}` exited with status {code}", "")


def connect(controller: Optional[str] = None, token: Optional[str] = None, *, starts: bool = False, timeout: float = TIMEOUT_S) -> Connection:
    """Returns a connection to a controller.

    Args:
        controller: ``host:port``; by default as the command line finds it.
        token: The token; by default as the command line finds it.
        starts: Start a controller of this machine where none is named and none answers.
        timeout: The limit in seconds.

    Raises:
        sweep.SweepError: The address or the token file has a mistake, or no controller starts.
    """
    target = _locate.target(controller, token)
    if starts and not target.is_named:
        try:
            Connection(target).call("GetStatus", {}, min(timeout, 2.0))
        except Unavailable:
            _locate.start_local(target.address)
            target = _locate.target(controller, token)
    return Connection(target)


def _plain(value: Any) -> Any:
    """Returns a number of numpy, a path or the like as JSON has it."""
    for name in ("tolist", "item"):
        method = getattr(value, name, None)
        if callable(method):
            return method()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"a sweep file cannot have a {type(value).__name__}")
