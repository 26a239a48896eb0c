import numpy as np
import pytest

from bq import market
from bq.core.settings import Market
from bq.simulate.breakouts import breakout_market


def steps(made):
    """Log returns close to close, and of each the drift that the generator says."""
    return np.diff(np.log(made.close), axis=0), made.drift[1:]


@pytest.fixture(scope="module")
def null():
    return breakout_market(sessions=2500, symbols=30, edge=0.0, seed=3)


@pytest.fixture(scope="module")
def planted():
    return breakout_market(sessions=2500, symbols=30, edge=0.3, seed=3)


def after_breaks(made, chosen, horizon=20):
    """Log return of the sessions after each chosen cell, in units of its 60-session deviation."""
    close = np.log(made.close)
    t, i = np.nonzero(chosen[:-horizon])
    recent = np.diff(close, axis=0)
    t, i = t[t > 60], i[t > 60]
    scale = np.array([recent[a - 60 : a, b].std() for a, b in zip(t, i, strict=True)])
    return (close[t + horizon, i] - close[t, i]) / (scale * np.sqrt(horizon))


def test_bars_hold_together(planted):
    assert (planted.low <= np.minimum(planted.open, planted.close)).all()
    assert (planted.high >= np.maximum(planted.open, planted.close)).all()
    data = market.load(
        Market.model_validate(
            {"source": "simulated", "simulation": {"kind": "breakouts", "symbols": 3, "sessions": 700, "edge": 0.3}}
        )
    )
    assert data.bars["symbol"].unique().sort().to_list() == ["SIM00", "SIM01", "SIM02", "SIMX"]
    assert data.bars.select("open", "high", "low", "volume").null_count().row(0) == (0, 0, 0, 0)
    assert data.source == "simulated" and not (data.findings["action"] == "quarantined").any()


def test_a_null_market_is_a_martingale_whose_volume_says_nothing(null):
    assert (null.drift == 0).all()
    gross = np.exp(np.diff(np.log(null.close), axis=0)) - 1.0
    assert abs(gross.mean()) < 3 * gross.mean(axis=1).std() / np.sqrt(len(gross))
    ahead = after_breaks(null, null.heralded)
    assert len(ahead) > 1000 and abs(ahead.mean()) < 0.15


def test_in_a_good_spell_prices_drift_as_said(planted):
    moved, drift = steps(planted)
    drifting = drift > 0
    sigma = drift[drifting] / 0.3
    told = moved[drifting] / sigma + 0.5 * sigma
    assert told.mean() == pytest.approx(0.3, abs=0.02) and told.std() == pytest.approx(1.0, abs=0.03)
    calm = moved[~drifting]
    assert abs(calm.mean()) < 4 * calm.std() / np.sqrt(calm.size)
    assert after_breaks(planted, planted.heralded).mean() > 0.6
    high = np.lib.stride_tricks.sliding_window_view(planted.close[:-1], 20, axis=0).max(axis=-1)
    plain = np.zeros(planted.close.shape, bool)
    plain[20:, 1:] = (planted.close[20:] >= 1.005 * high)[:, 1:] & ~planted.heralded[20:, 1:]
    assert after_breaks(planted, plain).mean() < after_breaks(planted, planted.heralded).mean() - 0.4


def test_volume_is_what_tells(planted):
    heralded = planted.volume[planted.heralded].mean()
    assert heralded / planted.volume[~planted.heralded].mean() == pytest.approx(3.0, abs=0.1)
    high = np.lib.stride_tricks.sliding_window_view(planted.close[:-1], 20, axis=0).max(axis=-1)
    breaks = planted.close[20:, 1:] >= 1.005 * high[:, 1:]
    assert 0.5 < planted.heralded[20:, 1:][breaks].mean() < 0.75  # half of the spells, and good ones have more
    assert not planted.heralded[20:, 1:][~breaks].any() and not planted.heralded[:, 0].any()


def test_ranges_are_those_of_a_brownian_day():
    """Parkinson 1980, doi:10.1086/296071: the mean squared log range of a day is 4 ln 2 times its variance."""
    made = breakout_market(sessions=3000, symbols=20, edge=0.0, seed=5)
    spread = np.log(made.high / made.low)
    day = np.log(made.close / made.open)
    # highest and lowest are drawn independently of each other given open and close; only their own laws hold
    up = np.log(made.high / made.open)
    assert (up**2).mean() / (day**2).mean() == pytest.approx(1.0, abs=0.05)  # reflection: max is |normal|
    assert (spread**2).mean() / (day**2).mean() == pytest.approx(4 * np.log(2), rel=0.1)


def test_equal_seeds_give_equal_markets_and_the_edge_alone_changes_only_what_it_drifts(null, planted):
    again = breakout_market(sessions=2500, symbols=30, edge=0.0, seed=3)
    assert all((a == b).all() for a, b in zip(again, null, strict=True))
    assert (null.close[:, 0] == planted.close[:, 0]).all()
    assert not (null.close == planted.close).all()
