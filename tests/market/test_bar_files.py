import datetime as dt
import gzip
import itertools
import os

import polars as pl
import pytest

from bq import market
from bq.core.errors import BadData
from bq.core.settings import Market
from bq.market.bars import SCHEMA

FILES = Market(source="files")
PLAIN = """\
date,open,high,low,close,adj_close,volume
2020-01-02,10,11.5,9.5,10.5,5.25,100
2020-01-03,10.5,12,10,11,5.5,200
"""


def read(**options):
    return market.read(Market(source="files", **options))


def refusals(data):
    return data.findings.filter(pl.col("action") == "rejected").select("file", "rule").rows()


@pytest.fixture
def plain(bars_folder):
    """What PLAIN gives, by construction and not by reading it."""
    return pl.DataFrame(
        {
            "symbol": ["AAPL", "AAPL"],
            "session": [dt.date(2020, 1, 2), dt.date(2020, 1, 3)],
            "open": [10.0, 10.5],
            "high": [11.5, 12.0],
            "low": [9.5, 10.0],
            "close": [10.5, 11.0],
            "volume": [100.0, 200.0],
            "adj": [0.5, 0.5],
            "iv": [None, None],
            "quoted": [True, True],
        },
        schema=SCHEMA,
    )


DIALECTS = {
    "plain": PLAIN,
    "byte-order-mark": "\ufeff" + PLAIN,
    "carriage-returns": PLAIN.replace("\n", "\r\n"),
    "tabs": PLAIN.replace(",", "\t"),
    "yahoo-header": PLAIN.replace("date,open", "Date,Open").replace("adj_close,volume", "Adj Close,Volume"),
    "shouting": PLAIN.upper().replace("ADJ_CLOSE", "ADJCLOSE"),
    "timestamps": PLAIN.replace("-02,", "-02T16:00:00-05:00,").replace("-03,", "-03T16:00:00-05:00,"),
    "factor": PLAIN.replace("adj_close", "adj").replace("5.25", "0.5").replace("5.5,2", "0.5,2"),
    "quoted-cells": '"' + PLAIN.replace(",", '","').replace("\n", '"\n"').removesuffix('"'),
    "blanks": PLAIN.replace(",", " , "),
    "decimal-comma": PLAIN.replace(",", ";").replace(".", ","),
    "german": PLAIN.replace(",", ";")
    .replace(".", ",")
    .replace("2020-01-02", "02.01.2020")
    .replace("2020-01-03", "03.01.2020"),
    "symbol-column": PLAIN.replace("date", "Ticker,date").replace("2020-", "AAPL,2020-"),
    "one-line-more": PLAIN + "\n",
}


@pytest.mark.parametrize("text", DIALECTS.values(), ids=DIALECTS.keys())
def test_a_dialect_of_csv_gives_the_same_bars(bars_folder, plain, text):
    (bars_folder / "AAPL.csv").write_text(text, newline="")
    assert read(max_quarantine_share=0.5).bars.equals(plain)


@pytest.mark.parametrize(
    "dtypes",
    [
        {},
        {"date": pl.Date},
        {"date": pl.Datetime("ns")},
        {"volume": pl.Int64},
        {"close": pl.Decimal(10, 2)},
        {"open": pl.Float64},
    ],
    ids=str,
)
def test_parquet_gives_the_same_bars_whatever_the_types(bars_folder, plain, dtypes):
    text = pl.read_csv(PLAIN.encode(), infer_schema=False).with_columns(pl.col("date").str.to_date())
    text.cast(dtypes).write_parquet(bars_folder / "AAPL.parquet")
    assert read().bars.equals(plain)


def test_compressed_files_in_folders_are_read(bars_folder, plain):
    (bars_folder / "us").mkdir()
    (bars_folder / "us" / "AAPL.CSV.GZ").write_bytes(gzip.compress(PLAIN.encode()))
    data = read()
    assert data.bars.equals(plain)
    assert data.counts["file"].to_list() == ["us/AAPL.CSV.GZ"]


def test_bars_written_as_parquet_come_back_as_they_were(bars_folder):
    bars = market.load(Market(symbols=["SPX", "JPM"], start=dt.date(2013, 6, 1))).bars
    bars.write_parquet(bars_folder / "bars.parquet")
    assert market.load(FILES).bars.equals(bars)


