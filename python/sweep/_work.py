"""Executes runs in this process, in threads, or in processes."""

from __future__ import annotations

import contextlib
import ctypes
import inspect
import sys
import threading
import time
import traceback
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, TextIO, Union

from . import _context, _numbers
from ._http import request_id
from ._params import Params, nested
from ._program import Stopped
from ._sweep import ASK_TIMEOUT_S, AskedRun, Sweep
from .errors import SweepError, Unavailable

#: The time limit of threads for ending after Ctrl-C, in seconds.
_END_S = 10.0
#: The time limit of each call that puts a run back into the queue, in seconds.
_RELEASE_S = 5.0
#: The wait before a paused sweep is asked again, in seconds.
_PAUSED_S = 0.5
_INTERRUPTED = "interrupted by user"


class Outcome(NamedTuple):
    """The outcome of a call of the objective. Can be sent between processes."""

    value: Optional[float]
    failure: Optional[str]
    metrics: Dict[str, float]


class Ledger:
    """The runs that were asked for and have no result yet: after Ctrl-C they go back into the queue."""

    def __init__(self, sweep: Sweep, count: Optional[int], timeout: Optional[float]) -> None:
        self.sweep = sweep
        self.is_over = False
        self._left = count
        self._end = None if timeout is None else time.monotonic() + timeout
        self._lock = threading.Lock()
        #: By request id; `None`: the answer has not come.
        self._open: Dict[str, Optional[AskedRun]] = {}

    def take(self, wait: bool = True) -> "Optional[tuple[str, AskedRun]]":
        """Asks for a run; `None`: no more.

        Args:
            wait: Wait for a paused sweep; else the answer is `None`, and :attr:`is_over` stays false.
        """
        with self._lock:
            if self.is_over or self._left == 0 or (self._end is not None and time.monotonic() >= self._end):
                self.is_over = True
                return None
            if self._left is not None:
                self._left -= 1
        while True:
            request = request_id()
            self._open[request] = None
            try:
                asked = self.sweep._ask(request, None, "", ASK_TIMEOUT_S)
            except Unavailable as error:
                del self._open[request]
                if not str(error).endswith("; ask again"):
                    raise
                if not wait or self.is_over or (self._end is not None and time.monotonic() >= self._end):
                    self._give_back_count()
                    return None
                time.sleep(_PAUSED_S)
                continue
            if asked is None:
                del self._open[request]
                self.is_over = True
                return None
            self._open[request] = asked
            return request, asked

    def _give_back_count(self) -> None:
        with self._lock:
            if self._left is not None:
                self._left += 1

    def tell(self, request: str, asked: AskedRun, outcome: Outcome) -> None:
        """Tells the outcome of a run."""
        if outcome.failure is not None:
            asked.fail(outcome.failure, outcome.metrics)
        else:
            asked.tell(outcome.value, outcome.metrics)
        self._open.pop(request, None)

    def release(self) -> None:
        """Puts all runs without a result back into the queue."""
        self.is_over = True
        for request, asked in list(self._open.items()):
            with contextlib.suppress(SweepError):
                # The call may have been interrupted, and the controller has answered it: the same id gets the same answer.
                asked = asked or self.sweep._ask(request, None, "", _RELEASE_S)
                if asked is not None:
                    asked.release(_RELEASE_S)
            self._open.pop(request, None)


def work(
    sweep: Sweep,
    objective: Callable[..., Any],
    *,
    count: Optional[int] = None,
    workers: int = 1,
    processes: bool = False,
    timeout: Optional[float] = None,
    keeps_output: bool = False,
) -> None:
    """Executes runs until `count`, the end of the sweep, or the time is over. :meth:`Sweep.run` has the details."""
    if workers < 1:
        raise ValueError(f"workers={workers}: it is at least 1")
    judge = Judge(sweep, objective)
    ledger = Ledger(sweep, count, timeout)
    try:
        if processes:
            from ._processes import work_in_processes

            work_in_processes(ledger, judge, workers)
        elif workers == 1:
            _serve(ledger, judge, keeps_output=keeps_output)
        else:
            _work_in_threads(ledger, judge, workers)
    except BaseException:
        ledger.release()
        raise


