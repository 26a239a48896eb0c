import datetime as dt
import socket
import subprocess
import sys

import polars as pl
import pytest

from bq import market
from bq.core.errors import BadData
from bq.core.settings import Market
from bq.market.calendars import sessions
from bq.market.sources import bundled

STOCKS = [
    *("AAPL", "AMD", "BAC", "BBY", "CVX", "GE", "HD", "JNJ", "JPM", "KO"),
    *("LLY", "MRK", "MSFT", "PEP", "PFE", "PG", "RRC", "UNH", "WMT", "XOM"),
]


@pytest.fixture(scope="module")
def data():
    return market.load(Market())


def bar(data, symbol, day):
    return data.bars.row(by_predicate=(pl.col("symbol") == symbol) & (pl.col("session") == day), named=True)


def test_there_are_20_stocks_and_two_indices_and_no_vix(data):
    counts = dict(data.bars["symbol"].value_counts().rows())
    assert counts == {**dict.fromkeys(STOCKS, 8313), "SPX": 8313, "IXIC": 5031}
    assert data.source == "real"


def test_no_row_is_lost(data):
    assert set(data.findings["action"]) == {"flagged"}
    assert data.counts["read"].to_list() == data.counts["kept"].to_list()


@pytest.mark.parametrize(
    "symbol, first, last",
    [
        *((symbol, dt.date(1990, 1, 2), dt.date(2022, 12, 28)) for symbol in ("AAPL", "SPX")),
        ("IXIC", dt.date(1999, 1, 4), dt.date(2018, 12, 31)),
    ],
    ids=["stock", "SPX", "IXIC"],
)
def test_histories_have_every_session_of_new_york(data, symbol, first, last):
    expected = sessions("XNYS")["session"].filter(sessions("XNYS")["session"].is_between(first, last))
    assert data.bars.filter(pl.col("symbol") == symbol)["session"].to_list() == expected.to_list()


def test_known_bars(data):
    """Levels as published: Wikipedia's lists of closing milestones and the exchange's own records."""
    assert bar(data, "SPX", dt.date(2000, 3, 24))["close"] == pytest.approx(1527.46, abs=0.005)
    assert bar(data, "SPX", dt.date(2009, 3, 9))["close"] == pytest.approx(676.53, abs=0.005)
    assert bar(data, "IXIC", dt.date(2000, 3, 10))["close"] == pytest.approx(5048.62, abs=0.005)
    february_5_2018 = bar(data, "SPX", dt.date(2018, 2, 5))
    assert february_5_2018["iv"] == pytest.approx(0.3732)
    assert february_5_2018["low"] == pytest.approx(2638.17, abs=0.005)


def test_stocks_are_back_adjusted_closes_and_say_so(data):
    stocks = data.bars.filter(pl.col("symbol").is_in(STOCKS))
    assert not stocks["quoted"].any() and data.bars.filter(~pl.col("symbol").is_in(STOCKS))["quoted"].all()
    assert stocks.select("open", "high", "low", "volume", "iv").null_count().row(0) == (len(stocks),) * 5
    assert (data.bars["adj"] == 1).all()


def test_the_index_has_whole_bars_and_vix_where_its_second_source_has(data):
    index = data.bars.filter(pl.col("symbol") == "SPX")
    whole = index.drop_nulls(["open", "high", "low", "volume"])["session"]
    assert (whole.min(), whole.max(), len(whole)) == (dt.date(1999, 1, 4), dt.date(2018, 12, 31), 5031)
    with_iv = index.drop_nulls("iv")["session"]
    assert (with_iv.min(), with_iv.max(), len(with_iv)) == (dt.date(2014, 1, 3), dt.date(2019, 1, 3), 1259)


def test_prices_are_those_of_the_packages_own_loaders(data):
    from arch.data import nasdaq
    from skfolio.datasets import load_sp500_dataset, load_sp500_index

    stocks = load_sp500_dataset()
    for symbol in STOCKS:
        assert data.bars.filter(pl.col("symbol") == symbol)["close"].to_list() == stocks[symbol].tolist()
    assert data.bars.filter(pl.col("symbol") == "SPX")["close"].to_list() == load_sp500_index()["SP500"].tolist()
    ours = data.bars.filter(pl.col("symbol") == "IXIC")
    theirs = nasdaq.load()
    for column in ("open", "high", "low", "close", "volume"):
        assert ours[column].to_list() == theirs[column.title()].astype(float).tolist()


def test_a_bar_of_the_index_whose_sources_contradict_each_other_keeps_its_close_alone(monkeypatch):
    honest = bundled._table
    day = dt.date(2008, 10, 13)

    def altered(name):
        wrong = pl.when(pl.col("session") == day).then(1.001).otherwise(1.0)
        table = honest(name)
        return table.with_columns(pl.col("Close") * wrong) if name == "spx_bars" else table

    monkeypatch.setattr(bundled, "_table", altered)
    bars = market.load(Market(symbols=["SPX"], start=dt.date(2008, 10, 10), end=dt.date(2008, 10, 14))).bars
    assert bars["close"].to_list() == pytest.approx([899.22, 1003.35, 998.01], abs=0.005)
    assert [row.count(None) for row in bars.select("open", "high", "low", "volume").rows()] == [0, 4, 0]


def test_nothing_is_downloaded_and_nothing_written_to_the_users_home(data, monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise AssertionError("no connection may be opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert market.load(Market()).data_hash == data.data_hash
    assert list(tmp_path.iterdir()) == []


def test_importing_the_market_is_cheap():
    heavy = ("pandas", "skfolio", "arch", "exchange_calendars")
    code = f"import bq.market, sys; sys.exit(' '.join(name for name in {heavy} if name in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.stderr.strip() == ""


def test_a_package_without_its_data_says_what_to_do(monkeypatch):
    monkeypatch.setattr(bundled, "FILES", {**bundled.FILES, "stocks": ("skfolio", "datasets/data/gone.csv.gz", "%Y")})
    with pytest.raises(BadData, match=r"skfolio must hold datasets/data/gone\.csv\.gz.*requirements\.lock"):
        bundled.read(Market())
