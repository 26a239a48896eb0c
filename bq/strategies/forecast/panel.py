"""The bars of all symbols as matrices over the sessions of the exchange."""

import datetime as dt
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Panel(NamedTuple):
    """Matrices of shape (n_symbols, n_sessions), NaN where a symbol has no bar or its bar has no such value.

    Prices are continuous through splits and dividends; only ratios of them mean anything. `volume` is in the shares
    that these prices are of, so that price × volume is the turnover as quoted.
    """

    symbols: list[str]
    session: NDArray[np.datetime64]  # every session of the exchange from the first bar to the newest
    closes_utc: pl.Series  # close of each, and of as many sessions to come as the calendar knows
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array

    @property
    def has_bar(self) -> Mask:
        """Where a symbol has a bar."""
        return np.isfinite(self.close)


def panel(bars: pl.DataFrame, calendar: pl.DataFrame) -> Panel:
    """Lay out bars (the bar contract, sorted by symbol and session) on a calendar (session, close_utc)."""
    first, last = bars["session"].min(), bars["session"].max()
    ahead = calendar.filter(pl.col("session") >= first)
    days = ahead.filter(pl.col("session") <= last)["session"].to_numpy().astype("datetime64[D]")
    runs = bars["symbol"].rle().struct.unnest()
    row = np.repeat(np.arange(len(runs)), runs["len"].to_numpy())
    column = np.searchsorted(days, bars["session"].to_numpy().astype("datetime64[D]"))
    adj = pl.col("adj")
    values = bars.select(pl.col("open", "high", "low", "close") * adj, pl.col("volume") / adj)
    matrices = {name: np.full((len(runs), len(days)), np.nan) for name in values.columns}
    for name, matrix in matrices.items():
        matrix[row, column] = values[name].fill_null(np.nan).to_numpy()
    return Panel(runs["value"].to_list(), days, ahead["close_utc"], **matrices)


def asked(p: Panel, wanted: dict[str, list[dt.date]]) -> Mask:
    """Which (symbol, session) of the panel are wanted and have a bar."""
    mask = np.zeros(p.close.shape, bool)
    for row, symbol in enumerate(p.symbols):
        days = wanted.get(symbol)
        if days:
            mask[row] = np.isin(p.session, np.array(days, "datetime64[D]"))
    return mask & p.has_bar
