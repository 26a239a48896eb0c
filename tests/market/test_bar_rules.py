import datetime as dt
import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bq.core.errors import BadData
from bq.market.bars import FINDINGS, NUMBERS, SCHEMA, content_hash, rows, sorted_by
from bq.market.calendars import sessions
from bq.market.validation import validate

NOW = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
DAYS = sessions("XNYS").filter(pl.col("session") >= dt.date(2020, 1, 2))["session"].to_list()
GOOD = {"symbol": "A", "session": DAYS[0], "open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5, "volume": 5.0}


def checked(*bars, now=NOW):
    frame = pl.DataFrame([{"adj": 1.0, "quoted": True, **bar} for bar in bars], schema_overrides=dict(SCHEMA))
    return validate(rows(frame, file="f"), calendar="XNYS", now_utc=now)


def rules(result, action):
    return result.findings.filter(pl.col("action") == action)["rule"].to_list()


def history(closes, **columns):
    """Good rows on consecutive sessions with these closes (None: no bar on that session)."""
    bars = [
        {"symbol": "A", "session": day, "close": close, **{name: values[i] for name, values in columns.items()}}
        for i, (day, close) in enumerate(zip(DAYS, closes, strict=False))
    ]
    return [bar for bar in bars if bar["close"] is not None]


def test_a_bar_that_holds_passes_unchanged():
    result = checked(GOOD)
    assert result.bars.schema == SCHEMA
    assert result.bars.row(0, named=True) == {**GOOD, "adj": 1.0, "iv": None, "quoted": True}
    assert rules(result, "quarantined") == []


@pytest.mark.parametrize(
    "rule, change",
    [
        ("missing", {"symbol": None}),
        ("missing", {"session": None}),
        ("missing", {"close": None}),
        ("missing", {"adj": None}),
        ("missing", {"quoted": None}),
        *(("not_finite", {name: math.nan}) for name in NUMBERS),
        *(("not_finite", {name: math.inf}) for name in NUMBERS),
        *(("not_positive", {name: 0.0}) for name in NUMBERS if name != "volume"),
        *(("not_positive", {name: -1.0}) for name in NUMBERS if name != "volume"),
        ("negative_volume", {"volume": -1.0}),
        ("iv_in_percent", {"iv": 20.0}),
        ("high_below_low", {"high": 8.0}),
        ("outside_range", {"open": 11.01}),
        ("outside_range", {"close": 8.99}),
        ("outside_range", {"close": 11.01, "low": None}),
        ("closed_session", {"session": dt.date(2020, 1, 4)}),
        ("closed_session", {"session": dt.date(1984, 12, 31)}),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(f"{name}={new}" for name, new in value.items()),
)
def test_a_row_that_breaks_a_rule_is_quarantined_with_its_place_and_reason(rule, change):
    bad = {**GOOD, "session": DAYS[1], "iv": 0.2, **change}
    result = checked(GOOD, bad)
    finding = result.findings.filter(pl.col("action") == "quarantined").row(0, named=True)
    assert (finding["file"], finding["row"], finding["rule"]) == ("f", 2, rule)
    assert (finding["symbol"], finding["session"]) == (bad["symbol"], bad["session"])
    assert "must" in finding["detail"] and "but" in finding["detail"]
    assert result.bars["session"].to_list() == [DAYS[0]]


@pytest.mark.parametrize(
    "change",
    [
        {"open": None, "high": None, "low": None, "volume": None},
        {"volume": 0.0},
        {"open": 11.0 * 1.00009},
        {"close": 9.0 * 0.99991},
        {"high": 10.5, "low": 10.5, "open": 10.5},
        {"iv": 0.8269},
    ],
    ids=["closes-only", "no-volume", "open-above-by-rounding", "close-below-by-rounding", "one-price", "iv-of-2020"],
)
def test_what_a_vendor_may_print_is_kept(change):
    assert len(checked({**GOOD, **change}).bars) == 1


@pytest.mark.parametrize("now, kept", [("20:59", 0), ("21:00", 1)], ids=["before-the-close", "at-the-close"])
def test_a_session_counts_once_it_is_over(now, kept):
    now = dt.datetime.fromisoformat(f"2020-01-02T{now}:00+00:00")
    result = checked(GOOD, now=now)
    assert len(result.bars) == kept
    assert rules(result, "quarantined") == ["not_over"] * (1 - kept)


def test_exact_copies_are_dropped_and_the_first_stays():
    result = checked(GOOD, GOOD, {**GOOD, "session": DAYS[1]}, GOOD)
    assert result.bars["session"].to_list() == DAYS[:2]
    copies = result.findings.filter(pl.col("rule") == "exact_duplicate")
    assert copies["row"].to_list() == [2, 4]
    assert set(copies["action"]) == {"repaired"}


def test_rows_with_one_key_and_different_values_are_quarantined_all():
    result = checked(GOOD, {**GOOD, "close": 10.6}, GOOD, {**GOOD, "symbol": "B"})
    assert result.bars["symbol"].to_list() == ["B"]
    assert rules(result, "quarantined") == ["conflicting_duplicate"] * 2
    assert "exact_duplicate" in rules(result, "repaired")


def test_a_good_row_whose_key_a_bad_row_shares_is_not_trusted():
    result = checked(GOOD, {**GOOD, "close": -1.0})
    assert result.bars.is_empty()
    assert sorted(rules(result, "quarantined")) == ["conflicting_duplicate", "not_positive"]


def test_rows_out_of_order_are_sorted_and_said_once_a_symbol():
    result = checked(*({**GOOD, "session": day} for day in reversed(DAYS[:4])))
    assert result.bars["session"].to_list() == DAYS[:4]
    assert rules(result, "repaired") == ["unsorted"]


def test_a_file_sorted_by_date_over_symbols_is_in_order():
    bars = [{**GOOD, "symbol": symbol, "session": day} for day in DAYS[:3] for symbol in "AB"]
    assert rules(checked(*bars), "repaired") == []


@pytest.mark.parametrize("factor", [2, 3, 4, 5, 7, 10, 20, 1 / 2, 1 / 4, 1 / 10], ids=lambda factor: f"{factor:.3g}")
def test_a_price_that_changes_by_a_splits_factor_is_flagged_unless_adj_says_so(factor):
    closes = [100.0, 100.0 * factor * 1.02]
    assert "split_like" in rules(checked(*history(closes)), "flagged")
    adjusted = checked(*history(closes, adj=[1.0, 1 / factor]))
    assert not {"split_like", "jump"} & set(rules(adjusted, "flagged"))


@pytest.mark.parametrize("ratio, flagged", [(1.49, False), (1.5, True), (0.671, False), (0.67, True)], ids=str)
def test_a_log_return_beyond_0_4_is_a_jump(ratio, flagged):
    assert ("jump" in rules(checked(*history([100.0, 100.0 * ratio])), "flagged")) == flagged


def test_an_adjustment_factor_that_jumps_alone_is_flagged():
    assert "jump" in rules(checked(*history([100.0, 100.0], adj=[1.0, 2.0])), "flagged")


@pytest.mark.parametrize("missing, rule", [(10, "missing_sessions"), (11, "long_gap")], ids=["short", "long"])
def test_missing_sessions_are_flagged(missing, rule):
    result = checked(*history([1.0, *[None] * missing, 1.0]))
    found = result.findings.filter(pl.col("rule").is_in(["missing_sessions", "long_gap"]))
    assert found["rule"].to_list() == [rule]
    assert f"{missing} sessions missing" in found["detail"].item()


@pytest.mark.parametrize(
    "length, volume, stale", [(4, None, 0), (5, None, 1), (5, 0.0, 1), (9, 0.0, 1), (9, 1.0, 0)], ids=str
)
def test_one_close_for_five_sessions_without_volume_is_stale(length, volume, stale):
    closes = [2.0] * length + [3.0]
    result = checked(*history(closes, volume=[volume] * len(closes)))
    assert rules(result, "flagged").count("stale") == stale


def test_a_history_that_begins_late_or_ends_early_is_flagged():
    bars = [{**GOOD, "session": day} for day in DAYS[:300]]
    bars += [{**GOOD, "symbol": "LATE", "session": day} for day in DAYS[11:300]]
    bars += [{**GOOD, "symbol": "GONE", "session": day} for day in DAYS[:289]]
    bars += [{**GOOD, "symbol": "NEAR", "session": day} for day in DAYS[10:290]]
    found = checked(*bars).findings.filter(pl.col("rule") != "constant")
    assert found.select("symbol", "rule").rows() == [("GONE", "ends_early"), ("LATE", "starts_late")]


def test_a_short_history_and_sessions_without_volume_are_flagged():
    result = checked(*history([float(i + 1) for i in range(30)], volume=[0.0] * 30))
    assert {"short_history", "no_volume"} <= set(rules(result, "flagged"))


def test_an_empty_batch_has_no_bars_and_no_findings():
    result = checked(GOOD | {"close": None})
    assert result.bars.is_empty() and rules(result, "flagged") == []


def test_a_frame_without_a_required_column_is_refused():
    with pytest.raises(BadData, match="close is missing"):
        rows(pl.DataFrame({"symbol": ["A"], "session": [DAYS[0]]}), file="f")


def mostly(*good):
    """One of the good values nine times in ten, else something that no number of a bar may be."""
    return st.sampled_from([*(good * (45 // len(good))), math.nan, math.inf, -1.0, 0.0, None])


bar = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["A", "B", "<script>", "A", "B", None]),
        "session": st.sampled_from([*DAYS[:8], dt.date(2020, 1, 4), None]),
        "open": mostly(None, 1.0, 2.5),
        "high": mostly(None, 3.0),
        "low": mostly(None, 1.0),
        "close": mostly(2.0, 1.1, 3.0003),
        "volume": mostly(None, 0.0, 9.0),
        "iv": mostly(None, 0.2),
    }
)
batches = st.lists(bar, min_size=1, max_size=12).flatmap(lambda bars: st.permutations(bars + bars[: len(bars) // 2]))


@settings(deadline=None)
@given(batches)
def test_every_row_becomes_a_bar_or_has_one_finding_that_says_why_not(batch):
    result = checked(*batch)
    gone = result.findings.filter((pl.col("action") == "quarantined") | (pl.col("rule") == "exact_duplicate"))
    assert len(batch) == len(result.bars) + len(gone) == result.counts["read"].sum()
    assert len(result.bars) == result.counts["kept"].sum()
    assert gone["row"].n_unique() == len(gone) and gone["detail"].null_count() == 0
    assert result.findings.schema == FINDINGS


@settings(deadline=None)
@given(batches)
def test_what_is_kept_satisfies_the_contract_and_passes_again(batch):
    bars = checked(*batch).bars
    assert bars.schema == SCHEMA
    assert bars.equals(bars.sort("symbol", "session")) and not bars.select("symbol", "session").is_duplicated().any()
    assert bars.select(pl.col(NUMBERS).is_finite().all()).row(0) == (True,) * len(NUMBERS)
    assert (bars["close"] > 0).all() and (bars["adj"] > 0).all()
    again = checked(*bars.to_dicts()) if len(bars) else None
    assert again is None or again.bars.equals(bars)


@settings(deadline=None)
@given(batches, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_neither_bars_nor_hash(batch, random):
    shuffled = random.sample(batch, len(batch))
    assert checked(*shuffled).bars.equals(checked(*batch).bars)
    bars = checked(*batch).bars
    assert content_hash(bars.sample(fraction=1, shuffle=True, seed=1)) == content_hash(bars)


@pytest.mark.parametrize("column", SCHEMA.names())
def test_the_hash_changes_with_any_value(column):
    bars = checked(*history([1.0, 2.0, 3.0])).bars
    other = {"symbol": pl.lit("B"), "session": pl.col("session") + pl.duration(days=1), "quoted": pl.lit(False)}
    value = other.get(column, pl.col(column).fill_null(7.0) + 1e-9)
    changed = bars.with_columns(pl.when(pl.int_range(pl.len()) == 2).then(value).otherwise(column).alias(column))
    assert content_hash(changed) != content_hash(bars)


@given(st.lists(st.tuples(st.sampled_from(["A", "B", None]), st.sampled_from([1, 2, 3, None]))), st.booleans())
@settings(deadline=None)
def test_rows_are_ordered_as_a_stable_sort_orders_them(keys, already):
    frame = pl.DataFrame(keys, schema={"symbol": pl.String, "session": pl.Int64}, orient="row").with_row_index()
    frame = frame.sort("symbol", "session") if already else frame
    expected = frame.sort("symbol", "session", maintain_order=True)
    assert sorted_by(frame, ("symbol", "session")).equals(expected)
