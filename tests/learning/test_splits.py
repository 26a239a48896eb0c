"""Purged walk-forward: what may train, for the block it is tested on."""

import datetime as dt
import re
from unittest import mock

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bq.core.errors import BadData, BadParameters, BQError, TemporalOverlap
from bq.core.settings import Learning
from bq.learning import splits
from bq.strategies.events import UTC

START = dt.datetime(2020, 1, 1, 21, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def intervals(pairs: list[tuple[float, float]]) -> pl.DataFrame:
    """Events from (first day, length in days)."""
    t0 = [START + first * DAY for first, _ in pairs]
    due = [START + (first + length) * DAY for first, length in pairs]
    return pl.DataFrame({"t0": pl.Series(t0, dtype=UTC), "t1_due": pl.Series(due, dtype=UTC)})


def daily(n: int, *, horizon: float = 5) -> pl.DataFrame:
    return intervals([(i, horizon) for i in range(n)])


def learning(**changes: int | None) -> Learning:
    return Learning(features="f", model="m", **{"folds": 2, "test_days": 30, **changes})


@pytest.mark.parametrize(
    ("embargo_days", "dropped"),
    [pytest.param(0, range(15, 35), id="purge-only-80-remain"), pytest.param(1, range(15, 36), id="embargo-1%-79")],
)
def test_purge_drops_what_touches_the_test_block(embargo_days, dropped):
    _, rows = crossed(daily(100), groups=10, tested=1, embargo_days=embargo_days)
    kept, test = rows[2]
    assert test == list(range(20, 30))
    assert sorted(set(range(100)) - set(kept)) == list(dropped)
    assert len(kept) == 100 - len(dropped)


@pytest.mark.parametrize(
    ("first", "length", "kept"),
    [
        pytest.param(0, 9.999, True, id="ends-just-before"),
        pytest.param(0, 10, False, id="ends-on-the-start-touches"),
        pytest.param(9, 30, False, id="spans-the-block"),
        pytest.param(12, 1, False, id="inside"),
        pytest.param(20, 5, False, id="starts-on-the-end-touches"),
        pytest.param(22, 5, False, id="starts-on-the-last-moment-of-the-embargo"),
        pytest.param(22.001, 5, True, id="starts-after-the-embargo"),
    ],
)
def test_intervals_are_closed(first, length, kept):
    day, begin = (length // dt.timedelta(microseconds=1) for length in (DAY, START - splits.EPOCH))
    line = splits.Timeline.of(intervals([(first, length)]))
    dropped = line.dropped(begin + 10 * day, begin + 20 * day, 2 * day)
    assert (len(splits.without(1, [dropped])) == 1) is kept


def test_the_purged_window_starts_with_the_first_test_event_not_with_the_end_of_its_label():
    # the last training event ends after the first test t0 and before the first test label ends
    events = intervals([*((i, 1) for i in range(60)), (60, 12), *((70 + i, 20) for i in range(60))])
    fold = splits.purged_walk_forward(events, learning())[0]
    assert events["t0"][int(fold.test[0])] == START + 70 * DAY
    assert fold.start == START + 70 * DAY
    assert 60 not in fold.train
    assert fold.train.tolist() == list(range(60))


def test_training_events_that_reach_into_the_block_from_before_are_purged():
    long = intervals([(i, 1 if i % 2 else 50) for i in range(160)])
    for fold in splits.purged_walk_forward(long, learning()):
        assert set(range(int(fold.test[0]))) - set(fold.train.tolist())
        assert (long["t1_due"].gather(fold.train) < fold.start).all()


def test_a_block_ends_with_its_latest_label_not_with_its_last_event():
    lengths = [1.0] * 160
    lengths[105] = 40.0
    fold = splits.purged_walk_forward(intervals(list(enumerate(lengths))), learning())[0]
    assert 105 in fold.test
    assert fold.end == START + 145 * DAY


def test_walk_forward_trains_on_everything_that_ended_before_the_block():
    folds = splits.purged_walk_forward(daily(200), learning(folds=3, test_days=40))
    assert [(fold.test[0], fold.test[-1]) for fold in folds] == [(80, 119), (120, 159), (160, 199)]
    assert [fold.train.tolist() for fold in folds] == [list(range(75)), list(range(115)), list(range(155))]


def test_gap_is_counted_from_the_last_training_start():
    fold = splits.purged_walk_forward(daily(200), learning(folds=2, test_days=40, gap_days=12))[0]
    assert fold.test[0] == 120
    assert fold.train[-1] == 108


def test_embargo_leaves_out_what_starts_after_an_earlier_block():
    rule = learning(folds=3, test_days=40, embargo_days=5)
    third = splits.purged_walk_forward(daily(200, horizon=2.5), rule)[2]
    # the first block starts on day 80 and its last label ends on day 121.5
    assert sorted(set(range(158)) - set(third.train.tolist())) == [122, 123, 124, 125, 126]
    assert third.train[-1] == 157


def test_rows_in_another_order_give_the_same_events():
    events = daily(200)
    order = np.random.default_rng(0).permutation(200)
    straight = splits.purged_walk_forward(events, learning())
    shuffled = splits.purged_walk_forward(events[order], learning())
    for a, b in zip(straight, shuffled, strict=True):
        assert sorted(order[b.train].tolist()) == a.train.tolist()
        assert sorted(order[b.test].tolist()) == a.test.tolist()
        assert (a.start, a.end) == (b.start, b.end)


random_intervals = st.lists(
    st.tuples(st.integers(0, 24 * 400), st.integers(1, 24 * 60)), min_size=40, max_size=120
).map(lambda pairs: intervals([(first / 24, length / 24) for first, length in pairs]))


@settings(max_examples=60, deadline=None)
@given(
    events=random_intervals,
    folds=st.integers(2, 4),
    test_days=st.integers(30, 80),
    gap_days=st.none() | st.integers(0, 60),
    embargo_days=st.integers(0, 40),
)
def test_no_training_interval_ever_meets_its_test_block(events, folds, test_days, gap_days, embargo_days):
    rule = learning(folds=folds, test_days=test_days, gap_days=gap_days, embargo_days=embargo_days)
    with mock.patch.object(splits, "MIN_TRAINING_EVENTS", 1):
        try:
            made = splits.purged_walk_forward(events, rule)
        except BQError:
            return  # too little left: refused, which is its own test
    t0, due = events["t0"].to_list(), events["t1_due"].to_list()
    blocks: list[tuple[dt.datetime, dt.datetime]] = []
    seen: set[int] = set()
    for number, fold in enumerate(made, start=1):
        assert fold.number == number
        start, end = min(t0[i] for i in fold.test), max(due[i] for i in fold.test)
        assert (fold.start, fold.end) == (start, end)
        gap = (gap_days or 0) * DAY
        expected = {
            i
            for i in range(len(t0))
            if due[i] < start
            and start - t0[i] >= gap
            and not any(earlier < t0[i] <= earlier + embargo_days * DAY for _, earlier in blocks)
        }
        assert set(fold.train.tolist()) == expected
        assert not any(t0[i] <= end and due[i] >= start for i in fold.train)
        assert not any(t0[i] > end for i in fold.train)
        assert not seen & set(fold.test.tolist())
        assert all(t0[j] < start for j in seen)
        seen |= set(fold.test.tolist())
        blocks.append((start, end))
    # the blocks cover the newest folds × test_days and nothing else
    assert seen == {i for i in range(len(t0)) if t0[i] > max(t0) - folds * test_days * DAY}


def test_newest_window_stays_out_of_training():
    events = daily(200)
    train, window = splits.newest_window(events, learning(newest_days=50))
    assert window.tolist() == list(range(150, 200))
    assert train.tolist() == list(range(145))


def test_newest_window_honours_the_gap():
    train, _ = splits.newest_window(daily(200), learning(newest_days=50, gap_days=20))
    assert train[-1] == 130


def test_folds_that_leave_no_training_are_a_temporal_overlap():
    with pytest.raises(TemporalOverlap, match=r"fold 1: training events must end before .*but none does.*fewer folds"):
        splits.purged_walk_forward(daily(80, horizon=30), learning(folds=2, test_days=30))


def test_labels_longer_than_the_history_are_a_temporal_overlap_of_the_artefact():
    with pytest.raises(TemporalOverlap, match="the artefact: training events must end before"):
        splits.newest_window(daily(80, horizon=60), learning(newest_days=50))


def test_too_few_training_events_are_named_with_their_number():
    with pytest.raises(BadData, match=r"fold 1: Insufficient samples: 49 < 50 training events before 2020-02-24"):
        splits.purged_walk_forward(daily(114), learning())
    assert len(splits.purged_walk_forward(daily(115), learning())[0].train) == 50


def test_an_empty_test_block_is_named_with_its_dates():
    events = intervals([*((i, 1) for i in range(100)), *((200 + i, 1) for i in range(30))])
    with pytest.raises(BadData, match=r"fold 1: at least one event must fall between 2020-05-19 and 2020-06-18"):
        splits.purged_walk_forward(events, learning(folds=3))


def crossed(events: pl.DataFrame, *, groups: int, tested: int, embargo_days: int = 0):
    line = splits.Timeline.of(events)
    made = splits.combinatorial(line, groups=groups, tested=tested, embargo=embargo_days * DAY)
    return made, [(line.rows(split.train).tolist(), line.rows(split.test).tolist()) for split in made.splits]


@pytest.mark.parametrize(
    ("groups", "tested", "n_splits", "n_paths"), [(6, 2, 15, 5), (10, 2, 45, 9)], ids=["6-choose-2", "10-choose-2"]
)
def test_combinations_and_paths_are_as_many_as_published(groups, tested, n_splits, n_paths):
    made, _ = crossed(daily(200), groups=groups, tested=tested)
    assert len(made.splits) == n_splits
    assert made.paths.shape == (n_paths, groups)


def test_each_path_predicts_each_group_once_and_no_prediction_serves_twice():
    made, _ = crossed(daily(200), groups=6, tested=2)
    for path in made.paths:
        assert all(group in made.splits[number].tested for group, number in enumerate(path))
    served = [(number, group) for path in made.paths for group, number in enumerate(path)]
    assert len(set(served)) == len(served) == sum(len(split.tested) for split in made.splits)


@pytest.mark.parametrize("embargo_days", [0, 3], ids="embargo-{}".format)
def test_rows_are_those_of_skfolio_where_every_row_is_one_period(embargo_days):
    from skfolio.model_selection import CombinatorialPurgedCV

    peer = CombinatorialPurgedCV(n_folds=6, n_test_folds=2, purged_size=5, embargo_size=embargo_days)
    _, ours = crossed(daily(180, horizon=5), groups=6, tested=2, embargo_days=embargo_days)
    theirs = [(train.tolist(), np.concatenate(tests).tolist()) for train, tests in peer.split(np.zeros((180, 1)))]
    assert [train for train, _ in ours] == [train for train, _ in theirs]
    assert [test for _, test in ours] == [test for _, test in theirs]


def test_a_label_that_outlives_its_group_purges_where_it_ends():
    lengths = [1.0] * 60
    lengths[12] = 30.0  # in the second of six groups, due on day 42
    _, rows = crossed(intervals(list(enumerate(lengths))), groups=6, tested=1)
    assert rows[1][0] == [*range(9), *range(43, 60)]  # day 9 ends on day 10, where the group starts
    assert rows[3][0] == [i for i in range(29) if i != 12] + list(range(41, 60))


def test_events_of_one_moment_stay_in_one_group():
    made, rows = crossed(intervals([(i // 7, 0.5) for i in range(70)]), groups=4, tested=1)
    assert made.groups.tolist() == [[0, 14], [14, 35], [35, 49], [49, 70]]
    assert [test for _, test in rows] == [list(range(a, b)) for a, b in made.groups]


@settings(max_examples=100, deadline=None)
@given(events=random_intervals, groups=st.integers(2, 6), tested=st.integers(1, 3), embargo_days=st.integers(0, 40))
def test_no_training_interval_ever_meets_a_test_group_and_nothing_else_is_purged(events, groups, tested, embargo_days):
    try:
        made, rows = crossed(events, groups=groups, tested=tested, embargo_days=embargo_days)
    except BQError:
        return  # nothing left or groups that cannot be made: refused, which is its own test
    t0, due = events["t0"].to_list(), events["t1_due"].to_list()
    positions = sorted(range(len(t0)), key=lambda i: t0[i])
    groups_rows = [[positions[p] for p in range(a, b)] for a, b in made.groups]
    assert sorted(i for group in groups_rows for i in group) == list(range(len(t0)))
    for split, (train, test) in zip(made.splits, rows, strict=True):
        assert test == sorted(i for group in split.tested for i in groups_rows[group])
        blocks = [(min(t0[i] for i in groups_rows[g]), max(due[i] for i in groups_rows[g])) for g in split.tested]
        expected = [
            i
            for i in range(len(t0))
            if not any(due[i] >= start and t0[i] <= end + embargo_days * DAY for start, end in blocks)
        ]
        assert train == expected
        assert not set(train) & set(test)


@pytest.mark.parametrize(
    ("groups", "tested"), [(1, 1), (6, 6), (6, 0), (101, 2)], ids=["one", "all", "none", "more-than-events"]
)
def test_groups_that_cannot_be_made_are_refused(groups, tested):
    with pytest.raises(BadParameters, match="1 <= tested < groups <= events must hold"):
        crossed(daily(100), groups=groups, tested=tested)


def test_more_groups_than_moments_are_refused():
    with pytest.raises(BadParameters, match="must have its own t0"):
        crossed(intervals([(0, 1)] * 50 + [(9, 1)] * 50), groups=3, tested=1)


def test_a_split_without_training_is_a_temporal_overlap():
    with pytest.raises(TemporalOverlap, match=r"split 1: training events must end before or start after"):
        crossed(daily(100, horizon=200), groups=4, tested=1)


@pytest.mark.parametrize(
    ("days", "advice"),
    [
        (250, "set learning.folds to at most 7 or shorter learning.test_days"),
        (60, "set learning.test_days to 7."),
    ],
    ids=["fewer-folds", "shorter-blocks"],
)
def test_what_is_advised_for_a_short_history_is_allowed_and_enough(days, advice):
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    t0 = pl.datetime_range(start, start + dt.timedelta(days=days), "6h", time_zone="UTC", eager=True)
    events = pl.DataFrame({"t0": t0, "t1_due": t0 + dt.timedelta(days=2)})
    asked = Learning(features="any", model="any", folds=9 if days > 100 else 6, test_days=30)
    with pytest.raises(BadData) as caught:
        splits.purged_walk_forward(events, asked)
    assert advice in str(caught.value)
    number = int(re.search(r"to (?:at most )?(\d+)", advice)[1])
    for fewer in range(2, number + 1) if "folds" in advice else [number]:
        taken = {"folds": fewer} if "folds" in advice else {"test_days": number}
        assert len(splits.purged_walk_forward(events, asked.model_copy(update=taken))) >= 2
