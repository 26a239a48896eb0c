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


def arranged(bars: pl.DataFrame, s: ButterflySettings) -> pl.DataFrame:
    """What the histories of symbols are made of, for all of them at once.

    bars : the bar contract, sorted by (symbol, session). Returns DataFrame `symbol, session, close, quoted, level,
    open, volume, iv` in the same order, NaN where a number is not known. `iv` is at the money.
    """
    index = pl.col("symbol").is_in(s.structure.index_symbols)
    at_the_money = pl.when(index).then(s.structure.vix_to_atm).otherwise(1.0)
    volume = pl.lit(continuous_volume(bars))
    numbers = {"open": pl.col("open"), "volume": volume, "iv": pl.col("iv") * at_the_money}
    return bars.select(
        "symbol",
        "session",
        "close",
        "quoted",
        level=continuous(),
        **{name: value.cast(pl.Float64).fill_null(np.nan) for name, value in numbers.items()},
    )


def history(
    bars: pl.DataFrame,
    surface: pl.DataFrame | None,
    calendar: NDArray[np.datetime64],
    last: dt.date,
    s: ButterflySettings,
    *,
    periods_per_year: int,
) -> History:
    """One symbol's part of what was `arranged`, as arrays.

    surface : session, iv, skew as solved from its quotes, None where there are none; it comes before any other IV.
    """
    symbol, level, iv = bars["symbol"][0], bars["level"].to_numpy(), bars["iv"].to_numpy()
    skew = np.full(len(bars), np.nan)
    if surface is not None:
        solved = bars.select("session").join(surface, on="session", how="left", maintain_order="left")
        iv = solved["iv"].fill_null(bars["iv"]).to_numpy()
        skew = solved["skew"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    index = symbol in s.structure.index_symbols
    premium = s.structure.iv_premium_index if index else s.structure.iv_premium_stock
    return History(
        symbol=symbol,
        session=bars["session"].to_numpy().astype("datetime64[D]"),
        level=level,
        quoted=bars["close"].to_numpy() if bars["quoted"][0] else None,
        opens=bars["open"].to_numpy(),
        volume=bars["volume"].to_numpy(),
        iv=iv_proxy(level, iv, premium=premium, periods_per_year=periods_per_year),
        skew=skew,
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
