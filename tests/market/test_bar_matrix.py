"""Bars laid out on the sessions of a calendar, against the pivot of pandas."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from bq.market.bars import rows
from bq.market.calendars import sessions
from bq.market.matrix import BarMatrix, bar_matrix, days_between

FIRST, LAST = dt.date(2019, 11, 25), dt.date(2019, 12, 31)  # 25 sessions: Thanksgiving and Christmas are none


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    """Three symbols: one whole, one with closes only and days without a bar, one that is listed late."""
    random = np.random.default_rng(5)
    days = sessions("XNYS").filter(pl.col("session").is_between(FIRST, LAST))["session"]
    parts = []
    for symbol, held in {"A": slice(0, 25), "B": [0, 1, 5, 24], "C": slice(20, 25)}.items():
        mine = pl.Series("session", days.to_numpy()[held])
        values = 50.0 + random.standard_normal((5, len(mine)))
        names = ("close", "volume") if symbol == "B" else ("open", "high", "low", "close", "volume")
        columns = dict(zip(names, values, strict=False))
        adj = np.linspace(0.5, 1.0, len(mine))
        parts.append(pl.DataFrame({"session": mine, **columns, "adj": adj}).with_columns(symbol=pl.lit(symbol)))
    return rows(pl.concat(parts, how="diagonal"), file="test").sort("symbol", "session")


@pytest.fixture(scope="module")
def laid(bars) -> BarMatrix:
    return bar_matrix(bars, days_between(bars, sessions("XNYS")))


def test_the_days_are_every_session_from_the_first_bar_to_the_last(laid):
    assert len(laid.sessions) == 25
    assert laid.sessions[[0, 3, 4, -1]].tolist() == [FIRST, dt.date(2019, 11, 29), dt.date(2019, 12, 2), LAST]


@pytest.mark.parametrize("field", ["open", "high", "low", "close", "volume", "quoted", "turnover"])
def test_each_matrix_is_the_pivot_of_its_column(bars, laid, field):
    column = {"quoted": "close"}.get(field, field)
    frame = bars.to_pandas()
    if field in ("open", "high", "low", "close"):
        frame[column] = frame[column] * frame["adj"]
    frame["turnover"] = frame["close"] * frame["volume"] if field == "turnover" else np.nan
    wide = frame.pivot(index="symbol", columns="session", values=column)
    wide = wide.reindex(columns=wide.columns.union(laid.sessions))
    np.testing.assert_array_equal(getattr(laid, field), wide.to_numpy(float))
    assert getattr(laid, field).flags.c_contiguous
    assert laid.symbols == tuple(wide.index)


def test_a_symbol_without_a_bar_on_a_day_has_none_there(laid):
    assert laid.has_bar.sum(axis=1).tolist() == [25, 4, 5]
    assert np.isnan(laid.open[1]).all()


def test_no_bars_lie_on_no_symbols(bars):
    days = days_between(bars, sessions("XNYS"))
    assert bar_matrix(bars.clear(), days).close.shape == (0, 25)
