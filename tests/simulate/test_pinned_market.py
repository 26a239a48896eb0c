import datetime as dt

import numpy as np
import polars as pl
import pytest

from bq import market
from bq.core.errors import BadParameters
from bq.core.settings import Market
from bq.market.bars import SCHEMA
from bq.market.sources import simulated
from bq.simulate.pinned import SPELL_SESSIONS, SPIKE, Pinned, pinned_market


@pytest.fixture(scope="module")
def planted() -> Pinned:
    return pinned_market(sessions=3000, symbols=40, share=0.5, seed=1)


@pytest.fixture(scope="module")
def null() -> Pinned:
    return pinned_market(sessions=3000, symbols=40, share=0.0, seed=1)


def moves(made: Pinned) -> np.ndarray:
    return np.diff(np.log(made.close), axis=0)


def test_a_seed_makes_one_market():
    one, same, other = (pinned_market(sessions=700, symbols=3, share=0.4, seed=seed) for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one.close, other.close)


def test_a_market_is_made_of_prices_and_whole_volumes(planted):
    assert planted.close.shape == planted.volume.shape == planted.pinned.shape == (3000, 40)
    assert (planted.close > 0).all() and (planted.close[0] == 100).all()
    assert (planted.volume > 0).all() and (planted.volume % 1 == 0).all()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8], ids="share-{}".format)
def test_the_share_of_pinned_sessions_is_that_asked_for(share):
    pinned = pinned_market(sessions=4000, symbols=60, share=share, seed=2).pinned
    assert pinned[500:].mean() == pytest.approx(share, abs=0.04)


def test_spells_last_as_long_as_stated(planted):
    ends = planted.pinned[:-1] & ~planted.pinned[1:]
    assert planted.pinned.sum() / ends.sum() == pytest.approx(SPELL_SESSIONS, rel=0.15)


def test_daily_moves_are_as_large_in_a_spell_as_outside(planted):
    inside = planted.pinned[1:] & planted.pinned[:-1]
    settled = np.cumsum(inside, axis=0)[25:] - np.cumsum(inside, axis=0)[:-25] == 25  # not at the anchor any more
    r = moves(planted)[25:]
    deviation_inside, deviation_outside = r[settled].std(), r[~planted.pinned[26:]].std()
    assert deviation_inside == pytest.approx(deviation_outside, rel=0.05)


def test_over_weeks_a_pinned_price_goes_nowhere(planted):
    horizon = 28
    ahead = np.abs(np.log(planted.close[horizon:] / planted.close[:-horizon]))
    spell = np.cumsum(planted.pinned, axis=0)
    throughout = spell[horizon:] - spell[:-horizon] == horizon
    never = spell[horizon:] - spell[:-horizon] == 0
    assert np.median(ahead[throughout]) < 0.45 * np.median(ahead[never])


def test_volume_is_the_one_place_where_a_spell_shows(planted):
    usual = np.median(planted.volume)
    spiked = planted.volume > 0.6 * SPIKE * usual
    assert not spiked[~planted.pinned].any()
    assert spiked[planted.pinned].mean() == pytest.approx(0.35, abs=0.02)


def test_a_market_without_spells_is_a_martingale(null):
    assert not null.pinned.any()
    simple = null.close[1:] / null.close[:-1] - 1
    daily = simple.mean(axis=1)  # symbols share shocks, days do not
    assert abs(daily.mean()) < 3 * daily.std() / np.sqrt(len(daily))


@pytest.mark.parametrize("lag", [1, 5, 20], ids="lag-{}".format)
def test_without_spells_the_past_says_nothing_about_the_direction(null, lag):
    r = moves(null)
    assert abs(np.corrcoef(r[lag:].ravel(), r[:-lag].ravel())[0, 1]) < 0.02


def test_without_spells_volume_says_nothing(null):
    r, volume = moves(null), np.log(null.volume[:-1])
    assert abs(np.corrcoef(volume.ravel(), np.abs(r).ravel())[0, 1]) < 0.01
    assert abs(np.corrcoef(volume.ravel(), r.ravel())[0, 1]) < 0.01
    assert null.volume.max() < 2 * np.median(null.volume)


def test_moves_cluster_share_a_factor_and_have_a_fifth_a_year(null):
    r = moves(null)
    size = np.abs(r)
    assert np.corrcoef(size[5:].ravel(), size[:-5].ravel())[0, 1] > 0.03
    correlation = np.corrcoef(r.T)
    assert correlation[~np.eye(40, dtype=bool)].mean() == pytest.approx(0.3, abs=0.08)
    assert r.std() * np.sqrt(252) == pytest.approx(0.2, rel=0.2)


def plan(**changes) -> Market:
    simulation = {"symbols": 3, "sessions": 650, "pinned_share": 0.5, "seed": 4, **changes}
    return Market.model_validate({"source": "simulated", "simulation": simulation})


def test_simulated_bars_satisfy_the_bar_contract_and_say_what_they_are():
    data = market.load(plan())
    assert data.source == "simulated" and data.findings.is_empty()
    assert data.bars.schema == SCHEMA
    assert data.bars["symbol"].unique().sort().to_list() == ["SIM00", "SIM01", "SIM02"]
    assert data.bars.group_by("symbol").len()["len"].to_list() == [650] * 3
    assert data.bars["session"].min() == dt.date(2010, 1, 4)
    made = pinned_market(sessions=650, symbols=3, share=0.5, seed=4)
    np.testing.assert_array_equal(data.bars.filter(pl.col("symbol") == "SIM01")["close"], made.close[:, 1])


def test_simulated_bars_are_the_same_every_time_and_cut_as_asked():
    assert market.load(plan()).data_hash == market.load(plan()).data_hash
    one = plan().model_copy(update={"symbols": ["SIM02"], "end": dt.date(2012, 1, 3)})
    bars = market.load(one).bars
    assert set(bars["symbol"]) == {"SIM02"} and bars["session"].max() == dt.date(2012, 1, 3)


def test_a_simulated_market_needs_its_description():
    with pytest.raises(BadParameters, match=r"`market\.simulation` must be given"):
        simulated.read(Market(source="simulated"))


def test_sessions_that_are_not_over_are_not_simulated():
    """How many there are would depend on the day of the run, and so would every number."""
    with pytest.raises(
        BadParameters, match=r"must be over, but of 60000 sessions of XNYS from 2010-01-04 only \d+ are"
    ):
        simulated.read(plan(sessions=60_000))
