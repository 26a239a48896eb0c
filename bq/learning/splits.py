"""Purged walk-forward splits: no training label reaches into a test block."""

import datetime as dt
import itertools
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.errors import BadData, TemporalOverlap
from bq.core.settings import Learning

MIN_TRAINING_EVENTS = 50
Rows = NDArray[np.int64]


class Fold(NamedTuple):
    """One refit: row numbers into the events that were split."""

    number: int  # from 1
    train: Rows
    test: Rows
    start: dt.datetime  # first test t0
    end: dt.datetime  # last test t1_due


def purge(
    events: pl.DataFrame, *, start: dt.datetime, end: dt.datetime, embargo: dt.timedelta = dt.timedelta(0)
) -> Rows:
    """Rows of `events` whose interval [t0, t1_due] does not touch [start, end], and that do not start in the embargo.

    Intervals are closed: touching counts. The embargo removes events that start within it after `end`.
    López de Prado 2018, ch. 7.
    """
    before = pl.col("t1_due") < start
    after = pl.col("t0") > end + embargo
    return _rows(events, before | after)


def purged_walk_forward(events: pl.DataFrame, settings: Learning) -> list[Fold]:
    """Expanding walk-forward folds over the newest `folds` × `test_days` of the events.

    events : DataFrame of shape (n_events, ...) with `t0`, `t1_due` (UTC).
    Each fold trains on the events that ended before its test block began (and, with `gap_days`, that started at least
    so long before it); events that start within `embargo_days` after an earlier test block are left out.

    Raises TemporalOverlap where purging leaves a fold no training event, BadData where it leaves fewer than 50.
    """
    last, first = events["t0"].max(), events["t0"].min()
    spanned, wanted = (last - first).days, settings.folds * settings.test_days
    if spanned <= wanted:
        fit = max(int(spanned * 0.7 / settings.test_days), 1)
        raise BadData(
            f"{settings.folds} folds of {settings.test_days} days must lie within the events and leave some to train "
            f"on before them, but the events span {spanned} days ({first:%Y-%m-%d} to {last:%Y-%m-%d}). "
            f"Bring more history, or set learning.folds to {fit} or shorter learning.test_days."
        )
    edges = [last - dt.timedelta(days=settings.test_days * back) for back in range(settings.folds, -1, -1)]
    folds: list[Fold] = []
    for number, (low, high) in enumerate(itertools.pairwise(edges), start=1):
        test = _rows(events, pl.col("t0").is_between(low, high, "right"))
        if not len(test):
            raise BadData(
                f"fold {number}: at least one event must fall between {low:%Y-%m-%d} and {high:%Y-%m-%d}, "
                "but none does."
            )
        start, end = events["t0"].gather(test).min(), events["t1_due"].gather(test).max()
        train = _training(events, start=start, settings=settings, earlier=folds)
        _enough(train, f"fold {number}", start)
        folds.append(Fold(number, train, test, start, end))
    return folds


def newest_window(events: pl.DataFrame, settings: Learning) -> tuple[Rows, Rows]:
    """Training rows that ended before the newest `newest_days` of matured events, and the rows of that window."""
    window = _rows(events, pl.col("t0") > events["t0"].max() - dt.timedelta(days=settings.newest_days))
    start = events["t0"].gather(window).min()
    train = _training(events, start=start, settings=settings, earlier=[])
    _enough(train, "the artefact", start)
    return train, window


def _training(events: pl.DataFrame, *, start: dt.datetime, settings: Learning, earlier: list[Fold]) -> Rows:
    """Rows that ended before `start`, at least the gap before it, outside the embargo after each earlier test block."""
    rows = purge(events, start=start, end=events["t0"].max())  # nothing after the block either
    t0 = events["t0"].gather(rows)
    keep = t0 <= start - dt.timedelta(days=settings.gap_days or 0)
    for fold in earlier:
        keep &= ~t0.is_between(fold.end, fold.end + dt.timedelta(days=settings.embargo_days), closed="right")
    return rows[keep.to_numpy()]


def _rows(events: pl.DataFrame, condition: pl.Expr) -> Rows:
    return events.select(pl.arg_where(condition)).to_series().to_numpy().astype(np.int64)


def _enough(train: Rows, where: str, start: dt.datetime) -> None:
    if not len(train):
        raise TemporalOverlap(
            f"{where}: training events must end before its test block starts ({start:%Y-%m-%d}), but none does. "
            "Use fewer folds, shorter test blocks or earlier events."
        )
    if len(train) < MIN_TRAINING_EVENTS:
        raise BadData(
            f"{where}: Insufficient samples: {len(train)} < {MIN_TRAINING_EVENTS} "
            f"training events before {start:%Y-%m-%d}. Use fewer folds or earlier events."
        )
