"""Executes each run in a process. Only the caller's thread forks: no other thread of this module holds a lock then."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import os
import signal
import sys
import time
from typing import Any, Dict, NamedTuple

from ._sweep import AskedRun
from ._work import Judge, Ledger, Outcome, context_of

#: The time from SIGTERM to SIGKILL, in seconds.
_TERM_S = 5.0
#: The wait before a paused sweep is asked again, in seconds.
_PAUSED_S = 0.5


class _Child(NamedTuple):
    request: str
    asked: AskedRun
    process: "multiprocessing.process.BaseProcess"
    results: "multiprocessing.connection.Connection"


def work_in_processes(ledger: Ledger, judge: Judge, workers: int) -> None:
    """Executes runs in processes, `workers` at once."""
    children: Dict[int, _Child] = {}
    try:
        while True:
            while len(children) < workers:
                taken = ledger.take(wait=False)
                if taken is None:
                    break
                child = _start(judge, *taken)
                children[child.results.fileno()] = child
            if not children:
                if ledger.is_over:
                    return
                time.sleep(_PAUSED_S)
                continue
            # A free place is filled as soon as the sweep goes again.
            limit = None if len(children) == workers or ledger.is_over else _PAUSED_S
            ready = multiprocessing.connection.wait([child.results for child in children.values()], limit)
            for results in ready:
                child = children[results.fileno()]  # type: ignore[union-attr]
                outcome = _result(child)
                del children[child.results.fileno()]
                child.results.close()
                ledger.tell(child.request, child.asked, outcome)
    except BaseException:
        _end(children)
        raise


def _start(judge: Judge, request: str, asked: AskedRun) -> _Child:
    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else None)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_execute, args=(judge, asked, sender), name=f"sweep-{asked.number}")
    sys.stdout.flush()
    sys.stderr.flush()
    process.start()
    sender.close()
    return _Child(request, asked, process, receiver)


def _execute(judge: Judge, asked: AskedRun, results: Any) -> None:
    # A group of processes: what the objective starts ends with it, and Ctrl-C is the parent's to handle.
    os.setpgid(0, 0)
    _end_with_parent()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    outcome = judge.call(context_of(asked))
    sys.stdout.flush()
    sys.stderr.flush()
    results.send(outcome)


def _end_with_parent() -> None:
    """Has the kernel end this process with its parent, where the kernel can."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    parent = os.getppid()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if parent == 1 or os.getppid() != parent:
        os._exit(1)


def _result(child: _Child) -> Outcome:
    """Returns the outcome of a process that has one or has died."""
    try:
        outcome: Outcome = child.results.recv()
    except (EOFError, OSError):
        child.process.join()
        code = child.process.exitcode or 0
        if code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = str(-code)
            outcome = Outcome(None, f"its process was killed by {name}", {})
        else:
            outcome = Outcome(None, f"its process exited with status {code} and without a result", {})
    child.process.join(_TERM_S)
    _kill(child, signal.SIGKILL)
    child.process.join()
    return outcome


def _end(children: Dict[int, _Child]) -> None:
    for child in children.values():
        _kill(child, signal.SIGTERM)
    end = time.monotonic() + _TERM_S
    for child in children.values():
        child.process.join(max(end - time.monotonic(), 0))
        _kill(child, signal.SIGKILL)
        child.process.join()


def _kill(child: _Child, signal_number: int) -> None:
    """Signals the processes of a run: the group, or the process alone where it has not made its group yet."""
    pid = child.process.pid
    if pid is None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal_number)
        return
    if child.process.is_alive():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal_number)
