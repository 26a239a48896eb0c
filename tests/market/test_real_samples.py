"""Real data with real faults, outside the project: see `samples` in conftest."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from bq import market
from bq.core.settings import Market
from bq.market import splits
from bq.market.check import summary

LEAN = ("lean_us_raw_unadjusted_daily_1998_2021.csv.gz", "lean_us_factor_files.csv.gz")
FILES = Market(source="files", max_quarantine_share=0.001)
APPLE_SPLITS = [dt.date(2000, 6, 21), dt.date(2005, 2, 28), dt.date(2014, 6, 9), dt.date(2020, 8, 31)]


@pytest.fixture
def dirty(bars_folder, samples):
    name = "us_equities_dirty_raw_2015_2020.csv.gz"
    (bars_folder / name).symlink_to(samples / name)
    return market.load(FILES)


def found(data, symbol, day):
    here = data.findings.filter((pl.col("symbol") == symbol) & (pl.col("session") == day))
    return sorted(here.select("action", "rule").rows())


def test_each_of_40_dirty_symbols_has_a_stated_reason(dirty):
    by_symbol = summary(dirty).drop_nulls("symbol")
    assert len(by_symbol) == 40
    assert by_symbol.filter(pl.col("reasons").list.len() == 0)["symbol"].to_list() == []


def test_rows_are_set_aside_in_six_symbols_and_the_other_34_are_flagged_and_whole(dirty):
    by_symbol = summary(dirty).drop_nulls("symbol")
    lost = by_symbol.filter(pl.col("kept") < pl.col("read"))
    assert lost["symbol"].to_list() == ["CBOE", "CBS", "DIS", "DXC", "STI", "VIAB"]
    assert (by_symbol["rejected"] + by_symbol["repaired"]).sum() == 0
    assert by_symbol.filter(pl.col("flagged") == 0)["symbol"].to_list() == ["CBOE", "DIS"]


def test_a_predecessors_penny_quotes_before_a_listing_are_flagged_as_jumps(dirty):
    """BHF began on 2017-07-17; what stands before it is another security at fractions of a cent."""
    brighthouse = dirty.findings.filter(pl.col("symbol") == "BHF", pl.col("rule").is_in(["jump", "split_like"]))
    assert len(brighthouse) > 10 and brighthouse["session"].max() <= dt.date(2017, 7, 17)


def test_every_finding_says_where_and_why(dirty):
    rows = dirty.findings.filter(pl.col("action") == "quarantined")
    assert rows.select("file", "row", "symbol", "session", "rule").null_count().sum_horizontal().item() == 0
    assert rows["detail"].str.contains(r"must .* but ").all()


def test_dirty_rows_are_all_accounted_for(dirty):
    quarantined = dirty.findings.filter(pl.col("action") == "quarantined")
    assert dirty.counts["read"].sum() == 35_880 == len(dirty.bars) + len(quarantined)


@pytest.mark.parametrize(
    "symbol, day, expected",
    [
        ("STI", dt.date(2019, 12, 6), [("quarantined", "conflicting_duplicate")] * 2),
        ("VIAB", dt.date(2019, 12, 4), [("quarantined", "conflicting_duplicate")] * 2),
        ("CBS", dt.date(2019, 12, 4), [("quarantined", "conflicting_duplicate"), ("quarantined", "not_positive")]),
        ("CBOE", dt.date(2020, 1, 10), [("quarantined", "outside_range")]),
        ("DIS", dt.date(2020, 1, 10), [("quarantined", "outside_range")]),
        ("DXC", dt.date(2018, 6, 1), [("quarantined", "outside_range")]),
        ("DHR", dt.date(2016, 7, 5), [("flagged", "jump")]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_known_fault_is_found_where_it_is(dirty, symbol, day, expected):
    assert found(dirty, symbol, day) == expected


@pytest.mark.parametrize("symbol", ["CA", "COL", "SCG"])
def test_prices_after_the_end_of_trading_are_flagged(dirty, symbol):
    assert {"ends_early", "stale", "jump"} & set(dirty.findings.filter(pl.col("symbol") == symbol)["rule"])


def test_297_clean_symbols_lose_no_row(bars_folder, samples):
    name = "us_equities_sp500_2015_2020.parquet"
    (bars_folder / name).symlink_to(samples / name)
    data = market.load(FILES)
    assert (len(data.bars), data.bars["symbol"].n_unique()) == (373_923, 297)
    assert data.findings.filter(pl.col("action") != "flagged").is_empty()
    assert len(data.sectors) == 287 and data.sectors["AAPL"] == "Information Technology"


@pytest.fixture
def apple(samples):
    """Prices as quoted, and the factor that makes them continuous."""
    raw, factors = (pl.read_csv(samples / name).filter(pl.col("symbol") == "AAPL") for name in LEAN)
    factors = factors.select(
        date=pl.col("date").cast(pl.String).str.to_date("%Y%m%d"), adj=pl.col("price_factor") * pl.col("split_factor")
    )
    raw = raw.with_columns(pl.col("date").str.to_date()).sort("date")
    return raw.join_asof(factors.sort("date"), on="date", strategy="forward").with_columns(pl.col("adj").fill_null(1.0))


@pytest.mark.parametrize("adjusted", [False, True], ids=["prices-alone", "with-factor"])
def test_splits_are_flagged_on_their_days_unless_the_factor_explains_them(bars_folder, apple, adjusted):
    (apple if adjusted else apple.drop("adj")).write_csv(bars_folder / "AAPL.csv")
    data = market.load(Market(source="files"))
    days = data.findings.filter(pl.col("rule").is_in(["split_like", "jump"]))["session"].to_list()
    assert [day for day in APPLE_SPLITS if day in days] == ([] if adjusted else APPLE_SPLITS)
    assert dt.date(2000, 9, 29) in days  # no split: the profit warning, −52%


def test_splits_of_seven_names_are_told_from_their_dividends(samples):
    """The source keeps two factors; of the eleven splits all but one of 5 for 4 are found in their product."""
    raw, factors = (pl.read_csv(samples / name) for name in LEAN)
    factors = factors.with_columns(date=pl.col("date").cast(pl.String).str.to_date("%Y%m%d")).sort("symbol", "date")
    days = raw.with_columns(pl.col("date").str.to_date()).sort("symbol", "date")
    both = days.join_asof(factors, on="date", by="symbol", strategy="forward", check_sortedness=False)
    factor, price = (pl.col(name).fill_null(1.0) for name in ("split_factor", "price_factor"))
    both = both.with_columns(adj=factor * price, true=factor / factor.shift().over("symbol"))
    rows, new = splits.found(both)
    found = np.ones(len(both))
    found[rows] = new
    steps = both.with_columns(found=pl.Series(found)).filter((pl.col("true") - 1).abs() > 0.01)
    missed = steps.filter((pl.col("found") / pl.col("true") - 1).abs() > 1e-4)
    assert len(steps) == 11 and missed.select("symbol", "date").rows() == [("AIG", dt.date(1999, 8, 2))]
    assert len(rows) == 10
