"""Parameters of a run, with the types of their defaults or annotations."""

from __future__ import annotations

import dataclasses
import difflib
import enum
import sys
import typing
import warnings
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Union

from .errors import ParamsError

_MISSING = dataclasses.MISSING
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class Params(Dict[str, Any]):
    """Parameters by name; names are attributes, too.

    >>> Params(lr=0.1).lr
    0.1
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no parameter is called {name!r}; there are {_listed(self)}") from None


def read(found: Mapping[str, Any], shape: Any, defaults: Mapping[str, Any], is_sweep: bool) -> Any:
    """Returns the parameters ``found`` in the form of ``shape`` or ``defaults``."""
    values = nested(found)
    if shape is None:
        if is_sweep and defaults:
            _warn_unused(values, defaults)
        return _fitted(values, defaults, "")
    if dataclasses.is_dataclass(shape):
        return _dataclass(values, shape, "")
    if _is_typed_dict(shape):
        return _typed_dict(values, shape, "")
    if isinstance(shape, Mapping):
        return _fitted(values, shape, "")
    raise TypeError(f"params() takes a dataclass, a TypedDict or defaults by name, and not {shape!r}")


def nested(found: Mapping[str, Any]) -> Dict[str, Any]:
    """Leads names with dots into mappings.

    >>> nested({"optimizer.lr": 0.1, "optimizer.name": "adam", "seed": 1})
    {'optimizer': {'lr': 0.1, 'name': 'adam'}, 'seed': 1}
    """
    tree: Dict[str, Any] = {}
    for name, value in found.items():
        node = tree
        *path, last = name.split(".")
        for part in path:
            inner = node.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ParamsError(f"the sweep has the parameters {part!r} and {name!r}: one is a value, the other is in it")
            node = inner
        value = nested(value) if isinstance(value, Mapping) else value
        if isinstance(value, dict) and isinstance(node.get(last), dict):
            node[last].update(value)
        else:
            node[last] = value
    return tree


def _fitted(values: Mapping[str, Any], defaults: Mapping[str, Any], prefix: str) -> Params:
    given = nested(defaults)
    result = Params()
    for name in [*given, *(name for name in values if name not in given)]:
        if name not in values:
            result[name] = _plain(given[name])
        elif name not in given:
            result[name] = _plain(values[name])
        else:
            result[name] = _like(values[name], given[name], prefix + name)
    return result


def _plain(value: Any) -> Any:
    return _fitted(value, {}, "") if isinstance(value, Mapping) else value


def _like(value: Any, default: Any, name: str) -> Any:
    """Returns a value with the type of a default."""
    if dataclasses.is_dataclass(default):
        return _dataclass(_mapping(value, name), default, name + ".")
    if isinstance(default, Mapping):
        return _fitted(_mapping(value, name), default, name + ".")
    if isinstance(default, (list, tuple)):
        if not isinstance(value, (list, tuple)):
            raise _misfit(value, type(default).__name__, name)
        kinds = {type(item) for item in default}
        if len(kinds) == 1 and not kinds & {list, dict, tuple}:
            value = [_scalar(item, next(iter(kinds)), name) for item in value]
        return type(default)(value)
    if default is None:
        return value
    return _scalar(value, type(default), name)


def _scalar(value: Any, kind: Any, name: str) -> Any:
    """Returns a value as one of a plain type."""
    if kind is bool:
        if isinstance(value, bool) or value in (0, 1):
            return bool(value)
        if isinstance(value, str) and value.lower() in _TRUE + _FALSE:
            return value.lower() in _TRUE
    elif kind is int or kind is float:
        try:
            if isinstance(value, bool) and kind is float or value is None:
                raise ValueError
            number = float(value)
            if kind is float:
                return number
            if number == int(number):
                return value if type(value) is int else int(number)
        except (TypeError, ValueError, OverflowError):
            pass
    elif kind is str:
        if isinstance(value, (str, int, float)):
            return str(value)
    elif isinstance(kind, type) and issubclass(kind, enum.Enum):
        for member in kind:
            if value == member.value or value == member.name:
                return member
    elif isinstance(kind, type) and issubclass(kind, Path):
        if isinstance(value, str):
            return kind(value)
    else:
        return value
    raise _misfit(value, getattr(kind, "__name__", str(kind)), name)


def _dataclass(values: Mapping[str, Any], shape: Any, prefix: str) -> Any:
    kind = shape if isinstance(shape, type) else type(shape)
    fields = [field for field in dataclasses.fields(kind) if field.init]
    hints = _hints(kind)
    _warn_unused(values, [field.name for field in fields], prefix)
    taken: Dict[str, Any] = {}
    for field in fields:
        name = prefix + field.name
        default = _default(field, shape)
        hint = hints.get(field.name)
        if field.name in values:
            taken[field.name] = _typed(values[field.name], hint, default, name)
        elif default is not _MISSING:
            taken[field.name] = default
        elif isinstance(hint, type) and dataclasses.is_dataclass(hint):
            taken[field.name] = _dataclass({}, hint, name + ".")
        else:
            raise ParamsError(f"parameter {name!r} has no value in the sweep and no default")
    return kind(**taken)


def _default(field: "dataclasses.Field[Any]", shape: Any) -> Any:
    if not isinstance(shape, type):
        return getattr(shape, field.name)
    if field.default_factory is not _MISSING:
        return field.default_factory()
    return field.default


def _typed_dict(values: Mapping[str, Any], shape: Any, prefix: str) -> Dict[str, Any]:
    hints = _hints(shape)
    _warn_unused(values, hints, prefix)
    missing = [name for name in getattr(shape, "__required_keys__", ()) if name not in values]
    if missing:
        raise ParamsError(f"the sweep has no value for {_listed(missing)}, and a TypedDict has no defaults")
    return {name: _typed(values[name], hint, _MISSING, prefix + name) for name, hint in hints.items() if name in values}


def _typed(value: Any, hint: Any, default: Any, name: str) -> Any:
    """Returns a value with an annotated type; without one, that of the default."""
    if hint is None or hint is Any:
        return value if default is _MISSING else _like(value, default, name)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Union or (sys.version_info >= (3, 10) and origin is __import__("types").UnionType):
        return _one_of(value, arguments, default, name)
    if origin is typing.Literal:
        for choice in arguments:
            if value == choice and isinstance(value, bool) == isinstance(choice, bool):
                return choice
        raise _misfit(value, f"one of {_listed(arguments)}", name)
    if origin in (list, tuple, set, frozenset):
        if not isinstance(value, (list, tuple)):
            raise _misfit(value, origin.__name__, name)
        return origin(_items(value, origin, arguments, name))
    if origin in (dict, typing.get_origin(Mapping[str, Any])):
        inner = arguments[1] if len(arguments) == 2 else Any
        return {key: _typed(item, inner, _MISSING, f"{name}.{key}") for key, item in _mapping(value, name).items()}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        shape = default if dataclasses.is_dataclass(default) else hint
        return _dataclass(_mapping(value, name), shape, name + ".")
    if _is_typed_dict(hint):
        return _typed_dict(_mapping(value, name), hint, name + ".")
    if hint in (list, tuple, dict):
        return _like(value, hint(), name)
    return _scalar(value, hint, name)


def _one_of(value: Any, hints: Iterable[Any], default: Any, name: str) -> Any:
    choices = list(hints)
    if value is None and type(None) in choices:
        return None
    choices = [choice for choice in choices if choice is not type(None)]
    # A type that the value has already comes before one that it can be turned into.
    choices.sort(key=lambda choice: type(value) is not choice)
    for choice in choices:
        try:
            return _typed(value, choice, default, name)
        except ParamsError:
            continue
    raise _misfit(value, " or ".join(str(getattr(choice, "__name__", choice)) for choice in choices), name)


def _items(value: Any, origin: Any, arguments: Any, name: str) -> List[Any]:
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        if len(arguments) != len(value):
            raise _misfit(value, f"tuple of {len(arguments)}", name)
        return [_typed(item, hint, _MISSING, name) for item, hint in zip(value, arguments)]
    hint = arguments[0] if arguments and not isinstance(arguments[0], typing.TypeVar) else Any
    return [_typed(item, hint, _MISSING, name) for item in value]


def _hints(kind: Any) -> Dict[str, Any]:
    try:
        return typing.get_type_hints(kind)
    except (NameError, TypeError):
        # An annotation that this version of Python cannot evaluate (`int | None` before 3.10): the defaults have types.
        return dict.fromkeys(getattr(kind, "__annotations__", {}))


def _is_typed_dict(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, dict) and hasattr(shape, "__total__")


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _misfit(value, "mapping", name)
    return value


def _warn_unused(values: Iterable[str], fields: Iterable[str], prefix: str = "") -> None:
    known = [name.split(".")[0] for name in fields]
    for name in values:
        if name not in known:
            close: Optional[List[str]] = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            warnings.warn(f"the sweep sets {prefix + name!r}, which params() does not list{hint}", stacklevel=_frames())


def _frames() -> int:
    """Returns how many frames above its caller the program of the user is."""
    frame, count = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        frame, count = frame.f_back, count + 1
    return count


def _misfit(value: Any, expected: str, name: str) -> ParamsError:
    return ParamsError(f"parameter {name!r} is {value!r}, and the program takes {expected}")


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(repr(name) for name in names) or "none"
