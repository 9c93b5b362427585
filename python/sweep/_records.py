"""The records of a controller, as dataclasses."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple, TypeVar

T = TypeVar("T")


def params_of(text: str) -> Dict[str, Any]:
    """Reads a configuration.

    >>> params_of('{"lr": 0.1, "clip": {"$float": "inf"}}')
    {'lr': 0.1, 'clip': inf}
    """

    def revive(found: Dict[str, Any]) -> Any:
        # JSON has no infinity.
        return float(found["$float"]) if list(found) == ["$float"] else found

    read: Dict[str, Any] = json.loads(text or "{}", object_hook=revive)
    return read


def dotted(found: Mapping[str, Any], prefix: str = "") -> Dict[str, Any]:
    """Flattens nested parameters.

    >>> dotted({"optimizer": {"lr": 0.1}, "layers": [64, 64]})
    {'optimizer.lr': 0.1, 'layers': [64, 64]}
    """
    flat: Dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, Mapping) and value:
            flat.update(dotted(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def _time(ms: int) -> Optional[datetime]:
    return datetime.fromtimestamp(ms / 1000, timezone.utc) if ms else None


@dataclass(frozen=True)
class Failure:
    """The failure of an attempt."""

    #: ``crashed``, ``signal``, ``out_of_memory``, ``nan_objective`` and others.
    kind: str
    #: ``configuration``, ``command_line``, ``machine`` or ``external``.
    attribution: str
    message: str
    exit_code: Optional[int]
    signal: Optional[int]
    #: The last lines of the output.
    output_tail: str
    evidence: str


@dataclass(frozen=True)
class Suggestion:
    """The reason for a configuration, in words and numbers."""

    #: ``grid``, ``random``, ``start_up``, ``probe``, ``exploit``, ``explore``, ``far``, ``dense``, ``external``.
    kind: str
    reason: str
    #: The model's prediction of the objective, in its unit, where there is a model.
    mean: Optional[float]
    #: Its standard deviation.
    deviation: Optional[float]
    #: The expected improvement over the best value, in the objective's unit.
    improvement: Optional[float]
    #: The probability that the run neither fails nor violates a constraint.
    success: Optional[float]
    #: The number of ended runs that the search used.
    observations: int


@dataclass(frozen=True)
class Attempt:
    """One execution of a run."""

    number: int
    host: str
    #: ``assigned``, ``running``, ``finished``, ``stopped``, ``failed``, ``lost``, ``preempted``, ``returned``, ``cancelled``.
    state: str
    failure: Optional[Failure]
    started: Optional[datetime]
    ended: Optional[datetime]
    #: The last value of each metric.
    metrics: Dict[str, float]
    command: List[str]
    code_version: str


@dataclass(frozen=True)
class Run:
    """One configuration and its outcome."""

    sweep_id: str
    number: int
    #: ``queued``, ``assigned``, ``running``, ``finished``, ``stopped``, ``failed``, ``cancelled``.
    state: str
    #: Why it is in this state, in words; mostly empty.
    reason: str
    #: The configuration, as the program sees it: nested.
    params: Dict[str, Any]
    #: The objective by the sweep's rule; ``None``: it has none.
    value: Optional[float]
    #: The best and the last value of the objective.
    best: Optional[float]
    last: Optional[float]
    attempts: List[Attempt]
    suggestion: Optional[Suggestion]
    created: Optional[datetime]
    ended: Optional[datetime]
    code_version: str = ""
    note: str = ""
    tags: Tuple[str, ...] = ()
    pinned: bool = False
    #: The violated constraints, in words.
    violates: Tuple[str, ...] = ()

    @property
    def metrics(self) -> Dict[str, float]:
        """The last value of each metric of the newest attempt."""
        return self.attempts[-1].metrics if self.attempts else {}

    @property
    def failure(self) -> Optional[Failure]:
        """The failure of the newest attempt; ``None``: it did not."""
        return self.attempts[-1].failure if self.attempts else None

    @property
    def seconds(self) -> Optional[float]:
        """The duration of the newest attempt, in seconds; ``None``: it has not ended."""
        newest = self.attempts[-1] if self.attempts else None
        if newest is None or newest.started is None or newest.ended is None:
            return None
        return (newest.ended - newest.started).total_seconds()

    def row(self) -> Dict[str, Any]:
        """Returns the run as one row of a table: ``param.…`` and ``metric.…`` hold what the sweep names.

        >>> s = sweep.create(SPACE)
        >>> s.ask().tell(0.25)
        >>> s.get_run(1).row()["metric.loss"]
        0.25
        """
        found: Dict[str, Any] = {
            "run": self.number,
            "state": self.state,
            "value": self.value,
            "best": self.best,
            "last": self.last,
        }
        found.update({f"param.{name}": value for name, value in dotted(self.params).items()})
        found.update({f"metric.{name}": value for name, value in sorted(self.metrics.items())})
        found.update(
            seconds=self.seconds,
            created=self.created,
            ended=self.ended,
            attempts=len(self.attempts),
            failure=self.failure.message if self.failure and self.state == "failed" else None,
            code_version=self.code_version,
        )
        return found


@dataclass(frozen=True)
class CurvePoint:
    """One value of a metric."""

    run: int
    metric: str
    #: ``None``: it was reported without a step.
    step: Optional[int]
    value: float
    #: When it was read; ``None`` for told results.
    time: Optional[datetime]

    def row(self) -> Dict[str, Any]:
        """Returns the point as one row of a table.

        >>> CurvePoint(1, "loss", 3, 0.25, None).row()["step"]
        3
        """
        return {"run": self.run, "metric": self.metric, "step": self.step, "value": self.value, "time": self.time}


@dataclass(frozen=True)
class SweepStatus:
    """The progress of a sweep."""

    id: str
    name: str
    #: ``running``, ``paused``, ``finished``, ``stopped``, ``cancelled``.
    state: str
    reason: str
    method: str
    #: The objective; empty where the sweep has none.
    metric: str
    #: ``minimize`` or ``maximize``.
    goal: str
    #: The number of runs after which the sweep ends; ``None``: it has no end.
    planned: Optional[int]
    queued: int
    running: int
    finished: int
    stopped: int
    failed: int
    cancelled: int
    best_run: Optional[int]
    best_value: Optional[float]
    created: Optional[datetime]
    #: The sweep file; only in :meth:`Sweep.status`.
    yaml: str = field(default="", repr=False)

    @property
    def is_ended(self) -> bool:
        """The sweep is over: no more runs begin or end."""
        return self.state in ("finished", "cancelled") or self.state == "stopped" and not self.running


class Records(List[T]):
    """A list of records that can become a data frame."""

    def rows(self) -> List[Dict[str, Any]]:
        """Returns one dictionary a record; all have the same keys.

        >>> Records([CurvePoint(1, "loss", 3, 0.25, None)]).rows()
        [{'run': 1, 'metric': 'loss', 'step': 3, 'value': 0.25, 'time': None}]
        """
        rows: List[Dict[str, Any]] = [record.row() for record in self]  # type: ignore[attr-defined]
        names = _united(rows)
        return [{name: row.get(name) for name in names} for row in rows]

    def to_pandas(self) -> Any:
        """Returns a ``pandas.DataFrame`` with one row a record.

        Raises:
            ImportError: pandas is not installed.

        >>> Records([CurvePoint(1, "loss", 3, 0.25, None)]).to_pandas().shape
        (1, 5)
        """
        import pandas

        return pandas.DataFrame(self.rows())

    def to_polars(self) -> Any:
        """Returns a ``polars.DataFrame`` with one row a record. Values of a column that have several types become text.

        Raises:
            ImportError: polars is not installed.

        >>> Records([CurvePoint(1, "loss", 3, 0.25, None)]).to_polars().shape  # doctest: +SKIP
        (1, 5)
        """
        import polars

        rows = self.rows()
        columns = {name: _of_one_type([row[name] for row in rows]) for name in (rows[0] if rows else {})}
        return polars.DataFrame(columns, strict=False)


def _united(rows: Iterable[Mapping[str, Any]]) -> List[str]:
    """Returns the keys of all rows: parameters and metrics of later rows come behind their like."""
    groups: Dict[str, Dict[str, None]] = {}
    for row in rows:
        for name in row:
            prefix = name.split(".")[0] if name.startswith(("param.", "metric.")) else name
            groups.setdefault(prefix, {})[name] = None
    if "param" not in groups:
        return [name for prefix in groups for name in groups[prefix]]
    order = sorted(groups, key=lambda prefix: _ORDER.index(prefix) if prefix in _ORDER else len(_ORDER))
    return [name for prefix in order for name in groups[prefix]]


_ORDER = ["run", "state", "value", "best", "last", "param", "metric", "seconds", "created", "ended", "attempts", "failure", "code_version"]


def _of_one_type(values: List[Any]) -> List[Any]:
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1 or kinds <= {int, float}:
        return values
    return [None if value is None else str(value) for value in values]


def run_of(found: Mapping[str, Any]) -> Run:
    """Reads a run of the controller's answer."""
    return Run(
        sweep_id=found["sweep_id"],
        number=found["run"],
        state=found["state"],
        reason=found["reason"],
        params=params_of(found["params_json"]),
        value=found["value"],
        best=found["best"],
        last=found["last"],
        attempts=[_attempt_of(attempt) for attempt in found["attempts"]],
        suggestion=suggestion_of(found["suggestion"]),
        created=_time(found["created_ms"]),
        ended=_time(found["ended_ms"]),
        code_version=found["code_version"],
        note=found["note"],
        tags=tuple(found["tags"]),
        pinned=found["pinned"],
        violates=tuple(found["violates"]),
    )


