"""A replay against a ledger: the first session that differs, why, and where the gap comes from."""

import datetime as dt

import polars as pl
import pytest

from bq.trading import against
from bq.trading.against import Cause, Scans, Side
from bq.trading.journal import FILLS, MEANT, RESULTS, Journal

DAYS = [dt.date(2019, 1, 2) + dt.timedelta(days=n) for n in range(6)]


def journal(*trades, refused=(), fees=0.0) -> Journal:
    """trades : position, session of the decision, session of the fill (None: not filled), quantity, price."""
    filled = [trade for trade in trades if trade[2] is not None]
    fills = [("A", name, fill, name.upper(), "open", n, -n * price) for name, _, fill, n, price in filled]
    meant = [
        ("A", name, name.upper(), "open", asked, None, "m", 1, int(fill is not None))
        for name, asked, fill, *_ in trades
    ]
    meant += [("A", name, name.upper(), "open", asked, why, "m", 0, 0) for name, asked, why in refused]
    results = [("A", name, fill, fill, n * (12.0 - price) - fees, fees) for name, _, fill, n, price in filled]
    curve = [("A", day, sum(one[4] for one in results if one[2] <= day)) for day in DAYS]
    return Journal(
        pl.DataFrame(curve, schema={"track": pl.String, "session": pl.Date, "pnl": pl.Float64}, orient="row"),
        pl.DataFrame(fills, schema=FILLS, orient="row"),
        pl.DataFrame(meant, schema=MEANT, orient="row"),
        pl.DataFrame(results, schema=RESULTS, orient="row"),
    )


def side(book: Journal, *, scanned=DAYS, late=(), traded=DAYS) -> Side:
    return Side(book, Scans(frozenset(scanned), frozenset(scanned) - frozenset(late)), frozenset(traded))


SAME = ("x", DAYS[0], DAYS[1], 5, 10.0)
TRADE = ("y", DAYS[2], DAYS[3], 4, 11.0)


def test_equal_books_agree_on_every_session():
    found = against.compare(side(journal(SAME, TRADE)), side(journal(SAME, TRADE)), DAYS[0], DAYS[-1])
    assert (found.first, found.differences, len(found.gaps)) == (None, (), 0)
    assert found.running["replayed"].to_list() == found.running["booked"].to_list()


@pytest.mark.parametrize(
    ("booked", "cause", "detail"),
    [
        (side(journal(SAME), scanned=[DAYS[0]]), Cause.NO_SCAN, ""),
        (side(journal(SAME), late=[DAYS[2]]), Cause.LATE_SCAN, ""),
        (side(journal(SAME), traded=[DAYS[0], DAYS[1]]), Cause.NOT_RUN, ""),
        (side(journal(SAME)), Cause.DECIDED, "m"),
        (side(journal(SAME, refused=[("y", DAYS[2], "margin")])), Cause.REFUSED, "margin"),
        (side(journal(SAME, ("y", DAYS[2], None, 4, 11.0))), Cause.NOT_FILLED, ""),
        (side(journal(SAME, ("y", DAYS[2], DAYS[3], 2, 11.0))), Cause.QUANTITY, ""),
        (side(journal(SAME, ("y", DAYS[2], DAYS[3], 4, 11.5))), Cause.PRICE, ""),
    ],
    ids=lambda value: str(value) if isinstance(value, Cause) else "",
)
def test_the_first_session_that_differs_is_named_with_its_cause(booked, cause, detail):
    found = against.compare(side(journal(SAME, TRADE)), booked, DAYS[0], DAYS[-1])
    assert found.first == DAYS[3]
    (one,) = found.differences
    assert (one.session, one.position, one.contract, one.cause, one.detail) == (DAYS[3], "y", "Y", cause, detail)
    assert found.gaps.select("position", "cause").rows() == [("y", str(cause))]
    ends = found.running.filter(session=DAYS[-1]).row(0, named=True)
    assert found.gaps["gap"].sum() == pytest.approx(ends["replayed"] - ends["booked"])


def test_a_fill_that_only_the_ledger_has_is_told_by_what_the_replay_did():
    lacks = side(journal(SAME, refused=[("y", DAYS[2], "near_expiry")]))
    (one,) = against.compare(lacks, side(journal(SAME, TRADE)), DAYS[0], DAYS[-1]).differences
    assert (one.replayed, one.booked, one.cause, one.detail) == (None, 4, Cause.REFUSED, "near_expiry")
    assert one.cash == 44.0


def test_what_closes_a_position_that_was_never_opened_is_missing_for_the_reason_of_its_opening():
    closing = pl.DataFrame([("A", "y", DAYS[4], "Y", "close", -4, 48.0)], schema=FILLS, orient="row")
    stop = pl.DataFrame([("A", "y", "Y", "close", DAYS[2], None, "m", 1, 1)], schema=MEANT, orient="row")
    whole = journal(SAME, TRADE)
    whole = whole._replace(fills=pl.concat([whole.fills, closing]), meant=pl.concat([whole.meant, stop]))
    found = against.compare(side(whole), side(journal(SAME), late=[DAYS[2]]), DAYS[0], DAYS[-1])
    assert [one.cause for one in found.differences] == [Cause.LATE_SCAN, Cause.LATE_SCAN]


def test_the_same_fills_at_another_value_differ_by_their_marks():
    found = against.compare(side(journal(SAME)), side(journal(SAME, fees=1.0)), DAYS[0], DAYS[-1])
    assert (found.first, found.differences) == (DAYS[1], ())
    assert found.gaps.select("position", "cause", "gap").rows() == [("x", str(Cause.MARK), 1.0)]


def test_what_was_made_before_the_window_is_in_neither_curve():
    found = against.compare(side(journal(TRADE)), side(journal(SAME, TRADE)), DAYS[2], DAYS[-1])
    assert (found.first, len(found.gaps)) == (None, 0)
    assert found.running["booked"].to_list()[-1] == 4.0
