import datetime as dt

import exchange_calendars
import polars as pl
import pytest

from bq import market
from bq.core.errors import BadData, BadParameters
from bq.core.settings import Market
from bq.market.check import summary


def test_symbols_and_dates_are_those_asked_for():
    wanted = Market(symbols=["SPX", "JPM"], start=dt.date(2001, 9, 10), end=dt.date(2001, 9, 18))
    bars = market.load(wanted).bars
    days = [dt.date(2001, 9, day) for day in (10, 17, 18)]
    assert bars.select("symbol", "session").rows() == [(symbol, day) for symbol in ("JPM", "SPX") for day in days]


def test_the_same_content_has_the_same_hash_whatever_the_order_asked_for():
    hashes = [market.load(Market(symbols=symbols)).data_hash for symbols in (["SPX", "KO"], ["KO", "SPX"], ["KO"])]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("source", ["bundled", "files"])
def test_an_unknown_symbol_is_refused_with_the_nearest_one(bars_folder, source):
    (bars_folder / "AAPL.csv").write_text("date,close\n2020-01-02,1\n")
    with pytest.raises(BadParameters, match=r"`market.symbols` \(SYMBOLS\) must .*'AAPl' .*; did you mean `AAPL`\?"):
        market.load(Market(source=source, symbols=["AAPl"]))


def test_a_symbol_without_bars_between_the_dates_is_refused():
    with pytest.raises(BadParameters, match="from 2019-01-02 to the newest, but 'IXIC' has none"):
        market.load(Market(symbols=["IXIC", "SPX"], start=dt.date(2019, 1, 2)))


def test_a_symbol_of_which_no_row_holds_is_refused(bars_folder):
    (bars_folder / "A.csv").write_text("date,close\n2020-01-02,1\n")
    (bars_folder / "B.csv").write_text("date,close\n2020-01-02,-1\n")
    with pytest.raises(BadData, match="there are no valid bars for B"):
        market.load(Market(source="files", symbols=["A", "B"], max_quarantine_share=0.5))


@pytest.mark.parametrize("share, fails", [(0.24, True), (0.25, False)], ids=["above", "at"])
def test_a_run_fails_above_the_share_of_quarantined_rows(bars_folder, share, fails):
    (bars_folder / "A.csv").write_text("date,close\n2020-01-02,1\n2020-01-03,-1\n2020-01-06,1\n2020-01-07,1\n")
    settings = Market(source="files", max_quarantine_share=share)
    if fails:
        with pytest.raises(BadData, match=r"1 of 4.*not_positive 1.*worst symbols: A 1"):
            market.load(settings)
    else:
        assert len(market.load(settings).bars) == 3


def test_another_exchanges_calendar_does_not_pass_unnoticed(monkeypatch):
    monkeypatch.setattr(exchange_calendars, "get_calendar_names", lambda include_aliases: ["XNYS", "XTKS"])
    with pytest.raises(BadData, match=r"closed_session.*set `market.calendar: XNYS`"):
        market.load(Market(symbols=["SPX"], calendar="XTKS"))


def test_many_rejected_files_are_listed_and_counted(bars_folder):
    for number in range(12):
        (bars_folder / f"{number:02}.csv").write_text("date,close\n")
    with pytest.raises(BadData) as error:
        market.load(Market(source="files"))
    assert str(error.value).count("must hold rows") == 10 and "and 2 more" in str(error.value)


@pytest.fixture
def checked(bars_folder):
    (bars_folder / "A.csv").write_text("date,close\n2020-01-03,1\n2020-01-02,1\n2020-01-03,1\n2020-01-06,-1\n")
    (bars_folder / "B.csv").write_text("date,close\n2020-01-02,abc\n")
    (bars_folder / "all.csv").write_text("symbol,date,close\nC,2020-01-02,1\nC,2020-01-03,1.7\nD,2020-01-02,1\n")
    return summary(market.read(Market(source="files", max_quarantine_share=1.0))).filter(pl.col("file") != "all files")


def test_the_summary_has_one_row_for_each_symbol_of_each_file(checked):
    numbers = ("read", "kept", "rejected", "quarantined", "repaired")
    assert checked.select("file", "symbol", *numbers).rows() == [
        ("A.csv", "A", 4, 2, 0, 1, 2),
        ("B.csv", None, 0, 0, 1, 0, 0),
        ("all.csv", "C", 2, 2, 0, 0, 0),
        ("all.csv", "D", 1, 1, 0, 0, 0),
    ]
    assert checked["first"].to_list() == [dt.date(2020, 1, 2), None, dt.date(2020, 1, 2), dt.date(2020, 1, 2)]


def test_the_summary_gives_each_reason_with_its_first_case(checked):
    reasons = dict(checked.select("file", pl.col("reasons").list.join("; ")).filter(pl.col("file") != "all.csv").rows())
    assert "not_positive ×1 (row 4, 2020-01-06: close must be > 0, but is -1.0)" in reasons["A.csv"]
    assert "exact_duplicate ×1 (row 3, 2020-01-03: " in reasons["A.csv"]
    assert reasons["B.csv"] == "wrong_dtype ×1 (row 1: close must be a plain number (1234.5), but reads 'abc'.)"
    assert "jump ×1 (row 2, 2020-01-03: close 1.7 after 1.0" in checked["reasons"][2][0]


def test_sectors_are_those_of_the_newest_rows_that_name_one_and_no_column_of_the_bars(bars_folder):
    (bars_folder / "two.csv").write_text(
        "Ticker,Date,Close,Sector\nA,2020-01-03,1,Energy\nA,2020-01-02,1,Oil\nA,2020-01-06,1,\nB,2020-01-02,2,n/a\n"
    )
    (bars_folder / "C.csv").write_text("date,close\n2020-01-02,1\n")
    data = market.load(Market(source="files"))
    assert data.sectors == {"A": "Energy"}
    assert "sector" not in data.bars.columns and data.findings.filter(pl.col("rule") == "extra_columns").is_empty()


def test_another_sector_is_other_data_of_that_symbol_alone(bars_folder):
    found = []
    for sector in ("Energy", "Materials"):
        (bars_folder / "A.csv").write_text(f"date,close,sector\n2020-01-02,1,{sector}\n")
        (bars_folder / "B.csv").write_text("date,close,sector\n2020-01-02,1,Energy\n")
        found.append(market.load(Market(source="files")))
    (one, other), day = found, dt.date(2020, 1, 2)
    assert one.data_hash != other.data_hash
    assert one.content("A", day) != other.content("A", day) and one.content("B", day) == other.content("B", day)
