"""A sweep of a controller."""

from __future__ import annotations

import math
import os
import socket
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Union

from . import _locate, _numbers
from ._http import TIMEOUT_S, Connection, request_id
from ._records import (
    CurvePoint,
    Records,
    Run,
    Suggestion,
    SweepStatus,
    params_of,
    point_of,
    run_of,
    status_of,
    suggestion_of,
)
from .errors import Refused, SweepError, TimedOut, Unavailable

#: The controller answers an ask after a minute at the latest.
ASK_TIMEOUT_S = 90.0
#: The end of a failure's text that the controller keeps.
_FAILURE_CHARS_MAX = 8000
#: The wait before a paused sweep is asked again, in seconds.
_PAUSED_S = 1.0
_ACTIONS = {"pause": 1, "resume": 2, "stop": 3, "cancel": 4}


def worker_name() -> str:
    """Returns the name under which this process asks: its runs share a lease."""
    return f"{socket.gethostname()}-{os.getpid()}"


class AskedRun:
    """A run that this program has asked for, and executes."""

    def __init__(self, sweep: "Sweep", answer: Mapping[str, Any]) -> None:
        self.sweep = sweep
        #: The number of the run.
        self.number: int = answer["run"]
        #: The number of the attempt, from 1.
        self.attempt: int = answer["attempt"]
        #: The configuration, nested.
        self.params: Dict[str, Any] = params_of(answer["params_json"])
        #: The reason for this configuration.
        self.suggestion: Optional[Suggestion] = suggestion_of(answer["why"])
        #: A seed for the run, the same for each of its attempts.
        self.seed: int = answer["seed"]
        #: Which repeat of its point the run is, from 1.
        self.repeat: int = answer["repeat"]

    @property
    def folder(self) -> Path:
        """The folder for the files of the run on this machine. It may not exist."""
        return _locate.state_dir() / self.sweep.id / str(self.number)

    def tell(self, value: Any, metrics: Optional[Mapping[str, Any]] = None, timeout: float = TIMEOUT_S) -> None:
        """Tells the result.

        Args:
            value: The objective. One that is NaN or infinite makes the run fail.
            metrics: Other metrics by name.
            timeout: The limit in seconds.

        Raises:
            sweep.Refused: The run was told before, or another program has it by now.
            sweep.SweepError: Anything else that goes wrong.

        >>> asked = sweep.create(SPACE).ask()
        >>> asked.tell(0.25, metrics={"seconds": 3})
        """
        self.sweep.tell(self, value, metrics=metrics, timeout=timeout)

    def fail(self, message: str, metrics: Optional[Mapping[str, Any]] = None, timeout: float = TIMEOUT_S) -> None:
        """Tells that the configuration has failed. The search learns to stay away from where runs fail.

        Args:
            message: Why, in words; the end of a long text is kept.
            metrics: Metrics by name.
            timeout: The limit in seconds.

        Raises:
            sweep.Refused: The run was told before, or another program has it by now.

        >>> asked = sweep.create(SPACE).ask()
        >>> asked.fail("CUDA out of memory")
        """
        self.sweep.tell(self, failure=message, metrics=metrics, timeout=timeout)

    def release(self, timeout: float = TIMEOUT_S) -> None:
        """Puts the run back into the queue without a result: the next program that asks gets it as the next attempt.

        Raises:
            sweep.SweepError: The class says why. No error where the run has ended.

        >>> s = sweep.create(SPACE)
        >>> s.ask().release()
        >>> s.ask().attempt
        2
        """
        self.sweep._release(self.number, self.attempt, timeout)

    def __repr__(self) -> str:
        return f"AskedRun({self.sweep.id}/{self.number}, params={self.params!r})"


