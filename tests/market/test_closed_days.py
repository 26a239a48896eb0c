import datetime as dt

import exchange_calendars
import pytest

from bq import market
from bq.core.errors import BadData
from bq.core.settings import Market


@pytest.fixture(autouse=True)
def few_calendars(monkeypatch):
    """To compute all seventy takes seconds."""
    names = ["24/7", "XLON", "XNYS", "XPAR", "XTKS"]
    monkeypatch.setattr(exchange_calendars, "get_calendar_names", lambda include_aliases: names)


def write(folder, calendar, *, without=(), symbols="ABC"):
    """Bars of three symbols on the sessions of a year of a calendar."""
    days = exchange_calendars.get_calendar(calendar, start="2019-01-02", end="2019-12-31").sessions.date
    rows = [f"{symbol},{day},{10 + i % 7}" for symbol in symbols for i, day in enumerate(days) if day not in without]
    (folder / "all.csv").write_text("\n".join(["symbol,date,close", *rows]))


def said(data):
    return data.findings.filter(rule="other_calendar")["detail"].to_list()


@pytest.mark.parametrize("calendar", ["XLON", "XTKS", "24/7"])
def test_the_calendar_whose_sessions_the_bars_have_is_proposed_once(bars_folder, calendar):
    write(bars_folder, calendar)
    data = market.read(Market(source="files", max_quarantine_share=1.0))
    (detail,) = said(data)
    assert f"set `market.calendar: {calendar}`" in detail and "closed days of XNYS most symbols have bars" in detail
    data = market.load(Market(source="files", calendar=calendar))
    assert said(data) == [] and data.counts["kept"].sum() == data.counts["read"].sum()


def test_a_run_that_is_refused_for_closed_days_says_which_calendar_has_them(bars_folder):
    write(bars_folder, "24/7")
    with pytest.raises(BadData, match=r"closed_session .* set `market.calendar: 24/7`. Else correct or remove them"):
        market.load(Market(source="files"))


def test_bars_of_the_calendar_say_nothing_and_one_symbol_s_slip_is_not_most(bars_folder):
    write(bars_folder, "XNYS")
    with (bars_folder / "all.csv").open("a") as file:
        file.write("\nA,2019-07-04,11\n")
    data = market.load(Market(source="files"))
    assert said(data) == [] and data.findings.filter(rule="closed_session")["session"].to_list() == [
        dt.date(2019, 7, 4)
    ]


def test_a_day_on_which_most_have_bars_is_said_although_no_calendar_is_better(bars_folder):
    write(bars_folder, "XNYS")
    with (bars_folder / "all.csv").open("a") as file:
        file.write("\nA,2019-07-04,11\nB,2019-07-04,12\n")
    (detail,) = said(market.load(Market(source="files")))
    assert detail == "On 1 closed day of XNYS most symbols have bars (2019-07-04)."
