import datetime as dt
import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bq.market.calendars import sessions
from bq.market.chains.conventions import last_session, settled
from bq.market.chains.quotes import FINDINGS, KEY, NUMBERS, ROWS, SCHEMA, content_hash
from bq.market.chains.validation import validate

DAYS = sessions("XNYS").filter(pl.col("session") >= dt.date(2020, 1, 2))["session"].to_list()
MARCH, JUNE = dt.date(2020, 3, 20), dt.date(2020, 6, 19)  # third Fridays
GOOD = {
    "underlying": "A",
    "root": "A",
    "session": DAYS[0],
    "expiry": MARCH,
    "right": "call",
    "strike": 100.0,
    "bid": 5.0,
    "ask": 5.2,
    "spot": 101.0,
}
DATES = {"session", "expiry"}


def as_read(*quotes):
    frame = pl.DataFrame(
        [dict.fromkeys(ROWS) | {"file": "f", "row": i + 1} | quote for i, quote in enumerate(quotes)],
        schema_overrides={name: pl.String if isinstance(dtype, pl.Enum) else dtype for name, dtype in ROWS.items()},
    )
    return frame.select(pl.col(name).cast(dtype) for name, dtype in ROWS.items())


def checked(*quotes):
    return validate(as_read(*quotes), calendar="XNYS")


def found(result, action):
    return result.findings.filter(pl.col("action") == action).select("rule", "rows").rows()


def strip(session, *, spot=101.0, bid=1.0, count=12, **columns):
    """A snapshot of `count` strikes."""
    quotes = [{**GOOD, "session": session, "strike": 90.0 + i, "spot": spot} for i in range(count)]
    return [quote | {"bid": bid + i / 7, "ask": bid + i / 7 + 0.1} | columns for i, quote in enumerate(quotes)]


def test_a_quote_that_holds_passes_unchanged_with_its_roots_conventions():
    result = checked(GOOD)
    assert result.quotes.schema == SCHEMA
    conventions = {"style": "american", "settlement": "PM", "volume": None, "open_interest": None}
    assert result.quotes.row(0, named=True) == {**GOOD, **conventions}
    assert result.findings.is_empty()


