"""Purged splits, walk-forward and combinatorial: no training label reaches into a test block."""

import datetime as dt
import itertools
import math
from typing import NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.errors import BadData, BadParameters, TemporalOverlap
from bq.core.scalars import moment
from bq.core.settings import Learning

MIN_TRAINING_EVENTS = 50
TESTED = 0.7  # share of the time of events that is tested where blocks of the length asked for do not fit
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
NO_TIME = dt.timedelta(0)
Rows = NDArray[np.int64]
Ranges = NDArray[np.int64]  # shape (n, 2): rows from the first to before the second, ascending, apart from each other


class Fold(NamedTuple):
    """One refit: row numbers into the events that were split."""

    number: int  # from 1
    train: Rows
    test: Rows
    start: dt.datetime  # first test t0
    end: dt.datetime  # last test t1_due


class Split(NamedTuple):
    """One combination of test groups: positions in order of t0, as ranges."""

    tested: tuple[int, ...]  # groups
    train: Ranges
    test: Ranges


class Combinatorial(NamedTuple):
    """All combinations of test groups, and how their predictions combine into whole histories."""

    splits: list[Split]
    paths: NDArray[np.int64]  # shape (n_paths, n_groups): the split that predicts the group on the path
    groups: Ranges  # shape (n_groups, 2)


class Timeline(NamedTuple):
    """Events in order of t0, in microseconds since 1970, for fast lookups."""

    t0: Rows
    due: Rows
    latest: Rows  # latest due so far: ascending even where single labels end before earlier ones
    order: Rows | None  # row of the events at each position; None where they are sorted

    @classmethod
    def of(cls, events: pl.DataFrame) -> Self:
        """From the columns t0 and t1_due (UTC), in any order of rows."""
        t0, due = (events[name].dt.epoch("us").to_numpy() for name in ("t0", "t1_due"))
        order = None
        if not (t0[1:] >= t0[:-1]).all():
            order = np.argsort(t0, kind="stable")
            t0, due = t0[order], due[order]
        return cls(t0, due, np.maximum.accumulate(due), order)

    def before(self, stamp: int, *, equal: bool = False) -> int:
        """How many events start before `stamp`, or at it."""
        return int(np.searchsorted(self.t0, stamp, "right" if equal else "left"))

    def dropped(self, start: int, end: int, embargo: int = 0) -> Ranges:
        """Positions that may not train for a test block [start, end]: purged (touching it), or in the embargo after it.

        All positions before the first whose latest due is not before `start` were due before it; between that and the
        block, single labels may have ended too.

        Daily events with labels of five days, positions 20 to 29 tested: 15 to 34 may not train, 80 of 100 remain; with
        an embargo of one day neither may 35.

        >>> first, last = dt.datetime(2020, 1, 1), dt.datetime(2020, 4, 9)
        >>> days = pl.datetime_range(first, last, "1d", time_zone="UTC", eager=True)
        >>> line = Timeline.of(pl.DataFrame({"t0": days, "t1_due": days + dt.timedelta(days=5)}))
        >>> block = _stamp(days[20]), line.end(20, 30)
        >>> without(100, [line.dropped(*block)]).tolist()
        [[0, 15], [35, 100]]
        >>> without(100, [line.dropped(*block, _microseconds(dt.timedelta(days=1)))]).tolist()
        [[0, 15], [36, 100]]
        """
        first, block = int(np.searchsorted(self.latest, start)), self.before(start)
        reaching = np.flatnonzero(np.diff(self.due[first:block] >= start, prepend=False, append=False)) + first
        inside = [block, self.before(end + embargo, equal=True)]
        return np.vstack([reaching.reshape(-1, 2), inside]).astype(np.int64)

    def end(self, first: int, after: int) -> int:
        """Latest due of the positions from `first` to before `after`."""
        found = self.latest[after - 1]
        return int(found if first == 0 or found > self.latest[first - 1] else self.due[first:after].max())

    def rows(self, ranges: Ranges) -> Rows:
        """Ascending rows of the events at the positions in `ranges`."""
        if len(ranges) <= 16:
            found = np.concatenate([np.arange(a, b) for a, b in ranges] or [np.empty(0, np.int64)])
        else:
            size = ranges[:, 1] - ranges[:, 0]
            found = np.arange(size.sum()) + np.repeat(ranges[:, 0] - (size.cumsum() - size), size)
        return found if self.order is None else np.sort(self.order[found])


