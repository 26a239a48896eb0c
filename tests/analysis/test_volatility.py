from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bq.analysis import volatility
from bq.analysis.volatility import MIN_PAIRS, trailing_percentile

HORIZON = 21  # sessions in thirty days of an exchange
har_volatility = partial(volatility.har_volatility, periods_per_year=252)
iv_proxy = partial(volatility.iv_proxy, periods_per_year=252)

FIRST = 66 + HORIZON + MIN_PAIRS - 1  # bar of the first forecast: 66 returns, then 252 pairs of which the last matured


def closes(count: int = 900, *, seed: int = 0, vol: float = 0.012) -> np.ndarray:
    rng = np.random.default_rng(seed)
    log_vol = np.zeros(count)
    for t in range(1, count):
        log_vol[t] = 0.97 * log_vol[t - 1] + 0.1 * rng.standard_normal()
    return 100 * np.exp(np.cumsum(vol * np.exp(log_vol) * rng.standard_normal(count)))


def by_least_squares(prices: np.ndarray, t: int) -> float:
    """The forecast at bar `t` by numpy's lstsq on the pairs known then, one date at a time."""
    squared = np.diff(np.log(prices[: t + 1])) ** 2  # squared[i] is of bar i + 1

    def root_mean(last: int, length: int) -> float:
        return float(np.sqrt(np.mean(squared[last - length : last])))

    rows = [(s, [1.0, *(root_mean(s, lag) for lag in (1, 5, 22, 66))]) for s in range(66, t + 1)]
    x = [row for s, row in rows if s + HORIZON <= t]
    y = [root_mean(s + HORIZON, HORIZON) for s, _ in rows if s + HORIZON <= t]
    coefficients = np.linalg.lstsq(np.array(x), np.array(y), rcond=None)[0]
    now = np.array(rows[-1][1])
    return max(now @ coefficients, 0.25 * now[-1]) * np.sqrt(252)


@pytest.mark.parametrize("seed", [0, 1], ids="seed-{}".format)
def test_the_forecast_is_that_of_a_regression_on_what_had_matured(seed):
    prices = closes(seed=seed)
    forecast = har_volatility(prices)
    for t in (FIRST, FIRST + 1, 400, 555, 899):
        assert forecast[t] == pytest.approx(by_least_squares(prices, t), rel=1e-5), t


def test_the_first_forecast_waits_for_252_pairs():
    forecast = har_volatility(closes())
    assert np.isnan(forecast[:FIRST]).all() and np.isfinite(forecast[FIRST:]).all()


@pytest.mark.parametrize("count", [0, 1, 5, 21, 22, 66, 67, 338], ids="{}-bars".format)
def test_a_short_history_has_no_forecast(count):
    assert np.isnan(har_volatility(closes()[:count])).all()


def test_no_forecast_changes_when_later_closes_are_removed_or_changed():
    prices = closes(700)
    whole = har_volatility(prices)
    for t in (FIRST, FIRST + 1, 417, 500, 650, 698):
        np.testing.assert_array_equal(har_volatility(prices[: t + 1]), whole[: t + 1])
    garbage = prices.copy()
    garbage[501:] *= np.random.default_rng(1).lognormal(0, 3, len(garbage) - 501)
    np.testing.assert_array_equal(har_volatility(garbage)[:501], whole[:501])


def test_the_forecast_does_not_depend_on_the_unit_of_the_price():
    prices = closes()
    np.testing.assert_allclose(har_volatility(prices * 1e-4), har_volatility(prices), rtol=1e-7)


def test_a_price_that_never_moves_has_no_volatility():
    assert (har_volatility(np.full(500, 42.0))[FIRST:] == 0).all()


def test_a_price_that_stops_moving_keeps_a_finite_forecast():
    prices = closes(800)
    prices[500:] = prices[500]
    forecast = har_volatility(prices)[FIRST:]
    assert np.isfinite(forecast).all() and (forecast >= 0).all()


def test_the_forecast_has_the_level_of_a_constant_volatility():
    rng = np.random.default_rng(7)
    prices = 100 * np.exp(np.cumsum(0.2 / np.sqrt(252) * rng.standard_normal(3000)))
    assert har_volatility(prices)[-1000:].mean() == pytest.approx(0.2, rel=0.05)


def test_the_forecast_follows_volatility():
    prices = closes(3000, seed=3)
    forecast = har_volatility(prices)
    returns = np.diff(np.log(prices), append=np.nan)
    realised = np.array([np.sqrt(252 * np.mean(returns[t : t + HORIZON] ** 2)) for t in range(3000 - HORIZON - 1)])
    known = np.isfinite(forecast[: len(realised)])
    assert np.corrcoef(forecast[: len(realised)][known], realised[known])[0, 1] > 0.4


def test_quoted_implied_volatility_is_used_where_there_is_one():
    prices = closes()
    quoted = np.full(900, np.nan)
    quoted[[10, 600]] = 0.31, 0.42
    proxy, forecast = iv_proxy(prices, quoted, premium=1.2), har_volatility(prices)
    assert (proxy[10], proxy[600]) == (0.31, 0.42)
    rest = ~np.isfinite(quoted)
    np.testing.assert_array_equal(proxy[rest], 1.2 * forecast[rest])


@given(
    arrays(float, st.integers(0, 60), elements=st.sampled_from([np.nan, 0.1, 0.2, 0.3, 0.4])),
    st.integers(1, 8),
)
@hypothesis_settings(max_examples=80)
def test_the_percentile_is_the_share_of_the_values_before_that_are_lower(values, window):
    expected = np.full(len(values), np.nan)
    for t in range(window, len(values)):
        before = values[t - window : t]
        if np.isfinite(before).all() and np.isfinite(values[t]):
            expected[t] = sum(value < values[t] for value in before) / window
    np.testing.assert_array_equal(trailing_percentile(values, window=window), expected)
    some = np.arange(len(values))[::-3]
    np.testing.assert_array_equal(trailing_percentile(values, some, window=window), expected[some])


def test_the_percentile_looks_back_a_trading_year():
    rising = trailing_percentile(np.arange(300.0))
    assert np.isnan(rising[:252]).all() and (rising[252:] == 1.0).all()
    assert (trailing_percentile(-np.arange(300.0))[252:] == 0.0).all()
