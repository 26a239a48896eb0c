"""The rule of blocks against lengths worked out by hand."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest

from bq.stats.blocks import IC_HOLDINGS, Blocks, block_length, mean_block
from bq.stats.bootstrap import bootstrap_mean


def holding(days: list[float], *, every: int) -> pl.DataFrame:
    start = dt.datetime(2020, 1, 3, 21, tzinfo=dt.UTC)
    t0 = [start + dt.timedelta(days=every * i) for i in range(len(days))]
    t1 = [t + dt.timedelta(days=d) for t, d in zip(t0, days, strict=True)]
    return pl.DataFrame({"session": [t.date() for t in t0], "t0": t0, "t1": t1})


@pytest.mark.parametrize(
    ("days", "every", "expected"),
    [
        pytest.param([14] * 30, 7, 3.0, id="two-weeks-held-weekly"),
        pytest.param([10] * 30, 1, 15.0, id="ten-days-held-daily"),
        pytest.param([1] * 30, 30, 1.0, id="never-below-one-session"),
        pytest.param([1] * 27 + [20] * 4, 1, 30.0, id="90th-percentile-not-the-mean"),
        pytest.param([14], 7, 1.0, id="one-session"),
        pytest.param([], 7, 1.0, id="no-event"),
    ],
)
def test_a_block_is_one_and_a_half_holding_times_in_sessions(days, every, expected):
    events = holding(days, every=every).cast({"session": pl.Date, "t0": pl.Datetime("us"), "t1": pl.Datetime("us")})
    assert block_length(events) == pytest.approx(expected)


def test_exchanges_that_close_at_different_hours_do_not_lengthen_the_block():
    one = holding([14] * 30, every=7)
    other = one.with_columns(pl.col("t0", "t1") - pl.duration(hours=5))
    assert block_length(pl.concat([one, other])) == pytest.approx(block_length(one))


def test_a_series_on_fewer_sessions_has_shorter_blocks():
    events = holding([12] * 40, every=1)
    assert block_length(events) == 18.0
    assert block_length(events, events["session"].gather_every(4)) == 4.5


def test_sessions_that_come_in_bursts_are_counted_where_they_lie():
    """Ten days held: in a burst of daily sessions that spans ten of them, whatever the gaps between bursts are."""
    start = dt.datetime(2020, 1, 1, 21, tzinfo=dt.UTC)
    t0 = [start + dt.timedelta(days=100 * burst + i) for burst in range(5) for i in range(30)]
    events = pl.DataFrame({"session": [t.date() for t in t0], "t0": t0, "t1": [t + dt.timedelta(days=10) for t in t0]})
    assert block_length(events) == pytest.approx(15.0)


def test_business_days_make_ten_sessions_of_two_weeks():
    """A median gap of one day would make fourteen of them."""
    days = pd.bdate_range("2020-01-01", periods=300, tz="UTC")
    t0 = pl.Series("t0", days.tz_localize(None), dtype=pl.Datetime("us"))
    events = pl.DataFrame([t0]).with_columns(session=pl.col("t0").dt.date(), t1=pl.col("t0") + pl.duration(days=14))
    assert block_length(events) == pytest.approx(15.0)


def test_uneven_sessions_are_counted_by_where_a_holding_time_ends():
    """Sessions 1, 2, 3 days and so on apart: each event spans as many as lie within 30 days of it."""
    gaps = np.tile([1, 1, 1, 8], 60)
    at = np.concatenate([[0], np.cumsum(gaps)])
    t0 = [dt.datetime(2020, 1, 1, 21, tzinfo=dt.UTC) + dt.timedelta(days=int(d)) for d in at]
    events = pl.DataFrame({"session": [t.date() for t in t0], "t0": t0, "t1": [t + dt.timedelta(days=22) for t in t0]})
    assert block_length(events) == pytest.approx(1.5 * 8.0), "two cycles of eleven days, four sessions each"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({"holding": 10}, 15.0, id="ten-sessions-held-daily"),
        pytest.param({"holding": 10, "holdings": IC_HOLDINGS}, 20.0, id="of-rank-ics"),
        pytest.param({"holding": 0}, 1.0, id="sold-at-once"),
    ],
)
def test_a_mean_block_is_never_below_one_row(given, expected):
    assert mean_block(**given) == expected


def test_rank_ics_are_resampled_in_blocks_of_two_holding_times():
    values = np.sin(np.arange(300.0))
    rule = {"alpha": 0.05, "draws": 200, "seed": 1}
    found = Blocks(mean_block(10), **rule).of_ic.mean(values)
    assert found == bootstrap_mean(values, block=20.0, **rule)