class Sweep:
    """A sweep of a controller: made by :func:`sweep.create`, found by :func:`sweep.get`.

    Each method has a ``timeout`` in seconds and raises a :class:`sweep.SweepError`. An object can be used by several threads.
    """

    def __init__(self, connection: Connection, sweep_id: str) -> None:
        self._connection = connection
        #: The id: 8 characters.
        self.id = sweep_id
        self._spec: Optional[SweepStatus] = None

    def __repr__(self) -> str:
        return f"Sweep({self.id!r})"

    def _repr_html_(self) -> str:
        from ._notebook import html

        return html(self)

    def status(self, timeout: float = TIMEOUT_S) -> SweepStatus:
        """Returns the state and the counts of runs.

        >>> sweep.create(SPACE).status().state
        'running'
        """
        found = self._call("GetSweep", {}, timeout)["sweep"]
        if found is None:
            raise SweepError("the controller's answer is empty")
        return status_of(found)

    def spec(self) -> SweepStatus:
        """Returns the sweep's constants (name, method, objective), as they were when they were first asked for.

        >>> sweep.create(SPACE).spec().metric
        'loss'
        """
        if self._spec is None:
            self._spec = self.status()
        return self._spec

    @property
    def best(self) -> Optional[Run]:
        """The run with the best value so far; ``None``: none has a value.

        >>> s = sweep.create(SPACE)
        >>> s.ask().tell(0.25)
        >>> s.best.value
        0.25
        """
        number = self.status().best_run
        return None if number is None else self.get_run(number)

    def get_run(self, number: int, timeout: float = TIMEOUT_S) -> Run:
        """Returns a run by its number.

        Args:
            number: The number, from 1.
            timeout: The limit in seconds.

        Raises:
            sweep.NotFound: There is no such run.

        >>> s = sweep.create(SPACE)
        >>> asked = s.ask()
        >>> s.get_run(1).state
        'running'
        """
        return run_of(self._call("GetRun", {"run": number}, timeout)["run"])

    def runs(self, states: Sequence[str] = (), timeout: float = TIMEOUT_S) -> "Records[Run]":
        """Returns the runs in the order of their numbers.

        Args:
            states: Only runs in these states; by default all.
            timeout: The longest wait for the next page, in seconds.

        Returns:
            A list of :class:`sweep.Run`, with ``to_pandas()`` and ``to_polars()``.

        >>> s = sweep.create(SPACE)
        >>> s.ask().tell(0.25)
        >>> [(run.number, run.state, run.value) for run in s.runs()]
        [(1, 'finished', 0.25)]
        """
        pages = self._connection.stream("ListRuns", {"sweep_id": self.id, "states": list(states)}, timeout)
        return Records(run_of(run) for page in pages for run in page["runs"])

    def to_pandas(self, timeout: float = TIMEOUT_S) -> Any:
        """Returns the runs as a ``pandas.DataFrame``: ``param.…`` and ``metric.…`` are columns.

        Raises:
            ImportError: pandas is not installed.

        >>> s = sweep.create(SPACE)
        >>> s.ask().tell(0.25)
        >>> float(s.to_pandas()["value"].min())
        0.25
        """
        return self.runs(timeout=timeout).to_pandas()

    def to_polars(self, timeout: float = TIMEOUT_S) -> Any:
        """Returns the runs as a ``polars.DataFrame``: ``param.…`` and ``metric.…`` are columns.

        Raises:
            ImportError: polars is not installed.

        >>> s = sweep.create(SPACE)
        >>> s.ask().tell(0.25)
        >>> s.to_polars()["value"].min()  # doctest: +SKIP
        0.25
        """
        return self.runs(timeout=timeout).to_polars()

    def curves(
        self,
        runs: Optional[Iterable[int]] = None,
        metrics: Optional[Sequence[str]] = None,
        timeout: float = TIMEOUT_S,
    ) -> "Records[CurvePoint]":
        """Returns the metrics of runs in long form: one value of one metric a row.

        Args:
            runs: Numbers of runs; by default all that have begun.
            metrics: Names of metrics; by default all.
            timeout: The longest wait for the next page, in seconds.

        Returns:
            A list of :class:`sweep.CurvePoint`, with ``to_pandas()`` and ``to_polars()``.

        >>> s = sweep.create(SPACE)
        >>> s.ask().tell(0.25)
        >>> s.curves()[0].metric
        'loss'
        """
        numbers = [run.number for run in self.runs(timeout=timeout) if run.attempts] if runs is None else list(runs)
        return Records(point for number in numbers for point in self._points(number, metrics, timeout))

    def _points(self, run: int, metrics: Optional[Sequence[str]], timeout: float) -> Iterator[CurvePoint]:
        for page in self._connection.stream("GetMetrics", {"sweep_id": self.id, "run": run}, timeout):
            for point in page["points"]:
                if metrics is None or point["name"] in metrics:
                    yield point_of(run, point)

    def ask(self, worker: Optional[str] = None, code_version: str = "", timeout: float = ASK_TIMEOUT_S) -> Optional[AskedRun]:
        """Asks for a run to execute.

        Args:
            worker: The name of the worker; runs of one worker share a lease of a day. By default host and process.
            code_version: The code that executes the run, by any id.
            timeout: The limit in seconds; a paused sweep is waited for.

        Returns:
            The run; ``None``: nothing is left to try, or all of it is being tried.

        Raises:
            sweep.TimedOut: No run was ready in time.

        >>> asked = sweep.create(SPACE).ask()
        >>> sorted(asked.params)
        ['x']
        """
        end = time.monotonic() + timeout
        while True:
            try:
                return self._ask(request_id(), worker, code_version, max(end - time.monotonic(), 0.001))
            except Unavailable as error:
                if not str(error).endswith("; ask again"):
                    raise
                if time.monotonic() + _PAUSED_S >= end:
                    raise TimedOut(str(error)) from error
            time.sleep(_PAUSED_S)

    def _ask(self, request: str, worker: Optional[str], code_version: str, timeout: float) -> Optional[AskedRun]:
        fields = {
            "request_id": request,
            "worker": worker_name() if worker is None else worker,
            "code_version": code_version,
        }
        answer = self._call("Ask", fields, timeout)
        return None if answer["exhausted"] else AskedRun(self, answer)

    def tell(
        self,
        run: Union[AskedRun, int],
        value: Any = None,
        *,
        failure: Optional[str] = None,
        metrics: Optional[Mapping[str, Any]] = None,
        attempt: int = 1,
        timeout: float = TIMEOUT_S,
    ) -> None:
        """Tells the result of an asked run: ``value`` or ``failure``.

        Args:
            run: The run, or its number.
            value: The objective. One that is NaN or infinite makes the run fail.
            failure: Why it failed; the search learns to stay away from where runs fail.
            metrics: Other metrics by name. Those that are NaN or infinite are left out.
            attempt: The attempt, where ``run`` is a number.
            timeout: The limit in seconds.

        Raises:
            sweep.Refused: The run was told before, or another program has it by now.

        >>> s = sweep.create(SPACE)
        >>> asked = s.ask()
        >>> s.tell(asked, 0.25, metrics={"seconds": 3})
        """
        if isinstance(run, AskedRun):
            attempt = run.attempt
        number = run.number if isinstance(run, AskedRun) else run
        if (value is None) == (failure is None):
            raise ValueError("tell either a value or a failure")
        others = {name: item for name, item in _numbers.flat(metrics or {}).items() if math.isfinite(item)}
        outcome: Dict[str, Any]
        if failure is not None:
            outcome = {"failure": failure[-_FAILURE_CHARS_MAX:]}
        else:
            result = float(_numbers.number("value", value))
            # JSON has neither NaN nor infinity, and both mean failure.
            outcome = {"value": result} if math.isfinite(result) else {"failure": f"the objective is {result}"}
        fields = {"run": number, "attempt": attempt, "request_id": request_id(), "outcome": outcome, "metrics": others}
        self._call("Tell", fields, timeout)

    def _release(self, run: int, attempt: int, timeout: float) -> None:
        try:
            self._call("CancelRun", {"run": run, "request_id": request_id()}, timeout)
            self.tell(run, failure="interrupted by user", attempt=attempt, timeout=timeout)
            self._call("RetryRuns", {"runs": [run], "request_id": request_id()}, timeout)
        except Refused:
            # It has ended, or the sweep has.
            pass

    def offer(self, params: Mapping[str, Any], why: str = "", timeout: float = TIMEOUT_S) -> int:
        """Adds a point that is tried next.

        Args:
            params: The configuration.
            why: Why it is tried, in words.
            timeout: The limit in seconds.

        Returns:
            The number of its run; that of an earlier run with the same point, if there is one.

        Raises:
            sweep.InvalidArgument: The parameters do not fit the space.
            sweep.Refused: The sweep is a grid, or has ended.

        >>> s = sweep.create(SPACE)
        >>> s.offer({"x": 0.5}, why="a guess")
        1
        >>> s.ask().params
        {'x': 0.5}
        """
        import json

        run = {"params_json": json.dumps(dict(params)), "why": why}
        fields = {"request_id": request_id(), "runs": [run], "end": False}
        numbers: List[int] = self._call("OfferRuns", fields, timeout)["runs"]
        return numbers[0]

    def run(
        self,
        objective: Callable[..., Any],
        n: Optional[int] = None,
        workers: int = 1,
        processes: bool = False,
        timeout: Optional[float] = None,
    ) -> Optional[Run]:
        """Executes runs: calls ``objective`` with the parameters of each.

        The objective gets a dictionary whose keys are attributes, too, or no argument: then it calls :func:`sweep.params`. It returns the objective's
        value, or a dictionary of metrics with it, or ``None`` after :func:`sweep.report`: then the best reported value counts. An exception makes the
        run fail, with its trace. Ctrl-C puts unfinished runs back into the queue and ends threads and processes.

        Args:
            objective: The function.
            n: The number of runs; by default until the sweep has ended.
            workers: Runs at once.
            processes: Each run in a process, forked from this one: a run that crashes Python fails alone. By default in threads.
            timeout: No run begins after this time, in seconds.

        Returns:
            The best run of the sweep; ``None``: none has a value.

        Raises:
            KeyboardInterrupt: After Ctrl-C.
            sweep.SweepError: The controller is gone, or refuses.

        >>> s = sweep.create(SPACE)
        >>> best = s.run(lambda p: (p.x - 0.3) ** 2, n=5)
        >>> best.value == min(run.value for run in s.runs())
        True
        """
        from ._work import work

        work(self, objective, count=n, workers=workers, processes=processes, timeout=timeout)
        return self.best

    def set_state(self, action: str, timeout: float = TIMEOUT_S) -> str:
        """Pauses, resumes, stops or cancels the sweep.

        Args:
            action: ``"pause"``, ``"resume"``, ``"stop"`` (no new runs), ``"cancel"`` (running ones end, too).
            timeout: The limit in seconds.

        Returns:
            The state after the call.

        >>> sweep.create(SPACE).set_state("stop")
        'stopped'
        """
        if action not in _ACTIONS:
            raise ValueError(f"{action!r} is none of {', '.join(_ACTIONS)}")
        fields = {"action": _ACTIONS[action], "request_id": request_id()}
        return str(self._call("SetSweepState", fields, timeout)["state"])

    def importance(self, timeout: float = TIMEOUT_S) -> Dict[str, float]:
        """Returns the importance of each parameter, the most important first; all sum to 1. Empty with too few results.

        >>> sweep.create(SPACE).importance()
        {}
        """
        effects = self._call("AnalyzeSweep", {}, timeout)["effects"]
        return {effect["parameter"]: effect["share"] for effect in effects}

    def plot(self, kind: str = "history", params: Sequence[str] = (), timeout: float = TIMEOUT_S) -> Any:
        """Draws the sweep; a notebook shows the result.

        Args:
            kind: ``"history"``, ``"parallel"``, ``"importance"`` or ``"slice"``.
            params: For ``"slice"``: the parameters; by default the most important ones.
            timeout: The limit in seconds.

        Returns:
            A picture with ``svg`` and ``save(path)``.

        Raises:
            sweep.NoProgram: The program ``sweep``, which draws, is not here.

        >>> s = sweep.create(SPACE)
        >>> s.ask().tell(0.25)
        >>> s.plot("history").svg[:4]
        '<svg'
        """
        from ._notebook import plot

        return plot(self, kind, params, timeout)

    def watch(self, interval: float = 2.0, timeout: Optional[float] = None) -> SweepStatus:
        """Shows the sweep until it ends: in a notebook a table and plots, elsewhere a line for each change. Ctrl-C ends the view alone.

        Args:
            interval: Seconds between two looks.
            timeout: The limit in seconds; by default none.

        Returns:
            The last state that was seen.

        >>> s = sweep.create(SPACE)
        >>> status = s.watch(timeout=0)  # doctest: +ELLIPSIS
        sweep ... running: no runs yet
        >>> status.state
        'running'
        """
        from ._notebook import watch

        return watch(self, interval, timeout)

    def _call(self, name: str, fields: Dict[str, Any], timeout: float) -> Dict[str, Any]:
        return self._connection.call(name, {"sweep_id": self.id, **fields}, timeout)
