"""A sweeper of Hydra: ``python train.py -m hydra/sweeper=sweep 'lr=tag(log, interval(1e-5, 1e-1))'``.

Hydra imports it at each start (see ``hydra_plugins/sweep_sweeper.py``): what it needs is imported when it is used.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper

if TYPE_CHECKING:
    from ._sweep import AskedRun, Sweep

_LOG = logging.getLogger(__name__)
#: The name of the objective: what the program returns.
_METRIC = "value"


@dataclass
class SweepSweeperConfig:
    """The keys of ``hydra.sweeper``."""

    _target_: str = "hydra_plugins.sweep_sweeper.SweepSweeper"
    #: ``minimize`` or ``maximize``: what the program returns.
    direction: str = "minimize"
    #: ``bayes``, ``random`` or ``grid``.
    method: str = "bayes"
    #: The number of runs; a grid may have fewer.
    n_trials: int = 20
    #: Runs that are given to the launcher at once.
    n_jobs: int = 1
    seed: Optional[int] = None
    #: ``host:port``; by default the controller that commands find.
    controller: Optional[str] = None
    #: Overrides by name, as on the command line, which wins: ``lr: interval(0.0, 0.1)``.
    params: Dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="sweep", node=SweepSweeperConfig, provider="sweep")


class SweepSweeper(Sweeper):
    """Launches the jobs that a sweep of a controller suggests."""

    def __init__(
        self,
        direction: str,
        method: str,
        n_trials: int,
        n_jobs: int,
        seed: Optional[int],
        controller: Optional[str],
        params: Optional[Dict[str, Any]],
    ) -> None:
        self._direction, self._method, self._seed, self._controller = direction, method, seed, controller
        self._n_trials, self._n_jobs = n_trials, max(n_jobs, 1)
        self._params = dict(params or {})
        self.config: Any = None
        self.hydra_context: Any = None
        self.launcher: Any = None

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        """Part of Hydra's interface."""
        from hydra.core.plugins import Plugins

        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: List[str]) -> Any:
        """Part of Hydra's interface: launches the jobs, and returns the best value and its parameters."""
        from ._client import create

        fixed, parameters = self._space(arguments)
        if not parameters:
            raise ValueError("nothing varies: give a sweep such as 'lr=interval(0.0, 0.1)' or 'opt=adam,sgd'")
        spec: Dict[str, Any] = {
            "method": self._method,
            "metric": {"name": _METRIC, "goal": self._direction},
            "parameters": {name: parameter.form for name, parameter in parameters.items()},
        }
        if self._seed is not None:
            spec["seed"] = self._seed
        made = create(spec, self._controller)
        _LOG.info("sweep %s: %d runs", made.id, self._n_trials)
        begun = 0
        while begun < self._n_trials:
            batch = self._ask(made, min(self._n_jobs, self._n_trials - begun))
            if not batch:
                break
            self._launch(batch, fixed, parameters, begun)
            begun += len(batch)
        return self._conclude(made, parameters)

    def _space(self, arguments: Sequence[str]) -> "Tuple[List[str], Dict[str, _Parameter]]":
        """Returns the overrides that all jobs share, and the parameters that vary, by their names in the sweep."""
        from hydra.core.override_parser.overrides_parser import OverridesParser

        from ._names import safe

        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        texts = [f"{name}={value}" for name, value in self._params.items()]
        # The last override of a name counts: the command line comes after the configuration.
        overrides = {override.key_or_group: override for override in parser.parse_overrides([*texts, *arguments])}
        fixed: List[str] = []
        varied: Dict[str, _Parameter] = {}
        for override in overrides.values():
            if override.is_sweep_override():
                varied[safe(override.key_or_group)] = _Parameter.of(override)
            else:
                fixed.append(override.input_line)
        return fixed, varied

    def _ask(self, made: "Sweep", count: int) -> "List[AskedRun]":
        batch: List[AskedRun] = []
        for _ in range(count):
            asked = made.ask()
            if asked is None:
                break
            batch.append(asked)
        return batch

    def _launch(self, batch: "List[AskedRun]", fixed: List[str], parameters: "Dict[str, _Parameter]", begun: int) -> None:
        """Executes runs, and tells their results."""
        from hydra.core.utils import JobStatus

        waiting = list(batch)
        try:
            overrides = [[*fixed, *(parameters[name].override(value) for name, value in asked.params.items())] for asked in batch]
            self.validate_batch_is_legal(overrides)
            results = self.launcher.launch(overrides, initial_job_idx=begun)
            for asked, result in zip(batch, results):
                waiting.remove(asked)
                if result.status != JobStatus.COMPLETED:
                    asked.fail(f"{type(result._return_value).__name__}: {result._return_value}")
                    continue
                try:
                    asked.tell(float(result.return_value))
                except (TypeError, ValueError):
                    asked.fail(f"the program returned {result.return_value!r}, and the objective is a number")
        finally:
            for asked in waiting:
                asked.release()

    def _conclude(self, made: "Sweep", parameters: "Dict[str, _Parameter]") -> Any:
        """Writes the best run to `optimization_results.yaml` in the folder of the sweep."""
        from omegaconf import OmegaConf

        best = made.best
        if best is None:
            failed = made.runs(["failed"])
            raise RuntimeError(f"no run of sweep {made.id} has a value; the last one: {failed[-1].failure.message if failed[-1].failure else ''}")
        found = {parameters[name].key: value for name, value in best.params.items()}
        results = {"name": "sweep", "sweep": made.id, "best_run": best.number, "best_value": best.value, "best_params": found}
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(OmegaConf.create(results), folder / "optimization_results.yaml")
        _LOG.info("best %s with %s", best.value, found)
        return results


class _Parameter:
    """A parameter that varies: its form in a sweep file, and its overrides of Hydra."""

    def __init__(self, key: str, form: Dict[str, Any], texts: Optional[Dict[Any, str]] = None) -> None:
        #: The name with its prefix (`+`), as overrides have it.
        self.key = key
        self.form = form
        self._texts = texts or {}

    @staticmethod
    def of(override: Any) -> "_Parameter":
        """Returns an override that varies as a parameter."""
        key, value = override.get_key_element(), override.value()
        if override.is_interval_sweep():
            low, high = value.start, value.end
            is_log = "log" in value.tags
            if isinstance(low, int) and isinstance(high, int):
                kind = {"distribution": "q_log_uniform_values", "q": 1} if is_log else {"distribution": "int_uniform"}
            else:
                kind = {"distribution": "log_uniform_values" if is_log else "uniform"}
            return _Parameter(key, {**kind, "min": low, "max": high})
        # Hydra writes values in the way that it reads them again: groups, lists, quotes.
        texts = list(override.sweep_string_iterator())
        numbers = [_number(text) for text in texts]
        if all(number is not None for number in numbers) and len(set(numbers)) == len(numbers):
            form: Dict[str, Any] = {"values": numbers}
            if override.is_range_sweep() or "ordered" in getattr(value, "tags", ()):
                form["ordered"] = True
            return _Parameter(key, form, dict(zip(numbers, texts)))
        return _Parameter(key, {"values": list(dict.fromkeys(texts))})

    def override(self, value: Any) -> str:
        """Returns the override that sets a value."""
        return f"{self.key}={self._texts.get(value, value)}"


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None
