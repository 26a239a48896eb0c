"""Bars in another order of days: the same days, and no memory."""

import numpy as np
import pytest

from bq.simulate.martingale import clustered_market
from bq.simulate.permuted import Bars, permuted

SESSIONS, SYMBOLS = 1001, 8


@pytest.fixture(scope="module")
def trending():
    """Bars whose session means follow one another: an order of days that says something."""
    made = clustered_market(days=np.ones(SESSIONS), symbols=40, drift=0.0, seed=2)
    whole = np.isfinite(made.close[0]) & np.isfinite(made.close[-1])
    bars = Bars._make(values[:, whole][:, :SYMBOLS] for values in made)
    wave = np.exp(0.3 * np.sin(np.arange(SESSIONS) / 15.0))[:, None]
    return bars._replace(**{name: getattr(bars, name) * wave for name in ("open", "high", "low", "close")})


def parts(bars):
    """Moves overnight, and open to close, high and low, of sessions with a bar before; sorted by size."""
    close = np.log(bars.close)
    known = np.isfinite(close[1:]) & np.isfinite(close[:-1])
    night = (np.log(bars.open[1:]) - close[:-1])[known.all(axis=1)]
    day = np.log(np.stack([bars.close, bars.high, bars.low]) / bars.open)[:, np.isfinite(close).all(axis=1)]
    return night, day


def memory(bars):
    mean = np.nanmean(np.diff(np.log(bars.close), axis=0), axis=1)
    return np.corrcoef(mean[5:], mean[:-5])[0, 1]


def test_first_and_last_close_stay_and_the_days_between_are_the_same_ones(trending):
    found = permuted(trending, block_sessions=1, seed=1)
    np.testing.assert_allclose(found.close[0], trending.close[0])
    np.testing.assert_allclose(found.close[-1], trending.close[-1])
    for before, after in zip(parts(trending)[1], parts(found)[1], strict=True):
        np.testing.assert_allclose(np.sort(before[1:], axis=0), np.sort(after[1:], axis=0), atol=1e-9)
    np.testing.assert_array_equal(
        np.sort(trending.volume[1:], axis=0, kind="stable"), np.sort(found.volume[1:], axis=0, kind="stable")
    )


def test_a_day_keeps_its_cross_section(trending):
    """Each day after is one of the days before, of all names at once."""
    found = permuted(trending, block_sessions=1, seed=1)
    before, after = (np.log(bars.close / bars.open)[1:] for bars in (trending, found))
    rows = {tuple(np.round(row[np.isfinite(row)], 9)) for row in before}
    assert {tuple(np.round(row[np.isfinite(row)], 9)) for row in after} == rows


def test_nights_are_exchanged_apart_from_days(trending):
    found = permuted(trending, block_sessions=1, seed=1)
    apart = [
        np.nanmean((np.log(bars.open[1:]) - np.log(bars.close[:-1])) * np.log(bars.close / bars.open)[1:])
        for bars in (trending, found)
    ]
    assert abs(apart[1]) < abs(apart[0]) or abs(apart[0]) < 1e-6


def test_what_one_day_says_of_a_later_one_is_gone_beyond_the_blocks(trending):
    assert memory(trending) > 0.2
    single = np.mean([memory(permuted(trending, block_sessions=1, seed=seed)) for seed in range(10)])
    blocks = np.mean([memory(permuted(trending, block_sessions=60, seed=seed)) for seed in range(10)])
    assert abs(single) < 0.05 < blocks


def test_without_opens_the_day_is_the_move_from_close_to_close(trending):
    closes = trending._replace(**{name: np.full_like(trending.close, np.nan) for name in ("open", "high", "low", "iv")})
    found = permuted(closes, block_sessions=5, seed=1)
    np.testing.assert_allclose(found.close[-1], closes.close[-1])
    assert np.isnan(found.open).all() and np.isfinite(found.close[0]).all()


def test_bars_hold_together(trending):
    found = permuted(trending, block_sessions=5, seed=1)
    there = np.isfinite(found.close)
    assert there.sum() == np.isfinite(trending.close).sum()
    assert (found.low <= np.minimum(found.open, found.close) * (1 + 1e-12))[there].all()
    assert (found.high >= np.maximum(found.open, found.close) * (1 - 1e-12))[there].all()


def test_a_name_that_is_not_there_all_along_is_refused(trending):
    late = trending.close.copy()
    late[:100, 2] = np.nan
    with pytest.raises(ValueError, match="first and in the last session"):
        permuted(trending._replace(close=late), block_sessions=5, seed=1)


def test_a_seed_makes_one_order(trending):
    one, same, other = (permuted(trending, block_sessions=5, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.close, same.close)
    assert not np.array_equal(one.close, other.close, equal_nan=True)