def without(n: int, dropped: list[Ranges]) -> Ranges:
    """The positions 0 to n that are in none of `dropped`.

    >>> without(10, [np.array([[2, 4], [9, 12]]), np.array([[3, 6]])]).tolist()
    [[0, 2], [6, 9]]
    """
    out = np.vstack(dropped)
    out = out[np.argsort(out[:, 0], kind="stable")]
    starts = np.concatenate([[0], np.maximum.accumulate(out[:, 1])])
    stops = np.concatenate([out[:, 0], [n]])
    return np.column_stack([starts, stops])[starts < stops]


def combinatorial(line: Timeline, *, groups: int, tested: int, embargo: dt.timedelta = NO_TIME) -> Combinatorial:
    """Combinatorial purged cross-validation: every choice of `tested` of `groups` consecutive groups is a test once.

    line : `Timeline.of(events)`; `line.rows(split.train)` gives rows of those events. Groups have about the same number
    of events; events of the same t0 stay together. The training of a split touches none of its test groups'
    [min t0, max t1_due], and starts outside the embargo after each. A group is tested C(groups − 1, tested − 1) times,
    which is the number of paths: on each path every event is predicted once. López de Prado 2018, ch. 12.

    Raises BadParameters where the groups cannot be made, TemporalOverlap where a split has no training event left.

    >>> days = pl.datetime_range(dt.datetime(2020, 1, 1), dt.datetime(2020, 4, 9), "1d", time_zone="UTC", eager=True)
    >>> line = Timeline.of(pl.DataFrame({"t0": days, "t1_due": days + dt.timedelta(days=5)}))
    >>> made = combinatorial(line, groups=6, tested=2)
    >>> len(made.splits), len(made.paths), made.splits[0].train.tolist()
    (15, 5, [[38, 100]])
    """
    n = len(line.t0)
    if not 1 <= tested < groups <= n:
        raise BadParameters(
            f"1 <= tested < groups <= events must hold, but got tested={tested}, groups={groups} and {n} events."
        )
    edges = [line.before(int(line.t0[n * group // groups])) for group in range(groups)] + [n]
    bounds = np.array(list(itertools.pairwise(edges)))
    if (bounds[:, 0] == bounds[:, 1]).any():
        raise BadParameters(
            f"each of {groups} groups must have its own t0, but the {n} events have too few different ones. "
            "Use fewer groups."
        )
    dropped = [line.dropped(int(line.t0[a]), line.end(a, b), _microseconds(embargo)) for a, b in bounds]
    splits, free = [], [0] * groups
    paths = np.empty((math.comb(groups - 1, tested - 1), groups), np.int64)
    for number, chosen in enumerate(itertools.combinations(range(groups), tested)):
        train = without(n, [dropped[group] for group in chosen])
        if not len(train):
            raise TemporalOverlap(
                f"split {number + 1}: training events must end before or start after the test groups {chosen} (from 0)"
                ", but none does. Use fewer test groups, a shorter embargo or more events."
            )
        splits.append(Split(chosen, train, bounds[list(chosen)]))
        for group in chosen:
            paths[free[group], group] = number
            free[group] += 1
    return Combinatorial(splits, paths, bounds)


def purged_walk_forward(events: pl.DataFrame, settings: Learning) -> list[Fold]:
    """Expanding walk-forward folds over the newest `folds` × `test_days` of the events.

    events : DataFrame of shape (n_events, ...) with `t0`, `t1_due` (UTC).
    Each fold trains on the events that ended before its test block began (and, with `gap_days`, that started at least
    so long before it); events that start within `embargo_days` after an earlier test block are left out.

    With `since` the blocks are shorter where the time from it on is too short for them: all together span TESTED of it.

    Raises TemporalOverlap where purging leaves a fold no training event, BadData where it leaves fewer than 50.

    Daily events with labels of five days: the five rows before each test block are purged. With an embargo of two days
    the third fold leaves out the two rows that start after the labels of the first test block have ended:

    >>> days = pl.datetime_range(dt.datetime(2020, 1, 1), dt.datetime(2020, 5, 29), "1d", time_zone="UTC", eager=True)
    >>> daily = pl.DataFrame({"t0": days, "t1_due": days + dt.timedelta(days=5)})
    >>> learning = Learning(features="any", model="any", folds=3, test_days=30, embargo_days=2)
    >>> for fold in purged_walk_forward(daily, learning):
    ...     first, last = fold.train[[0, -1]].tolist()
    ...     print((first, last), fold.test[[0, -1]].tolist(), sorted({*range(first, last)} - {*fold.train}))
    (0, 54) [60, 89] []
    (0, 84) [90, 119] []
    (0, 114) [120, 149] [95, 96]
    """
    last, first = moment(events["t0"].max()), moment(events["t0"].min())
    spanned, test_days = (last - first).days, settings.test_days
    shorter = max(int(spanned * TESTED / settings.folds), 1)
    if settings.since is not None:
        test_days = min(test_days, shorter)
    wanted = settings.folds * test_days
    if spanned <= wanted:
        before = [last - dt.timedelta(days=settings.test_days * folds) for folds in range(2, settings.folds)]
        fit = sum((events["t1_due"] <= start).sum() >= MIN_TRAINING_EVENTS for start in before)
        fewer = (
            f"learning.folds to at most {1 + fit} or shorter learning.test_days"
            if fit
            else f"learning.test_days to {shorter}"
        )
        raise BadData(
            f"{settings.folds} folds of {settings.test_days} days must lie within the events and leave some before "
            f"them to train on, but the events span {spanned} days ({first:%Y-%m-%d} to {last:%Y-%m-%d}). "
            f"Bring more history, or set {fewer}."
        )
    line = Timeline.of(events)
    edges = [last - dt.timedelta(days=test_days * back) for back in range(settings.folds, -1, -1)]
    folds: list[Fold] = []
    for number, (low, high) in enumerate(itertools.pairwise(edges), start=1):
        a, b = (line.before(_stamp(edge), equal=True) for edge in (low, high))
        if a == b:
            raise BadData(
                f"fold {number}: at least one event must fall between {low:%Y-%m-%d} and {high:%Y-%m-%d}, "
                "but none does."
            )
        start, end = _moment(line.t0[a]), _moment(line.end(a, b))
        train = _training(line, start=start, settings=settings, earlier=folds)
        _enough(train, f"fold {number}", start)
        folds.append(Fold(number, train, line.rows(np.array([[a, b]])), start, end))
    return folds


def newest_window(events: pl.DataFrame, settings: Learning) -> tuple[Rows, Rows]:
    """Rows that ended before the newest `newest_days` of events began, and the rows of that newest window."""
    line = Timeline.of(events)
    first = line.before(_stamp(moment(events["t0"].max()) - dt.timedelta(days=settings.newest_days)), equal=True)
    start = _moment(line.t0[first])
    train = _training(line, start=start, settings=settings, earlier=[])
    _enough(train, "the artefact", start)
    return train, line.rows(np.array([[first, len(events)]]))


def _training(line: Timeline, *, start: dt.datetime, settings: Learning, earlier: list[Fold]) -> Rows:
    """Rows that ended before `start`, at least the gap before it, outside the embargo after each earlier test block."""
    n, begin = len(line.t0), _stamp(start)
    gap = dt.timedelta(days=settings.gap_days or 0)
    embargo = _microseconds(dt.timedelta(days=settings.embargo_days))
    out = [line.dropped(begin, int(line.t0[-1]))]  # up to the last event: nothing after the block trains either
    out.append(np.array([[line.before(begin - _microseconds(gap), equal=True), n]]))
    for end in (_stamp(fold.end) for fold in earlier):
        out.append(np.array([[line.before(end, equal=True), line.before(end + embargo, equal=True)]]))
    return line.rows(without(n, out))


def _stamp(moment: dt.datetime) -> int:
    return _microseconds(moment - EPOCH)


def _moment(stamp: int) -> dt.datetime:
    return EPOCH + dt.timedelta(microseconds=int(stamp))


def _microseconds(length: dt.timedelta) -> int:
    return length // dt.timedelta(microseconds=1)


def _enough(train: Rows, where: str, start: dt.datetime) -> None:
    if not len(train):
        raise TemporalOverlap(
            f"{where}: training events must end before its test block starts ({start:%Y-%m-%d}), but none does. "
            "Use fewer folds, shorter test blocks or earlier events."
        )
    if len(train) < MIN_TRAINING_EVENTS:
        raise BadData(
            f"{where}: Insufficient samples: {len(train)} < {MIN_TRAINING_EVENTS} "
            f"training events before {start:%Y-%m-%d}. Use fewer folds or earlier events (QUICK=1 leaves many out)."
        )