@pytest.mark.parametrize(
    "rule, change",
    [
        *(("missing", {name: None}) for name in ("underlying", "root", "session", "expiry", "right", "strike", "spot")),
        *(("not_finite", {name: bad}) for name in NUMBERS for bad in (math.nan, math.inf, -math.inf)),
        *(("not_positive", {name: bad}) for name in ("strike", "spot") for bad in (0.0, -1.0)),
        ("negative_count", {"volume": -1.0}),
        ("negative_count", {"open_interest": -1.0}),
        ("closed_session", {"session": dt.date(2020, 1, 4)}),
        ("closed_session", {"session": dt.date(2020, 1, 20)}),
        ("expired", {"expiry": dt.date(2020, 1, 2)}),
        ("expired", {"root": "SPX", "session": MARCH}),
        ("crossed", {"bid": 5.21}),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(f"{name}={new}" for name, new in value.items()),
)
def test_a_row_that_breaks_a_rule_is_quarantined_with_its_place_and_reason(rule, change):
    bad = {**GOOD, "session": DAYS[1], **change}
    result = checked(GOOD, bad)
    finding = result.findings.filter(pl.col("action") == "quarantined").row(0, named=True)
    assert (finding["file"], finding["row"], finding["rule"], finding["rows"]) == ("f", 2, rule, 1)
    assert (finding["symbol"], finding["session"]) == (bad["underlying"], bad["session"])
    assert finding["detail"]
    assert result.quotes["session"].to_list() == [DAYS[0]]


@pytest.mark.parametrize(
    "change",
    [
        {"bid": 5.2},
        {"expiry": DAYS[0]},
        {"root": "SPXW", "session": MARCH},
        {"strike": 0.5},
        {"volume": 0.0, "open_interest": 0.0},
    ],
    ids=["locked", "last-day", "weekly-on-its-last-day", "penny-strike", "nobody-trades-it"],
)
def test_what_a_market_may_show_is_kept(change):
    assert len(checked({**GOOD, **change}).quotes) == 1


@pytest.mark.parametrize("change", [{"bid": 0.0}, {"ask": 0.0}, {"bid": -1.0}, {"bid": None}, {"ask": None}], ids=str)
def test_a_row_without_bid_or_ask_is_dropped_and_counted_apart_from_what_is_wrong(change):
    wrong = {**GOOD, "strike": 110.0, "bid": 9.0}
    result = checked(GOOD, {**GOOD, "strike": 105.0, **change}, {**GOOD, "strike": 106.0, **change}, wrong)
    assert found(result, "dropped") == [("no_quote", 2)]
    assert found(result, "quarantined") == [("crossed", 1)]
    counts = result.counts.row(0, named=True)
    assert [counts[name] for name in ("read", "kept", "no_quote", "quarantined")] == [4, 1, 2, 1]


def test_exact_copies_are_dropped_and_the_first_stays():
    result = checked(GOOD, GOOD, {**GOOD, "right": "put"}, GOOD)
    assert len(result.quotes) == 2
    assert result.findings.select("row", "action", "rule").rows() == [
        (row, "repaired", "exact_duplicate") for row in (2, 4)
    ]


def test_one_contract_with_different_quotes_is_quarantined_all():
    result = checked(GOOD, {**GOOD, "ask": 5.3}, GOOD, {**GOOD, "root": "A1"})
    assert result.quotes["root"].to_list() == ["A1"]
    assert found(result, "quarantined") == [("conflicting_duplicate", 1)] * 2


def test_a_good_quote_whose_contract_a_bad_row_shares_is_not_trusted():
    result = checked(GOOD, {**GOOD, "bid": 0.0})
    assert result.quotes.is_empty()
    assert (found(result, "quarantined"), found(result, "dropped")) == (
        [("conflicting_duplicate", 1)],
        [("no_quote", 1)],
    )


def test_several_spots_of_a_snapshot_give_way_to_their_median_and_are_flagged():
    spots = [101.0, 101.0, 101.2, 101.3, 2.0, 101.2]
    quotes = [{**GOOD, "strike": 90.0 + i, "spot": spot, "bid": 20.0, "ask": 21.0} for i, spot in enumerate(spots)]
    result = checked(*quotes)
    assert result.quotes["spot"].unique().to_list() == [
        101.0
    ]  # the lower of the two in the middle: one that was written
    assert found(result, "flagged") == [("several_spots", 6)]


def test_a_session_that_repeats_the_one_before_is_quarantined_whole():
    result = checked(*strip(DAYS[0]), *strip(DAYS[1]), *strip(DAYS[2]), *strip(DAYS[3], bid=2.0))
    assert found(result, "quarantined") == [("repeated_snapshot", 1)] * 24
    assert result.quotes["session"].unique().sort().to_list() == [DAYS[0], DAYS[3]]
    assert str(DAYS[0]) in result.findings.filter(pl.col("rule") == "repeated_snapshot")["detail"][0]


@pytest.mark.parametrize("change", [{"spot": 101.01}, {"bid": 1.01}, {"underlying": "B"}], ids=str)
def test_a_session_with_another_spot_or_other_quotes_is_no_repeat(change):
    assert found(checked(*strip(DAYS[0]), *strip(DAYS[1], **change)), "quarantined") == []


@pytest.mark.parametrize("count, gone", [(9, 0), (10, 10)], ids=str)
def test_a_few_equal_contracts_are_no_repeat(count, gone):
    result = checked(*strip(DAYS[0], count=count), *strip(DAYS[1], count=count))
    assert len(found(result, "quarantined")) == gone


def test_a_session_with_one_new_quote_is_no_repeat():
    changed = strip(DAYS[1])
    changed[3]["ask"] += 0.01
    assert found(checked(*strip(DAYS[0]), *changed), "quarantined") == []


def test_new_contracts_do_not_hide_a_repeat_unless_most_are_new():
    added = strip(DAYS[1], count=12, right="put")
    assert len(checked(*strip(DAYS[0]), *strip(DAYS[1]), *added).quotes) == 12
    more = strip(DAYS[1], count=1, root="A1")
    assert len(checked(*strip(DAYS[0]), *strip(DAYS[1]), *added, *more).quotes) == 37


@pytest.mark.parametrize("length, flagged", [(4, []), (5, [("stale", 5)]), (7, [("stale", 7)])], ids=str)
def test_a_contract_with_one_quote_for_five_sessions_is_flagged(length, flagged):
    quotes = [{**GOOD, "session": day, "spot": 101 + i / 9} for i, day in enumerate(DAYS[:length])]
    changed = {**GOOD, "session": DAYS[length], "bid": 4.0}
    result = checked(
        *quotes, changed, *({**quote, "session": day} for quote, day in zip(quotes[:4], DAYS[9:], strict=False))
    )
    assert found(result, "flagged") == flagged


@pytest.mark.parametrize(
    "root, right, strike, ask, flagged",
    [
        ("A", "call", 90.0, 10.9, True),
        ("A", "call", 90.0, 11.0, False),
        ("A", "put", 110.0, 8.9, True),
        ("SPX", "call", 90.0, 10.9, False),  # dividends of 10% a year would explain it
        ("SPX", "call", 50.0, 45.0, True),
        ("SPX", "put", 110.0, 8.9, False),  # so would a rate of 10%
        ("SPX", "put", 200.0, 89.0, True),
        ("VIX", "call", 50.0, 10.0, False),
    ],
    ids=str,
)
def test_an_ask_below_intrinsic_value_is_flagged(root, right, strike, ask, flagged):
    quote = {**GOOD, "underlying": root, "root": root, "right": right, "strike": strike, "bid": ask - 1, "ask": ask}
    result = checked({**quote, "expiry": JUNE})
    assert len(result.quotes) == 1
    assert found(result, "flagged") == [("below_intrinsic", 1)] * flagged


def test_a_vendors_absurd_volatility_is_counted_and_not_kept():
    values = [0.2, 0.0, None, 7.9, 0.001, math.nan]
    result = checked(*({**GOOD, "strike": 95.0 + i, "bid": 7, "ask": 8, "vendor_iv": v} for i, v in enumerate(values)))
    assert len(result.quotes) == 6 and "vendor_iv" not in result.quotes.columns
    (finding,) = result.findings.filter(pl.col("rule") == "vendor_iv").rows(named=True)
    assert finding["rows"] == 4
    assert "is 0 in 1 and outside [0.01, 5.0] in 3 of 5 quotes" in finding["detail"]


@pytest.mark.parametrize(
    "root, listed, expiry, style, settlement",
    [
        ("SPX", dt.date(2019, 5, 17), dt.date(2019, 5, 17), "european", "AM"),
        ("SPX", dt.date(2019, 5, 24), dt.date(2019, 5, 24), "european", "PM"),
        ("SPXW", dt.date(2019, 5, 17), dt.date(2019, 5, 17), "european", "PM"),
        ("SPX", dt.date(2012, 3, 17), dt.date(2012, 3, 16), "european", "AM"),
        ("SPX", dt.date(2014, 4, 17), dt.date(2014, 4, 17), "european", "AM"),
        ("SPX", dt.date(2008, 3, 22), dt.date(2008, 3, 20), "european", "AM"),
        ("SPX", dt.date(2040, 12, 21), dt.date(2040, 12, 21), "european", "AM"),
        ("XSP", dt.date(2019, 5, 17), dt.date(2019, 5, 17), "european", "PM"),
        ("VIX", dt.date(2019, 5, 22), dt.date(2019, 5, 22), "european", "AM"),
        ("OEX", dt.date(2019, 5, 17), dt.date(2019, 5, 17), "american", "PM"),
        ("AAPL", dt.date(2014, 1, 18), dt.date(2014, 1, 17), "american", "PM"),
    ],
    ids=lambda value: str(value),
)
def test_roots_and_expiries_say_style_and_settlement(root, listed, expiry, style, settlement):
    rows, moved = settled(as_read({**GOOD, "root": root, "expiry": listed}), calendar="XNYS")
    assert rows.select("expiry", "style", "settlement").row(0) == (expiry, style, settlement)
    assert moved["rule"].to_list() == ["expiry_moved"] * (expiry != listed)


def test_a_files_own_style_and_settlement_go_before_the_roots():
    rows, _ = settled(as_read({**GOOD, "root": "SPX", "style": "american", "settlement": "PM"}), calendar="XNYS")
    assert rows.select("style", "settlement").row(0) == ("american", "PM")


def test_beyond_the_calendar_the_last_weekday_counts():
    days = pl.Series([dt.date(2040, 12, 22), dt.date(2040, 12, 23), dt.date(2040, 12, 24), dt.date(1984, 12, 30)])
    assert last_session(days, calendar="XNYS").to_list() == [
        *[dt.date(2040, 12, 21)] * 2,
        days[2],
        dt.date(1984, 12, 28),
    ]


def mostly(*good):
    """One of the good values nine times in ten, else something that no quote may hold."""
    return st.sampled_from([*(good * (45 // len(good))), math.nan, math.inf, -1.0, 0.0, None])


quote = st.fixed_dictionaries(
    {
        "underlying": st.sampled_from(["SPX", "SPX", "B", "<script>", None]),
        "root": st.sampled_from(["SPX", "SPXW", None]),
        "session": st.sampled_from([*DAYS[:3], dt.date(2020, 1, 4), None]),
        "expiry": st.sampled_from([DAYS[1], MARCH, dt.date(2020, 3, 21), None]),
        "right": st.sampled_from(["call", "put", None]),
        "strike": mostly(100.0, 105.0),
        "bid": mostly(5.0, 4.0),
        "ask": mostly(5.0, 6.0, 4.5),
        "spot": mostly(101.0, 101.0, 102.0),
        "volume": mostly(None, 3.0),
        "vendor_iv": mostly(None, 0.2),
    }
)
batches = st.lists(quote, min_size=1, max_size=16).flatmap(lambda rows: st.permutations(rows + rows[: len(rows) // 2]))


@settings(deadline=None)
@given(batches)
def test_every_row_becomes_a_quote_or_has_its_share_in_one_finding(batch):
    result = checked(*batch)
    gone = pl.col("action").is_in(["quarantined", "dropped"]) | (pl.col("rule") == "exact_duplicate")
    assert len(batch) == len(result.quotes) + result.findings.filter(gone)["rows"].sum() == result.counts["read"].sum()
    assert len(result.quotes) == result.counts["kept"].sum()
    assert result.findings["detail"].null_count() == 0
    assert result.findings.schema == FINDINGS


@settings(deadline=None)
@given(batches)
def test_what_is_kept_satisfies_the_contract_and_passes_again(batch):
    quotes = checked(*batch).quotes
    assert quotes.schema == SCHEMA
    assert quotes.equals(quotes.sort(KEY)) and not quotes.select(KEY).is_duplicated().any()
    assert quotes.drop("volume", "open_interest").null_count().sum_horizontal().item() == 0
    assert quotes.select((pl.col("bid") > 0) & (pl.col("bid") <= pl.col("ask"))).to_series().all()
    assert (quotes["expiry"] >= quotes["session"]).all()
    assert (quotes.group_by("underlying", "session").agg(pl.col("spot").n_unique())["spot"] == 1).all()
    again = checked(*quotes.to_dicts()) if len(quotes) else None
    assert again is None or again.quotes.equals(quotes)


@settings(deadline=None)
@given(batches, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_neither_quotes_nor_hash(batch, random):
    quotes = checked(*batch).quotes
    assert checked(*random.sample(batch, len(batch))).quotes.equals(quotes)
    assert content_hash(quotes.sample(fraction=1, shuffle=True, seed=1)) == content_hash(quotes)


@pytest.mark.parametrize("column", SCHEMA.names())
def test_the_hash_changes_with_any_value(column):
    quotes = checked(*strip(DAYS[0], count=3)).quotes
    dtype = SCHEMA[column]
    other = {
        "right": "put",
        "style": "european",
        "settlement": "AM",
        **dict.fromkeys(("underlying", "root"), "Z"),
        **dict.fromkeys(DATES, dt.date(2020, 1, 7)),
    }.get(column, 7.0)
    value = pl.when(pl.int_range(pl.len()) == 2).then(pl.lit(other, dtype=dtype)).otherwise(column)
    assert content_hash(quotes.with_columns(value.alias(column))) != content_hash(quotes)
