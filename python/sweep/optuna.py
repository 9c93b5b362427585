"""Optuna with the search of ``sweep``, and sweeps for Optuna's dashboard.

::

    import optuna
    from sweep.optuna import SweepSampler

    study = optuna.create_study(sampler=SweepSampler())
    study.optimize(objective, n_trials=50)
"""

from __future__ import annotations

import contextlib
import math
import threading
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set

from optuna import Study, create_study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from . import _optuna_space as _space
from ._client import create, get
from ._http import request_id
from ._names import safe
from ._records import Run, dotted
from ._sweep import AskedRun, Sweep
from .errors import SweepError

#: The name of the objective in the sweep.
_METRIC = "value"
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
#: The most imported runs of one call.
_IMPORT_MAX = 10_000


class SweepSampler(BaseSampler):
    """Suggests the parameters of trials by a sweep of a controller.

    The space is learned from the trials: the first one is random, and a parameter that is suggested only in a branch
    (``if optimizer == "sgd":``) gets a condition as soon as the trials show on what it depends. Trials of other samplers,
    enqueued ones and those of other processes teach the search, too. Each time the space grows, the sampler makes a new sweep
    and imports the trials.

    Args:
        method: ``"bayes"``, ``"random"`` or ``"grid"``.
        seed: A seed; by default none.
        controller: ``host:port``; by default as :func:`sweep.create`.
        token: The token; by default as :func:`sweep.create`.

    Raises:
        ValueError: While optimising: the study has several objectives.
        sweep.SweepError: While optimising: the controller is gone, or refuses.
    """

    def __init__(self, method: str = "bayes", *, seed: Optional[int] = None, controller: Optional[str] = None, token: Optional[str] = None) -> None:
        self._method, self._seed = method, seed
        self._controller, self._token = controller, token
        self._random = RandomSampler(seed=seed)
        self._lock = threading.RLock()
        self._distributions: Dict[str, BaseDistribution] = {}
        self._parameters: Dict[str, Any] = {}
        self._sweep: Optional[Sweep] = None
        #: Trials that the sweep has results of.
        self._known: Set[int] = set()
        #: Runs by the number of their trial, and the values that Optuna has got of them.
        self._asked: Dict[int, AskedRun] = {}
        self._given: Dict[int, Dict[str, Any]] = {}

    @property
    def sweep(self) -> Optional[Sweep]:
        """The present sweep; ``None`` before the second trial."""
        return self._sweep

    def reseed_rng(self) -> None:
        """Part of Optuna's interface."""
        self._random.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> Dict[str, BaseDistribution]:
        """Part of Optuna's interface: empty, since values are handed out one by one."""
        return {}

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: Dict[str, BaseDistribution]) -> Dict[str, Any]:
        """Part of Optuna's interface: empty, since values are handed out one by one."""
        return {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Part of Optuna's interface: asks for a run."""
        if len(study.directions) != 1:
            raise ValueError("SweepSampler optimises one objective, and the study has several")
        with self._lock:
            self._learn(study)
            sweep = self._sweep
        asked = sweep.ask() if sweep is not None else None
        if asked is not None:
            self._asked[trial.number] = asked
            self._given[trial.number] = {}

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution) -> Any:
        """Part of Optuna's interface: the value of the run, else a random one."""
        with self._lock:
            self._distributions.setdefault(param_name, param_distribution)
        asked = self._asked.get(trial.number)
        name = safe(param_name)
        if asked is not None and name in (found := dotted(asked.params)):
            value = _space.decoded(found[name], param_distribution)
            if value is not _space.MISFIT:
                self._given[trial.number][param_name] = value
                return value
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Optional[Sequence[float]]) -> None:
        """Part of Optuna's interface: tells the result."""
        asked = self._asked.pop(trial.number, None)
        given = self._given.pop(trial.number, {})
        if asked is None:
            return
        # Optuna asks for no value where there is one alone.
        varied = [name for name, distribution in trial.distributions.items() if not distribution.single()]
        if any(name not in given or given[name] != trial.params[name] for name in varied):
            # It was executed with other parameters: the trial is imported, and the run waits for the next one.
            with contextlib.suppress(SweepError):
                asked.release()
            return
        value = _value(state, values[0] if values else None, trial.intermediate_values)
        if value is None:
            asked.fail(f"trial {trial.number} {state.name.lower()}")
        else:
            asked.tell(value)
        with self._lock:
            self._known.add(trial.number)

    def _learn(self, study: Study) -> None:
        """Brings the sweep up to the trials of the study: its space, and its results."""
        trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state in _ENDED and trial.params]
        for trial in trials:
            for name, distribution in trial.distributions.items():
                self._distributions.setdefault(name, distribution)
        if not trials:
            return
        parameters = _space.parameters(self._distributions, [trial.params for trial in trials])
        if parameters != self._parameters:
            self._begin(study, parameters)
        missing = [trial for trial in trials if trial.number not in self._known and trial.number not in self._asked]
        self._import(missing)

    def _begin(self, study: Study, parameters: Dict[str, Any]) -> None:
        """Makes a sweep with a space; the one before is of no use any more."""
        if self._sweep is not None:
            with contextlib.suppress(SweepError):
                self._sweep.set_state("stop")
                self._sweep._call("ArchiveSweep", {"archived": True, "request_id": request_id()}, 30.0)
        goal = study.direction.name.lower()
        spec: Dict[str, Any] = {"method": self._method, "metric": {"name": _METRIC, "goal": goal}, "parameters": parameters}
        if self._seed is not None:
            spec["seed"] = self._seed
        self._sweep = create(spec, self._controller, token=self._token, name=safe(study.study_name)[:60])
        self._parameters, self._known = parameters, set()

    def _import(self, trials: List[FrozenTrial]) -> None:
        runs: List[Dict[str, Any]] = []
        for trial in trials:
            value = _value(trial.state, trial.value, trial.intermediate_values)
            failure = "" if value is not None else f"trial {trial.number} {trial.state.name.lower()}"
            params = _space.encoded(trial.params, self._distributions, self._parameters)
            runs.append({"params_json": params, "value": value or 0.0, "failure": failure, "code_version": ""})
        for start in range(0, len(runs), _IMPORT_MAX):
            fields = {"request_id": request_id(), "runs": runs[start : start + _IMPORT_MAX]}
            assert self._sweep is not None
            self._sweep._call("ImportRuns", fields, 60.0)
        self._known.update(trial.number for trial in trials)


