"""What a search of the rules may change, and what one set of parameters earns."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from bq.core.errors import BadParameters
from bq.strategies.backtester import Range, Score, Scorer, Span
from bq.strategies.breakout.backtest import Backtest, backtest
from bq.strategies.breakout.performance import compared, performance, returns
from bq.strategies.breakout.prepare import Prepared, prepare
from bq.strategies.breakout.settings import BreakoutSettings

if TYPE_CHECKING:
    from bq.market import MarketData

RANGES = {
    "exit.hard_stop_atr_mult": Range(1.5, 4.0, 0.1),
    "exit.exit_ma": (20, 50),
    "entry.fast_clearance": Range(0.0, 0.02, 0.0005),
    "entry.slow_clearance": Range(0.005, 0.025, 0.0005),
    "risk.risk_per_trade": Range(0.005, 0.015, 0.00025),
    "risk.max_positions": Range(4, 12),
    "eligibility.trend_ma": (20, 50, 100),
}
OBJECTIVES = {  # of `tuning.objective`: the figure of a backtest
    "sharpe_ratio": "sharpe_ratio",
    "calmar_ratio": "calmar_ratio",
    "sortino": "sortino_ratio",
    "expectancy": "expectancy",
}


def scorer(market: "MarketData", settings: BreakoutSettings) -> Scorer[BreakoutSettings]:
    """A market whose backtests are scored. Raises BadParameters where a model would act in them."""
    if settings.ml.enabled:
        raise BadParameters(
            "`ml.enabled` must be false while rules are tuned, but is true: the champion may have been trained on the "
            'sessions on which trials are judged. Set SET="ml.enabled=false", and enable it again afterwards.'
        )
    prepared = prepare(market, settings.universe)
    return Scorer(prepared.sessions, prepared.symbols, lambda given, spans: score(prepared, given, spans))


def score(prepared: Prepared, settings: BreakoutSettings, spans: Sequence[Span]) -> Score:
    """Backtest one set of parameters."""
    name = OBJECTIVES[settings.tuning.objective]
    made = [backtest(prepared, settings, start=span.start, end=span.end) for span in spans]
    figures = [performance(one) for one in made]
    return Score(
        folds=[float(getattr(figure, name)) for figure in figures],
        trades=sum(figure.trades for figure in figures),
        hold=float(np.mean([_hold(one, name) for one in made])),
        series=pl.concat(_daily(one) for one in made),
    )


def _hold(made: Backtest, name: str) -> float:
    found = compared(made).filter(pl.col("figure") == name)["buy_and_hold"][0]
    return np.nan if found is None else float(found)


def _daily(made: Backtest) -> pl.DataFrame:
    """Returns of each session, the first 0."""
    days = made.days
    levels = {"value": days["equity"], "buy_and_hold": days["buy_and_hold"]}
    return days.select("session").with_columns(
        **{name: pl.Series(np.append(0.0, returns(level.to_numpy()))) for name, level in levels.items()}
    )
