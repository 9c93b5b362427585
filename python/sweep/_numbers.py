"""Reads numbers from what training programs have: tensors, scalars of numpy, Decimal, Fraction."""

from __future__ import annotations

import contextlib
from typing import Any, Dict, Mapping

_RESERVED = ("step", "_step")


def number(name: str, value: Any) -> float:
    """Returns the number that ``value`` is.

    Takes anything that ``float`` takes, except text: a tensor or an array with one element, on any device.

    Args:
        name: The metric's name, for the message.
        value: The value.

    Raises:
        TypeError: The value is no number, or has several elements.

    >>> from decimal import Decimal
    >>> number("loss", Decimal("0.25"))
    0.25
    """
    kind = type(value)
    if kind is float or kind is int:
        return value  # type: ignore[no-any-return]
    if isinstance(value, (str, bytes)) or value is None:
        raise TypeError(f"metric {name!r} is {value!r}, and a metric is a number")
    try:
        item = getattr(value, "item", None)
        # `item` of tensors and arrays gives a number of Python, and fails with several elements.
        return float(item() if callable(item) else value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"metric {name!r} is a {kind.__module__}.{kind.__qualname__}, which is not one number: {error}") from error


def flat(metrics: Mapping[str, Any], prefix: str = "") -> Dict[str, float]:
    """Returns the numbers of nested metrics, with dots between the names.

    Args:
        metrics: Numbers by name, or mappings of them.
        prefix: Goes before each name.

    Raises:
        TypeError: A value is no number.
        ValueError: A metric is called ``step``, which is the argument of ``report``.

    >>> flat({"val": {"loss": 0.5, "acc": 1}})
    {'val.loss': 0.5, 'val.acc': 1}
    """
    found: Dict[str, float] = {}
    for key, value in metrics.items():
        if type(value) is float:
            found[prefix + key] = value
        elif isinstance(value, Mapping):
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[prefix + key] = number(prefix + key, value)
    for name in _RESERVED:
        if name in found:
            raise ValueError(f"no metric can be called {name!r}: it is the step; give it as step=…")
    return found


def known(data: Mapping[str, Any], prefix: str = "") -> Dict[str, float]:
    """Returns the numbers of what a library logs; media, texts and the step are left out.

    >>> known({"loss": 0.5, "note": "x", "val": {"acc": 1}, "step": 3})
    {'loss': 0.5, 'val.acc': 1.0}
    """
    found: Dict[str, float] = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            found.update(known(value, f"{prefix}{name}."))
        elif not isinstance(value, (str, bytes)) and name not in _RESERVED:
            # What is no number is no metric.
            with contextlib.suppress(TypeError, ValueError, RuntimeError):
                found[prefix + name] = float(value)
    return found
