"""What was built from bars, exported and collected again, is the same; other strategies' tables."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from event_samples import build, walk
from labelled_samples import NOW, settings_of, weeks

from bq import strategies
from bq.core import params, paths
from bq.core.errors import BadParameters
from bq.strategies.butterfly.features import BUTTERFLY_V2, BUTTERFLY_V3
from bq.strategies.labelled import table as labelled
from bq.strategies.task import Task


@pytest.fixture(scope="module")
def built() -> pl.DataFrame:
    """Events of two random walks, some still open."""
    bars = pl.concat([walk("ONE", 760, seed=1), walk("TWO", 760, seed=2, splits={600: 4.0})])
    days = bars["session"].unique().sort()[520::7].to_list()
    return build(bars, {"ONE": days, "TWO": days}).events


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_events_built_from_bars_come_back_from_an_export_as_they_were(built, tmp_path, ending):
    path = tmp_path / f"export.{ending}"
    built.write_parquet(path) if ending == "parquet" else built.write_csv(path)
    now = built["t0"].max() + dt.timedelta(hours=1)  # the open ones are still open
    settings = settings_of("learning.features=butterfly_v3")
    found = labelled.read(path, strategies.of(settings), settings, now=now)
    assert found.findings.is_empty()
    before, after = (frame.sort("event_id") for frame in (built, found.events))
    exact = ["event_id", "symbol", "variant", "session", "t0", "t1", "t1_due", "source", "structure"]
    assert after.select(exact).equals(before.select(exact), null_equal=True)
    assert 0 < after["t1"].null_count() < len(after) / 2
    for name in ("outcome", "score", *dict.fromkeys([*BUTTERFLY_V2.columns, *BUTTERFLY_V3.columns])):
        np.testing.assert_allclose(
            after[name].fill_null(np.nan).to_numpy(),
            before[name].fill_null(np.nan).to_numpy(),
            rtol=1e-12,
            err_msg=name,
        )


def breakouts() -> pl.DataFrame:
    """Signals of 60 weeks; outcomes in R, some below −1."""
    rng = np.random.default_rng(2)
    days = [day for day in weeks(60) for _ in range(5)]
    return pl.DataFrame(
        {
            "symbol": ["A", "B", "C", "D", "E"] * 60,
            "session": days,
            "t1_due": [day + dt.timedelta(days=40) for day in days],
            "kind": rng.choice(["Fast", "SLOW"], 300),
            "stop_share": rng.uniform(0.02, 0.1, 300),
            "score": rng.uniform(0, 1, 300),
            "atr_pct": rng.uniform(0.01, 0.05, 300),
            "r_multiple": rng.normal(0.0, 1.5, 300),
        }
    )


def test_a_table_of_breakouts_holds_outcomes_in_r(tmp_path):
    model = strategies.get("breakout").settings
    settings = params.load(paths.parameters("breakout"), model, overrides="market.source=labelled")
    strategy = strategies.of(settings)
    breakouts().write_parquet(tmp_path / "r.parquet")
    found = labelled.read(tmp_path / "r.parquet", strategy, settings, now=NOW).events
    assert found["outcome"].min() < -1.0 and len(found) == 300
    assert set(found["kind"]) == {"fast", "slow"}
    category, size = strategy.table.cells(found.with_columns(kind=pl.lit("unknown"), stop_share=None))
    assert set(category) == {2} and np.isnan(size).all()
    assert isinstance(strategy.task(settings), Task) and strategy.backtester is None


def test_a_strategy_whose_gate_needs_bars_says_so():
    settings = params.load(
        paths.parameters("forecast"),
        strategies.get("forecast").settings,
        overrides="market.source=labelled learning.regimes=null",
    )
    with pytest.raises(BadParameters, match="forecast values a portfolio day by day, which needs bars"):
        strategies.of(settings)
