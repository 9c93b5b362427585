"""Names and values of other libraries as sweep files have them."""

from __future__ import annotations

import math
import re
from typing import Any, Sequence


def safe(name: str) -> str:
    """Returns a name as sweep files allow it.

    >>> safe("n units")
    'n_units'
    """
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
    return name if re.match(r"[A-Za-z_]", name) else f"_{name}"


def is_plain(choices: Sequence[Any]) -> bool:
    """Returns whether JSON has these values, and tells them apart."""
    kinds = (bool, int, float, str, type(None))
    if not all(isinstance(choice, kinds) and choice == choice and choice not in (math.inf, -math.inf) for choice in choices):
        return False
    return len(set(map(str, choices))) == len(choices) == len(set(choices))