def test_closes_alone_are_enough_and_nothing_is_invented(bars_folder):
    (bars_folder / "BRK.B.csv").write_text("Date,Close\n2020-01-02,300\n2020-01-03,301\n")
    bars = read().bars
    assert bars["symbol"].to_list() == ["BRK.B"] * 2
    assert bars["adj"].to_list() == [1.0, 1.0]
    assert bars.select("open", "high", "low", "volume", "iv").null_count().row(0) == (2,) * 5


def test_empty_cells_stay_empty_and_a_row_without_close_is_set_aside(bars_folder):
    rows = ["2020-01-02,1,", "2020-01-03,NA,5", "2020-01-06,null,-", "2020-01-07,1,N/A"]
    (bars_folder / "A.csv").write_text("date,close,volume\n" + "\n".join(rows))
    data = read(max_quarantine_share=0.5)
    assert data.bars.select("session", "volume").rows() == [(dt.date(2020, 1, 2), None), (dt.date(2020, 1, 7), None)]
    assert data.findings.filter(pl.col("rule") == "missing")["row"].to_list() == [2, 3]


@pytest.mark.parametrize("name", ["<script>", "A[1]", "*", "naïve", "a b"])
def test_a_file_name_is_a_symbol_whatever_it_says(bars_folder, name):
    (bars_folder / f"{name}.csv").write_text(PLAIN)
    pl.read_csv(PLAIN.encode()).write_parquet(bars_folder / f"{name}2.parquet")
    assert sorted(set(market.load(FILES).bars["symbol"])) == sorted([name, f"{name}2"])


def test_a_symbol_is_text_whatever_it_says(bars_folder):
    names = ["<script>alert(1)</script>", "NA", "null", "7203", "=1+1"]
    rows = [f"{name},2020-01-02,1" for name in names]
    (bars_folder / "all.csv").write_text("symbol,date,close\n" + "\n".join(rows))
    assert read().bars["symbol"].to_list() == sorted(names)


def test_back_adjusted_closes_can_be_declared(bars_folder):
    (bars_folder / "A.csv").write_text("date,close,quoted\n2020-01-02,1,false\n2020-01-03,1,0\n2020-01-06,1,TRUE\n")
    assert read().bars["quoted"].to_list() == [False, False, True]


UNFIT = {
    "no-bytes": ("empty", b""),
    "no-rows": ("empty", b"date,close\n"),
    "no-close": ("missing_column", b"date,price\n2020-01-02,1\n"),
    "no-date": ("missing_column", b"close,volume\n1,1\n"),
    "two-dates": ("two_columns", b"date,timestamp,close\n2020-01-02,2020-01-02,1\n"),
    "two-closes": ("two_columns", b"date,close,close\n2020-01-02,1,1\n"),
    "text-in-numbers": ("wrong_dtype", b"date,close\n2020-01-02,1\n2020-01-03,abc\n"),
    "thousands": ("wrong_dtype", b'date,close\n2020-01-02,"1,234.5"\n'),
    "comma-in-comma-file": ("wrong_dtype", b'date,close\n2020-01-02,"1,5"\n'),
    "text-in-dates": ("wrong_dtype", b"date,close\n2020-01-02,1\nyesterday,1\n"),
    "text-in-quoted": ("wrong_dtype", b"date,close,quoted\n2020-01-02,1,perhaps\n"),
    "mixed-decimals": ("mixed_decimals", b"date;close;volume\n2020-01-02;1,5;1.000\n"),
    "naive-times": ("naive_time", b"date,close\n2020-01-02 16:00,1\n"),
    "mixed-zones": ("mixed_time_zones", b"date,close\n2020-01-02T16:00-05:00,1\n2020-01-03T16:00+09:00,1\n"),
    "future": ("future_session", b"date,close\n2020-01-02,1\n2999-01-04,1\n"),
    "more-cells-than-columns": ("unreadable", b"date,close\n2020-01-02,1,2,3\n"),
    "open-quote": ("unreadable", b'date,close\n"2020-01-02,1\n2020-01-03,1\n'),
    "latin-1": ("unreadable", "date,symbol,close\n2020-01-02,Nestlé,1\n".encode("latin-1")),
    "utf-16": ("unreadable", PLAIN.encode("utf-16")),
}


@pytest.mark.parametrize("rule, content", UNFIT.values(), ids=UNFIT.keys())
def test_an_unfit_file_is_rejected_as_a_whole(bars_folder, rule, content):
    (bars_folder / "bad.csv").write_bytes(content)
    (bars_folder / "good.csv").write_text(PLAIN)
    data = read()
    assert refusals(data) == [("bad.csv", rule)]
    assert set(data.bars["symbol"]) == {"good"}
    with pytest.raises(BadData, match=r"^bad\.csv: .*(must|may)"):
        market.load(FILES)


