"""Spaces of Optuna as parameters of a sweep file, and the other way round."""

from __future__ import annotations

import json
import math
from typing import Any, Dict, List, Mapping, Optional, Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from ._names import is_plain, safe

#: Steps up to this number are listed; a range with more is continuous, and its values are rounded.
_STEPS_MAX = 200
#: The most values of a whole number that can decide about other parameters.
_PARENT_MAX = 10
#: The value of a sweep does not fit the distribution of a trial.
MISFIT = object()


def parameters(distributions: Mapping[str, BaseDistribution], trials: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    """Returns the parameters of a sweep with the space of trials.

    Args:
        distributions: By the names of Optuna.
        trials: The parameters of the trials so far: a parameter that not all have gets a condition, if one explains it.
    """
    found: Dict[str, Any] = {}
    for name, distribution in distributions.items():
        form = _form(distribution)
        condition = _condition(name, distributions, trials)
        if condition is not None:
            form["when"] = condition
        found[safe(name)] = form
    return found


def _form(distribution: BaseDistribution) -> Dict[str, Any]:
    if isinstance(distribution, CategoricalDistribution):
        choices = list(distribution.choices)
        return {"values": choices if is_plain(choices) else list(range(len(choices)))}
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    low, high, step = distribution.low, distribution.high, distribution.step
    if distribution.single():
        return {"value": low}
    if step is not None and step != 1 or isinstance(distribution, FloatDistribution) and step:
        count = int(math.floor((high - low) / step + 1e-9)) + 1
        if count <= _STEPS_MAX:
            return {"values": [_rounded(low + index * step) for index in range(count)], "ordered": True}
    if isinstance(distribution, IntDistribution):
        if distribution.log:
            return {"distribution": "q_log_uniform_values", "min": low, "max": high, "q": 1}
        return {"distribution": "int_uniform", "min": low, "max": high}
    kind = "log_uniform_values" if distribution.log else "uniform"
    return {"distribution": kind, "min": low, "max": high}


def _rounded(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.12g}")


def _condition(name: str, distributions: Mapping[str, BaseDistribution], trials: Sequence[Mapping[str, Any]]) -> Optional[Dict[str, Any]]:
    """Returns on which value of which other parameter it depends whether trials have a parameter; `None`: on none."""
    having = [trial for trial in trials if name in trial]
    lacking = [trial for trial in trials if name not in trial]
    if not having or not lacking:
        return None
    for parent, distribution in distributions.items():
        if parent == name or not _decides(distribution) or not all(parent in trial for trial in having):
            continue
        present = [_encoded_one(trial[parent], distribution) for trial in having]
        absent = [_encoded_one(trial[parent], distribution) for trial in lacking if parent in trial]
        if absent and not any(value in absent for value in present):
            order = sorted(set(map(_key, present)))
            return {safe(parent): [json.loads(key) for key in order]}
    return None


def _key(value: Any) -> str:
    return json.dumps(value)


def _decides(distribution: BaseDistribution) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return True
    return isinstance(distribution, IntDistribution) and distribution.high - distribution.low < _PARENT_MAX * distribution.step


def _encoded_one(value: Any, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution) and not is_plain(distribution.choices):
        return int(distribution.to_internal_repr(value))
    return value


def encoded(params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution], forms: Mapping[str, Any]) -> str:
    """Returns the parameters of a trial as a configuration in JSON; those that a condition excludes are left out."""
    found = {safe(name): _encoded_one(value, distributions[name]) for name, value in params.items()}

    def is_active(name: str) -> bool:
        condition = forms[name].get("when", {})
        return all(parent in found and found[parent] in values and is_active(parent) for parent, values in condition.items())

    return json.dumps({name: value for name, value in found.items() if is_active(name)})


def decoded(value: Any, distribution: BaseDistribution) -> Any:
    """Returns a value of a sweep as one of a distribution; :data:`MISFIT`: it is none."""
    try:
        if isinstance(distribution, CategoricalDistribution):
            if not is_plain(distribution.choices):
                return distribution.choices[value]
            return next((choice for choice in distribution.choices if choice == value and type(choice) is type(value)), MISFIT)
        assert isinstance(distribution, (FloatDistribution, IntDistribution))
        low, high, step = distribution.low, distribution.high, distribution.step
        value = min(max(value, low), high)
        if step:
            value = min(low + round((value - low) / step) * step, high)
        value = int(round(value)) if isinstance(distribution, IntDistribution) else float(value)
        return value if distribution._contains(distribution.to_internal_repr(value)) else MISFIT
    except (TypeError, ValueError, IndexError):
        return MISFIT


def choice(value: Any) -> Any:
    """Returns a value as Optuna's categories can have it: lists and maps as text."""
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def distributions(yaml_text: str, runs: Sequence[Mapping[str, Any]]) -> Dict[str, BaseDistribution]:
    """Returns the distributions of a sweep, wide enough for the values of its runs.

    Args:
        yaml_text: The sweep file.
        runs: The parameters of the runs, flat.
    """
    import yaml  # Optuna needs it, too.

    forms = _flat_forms(yaml.safe_load(yaml_text).get("parameters") or {})
    names: Dict[str, List[Any]] = {}
    for run in runs:
        for name, value in run.items():
            names.setdefault(name, []).append(choice(value))
    return {name: _distribution(forms.get(name, {}), values) for name, values in names.items()}


def _flat_forms(forms: Mapping[str, Any], prefix: str = "") -> Dict[str, Mapping[str, Any]]:
    flat: Dict[str, Mapping[str, Any]] = {}
    for name, form in forms.items():
        if isinstance(form, dict) and isinstance(form.get("parameters"), dict):
            flat.update(_flat_forms(form["parameters"], f"{prefix}{name}."))
        elif isinstance(form, dict):
            flat[f"{prefix}{name}"] = form
    return flat


def _distribution(form: Mapping[str, Any], seen: Sequence[Any]) -> BaseDistribution:
    is_number = all(isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) for value in seen)
    if "values" in form or "value" in form or not is_number:
        choices = [choice(value) for value in form.get("values", [])]
        # YAML and the sweep may read a number in two ways: what runs have counts.
        choices = [value for value in choices if any(value == other and type(value) is type(other) for other in seen)]
        for value in seen:
            if not any(value == other and type(value) is type(other) for other in choices):
                choices.append(value)
        return CategoricalDistribution(choices)
    low, high = min(seen), max(seen)
    try:
        if "sigma" not in form and not str(form.get("distribution", "")).endswith("log_uniform"):
            low, high = min(low, float(form["min"])), max(high, float(form["max"]))
    except (KeyError, TypeError, ValueError):
        # A distribution without bounds.
        pass
    is_log = "log" in str(form.get("distribution", "")) and low > 0
    if all(isinstance(value, int) for value in seen):
        return IntDistribution(int(low), int(high), log=is_log and low >= 1)
    return FloatDistribution(float(low), float(high), log=is_log)
