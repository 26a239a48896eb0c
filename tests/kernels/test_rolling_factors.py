"""The alpha factors against their definitions written in pandas, float64."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bq.kernels import rolling
from bq.kernels.rolling import decayed
from bq.strategies.forecast.features import FACTORS

SESSIONS = 420
alpha_factors = partial(rolling.alpha_factors, periods_per_year=252)


def enough(window):
    return {"window": window, "min_periods": window - window // 5}


def by_pandas(close, high, low, volume, market):
    """Each factor of one symbol, by name."""
    p, h, low, v, m = (pd.Series(values) for values in (close, high, low, volume, market))
    r, change, before = p.pct_change(fill_method=None), p.diff(), p.shift()
    gain, loss = (change.where(change.isna() | (change > 0), 0), (-change).where(change.isna() | (change < 0), 0))
    gain, loss = gain.rolling(**enough(14)).mean(), loss.rolling(**enough(14)).mean()
    turnover = p * v
    true_range = pd.concat([h - low, (h - before).abs(), (low - before).abs()], axis=1).max(axis=1, skipna=False)
    both = m.where(r.notna())

    def correlation(window):
        return np.corrcoef(window, v[window.index])[0, 1]

    def r2(window):
        known = window.dropna()
        return np.corrcoef(known.index, known)[0, 1] ** 2

    def momentum(older, newer=5):
        return p.shift(newer) / p.shift(older) - 1

    found = {
        "volume_price_corr_3d": p.rolling(3).apply(correlation),
        "rsi_14": 100 * gain / (gain + loss),
        "reversal_3d": -momentum(3, 0),
        "reversal_5d": -momentum(5, 0),
        "momentum_10d": momentum(10, 0),
        "liquid_momentum_10d": momentum(10, 0) * v.rolling(**enough(10)).mean() / v.rolling(**enough(60)).mean(),
        "sharpe_momentum_5d": r.rolling(**enough(5)).mean() / r.rolling(**enough(5)).std(),
        "price_ma20_deviation": p / p.rolling(**enough(20)).mean() - 1,
        "dollar_vol_20": np.log(turnover.rolling(**enough(20)).mean()),
        "trend_r2_20": np.log(p).rolling(**enough(20)).apply(r2),
        "ret_skew_20d": r.rolling(**enough(20)).skew(),
        "near_52w_high": p / p.rolling(**enough(252)).max(),
        "atr_pct_14": true_range.rolling(**enough(14)).mean() / p,
        "amihud_20": 1e6 * (r.abs() / turnover.where(turnover > 0)).rolling(**enough(20)).mean(),
        **{f"momentum_{n}": momentum(n) for n in (21, 63, 126, 252)},
        **{f"volatility_{n}": r.rolling(**enough(n)).std() * np.sqrt(252) for n in (20, 60)},
        **{f"volume_ratio_{n}": v / v.rolling(**enough(n)).mean() for n in (20, 60)},
        "market_beta_60": r.rolling(**enough(60)).cov(both) / both.rolling(**enough(60)).var(),
    }
    return {name: values.where(p.notna()).to_numpy() for name, values in found.items()}


def walk(seed, sessions=SESSIONS):
    """Close, high, low, volume of a walk with heavy tails."""
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(0.02 * rng.standard_t(4, sessions)))
    reach = np.exp(0.01 * rng.random(sessions))
    return close, close * reach, close / reach, np.round(1e5 * np.exp(rng.standard_normal(sessions)))


def ours(close, high, low, volume, market):
    """Factors of one symbol or of several rows, (n_factors, n_symbols, n_sessions)."""
    bars = (close, high, low, volume, np.asarray(close) * np.asarray(volume))
    return alpha_factors(*(np.atleast_2d(values) for values in bars), market)


def whole(bars):
    return bars


def with_gaps(bars):
    for values in bars:
        values[[100, 101, 140, 200, 203, 300]] = np.nan
        values[330:345] = np.nan
    return bars


def late(bars):
    for values in bars:
        values[:150] = np.nan
    return bars


def delisted(bars):
    for values in bars:
        values[360:] = np.nan
    return bars


def volume_missing_now_and_then(bars):
    bars[3][[50, 51, 200]] = np.nan
    return bars


cases = pytest.mark.parametrize(
    "shape", [whole, with_gaps, late, delisted, volume_missing_now_and_then], ids=lambda f: f.__name__
)


@cases
@pytest.mark.filterwarnings("ignore:invalid value", "ignore:divide by zero")
def test_factors_are_those_of_pandas(shape):
    """To 2e-4 relative: outputs are float32, and pandas' own rolling skewness is good to 1e-6 or so."""
    bars, market = shape(walk(1)), np.diff(np.log(walk(2, SESSIONS + 1)[0]))
    expected, found = by_pandas(*bars, market), ours(*bars, market)[:, 0]
    assert list(expected) == sorted(expected, key=FACTORS.index) and len(expected) == len(FACTORS)
    for name, values in zip(FACTORS, found, strict=True):
        np.testing.assert_array_equal(np.isnan(values), np.isnan(expected[name]), err_msg=name)
        np.testing.assert_allclose(values, expected[name], rtol=2e-4, atol=2e-6, err_msg=name)
        assert np.isfinite(values).sum() > 10, name


