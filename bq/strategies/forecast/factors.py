"""Alpha factors of the cross-section and the columns made of them; one function for training and serving.

Delay 1: an event at t0, the close of session T, sees bars up to and including T, and the first price that it can pay is
that of T+1. So one session lies between the newest bar in a feature and the outcome's first price, which is what delay
1 means where signals are traded at the next open; a feature never meets the price it was computed from. With
`temporal.extra_lag` k every feature is that of session T−k.

`returns` are simple daily returns, n sessions long unless it says otherwise; turnover is price × volume,
as quoted:

- volume_price_corr_3d: correlation of close and volume. rsi_14: 100 × mean gain / (mean gain + mean loss), plain means.
- reversal_n: −(P / P[−n] − 1). momentum_10d: P / P[−10] − 1. liquid_momentum_10d: that × mean volume of 10 sessions /
  of 60. sharpe_momentum_5d: mean / standard deviation of returns. price_ma20_deviation: P / its mean − 1.
- dollar_vol_20: log of mean turnover. trend_r2_20: R² of log price on time. ret_skew_20d: skewness of returns.
- near_52w_high: P / highest close of 252 sessions (George & Hwang 2004, doi:10.1111/j.1540-6261.2004.00695.x).
- atr_pct_14: mean true range / P. amihud_20: mean of |return| / turnover × 10⁶ (Amihud 2002,
  doi:10.1016/S1386-4181(01)00024-6).
- momentum_n of 21 to 252: P[−5] / P[−n] − 1, the newest week skipped. volatility_n: standard deviation of returns ×
  √sessions a year. volume_ratio_n: volume / its mean. market_beta_60: slope on the market's returns.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bq.core.parallel import workers
from bq.kernels.ranks import rank_rows
from bq.kernels.rolling import alpha_factors, decayed
from bq.market.matrix import BarMatrix, Mask
from bq.strategies.forecast.features import FACTORS, FAMILY, WITHOUT
from bq.strategies.forecast.settings import Decay, ForecastSettings

Float32 = NDArray[np.float32]
BATCH = 256  # symbols


def market_returns(p: BarMatrix, *, index: int | None) -> NDArray[np.float64]:
    """Return of the market in each session: of the row `index`, or the mean of all; NaN where there is none."""
    if index is not None:
        close = p.close[index]
        return np.concatenate([[np.nan], close[1:] / close[:-1] - 1.0])
    moves = p.close[:, 1:] / p.close[:, :-1] - 1.0
    known = np.isfinite(moves)
    count = known.sum(axis=0)
    mean = np.divide(np.where(known, moves, 0.0).sum(axis=0), count, out=np.full(len(count), np.nan), where=count > 0)
    return np.concatenate([[np.nan], mean])


def kept_weight(market: NDArray[np.float64], family: str, s: Decay) -> NDArray[np.float64]:
    """Share of their weight that a factor's observations keep from one session to the next, shape (n_sessions,).

    One half to the power of 1 / half-life; the half-life is shorter in sessions of high market volatility and longer in
    those of low, the thirds of its own past year. Volatility is that of 20 sessions up to the session itself.
    """
    import polars as pl

    volatility = pl.Series(market).fill_nan(None).rolling_std(20, min_samples=16)
    upper, lower = (
        volatility.rolling_quantile(q, interpolation="linear", window_size=252, min_samples=63) for q in (2 / 3, 1 / 3)
    )
    factor = np.where((volatility > upper).fill_null(False), s.high_volatility, 1.0)
    factor = np.where((volatility < lower).fill_null(False), s.low_volatility, factor)
    return 0.5 ** (1.0 / (getattr(s.half_life_days, family) * factor))


def lagged(values: Float32, lag: int) -> Float32:
    """The values of `lag` sessions before, along the last axis; NaN before the first."""
    if lag == 0:
        return values
    out = np.full_like(values, np.nan)
    out[..., lag:] = values[..., :-lag]
    return out


def columns(
    p: BarMatrix, s: ForecastSettings, *, index: int | None, members: Mask, rows: Mask, periods_per_year: int
) -> Iterator[tuple[str, Float32]]:
    """Name and values of each feature column at `rows`, in order of session, then symbol.

    members, rows : (n_symbols, n_sessions); ranks are among the members of a session, `rows` are the ones returned.
    periods_per_year : sessions, of the market's calendar.
    """
    sessions: Mask = np.any(rows, axis=0)
    chosen, outside = rows.T[sessions], ~members.T[sessions]
    tables = _tables(p, s, sessions, market_returns(p, index=index), periods_per_year=periods_per_year)
    marks = {factor: mark for mark, factor in WITHOUT.items()}
    for name in FACTORS:
        table, smooth, *before = tables.pop(name)
        for one in (table, smooth, *before):
            one[outside] = np.nan
        yield name, table[chosen]
        yield f"{name}_rank", rank_rows(table)[chosen]
        yield f"{name}_decayed", rank_rows(smooth)[chosen]
        for lag, one in zip(s.temporal.lags, before, strict=True):
            yield f"{name}_rank_lag{lag}", rank_rows(one)[chosen]
        if name in marks:
            yield marks[name], np.isnan(table[chosen]).astype(np.float32)


def _tables(
    p: BarMatrix, s: ForecastSettings, sessions: Mask, market: NDArray[np.float64], *, periods_per_year: int
) -> dict[str, list[Float32]]:
    """Of each factor its values, their decayed mean, and the values of each lag, shape (sessions, n_symbols) each.

    A BATCH of symbols after the other: the factors of every session are never there for all of them.
    """
    shape, kinds = (int(sessions.sum()), len(p.close)), 2 + len(s.temporal.lags)
    tables = {name: [np.empty(shape, np.float32) for _ in range(kinds)] for name in FACTORS}
    keep = {family: kept_weight(market, family, s.decay) for family in set(FAMILY.values())}
    for first in range(0, len(p.close), BATCH):
        part = slice(first, first + BATCH)
        bars = (p.close[part], p.high[part], p.low[part], p.volume[part], p.turnover[part])
        found = alpha_factors(*bars, market, periods_per_year=periods_per_year, threads=workers())
        for name, now in zip(FACTORS, found, strict=True):
            raw = lagged(now, s.temporal.extra_lag)
            made = (raw, decayed(raw, keep[FAMILY[name]]), *(lagged(raw, lag) for lag in s.temporal.lags))
            for table, values in zip(tables[name], made, strict=True):
                table[:, part] = values[:, sessions].T
    return tables
