"""Why a session has no listed option prices: a row a reason, by hand."""

import datetime as dt

import polars as pl
import pytest

from bq.market.bars import rows
from bq.market.chains.coverage import Unlisted, counted, unlisted
from bq.market.chains.quotes import SCHEMA

DAYS = [dt.date(2024, 1, day) for day in (2, 3, 4, 5, 8, 9)]
EXPIRY = dt.date(2024, 2, 16)


def bars(symbol, *, quoted=True):
    frame = pl.DataFrame({"symbol": symbol, "session": DAYS, "close": 100.0, "quoted": quoted})
    return rows(frame, file="hand")


def quote(underlying, session, right, strike, root=None):
    values = {"underlying": underlying, "root": root or underlying, "session": session, "expiry": EXPIRY}
    values |= {"right": right, "strike": float(strike), "bid": 1.0, "ask": 1.1, "spot": 100.0, "style": "american"}
    return {**values, "settlement": "PM", "volume": None, "open_interest": None}


@pytest.fixture
def quotes():
    both = [quote(symbol, DAYS[1], right, 100) for symbol in "AQ" for right in ("call", "put")]
    calls = [quote("A", DAYS[3], "call", 100), quote("A", DAYS[3], "put", 105)]  # two strikes, each of one right
    odd = [quote("A", DAYS[4], right, 100, root="A1") for right in ("call", "put")]
    return pl.DataFrame([*both, *calls, *odd], schema=SCHEMA)


def reasons(frame, quotes):
    return unlisted(frame, quotes)["unlisted"].to_list()


def test_each_session_has_its_reason_or_listed_prices(quotes):
    assert reasons(bars("A"), quotes) == ["none_yet", None, "no_quote", "no_pair", "no_pair", "no_quote"]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [(bars("Q", quoted=False), "not_quoted"), (bars("Z"), "none_yet")],
    ids=["back-adjusted", "without-a-chain"],
)
def test_a_symbol_that_can_have_none_has_one_reason_throughout(quotes, frame, reason):
    assert reasons(frame, quotes) == [reason] * len(DAYS)


def test_without_asking_for_quotes_none_is_listed():
    assert reasons(bars("A"), None) == ["not_asked"] * len(DAYS)


@pytest.mark.parametrize("day", range(len(DAYS)))
def test_a_reason_is_known_in_its_session(quotes, day):
    until = (pl.col("session") <= DAYS[day],)
    assert reasons(bars("A").filter(*until), quotes.filter(*until)) == reasons(bars("A"), quotes)[: day + 1]


def test_counts_add_up_and_the_listed_come_first(quotes):
    found = counted(unlisted(pl.concat([bars("A"), bars("Z")]), quotes))
    expected = [(None, 1), ("none_yet", 7), ("no_quote", 2), ("no_pair", 2)]
    assert found.select("unlisted", "number").rows() == expected
    assert found["share"].sum() == pytest.approx(1.0)
    assert counted(unlisted(bars("Z"), quotes)).select("unlisted", "number").rows() == [(None, 0), ("none_yet", 6)]


def test_every_reason_has_words():
    assert len({why.text for why in Unlisted}) == len(Unlisted)
