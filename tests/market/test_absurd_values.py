"""Finite values that are no prices and no volumes are set aside; what real markets have done is kept."""

import datetime as dt

import polars as pl
import pytest

from bq import market
from bq.core.errors import BadData
from bq.core.settings import Market
from bq.market.bars import SCHEMA, rows
from bq.market.calendars import sessions
from bq.market.validation import validate

NOW = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
DAYS = sessions("XNYS").filter(pl.col("session") >= dt.date(2020, 1, 2))["session"].head(20).to_list()
GOOD = {"symbol": "A", "open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5, "volume": 5e6, "adj": 1.0, "iv": 0.2}


def checked(**change):
    """Twenty sessions, the eighth of them changed."""
    bars = [{**GOOD, "session": day, "quoted": True, **(change if i == 7 else {})} for i, day in enumerate(DAYS)]
    return validate(rows(pl.DataFrame(bars, schema_overrides=dict(SCHEMA)), file="f"), calendar="XNYS", now_utc=NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"volume": 1e25},
        {"volume": 1.7e308},
        {"volume": 6e12},
        {"high": 1e300},
        {"high": 1e6},
        {"open": 1.2e5, "high": 1.5e5},
        {"adj": 1e12},
        {"adj": 1e-12},
        {"open": None, "high": None, "low": None, "close": 1e15},
        {"open": None, "high": None, "low": None, "close": 1e-300},
        {"open": None, "high": None, "low": None, "close": 1050.0},
        {"open": None, "high": None, "low": None, "close": 0.105},
        {"adj": 100.0},
    ],
    ids=lambda change: ",".join(f"{name}={value}" for name, value in change.items() if value),
)
def test_an_absurd_value_is_set_aside_with_its_bound(change):
    result = checked(**change)
    gone = result.findings.filter(action="quarantined")
    assert gone.select("row", "rule").rows() == [(8, "absurd_value")] and len(result.bars) == 19
    assert "must be" in gone["detail"].item() and "but is" in gone["detail"].item()


@pytest.mark.parametrize(
    "change",
    [
        {"volume": 4e12},
        {"volume": 0.0},
        {"volume": None},
        {"high": 1e5},
        {"low": 0.0001},
        {"open": None, "high": None, "low": None, "close": 500.0},
        {"open": None, "high": None, "low": None, "close": 0.22},
        {"adj": 40.0},
    ],
    ids=lambda change: ",".join(f"{name}={value}" for name, value in change.items()),
)
def test_what_markets_have_printed_is_kept(change):
    """Orders at $100,000 and at a cent of 6 May 2010; prices adjusted for reverse splits, a billion times today's."""
    assert len(checked(**change).bars) == 20


@pytest.mark.parametrize("count", [1, 2, 3], ids=str)
def test_an_absurd_volume_of_a_short_history_is_no_measure_of_itself(count):
    bars = [
        {**GOOD, "session": day, "quoted": True, "volume": 1e25 if i == 0 else 5e6}
        for i, day in enumerate(DAYS[:count])
    ]
    frame = pl.DataFrame(bars, schema_overrides=dict(SCHEMA))
    result = validate(rows(frame, file="f"), calendar="XNYS", now_utc=NOW)
    assert result.findings.filter(action="quarantined")["row"].to_list() == [1]


def history(closes, **columns):
    days = sessions("XNYS").filter(pl.col("session") >= columns.pop("first", dt.date(2020, 1, 2)))["session"]
    frame = pl.DataFrame({"symbol": "A", "session": days.head(len(closes)), "close": closes, **columns})
    return validate(rows(frame, file="f"), calendar="XNYS", now_utc=NOW)


def flagged(result, rule):
    return result.findings.filter(pl.col("rule") == rule)["detail"].to_list()


@pytest.mark.parametrize(
    "off, said", [(0, False), (4, False), (5, True), (20, True)], ids=["none", "a-fifth", "more", "all"]
)
def test_closes_off_the_cent_grid_are_flagged_above_a_fifth(off, said):
    closes = [100 + i + (0.0375 if i < off else 0.04) for i in range(20)]
    found = flagged(history(closes), "adjusted_closes")
    assert bool(found) == said
    if said:
        assert f"{off * 5}% of closes are no whole cents" in found[0] and "`quoted`" in found[0]
    assert not flagged(history(closes, quoted=False), "adjusted_closes")