def test_symbols_do_not_touch_each_other():
    market = np.diff(np.log(walk(2, SESSIONS + 1)[0]))
    one, other = with_gaps(walk(3)), walk(4)
    together = ours(*(np.stack(pair) for pair in zip(one, other, strict=True)), market)
    np.testing.assert_array_equal(together[:, 0], ours(*one, market)[:, 0])
    np.testing.assert_array_equal(together[:, 1], ours(*other, market)[:, 0])


@pytest.mark.parametrize("threads", [2, 3, 9], ids=str)
def test_threads_change_nothing(threads):
    market = np.diff(np.log(walk(2, SESSIONS + 1)[0]))
    rows = [np.stack(values) for values in zip(*(walk(seed) for seed in range(5)), strict=True)]
    rows.append(rows[0] * rows[3])
    np.testing.assert_array_equal(alpha_factors(*rows, market, threads=threads), alpha_factors(*rows, market))


@settings(deadline=None, max_examples=25)
@given(cut=st.integers(5, SESSIONS - 1), seed=st.integers(0, 1000))
def test_what_comes_later_changes_nothing(cut, seed):
    bars, market = walk(seed), np.diff(np.log(walk(seed + 1, SESSIONS + 1)[0]))
    before = ours(*(values[:cut] for values in bars), market[:cut])
    np.testing.assert_array_equal(ours(*bars, market)[:, :, :cut], before)


def test_a_price_that_never_moves_has_no_shape_and_no_infinity():
    flat, market = np.full(SESSIONS, 12.5), np.diff(np.log(walk(2, SESSIONS + 1)[0]))
    found = dict(zip(FACTORS, ours(flat, flat, flat, np.full(SESSIONS, 100.0), market)[:, 0, -1], strict=True))
    undefined = {"volume_price_corr_3d", "rsi_14", "sharpe_momentum_5d", "trend_r2_20", "ret_skew_20d"}
    assert {name for name, value in found.items() if np.isnan(value)} == undefined
    assert not np.isinf(list(found.values())).any()
    assert found["volatility_20"] == found["momentum_252"] == 0.0 and found["near_52w_high"] == 1.0


def test_without_volume_high_and_low_the_rest_is_as_before():
    bars, market = walk(5), np.diff(np.log(walk(2, SESSIONS + 1)[0]))
    nothing = np.full(SESSIONS, np.nan)
    found, complete = ours(bars[0], nothing, nothing, nothing, market), ours(*bars, market)
    gone = {name for name, values in zip(FACTORS, found, strict=True) if np.isnan(values).all()}
    volume = {"volume_price_corr_3d", "liquid_momentum_10d", "dollar_vol_20", "amihud_20"}
    assert gone == {"atr_pct_14", "volume_ratio_20", "volume_ratio_60", *volume}
    kept = [name not in gone for name in FACTORS]
    np.testing.assert_array_equal(found[kept], complete[kept])


def test_no_turnover_for_a_month_is_no_liquidity_and_no_infinity():
    bars, market = walk(6), np.diff(np.log(walk(2, SESSIONS + 1)[0]))
    bars[3][200:300] = 0.0
    found = dict(zip(FACTORS, ours(*bars, market)[:, 0, 260:300], strict=True))
    assert all(np.isnan(found[name]).all() for name in ("dollar_vol_20", "amihud_20", "volume_ratio_20"))
    assert not np.isinf(ours(*bars, market)).any()


@pytest.mark.parametrize("half_life", [3.0, 5.0, 15.0], ids="half-life-{:g}".format)
def test_recency_weighting_is_that_of_pandas(half_life):
    rng = np.random.default_rng(1)
    values = rng.standard_normal((2, 300)).astype(np.float32)
    values[0, [5, 6, 100]] = np.nan
    values[1, :50] = np.nan
    found = decayed(values, np.full(300, 0.5 ** (1 / half_life)))
    for row, series in zip(found, values, strict=True):
        expected = pd.Series(series, dtype=float).ewm(halflife=half_life, ignore_na=False).mean().to_numpy()
        np.testing.assert_array_equal(np.isnan(row), np.isnan(series))
        known = ~np.isnan(series)
        np.testing.assert_allclose(row[known], expected[known], rtol=1e-5, atol=1e-6)
