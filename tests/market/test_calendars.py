import datetime as dt
import subprocess
import sys

import polars as pl
import pytest

from bq.core.errors import BadParameters
from bq.market import calendars
from bq.market.calendars import periods_per_year, sessions, time_zone


def days(calendar):
    return set(sessions(calendar)["session"])


@pytest.mark.parametrize(
    "year, count", [(1996, 254), (2001, 248), (2012, 250), (2019, 252), (2020, 253)], ids=lambda value: str(value)
)
def test_new_york_has_the_number_of_sessions_the_exchange_reports(year, count):
    assert len(sessions("XNYS").filter(pl.col("session").dt.year() == year)) == count


@pytest.mark.parametrize(
    ("calendar", "periods"),
    # an ordinary year has 365 days, 261 of them weekdays, of which New York keeps 9 or 10 as holidays
    [("24/7", 365), ("24/5", 261), ("XNYS", 252)],
    ids=["every-day", "every-weekday", "new-york"],
)
def test_figures_a_session_are_annualised_by_the_sessions_of_the_calendar(calendar, periods):
    assert periods_per_year(calendar) == periods


@pytest.mark.parametrize(
    "day",
    [dt.date(2001, 9, 11), dt.date(2001, 9, 14), dt.date(2012, 10, 29), dt.date(2018, 12, 5), dt.date(2021, 7, 5)],
    ids=str,
)
def test_new_york_was_closed(day):
    assert day not in days("XNYS")


@pytest.mark.parametrize(
    "day, close_utc",
    [
        (dt.date(2019, 7, 2), dt.datetime(2019, 7, 2, 20, tzinfo=dt.UTC)),
        (dt.date(2019, 7, 3), dt.datetime(2019, 7, 3, 17, tzinfo=dt.UTC)),
        (dt.date(2019, 11, 29), dt.datetime(2019, 11, 29, 18, tzinfo=dt.UTC)),
        (dt.date(2019, 12, 2), dt.datetime(2019, 12, 2, 21, tzinfo=dt.UTC)),
    ],
    ids=["summer", "summer-half-day", "winter-half-day", "winter"],
)
def test_close_is_in_utc_and_honours_half_days(day, close_utc):
    assert sessions("XNYS").filter(pl.col("session") == day)["close_utc"].item() == close_utc


def test_a_market_that_never_closes_has_every_day():
    every = sessions("24/7")["session"]
    assert every[0] == dt.date(1985, 1, 1)
    assert (every.diff().drop_nulls() == dt.timedelta(days=1)).all()


def test_a_calendar_that_begins_after_1985_begins_where_it_can():
    assert sessions("XTKS")["session"][0] == dt.date(1997, 1, 6)
    assert time_zone("XTKS") == "Asia/Tokyo"


def test_sessions_are_sorted_and_computed_once():
    assert sessions("XNYS")["session"].is_sorted()
    assert sessions("XNYS") is sessions("XNYS")


def test_unknown_calendar_is_refused_with_the_nearest_name():
    with pytest.raises(BadParameters, match=r"market.calendar.*'XNYZ'.*did you mean"):
        sessions("XNYZ")


def test_sessions_go_on_on_weekdays_where_a_calendar_ends(monkeypatch):
    until = dt.date.today() - dt.timedelta(days=30)
    known = calendars._known("XSHG").filter(pl.col("session") <= until)
    monkeypatch.setattr(calendars, "_known", lambda name: known)
    calendars.sessions.cache_clear()
    try:
        found = sessions("XSHG")
    finally:
        calendars.sessions.cache_clear()
    later = found.filter(pl.col("session") > until)
    assert found["session"].is_sorted() and found["session"].is_unique().all()
    assert set(later["session"].dt.weekday()) == {1, 2, 3, 4, 5}
    assert set(later["close_utc"].dt.hour()) == {7}  # Shanghai closes at 15:00, eight hours before UTC
    assert later["session"].max() >= dt.date.today() + dt.timedelta(days=355)


