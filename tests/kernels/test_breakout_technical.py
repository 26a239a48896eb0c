"""The compiled measures against pandas, symbol by symbol."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from bq.analysis import technical
from bq.kernels import technical as kernel
from bq.market.matrix import bar_matrix

DAYS = np.arange("2012-01-01", "2012-12-31", dtype="datetime64[D]")


def sample(seed=0, symbols=4):
    """Bars with missing days, a late start and an early end, and the benchmark's level."""
    rng = np.random.default_rng(seed)
    n = len(DAYS)
    frames = {}
    for i in range(symbols):
        close = 50 * np.exp(np.cumsum(0.02 * rng.standard_normal(n)))
        opens = close * np.exp(0.01 * rng.standard_normal(n))
        high, low = np.maximum(opens, close) * 1.01, np.minimum(opens, close) * 0.99
        volume = 1e6 * np.exp(rng.standard_normal(n))
        there = rng.random(n) > 0.1
        there[: 40 * (i == 1)] = there[n - 60 * (i == 2) :] = False
        columns = {"open": opens, "high": high, "low": low, "close": close, "volume": volume}
        frames[f"S{i}"] = pd.DataFrame(columns, index=DAYS)[there]
    return frames, 100 * np.exp(np.cumsum(0.01 * rng.standard_normal(n)))


def measured(frames, benchmark, adj=1.0):
    bars = pl.concat(
        pl.DataFrame(
            {
                "session": frame.index.to_numpy().astype("datetime64[D]"),
                **{name: frame[name].to_numpy() for name in frame},
            }
        ).with_columns(pl.col("session").cast(pl.Date), symbol=pl.lit(symbol), adj=pl.lit(adj))
        for symbol, frame in frames.items()
    )
    laid = bar_matrix(bars, DAYS)
    return laid, technical.measures(laid, benchmark)


def by_pandas(frame, benchmark):
    """The same measures on the bars of one symbol."""
    close, high, low = frame["close"], frame["high"], frame["low"]
    before = close.shift().fillna(close)
    true_range = pd.concat([high - low, (high - before).abs(), (low - before).abs()], axis=1).max(axis=1)
    atr = true_range.rolling(14).mean()
    market = pd.Series(benchmark, index=DAYS)[frame.index]
    returns = np.log(close).diff()
    found = {
        "fast_high": close.shift().rolling(20).max(),
        "slow_high": close.shift().rolling(55).max(),
        "atr": atr,
        "atr_ratio": atr / atr.rolling(60).mean(),
        "dollars": (close * frame["volume"]).rolling(20).mean(),
        "volatility": returns.rolling(20).std(ddof=0),
        "momentum": close.pct_change(60) - market.pct_change(60),
    }
    return {name: values.reindex(DAYS).ffill() for name, values in found.items()}


@pytest.mark.parametrize("symbol", range(4), ids=["gaps", "late start", "early end", "more gaps"])
def test_measures_are_those_of_pandas_on_the_symbols_own_bars(symbol):
    frames, benchmark = sample()
    laid, m = measured(frames, benchmark)
    frame = frames[f"S{symbol}"]
    for name, expected in by_pandas(frame, benchmark).items():
        # pandas' forward fill stops nowhere either: after the last bar the last value stands
        np.testing.assert_allclose(getattr(m, name)[:, symbol], expected, rtol=1e-9, atol=1e-12, err_msg=name)
    ratio = (frame["volume"] / frame["volume"].shift().rolling(20).mean()).reindex(DAYS).ffill()
    np.testing.assert_allclose(technical.volume_ratio(m, laid.volume.T)[:, symbol], ratio, rtol=1e-9)
    assert m.present[:, symbol].tolist() == pd.Index(DAYS).isin(frame.index).tolist()
    assert laid.symbols[symbol] == f"S{symbol}"
    returns = np.log(frame["close"]).diff().reindex(DAYS).fillna(0.0)
    np.testing.assert_allclose(m.returns[:, symbol], returns, atol=1e-12)


@pytest.mark.parametrize("length", [20, 50, 100])
def test_moving_averages_and_slopes_are_those_of_pandas_on_the_symbols_own_bars(length):
    frames, benchmark = sample()
    _, m = measured(frames, benchmark)
    level, slope = technical.moving_average(m, length)
    for i, frame in enumerate(frames.values()):
        average = frame["close"].rolling(length).mean()
        for ours, expected in ((level, average), (slope, average / average.shift(20) - 1)):
            np.testing.assert_allclose(ours[:, i], expected.reindex(DAYS).ffill(), rtol=1e-9, atol=1e-12)


def test_prices_are_adjusted_and_dollar_volume_is_as_quoted():
    frames, benchmark = sample()
    _, plain = measured(frames, benchmark)
    _, half = measured(frames, benchmark, adj=0.5)
    np.testing.assert_array_equal(half.close, plain.close / 2)
    np.testing.assert_array_equal(half.dollars, plain.dollars)


def test_correlations_are_those_of_pandas():
    frames, benchmark = sample()
    _, m = measured(frames, benchmark)
    average = technical.average_correlation(m)
    window = pd.DataFrame(m.returns)
    for t in (150, 220, 300):
        expected = window[t - 59 : t + 1].corr().to_numpy()
        windows = np.empty((4, 60))
        assert all(kernel.standardised(m.returns[:, i], t, windows[i]) for i in range(4))
        np.testing.assert_allclose(windows @ windows.T, expected, atol=1e-12)
        counted = np.flatnonzero((m.bars[t] - m.bars[t - 60]) >= 40)
        others = [np.mean([expected[i, j] for j in counted if j != i]) for i in counted]
        np.testing.assert_allclose(average[t, counted], others, atol=1e-12)
        assert np.isnan(np.delete(average[t], counted)).all()


def test_a_symbol_alone_has_no_average_correlation_and_one_that_does_not_move_has_none_with_others():
    frames, benchmark = sample(symbols=2)
    _, alone = measured({"S0": frames["S0"], "S1": frames["S1"].head(30)}, benchmark)
    assert np.isnan(technical.average_correlation(alone)).all()
    still = frames["S1"] * 0 + 10.0
    _, m = measured({"S0": frames["S0"], "S1": still}, benchmark)
    window = np.ones(60)
    assert not kernel.standardised(m.returns[:, 1], 200, window)
    assert not window.any()
    assert technical.average_correlation(m)[200].tolist() == pytest.approx([0.0, 0.0], abs=1e-15)


@pytest.mark.parametrize(
    "values, expected",
    [
        ([np.nan, np.nan], [np.nan, np.nan]),
        ([1.0, np.nan, 3.0, np.nan], [1.0, 1.0, 3.0, 3.0]),
        ([np.nan, 2.0], [np.nan, 2.0]),
    ],
    ids=["nothing known", "gaps", "begins late"],
)
def test_known_is_the_last_known_value(values, expected):
    np.testing.assert_array_equal(technical.known(np.array(values)), expected)
