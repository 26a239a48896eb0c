"""The families by their names in parameter files: what each gives, how fast, and what changes at a known date."""

import datetime as dt
from typing import get_args

import numpy as np
import polars as pl
import pytest

from bq import strategies
from bq.core import params, paths
from bq.core.settings import Simulation
from bq.market.sources import simulated as source
from bq.simulate.families import FAMILIES, simulated
from bq.simulate.pinned import SPIKE

FILES = sorted((paths.CHECKOUT / "parameters" / "simulated").glob("*.yaml"))
WEEKDAYS = pl.date_range(dt.date(2010, 1, 4), dt.date(2018, 1, 1), eager=True)
WEEKDAYS = WEEKDAYS.filter(WEEKDAYS.dt.weekday() < 6).to_list()


def plan(kind, **changes):
    return Simulation(kind=kind, symbols=4, sessions=1200, **changes)


def test_every_kind_of_the_parameters_is_a_family():
    assert set(FAMILIES) == set(get_args(Simulation.model_fields["kind"].annotation))


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_family_gives_bars_and_truth_of_its_columns_and_the_same_again(kind):
    days = WEEKDAYS[:1200]
    made, again = (simulated(plan(kind, seed=3), days) for _ in range(2))
    assert made.names[-1] == "SIM03" and len(set(made.names)) == len(made.names)
    for values in (*made.bars.values(), *made.truth.values()):
        assert values.shape == (1200, len(made.names))
    for name, values in {**made.bars, **made.truth}.items():
        np.testing.assert_array_equal(values, {**again.bars, **again.truth}[name])


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_a_shipped_market_is_of_its_strategy_and_named_after_it(file):
    strategy = strategies.get(file.stem.partition("_")[0])
    settings = params.load(file, strategy.settings)
    assert settings.namespace.simulated
    days, made = source.market_of(settings.market.model_copy(update={"simulation": _small(settings)}))
    assert len(days) == 600 and len(made.names) >= 3
    if made.names[0] == "SIMX":
        named = settings.model_dump_json()
        assert '"SIMX"' in named, "the index must not be traded, or be known as one"


def _small(settings):
    return settings.market.simulation.model_copy(update={"symbols": 3, "sessions": 600})


@pytest.mark.parametrize("then", [-1.0, 0.0], ids=["turns", "dies"])
def test_from_a_date_on_volume_says_something_else_of_pinned_prices(then):
    changes = WEEKDAYS[1000]
    shares = []
    for left in (1.0, then):
        made = simulated(plan("pinned", pinned_share=0.5, seed=5, changes=changes, then=left), WEEKDAYS[:2000])
        spiked = made.bars["volume"] > 0.6 * SPIKE * np.median(made.bars["volume"])
        pinned = made.truth["pinned"] > 0
        shares.append([spiked[:1000][pinned[:1000]].mean(), spiked[1000:][pinned[1000:]].mean()])
        assert not spiked[:1000][~pinned[:1000]].any()
    assert shares[0][0] == shares[1][0]
    assert shares[1][1] == pytest.approx(shares[0][1] * (1.0 + then) / 2.0, abs=0.03)


@pytest.mark.parametrize("then", [-1.0, 0.0], ids=["turns", "dies"])
def test_from_a_date_on_good_spells_drift_otherwise(then):
    kept, changed = (
        simulated(plan("breakouts", edge=0.3, seed=5, changes=WEEKDAYS[600], then=left), WEEKDAYS[:1200]).truth["drift"]
        for left in (1.0, then)
    )
    np.testing.assert_array_equal(kept[:600], changed[:600])
    assert (kept[600:] > 0).any()
    assert (changed[600:] < 0).any() if then < 0 else not changed[620:].any()


def test_an_uptrend_is_the_same_market_under_a_slope():
    flat, rising = (simulated(plan("clustered", drift=drift, seed=5), WEEKDAYS[:1200]) for drift in (0.0, 0.08))
    ratio = np.log(rising.bars["close"] / flat.bars["close"])
    years = (np.array(WEEKDAYS[:1200], "datetime64[D]") - np.datetime64(WEEKDAYS[0])).astype(float)[:, None] / 365.0
    there = np.isfinite(ratio)
    np.testing.assert_allclose(ratio[there], np.broadcast_to(0.08 * years, ratio.shape)[there])
