"""What the portfolio of out-of-sample forecasts must show before a model is deployed: figures, and what is missing.

Every figure a year is of daily net returns, of `daily_returns` alone: what is shown is what is judged.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from bq.core.errors import BadData
from bq.core.scalars import day, number_or_none
from bq.stats import drawdown, sharpe
from bq.stats.blocks import Blocks, block_length
from bq.stats.bootstrap import Interval
from bq.stats.rank_ic import mean_rank_ic, rank_ic
from bq.strategies.component import Component, Kind, Missing, of_interval
from bq.strategies.forecast.portfolio import Backtest, daily, tranches

if TYPE_CHECKING:
    from bq.market import MarketData
    from bq.strategies.forecast.settings import ForecastSettings, Production

MONTH_DAYS = 30.44
HELD = {"model": "expected", "rule score": "score", "equal weight": None}  # and the column each decides by
FEWEST = 60  # sessions from which a ratio a year is computed


class Figures(NamedTuple):
    """A portfolio against its alternative, of daily net returns, a year."""

    sharpe: Interval  # `annual_ratio` of the returns
    information_ratio: Interval | None  # `annual_ratio` of their difference to equal weight; None: not against it
    probability: float  # that the true Sharpe ratio is above 0, one trial (`stats.sharpe.probabilistic`)
    drawdown: float  # maximum drawdown of the compounded daily returns


def annual_ratio(returns: ArrayLike, *, periods_per_year: float) -> float:
    """Mean over standard deviation (ddof 1, rate 0) × √periods a year. Raises BadData where they do not vary."""
    return sharpe.track(returns).sharpe_per_period * math.sqrt(periods_per_year)


def figures(
    net: ArrayLike, equal_weight: ArrayLike | None, *, periods_per_year: float, alpha: float, draws: int, seed: int
) -> Figures:
    """Figures of daily net returns beside those of equal weight, each of shape (n_sessions,), one after the other.

    equal_weight : None of a long-short portfolio, whose alternative is cash: against it, its information ratio is its
    Sharpe ratio. Intervals are 1 − 2·alpha. Raises BadData where a series is too short or does not vary.
    """
    ours = sharpe.series(net)
    theirs = None if equal_weight is None else np.asarray(equal_weight, np.float64)
    ratio_of = partial(ratio, periods_per_year=periods_per_year, alpha=alpha, draws=draws, seed=seed)
    return Figures(
        sharpe=ratio_of(ours),
        information_ratio=None if theirs is None else ratio_of(ours - theirs),
        probability=min(sharpe.probabilistic(sharpe.track(ours))),
        drawdown=_drawdown(ours),
    )


def ratio(returns: ArrayLike, *, periods_per_year: float, alpha: float, draws: int, seed: int) -> Interval:
    """`annual_ratio` with its stationary-bootstrap percentile interval."""
    from bq.kernels.bootstrap import stationary_means

    values = sharpe.series(returns)
    n = len(values)
    if n < FEWEST:
        raise BadData(f"a ratio needs at least {FEWEST} sessions, but there are {n}.")
    block = n ** (1.0 / 3.0)  # returns do not overlap: what dependence there is, blocks that grow with n take in
    scale = math.sqrt(periods_per_year)
    moments = np.column_stack([values, (values - values.mean()) ** 2])
    drawn = stationary_means(moments, block, draws, np.random.default_rng(seed))
    variance = drawn[:, 1] - (drawn[:, 0] - values.mean()) ** 2
    ratios = drawn[:, 0] / np.sqrt(np.maximum(variance, 1e-18) * n / (n - 1.0))
    low, high = np.quantile(ratios, [alpha, 1.0 - alpha])
    middle = annual_ratio(values, periods_per_year=periods_per_year)
    return Interval(middle, float(low * scale), float(high * scale), n, n / block)


def daily_returns(
    predictions: pl.DataFrame, by: str | None, settings: "ForecastSettings", market: "MarketData"
) -> pl.DataFrame:
    """Daily net returns of the portfolio by a column, beside those of equal weight: session, value, equal.

    Of all tranches; over the sessions in which equal weight is held. What has no position earns 0. The overnight return
    before a rebalance is bought is left out, as labels leave it out.
    """
    own, equal = (_daily(tranches(predictions, column, settings), market) for column in (by, None))
    both = equal.rename({"value": "equal"}).join(own, on="session", how="left").sort("session")
    return both.select("session", pl.col("value").fill_null(0.0), "equal")


def _daily(runs: Sequence[Backtest], market: "MarketData") -> pl.DataFrame:
    """Daily net returns of all tranches together, each of an equal part of the capital: session, value."""
    from bq.market.calendars import sessions

    days = [daily(run.weights, run.periods, market.bars, sessions(market.calendar)) for run in runs]
    return pl.concat(days).group_by("session").agg(pl.col("value").sum() / len(runs)).sort("session")


def compare(predictions: pl.DataFrame, settings: "ForecastSettings", market: "MarketData") -> pl.DataFrame:
    """Daily figures, net, of what could be held: the model's portfolio, the rule score's, equal weight, the index.

    Returns held, return_a_year (compounded), volatility_a_year, sharpe, information_ratio (against equal weight, null
    for itself), drawdown, turnover (mean of a rebalance, the first left out), days. Figures as in `Figures`; null where
    returns do not vary. The index, the first of `events.index_symbols` that has bars, is held over the same sessions,
    without costs; without bars, no row.
    """
    from bq.market.calendars import periods_per_year

    year = periods_per_year(market.calendar)
    rows = {name: daily_returns(predictions, by, settings, market) for name, by in HELD.items()}
    runs = {name: tranches(predictions, by, settings) for name, by in HELD.items()}
    turnover = {name: _turnover(own) for name, own in runs.items()}
    listed = market.bars["symbol"].unique()
    index = next((symbol for symbol in settings.events.index_symbols if symbol in listed), None)
    if index is not None:
        own = _daily([_whole(run, index) for run in runs["equal weight"]], market)
        rows[index], turnover[index] = own.join(rows["equal weight"].select("session", "equal"), on="session"), 0.0
    return pl.DataFrame([_row(name, days, turnover[name], periods_per_year=year) for name, days in rows.items()])


def _turnover(runs: Sequence[Backtest]) -> float | None:
    """Mean of a rebalance, the first of each tranche left out."""
    return number_or_none(pl.concat([run.periods["turnover"].slice(1) for run in runs]).mean())


def _whole(run: Backtest, symbol: str) -> Backtest:
    """The same periods, with all of the capital in one symbol and no costs."""
    periods = run.periods.with_columns(cost=pl.lit(0.0))
    return run._replace(periods=periods, weights=periods.select("session", symbol=pl.lit(symbol), weight=pl.lit(1.0)))


def _row(name: str, days: pl.DataFrame, turnover: float | None, *, periods_per_year: int) -> dict:
    own = days["value"].to_numpy()
    return {
        "held": name,
        "return_a_year": float(np.prod(1.0 + own) ** (periods_per_year / len(own)) - 1.0),
        "volatility_a_year": float(own.std(ddof=1) * math.sqrt(periods_per_year)),
        "sharpe": _known_ratio(own, periods_per_year),
        "information_ratio": _known_ratio(own - days["equal"].to_numpy(), periods_per_year),
        "drawdown": _drawdown(own),
        "turnover": turnover,
        "days": len(own),
    }


def _known_ratio(returns: ArrayLike, periods_per_year: int) -> float | None:
    try:
        return annual_ratio(returns, periods_per_year=periods_per_year)
    except BadData:
        return None


def requirements(
    predictions: pl.DataFrame, settings: "ForecastSettings", market: "MarketData | None"
) -> list[Component]:
    """What must hold of a model's out-of-sample predictions, with value, threshold and what would be needed.

    A figure that cannot be computed is inconclusive, which deploys nothing.
    """
    if market is None:
        raise ValueError("what a portfolio earns day by day needs the market's bars")
    days = daily_returns(predictions, "expected", settings, market)
    return [
        _months(predictions, settings),
        *_information(predictions, settings),
        *_portfolio(days, settings, market.calendar),
    ]


def _months(predictions: pl.DataFrame, settings: "ForecastSettings") -> Component:
    sessions, least = predictions["session"], settings.production.min_months
    months = (day(sessions.max()) - day(sessions.min())).days / MONTH_DAYS if len(sessions) else 0.0
    missing = Missing(months=least - months)
    return Component.asked(Kind.SAMPLE_MONTHS, months >= least, missing, value=months, threshold=least)


def _information(predictions: pl.DataFrame, settings: "ForecastSettings") -> list[Component]:
    """Rank IC, and how steadily it was there."""
    limits, gate = settings.production, settings.gate
    blocks = Blocks(block_length(predictions), gate.alpha, gate.draws, settings.learning.seed)
    found = mean_rank_ic(predictions, by="expected", blocks=blocks)
    facts = of_interval(found) | {"threshold": limits.min_rank_ic}
    if not math.isfinite(found.low):
        return [Component.asked(Kind.RANK_IC, None, **facts)]
    holds = found.mean >= limits.min_rank_ic and found.low > 0.0
    reached = Component.asked(Kind.RANK_IC, holds, _missing(found, limits.min_rank_ic), **facts)
    return [reached, _rolling(rank_ic(predictions, by="expected")["ic"], settings)]


def _missing(found: Interval, least: float) -> Missing:
    """What a mean lacks that must reach `least` with a lower bound above 0: both, as the interval is wide now.

    More sessions narrow the interval; they help where the mean is there already.
    """
    by = max(least, found.mean - found.low) - found.mean
    if found.mean < least or found.mean <= 0.0:
        return Missing(by=by)
    return Missing(by=by, sessions=_more(found.n, found.mean, found.mean - found.low))


def _rolling(ic: pl.Series, settings: "ForecastSettings") -> Component:
    """Share of rolling windows whose mean rank IC is not negative."""
    limits = settings.production
    window = max(round(limits.rolling_sessions / settings.events.every_sessions), 1)
    rolled = ic.rolling_mean(window).drop_nulls()
    share, least = number_or_none((rolled >= 0.0).mean()), limits.min_rolling_share
    facts: dict[str, Any] = {"threshold": least, "more": {"windows": len(rolled), "window_sessions": window}}
    if share is None:
        return Component.asked(Kind.ROLLING_RANK_IC, None, **facts)
    return Component.asked(Kind.ROLLING_RANK_IC, share >= least, Missing(by=least - share), value=share, **facts)


def _portfolio(days: pl.DataFrame, settings: "ForecastSettings", calendar: str) -> list[Component]:
    """Information ratio, Sharpe ratio and drawdown of daily net returns (`daily_returns`).

    The benchmark belongs to the kind of portfolio: equal weight of a long-only one, cash of a long-short one, whose
    information ratio is its Sharpe ratio and is not asked twice.
    """
    from bq.market.calendars import periods_per_year

    limits, gate = settings.production, settings.gate
    a_year = periods_per_year(calendar)
    net, equal = days["value"].to_numpy(), days["equal"].to_numpy()
    long_only = settings.portfolio.kind == "long_only"
    asked: dict[str, Any] = {"periods_per_year": a_year, "alpha": gate.alpha, "draws": gate.draws}
    try:
        found = figures(net, equal if long_only else None, seed=settings.learning.seed, **asked)
    except BadData as error:
        kinds = (*([Kind.INFORMATION_RATIO] if long_only else []), Kind.SHARPE, Kind.PORTFOLIO_DRAWDOWN)
        return [Component.asked(kind, None, reason=str(error)) for kind in kinds]
    return [
        *([] if found.information_ratio is None else [_against_equal_weight(found.information_ratio, limits, a_year)]),
        _sharpe(found, limits, a_year, against_cash=not long_only),
        Component.asked(
            Kind.PORTFOLIO_DRAWDOWN,
            found.drawdown < limits.max_drawdown,
            Missing(by=found.drawdown - limits.max_drawdown),
            value=found.drawdown,
            threshold=limits.max_drawdown,
            baseline=_drawdown(equal),
            sessions=found.sharpe.n,
        ),
    ]


def _against_equal_weight(found: Interval, limits: "Production", periods_per_year: int) -> Component:
    least = limits.min_information_ratio
    facts: dict[str, Any] = {"threshold": least, "more": {"periods_per_year": periods_per_year}}
    missing = Missing(by=least - found.mean)
    return Component.asked(Kind.INFORMATION_RATIO, found.mean >= least, missing, **facts, **of_interval(found))


def _sharpe(found: Figures, limits: "Production", periods_per_year: int, *, against_cash: bool) -> Component:
    """The Sharpe ratio; of a portfolio against cash it is the information ratio too, and must be above both limits."""
    least = max(limits.min_sharpe, limits.min_information_ratio) if against_cash else limits.min_sharpe
    facts: dict[str, Any] = {
        "threshold": least,
        "more": {"probability": found.probability, "periods_per_year": periods_per_year},
    }
    own = found.sharpe
    return Component.asked(Kind.SHARPE, own.mean > least, Missing(by=least - own.mean), **facts, **of_interval(own))


def _drawdown(returns: ArrayLike) -> float:
    return drawdown.maximum_of_wealth(drawdown.compounded(returns))


def _more(n: int, mean: float, reach: float) -> int:
    """How many observations more would bring the lower bound to 0 if the mean stayed."""
    return max(math.ceil(n * ((reach / mean) ** 2 - 1.0)), 1)
