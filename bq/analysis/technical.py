"""Bars of many symbols as one grid of sessions × symbols, and the technical measures on it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.kernels import technical as kernel
from bq.kernels.technical import Array, Measures

__all__ = [
    *("Array", "Grid", "Measures"),
    *("average_correlation", "grid", "known", "measures", "moving_average", "volume_ratio"),
]

MANY = 16
FIELDS = ("open", "high", "low", "close", "volume")


class Grid(NamedTuple):
    """Bars on every session of a calendar, (n_sessions, n_symbols) in Fortran order, NaN where there is no whole bar.

    Prices are continuous through splits and dividends (`adj` applied); `quoted` is the close as quoted.
    """

    sessions: NDArray[np.datetime64]
    symbols: tuple[str, ...]
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    quoted: Array


def grid(bars: pl.DataFrame, days: NDArray[np.datetime64]) -> Grid:
    """Lay bars (the bar contract) on the sessions `days`. A bar without open, high or low is left out."""
    whole = bars.filter(pl.all_horizontal(pl.col("open", "high", "low").is_not_null()))
    symbols = whole["symbol"].unique().sort()
    row = np.searchsorted(days, whole["session"].to_numpy().astype("datetime64[D]"))
    column = symbols.search_sorted(whole["symbol"]).to_numpy().astype(np.int64)
    adj = whole["adj"].to_numpy()

    def lay(values: Array) -> Array:
        laid = np.full(len(symbols) * len(days), np.nan)
        laid[column * len(days) + row] = values
        return laid.reshape(len(symbols), len(days)).T

    prices = [lay(whole[name].to_numpy() * adj) for name in FIELDS[:4]]
    volume = lay(whole["volume"].fill_null(np.nan).to_numpy())
    return Grid(days, tuple(symbols), *prices, volume, lay(whole["close"].to_numpy()))


def measures(g: Grid, benchmark: Array) -> Measures:
    """All measures of a grid; the value at a session uses data up to its close. benchmark : (n_sessions,) levels."""
    made = Measures._fields[3:-1]
    blank = _blank(g.close.shape, len(made) + 1)
    out = Measures(
        present=np.asfortranarray(np.isfinite(g.close)),
        open=g.open,
        low=g.low,
        **dict(zip(made, blank, strict=False)),
        bars=blank[-1].view(np.int64),
    )

    def measure(symbols: slice) -> None:
        inputs = (values[:, symbols] for values in (g.high, g.low, g.close, g.volume, g.quoted))
        kernel.measure_into(*inputs, benchmark, Measures(*(values[:, symbols] for values in out)))

    _shared_out(measure, len(g.symbols))
    return out


def moving_average(m: Measures, length: int) -> tuple[Array, Array]:
    """Mean of the last `length` closes of each symbol, and its slope: over itself 20 bars before, minus 1."""
    level, slope = _blank(m.close.shape, 2)

    def average(symbols: slice) -> None:
        kernel.average_into(m.close[:, symbols], m.present[:, symbols], length, level[:, symbols], slope[:, symbols])

    _shared_out(average, m.close.shape[1])
    return level, slope


def volume_ratio(m: Measures, volume: Array) -> Array:
    """Volume of each bar, unknown being 0, over the mean of the symbol's 20 bars before."""
    (ratio,) = _blank(volume.shape, 1)
    kernel.volume_ratio_into(volume, m.present, ratio)
    return ratio


def _blank(shape: tuple[int, int], count: int) -> Array:
    """Arrays to fill, (count, n_sessions, n_symbols), in one piece: that is had many times faster than small ones."""
    return np.empty((count, *shape[::-1])).transpose(0, 2, 1)


def average_correlation(m: Measures) -> Array:
    """Mean correlation of each symbol's returns with all others', 60 sessions; (n_sessions, n_symbols) in C order."""
    out, by_session = np.full(m.returns.shape, np.nan), np.ascontiguousarray(m.returns)

    def fill(sessions: slice) -> None:
        kernel.average_correlation(m.returns, by_session, m.bars, sessions.start, sessions.stop, out)

    _shared_out(fill, len(out))
    return out


def _shared_out(work: Callable[[slice], None], count: int) -> None:
    """Do `count` things, many of them in two halves at once; the kernels let go of the interpreter.

    A single column is of another memory layout, for which a kernel would be compiled again: few stay together.
    """
    middle = count // 2 if count >= MANY else 0
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, [part for part in (slice(0, middle), slice(middle, count)) if part.start < part.stop]))


def known(values: Array) -> Array:
    """The last known of values of shape (n_sessions,) at each session; NaN before the first."""
    at = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values)), 0))
    return values[at]
