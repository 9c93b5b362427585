"""Optuna with our search, and sweeps as studies: with the real package."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import sweep
from conftest import SPACE, needs


@pytest.fixture(autouse=True)
def optuna() -> Any:
    needs("optuna")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@pytest.mark.filterwarnings("ignore:Choices for a categorical")
def test_a_study_is_optimised_by_a_sweep(optuna: Any) -> None:
    from sweep.optuna import SweepSampler

    def objective(trial: Any) -> float:
        x = trial.suggest_float("x", -1, 1)
        lr = trial.suggest_float("lr", 1e-5, 1, log=True)
        n = trial.suggest_int("n units", 1, 8)
        batch = trial.suggest_int("batch", 16, 256, step=16)
        drop = trial.suggest_float("drop", 0, 0.5, step=0.1)
        layers = trial.suggest_int("layers", 1, 1000, log=True)
        kind = trial.suggest_categorical("kind", ["a", None, True, 3])
        shape = trial.suggest_categorical("shape", [(1, 2), (3, 4)])
        constant = trial.suggest_float("constant", 2.0, 2.0)
        assert constant == 2.0 and isinstance(n, int) and isinstance(batch, int) and isinstance(shape, tuple)
        return float(x**2 + abs(lr - 0.1) + n / 80 + batch / 2560 + drop + layers / 10000 + (kind != "a"))

    sampler = SweepSampler(seed=1)
    study = optuna.create_study(sampler=sampler, study_name="a study")
    study.optimize(objective, n_trials=20)
    assert sampler.sweep is not None
    runs = sampler.sweep.runs()
    assert sampler.sweep.status().name == "a_study"
    assert [run.state for run in runs] == ["finished"] * 20
    assert sampler.sweep.status().best_value == study.best_value
    assert [run.value for run in runs] == [trial.value for trial in study.trials]


def test_our_search_is_better_than_chance(optuna: Any) -> None:
    from sweep.optuna import SweepSampler

    def objective(trial: Any) -> float:
        return sum((trial.suggest_float(f"x{i}", -1, 1) - 0.3) ** 2 for i in range(4))

    ours = optuna.create_study(sampler=SweepSampler(seed=1))
    ours.optimize(objective, n_trials=30)
    chance = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    chance.optimize(objective, n_trials=30)
    assert ours.best_value < chance.best_value / 3


def test_a_conditional_space_gets_its_conditions(optuna: Any) -> None:
    from sweep.optuna import SweepSampler

    def objective(trial: Any) -> float:
        optimizer = trial.suggest_categorical("optimizer", ["adam", "sgd"])
        if optimizer == "sgd":
            momentum = trial.suggest_float("momentum", 0, 1)
            if trial.suggest_int("restarts", 0, 1):
                momentum += trial.suggest_float("period", 0, 1)
            return float(momentum)
        return float(1 + trial.suggest_float("beta", 0, 1))

    sampler = SweepSampler(seed=1)
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=30)
    assert sampler.sweep is not None
    parameters = sampler._parameters
    assert parameters["momentum"]["when"] == {"optimizer": ["sgd"]}
    assert parameters["beta"]["when"] == {"optimizer": ["adam"]}
    assert parameters["period"]["when"] == {"restarts": [1]}
    assert len(sampler.sweep.runs(["finished"])) == 30
    assert study.best_value < 0.2


def test_failures_pruned_and_enqueued_trials_teach_the_search(optuna: Any) -> None:
    from sweep.optuna import SweepSampler

    def objective(trial: Any) -> float:
        x = trial.suggest_float("x", 0, 1)
        if trial.number == 3:
            raise RuntimeError("no data")
        if trial.number == 4:
            trial.report(7.0, 1)
            raise optuna.TrialPruned
        return float(x)

    sampler = SweepSampler("random", seed=1)
    study = optuna.create_study(sampler=sampler)
    study.enqueue_trial({"x": 0.125})
    study.optimize(objective, n_trials=6, catch=(RuntimeError,))
    study.enqueue_trial({"x": 0.875})
    study.optimize(objective, n_trials=2)
    # The last one is imported with the next trial.
    study.optimize(objective, n_trials=1)
    assert sampler.sweep is not None
    runs = sampler.sweep.runs()
    assert sorted(run.params["x"] for run in runs) == sorted(trial.params["x"] for trial in study.trials)
    by_x = {run.params["x"]: run for run in runs}
    assert by_x[0.125].value == 0.125 and by_x[0.875].value == 0.875
    assert by_x[study.trials[3].params["x"]].state == "failed"
    assert by_x[study.trials[4].params["x"]].value == 7.0


def test_threads_share_a_sampler_and_several_objectives_are_refused(optuna: Any) -> None:
    from sweep.optuna import SweepSampler

    sampler = SweepSampler(seed=1)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=12, n_jobs=3)
    assert len(study.trials) == 12 and sampler.sweep is not None and sampler.sweep.status().goal == "maximize"
    with pytest.raises(ValueError, match="one objective"):
        optuna.create_study(directions=["minimize", "maximize"], sampler=SweepSampler()).optimize(lambda trial: (1.0, 2.0), n_trials=1)


def test_a_sweep_becomes_a_study_in_a_database(optuna: Any, place: Path) -> None:
    from sweep.optuna import export

    parameters = {
        "x": {"values": [0, 1]},
        "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
        "n": {"min": 1, "max": 9},
        "opt": {"parameters": {"betas": {"values": [[0.9, 0.99]]}, "kind": {"value": "adam"}}},
    }
    (place / "train.py").write_text("import sweep\nfor e in range(3):\n    sweep.report(step=e, loss=sweep.params(x=0).x + e, acc=1)\n")
    s = sweep.create(dict(SPACE, parameters=parameters, run_cap=4, command=[sys.executable, "train.py"]))
    sweep.agent(s, count=2)
    asked = s.ask()
    assert asked is not None
    asked.fail("no data")
    study = export(s.id, f"sqlite:///{place}/x.db")
    loaded = optuna.load_study(study_name=s.id, storage=f"sqlite:///{place}/x.db")
    assert [trial.state.name for trial in loaded.trials] == ["COMPLETE", "COMPLETE", "FAIL"]
    first, run = loaded.trials[0], s.get_run(1)
    assert first.value == run.value and first.params["lr"] == run.params["lr"]
    assert first.params["opt.betas"] == "[0.9, 0.99]" and first.params["opt.kind"] == "adam"
    assert first.intermediate_values == {0: run.params["x"], 1: run.params["x"] + 1, 2: run.params["x"] + 2}
    assert first.user_attrs["run"] == f"{s.id}/1" and first.user_attrs["metric.acc"] == 1.0
    assert first.distributions["lr"] == optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True)
    assert first.distributions["n"] == optuna.distributions.IntDistribution(1, 9)
    assert study.best_value == min(run.value for run in s.runs() if run.value is not None)
    with pytest.raises(optuna.exceptions.DuplicatedStudyError):
        export(s.id, f"sqlite:///{place}/x.db")