@pytest.mark.parametrize(
    "closes, first",
    [
        ([0.1234 + i / 1000 for i in range(20)], dt.date(2020, 1, 2)),
        ([float(pl.Series([185.64 + i], dtype=pl.Float32)[0]) for i in range(20)], dt.date(2020, 1, 2)),
        ([20 + i / 16 for i in range(20)], dt.date(1999, 1, 4)),
    ],
    ids=["penny-stocks", "single-precision", "sixteenths-before-2001"],
)
def test_prices_that_were_quoted_are_not_taken_for_adjusted(closes, first):
    assert not flagged(history(closes, first=first), "adjusted_closes")


def test_a_price_that_never_moves_is_said():
    assert flagged(history([10.0] * 20, volume=5.0), "constant") == ["the close is the same in all 20 sessions"]
    assert not flagged(history([10.0] * 19 + [10.5], volume=5.0), "constant")


def test_a_market_of_which_no_price_moves_is_refused(bars_folder):
    days = "".join(f"{symbol},{day},10\n" for symbol in "AB" for day in DAYS)
    (bars_folder / "all.csv").write_text("symbol,date,close\n" + days)
    with pytest.raises(BadData, match="prices must move, but the close of every symbol is the same"):
        market.load(Market(source="files"))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_without_rows_says_so(bars_folder, ending):
    frame = pl.DataFrame({"date": [], "close": []}, schema={"date": pl.Date, "close": pl.Float64})
    frame.write_csv(bars_folder / "A.csv") if ending == "csv" else frame.write_parquet(bars_folder / "A.parquet")
    with pytest.raises(BadData, match="a file must hold rows, but this one has none"):
        market.load(Market(source="files"))


def test_a_file_without_anything_says_so(bars_folder):
    (bars_folder / "A.csv").write_text("")
    with pytest.raises(BadData, match="a file must hold rows, but this one is empty"):
        market.load(Market(source="files"))


def test_lines_that_end_in_carriage_returns_alone_are_said(bars_folder):
    (bars_folder / "A.csv").write_text("date,close\r2020-01-02,1\r2020-01-03,1\r", newline="")
    with pytest.raises(BadData, match="lines must end as Unix or Windows ends them"):
        market.load(Market(source="files"))


def test_a_spike_goes_and_the_rest_is_as_without_it():
    closes = [50.0 + i for i in range(20)]
    whole, spiked = history(closes), history([*closes[:9], 5900.0, *closes[10:]])
    assert spiked.bars.equals(whole.bars.filter(pl.col("close") != 59.0))
    (said,) = spiked.findings.filter(action="quarantined")["detail"]
    assert (
        said == "close must be within 50 times those before and after it, but is 101.7 and 98.33 times them (with adj)"
    )


@pytest.mark.parametrize(
    ("closes", "adj"),
    [
        ([100.0] * 10 + [1.0] * 10, [0.01] * 10 + [1.0] * 10),
        ([1.0] * 10 + [100.0] * 10, [100.0] * 10 + [1.0] * 10),
        ([1.0] * 10 + [100.0] * 10, [1.0] * 20),
        ([50.0] * 19 + [5000.0], [1.0] * 20),
        ([5000.0] + [50.0] * 19, [1.0] * 20),
        ([5e8 / 2.5**i for i in range(20)], [1.0] * 20),
        ([10.0] * 9 + [490.0] + [10.0] * 10, [1.0] * 20),
    ],
    ids=["100:1", "1:100", "another-unit-from-then-on", "last", "first", "a-long-fall", "below-the-bound"],
)
def test_a_price_that_stays_or_has_one_neighbour_is_no_spike(closes, adj):
    assert len(history(closes, adj=adj).bars) == 20


def test_symbols_beside_one_another_are_no_neighbours():
    frame = pl.DataFrame({"symbol": ["A", "B", "C"], "session": DAYS[:3], "close": [1.0, 1000.0, 1.0]})
    assert len(validate(rows(frame, file="f"), calendar="XNYS", now_utc=NOW).bars) == 3
