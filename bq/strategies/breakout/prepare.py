"""All that a backtest needs of a market and no parameter changes: made once, used by every trial of a tuning."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.analysis.technical import Array, Measures, average_correlation, known, measures, moving_average
from bq.core.errors import BadData, BadParameters, did_you_mean
from bq.kernels.technical import breakouts
from bq.market.bars import continuous
from bq.market.matrix import BarMatrix, Days, bar_matrix, days_between
from bq.strategies.breakout.settings import Universe

if TYPE_CHECKING:
    from bq.market import MarketData

Index = NDArray[np.int64]


class Average(NamedTuple):
    """A moving average of the close; arrays are (n_sessions, n_symbols)."""

    level: Array  # Fortran order
    slope: Array  # over itself 20 bars before, minus 1; Fortran order
    distance: Array  # (close − level) / ATR; C order


class Candidates(NamedTuple):
    """The closes at or above the highest of the 20 before, sorted by session and symbol; arrays of shape (n,)."""

    session: Index  # position in `Prepared.sessions`
    symbol: Index
    place: Index  # of its values in the memory of an array, which is symbol by symbol
    close: Array
    fast_high: Array
    slow_high: Array
    quoted: Array
    dollars: Array


@dataclass(frozen=True, eq=False)
class Prepared:
    """A market, measured. Arrays are (n_sessions, n_symbols) and known at the close of their session.

    What symbols are ranked by (`momentum`, `diversification`, `Average.distance`) is NaN on a session without a bar: a
    value of an earlier day, or of a symbol that is gone, is not ranked among those of the day.
    """

    sessions: NDArray[np.datetime64]  # every session of the calendar from the first bar to the last
    symbols: tuple[str, ...]  # what may be traded, sorted
    measures: Measures  # Fortran order
    momentum: Array  # C order, like the next
    diversification: Array  # 1 − mean correlation with all others
    high: Array
    volume: Array  # continuous through splits, as the prices
    close: Array  # NaN where there is no bar; in `measures` the last known
    quoted: Array  # as quoted; NaN where there is no bar
    candidates: Candidates
    benchmark: Array  # (n_sessions,) level
    benchmark_symbol: str | None  # None: the mean return of all symbols
    source: str
    calendar: str
    _averages: dict[int, Average] = field(default_factory=dict)

    def average(self, length: int) -> Average:
        """The moving average of so many closes, made when it is first asked for."""
        if length not in self._averages:
            level, slope = moving_average(self.measures, length)
            distance = np.subtract(self.close, level, order="C")
            with np.errstate(invalid="ignore", divide="ignore"):
                distance /= self.measures.atr
            self._averages[length] = Average(level, slope, distance)
        return self._averages[length]

    @property
    def periods_per_year(self) -> int:
        """Sessions of a year on the calendar."""
        from bq.market.calendars import periods_per_year

        return periods_per_year(self.calendar)


def prepare(market: "MarketData", universe: Universe) -> Prepared:
    """Measure a market.

    Raises BadParameters where the benchmark is neither in the market nor a known index, BadData where no symbol has
    bars with open, high and low.
    """
    from bq.market.calendars import sessions

    days = days_between(market.bars, sessions(market.calendar))
    symbol = _benchmark(market.bars, universe)
    never = [*universe.index_symbols, *([symbol] if symbol else [])]
    level = pl.col("symbol").is_in(never) | pl.col("symbol").str.starts_with("^")
    whole = pl.all_horizontal(pl.col("open", "high", "low").is_not_null())
    bars = bar_matrix(market.bars.filter(whole, ~level), days)
    if not bars.symbols:
        raise BadData(
            "breakout: at least one symbol must have bars with open, high and low beside the close, but none has. "
            "Set market.source: bundled_bars, or bring such bars (market.source: files)."
        )
    benchmark = _mean(bars.close.T) if symbol is None else _level(market.bars, symbol, days)
    return of_bars(bars, benchmark, named=symbol, source=market.source, calendar=market.calendar)


def of_bars(bars: BarMatrix, benchmark: Array, *, source: str, calendar: str, named: str | None = None) -> Prepared:
    """Measure whole bars that are laid out already.

    benchmark : level of shape (n_sessions,). named : the symbol that it is of.

    Until a symbol has its first volume nothing is known of its liquidity, and nothing is limited by it.
    """
    m = measures(bars, benchmark)
    m.dollars[~np.logical_or.accumulate(np.isfinite(bars.volume.T))] = np.inf
    absent = np.ascontiguousarray(~m.present)
    momentum, diversification = np.ascontiguousarray(m.momentum), average_correlation(m)
    np.subtract(1.0, diversification, out=diversification)
    momentum[absent] = diversification[absent] = np.nan
    return Prepared(
        sessions=bars.sessions,
        symbols=bars.symbols,
        measures=m,
        momentum=momentum,
        diversification=diversification,
        candidates=_candidates(m, bars.quoted.T),
        benchmark=benchmark,
        benchmark_symbol=named,
        source=source,
        calendar=calendar,
        high=bars.high.T,
        volume=bars.volume.T,
        close=bars.close.T,
        quoted=bars.quoted.T,
    )


def _candidates(m: Measures, quoted: Array) -> Candidates:
    session, symbol = breakouts(m)
    place = symbol * len(quoted) + session
    values = (m.close, m.fast_high, m.slow_high, quoted, m.dollars)
    return Candidates(session, symbol, place, *(part.T.ravel()[place] for part in values))


def _benchmark(bars: pl.DataFrame, universe: Universe) -> str | None:
    """The symbol that is the benchmark; None for the mean of all, also where a known index has no bars here."""
    symbol = universe.benchmark
    if symbol is None or (bars["symbol"] == symbol).any():
        return symbol
    if symbol in universe.index_symbols:
        return None
    raise BadParameters(
        f"`universe.benchmark` must be a symbol of the market, but got {symbol!r}; "
        f"{did_you_mean(symbol, bars['symbol'].unique())} (null: the mean return of all that is traded)"
    )


def _level(bars: pl.DataFrame, symbol: str, days: Days) -> Array:
    """Closes of the benchmark on every session, the last known where it has none."""
    rows = bars.filter(pl.col("symbol") == symbol).select("session", level=continuous())
    on_days = pl.DataFrame({"session": days}).join(rows, on="session", how="left", maintain_order="left")
    return known(on_days["level"].cast(pl.Float64).fill_null(np.nan).to_numpy())


def _mean(close: Array) -> Array:
    """Level of the mean return of all symbols, session by session; a day without a bar returns nothing."""
    filled = np.column_stack([known(close[:, i]) for i in range(close.shape[1])])
    with np.errstate(invalid="ignore"):
        returns = filled[1:] / filled[:-1] - 1.0
    there = np.isfinite(returns)
    mean = np.where(there, returns, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return np.concatenate([[1.0], np.cumprod(1.0 + mean)])
