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
    return events.select(pl.arg_where(before | after)).to_series().to_numpy().astype(np.int64)


def purged_walk_forward(events: pl.DataFrame, settings: Learning) -> list[Fold]:
    """Expanding walk-forward folds over the newest `folds` × `test_days` of the events.

    events : DataFrame of shape (n_events, ...) with `t0`, `t1_due` (UTC), sorted by `t0`.
    Each fold trains on the events that ended before its test block began (and, with `gap_days`, that started at least
    so long before it); events that start within `embargo_days` after an earlier test block are left out.

    Raises TemporalOverlap where purging leaves a fold no training event, BadData where it leaves fewer than 50.
    """
    last = events["t0"].max()
    edges = [last - dt.timedelta(days=settings.test_days * back) for back in range(settings.folds, -1, -1)]
    blocks: list[Rows] = []
    folds = []
    for number, (low, high) in enumerate(itertools.pairwise(edges), start=1):
        test = _rows(events, (pl.col("t0") > low) & (pl.col("t0") <= high))
        if not len(test):
            raise BadData(
                f"fold {number}: at least one event must fall between {low:%Y-%m-%d} and {high:%Y-%m-%d}, but none does."
            )
        start = events["t0"][int(test[0])]
        train = np.setdiff1d(
            np.intersect1d(purge(events, start=start, end=last), np.arange(test[0])),
            _embargoed(events, blocks, settings),
        )
        if settings.gap_days is not None:
            train = train[
                events["t0"].gather(train).to_numpy()
                <= np.datetime64((start - dt.timedelta(days=settings.gap_days)).replace(tzinfo=None))
            ]
        _enough(train, number, start)
        folds.append(Fold(number, train, test, start, events["t1_due"].gather(test).max()))
        blocks.append(test)
    return folds


def newest_window(events: pl.DataFrame, *, days: int) -> tuple[Rows, Rows]:
    """Training rows that ended before the newest `days` of matured events, and the rows of that window."""
    start = events["t0"].max() - dt.timedelta(days=days)
    window = _rows(events, pl.col("t0") > start)
    first = events["t0"][int(window[0])]
    train = np.intersect1d(purge(events, start=first, end=events["t0"].max()), np.arange(window[0]))
    _enough(train, 0, first)
    return train, window


def _rows(events: pl.DataFrame, condition: pl.Expr) -> Rows:
    return events.select(pl.arg_where(condition)).to_series().to_numpy().astype(np.int64)


def _embargoed(events: pl.DataFrame, blocks: list[Rows], settings: Learning) -> Rows:
    dropped = [np.zeros(0, np.int64)]
    for block in blocks if settings.embargo_days else []:
        end = events["t1_due"].gather(block).max()
        dropped.append(
            _rows(events, pl.col("t0").is_between(end, end + dt.timedelta(days=settings.embargo_days), "right"))
        )
    return np.concatenate(dropped)


def _enough(train: Rows, number: int, start: dt.datetime) -> None:
    where = f"fold {number}" if number else "the artefact"
    if not len(train):
        raise TemporalOverlap(
            f"{where}: training events must end before its test block starts ({start:%Y-%m-%d}), but none does. "
            "Use fewer folds, shorter test blocks or earlier events."
        )
    if len(train) < MIN_TRAINING_EVENTS:
        raise BadData(
            f"{where}: Insufficient samples: {len(train)} < {MIN_TRAINING_EVENTS} training events before {start:%Y-%m-%d}."
        )
