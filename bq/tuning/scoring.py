"""Scores of the trials of a study on the same spans: which are feasible, and what the trial ledger keeps."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from optuna.trial import FrozenTrial, TrialState

from bq.core.settings import Settings
from bq.market import MarketData
from bq.serving import ledger
from bq.serving.candidate import recipe_digest
from bq.strategies.backtester import Score, Scorer, Span
from bq.tuning.parameters import applied
from bq.tuning.study import Infeasible, Values
from bq.tuning.windows import Windows

KIND = "strategy"  # of a trial in the ledger
BATCH = 25  # trials written to the ledger at once


def feasible(made: Score, spans: Sequence[Span], *, min_trades: int) -> Score:
    """The score itself. Raises Infeasible with fewer closed trades, or where a span has no objective."""
    if made.trades < min_trades:
        raise Infeasible(f"{made.trades} closed trades, fewer than tuning.min_trades ({min_trades})")
    without = [span for span, value in zip(spans, made.folds, strict=True) if not np.isfinite(value)]
    if without:
        raise Infeasible(
            f"the objective has no value from {without[0].start} to {without[0].end}: too few trades, or no variation"
        )
    return made


def until(data: MarketData, last: dt.date) -> MarketData:
    """The market up to and including session `last`."""
    return replace(data, bars=data.bars.filter(pl.col("session") <= last))


class Scores:
    """Scores of trials, entered in the ledger in batches."""

    def __init__(
        self, scorer: Scorer, settings: Settings, windows: Windows, study: str, events: str, objective: str
    ) -> None:
        """study, objective : their names. events : digest of the market."""
        self.of: dict[int, Score] = {}
        self._scorer, self._settings, self._windows, self._study, self._events = (
            scorer,
            settings,
            windows,
            study,
            events,
        )
        self._objective = objective
        self._waiting: list[ledger.Look] = []

    def measure(self, number: int, values: Values) -> Score:
        """For `study.run`, in any process: raises Infeasible where the trial cannot be chosen."""
        made = self._scorer.score(applied(self._settings, values), self._windows.folds)
        return feasible(made, self._windows.folds, min_trades=self._settings.tuning.min_trades)

    def keep(self, number: int, values: Values, made: Score) -> tuple[float, Values]:
        """For `study.run`, in this one: the objective, and what stays with the trial."""
        self.of[number] = made
        self._waiting.append(self.look(KIND, number, values, made))
        if len(self._waiting) >= BATCH:
            self._write()
        return made.value, {"folds": made.folds, "trades": made.trades}

    def look(self, kind: str, number: int, values: Values, made: Score) -> ledger.Look:
        """A trial as the ledger keeps it."""
        return ledger.Look(
            kind=kind,
            study=self._study,
            number=number,
            parameters=values,
            series=made.series,
            symbols=self._scorer.symbols,
            recipe=recipe_digest(applied(self._settings, values), {}),
            events=self._events,
            shown={self._objective: made.value},
        )

    def finish(self, trials: Sequence[FrozenTrial]) -> None:
        """Score again the trials that an earlier process finished, and write the rest."""
        for trial in trials:
            if trial.state == TrialState.COMPLETE and trial.number not in self.of:
                self.keep(trial.number, trial.params, self.measure(trial.number, trial.params))
        self._write()

    def matrix(self) -> pl.DataFrame:
        """Daily returns of the trials on the sessions of validation: session, and one column per trial."""
        columns = {f"{KIND}/{self._study}/{number}": made.series["value"] for number, made in sorted(self.of.items())}
        return next(iter(self.of.values())).series.select("session").with_columns(**columns)

    def _write(self) -> None:
        ledger.record(self._settings.namespace, self._waiting)
        self._waiting = []
