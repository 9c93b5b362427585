"""The searcher of Ray Tune, with the real package."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

import sweep
from conftest import needs

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def tune(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    needs("ray.tune")
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "0")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_CHDIR_TO_TRIAL_DIR", "0")
    import ray
    from ray import tune

    ray.init(num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
    yield tune
    ray.shutdown()


def space(tune: Any) -> Dict[str, Any]:
    return {
        "opt": {"lr": tune.loguniform(1e-4, 1e-1), "kind": tune.choice(["good", "bad"])},
        "n": tune.randint(1, 9),
        "q": tune.quniform(0.0, 1.0, 0.25),
        "shape": tune.choice([(1, 2), (3, 4)]),
        "constant": 7,
    }


def test_a_tuner_is_searched_by_a_sweep(tune: Any, place: Path) -> None:
    from sweep.ray import SweepSearch

    # Within the test: Ray's workers cannot import this file.
    def objective(config: Dict[str, Any]) -> Dict[str, float]:
        if config["opt"]["kind"] == "bad":
            raise RuntimeError("no data")
        assert config["shape"] in ((1, 2), (3, 4)) and config["constant"] == 7
        return {"loss": abs(config["opt"]["lr"] - 0.01) + config["n"] / 100}

    searcher = SweepSearch(seed=1)
    tuner = tune.Tuner(
        objective,
        param_space=space(tune),
        tune_config=tune.TuneConfig(search_alg=tune.search.ConcurrencyLimiter(searcher, 2), metric="loss", mode="min", num_samples=8),
        run_config=tune.RunConfig(storage_path=str(place), verbose=0),
    )
    results = tuner.fit()
    assert searcher.sweep is not None
    runs = searcher.sweep.runs()
    assert len(runs) == 8 and {run.state for run in runs} <= {"finished", "failed"}
    assert all((run.state == "failed") == (run.params["opt.kind"] == "bad") for run in runs)
    assert searcher.sweep.status().best_value == results.get_best_result().metrics["loss"]
    assert all(run.params["n"] in range(1, 9) and run.params["q"] in (0, 0.25, 0.5, 0.75, 1) for run in runs)


def test_a_searcher_is_saved_and_restored(place: Path) -> None:
    needs("ray.tune")
    from ray import tune

    from sweep.ray import SweepSearch

    parameters = {"x": tune.grid_search([1, 2, 3]), "y": tune.lograndint(1, 2)}
    first = SweepSearch("loss", "max", parameters, method="grid")
    config = first.suggest("a")
    assert first.suggest("b")["x"] == 2
    first.on_trial_complete("a", {"loss": 1.0})
    first.on_trial_complete("unknown")
    first.save(str(place / "state"))
    again = SweepSearch(space=parameters)
    again.restore(str(place / "state"))
    assert again.suggest("c")["x"] == 2, "the run that was under way"
    assert again.suggest("d")["x"] == 3
    again.on_trial_complete("d", {"accuracy": 1.0})
    again.on_trial_complete("c", error=True)
    assert again.suggest("e") == SweepSearch.FINISHED
    assert again.sweep is not None
    assert [run.state for run in again.sweep.runs()] == ["finished", "failed", "failed"]
    assert again.sweep.status().goal == "maximize" and config == {"x": 1, "y": 1}


def test_what_a_sweep_has_not_is_refused() -> None:
    needs("ray.tune")
    from ray import tune

    from sweep.ray import SweepSearch

    with pytest.raises(ValueError, match="only distributions and choices"):
        SweepSearch("loss", "min", {"x": tune.sample_from(lambda spec: 1)})
    with pytest.raises(ValueError, match="nothing that varies"):
        SweepSearch("loss", "min", {"x": 1})
    normal = SweepSearch("loss", "min", {"x": tune.randn(1.0, 2.0), "y": tune.qrandn(0.0, 1.0, 0.5), "z": tune.qrandint(2, 10, 2)})
    found = normal.suggest("a")
    assert found["y"] * 2 == round(found["y"] * 2) and found["z"] % 2 == 0
    assert issubclass(sweep.SweepError, Exception)