def _value(state: TrialState, value: Optional[float], intermediate: Mapping[int, float]) -> Optional[float]:
    """Returns the objective of a trial: of a pruned one the last intermediate value."""
    if state == TrialState.PRUNED and intermediate:
        value = intermediate[max(intermediate)]
    return value if state != TrialState.FAIL and value is not None and math.isfinite(value) else None


def export(sweep_id: str, storage: Any, study_name: Optional[str] = None, *, controller: Optional[str] = None, token: Optional[str] = None) -> Study:
    """Writes a sweep as a study of Optuna, for its dashboard and its plots.

    Finished runs are complete trials, stopped ones are pruned, failed ones failed; others are left out. The curve of the
    objective becomes intermediate values. Other metrics and the number of the run are user attributes.

    Args:
        sweep_id: The sweep, by id or name.
        storage: A storage of Optuna, or its URL: ``"sqlite:///x.db"``.
        study_name: The name of the study; by default the id.
        controller: As in :func:`sweep.get`.
        token: As in :func:`sweep.get`.

    Returns:
        The study.

    Raises:
        optuna.exceptions.DuplicatedStudyError: The storage has a study of this name.
        sweep.NotFound: There is no such sweep.
    """
    sweep = get(sweep_id, controller, token=token)
    status = sweep.status()
    runs = [run for run in sweep.runs(["finished", "stopped", "failed"]) if run.attempts or run.value is not None]
    distributions = _space.distributions(status.yaml, [dotted(run.params) for run in runs])
    curves: Dict[int, Dict[int, float]] = {}
    for point in sweep.curves([run.number for run in runs if run.attempts], [status.metric]):
        if point.step is not None and math.isfinite(point.value):
            curves.setdefault(point.run, {})[point.step] = point.value
    direction = "maximize" if status.goal == "maximize" else "minimize"
    study = create_study(storage=storage, study_name=study_name or sweep.id, direction=direction)
    study.set_user_attr("sweep", sweep.id)
    study.add_trials([_trial(run, distributions, curves.get(run.number, {})) for run in runs])
    return study


def _trial(run: Run, distributions: Mapping[str, BaseDistribution], curve: Mapping[int, float]) -> FrozenTrial:
    states = {"finished": TrialState.COMPLETE, "stopped": TrialState.PRUNED}
    state = states.get(run.state, TrialState.FAIL)
    if run.value is None and state == TrialState.COMPLETE:
        state = TrialState.FAIL
    params = {name: _space.choice(value) for name, value in dotted(run.params).items()}
    attributes: Dict[str, Any] = {"run": f"{run.sweep_id}/{run.number}", **{f"metric.{name}": value for name, value in run.metrics.items()}}
    if run.failure is not None:
        attributes["failure"] = run.failure.message
    trial = create_trial(
        state=state,
        value=run.value if state != TrialState.FAIL else None,
        params=params,
        distributions={name: distributions[name] for name in params},
        user_attrs=attributes,
        intermediate_values=dict(curve),
    )
    trial.datetime_start, trial.datetime_complete = (time and time.astimezone().replace(tzinfo=None) for time in (run.created, run.ended))
    return trial


__all__ = ["SweepSampler", "export"]
