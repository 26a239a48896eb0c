"""What a model sees of a signal: everything is known at the close of its session, and free of price levels."""

import numpy as np

from bq.analysis.technical import volume_ratio
from bq.kernels import breakout as kernel
from bq.strategies.breakout.backtest import Signals
from bq.strategies.breakout.prepare import Array, Index, Prepared
from bq.strategies.breakout.settings import BreakoutSettings
from bq.strategies.events import FeatureSet

INDEX_MEMORY = 252  # sessions over which the benchmark's drawdown is looked at

BREAKOUT_V1 = FeatureSet(
    "breakout_v1",
    (
        "fast_strength",  # close over the highest of the 20 closes before, minus 1
        "slow_strength",  # of the 55
        "atr_pct",  # mean true range of 14 sessions over the close
        "atr_ratio",  # over its own mean of 60
        "trend_slope",  # of the trend average over 20 sessions
        "ma_distance",  # close less the trend average, in ATR
        "roc60_excess",  # return of 60 sessions less the benchmark's
        "volume_ratio",  # volume over the mean of the 20 sessions before
        "vol_scaling",  # what sizing makes of the present volatility
        "average_correlation",  # with all others, 60 sessions
        "sessions_since_breakout",  # bars since the last close above its 20-session high
        "close_location",  # of the close between the day's low and high
        "day_return",  # log return of the day in units of ATR / close
        "index_trend",  # benchmark over its mean of 50 sessions, minus 1
        "index_momentum",  # its return of 60 sessions
        "index_volatility",  # of its 20 log returns, annualised
        "index_drawdown",  # below its highest of 252 sessions
        "breadth",  # share of symbols above their 50-session average
    ),
)


def breakout_v1(p: Prepared, found: Signals, settings: BreakoutSettings) -> dict[str, Array]:
    """The columns of `BREAKOUT_V1` for each signal; NaN where one is not known."""
    m, average = p.measures, p.average(settings.eligibility.trend_ma)
    t, i = found.session, found.symbol
    close, atr, low = m.close[t, i], m.atr[t, i], m.low[t, i]
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = {
            "fast_strength": close / m.fast_high[t, i] - 1.0,
            "slow_strength": close / m.slow_high[t, i] - 1.0,
            "atr_pct": atr / close,
            "atr_ratio": m.atr_ratio[t, i],
            "trend_slope": average.slope[t, i],
            "ma_distance": average.distance[t, i],
            "roc60_excess": p.momentum[t, i],
            "volume_ratio": volume_ratio(m, p.volume)[t, i],
            "vol_scaling": np.array([kernel.scale_of(m.volatility, *cell) for cell in zip(t, i, strict=True)]),
            "average_correlation": 1.0 - p.diversification[t, i],
            "sessions_since_breakout": _since_last(p, t, i),
            "close_location": (close - low) / (p.high[t, i] - low),
            "day_return": m.returns[t, i] / (atr / close),
            **{name: values[t] for name, values in _index(p.benchmark, p.periods_per_year).items()},
            "breadth": _breadth(p)[t],
        }
    return {name: np.where(np.isfinite(columns[name]), columns[name], np.nan) for name in BREAKOUT_V1.columns}


def _since_last(p: Prepared, t: Index, i: Index) -> Array:
    """Bars since the symbol's last close at or above the highest of the 20 before it; NaN where there is none."""
    m = p.measures
    with np.errstate(invalid="ignore"):
        breaks = m.present & (m.close >= m.fast_high)
    last = np.maximum.accumulate(np.where(breaks, m.bars, 0), axis=0)  # number of the bar of the last breakout
    before = last[t - 1, i]
    return np.where(before > 0, m.bars[t, i] - before, np.nan)


def _index(level: Array, periods_per_year: int) -> dict[str, Array]:
    """The state of the benchmark at each session; NaN until known."""
    returns = np.diff(np.log(level), prepend=np.nan)
    return {
        "index_trend": level / _trailing(level, 50).mean(axis=1) - 1.0,
        "index_momentum": level / _trailing(level, 61)[:, 0] - 1.0,
        "index_volatility": _trailing(returns, 20).std(axis=1, ddof=1) * np.sqrt(periods_per_year),
        "index_drawdown": 1.0 - level / _trailing(level, INDEX_MEMORY).max(axis=1),
    }


def _trailing(values: Array, length: int) -> Array:
    """The last `length` values at each position, oldest first; NaN before the beginning."""
    padded = np.concatenate([np.full(length - 1, np.nan), values])
    return np.lib.stride_tricks.sliding_window_view(padded, length)


def _breadth(p: Prepared) -> Array:
    """Share of the symbols with a bar that close above their average of 50."""
    average = p.average(50).level
    with np.errstate(invalid="ignore", divide="ignore"):
        known = p.measures.present & np.isfinite(average)
        return (known & (p.measures.close > average)).sum(axis=1) / known.sum(axis=1)
