"""A market, thirty-six honest features and six that leak: all registered as a user registers them."""

import datetime as dt
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.market import MarketData
from bq.market.bars import FINDINGS, SCHEMA, content_hash, rows
from bq.market.calendars import sessions
from bq.market.chains.quotes import SCHEMA as QUOTES

Array = NDArray[np.float64]
HOLDING = 5  # sessions of an outcome
NAMES, SESSIONS = 12, 1300
MISSING = 0.03  # share of volumes that are not known, in runs


def memory(rng: np.random.Generator, shape: tuple[int, ...], kept: float) -> Array:
    """A stationary first-order autoregression of variance 1 along the first axis."""
    values = rng.standard_normal(shape)
    values[1:] *= np.sqrt(1.0 - kept**2)
    for t in range(1, shape[0]):
        values[t] += kept * values[t - 1]
    return values


def market_of(seed: int) -> MarketData:
    """Names under a common factor, with clustered volatility, splits, and volumes that are missing in runs.

    `iv` is a persistent trait that predicts returns a little, a jump of volume a burst of five good sessions: honest
    features may be good.
    """
    rng = np.random.default_rng(seed)
    shape = (SESSIONS, NAMES)
    trait, jump = memory(rng, shape, 0.97), rng.random(shape) < 0.04
    burst = sum(np.vstack([np.zeros((lag, NAMES)), jump[:-lag]]) for lag in range(1, 6))
    sigma = 0.015 * np.exp(0.4 * memory(rng, shape, 0.97))
    shocks = 0.5 * rng.standard_normal((SESSIONS, 1)) + np.sqrt(0.75) * rng.standard_t(5, shape) * np.sqrt(0.6)
    before = np.vstack([np.zeros((1, NAMES)), trait[:-1]])
    close = 50.0 * np.exp(np.cumsum(sigma * (shocks + 0.08 * before + 0.3 * burst), axis=0))
    gap = np.exp(0.3 * sigma * rng.standard_normal(shape))
    opens = np.vstack([close[:1], close[:-1]]) * gap
    reach = np.exp(0.5 * sigma * rng.random(shape))
    volume = 1e6 * np.exp(0.5 * memory(rng, shape, 0.97)) * np.where(jump, 4.0, 1.0)
    volume[memory(rng, shape, 0.8) < -1.9] = np.nan
    split = np.where(np.arange(SESSIONS)[:, None] < rng.integers(200, SESSIONS - 200, NAMES), 0.5, 1.0)
    days = sessions("XNYS").filter(pl.col("session") >= dt.date(2012, 1, 3))["session"].head(SESSIONS)
    columns = {
        "open": opens / split,
        "high": np.maximum(opens, close) * reach / split,
        "low": np.minimum(opens, close) / reach / split,
        "close": close / split,
        "volume": volume * split,
        "adj": split,
        "iv": np.exp(0.2 * trait - 1.5),
    }
    frames = [
        pl.DataFrame({"session": days, **{name: values[:, i] for name, values in columns.items()}}).with_columns(
            symbol=pl.lit(f"N{i:02d}")
        )
        for i in range(NAMES)
    ]
    bars = rows(pl.concat(frames).fill_nan(None), file="planted").select(SCHEMA.names()).sort("symbol", "session")
    return MarketData(
        bars, QUOTES.to_frame(), FINDINGS.to_frame(), pl.DataFrame(), "simulated", "XNYS", content_hash(bars)
    )


class Feature(NamedTuple):
    """What `bq.features.register` takes."""

    function: pl.Expr | Callable[[pl.DataFrame], pl.Series | Array]
    needs: tuple[str, ...] = ("close",)
    across: bool = False


CLOSE, VOLUME, TURNOVER = pl.col("close"), pl.col("volume"), pl.col("turnover")
RETURN = CLOSE.pct_change()
RANGE = (pl.col("high") - pl.col("low")) / CLOSE
MOVED = CLOSE / CLOSE.shift(10) - 1
OHLC = ("open", "high", "low", "close")


def momentum(n: int) -> Feature:
    return Feature(CLOSE / CLOSE.shift(n) - 1)


def reversal(n: int) -> Feature:
    return Feature(-(CLOSE / CLOSE.shift(n) - 1))


def volatility(n: int) -> Feature:
    return Feature(RETURN.rolling_std(n))


def in_session(make: Callable[[pl.Expr], pl.Expr], column: pl.Expr = MOVED) -> Callable:
    """A function of the bars of all symbols: a column of each symbol, then something of each session."""

    def function(bars: pl.DataFrame) -> pl.Series:
        return bars.with_columns(x=column.over("symbol")).select(make(pl.col("x")).over("session")).to_series()

    return function


