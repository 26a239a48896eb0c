"""Backtests of one set of breakout parameters after another, on the same spans, each from fresh capital."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import polars as pl
from optuna.trial import FrozenTrial, TrialState

from bq.market import MarketData
from bq.serving import ledger
from bq.strategies.breakout.backtest import Backtest, backtest
from bq.strategies.breakout.performance import compared, performance, returns
from bq.strategies.breakout.prepare import Prepared
from bq.strategies.breakout.settings import BreakoutSettings
from bq.tuning.parameters import applied
from bq.tuning.study import Infeasible, Values
from bq.tuning.windows import Span, Windows

KIND = "strategy"  # of a trial in the ledger
BATCH = 25  # trials written to the ledger at once
OBJECTIVES = {  # of `tuning.objective`: the figure of a backtest
    "sharpe_ratio": "sharpe_ratio",
    "calmar_ratio": "calmar_ratio",
    "sortino": "sortino_ratio",
    "expectancy": "expectancy",
}


class Score(NamedTuple):
    """What one set of parameters did on some spans, each from fresh capital."""

    value: float  # mean of the objective over the spans; NaN where one has none
    folds: list[float]
    trades: int  # closed
    hold: float  # the same of buying and holding; NaN where that has no such figure
    series: pl.DataFrame  # session, value (daily return), buy_and_hold (daily return)


def score(prepared: Prepared, settings: BreakoutSettings, spans: Sequence[Span]) -> Score:
    """Backtest one set of parameters."""
    name = OBJECTIVES[settings.tuning.objective]
    made = [backtest(prepared, settings, start=span.start, end=span.end) for span in spans]
    figures = [performance(one) for one in made]
    folds = [float(getattr(figure, name)) for figure in figures]
    return Score(
        value=float(np.mean(folds)),
        folds=folds,
        trades=sum(figure.trades for figure in figures),
        hold=float(np.mean([_hold(one, name) for one in made])),
        series=pl.concat(_daily(one) for one in made),
    )


def feasible(made: Score, spans: Sequence[Span], *, min_trades: int) -> Score:
    """The score itself. Raises Infeasible with fewer closed trades, or where a span has no objective."""
    if made.trades < min_trades:
        raise Infeasible(f"{made.trades} trades closed, fewer than tuning.min_trades ({min_trades})")
    without = [span for span, value in zip(spans, made.folds, strict=True) if not np.isfinite(value)]
    if without:
        raise Infeasible(f"the objective has no value from {without[0].start} to {without[0].end}: too little traded")
    return made


def until(data: MarketData, last: dt.date) -> MarketData:
    """The market without the sessions after one."""
    return replace(data, bars=data.bars.filter(pl.col("session") <= last))


class Scores:
    """Scores of trials; those of a study that is kept go to the ledger in batches."""

    def __init__(self, prepared: Prepared, settings: BreakoutSettings, windows: Windows, name: str | None) -> None:
        self.of: dict[int, Score] = {}
        self.prepared, self._settings, self._windows, self._name = prepared, settings, windows, name
        self._waiting: list[ledger.Trial] = []

    def evaluate(self, number: int, values: Values) -> tuple[float, Values]:
        """For `study.run`: raises Infeasible where the trial cannot be chosen."""
        made = score(self.prepared, applied(self._settings, values), self._windows.folds)
        made = feasible(made, self._windows.folds, min_trades=self._settings.tuning.min_trades)
        self.of[number] = made
        symbols = self.prepared.symbols
        self._waiting.append(ledger.Trial(KIND, self._name or "", number, values, made.series, symbols))
        if len(self._waiting) >= BATCH:
            self._write()
        return made.value, {"folds": made.folds, "trades": made.trades}

    def finish(self, trials: Sequence[FrozenTrial]) -> None:
        """Score again what an earlier process finished, and write the rest."""
        for trial in trials:
            if trial.state == TrialState.COMPLETE and trial.number not in self.of:
                self.evaluate(trial.number, trial.params)
        self._write()

    def matrix(self) -> pl.DataFrame:
        """Daily returns of the trials on the sessions of validation: session, and one column a trial."""
        columns = {f"{KIND}/{self._name}/{number}": made.series["value"] for number, made in sorted(self.of.items())}
        return next(iter(self.of.values())).series.select("session").with_columns(**columns)

    def _write(self) -> None:
        if self._name:
            ledger.record(self._settings.namespace, self._waiting)
        self._waiting = []


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
