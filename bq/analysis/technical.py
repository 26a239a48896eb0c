"""Technical measures of many symbols, sessions × symbols."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bq.kernels import technical as kernel
from bq.kernels.technical import Array, Measures
from bq.market.matrix import BarMatrix

__all__ = ["Array", "Measures", "average_correlation", "known", "measures", "moving_average", "volume_ratio"]

MANY = 16


def measures(bars: BarMatrix, benchmark: Array) -> Measures:
    """All measures of whole bars; the value at a session uses data up to its close.

    bars : no bar without open, high or low. benchmark : (n_sessions,) levels. Returns arrays of shape (n_sessions,
    n_symbols) in Fortran order, which is the memory of the bars.
    """
    made = Measures._fields[3:-1]
    blank = _blank(bars.close.T.shape, len(made) + 1)
    out = Measures(
        present=bars.has_bar.T,
        open=bars.open.T,
        low=bars.low.T,
        **dict(zip(made, blank, strict=False)),
        bars=blank[-1].view(np.int64),
    )

    def measure(symbols: slice) -> None:
        inputs = (bars.high, bars.low, bars.close, bars.volume, bars.quoted)
        high, low, close, volume, quoted = (values.T[:, symbols] for values in inputs)
        part = Measures._make(values[:, symbols] for values in out)
        kernel.measure_into(high, low, close, volume, quoted, benchmark, part)

    _shared_out(measure, len(bars.symbols))
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