def _attempt_of(found: Mapping[str, Any]) -> Attempt:
    failure = found["failure"]
    return Attempt(
        number=found["attempt"],
        host=found["host"],
        state=found["state"],
        failure=failure
        and Failure(
            kind=failure["kind"],
            attribution=failure["blame"],
            message=failure["message"],
            exit_code=failure["exit_code"],
            signal=failure["signal"],
            output_tail=failure["output_tail"],
            evidence=failure["evidence"],
        ),
        started=_time(found["started_ms"]),
        ended=_time(found["ended_ms"]),
        metrics={name: float("nan") if value is None else value for name, value in found["metrics"].items()},
        command=list(found["command"]),
        code_version=found["code_version"],
    )


def suggestion_of(found: Optional[Mapping[str, Any]]) -> Optional[Suggestion]:
    """Reads a suggestion of the controller's answer."""
    if found is None:
        return None
    names = ("kind", "reason", "mean", "deviation", "improvement", "success", "observations")
    return Suggestion(**{name: found[name] for name in names})


def point_of(run: int, found: Mapping[str, Any]) -> CurvePoint:
    """Reads a point of the controller's answer."""
    value = float("nan") if found["value"] is None else found["value"]
    return CurvePoint(run, found["name"], found["step"], value, _time(found["wall_ms"]))


def status_of(found: Mapping[str, Any]) -> SweepStatus:
    """Reads a sweep of the controller's answer."""
    counts = ("queued", "running", "finished", "stopped", "failed", "cancelled")
    texts = ("id", "name", "state", "reason", "method", "metric", "goal", "best_run", "best_value", "yaml")
    return SweepStatus(
        planned=found["planned"] or None,
        created=_time(found["created_ms"]),
        **{name: found[name] for name in counts + texts},
    )
