"""Every row of every file is accounted for once: outside the dates, not asked for, quarantined, a copy, or kept."""

import datetime as dt
import gzip
import os
import subprocess
import sys

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bq import market
from bq.core.errors import BadData, BadParameters
from bq.core.settings import Market
from bq.jobs import housekeeping, request
from bq.market import COUNTS

FATES = ("outside", "not_asked", "quarantined", "copies", "kept")


def read(**options):
    return market.read(Market(source="files", max_quarantine_share=1.0, **options))


def lines(data, *names):
    return data.counts.select("file", *names).rows()


def test_a_file_of_other_years_has_a_line_of_its_own(bars_folder):
    (bars_folder / "OLD.csv").write_text("symbol,date,close\nOLD,2004-01-02,1\nOLD,2004-01-05,1\n")
    (bars_folder / "NEW.csv").write_text("symbol,date,close\nNEW,2020-01-02,1\n")
    data = read(start=dt.date(2019, 1, 1))
    assert lines(data, "symbol", "read", "outside", "kept") == [
        ("NEW.csv", "NEW", 1, 0, 1),
        ("OLD.csv", "OLD", 2, 2, 0),
    ]


def test_a_file_about_a_symbol_not_asked_for_is_counted(bars_folder):
    (bars_folder / "A.csv").write_text("date,close\n2020-01-02,1\n")
    (bars_folder / "B.csv").write_text("date,close\n2020-01-02,1\n2020-01-03,1\n")
    (bars_folder / "all.csv").write_text("symbol,date,close\nC,2020-01-02,1\nA,2020-01-03,1\n")
    assert lines(read(symbols=["A"]), "symbol", "read", "not_asked", "kept") == [
        ("A.csv", "A", 1, 0, 1),
        ("B.csv", "B", 2, 2, 0),
        ("all.csv", "A", 1, 0, 1),
        ("all.csv", "C", 1, 1, 0),
    ]


def test_a_damaged_file_about_a_symbol_not_asked_for_is_counted_and_refuses_no_run(bars_folder):
    (bars_folder / "A.csv").write_text("date,close\n2020-01-02,1\n")
    (bars_folder / "B.csv").write_text("date,close\n2020-01-02,1,2,3\n")
    (bars_folder / "C.csv.gz").write_bytes(gzip.compress(b"date,close\n" + b"2020-01-02,1\n" * 99_999)[:-30])
    data = market.load(Market(source="files", symbols=["A"]))
    assert data.counts.filter(file="B.csv").select("read", "not_asked").rows() == [(1, 1)]
    said = data.findings.filter(file="C.csv.gz")
    assert said.select("action", "rule").rows() == [("flagged", "unreadable")] and "not asked" in said["detail"][0]


def test_where_all_rows_are_outside_the_dates_the_refusal_says_so(bars_folder):
    (bars_folder / "A.csv").write_text("date,close\n2004-01-02,1\n")
    with pytest.raises(BadData, match=r"1 of 1 rows lie outside market\.start and market\.end"):
        market.load(Market(source="files", start=dt.date(2019, 1, 1)))


def test_symbols_of_a_package_that_are_not_asked_for_are_counted_too():
    counts = market.read(Market(symbols=["SPX"], start=dt.date(2010, 1, 1))).counts
    assert counts["symbol"].n_unique() == 22 and counts.filter(symbol="SPX")["outside"].sum() > 4000
    assert (counts["read"] == counts.select(pl.sum_horizontal(FATES)).to_series()).all()


def test_history_before_the_sessions_of_a_calendar_is_outside_and_said_once(bars_folder):
    days = ["1962-01-02", "1962-01-03", "1984-12-31", "2020-01-02"]
    rows = [f"{symbol},{day},1" for symbol in "AB" for day in days]
    (bars_folder / "all.csv").write_text("\n".join(["symbol,date,close", *rows]))
    data = market.load(Market(source="files"))
    assert lines(data, "symbol", "read", "outside", "kept") == [("all.csv", "A", 4, 3, 1), ("all.csv", "B", 4, 3, 1)]
    (said,) = data.findings.filter(pl.col("rule") == "before_calendar")["detail"]
    assert "6 rows of 2 symbols lie before 1985-01-02" in said


cell = st.sampled_from(["1", "1.5", "-1", "", "1e300", "nan"])
day = st.sampled_from(["2020-01-02", "2020-01-03", "2020-01-04", "1962-01-02", "2021-06-01", ""])
row = st.tuples(st.sampled_from(["A", "B", "b", "^A", "000001", ""]), day, cell, cell)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.lists(st.lists(row, min_size=1, max_size=8), min_size=1, max_size=3),
    symbols=st.none() | st.lists(st.sampled_from(["A", "B", "000001"]), min_size=1, unique=True),
    start=st.none() | st.just(dt.date(2020, 1, 3)),
    end=st.none() | st.just(dt.date(2020, 12, 31)),
)
def test_every_row_of_every_file_is_accounted_for_once(bars_folder, files, symbols, start, end):
    for number in range(3):
        path = bars_folder / f"{number}.csv"
        path.unlink(missing_ok=True)
        if number < len(files):
            path.write_text(
                "\n".join(["symbol,date,close,volume", *(",".join(cells) for cells in files[number])]) + "\n"
            )
    try:
        data = read(symbols=symbols, start=start, end=end)
    except BadParameters:
        return  # a symbol asked for is in no file
    assert data.counts.schema == COUNTS
    for number, rows in enumerate(files):
        of_file = data.counts.filter(file=f"{number}.csv")
        assert of_file["read"].sum() == len(rows) == of_file.select(pl.sum_horizontal(FATES)).to_series().sum()
    assert data.counts["kept"].sum() == len(data.bars)


@pytest.mark.parametrize("folders", [("AAA", "BBB"), ("2019/AAA", "2020/BBB"), (".", "again")], ids=str)
def test_two_files_of_one_name_never_become_one_stock(bars_folder, folders):
    for folder, year in zip(folders, (2018, 2020), strict=True):
        (bars_folder / folder).mkdir(parents=True, exist_ok=True)
        (bars_folder / folder / "daily.csv").write_text(f"date,close\n{year}-01-03,1\n")
    with pytest.raises(BadData, match=r"a symbol from a file's name must be one file's alone, but 'daily' would be"):
        market.load(Market(source="files"))


def test_folders_that_are_dates_hold_one_symbol(bars_folder):
    for year in (2018, 2020):
        (bars_folder / str(year)).mkdir()
        (bars_folder / str(year) / "AAPL.csv").write_text(f"date,close\n{year}-01-03,1\n")
    data = market.load(Market(source="files"))
    assert data.bars["symbol"].to_list() == ["AAPL"] * 2
    said = data.findings.filter(pl.col("rule") == "symbol_from_name")["detail"].to_list()
    assert said == ["symbols taken from the names of files without a symbol column: 1 (AAPL from 2018/AAPL.csv)"]


@pytest.mark.parametrize("name", ["000001", "TRUE", "1E5", "BRK B", "NA", "007", "1.0"])
def test_a_symbol_of_a_file_means_what_it_says(bars_folder, name):
    (bars_folder / f"{name}.csv").write_text("date,close\n2020-01-02,1\n")
    (bars_folder / "all.csv").write_text(f"symbol,date,close\n{name},2020-01-03,1\n")
    pl.DataFrame({"symbol": [name], "date": [dt.date(2020, 1, 6)], "close": [1.0]}).write_parquet(
        bars_folder / "more.parquet"
    )
    assert market.load(Market(source="files", symbols=[name])).bars["symbol"].to_list() == [name] * 3


@pytest.mark.parametrize("column", ["Name", "act_symbol", "PERMNO", "tic", "Instrument"])
def test_columns_that_say_the_symbol_otherwise_are_known(bars_folder, column):
    (bars_folder / "prices.csv").write_text(f"{column},date,close\n10107,2020-01-02,1\n")
    assert market.load(Market(source="files")).bars["symbol"].to_list() == ["10107"]


