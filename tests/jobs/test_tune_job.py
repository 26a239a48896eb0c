"""`make tune` from the command to the report, and what it refuses."""

import json
import os
import re
import subprocess
import sys

import polars as pl
import pytest

from bq import runs
from bq.core import params, paths
from bq.core.errors import BadParameters
from bq.jobs import request
from bq.jobs import tune as job
from bq.strategies.breakout.settings import BreakoutSettings

FILE = paths.CHECKOUT / "parameters" / "simulated" / "breakout.yaml"
SMALL = "market.simulation.symbols=10 market.simulation.sessions=1200"


def tune(home, **variables: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BQ_")}
    environment |= {"BQ_HOME": str(home), "STRATEGY": "breakout", "PARAMS": str(FILE), **variables}
    command = [sys.executable, "-m", "bq", "tune"]
    return subprocess.run(command, cwd=paths.CHECKOUT, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A home in which one tuning was made, and what it said."""
    home = tmp_path_factory.mktemp("home")
    return home, tune(home, TRIALS="6", OBJECTIVE="calmar_ratio", SET=SMALL)


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """The variables of the Makefile as they would arrive."""

    def ask(**variables: str) -> None:
        for name, value in {"STRATEGY": "breakout", "PARAMS": str(FILE), **variables}.items():
            monkeypatch.setenv(name, value)

    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    return ask


@pytest.fixture
def run(tuned, monkeypatch) -> runs.Run:
    monkeypatch.setenv("BQ_HOME", str(tuned[0]))
    return runs.latest("breakout-simulated", job="tune")


def test_a_tuning_ends_with_its_verdict_and_what_to_do_next(tuned):
    _, done = tuned
    assert done.returncode == 0, done.stderr
    assert "6 trials · calmar_ratio" in done.stdout
    assert "verdict     Rejected because" in done.stdout
    assert "Not evidence about the market: this market is simulated." in done.stdout
    assert "tuning: 6 of 6 trials" in done.stderr


def test_the_run_folder_holds_report_results_trials_and_parameters(run):
    names = {path.name for path in run.folder.iterdir()}
    wanted = {"report.html", "run.json", "verdict.json", "tuning.json", "trials.csv", "breakout_optimised.yaml"}
    assert wanted <= names
    assert run.record.status == "done"
    assert run.record.error is None
    report = run.report.read_text()
    assert "Optimisation history" in report
    assert "breakout_optimised.yaml" in report


def test_the_first_screen_has_a_picture_and_its_figures_beside_what_they_are_held_against(run):
    verdict, curves = run.verdict, pl.read_parquet(run.folder / "curves.parquet")
    assert verdict.running.names == ["winner", "as given", "buy and hold"]
    assert verdict.running.model[-1] == pytest.approx(curves["winner"].sum())
    holdout, _, _, trials = verdict.shown
    found = json.loads((run.folder / "tuning.json").read_text())["figures"][-1]
    assert holdout.name == "calmar ratio of the winner, holdout"
    assert float(holdout.value) == pytest.approx(found["winner"]["value"], abs=0.006)
    assert holdout.beside.startswith("as given ") and "buy and hold " in holdout.beside
    assert (trials.value, "feasible" in trials.beside) == ("6", True)
    assert run.report.read_text().count("<polyline") >= 3


def test_the_optimised_file_is_the_given_one_with_the_winner_in_it(run):
    found = json.loads((run.folder / "tuning.json").read_text())
    optimised = params.load(run.folder / "breakout_optimised.yaml", BreakoutSettings)
    changed = params.differences(params.load(FILE, BreakoutSettings).model_dump(), optimised.model_dump())
    assert {name for name, _, _ in changed} <= set(found["winner"]["values"])
    assert optimised.exit.exit_ma == found["winner"]["values"]["exit.exit_ma"]


def test_the_optimised_file_is_taken_as_params(run, asked):
    asked(PARAMS=str(run.folder / "breakout_optimised.yaml"), TARGET="", TRIALS="")
    found = json.loads((run.folder / "tuning.json").read_text())
    assert request.read().settings.exit.exit_ma == found["winner"]["values"]["exit.exit_ma"]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"TARGET": "modle"}, "TARGET must name what is tuned, but got 'modle'; did you mean `model`"),
        (
            {"OBJECTIVE": "calmar"},
            "`tuning.objective` must be 'sharpe_ratio', 'calmar_ratio', 'sortino' or 'expectancy'",
        ),
        ({"TRIALS": "many"}, "`tuning.trials` must be a whole number, but got 'many'"),
        (
            {"TARGET": "strategy", "STRATEGY": "forecast", "PARAMS": ""},
            "but those of forecast are not. Use TARGET=model for its model, or another STRATEGY",
        ),
    ],
    ids=["target", "objective", "trials", "strategy"],
)
def test_what_cannot_be_searched_is_refused_before_anything_runs(asked, variables, said, tmp_path):
    asked(**variables)
    with pytest.raises(BadParameters, match=re.escape(said)):
        job.main(request.read())
    assert list(tmp_path.iterdir()) == []
