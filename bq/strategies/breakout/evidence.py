"""Exhibits of breakouts: what the portfolio earned, how its trades ended, and what the signals not taken became."""

import math
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from bq.core.numerals import decimal
from bq.stats.blocks import block_length
from bq.stats.bootstrap import Interval
from bq.strategies.breakout import quality, uncertainty
from bq.strategies.breakout.backtest import Backtest, backtest
from bq.strategies.breakout.performance import compared, curves
from bq.strategies.breakout.prepare import prepare
from bq.strategies.breakout.settings import BreakoutSettings
from bq.strategies.contract import Exhibit
from bq.strategies.events import Built

if TYPE_CHECKING:
    from bq.market import MarketData

SHARES = ("return", "volatility", "drawdown", "rate", "exposure")  # last words of figures that are shares
CONVENTIONS = (
    "Daily returns of equity at the close, {annual} sessions a year, risk-free rate 0, standard deviation with ddof "
    "1; a ratio of what does not vary is left out; R = (exit − entry) / (entry − initial stop), net of fees and "
    "slippage; turnover is notional traded both ways in a year over mean equity. Buy and hold is equal money in "
    "every symbol with a bar on the first session, never touched."
)


def exhibits(made: Built, market: "MarketData", settings: BreakoutSettings) -> list[Exhibit]:
    """The tables of a feature exploration that are about breakouts; always by the rules alone."""
    by_rule = quality.with_mode(settings, quality.OFF)
    result = backtest(prepare(market, settings.universe), by_rule)
    sureness = uncertainty.sureness(settings)
    first, last = result.days["session"][0], result.days["session"][-1]
    return [
        Exhibit(
            "What the portfolio earned",
            f"The rules without a model from {first} to {last}, compared with the benchmark "
            f"({result.prepared.benchmark_symbol or 'the mean return of all that is traded'}) and with buy and hold. "
            "Symbols that were chosen because they survived flatter all three. "
            + CONVENTIONS.format(annual=result.prepared.periods_per_year),
            figures(result),
            curves(result, breakout=result.equity),
        ),
        Exhibit(
            "How trades ended",
            "Closed positions of the portfolio by exit reason. stop: the loss is about 1 R, and more where the open "
            "gaps through the stop; average: a close fell below the exit average; holding: the longest holding time "
            "was reached; delisted: the bars ended.",
            by_reason(result),
        ),
        Exhibit(
            "Signals by decision",
            "Every signal is followed as a trade of its own, whatever the portfolio decided. held: the symbol was in "
            "the portfolio already; slots, exposure, guard: that limit refused the order.",
            by_decision(made.events),
        ),
        Exhibit(
            "Signals taken and all signals",
            "Mean net R of the trade that each signal became. A model that learned from those taken alone would "
            f"see what the rules prefer. {sureness} intervals by stationary bootstrap over sessions, blocks of 1.5 "
            "holding times.",
            by_taken(made.events, settings),
        ),
    ]


def figures(result: Backtest) -> pl.DataFrame:
    """`performance.compared` with units, as text."""
    table = compared(result)
    rows = [{"figure": named(name), **_shown(name, row)} for name, *row in table.rows()]
    return pl.DataFrame(rows)


def named(name: str) -> str:
    """A figure's name and unit, for people."""
    unit = {"expectancy": " [R a trade]", "turnover": " [× equity a year]"}.get(name, "")
    text = name.replace("_", " ")
    text = text.capitalize() if name.endswith("ratio") else text  # names of people, and Calmar
    return text + (" [%]" if name.endswith(SHARES) else unit)


def _shown(name: str, row: list[float | None]) -> dict[str, str]:
    def text(value: float | None) -> str:
        if value is None:
            return "–"
        if name == "trades":
            return decimal(value, 0)
        return decimal(100 * value, 1) if name.endswith(SHARES) else decimal(value, 2)

    return dict(zip(("breakout", "benchmark", "buy and hold"), map(text, row), strict=True))


def by_reason(result: Backtest) -> pl.DataFrame:
    """Closed trades of the portfolio: reason, trades, share, win_rate, mean_R, median_sessions."""
    days = pl.Series(result.prepared.sessions).cast(pl.Date)
    closed = result.trades.filter(pl.col("r").is_not_null())
    at = {name: days.search_sorted(closed[name].cast(pl.Date)) for name in ("entry_session", "exit_session")}
    held = pl.Series("held", at["exit_session"]).cast(pl.Int64) - pl.Series(at["entry_session"]).cast(pl.Int64)
    table = closed.with_columns(held).group_by("reason")
    counted = table.agg(
        trades=pl.len(),
        win_rate=(pl.col("r") > 0).mean(),
        mean_R=pl.col("r").mean(),
        median_sessions=pl.col("held").median().cast(pl.Int64),
    )
    share = pl.col("trades") / pl.col("trades").sum()
    return counted.select("reason", "trades", share.alias("share"), pl.exclude("reason", "trades")).sort(
        "trades", "reason", descending=[True, False]
    )


def by_decision(events: pl.DataFrame) -> pl.DataFrame:
    """Events by what the portfolio decided: decision, events, share, closed, win_rate, mean_R."""
    table = events.group_by("decision").agg(
        events=pl.len(),
        closed=pl.col("outcome").count(),
        win_rate=(pl.col("outcome") > 0).mean(),
        mean_R=pl.col("outcome").mean(),
    )
    share = pl.col("events") / pl.col("events").sum()
    return table.select("decision", "events", share.alias("share"), "closed", "win_rate", "mean_R").sort(
        "events", "decision", descending=[True, False]
    )


def by_taken(events: pl.DataFrame, settings: BreakoutSettings) -> pl.DataFrame:
    """Mean net R of taken, shadow and all matured events with intervals: which, events, sessions, mean_R, low, high.

    A mean is over events; it is resampled by session. The last row is the difference of taken and all.
    """
    closed = events.filter(pl.col("outcome").is_not_null()).sort("session")
    days = closed["session"].unique().sort()
    groups = {"taken": closed.filter("taken"), "shadow": closed.filter(~pl.col("taken")), "all": closed}
    spread = {name: uncertainty.spread(group["outcome"], group["session"], days) for name, group in groups.items()}
    spread["taken − all"] = spread["taken"] - spread["all"]
    intervals = uncertainty.resampled(np.column_stack(list(spread.values())), block_length(closed), settings)
    sizes = {**{name: (len(g), g["session"].n_unique()) for name, g in groups.items()}, "taken − all": (None, None)}
    rows = [
        {"which": name, "events": sizes[name][0], "sessions": sizes[name][1], **_bounds(interval)}
        for name, interval in zip(spread, intervals, strict=True)
    ]
    return pl.DataFrame(rows)


def _bounds(interval: Interval) -> dict[str, float | None]:
    return {
        name: value if math.isfinite(value) else None
        for name, value in (("mean_R", interval.mean), ("low", interval.low), ("high", interval.high))
    }
