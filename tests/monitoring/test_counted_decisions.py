"""Of all scans of a session one counts: the first that was made when its decisions could still be traded."""

import datetime as dt

import polars as pl
import pytest
import sqlalchemy as sa

from bq.core import db
from bq.core.namespace import Namespace
from bq.monitoring import outcomes, records
from bq.monitoring.records import Scan

NAMESPACE = Namespace("toy")
DAY = dt.date(2020, 1, 3)  # a Friday
CLOSE = dt.datetime(2020, 1, 3, 21, tzinfo=dt.UTC)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


# Published hours: NYSE 9:30 to 16:00 New York (13:00 on 2019-11-29), CME Globex from 17:00 Chicago of the day before.
MOMENTS = {
    "before the close": ("XNYS", "2020-01-02", "2020-01-02 20:59:59", False),
    "at the close": ("XNYS", "2020-01-02", "2020-01-02 21:00:00", True),
    "before the next open": ("XNYS", "2020-01-02", "2020-01-03 14:29:59", True),
    "at the next open": ("XNYS", "2020-01-02", "2020-01-03 14:30:00", False),
    "in summer an hour earlier": ("XNYS", "2020-07-01", "2020-07-02 13:30:00", False),
    "on a weekend": ("XNYS", "2020-01-03", "2020-01-05 12:00:00", True),
    "on Monday's open": ("XNYS", "2020-01-03", "2020-01-06 14:30:00", False),
    "over a holiday": ("XNYS", "2020-01-17", "2020-01-20 16:00:00", True),
    "after a half day": ("XNYS", "2019-11-29", "2019-11-29 18:00:00", True),
    "on a half day before it ends": ("XNYS", "2019-11-29", "2019-11-29 17:59:59", False),
    "on a day that is no session": ("XNYS", "2020-01-04", "2020-01-04 22:00:00", False),
    "a day late": ("XNYS", "2020-01-02", "2020-01-03 22:00:00", False),
    "years late": ("XNYS", "2010-01-04", "2026-01-05 22:00:00", False),
    "of a market that never closes": ("24/7", "2020-01-04", "2020-01-05 00:00:00", True),
    "the whole next day of one": ("24/7", "2020-01-04", "2020-01-05 23:59:59", True),
    "not the day after": ("24/7", "2020-01-04", "2020-01-06 00:00:00", False),
    "futures over the weekend": ("CMES", "2020-01-03", "2020-01-05 22:59:59", True),
    "futures that open again": ("CMES", "2020-01-03", "2020-01-05 23:00:00", False),
    "Tokyo": ("XTKS", "2020-01-06", "2020-01-06 23:59:59", True),
}


@pytest.mark.parametrize(("calendar", "session", "decided", "expected"), MOMENTS.values(), ids=MOMENTS)
def test_a_decision_is_in_time_from_the_close_to_before_the_next_open(calendar, session, decided, expected):
    assert outcomes.in_time(dt.date.fromisoformat(session), at(decided), calendar=calendar) is expected


