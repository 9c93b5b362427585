"""Each public function says what it does, and shows an example that is tested."""

from __future__ import annotations

import inspect
from typing import Any, Iterator, Tuple

import sweep


def public() -> Iterator[Tuple[str, Any]]:
    """Returns the public functions and methods."""
    for name in sweep.__all__:
        found = getattr(sweep, name)
        if inspect.isfunction(found):
            yield name, found
        elif inspect.isclass(found):
            for method, value in vars(found).items():
                if not method.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                    yield f"{name}.{method}", value


def test_public_functions_show_an_example_and_name_their_arguments() -> None:
    seen = 0
    for name, found in public():
        text = inspect.getdoc(found) or ""
        assert text, name
        if inspect.isfunction(found):
            seen += 1
            assert ">>> " in text, f"{name} has no example"
            for argument in inspect.signature(found).parameters:
                # Every call has a timeout in seconds; the class says so.
                if argument not in ("self", "timeout"):
                    assert f"{argument}:" in text.replace("**", ""), f"{name} does not say what {argument} is"
    assert seen >= 25


def test_all_names_are_there() -> None:
    assert sorted(sweep.__all__) == list(sweep.__all__)
    for name in sweep.__all__:
        assert getattr(sweep, name) is not None
    assert set(sweep.__all__) <= set(dir(sweep))
    assert not hasattr(sweep, "missing")
