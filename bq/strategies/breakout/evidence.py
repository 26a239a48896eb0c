"""What there is to know about breakouts: what a portfolio earned, how trades end, what was not taken, what ML adds."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from bq.stats import sharpe
from bq.stats.blocks import block_length, mean_block
from bq.stats.bootstrap import Interval, bootstrap_means
from bq.strategies.breakout import quality
from bq.strategies.breakout.backtest import Backtest, backtest
from bq.strategies.breakout.performance import compared, curves, performance, returns
from bq.strategies.breakout.prepare import Array, prepare
from bq.strategies.breakout.settings import BreakoutSettings
from bq.strategies.contract import Exhibit
from bq.strategies.events import Built

if TYPE_CHECKING:
    from bq.market import MarketData

SHARES = ("return", "volatility", "drawdown", "rate", "exposure")  # last words of figures that are shares
CONVENTIONS = (
    "Daily returns of equity at the close, {annual} sessions a year, risk-free rate 0, standard deviation with ddof 1; "
    "a ratio of what does not vary is left out; "
    "R = (exit − entry) / (entry − initial stop), net of fees and slippage; turnover is notional traded both ways in a "
    "year over mean equity. Buy and hold is equal money in every symbol with a bar on the first session, never touched."
)


def exhibits(made: Built, market: "MarketData", settings: BreakoutSettings) -> list[Exhibit]:
    """The tables of a feature exploration that are about breakouts; always by the rules alone."""
    by_rule = quality.with_mode(settings, quality.OFF)
    result = backtest(prepare(market, settings.universe), by_rule)
    first, last = result.days["session"][0], result.days["session"][-1]
    return [
        Exhibit(
            "What the portfolio earned",
            f"The rules without a model, {first} to {last}, beside the benchmark and buy and hold; symbols chosen "
            "because they survived flatter both. " + CONVENTIONS.format(annual=result.prepared.periods_per_year),
            figures(result),
            curves(result, breakout=result.equity),
        ),
        Exhibit(
            "How trades ended",
            "Closed positions of the portfolio. stop: about 1 R is lost, more where the open gaps through it; average: "
            "a close below the exit average; holding: the longest holding time; delisted: no bars any more.",
            by_reason(result),
        ),
        Exhibit(
            "What became of the signals",
            "Every signal is followed as a trade of its own, whatever the portfolio decided: held (the symbol is in "
            "the portfolio), slots, exposure and guard are what the limits refused.",
            by_decision(made.events),
        ),
        Exhibit(
            "Taken against all",
            "Mean net R of the trade that each signal became. A model that learns from the taken alone sees what the "
            f"rules like. {_percent(settings)} intervals by stationary bootstrap over sessions, blocks of 1.5 holding "
            "times.",
            by_taken(made.events, settings),
        ),
    ]


def figures(result: Backtest) -> pl.DataFrame:
    """`performance.compared` with units, as text."""
    table = compared(result)
    rows = [{"figure": _named(name), **_shown(name, row)} for name, *row in table.rows()]
    return pl.DataFrame(rows)


def _named(name: str) -> str:
    unit = {"expectancy": " [R a trade]", "turnover": " [× equity a year]"}.get(name, "")
    text = name.replace("_", " ")
    text = text.capitalize() if name.endswith("ratio") else text  # names of people, and Calmar
    return text + (" [%]" if name.endswith(SHARES) else unit)


def _shown(name: str, row: list[float | None]) -> dict[str, str]:
    def text(value: float | None) -> str:
        if value is None:
            return "–"
        return f"{value:.0f}" if name == "trades" else f"{100 * value:.1f}" if name.endswith(SHARES) else f"{value:.2f}"

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
    spread = {name: _spread(group["outcome"], group["session"], days) for name, group in groups.items()}
    spread["taken − all"] = spread["taken"] - spread["all"]
    intervals = _resampled(np.column_stack(list(spread.values())), block_length(closed), settings)
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


def _spread(values: pl.Series, at: pl.Series, days: pl.Series) -> Array:
    """One number for each of `days` whose mean is the mean of `values`, and which varies as that mean does.

    The mean plus what the values of the day deviate from it, over their expected number a day: a mean of unequally
    many values a day is a ratio, and this is its linear part.
    """
    n = len(values)
    if not n:
        return np.full(len(days), np.nan)
    place = days.search_sorted(at).to_numpy()
    deviations = values.to_numpy() - values.mean()
    return values.mean() + np.bincount(place, deviations, len(days)) * len(days) / n


def _resampled(columns: Array, block: float, settings: BreakoutSettings) -> list[Interval]:
    gate = settings.gate
    return bootstrap_means(columns, block=block, alpha=gate.alpha, draws=gate.draws, seed=settings.learning.seed)


def _percent(settings: BreakoutSettings) -> str:
    return f"{1 - 2 * settings.gate.alpha:.0%}"


class Figures(NamedTuple):
    """What is said of one portfolio with an interval: arrays of shape (n_sessions,) whose means are the figures."""

    win_rate: Array
    expectancy: Array
    sharpe_ratio: Array


def evaluation(
    market: "MarketData", settings: BreakoutSettings, answers: pl.DataFrame, *, start: object, title: str
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
    text = (
        f"{conclusion(intervals['expectancy'], off, on, settings)} {span}, {days} sessions, {len(off.found.session)} "
        f"signals, {known} of them with a probability. {_percent(settings)} intervals by stationary bootstrap over "
        f"sessions, mean block {block:.0f}."
    )
    mode = settings.ml.prediction_mode
    beside = "Shown, not to choose from: the best of several looks better than it is."
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
            f"This sample proves nothing: {difference.n} sessions are {difference.blocks:.0f} independent blocks, "
            f"where {least} are asked for (about {more} more months); {sizes}."
        )
    said = f"expectancy differs by {difference} R; {sizes}."
    if difference.low <= 0.0 <= difference.high:
        return f"This sample proves no difference: {said}"
    return f"ML {'helped' if difference.low > 0 else 'hurt'} beyond chance: {said}"


def _block(*results: Backtest) -> float:
    """Mean block of sessions, by the 90th percentile of the sessions held."""
    held = np.concatenate([(made.made.when[:, 1] - made.made.when[:, 0])[_closed(made)] for made in results])
    return mean_block(float(np.quantile(held, 0.9))) if len(held) else 1.0


def _closed(result: Backtest) -> Array:
    return result.taken & (result.made.when[:, 1] >= 0)


def _figures(result: Backtest) -> Figures:
    days = pl.Series(np.arange(result.first, result.last + 1))
    at = pl.Series(result.made.when[_closed(result), 0])
    r, change = pl.Series(result.r), returns(result.equity)
    standard = (change - change.mean()) / change.std(ddof=1) if sharpe.varies(change) else np.full(len(change), np.nan)
    ratio = sharpe.ratio(change)
    varying = ratio + standard - ratio / 2.0 * (standard**2 - (standard**2).mean())  # its influence function
    return Figures(
        _spread((r > 0).cast(pl.Float64), at, days)[1:],
        _spread(r, at, days)[1:],
        varying * math.sqrt(result.prepared.periods_per_year),
    )


def _compared(
    off: Backtest, on: Backtest, block: float, settings: BreakoutSettings
) -> tuple[pl.DataFrame, dict[str, Interval]]:
    """The table of figures, and the intervals of the differences by figure."""
    pair = [np.column_stack(_figures(result)) for result in (off, on)]
    columns = np.hstack([*pair, pair[1] - pair[0]])
    found, names = _resampled(columns, block, settings), Figures._fields
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


def _plain(name: str, measured: list) -> tuple[str, str, str, str]:
    off, on = (100.0 * getattr(m, name) for m in measured)
    return (_named(name), f"{off:.1f}", f"{on:.1f}", f"{on - off:+.1f}")


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
