"""A searcher of Ray Tune: ``TuneConfig(search_alg=SweepSearch(), metric="loss", mode="min")``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from ray.tune.search import Searcher
from ray.tune.search.sample import Categorical, Domain, Float, Integer, LogUniform, Normal, Quantized
from ray.tune.search.variant_generator import parse_spec_vars

from ._client import create, get
from ._names import is_plain
from ._records import dotted
from ._sweep import AskedRun, Sweep


class SweepSearch(Searcher):
    """Suggests the configurations of trials by a sweep of a controller.

    Args:
        metric: The objective; by default that of the ``TuneConfig``.
        mode: ``"min"`` or ``"max"``; by default that of the ``TuneConfig``.
        space: The space, with Ray's distributions; by default ``param_space`` of the tuner.
        method: ``"bayes"``, ``"random"`` or ``"grid"``.
        seed: A seed; by default none.
        controller: ``host:port``; by default as :func:`sweep.create`.
        token: The token; by default as :func:`sweep.create`.

    Raises:
        ValueError: The space has a distribution that a sweep file has not (``tune.sample_from``).
        sweep.SweepError: The controller is gone, or refuses.
    """

    def __init__(
        self,
        metric: Optional[str] = None,
        mode: Optional[str] = None,
        space: Optional[Dict[str, Any]] = None,
        *,
        method: str = "bayes",
        seed: Optional[int] = None,
        controller: Optional[str] = None,
        token: Optional[str] = None,
    ) -> None:
        super().__init__(metric=metric, mode=mode)
        self._metric: Optional[str] = metric
        self._mode: Optional[str] = mode
        self._method, self._seed = method, seed
        self._controller, self._token = controller, token
        self._sweep: Optional[Sweep] = None
        self._parameters: Dict[str, _Parameter] = {}
        self._asked: Dict[str, AskedRun] = {}
        if space is not None and metric and mode:
            self._begin(space)
        self._space = space

    @property
    def sweep(self) -> Optional[Sweep]:
        """The sweep; ``None`` before the tuner has begun."""
        return self._sweep

    def set_search_properties(self, metric: Optional[str], mode: Optional[str], config: Dict[str, Any], **spec: Any) -> bool:
        """Part of Ray's interface: makes the sweep."""
        self._metric = metric or self._metric
        self._mode = mode or self._mode
        if self._sweep is None:
            self._begin(self._space or config)
        return True

    def suggest(self, trial_id: str) -> Any:
        """Part of Ray's interface: asks for a run."""
        if self._sweep is None:
            raise RuntimeError("the searcher has no space: give it to the tuner as param_space")
        asked = self._sweep.ask()
        if asked is None:
            return Searcher.FINISHED
        self._asked[trial_id] = asked
        found: Dict[str, Any] = {}
        for name, value in dotted(asked.params).items():
            self._parameters[name].put(found, value)
        return found

    def on_trial_complete(self, trial_id: str, result: Optional[Dict[str, Any]] = None, error: bool = False) -> None:
        """Part of Ray's interface: tells the result."""
        asked = self._asked.pop(trial_id, None)
        if asked is None:
            return
        if error or not result or self._metric not in result:
            asked.fail(f"trial {trial_id} " + ("failed" if error else f"has no {self._metric!r}"))
        else:
            asked.tell(result[self._metric])

    def save(self, checkpoint_path: str) -> None:
        """Part of Ray's interface: the sweep keeps the results; the file has its id."""
        open_runs = {trial: asked.number for trial, asked in self._asked.items()}
        state = {"sweep": self._sweep.id if self._sweep else None, "metric": self._metric, "mode": self._mode, "asked": open_runs}
        Path(checkpoint_path).write_text(json.dumps(state), encoding="utf-8")

    def restore(self, checkpoint_path: str) -> None:
        """Part of Ray's interface: continues the sweep; runs that were under way go back into the queue."""
        state = json.loads(Path(checkpoint_path).read_text(encoding="utf-8"))
        self._metric, self._mode = state["metric"], state["mode"]
        if state["sweep"] is None:
            return
        self._sweep = get(state["sweep"], self._controller, token=self._token)
        if self._space is not None:
            self._parameters = _parameters(self._space)
        for number in state["asked"].values():
            run = self._sweep.get_run(number)
            if run.attempts:
                self._sweep._release(number, run.attempts[-1].number, 30.0)

    def _begin(self, space: Dict[str, Any]) -> None:
        self._parameters = _parameters(space)
        if not self._parameters:
            raise ValueError("the space has nothing that varies")
        goal = "maximize" if self._mode == "max" else "minimize"
        spec: Dict[str, Any] = {
            "method": self._method,
            "metric": {"name": self._metric or "value", "goal": goal},
            "parameters": {name: parameter.form for name, parameter in self._parameters.items()},
        }
        if self._seed is not None:
            spec["seed"] = self._seed
        self._sweep = create(spec, self._controller, token=self._token)


