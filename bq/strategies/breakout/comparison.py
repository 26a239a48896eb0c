"""What a model adds: the portfolio without it and with it on the same sessions, and what the difference proves."""

import datetime as dt
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from bq.core.numerals import decimal, with_sign
from bq.market.matrix import Mask
from bq.stats import sharpe
from bq.stats.blocks import mean_block
from bq.stats.bootstrap import Interval
from bq.strategies.breakout import quality, uncertainty
from bq.strategies.breakout.backtest import Backtest
from bq.strategies.breakout.evidence import CONVENTIONS, named
from bq.strategies.breakout.performance import Performance, curves, performance, returns
from bq.strategies.breakout.prepare import Array, prepare
from bq.strategies.breakout.settings import BreakoutSettings
from bq.strategies.contract import Exhibit

if TYPE_CHECKING:
    from bq.market import MarketData


class _Figures(NamedTuple):
    """Figures of one portfolio that get an interval: arrays of shape (n_sessions,) whose means are the figures."""

    win_rate: Array
    expectancy: Array
    sharpe_ratio: Array


def evaluation(
    market: "MarketData", settings: BreakoutSettings, answers: pl.DataFrame, *, start: dt.date, title: str
) -> list[Exhibit]:
    """The portfolio without a model and with it on the same sessions, from fresh capital at `start`.

    answers : session, symbol, probability. The first exhibit compares OFF with the mode of the settings, with
    intervals, and says what that proves; the second, for a page alone, shows every mode.
    """
    prepared = prepare(market, settings.universe)
    results = quality.in_modes(prepared, settings, answers, start=start)
    off, on = results[quality.OFF], results[settings.ml.prediction_mode]
    block = _block(off, on)
    days = len(off.equity) - 1
    table, intervals = _compared(off, on, block, settings)
    known = np.isfinite(quality.aligned(prepared, off.found, answers)).sum()
    span = f"{off.days['session'][0]} to {off.days['session'][-1]}"
    sureness = uncertainty.sureness(settings)
    text = (
        f"{conclusion(intervals['expectancy'], off, on, settings)} {span}, {days} sessions, {len(off.found.session)} "
        f"signals, {known} of them with a probability. {sureness} intervals by stationary bootstrap over "
        f"sessions, mean block {decimal(block, 0)}."
    )
    mode = settings.ml.prediction_mode
    beside = "For information only: a mode chosen because it was the best of several would look better than it is."
    return [
        Exhibit(
            f"{title}: ML off and on ({mode})",
            text,
            table,
            curves(off, ML_off=off.equity, ML_on=on.equity),
            note=CONVENTIONS.format(annual=prepared.periods_per_year),
        ),
        Exhibit(f"{title}: every mode", beside, _modes(results), page_only=True),
    ]


def conclusion(difference: Interval, off: Backtest, on: Backtest, settings: BreakoutSettings) -> str:
    """What a difference in expectancy proves, in words."""
    least, sizes = settings.gate.min_blocks, f"{len(on.r)} trades with ML, {len(off.r)} without"
    if not len(on.r) or not len(off.r):
        return f"This sample proves nothing: {sizes}."
    if not difference.blocks >= least:
        months = 12 / off.prepared.periods_per_year * difference.n
        more = math.ceil(months * (least / max(difference.blocks, 1e-9) - 1.0))
        return (
            f"This sample proves nothing: {difference.n} sessions are {decimal(difference.blocks, 0)} independent "
            f"blocks, but {least} are needed (about {more} more months); {sizes}."
        )
    figures = f"expectancy differs by {difference} R; {sizes}."
    if difference.low <= 0.0 <= difference.high:
        return f"This sample proves no difference: {figures}"
    return f"ML {'helped' if difference.low > 0 else 'hurt'} beyond chance: {figures}"


def _block(*results: Backtest) -> float:
    """Mean block of sessions, by the 90th percentile of the sessions held."""
    held = np.concatenate([(made.made.when[:, 1] - made.made.when[:, 0])[_closed(made)] for made in results])
    return mean_block(float(np.quantile(held, 0.9))) if len(held) else 1.0


def _closed(result: Backtest) -> Mask:
    return result.taken & (result.made.when[:, 1] >= 0)


def _figures(result: Backtest) -> _Figures:
    days = pl.Series(np.arange(result.first, result.last + 1))
    at = pl.Series(result.made.when[_closed(result), 0])
    r, change = pl.Series(result.r), returns(result.equity)
    standard = (change - change.mean()) / change.std(ddof=1) if sharpe.varies(change) else np.full(len(change), np.nan)
    ratio = sharpe.ratio(change)
    varying = ratio + standard - ratio / 2.0 * (standard**2 - (standard**2).mean())  # its influence function
    return _Figures(
        uncertainty.spread((r > 0).cast(pl.Float64), at, days)[1:],
        uncertainty.spread(r, at, days)[1:],
        varying * math.sqrt(result.prepared.periods_per_year),
    )


def _compared(
    off: Backtest, on: Backtest, block: float, settings: BreakoutSettings
) -> tuple[pl.DataFrame, dict[str, Interval]]:
    """The table of figures, and the intervals of the differences by figure."""
    pair = [np.column_stack(_figures(result)) for result in (off, on)]
    columns = np.hstack([*pair, pair[1] - pair[0]])
    found, names = uncertainty.resampled(columns, block, settings), _Figures._fields
    intervals = {name: found[place :: len(names)] for place, name in enumerate(names)}  # off, on, difference
    measured = [performance(result) for result in (off, on)]
    rows = [
        ("trades closed", *(f"{m.trades}" for m in measured), f"{_in_common(off, on)} alike"),
        *((_unit(name), *("–" if math.isnan(i.mean) else str(i) for i in three)) for name, three in intervals.items()),
        *(_plain(name, measured) for name in ("total_return", "max_drawdown", "exposure")),
    ]
    table = pl.DataFrame(rows, schema=["figure", "ML off", "ML on", "difference"], orient="row")
    return table, {name: three[2] for name, three in intervals.items()}


def _unit(name: str) -> str:
    return {"win_rate": "win rate", "expectancy": "expectancy [R]", "sharpe_ratio": "Sharpe ratio (annual)"}[name]


def _plain(name: str, measured: list[Performance]) -> tuple[str, str, str, str]:
    off, on = (100.0 * getattr(m, name) for m in measured)
    return (named(name), decimal(off, 1), decimal(on, 1), with_sign(on - off, 1))


def _in_common(off: Backtest, on: Backtest) -> int:
    return int((_closed(off) & _closed(on)).sum())


def _modes(results: dict[str, Backtest]) -> pl.DataFrame:
    rows = []
    for mode, result in results.items():
        m = performance(result)
        rows.append(
            {
                "ML": mode,
                "signals": len(result.found.session),
                "dropped": int(np.isnan(result.priority).sum()),
                "trades": m.trades,
                "win_rate": m.win_rate,
                "expectancy [R]": m.expectancy,
                "Sharpe ratio": m.sharpe_ratio,
                "max drawdown [%]": 100.0 * m.max_drawdown,
                "total return [%]": 100.0 * m.total_return,
            }
        )
    return pl.DataFrame(rows)
