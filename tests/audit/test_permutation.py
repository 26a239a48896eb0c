"""A user's market with its days exchanged: the same days, by the bar contract, and a p-value with its floor."""

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from bq import market
from bq.audit import calibration_tables
from bq.audit.calibration import Judged, measure
from bq.audit.calibration_points import point
from bq.audit.permutation import Permuted, permuted_market
from bq.core import paths
from bq.core.errors import BadData
from bq.core.settings import Market
from bq.market.bars import SCHEMA
from bq.strategies import get
from bq.strategies.component import Component, Kind


@pytest.fixture(scope="module")
def data():
    """A simulated market: some names are listed late or delisted, the index is there all along."""
    plan = {"kind": "clustered", "symbols": 12, "sessions": 900, "first": dt.date(2010, 1, 4), "seed": 3}
    return market.load(Market.model_validate({"source": "simulated", "simulation": plan}))


def moves(bars, symbol):
    close = bars.filter(pl.col("symbol") == symbol).sort("session")
    return np.diff(np.log((close["close"] * close["adj"]).to_numpy()))


def test_names_that_were_there_all_along_keep_their_days_and_others_are_left_out(data):
    found = permuted_market(data, block_sessions=1, seed=1)
    spans = data.bars.group_by("symbol").agg(
        pl.col("session").min().alias("first"), pl.col("session").max().alias("last")
    )
    first, last = data.bars["session"].min(), data.bars["session"].max()
    along = set(spans.filter(pl.col("first") == first, pl.col("last") == last)["symbol"])
    assert set(found.bars["symbol"]) <= along and "SIMX" in set(found.bars["symbol"]) and len(along) < 13
    before, after = moves(data.bars, "SIMX"), moves(found.bars, "SIMX")
    assert before.sum() == pytest.approx(after.sum()) and not np.allclose(before, after)
    day = [
        np.sort(np.log(b["close"] / b["open"]).to_numpy())
        for b in (frame.filter(pl.col("symbol") == "SIMX").sort("session")[1:] for frame in (data.bars, found.bars))
    ]
    np.testing.assert_allclose(*day, atol=1e-9)


def test_what_comes_out_satisfies_the_bar_contract_and_is_no_evidence(data):
    found = permuted_market(data, block_sessions=5, seed=2)
    assert found.bars.schema == SCHEMA and found.source == "simulated"
    assert found.bars.equals(found.bars.sort("symbol", "session"))
    assert found.data_hash != permuted_market(data, block_sessions=5, seed=3).data_hash


def test_in_order_only_the_form_changes(data):
    found = permuted_market(data, block_sessions=5, seed=0)
    assert found.source == data.source
    np.testing.assert_allclose(moves(found.bars, "SIMX"), moves(data.bars, "SIMX"))


def test_without_a_name_that_was_there_all_along_it_is_said(data):
    cut = data.bars.filter(~((pl.col("symbol") == "SIM00") & (pl.col("session") < dt.date(2011, 1, 3))))
    late = cut.filter(pl.col("symbol").is_in(["SIM00"]))
    early = data.bars.filter((pl.col("symbol") == "SIMX") & (pl.col("session") < dt.date(2012, 1, 3)))
    with pytest.raises(BadData, match="must have a bar in the first session"):
        permuted_market(replace(data, bars=pl.concat([late, early])), block_sessions=5, seed=1)


def test_a_p_value_counts_what_chance_does_as_well_and_is_never_0():
    def judged(value):
        return Judged(deploy=False, components=(Component(kind=Kind.NET, holds=False, value=value),))

    others = [judged(value) for value in (0.1, 0.2, 0.3, None)]
    assert calibration_tables.p_value(judged(0.5), others, Kind.NET) == 1 / 4
    assert calibration_tables.p_value(judged(0.2), others, Kind.NET) == 3 / 4
    assert np.isnan(calibration_tables.p_value(judged(None), others, Kind.NET))


def test_the_pipeline_goes_over_the_bars_of_a_parameter_file(monkeypatch, tmp_path):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    few = (
        "learning.folds=2 gate.draws=1000 learning.hyperparameters.lightgbm.n_estimators=10 "
        "market.simulation.symbols=10 market.simulation.sessions=1300"
    )
    file = paths.CHECKOUT / "parameters" / "simulated" / "breakout.yaml"
    one = point(get("breakout"), "permuted", path=file, overrides=few, quick=False)
    assert one.source == Permuted(5)
    found, real = (measure(seed, strategy=one.strategy, settings=one.settings, source=one.source) for seed in (1000, 0))
    assert not found.error and not real.error
    assert found.champion != real.champion