class _Parameter:
    """A parameter that varies: its form in a sweep file, and its place in the configuration of a trial."""

    def __init__(self, path: Tuple[Any, ...], form: Dict[str, Any], choices: Optional[List[Any]] = None) -> None:
        self.form = form
        self._path = path
        self._choices = choices

    def put(self, config: Dict[str, Any], value: Any) -> None:
        """Puts a value into a configuration."""
        *path, last = self._path
        for part in path:
            config = config.setdefault(part, {})
        config[last] = value if self._choices is None else self._choices[value]


def _parameters(space: Dict[str, Any]) -> Dict[str, _Parameter]:
    """Returns the parameters that vary in a space of Ray, by names with dots."""
    from ._names import safe

    _, domains, grids = parse_spec_vars(space)
    found: Dict[str, _Parameter] = {}
    for path, domain in domains:
        name = safe(".".join(map(str, path)))
        if isinstance(domain, Categorical):
            found[name] = _choice(path, list(domain.categories))
        else:
            found[name] = _Parameter(path, _form(name, domain))
    for path, grid in grids:
        found[safe(".".join(map(str, path)))] = _choice(path, list(grid["grid_search"] if isinstance(grid, dict) else grid))
    return found


def _choice(path: Tuple[Any, ...], choices: List[Any]) -> _Parameter:
    if is_plain(choices):
        return _Parameter(path, {"values": choices})
    return _Parameter(path, {"values": list(range(len(choices)))}, choices)


def _form(name: str, domain: Domain) -> Dict[str, Any]:
    sampler, q = domain.get_sampler(), None
    if isinstance(sampler, Quantized):
        sampler, q = sampler.get_sampler(), sampler.q
    if isinstance(sampler, Normal):
        kind = {"distribution": "normal" if q is None else "q_normal", "mu": sampler.mean, "sigma": sampler.sd}
        return kind if q is None else {**kind, "q": q}
    if not isinstance(domain, (Float, Integer)):
        raise ValueError(
            f"{name!r}: a sweep has no {domain.domain_str if hasattr(domain, 'domain_str') else domain!r}; only distributions and choices"
        )
    low, high, is_log = domain.lower, domain.upper, isinstance(sampler, LogUniform)
    if isinstance(domain, Integer):
        # The upper bound of Ray's whole numbers is excluded, unless they are quantized.
        high = high - 1 if q in (None, 1) else high
        if q in (None, 1) and not is_log and low != high:
            return {"distribution": "int_uniform", "min": low, "max": high}
        q = q or 1
    if low == high:
        return {"value": low}
    if q is None:
        return {"distribution": "log_uniform_values" if is_log else "uniform", "min": low, "max": high}
    return {"distribution": "q_log_uniform_values" if is_log else "q_uniform", "min": low, "max": high, "q": q}


__all__ = ["SweepSearch"]
