"""Figures of a backtest.

Conventions: daily returns of equity at the close, a year of as many sessions as the calendar has, risk-free rate 0.
"""

from typing import NamedTuple

import numpy as np
import polars as pl

from bq.stats import drawdown
from bq.strategies.breakout.backtest import Backtest
from bq.strategies.breakout.prepare import Array


class Performance(NamedTuple):
    """Figures of one equity curve and its trades; NaN where one is not defined."""

    total_return: float  # share of the capital
    annual_return: float  # compounded
    annual_volatility: float  # ddof 1
    sharpe_ratio: float  # mean / standard deviation (ddof 1) × √sessions a year, risk-free rate 0
    sortino_ratio: float  # mean / root mean square of the negative returns (over all sessions), likewise
    max_drawdown: float  # maximum, as a share of the peak, positive
    calmar_ratio: float  # annual return / maximum drawdown
    trades: int  # closed
    win_rate: float  # share of closed trades with R > 0
    expectancy: float  # mean R of closed trades, net of fees and slippage
    exposure: float  # mean share of equity invested at the close
    turnover: float  # notional traded, both ways, a year, over mean equity


def returns(equity: Array) -> Array:
    """Simple return of each session after the first."""
    return equity[1:] / equity[:-1] - 1.0


def performance(result: Backtest) -> Performance:
    """Figures of a backtest."""
    r, year = result.r, result.prepared.periods_per_year
    years = max(len(result.equity) - 1, 1) / year
    return Performance(
        **_of_curve(result.equity, year),
        trades=len(r),
        win_rate=float((r > 0).mean()) if len(r) else np.nan,
        expectancy=float(r.mean()) if len(r) else np.nan,
        exposure=float(result.by_day[:, 1].mean()),
        turnover=float(result.by_day[:, 2].sum() / result.equity.mean() / years),
    )


def compared(result: Backtest) -> pl.DataFrame:
    """The figures of the strategy, of the benchmark and of buy and hold on the same sessions.

    Returns `figure` and one column each; null where a level has no trades of its own.
    """
    year, days = result.prepared.periods_per_year, result.days
    beside = {name: _of_curve(days[name].to_numpy(), year) for name in ("benchmark", "buy_and_hold")}
    rows = [
        {"figure": name, "breakout": float(value), **{other: found.get(name) for other, found in beside.items()}}
        for name, value in performance(result)._asdict().items()
    ]
    return pl.DataFrame(rows).with_columns(pl.exclude("figure").fill_nan(None))


def curves(result: Backtest, **equity: Array) -> pl.DataFrame:
    """Equity by name on the sessions of `result`, beside the benchmark and buy and hold."""
    levels = {name.replace("_", " "): values for name, values in equity.items()}
    beside = {"benchmark": "benchmark", "buy and hold": "buy_and_hold"}
    return result.days.select("session", **levels, **beside)


def _of_curve(equity: Array, periods_per_year: int) -> dict[str, float]:
    change = returns(equity)
    grown = equity[-1] / equity[0]
    compounded = grown ** (periods_per_year / len(change)) - 1.0 if len(change) else np.nan
    deviation = change.std(ddof=1) if len(change) > 1 else np.nan
    downside = np.sqrt(np.square(np.minimum(change, 0.0)).mean()) if len(change) else np.nan
    lost = drawdown.maximum_of_wealth(equity)
    mean = change.mean() if len(change) else np.nan
    return {
        "total_return": float(grown - 1.0),
        "annual_return": float(compounded),
        "annual_volatility": float(deviation * np.sqrt(periods_per_year)),
        "sharpe_ratio": _ratio(mean, deviation) * np.sqrt(periods_per_year),
        "sortino_ratio": _ratio(mean, downside) * np.sqrt(periods_per_year),
        "max_drawdown": lost,
        "calmar_ratio": _ratio(compounded, lost),
    }


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below > 0 else np.nan