def trailing_slope(bars: pl.DataFrame) -> Array:
    """Slope of the log price on time over 30 bars, in NumPy."""
    log = np.log(bars["close"].to_numpy())
    found = np.full(len(log), np.nan)
    if len(log) >= 30:
        windows = np.lib.stride_tricks.sliding_window_view(log, 30)
        found[29:] = windows @ (np.arange(30) - 14.5) / 2247.5
    return found


CLEAN: dict[str, Feature] = {
    **{f"momentum_{n}": momentum(n) for n in (5, 10, 21, 63, 126)},
    **{f"reversal_{n}": reversal(n) for n in (1, 3, 5)},
    **{f"volatility_{n}": volatility(n) for n in (10, 20, 60)},
    "downside": Feature(RETURN.clip(upper_bound=0.0).rolling_std(20)),
    "range": Feature(RANGE.rolling_mean(10), ("high", "low", "close")),
    "gap": Feature(pl.col("open") / CLOSE.shift(1) - 1, ("open", "close")),
    "location": Feature((CLOSE - pl.col("low")) / (pl.col("high") - pl.col("low") + 1e-9 * CLOSE), OHLC),
    "drawdown": Feature(1 - CLOSE / CLOSE.rolling_max(252, min_samples=20)),
    "near_high": Feature(CLOSE / CLOSE.rolling_max(60)),
    "deviation": Feature(CLOSE / CLOSE.rolling_mean(20) - 1),  # trailing, not centred
    "bands": Feature((CLOSE - CLOSE.rolling_mean(20)) / CLOSE.rolling_std(20)),
    "macd": Feature((CLOSE.ewm_mean(span=12) - CLOSE.ewm_mean(span=26)) / CLOSE),
    "skew": Feature(RETURN.rolling_skew(40)),
    "slope": Feature(trailing_slope),
    "autocorrelation": Feature(pl.rolling_corr(RETURN, RETURN.shift(1), window_size=40)),
    "volume_ratio": Feature(VOLUME / VOLUME.rolling_mean(20, min_samples=10), ("volume",)),  # a good one, and brief
    "turnover": Feature(TURNOVER.log(), ("turnover",)),
    "last_volume": Feature(  # filled forward, not back
        VOLUME.fill_null(strategy="forward") / VOLUME.rolling_mean(60, min_samples=10), ("volume",)
    ),
    "amihud": Feature((RETURN.abs() / TURNOVER * 1e9).rolling_mean(20, min_samples=5), ("close", "turnover")),
    "trait": Feature(pl.col("iv").log(), ("iv",)),  # a good one, with a memory of .97
    "trait_change": Feature(pl.col("iv") / pl.col("iv").shift(5) - 1, ("iv",)),
    "standing": Feature(  # scaled by what was known, not by the whole sample
        (RETURN - RETURN.cum_sum() / RETURN.cum_count()) / RETURN.rolling_std(250, min_samples=60)
    ),
    "split_level": Feature(pl.col("quoted").log(), ("quoted",)),
    "month": Feature(lambda bars: bars["session"].dt.month()),
    "rank": Feature(in_session(lambda x: x.rank() / x.count()), across=True),
    "relative": Feature(in_session(lambda x: x - x.mean()), across=True),
    "market": Feature(in_session(lambda x: x.mean()), across=True),
    "market_trait": Feature(in_session(lambda x: x.mean(), pl.col("iv").log()), ("iv",), across=True),
}


def leaks(events: pl.DataFrame, seed: int) -> dict[str, Feature]:
    """The six; two of them read outcomes from a table, as a file of labels beside the bars would be."""
    rng = np.random.default_rng(seed)
    known = events.select("symbol", "session", "outcome").drop_nulls()
    spread = known["outcome"].std()
    others = (pl.col("outcome").sum() - pl.col("outcome")).over("session") / (pl.len().over("session") - 1)
    label = known.with_columns(leak=pl.col("outcome") + pl.Series(spread * rng.standard_normal(len(known))))
    of_others = known.with_columns(leak=others + pl.Series(0.5 * spread * rng.standard_normal(len(known))))

    def read(table: pl.DataFrame) -> Callable[[pl.DataFrame], pl.Series]:
        return lambda bars: bars.join(table, on=["symbol", "session"], how="left", maintain_order="left")["leak"]

    return {
        "future_close": Feature(CLOSE.shift(-1) / CLOSE - 1),
        "centred_window": Feature(CLOSE / CLOSE.rolling_mean(21, center=True) - 1),
        "back_fill": Feature(
            VOLUME.fill_null(strategy="backward") / VOLUME.rolling_mean(60, min_samples=10), ("volume",)
        ),
        "full_sample_scaling": Feature((RETURN - RETURN.mean()) / RETURN.std()),
        "label": Feature(read(label), ()),
        "outcomes_of_others": Feature(read(of_others), ()),
    }
