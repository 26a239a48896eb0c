"""The bars of one symbol as arrays, and the market's clock."""

import datetime as dt
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.analysis.volatility import iv_proxy
from bq.market.bars import continuous, continuous_volume
from bq.strategies.butterfly.settings import ButterflySettings

Array = NDArray[np.float64]
Index = NDArray[np.int64]

SPLIT = 0.10  # a change of the adjustment factor above what dividends make between t0 and expiry
UNQUOTED_SPOT = 100.0  # back-adjusted prices have no level of their own: spot at t0 is set to 100


class History(NamedTuple):
    """The bars of one symbol as arrays of shape (n_bars,), plus the market's clock."""

    symbol: str
    session: NDArray[np.datetime64]  # trading sessions, datetime64[D]
    level: Array  # continuous through splits; only ratios of it mean anything
    quoted: Array | None  # close as quoted; None where the source has back-adjusted prices only
    opens: Array  # as quoted, NaN where there is none
    volume: Array  # continuous through splits
    iv: Array  # quoted or proxy, annualised decimal
    skew: Array  # NaN where no chain is quoted
    calendar: NDArray[np.datetime64]  # every session of the exchange, past and to come
    last: np.datetime64  # newest session of the whole market: what has happened by then has happened
    periods_per_year: int  # sessions, of the exchange


def history(
    bars: pl.DataFrame,
    surface: pl.DataFrame | None,
    calendar: NDArray[np.datetime64],
    last: dt.date,
    s: ButterflySettings,
    *,
    periods_per_year: int,
) -> History:
    """Arrays of one symbol's bars (the bar contract, sorted by session).

    surface : session, iv, skew as solved from its quotes, None where there are none; it comes before any other IV.
    """
    symbol = bars["symbol"][0]
    level = bars.select(continuous()).to_series().to_numpy()
    bars = bars.with_columns(volume=continuous_volume(bars))
    structure = s.structure
    index = symbol in structure.index_symbols
    premium = structure.iv_premium_index if index else structure.iv_premium_stock
    at_the_money = structure.vix_to_atm if index else 1.0
    bars = bars.with_columns(pl.col("iv") * at_the_money)
    bars = bars.with_columns(skew=pl.lit(None, pl.Float64))
    if surface is not None:
        bars = bars.join(surface, on="session", how="left", suffix="_solved", maintain_order="left")
        bars = bars.with_columns(iv=pl.coalesce("iv_solved", "iv"), skew=pl.col("skew_solved"))
    optional = bars.select(pl.col("open", "volume", "iv", "skew").cast(pl.Float64).fill_null(np.nan))
    return History(
        symbol=symbol,
        session=bars["session"].to_numpy().astype("datetime64[D]"),
        level=level,
        quoted=bars["close"].to_numpy() if bars["quoted"][0] else None,
        opens=optional["open"].to_numpy(),
        volume=optional["volume"].to_numpy(),
        iv=iv_proxy(level, optional["iv"].to_numpy(), premium=premium, periods_per_year=periods_per_year),
        skew=optional["skew"].to_numpy(),
        calendar=calendar,
        last=np.datetime64(last, "D"),
        periods_per_year=periods_per_year,
    )


def in_units_of_t0(h: History, at: Index, position: Index) -> Array:
    """Price at `position` in units of the price quoted at `at`: what an option struck there is worth by.

    As quoted, where that is known: an option pays no dividend. Where a split lies between, or the source has
    back-adjusted prices only, by the continuous price, which holds the dividends between.
    """
    if h.quoted is None:
        return h.level[position] * (UNQUOTED_SPOT / h.level[at])
    continuous = h.level[position] * (h.quoted[at] / h.level[at])
    return np.where(split_between(h, h.quoted, at, position), continuous, h.quoted[position])


def split_between(h: History, quoted: Array, at: Index, position: Index) -> NDArray[np.bool_]:
    """Whether prices as quoted have split between two bars: their adjustment changed by more than dividends make."""
    before, after = (h.level[place] / quoted[place] for place in (at, position))
    return np.abs(np.log(after / before)) >= np.log(1.0 + SPLIT)
