"""Bars of many symbols as matrices over the sessions of a calendar."""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.market.bars import continuous, continuous_volume

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Days = NDArray[np.datetime64]
PRICES = ("open", "high", "low", "close")


class BarMatrix(NamedTuple):
    """Matrices of shape (n_symbols, n_sessions), C order, NaN where a symbol has no bar or its bar has no such value.

    open, high, low, close : continuous through splits and dividends; only ratios of them mean anything.
    volume : continuous through splits alone; only ratios of it mean anything.
    quoted : close as quoted. turnover : that × shares as traded.
    """

    symbols: tuple[str, ...]  # sorted
    sessions: Days  # datetime64[D], ascending
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    quoted: Array
    turnover: Array

    @property
    def has_bar(self) -> Mask:
        """Where a symbol has a bar."""
        return np.isfinite(self.close)


def bar_matrix(bars: pl.DataFrame, days: Days) -> BarMatrix:
    """Lay out bars (the bar contract, sorted by symbol and session) on `days`, which hold every session of theirs."""
    runs = bars["symbol"].rle().struct.unnest()
    place = np.searchsorted(days, bars["session"].to_numpy().astype("datetime64[D]"))
    place += np.repeat(np.arange(len(runs)) * len(days), runs["len"].to_numpy())

    def laid(values: pl.Series) -> Array:
        matrix = np.full(len(runs) * len(days), np.nan)
        matrix[place] = values.cast(pl.Float64).fill_null(np.nan).to_numpy()
        return matrix.reshape(len(runs), len(days))

    return BarMatrix(
        symbols=tuple(runs["value"]),
        sessions=days,
        **{name: laid(bars.select(continuous(name)).to_series()) for name in PRICES},
        volume=laid(continuous_volume(bars)),
        quoted=laid(bars["close"]),
        turnover=laid(bars["close"] * bars["volume"]),
    )


def days_between(bars: pl.DataFrame, calendar: pl.DataFrame) -> Days:
    """The sessions of a calendar (`calendars.sessions`) from the first bar to the last, as datetime64[D]."""
    within = calendar["session"].is_between(bars["session"].min(), bars["session"].max())
    return calendar["session"].filter(within).to_numpy().astype("datetime64[D]")
