"""Results over time: figures that quantstats 0.0.86 gives of one series, in an environment of its own."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bq.stats import performance

RETURNS = np.random.default_rng(20).normal(0.0015, 0.01, 500)
DAYS = [day.date() for day in pd.bdate_range("2019-03-04", periods=500)]
SERIES = pl.DataFrame({"session": DAYS, "value": RETURNS})
MONTHS_2020 = [
    *(-0.004416, 0.02997, -0.027735, -0.046909, 0.010800, 0.023416, 0.133465, 0.055305),
    *(-0.041522, 0.094727, 0.062071, 0.071970),
]  # quantstats.stats.monthly_returns
DRAWDOWNS = [  # quantstats.stats.drawdown_details: first day below, lowest, last day below, depth in %
    ("2019-03-11", "2020-05-20", "2020-07-28", -17.754373),
    ("2020-08-31", "2020-09-16", "2020-10-22", -8.116508),
    ("2021-01-14", "2021-01-29", None, -6.448487),  # not recovered, where quantstats gives the last day
    ("2020-08-14", "2020-08-24", "2020-08-27", -3.188724),
    ("2020-11-19", "2020-11-30", "2020-12-01", -1.910770),
]
UNDERWATER = {0: -0.002097, 1: 0.0, 50: -0.104544, 123: -0.070785, 250: -0.073977, 499: -0.064485}
SHARPE = {125: -0.395200, 126: -0.266380, 300: -0.063214, 499: 2.172074}  # of 126 days × √252


def test_months_and_years_compound_as_in_quantstats():
    table = performance.by_month(SERIES, compounded=True)
    row = table.filter(year=2020)
    np.testing.assert_allclose(row.select(performance.MONTHS).row(0), MONTHS_2020, atol=5.1e-7)
    np.testing.assert_allclose(table["whole"], [-0.051678, 0.404586, -0.027215], atol=5.1e-7)
    assert table.filter(year=2019)["Jan"].item() is None  # no session, where quantstats gives 0


def test_drawdowns_are_those_of_quantstats():
    found = performance.drawdowns(SERIES, compounded=True)
    days = [tuple(str(day) if day else None for day in row) for row in found.select("from", "lowest", "until").rows()]
    assert days == [case[:3] for case in DRAWDOWNS]
    np.testing.assert_allclose(100 * found["depth"], [case[3] for case in DRAWDOWNS], atol=5.1e-7)


def test_the_underwater_curve_and_the_rolling_sharpe_ratio_are_those_of_quantstats():
    below = performance.underwater(SERIES, compounded=True)["value"]
    np.testing.assert_allclose(below.gather(list(UNDERWATER)), list(UNDERWATER.values()), atol=5.1e-7)
    ratio = performance.rolling_sharpe(SERIES, window=126, periods_per_year=252)["value"]
    np.testing.assert_allclose(ratio.gather(list(SHARPE)), list(SHARPE.values()), atol=5.1e-7)
    assert ratio[124] is None and ratio.null_count() == 125


def test_what_adds_up_is_summed_and_falls_below_a_peak_that_starts_at_0():
    days = [dt.date(2020, 1, day) for day in (2, 3, 6, 7, 8)]
    sums = pl.DataFrame({"session": days, "value": [-1.0, 3.0, None, -2.0, 0.5]})
    assert performance.by_month(sums, compounded=False).select("Jan", "whole").row(0) == (0.5, 0.5)
    assert performance.underwater(sums, compounded=False)["value"].to_list() == [-1.0, 0.0, 0.0, -2.0, -1.5]
    rows = performance.drawdowns(sums, compounded=False).select("from", "until", "depth", "sessions").rows()
    assert rows == [(days[3], None, -2.0, 2), (days[0], days[0], -1.0, 1)]


def test_a_window_without_variance_has_no_ratio():
    flat = SERIES.with_columns(value=pl.lit(0.001))
    assert performance.rolling_sharpe(flat, window=20, periods_per_year=252)["value"].null_count() == 500
    assert performance.rolling_sharpe(SERIES.head(10), window=20, periods_per_year=252)["value"].null_count() == 10


@given(st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=60))
@pytest.mark.parametrize("compounded", [True, False])
def test_the_deepest_drawdown_is_the_lowest_point_of_the_underwater_curve(compounded, values):
    frame = pl.DataFrame({"session": DAYS[: len(values)], "value": values})
    below = performance.underwater(frame, compounded=compounded)["value"]
    found = performance.drawdowns(frame, compounded=compounded)
    assert below.max() <= 0
    assert (found["depth"][0] if len(found) else 0.0) == below.min()