@pytest.mark.parametrize(
    "name, content",
    [
        ("A.csv.gz", gzip.compress(PLAIN.encode() * 999)[:300]),
        ("A.csv.gz", gzip.compress(PLAIN.encode())[:12]),
        ("A.csv.gz", gzip.compress(PLAIN.encode())[:30] + b"damage" * 9),
        ("A.csv.gz", b"not gzip"),
        ("A.parquet", b""),
        ("A.parquet", b"PAR1 but no more"),
    ],
    ids=["cut-gzip", "gzip-header-alone", "damaged-gzip", "no-gzip", "no-bytes", "cut-parquet"],
)
def test_a_damaged_file_is_rejected_without_naming_a_folder_of_the_machine(bars_folder, name, content):
    (bars_folder / name).write_bytes(content)
    data = read()
    assert refusals(data) == [(name, "unreadable")]
    assert str(bars_folder) not in data.findings["detail"].item()


def test_a_refusal_names_the_row_and_what_it_reads(bars_folder):
    (bars_folder / "A.csv").write_text("date,close\n2020-01-02,1\n2020-01-03,1O\n")
    with pytest.raises(BadData, match=r"A\.csv: row 2: close must be a plain number.*'1O'"):
        market.load(FILES)
    (bars_folder / "A.csv").write_text("date,close\n2020-01-02,1\n2020-01-03,1\n2020-13-03,1\n")
    with pytest.raises(BadData, match=r"A\.csv: row 3: session must hold dates.*'2020-13-03'"):
        market.load(FILES)


@pytest.mark.parametrize("column", ["close", "volume", "adj_close"])
@pytest.mark.parametrize(
    "values", [[True, False], [[1.0], [2.0]], [dt.date(2020, 1, 2)] * 2], ids=["bool", "list", "date"]
)
def test_parquet_columns_of_another_type_are_rejected(bars_folder, column, values):
    frame = pl.DataFrame({"date": [dt.date(2020, 1, 2), dt.date(2020, 1, 3)], "close": [1.0, 1.0]})
    frame.with_columns(pl.Series(column, values)).write_parquet(bars_folder / "A.parquet")
    assert refusals(read()) == [("A.parquet", "wrong_dtype")]


@pytest.mark.parametrize("keep", [0.3, 0.5, 0.9], ids=str)
def test_a_file_cut_short_never_passes_silently_as_whole_rows(bars_folder, keep):
    whole = PLAIN + "".join(f"2020-01-{day:02},10,11.5,9.5,10.25,5.125,100\n" for day in (6, 7, 8, 9, 10))
    cut = whole[: int(len(whole) * keep)]
    assert not cut.endswith("\n")
    (bars_folder / "A.csv").write_text(cut)
    data = read(max_quarantine_share=1.0)
    complete = cut.count("\n") - 1
    assert len(data.bars) in (0, complete) or data.bars["volume"].null_count()


def test_a_half_empty_file_fails_the_run_with_its_counts(bars_folder):
    (bars_folder / "A.csv").write_text(PLAIN + "2020-01-06,,,,,,\n2020-01-07,,,,,,\n")
    with pytest.raises(BadData, match=r"at most 2\.0%.*2 of 4.*50\.0%.*missing 2.*worst symbols: A 2"):
        market.load(FILES)


def test_the_same_bars_in_two_files_are_used_once_and_contradictions_not_at_all(bars_folder):
    named = PLAIN.replace("date", "symbol,date").replace("2020-", "AAPL,2020-")
    (bars_folder / "AAPL.csv").write_text(named)
    (bars_folder / "again").mkdir()
    (bars_folder / "again" / "AAPL.csv").write_text(named.replace(",200", ",201"))
    data = read(max_quarantine_share=1.0)
    assert data.bars["session"].to_list() == [dt.date(2020, 1, 2)]
    conflicts = data.findings.filter(pl.col("rule") == "conflicting_duplicate")
    assert sorted(conflicts.select("file", "row").rows()) == [("AAPL.csv", 2), ("again/AAPL.csv", 2)]


def test_columns_that_mean_nothing_here_are_ignored_and_named(bars_folder):
    (bars_folder / "A.csv").write_text("date,close,row,file,Dividends\n2020-01-02,1,9,x,0\n")
    data = read()
    assert len(data.bars) == 1
    assert data.findings.filter(pl.col("rule") == "extra_columns")["detail"].to_list() == [
        "ignored: row, file, Dividends"
    ]