@pytest.mark.parametrize(
    "every_calendar",
    # known to the end of a year only; a market that never closes; others; those that pandas cannot compute here
    [*("XSHG", "XSES", "XBOM", "XSAU"), "24/7", "XTSE", "XPHS", *("ASEX", "XBSE", "XBEL", "XCYS", "XTAE")],
)
def test_every_calendar_has_sessions_of_the_coming_months_or_says_in_one_sentence_that_it_cannot(every_calendar):
    try:
        found = sessions(every_calendar)["session"]
    except BadParameters as error:
        assert str(error).startswith("`market.calendar` must be a calendar that exchange_calendars can")
        assert "\n" not in str(error) and len(str(error)) < 450
    else:
        assert found.max() >= dt.date.today() + dt.timedelta(days=350)
        assert 240 <= periods_per_year(every_calendar) <= 366


@pytest.fixture
def installation(monkeypatch, tmp_path):
    """An installation in which no calendar has been computed yet; the function computes one as a new process would."""
    monkeypatch.setattr(calendars, "HERE", tmp_path)
    made = []
    compute = calendars._computed

    def computed(calendar, reach):
        made.append(calendar)
        return compute(calendar, reach)

    monkeypatch.setattr(calendars, "_computed", computed)
    return tmp_path / "__pycache__", calendars._known.__wrapped__, made


@pytest.mark.parametrize("calendar", ["XNYS", "XTKS", "XSHG", "24/7"])
def test_sessions_are_computed_once_for_an_installation(installation, calendar):
    _, known, made = installation
    first = known(calendar)
    assert known(calendar).equals(first) and known(calendar).schema == first.schema
    assert made == [calendar]


def test_sessions_as_kept_are_those_of_the_library(installation):
    import exchange_calendars

    _, known, _ = installation
    known("XHKG")
    own = exchange_calendars.get_calendar("XHKG", start="1985-01-01")
    kept = known("XHKG").head(len(own.closes))
    for column, times in (("open", own.opens), ("close_utc", own.closes)):
        assert (kept[column].dt.epoch("us").to_numpy() * 1000 == times.astype("int64")).all()
    assert kept["session"].to_list() == list(own.sessions.date)
    assert kept.schema["open"].time_zone == "Asia/Hong_Kong"


@pytest.mark.parametrize("damage", ["cut", "empty", "other library", "a year ago", "a folder"])
def test_sessions_that_cannot_be_used_any_more_are_computed_again(installation, monkeypatch, damage):
    folder, known, made = installation
    first = known("XTKS")
    (kept,) = folder.iterdir()
    if damage == "cut":
        kept.write_bytes(kept.read_bytes()[:1000])
    elif damage == "empty":
        kept.write_bytes(b"")
    elif damage == "other library":
        monkeypatch.setattr(calendars.importlib.metadata, "version", lambda name: "0.0.1")
    elif damage == "a year ago":
        monkeypatch.setattr(calendars, "YEARS_AHEAD", calendars.YEARS_AHEAD + 1)
    else:
        kept.unlink()
        kept.mkdir()
    again = known("XTKS")
    assert made == ["XTKS", "XTKS"]
    assert again.head(len(first)).equals(first)
    assert damage == "a folder" or len(list(folder.iterdir())) == 1


def test_an_installation_that_cannot_be_written_to_computes_its_sessions_each_time(installation, monkeypatch):
    _, known, made = installation
    monkeypatch.setattr(calendars.files, "write_parquet", _refuses)
    assert known("XTKS").equals(known("XTKS")) and made == ["XTKS", "XTKS"]


def _refuses(path, frame):
    raise PermissionError(13, "Permission denied", str(path))


def test_sessions_that_are_kept_need_no_library_of_calendars():
    sessions("XNYS")
    asked = "import sys; from bq.market import calendars; calendars.window('XNYS', calendars.FIRST_DAY); "
    told = "print([name for name in ('exchange_calendars', 'pandas') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", asked + told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
