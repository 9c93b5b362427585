"""The run that a program executes: under an agent, within this process (`Sweep.run`), or none."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

if TYPE_CHECKING:
    from pathlib import Path

#: Variables of launchers that name the rank of a process. SLURM_PROCID is none: an agent that Slurm has started has one, too.
_RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "LOCAL_RANK")


class Context:
    """A run outside of any sweep: defaults, and reports on standard output."""

    params: Mapping[str, Any] = {}
    resumed = False
    seed = 0
    is_sweep = False

    @property
    def run_dir(self) -> Path:
        """The folder for the run's files."""
        return _path(os.getcwd())

    @property
    def checkpoint_dir(self) -> Path:
        """The folder for checkpoints; it exists."""
        return _made(_path(os.getcwd()) / "checkpoints")

    def write(self, step: Optional[int], metrics: Dict[str, float]) -> None:
        """Reports metrics."""
        print(_json(step, metrics), flush=True)

    def stop_reason(self) -> Optional[str]:
        """Returns why the run has to end early; ``None``: it continues."""
        return None

    def watch_stop(self) -> None:
        """Says that the program ends by itself when there is a reason."""


class AgentContext(Context):
    """A run of an agent, which the agent's variables describe."""

    is_sweep = True

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._metrics: Optional[int] = None
        self._stop = environment.get("SWEEP_STOP", "")
        self._is_watched = False
        self._pid = os.getpid()
        self._params: Optional[Mapping[str, Any]] = None

    @property
    def params(self) -> Mapping[str, Any]:  # type: ignore[override]
        """The configuration."""
        if self._params is None:
            import json

            with open(self._environment["SWEEP_PARAMS"], encoding="utf-8") as file:
                self._params = json.load(file)
        return self._params

    @property
    def resumed(self) -> bool:  # type: ignore[override]
        """Whether an earlier attempt may have left a checkpoint."""
        return self._environment.get("SWEEP_RESUMED") == "1"

    @property
    def seed(self) -> int:  # type: ignore[override]
        """The seed of the run."""
        return int(self._environment.get("SWEEP_SEED") or 0)

    @property
    def run_dir(self) -> Path:
        """The folder of the attempt."""
        return _path(self._environment["SWEEP_RUN_DIR"])

    @property
    def checkpoint_dir(self) -> Path:
        """The folder that outlives the attempt."""
        return _made(_path(self._environment["SWEEP_CHECKPOINT_DIR"]))

    def write(self, step: Optional[int], metrics: Dict[str, float]) -> None:
        """Appends a line to the metrics file. Another process of a distributed training than that of rank 0 writes none."""
        if rank() != 0:
            return
        line = _json(step, metrics)
        try:
            if self._metrics is None or self._pid != os.getpid():
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self._metrics = os.open(self._environment["SWEEP_METRICS"], flags, 0o600)
                self._pid = os.getpid()
            # One write: lines of several processes do not mix.
            os.write(self._metrics, (line + "\n").encode())
        except OSError:
            # A full disk is no reason to end a training, and the agent reads the output, too.
            print(line, flush=True)

    def stop_reason(self) -> Optional[str]:
        """Reads the stop file."""
        try:
            if not self._stop or not os.stat(self._stop).st_size:
                return None
            with open(self._stop, encoding="utf-8", errors="replace") as file:
                return file.read().strip()
        except OSError:
            return None

    def watch_stop(self) -> None:
        """Creates the stop file, by which the agent gives the program time to end by itself."""
        if self._is_watched or not self._stop:
            return
        self._is_watched = True
        # Without the file the program ends by SIGTERM.
        with contextlib.suppress(OSError):
            # Never truncated: the reason may be there.
            os.close(os.open(self._stop, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


class LocalContext(Context):
    """A run that this process has asked for."""

    is_sweep = True

    def __init__(self, params: Mapping[str, Any], *, seed: int, attempt: int, folder: Path) -> None:
        self.params = params
        self.seed = seed
        self.resumed = attempt > 1
        self._attempt = attempt
        self._folder = folder
        #: The values that were reported, in order.
        self.history: Dict[str, List[float]] = {}
        #: Set by the worker pool when it ends.
        self.stop: Optional[str] = None

    @property
    def run_dir(self) -> Path:
        """The folder of the attempt."""
        return _made(self._folder / str(self._attempt))

    @property
    def checkpoint_dir(self) -> Path:
        """The folder that outlives the attempt."""
        return _made(self._folder / "checkpoint")

    def write(self, step: Optional[int], metrics: Dict[str, float]) -> None:
        """Keeps the metrics until the run is told."""
        for name, value in metrics.items():
            self.history.setdefault(name, []).append(value)

    def stop_reason(self) -> Optional[str]:
        """Returns why the pool ends."""
        return self.stop


_entered: Dict[int, LocalContext] = {}
_agent: Optional[AgentContext] = None
_outside = Context()


def current() -> Context:
    """Returns the run of this thread, else that of this process."""
    global _agent
    if _entered:
        import threading

        found = _entered.get(threading.get_ident())
        # A thread that the objective has started is in its run, if there is no other run.
        if found is None and len(_entered) == 1:
            found = next(iter(_entered.values()), None)
        if found is not None:
            return found
    if _agent is None and "SWEEP_PARAMS" in os.environ and "SWEEP_METRICS" in os.environ:
        _agent = AgentContext(os.environ)
    return _agent or _outside


def enter(context: Optional[LocalContext]) -> None:
    """Makes a run that of this thread; ``None`` leaves it."""
    import threading

    if context is None:
        _entered.pop(threading.get_ident(), None)
    else:
        _entered[threading.get_ident()] = context


def _distributed() -> Any:
    """Returns `torch.distributed` where it is in use."""
    torch = sys.modules.get("torch")
    distributed = getattr(torch, "distributed", None)
    return distributed if distributed is not None and distributed.is_available() and distributed.is_initialized() else None


def agreed(answer: object) -> bool:
    """Returns the answer of rank 0, on each rank of a distributed training."""
    distributed = _distributed()
    if distributed is None:
        return bool(answer)
    answers = [rank() == 0 and bool(answer)]
    distributed.broadcast_object_list(answers, src=0)
    return bool(answers[0])


def rank() -> int:
    """Returns the rank of this process in a distributed training; 0 outside of one."""
    distributed = _distributed()
    if distributed is not None:
        return int(distributed.get_rank())
    environment = os.environ
    for name in _RANKS:
        text = environment.get(name)
        if text and text.isdigit():
            return int(text)
    return 0


def _path(text: str) -> Path:
    # Imported here: it is a third of the time that the import of this module takes.
    from pathlib import Path

    return Path(text)


def _made(folder: Path) -> Path:
    # Private, as agents make them.
    for part in (*reversed(folder.parents), folder):
        if not part.is_dir():
            part.mkdir(mode=0o700, exist_ok=True)
    return folder


def _json(step: Optional[int], metrics: Dict[str, float]) -> str:
    import json

    return json.dumps(metrics if step is None else {"step": step, **metrics})
