"""Optimise, collect, train, enable, improve: the breakout strategy's learning loop, and what each step says."""

import datetime as dt
import re

import polars as pl
import pytest

from bq import runs, surface
from bq.core import params, paths
from bq.core.errors import BadParameters
from bq.jobs import collect, evaluate, history, request, retrain, scan, status, tune
from bq.runs.record import Cause
from bq.serving import out_of_sample
from bq.strategies.breakout import STRATEGY

FILE = paths.CHECKOUT / "parameters" / "simulated" / "breakout.yaml"
NAMESPACE = "breakout-simulated"
SMALL = (
    "market.simulation.symbols=24 market.simulation.sessions=1500 market.simulation.edge=0.3 exit.max_holding_days=10 "
    "learning.folds=3 learning.newest_days=300 gate.draws=1000 gate.min_blocks=10 gate.alpha=0.1 "
    "gate.max_calibration_error=0.2 tuning.folds=2 tuning.min_trades=5"
)
VARIABLES = ("SET", "FORCE", "QUICK", "SYMBOLS", "FROM", "TO", "DATE", "RUN", "TARGET", "TRIALS", "OBJECTIVE", "EVENT")


@pytest.fixture
def go(tmp_path, monkeypatch, capsys):
    """Run a job with the variables of the Makefile; what it printed."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.setenv("STRATEGY", "breakout")
    small = tmp_path / "small.yaml"
    small.write_text(params.to_yaml(params.load(FILE, STRATEGY.settings, overrides=SMALL).model_dump(mode="python")))

    def run(main, **variables) -> str:
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in {"PARAMS": str(small), **variables}.items():
            monkeypatch.setenv(name, str(value))
        capsys.readouterr()
        main(request.read())
        return capsys.readouterr().out

    return run


def test_optimise_collect_train_enable_improve(go, tmp_path):
    assert "4 trials · sharpe_ratio" in go(tune.main, TRIALS=4)
    optimised = {"PARAMS": runs.latest(NAMESPACE, job="tune").folder / "breakout_optimised.yaml"}
    enabled = {**optimised, "SET": "ml.enabled=true"}

    first, again = go(collect.main, **optimised), go(collect.main, **optimised)
    counted = re.search(r"· ([\d,]+) events of 24 symbols · \d{4}-\d\d-\d\d to \d{4}-\d\d-\d\d · simulated", first)
    assert f"built now   {counted[1]};" in first
    assert counted[0] in again and f"{counted[1]} stored ones are still valid" in again
    assert "shadow events: not traded, but followed" in again and "enough to train" in again
    for asked in (evaluate.main, scan.main):
        with pytest.raises(BadParameters, match=r"^ML model does not exist: train first with `make retrain STRATEGY="):
            go(asked, **enabled)

    assert "verdict     Deployed" in go(retrain.main, **optimised)
    assert runs.latest(NAMESPACE, job="retrain").record.triggers[0].kind == Cause.FIRST_ATTEMPT
    report = runs.latest(NAMESPACE, job="retrain").report.read_text()
    for told in (
        "What the portfolio earned",
        "How trades ended",
        "Signals by decision",
        "Signals taken and all signals",
    ):
        assert told in report
    assert "AUC of P(Win)" in report

    settings = params.load(optimised["PARAMS"], STRATEGY.settings)
    day = _busiest_session(settings)
    decided = _scanned(go(scan.main, **optimised, DATE=day), tmp_path, day)
    assert set(decided["tier"]) == {3} and decided["priority"].to_list() == decided["score"].to_list()
    decided = _scanned(go(scan.main, **enabled, DATE=day), tmp_path, day)
    assert set(decided["tier"]) == {1} and decided["probability"].null_count() == 0
    assert _backtested(settings, day) == decided["priority"].sort().to_list()
    filtered = "ml.enabled=true ml.prediction_mode=filter ml.confidence_threshold=0.45"
    decided = _scanned(go(scan.main, **{**enabled, "SET": filtered, "DATE": day}), tmp_path, day)
    chosen = (decided["probability"] >= 0.45) & decided["traded"]
    assert decided["should_trade"].to_list() == chosen.to_list()

    evaluated = go(evaluate.main, **enabled)
    assert "The untouched window: ML off and on (score_enhancement)" in evaluated
    for figure in ("trades closed", "win rate", "expectancy [R]", "Sharpe ratio (annual)", "max drawdown [%]"):
        assert figure in evaluated
    assert "This sample proves" in evaluated and "AUC of P(Win)" in evaluated
    assert "every mode" in next((tmp_path / "outputs" / "evaluations").glob("*.html")).read_text()

    better = {**enabled, "SET": "gate.margin=5"}
    kept = go(retrain.main, **better)
    assert "verdict     Kept current model: improvement below threshold (champion " in kept
    assert "; needed: " in kept
    newest = runs.latest(NAMESPACE, job="retrain").record
    held = {one.kind: one.holds for one in newest.triggers}
    assert held[Cause.PARAMETERS] and not held[Cause.EVENTS]
    assert f"({newest.why})" in go(history.main) and "not taken" in go(status.main)


def _busiest_session(settings) -> dt.date:
    """A session after the champion's training on which there are many signals."""
    events = surface.events(settings)
    through = out_of_sample.champion(STRATEGY, settings).trained_through
    late = events.filter(pl.col("t0") > through).group_by("session").len().sort("len", "session")
    assert late["len"][-1] > 1
    return late["session"][-1]


def _backtested(settings, day: dt.date) -> list[float | None]:
    """Priorities of a session's signals in the backtester; None: not traded."""
    enabled = settings.model_copy(update={"ml": settings.ml.model_copy(update={"enabled": True})})
    made = surface.backtest(enabled).signals
    return made.filter(pl.col("session") == day)["priority"].fill_nan(None).sort().to_list()


def _scanned(out: str, home, day: dt.date) -> pl.DataFrame:
    assert "priority" in out and f"{day}" in out
    return pl.read_parquet(home / "outputs" / "scans" / f"{day}_{NAMESPACE}.parquet")