@pytest.fixture(params=["sqlite", "postgresql"])
def home(request, tmp_path, monkeypatch):
    """An empty database of either kind."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    if request.param == "postgresql":
        return request.getfixturevalue("database")
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    return tmp_path


def decide(*events: str, **given) -> int:
    """Record a scan; its number."""
    return recorded(*events, **given).scan_id


def recorded(
    *events: str, late: bool | None = False, day: dt.date = DAY, namespace=NAMESPACE, score=1.0
) -> records.Entered:
    """Record a scan."""
    scan = Scan(namespace, day, CLOSE, {}, "da7a", "c0de", None, None, late)
    rows = {
        "event_id": list(events),
        "symbol": list(events),
        "session": day,
        "t0": CLOSE,
        "t1_due": CLOSE + dt.timedelta(days=7),
        "tier": 1,
        "model": "m1",
        "class_probabilities": [[0.25, 0.75]] * len(events),
        "score": score,
        "should_trade": True,
        "rank": list(range(len(events), 0, -1)),
    }
    return records.enter(scan, pl.DataFrame(rows))


def end(event: str, outcome: float, *, revision: int | None = None, label="Good", data_hash="d1") -> outcomes.Entered:
    row = {"event_id": event, "t1_now": CLOSE, "outcome_now": outcome, "label_now": label, "source": "bars"}
    found = pl.DataFrame([{**row, "revision": revision}], schema_overrides={"revision": pl.Int64})
    return outcomes.enter(NAMESPACE, found, data_hash=data_hash)


def test_the_first_scan_in_time_counts_whatever_was_scanned_before_and_after(home):
    decide("a", late=True, score=1.0)
    counting = decide("a", "b", late=False, score=2.0)
    again = decide("a", "b", late=False, score=3.0)
    decide("a", late=True, score=4.0)
    found = outcomes.counted(NAMESPACE)
    assert found["scan_id"].to_list() == [counting] * 2 and found["score"].to_list() == [2.0, 2.0]
    with db.engine().connect() as connection:
        late = connection.execute(sa.select(records.scans.c.late).where(records.scans.c.scan_id == again)).scalar()
    assert late is True, "kept, and marked"


def test_a_scan_knows_whether_another_one_of_its_session_counts(home):
    assert [recorded("a", late=late).another for late in (True, False, False, True)] == [False, False, True, True]


def test_of_two_scans_that_began_at_once_the_one_with_the_lower_number_counts(home):
    """Neither saw the other when it judged itself."""
    first, second = decide("a", score=1.0), decide("a", score=2.0)
    with db.engine().begin() as connection:
        connection.execute(records.scans.update().values(late=False))
    assert (first < second) and outcomes.counted(NAMESPACE)["score"].to_list() == [1.0]


def test_a_scan_of_which_it_is_not_known_counts_nowhere(home):
    decide("a", late=None)
    found = outcomes.counted(NAMESPACE)
    assert found.is_empty() and dict(found.schema) == outcomes.COUNTED


def test_the_rows_are_sorted_and_typed_and_of_one_namespace(home):
    decide("c", day=dt.date(2020, 1, 6))
    decide("a", "b")
    decide("x", namespace=Namespace("toy", "other"))
    found = outcomes.counted(NAMESPACE)
    assert found.select("session", "rank", "event_id").rows() == [
        (DAY, 1, "b"),
        (DAY, 2, "a"),
        (dt.date(2020, 1, 6), 1, "c"),
    ]
    assert dict(found.schema) == outcomes.COUNTED
    assert found["probabilities"].to_list() == [[0.25, 0.75]] * 3 and found["t0"][0] == CLOSE
    assert found.select(outcomes.OUTCOME).null_count().row(0) == (3,) * 5


def test_the_newest_revision_of_an_outcome_is_shown_and_the_earlier_ones_stay(home):
    decide("a", "b")
    assert end("a", 0.5) == (1, 0, True)
    assert end("a", 0.75, revision=0, label="Excellent") == (0, 1, True)
    found = outcomes.counted(NAMESPACE).filter(pl.col("event_id") == "a")
    assert found.select("outcome", "label", "source", "revision").row(0) == (0.75, "Excellent", "bars", 1)
    with db.engine().connect() as connection:
        kept = connection.execute(sa.select(records.outcomes.c.outcome).order_by("revision")).scalars().all()
    assert kept == [0.5, 0.75]


def test_a_revision_that_another_process_recorded_meanwhile_stays(home):
    decide("a")
    end("a", 0.5)
    assert end("a", 0.7) == (1, 0, False)
    assert outcomes.counted(NAMESPACE)["outcome"].to_list() == [0.5]


def test_through_a_day_nothing_later_is_seen(home):
    decide("a")
    decide("b", day=dt.date(2020, 1, 8))
    end("a", 0.5)
    due = CLOSE.date() + dt.timedelta(days=7)
    assert outcomes.counted(NAMESPACE, through=DAY).select("event_id", "outcome", "t1").rows() == [("a", None, None)]
    assert outcomes.counted(NAMESPACE, through=due)["outcome"].to_list() == [0.5, None]


@pytest.mark.parametrize(
    ("parameters", "decided", "late"),
    [
        ({"market": {"calendar": "XNYS"}}, "2020-01-05 12:00:00", False),
        ({"market": {}}, "2020-01-06 14:30:00", True),
        ({"market": {"calendar": "24/7"}}, "2020-01-05 12:00:00", True),
        (None, "2020-01-05 12:00:00", None),
    ],
    ids=["in time", "late by the calendar that is the default", "late by its own calendar", "unknown"],
)
def test_scans_of_before_are_judged_by_the_calendar_of_their_parameters(home, parameters, decided, late):
    scan = Scan(NAMESPACE, DAY, at(decided), parameters, "", "", None, None)
    row = {"event_id": "a", "symbol": "a", "session": DAY, "tier": 3, "model": "r", "score": 1.0, "should_trade": True}
    for _ in range(2):
        records.enter(scan, pl.DataFrame([row]))
    for _ in range(2):
        outcomes.settle(NAMESPACE)
        with db.engine().connect() as connection:
            found = connection.execute(sa.select(records.scans.c.late).order_by("scan_id")).scalars().all()
        assert found == [late, True if late is False else late]