def test_a_factor_is_used_before_an_adjusted_close_which_is_then_ignored(bars_folder):
    (bars_folder / "A.csv").write_text("date,close,adj_close,adj\n2020-01-02,1,9,0.5\n")
    data = read()
    assert data.bars["adj"].to_list() == [0.5]
    assert data.findings.filter(pl.col("rule") == "extra_columns")["detail"].to_list() == ["ignored: adj_close"]


def test_files_that_are_no_bars_are_named_and_hidden_ones_are_not(bars_folder):
    for name in ("AAPL.csv", "notes.xlsx", ".hidden.csv", "README.md"):
        (bars_folder / name).write_text(PLAIN)
    assert read().findings.filter(pl.col("rule") == "not_read")["file"].to_list() == ["notes.xlsx"]


def test_a_file_about_a_symbol_not_asked_for_is_not_looked_into(bars_folder):
    (bars_folder / "AAPL.csv").write_text(PLAIN)
    (bars_folder / "BAD.csv").write_text("date,close\n2020-01-02,abc\n")
    assert set(market.load(Market(source="files", symbols=["AAPL"])).bars["symbol"]) == {"AAPL"}


def test_an_empty_folder_says_what_to_do(bars_folder):
    with pytest.raises(BadData, match=r"data/raw/bars/.*README"):
        market.load(FILES)


def test_an_intraday_file_is_refused_rather_than_thinned(bars_folder):
    hours = itertools.product((2, 3), (15, 16))
    rows = "".join(f"2020-01-0{day}T{hour}:00:00-05:00,{hour}\n" for day, hour in hours)
    (bars_folder / "A.csv").write_text("timestamp,close\n" + rows)
    with pytest.raises(BadData, match="conflicting_duplicate 4"):
        market.load(FILES)


@pytest.fixture
def elsewhere(bars_folder, tmp_path):
    """A folder outside the home's own, with a file of bars in a folder of it."""
    folder = tmp_path / "elsewhere"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "EXT.csv").write_text(PLAIN)
    return folder


def test_linked_files_and_folders_are_read_under_their_names_here(bars_folder, elsewhere):
    (bars_folder / "vendor").symlink_to(elsewhere)
    (bars_folder / "MSFT.csv").symlink_to(elsewhere / "deep" / "EXT.csv")
    counts = read().counts
    assert counts.select("file", "symbol", "kept").rows() == [
        ("MSFT.csv", "MSFT", 2),
        ("vendor/deep/EXT.csv", "EXT", 2),
    ]


@pytest.mark.parametrize("name", ["MSFT.csv", "vendor"])
@pytest.mark.parametrize("target", ["nowhere", "."], ids=["nowhere", "to itself"])
def test_a_link_that_leads_nowhere_is_rejected(bars_folder, name, target):
    (bars_folder / "AAPL.csv").write_text(PLAIN)
    (bars_folder / name).symlink_to(name if target == "." else bars_folder.parent / target)
    assert refusals(read()) == [(name, "unreadable")]
    with pytest.raises(BadData, match=rf"{name}: a link must lead to a file or folder, but leads to"):
        market.load(FILES)


def test_a_folder_linked_into_itself_is_read_once_and_the_link_is_said(bars_folder, elsewhere):
    (bars_folder / "vendor").symlink_to(elsewhere)
    (elsewhere / "deep" / "again").symlink_to(elsewhere)
    (bars_folder / "loop").symlink_to(bars_folder)
    data = read()
    assert data.counts["file"].to_list() == ["vendor/deep/EXT.csv"]
    said = data.findings.filter(pl.col("rule") == "not_read").select("file", "action").rows()
    assert said == [("loop", "flagged"), ("vendor/deep/again", "flagged")]


def test_what_is_no_file_is_said_and_never_opened(bars_folder):
    (bars_folder / "AAPL.csv").write_text(PLAIN)
    os.mkfifo(bars_folder / "pipe.csv")  # to open it would wait for a writer
    assert read().findings.filter(pl.col("rule") == "not_read")["file"].to_list() == ["pipe.csv"]


def test_a_name_that_is_no_text_is_rejected_under_what_can_be_said_of_it(bars_folder):
    try:
        (bars_folder / os.fsdecode(b"A\xff.csv")).write_text(PLAIN)
    except OSError:
        pytest.skip("this file system takes no such names")
    assert refusals(read()) == [("A�.csv", "unreadable")]
