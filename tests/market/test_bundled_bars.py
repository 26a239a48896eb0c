"""The bundled source with whole bars."""

import datetime as dt

import polars as pl
import pytest

from bq import market
from bq.core.settings import Market


@pytest.fixture(scope="module")
def data():
    return market.load(Market(source="bundled_bars"))


def of(data, symbol):
    return data.bars.filter(symbol=symbol).with_columns(level=pl.col("close") * pl.col("adj"))


def test_there_are_five_stocks_with_whole_bars_and_two_indices(data):
    stocks = data.bars.filter(~pl.col("symbol").is_in(["SPX", "IXIC"]))
    counts = dict(stocks["symbol"].value_counts().rows())
    assert counts == {"AAPL": 3270, "FB": 196, "GOOG": 2148, "IBM": 3270, "MSFT": 3270}
    assert stocks.select("open", "high", "low", "volume").null_count().row(0) == (0, 0, 0, 0)
    assert {"SPX", "IXIC"} < set(data.bars["symbol"])
    assert data.source == "real" and set(data.findings["action"]) == {"flagged"}


SPLITS = [  # of the companies' own investor pages: first session at the new price, new shares for one old
    ("AAPL", dt.date(2000, 6, 21), 2),
    ("AAPL", dt.date(2005, 2, 28), 2),
    ("MSFT", dt.date(2003, 2, 18), 2),
]


@pytest.mark.parametrize("symbol, day, factor", SPLITS, ids=lambda value: str(value))
def test_a_split_moves_the_quoted_price_and_not_the_level(data, symbol, day, factor):
    bars = of(data, symbol).with_columns(
        quoted_move=pl.col("close") / pl.col("close").shift(), move=pl.col("level") / pl.col("level").shift()
    )
    row = bars.row(by_predicate=pl.col("session") == day, named=True)
    assert row["quoted_move"] == pytest.approx(1 / factor, abs=0.06)
    assert row["move"] == pytest.approx(1.0, abs=0.12)
    assert row["move"] / row["quoted_move"] == pytest.approx(factor, rel=1e-3)


def test_there_is_no_other_split(data):
    stocks = data.bars.filter(~pl.col("symbol").is_in(["SPX", "IXIC"]))
    step = pl.col("adj") / pl.col("adj").shift().over("symbol")
    found = stocks.with_columns(step=step).filter((pl.col("step") - 1).abs() > 0.2)
    assert found.select("symbol", "session").rows() == [(symbol, day) for symbol, day, _ in sorted(SPLITS)]


def test_the_twenty_stocks_of_the_other_source_are_untouched(data):
    other = market.load(Market(symbols=["AAPL"])).bars
    assert not other["quoted"].any() and of(data, "AAPL")["quoted"].all()
    both = other.join(of(data, "AAPL"), on="session", suffix="_bar")
    theirs, ours = (both[name].log().diff().drop_nulls() for name in ("close", "level"))
    assert (theirs - ours).abs().quantile(0.99) < 0.005  # two vendors, one adjusted history