class Judge:
    """Calls the objective and turns what it does into an outcome."""

    def __init__(self, sweep: Sweep, objective: Callable[..., Any]) -> None:
        status = sweep.spec()
        self._metric = status.metric or "value"
        self._is_maximized = status.goal == "maximize"
        self._objective = objective
        self._takes_params = _takes_argument(objective)

    def call(self, context: _context.LocalContext) -> Outcome:
        """Calls the objective within a run.

        Raises:
            KeyboardInterrupt: Ctrl-C.
        """
        _context.enter(context)
        try:
            if self._takes_params:
                result = self._objective(_params(context))
            else:
                result = self._objective()
        except Stopped:
            result = None
        except SystemExit as error:
            if error.code not in (None, 0):
                return Outcome(None, f"the program exited with {error.code!r}", _last(context))
            result = None
        except Exception as error:
            return Outcome(None, _trace(error), _last(context))
        finally:
            _context.enter(None)
        if context.stop is not None:
            # The objective has obeyed, in the midst of its work: that is no result.
            raise KeyboardInterrupt
        try:
            return self._outcome(result, context)
        except (TypeError, ValueError) as error:
            return Outcome(None, f"{type(error).__name__}: {error}", _last(context))

    def _outcome(self, result: Any, context: _context.LocalContext) -> Outcome:
        metrics = _last(context)
        reported = context.history.get(self._metric, [])
        if result is None:
            numbers = [value for value in reported if value == value]
            if not numbers:
                problem = "is NaN" if reported else "was neither returned nor reported"
                return Outcome(None, f"the objective {self._metric!r} {problem}", metrics)
            best = max(numbers) if self._is_maximized else min(numbers)
            return Outcome(float(best), None, metrics)
        if isinstance(result, dict):
            metrics.update(_numbers.flat(result))
            if self._metric not in metrics:
                return Outcome(None, f"the returned metrics lack the objective {self._metric!r}", metrics)
            return Outcome(float(metrics.pop(self._metric)), None, metrics)
        return Outcome(float(_numbers.number(self._metric, result)), None, metrics)


def context_of(asked: AskedRun) -> _context.LocalContext:
    """Returns the run as `sweep.params` and the others see it."""
    return _context.LocalContext(asked.params, seed=asked.seed, attempt=asked.attempt, folder=asked.folder)


def _serve(ledger: Ledger, judge: Judge, contexts: Optional[List[_context.LocalContext]] = None, keeps_output: bool = False) -> None:
    """Executes one run after the other."""
    while True:
        taken = ledger.take()
        if taken is None:
            return
        request, asked = taken
        context = context_of(asked)
        if contexts is not None:
            contexts.append(context)
        with _kept_output(context) if keeps_output else contextlib.nullcontext():
            outcome = judge.call(context)
        ledger.tell(request, asked, outcome)


class _Worker(threading.Thread):
    """A thread that executes runs.

    `ended` in place of `is_alive` and `join`: before Python 3.10 a `join` that Ctrl-C interrupts takes the thread for stopped.
    """

    def __init__(self, serve: Callable[[], None], index: int) -> None:
        super().__init__(name=f"sweep-{index}", daemon=True)
        self._serve = serve
        self.ended = threading.Event()
        self.error: Optional[BaseException] = None

    def run(self) -> None:
        try:
            self._serve()
        except KeyboardInterrupt:
            pass
        except BaseException as error:
            # The caller's thread raises it.
            self.error = error
        finally:
            self.ended.set()

    def interrupt(self) -> None:
        """Raises KeyboardInterrupt in the thread. One that is in C code gets it when that returns."""
        if self.ident is not None and not self.ended.is_set():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), ctypes.py_object(KeyboardInterrupt))


def _work_in_threads(ledger: Ledger, judge: Judge, count: int) -> None:
    contexts: List[_context.LocalContext] = []
    workers = [_Worker(lambda: _serve(ledger, judge, contexts), index) for index in range(count)]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            # With a limit, so that Ctrl-C arrives.
            while not worker.ended.wait(0.2):
                if any(other.error for other in workers):
                    ledger.is_over = True
    except BaseException:
        ledger.is_over = True
        for context in contexts:
            context.stop = _INTERRUPTED
        end = time.monotonic() + _END_S
        for worker in workers:
            worker.interrupt()
        for worker in workers:
            worker.ended.wait(max(end - time.monotonic(), 0))
        raise
    for worker in workers:
        if worker.error is not None:
            raise worker.error


def _takes_argument(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return any(p.kind in positional and (p.default is p.empty or p.kind == p.VAR_POSITIONAL) for p in parameters)


def _params(context: _context.LocalContext) -> Params:
    def deep(found: Dict[str, Any]) -> Params:
        return Params({name: deep(value) if isinstance(value, dict) else value for name, value in found.items()})

    return deep(nested(context.params))


def _last(context: _context.LocalContext) -> Dict[str, float]:
    return {name: values[-1] for name, values in context.history.items()}


def _trace(error: BaseException) -> str:
    trace = error.__traceback__
    # Without the frame of this module.
    trace = trace.tb_next if trace is not None and trace.tb_next is not None else trace
    return "".join(traceback.format_exception(type(error), error, trace)).strip()


class _Tee:
    """Writes what goes to one stream to a file, too."""

    def __init__(self, stream: TextIO, file: TextIO) -> None:
        self._stream, self._file = stream, file

    def write(self, text: str) -> int:
        self._file.write(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._file.flush()
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _kept_output(context: _context.LocalContext) -> Iterator[None]:
    with open(context.run_dir / "output.log", "a", encoding="utf-8", errors="replace") as file:
        out: Union[TextIO, Any] = _Tee(sys.stdout, file)
        err: Union[TextIO, Any] = _Tee(sys.stderr, file)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield
