"""What a run's record and its report say about the data."""

import datetime as dt
import json

import polars as pl
import pytest

from bq import market
from bq.core.settings import Market
from bq.market.check import LINES, table
from bq.workbench import report
from tests.stored import run_record

SCRIPT = "<script>alert(1)<|script>"  # a slash cannot be in a file's name
TAGGED = "<script>alert(1)</script>"
QUOTES = "underlying,session,expiry,right,strike,bid,ask,spot\n"


@pytest.fixture
def data(bars_folder):
    """One file that is good but for its order, one that is unfit, one with every kind of bad row."""
    (bars_folder / "A.csv").write_text("date,close\n2020-01-03,1\n2020-01-02,1\n")
    (bars_folder / f"{SCRIPT}.csv").write_text("date,close\n2020-01-02,abc\n")
    bad = "".join(f"{TAGGED},2020-01-{day:02},-1\n" for day in (2, 3, 6, 7))
    (bars_folder / "all.csv").write_text(f"symbol,date,close\n{bad}{TAGGED},2020-01-08,1\n{TAGGED},2020-01-04,1\n")
    return market.read(Market(source="files", max_quarantine_share=1.0))


def test_the_gravest_and_most_frequent_come_first_with_where_the_first_cases_are(data):
    found = table(data)
    assert (found["read"], found["kept"], found["more"]) == (8, 3, 0)
    lines = [(line["action"], line["symbol"], line["rule"], line["times"]) for line in found["lines"]]
    assert lines[:3] == [
        ("rejected", None, "wrong_dtype", 1),
        ("quarantined", TAGGED, "not_positive", 4),
        ("quarantined", TAGGED, "closed_session", 1),
    ]
    assert lines[3:5] == [("repaired", name, "unsorted", 1) for name in (TAGGED, "A")]
    assert found["lines"][1]["cases"] == [
        f"all.csv, row {row}, 2020-01-{day:02}: close must be > 0, but is -1.0" for row, day in ((1, 2), (2, 3), (3, 6))
    ]
    assert found["lines"][0]["cases"] == [
        f"{SCRIPT}.csv: row 1: close must be a plain number (1234.5), but reads 'abc'."
    ]


def test_the_table_is_plain_json_and_of_bounded_length(bars_folder):
    rows = "".join(f"S{number},2020-01-02,-1\n" for number in range(LINES + 7))
    (bars_folder / "all.csv").write_text(f"symbol,date,close\nA,2020-01-02,1\n{rows}")
    found = table(market.read(Market(source="files", max_quarantine_share=1.0)))
    counted = LINES + 8  # one of each, and that A's history is short
    assert (len(found["lines"]), found["more"]) == (LINES, counted - LINES)
    assert json.loads(json.dumps(found)) == found


def test_what_was_found_about_quotes_is_in_the_table_and_refuses_a_run(bars_folder):
    (bars_folder / "A.csv").write_text("date,close\n2020-01-02,100\n")
    folder = bars_folder.parent / "chains"
    folder.mkdir()
    (folder / "A.csv").write_text(QUOTES + "A,2020-01-02,2020-02-21,call,100,3,2,100\n")
    settings = Market(source="files", chains=True)
    data = market.read(settings)
    assert {"crossed", "quarantine_share"} <= {line["rule"] for line in table(data)["lines"]}
    assert "at most 5.0% of the rows with a bid and an ask" in market.refusals(data, settings)


def test_the_report_shows_the_table_and_a_symbol_that_is_code_stays_text(data, tmp_path):
    run = run_record(status="failed", findings=table(data))
    report.render([], tmp_path / "report.html", run=run, verdict=None)
    page = (tmp_path / "report.html").read_text()
    assert "8 rows read, 3 kept" in page and "all.csv, row 1, 2020-01-02: close must be" in page
    assert "<script>alert" not in page and page.count("&lt;script&gt;alert(1)") >= 4


def test_good_data_gives_no_table(tmp_path):
    clean = {"read": 10, "kept": 10, "lines": [], "more": 0}
    report.render([], tmp_path / "report.html", run=run_record(findings=clean), verdict=None)
    assert "rows read" not in (tmp_path / "report.html").read_text()


def test_a_symbol_that_is_code_goes_through_check_and_bars_as_text(bars_folder):
    days = [dt.date(2020, 1, 2) + dt.timedelta(days=day) for day in (0, 1, 4)]
    rows = "".join(f"{TAGGED},{day},1\n" for day in days)
    (bars_folder / "all.csv").write_text("symbol,date,close\n" + rows)
    data = market.load(Market(source="files", symbols=[TAGGED]))
    assert data.bars["session"].to_list() == days
    assert data.counts.filter(pl.col("symbol") == TAGGED)["kept"].to_list() == [3]