def test_a_name_beside_a_symbol_is_ignored(bars_folder):
    (bars_folder / "prices.csv").write_text("symbol,name,date,close\nAAPL,Apple Inc.,2020-01-02,1\n")
    assert market.load(Market(source="files")).bars["symbol"].to_list() == ["AAPL"]


def test_numbers_that_missing_values_made_fractions_of_are_whole_symbols(bars_folder):
    frame = pl.DataFrame({"permno": [10107.0, None], "date": [dt.date(2020, 1, 2)] * 2, "close": [1.0, 2.0]})
    frame.write_parquet(bars_folder / "A.parquet")
    assert read().bars["symbol"].to_list() == ["10107"]


def test_symbols_that_differ_by_letter_case_alone_are_flagged(bars_folder):
    rows = "".join(f"{name},2020-01-02,1\n" for name in ("aapl", "AAPL", "SPX", "^SPX", "IBM"))
    (bars_folder / "all.csv").write_text("symbol,date,close\n" + rows)
    found = market.load(Market(source="files")).findings.filter(pl.col("rule") == "letter_case")
    assert found["symbol"].to_list() == ["AAPL", "SPX", "^SPX", "aapl"]


def test_a_terminal_that_is_not_utf_8_shows_what_it_can(bars_folder):
    (bars_folder / "all.csv").write_text("symbol,date,close\nНефть,2020-01-02,1\n", encoding="utf-8")
    asked = "market.source=files market.start=null market.end=null market.symbols=null"
    environment = os.environ | {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "SET": asked}
    done = subprocess.run([sys.executable, "-m", "bq", "check-data"], env=environment, capture_output=True, check=True)
    assert b"1 file, 1 rows read: 1 kept" in done.stdout and b"\\u041d" in done.stdout and not done.stderr


def test_check_data_fits_a_screen_however_many_files_there_are(bars_folder, monkeypatch, capsys):
    rows = "".join(f"S{number:04},2020-01-02,{-1 if number == 777 else 1}\n" for number in range(1500))
    (bars_folder / "all.csv").write_text("symbol,date,close\n" + rows)
    monkeypatch.setenv("SET", "market.source=files market.start=null market.end=null market.symbols=null")
    housekeeping.check_data(request.read())
    said = capsys.readouterr().out
    assert len(said.split("\n")) < 45 and "S0777" in said
    assert "1,500 rows read: 1 quarantined, 1,499 kept" in said and "… and 1,488 more lines" in said
    summary = pl.read_csv(bars_folder.parents[2] / "outputs/check_data/bars_summary.csv")
    assert len(summary) == 1500 and summary["read"].sum() == 1500


ODD_NAMES = ["BRK B", "000001", "TRUE", "1E5", "NULL", "NO", "0x1F"]


@pytest.mark.parametrize("home", ["column", "file name"])
def test_symbols_that_look_like_other_values_are_read_as_they_are_written(bars_folder, monkeypatch, home):
    for name in ODD_NAMES:
        rows = {"column": f"symbol,date,close\n{name},2020-01-02,1\n", "file name": "date,close\n2020-01-02,1\n"}
        (bars_folder / f"{name}.csv").write_text(rows[home])
    (bars_folder / "1.csv").write_text("symbol,date,close\n1,2020-01-02,9\n")
    monkeypatch.setenv("SYMBOLS", ",".join(ODD_NAMES))
    monkeypatch.setenv("SET", "market.source=files")
    assert sorted(market.load(request.read().settings.market).bars["symbol"]) == sorted(ODD_NAMES)


def test_symbols_with_blanks_between_them_are_answered_with_commas(bars_folder):
    (bars_folder / "a.csv").write_text("symbol,date,close\nAAPL,2020-01-02,1\nKO,2020-01-02,1\n")
    with pytest.raises(BadParameters, match="'AAPL KO' has none; commas stand between symbols: AAPL,KO"):
        read(symbols=["AAPL KO"])
