"""Parameters take the types of their defaults and annotations."""

from __future__ import annotations

import enum
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Literal, Optional, Tuple, TypedDict, Union

import pytest

import sweep
from sweep._params import read


class Kind(enum.Enum):
    ADAM = "adam"
    SGD = "sgd"


@dataclass
class Optimizer:
    lr: float = 0.1
    kind: Kind = Kind.ADAM
    betas: Tuple[float, float] = (0.9, 0.999)


@dataclass
class Config:
    epochs: int
    optimizer: Optimizer = field(default_factory=Optimizer)
    layers: List[int] = field(default_factory=lambda: [64])
    clip: Optional[float] = None
    mode: Literal["fast", "slow"] = "fast"
    size: Union[int, str] = "auto"
    data: Path = Path("data")


class Shape(TypedDict, total=False):
    lr: float
    layers: List[int]


def test_outside_of_a_sweep_all_parameters_have_their_defaults() -> None:
    p = sweep.params(lr=0.1, layers=[64, 64], optimizer={"name": "adam"})
    assert p == {"lr": 0.1, "layers": [64, 64], "optimizer": {"name": "adam"}}
    assert p.optimizer.name == "adam"
    with pytest.raises(AttributeError, match="no parameter is called 'rate'; there are 'lr'"):
        p.rate  # noqa: B018


@pytest.mark.parametrize(
    ("value", "default", "expected"),
    [
        (3, 1.0, 3.0),
        (3.0, 1, 3),
        ("1e-5", 0.1, 1e-5),
        ("false", True, False),
        (1, False, True),
        (5, "auto", "5"),
        ([1, 2], (0.5,), (1.0, 2.0)),
        ("a/b", Path(), Path("a/b")),
        ("sgd", Kind.ADAM, Kind.SGD),
        ("SGD", Kind.ADAM, Kind.SGD),
        ({"any": 1}, None, {"any": 1}),
    ],
)
def test_a_value_takes_the_type_of_its_default(value: Any, default: Any, expected: Any) -> None:
    found = read({"p": value}, None, {"p": default}, True)["p"]
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(("value", "default"), [(3.5, 1), ("x", 1.0), (True, 1.0), ("maybe", True), (3, [1]), ("rms", Kind.ADAM), (1, {"a": 1})])
def test_a_value_that_does_not_fit_names_itself_and_the_type(value: Any, default: Any) -> None:
    with pytest.raises(sweep.ParamsError, match="parameter 'p' is .*, and the program takes"):
        read({"p": value}, None, {"p": default}, True)


def test_dots_lead_into_nested_defaults() -> None:
    found = read({"optimizer.lr": 1, "seed": 3}, None, {"optimizer": {"lr": 0.1, "name": "adam"}, "seed": 0}, True)
    assert found == {"optimizer": {"lr": 1.0, "name": "adam"}, "seed": 3}
    assert read({"optimizer": {"lr": 1}}, None, {"optimizer.lr": 0.1}, True) == {"optimizer": {"lr": 1.0}}
    with pytest.raises(sweep.ParamsError, match="one is a value"):
        read({"a": 1, "a.b": 2}, None, {}, True)


def test_a_dataclass_is_filled_by_its_annotations() -> None:
    values = {
        "epochs": 3.0,
        "optimizer.lr": "1e-3",
        "optimizer.betas": [0.5, 0.9],
        "layers": [8, 8],
        "clip": 1,
        "mode": "slow",
        "size": 12,
        "data": "/d",
    }
    found = read(values, Config, {}, True)
    assert found == Config(3, Optimizer(1e-3, Kind.ADAM, (0.5, 0.9)), [8, 8], 1.0, "slow", 12, Path("/d"))
    assert type(found.epochs) is int
    assert type(found.clip) is float


def test_an_instance_of_a_dataclass_has_the_defaults() -> None:
    found = read({"optimizer.lr": 1}, Config(epochs=7, layers=[1]), {}, True)
    assert found == Config(7, Optimizer(1.0), [1])
    assert sweep.params(Config(epochs=7)) == Config(epochs=7)


def test_a_field_with_neither_value_nor_default_is_an_error() -> None:
    with pytest.raises(sweep.ParamsError, match="parameter 'epochs' has no value in the sweep and no default"):
        sweep.params(Config)
    with pytest.raises(sweep.ParamsError, match="'quick', and the program takes one of 'fast', 'slow'"):
        read({"epochs": 1, "mode": "quick"}, Config, {}, True)


def test_a_typed_dict_is_a_dictionary() -> None:
    assert read({"lr": 1, "layers": [2.0]}, Shape, {}, True) == {"lr": 1.0, "layers": [2]}


def test_a_parameter_that_the_program_does_not_list_is_named() -> None:
    with pytest.warns(UserWarning, match="sets 'optimiser', which params.. does not list; did you mean 'optimizer'") as warned:
        found = read({"optimiser": 1}, None, {"optimizer": "adam"}, True)
    assert found == {"optimizer": "adam", "optimiser": 1}
    assert warned[0].filename == __file__
    with pytest.warns(UserWarning, match="sets 'optimizer.rate'") as warned:
        read({"epochs": 1, "optimizer.rate": 1}, Config, {}, True)
    assert warned[0].filename == __file__
    assert read({"anything": 1}, None, {}, True) == {"anything": 1}


@pytest.mark.skipif(sys.version_info >= (3, 10), reason="Python evaluates `int | None` from 3.10 on")
def test_annotations_of_later_versions_leave_the_types_to_the_defaults() -> None:
    scope: Dict[str, Any] = {}
    exec("from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass C:\n    lr: float | None = 0.1\n", scope)
    assert read({"lr": 1}, scope["C"], {}, True).lr == 1.0


def test_the_parameters_come_from_the_file_of_the_agent(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sweep import _context

    (place / "params.json").write_text(json.dumps({"lr": 1e-5, "layers": [1, 2], "x": float("inf")}))
    context = _context.AgentContext({"SWEEP_PARAMS": str(place / "params.json"), "SWEEP_METRICS": str(place / "m")})
    monkeypatch.setattr(_context, "_agent", context)
    assert sweep.params(lr=1.0, layers=[0], x=0.0) == {"lr": 1e-5, "layers": [1, 2], "x": float("inf")}
