"""A labelled table read: names, units, dates, refusals, labels; every row and every column accounted for."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from labelled_samples import BUTTERFLY, NOW, settings_of, table

from bq import strategies
from bq.core.errors import BadData, BadParameters
from bq.strategies.labelled import table as labelled

FRIDAY = dt.date(2019, 5, 31)  # a session of New York
CLOSE = dt.datetime(2019, 5, 31, 20, tzinfo=dt.UTC)  # 16:00 in New York, summer time
IV = 0.25


def small(**changes) -> pl.DataFrame:
    """Four decisions of one session, held 21 days; columns replaced, or with None taken out."""
    columns = {
        "symbol": ["A", "B", "C", "D"],
        "date": [FRIDAY] * 4,
        "holding_days": [21] * 4,
        "score": [50.0, 60.0, 70.0, 40.0],
        "current_iv": [IV, 0.3, 0.35, 0.4],
        "roi": [-0.5, 0.0, 0.1, 0.6],
        **changes,
    }
    return pl.DataFrame({name: values for name, values in columns.items() if values is not None})


def wide(seed: int = 3) -> pl.DataFrame:
    """Enough rows for what values say, on many sessions."""
    return table(sessions=60, symbols=5, seed=seed).rename({"roi": "outcome"})


def read(frame: pl.DataFrame, folder, overrides: str = "", *, name: str = "t.parquet", now=NOW):
    """What became of a table, with no limit on the share of refused rows unless one is set."""
    path = folder / name
    frame.write_parquet(path) if name.endswith("parquet") else frame.write_csv(path)
    settings = settings_of(f"market.max_quarantine_share=1.0 {overrides}")
    return labelled.read(path, strategies.of(settings), settings, now=now)


def reasons(found) -> dict[int, str]:
    """Rule by row of what was refused."""
    refused = found.findings.filter(pl.col("action") == "quarantined")
    return dict(refused.select("row", "rule").rows())


# ---- what is read


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_a_row_becomes_the_event_that_it_says(tmp_path, name):
    event = read(small(), tmp_path, name=name).events.row(0, named=True)
    assert event["t0"] == CLOSE
    assert event["t1_due"] == event["t1"] == dt.datetime(2019, 6, 21, 20, tzinfo=dt.UTC)  # 21 days later, a Friday
    assert (event["symbol"], event["session"], event["outcome"], event["score"]) == ("A", FRIDAY, -0.5, 50.0)
    assert (event["current_iv"], event["source"], event["taken"], event["variant"]) == (IV, "real", True, "labelled")


def test_ids_depend_on_the_decision_alone(tmp_path):
    once = read(small(), tmp_path).events["event_id"].to_list()
    again = read(small(roi=[0.1, 0.2, 0.3, 0.4]).reverse(), tmp_path, name="other.csv").events["event_id"].to_list()
    assert once == again[::-1]
    assert len(set(once)) == 4


def test_ids_are_those_of_the_same_decision_built_from_bars(tmp_path):
    exported = small(variant=["butterfly-1a2b3c4d"] * 4).rename({"date": "session"})
    exported = exported.with_columns(t0=pl.lit(CLOSE), event_id=pl.lit("not read"))
    found = read(exported, tmp_path).events
    assert found["event_id"][0] == strategies.events.event_id(
        "butterfly", "A", "2019-05-31T20:00:00+00:00", "butterfly-1a2b3c4d"
    )


NAMES = {
    "another_system": ({"roi": "Actual ROI", "score": "Total_Score", "symbol": "Ticker", "date": "scan_date"}, ""),
    "stated": ({"roi": "pnl", "score": "mine"}, "market.columns={outcome:\u0020pnl,score:\u0020mine}"),
}


@pytest.mark.parametrize("case", NAMES)
def test_columns_are_recognised_or_stated(tmp_path, case):
    names, _ = NAMES[case]
    overrides = 'market.columns={"outcome":"pnl","score":"mine"}' if case == "stated" else ""
    found = read(small().rename(names), tmp_path, overrides).events
    assert found["outcome"].to_list() == [-0.5, 0.0, 0.1, 0.6]
    assert found["score"].to_list() == [50.0, 60.0, 70.0, 40.0]


def test_every_column_has_a_place_or_a_reason(tmp_path):
    frame = small(exit_price=[1.0] * 4, my_edge=[1, 2, 3, 4], comment=["x"] * 4)
    columns = read(frame, tmp_path).columns
    assert columns["column"].sort().to_list() == sorted(frame.columns)
    why = dict(columns.filter(pl.col("read_as").is_null()).select("column", "note").rows())
    assert why == {
        "exit_price": "its name says that it is known only after t0 (exit)",
        "my_edge": "no feature that is asked for",
        "comment": "no feature that is asked for",
    }


def test_features_of_the_users_own_are_read_and_others_stay_missing(tmp_path):
    overrides = 'market.labelled.features=["current_iv","my_edge","trend_slope"]'
    with pytest.raises(BadData, match="my_edge"):
        read(small(), tmp_path, overrides)
    found = read(small(my_edge=[1.5, None, 2.0, 3.0]), tmp_path, 'market.labelled.features=["current_iv","my_edge"]')
    assert found.events["my_edge"].to_list() == [1.5, None, 2.0, 3.0]


# ---- units

PERCENT = [-50.0, 0.0, 10.0, 60.0]


@pytest.mark.parametrize(
    ("frame", "overrides"),
    [
        pytest.param(small(roi=PERCENT), 'market.labelled.percent=["outcome"]', id="stated"),
        pytest.param(small(roi=None, roi_pct=PERCENT), "", id="by_its_name"),
        pytest.param(small(roi=None).with_columns(pl.Series("ROI [%]", PERCENT)), "", id="by_its_sign"),
        pytest.param(small(roi=["-50%", "0 %", "10%", "60%"]), "", id="by_its_values"),
    ],
)
def test_percent_becomes_a_fraction_where_somebody_says_so(tmp_path, frame, overrides):
    assert read(frame, tmp_path, overrides).events["outcome"].to_list() == pytest.approx([-0.5, 0.0, 0.1, 0.6])


@pytest.mark.parametrize(
    ("frame", "overrides", "said"),
    [
        pytest.param(small(roi=PERCENT), "", r"`outcome` must be a fraction.*percent: \[outcome\]", id="roi_percent"),
        pytest.param(small(current_iv=[25.0, 30, 35, 40]), "", "`current_iv` must be an annual vola", id="iv_percent"),
        pytest.param(small(), 'market.labelled.percent=["outcome"]', "read as per cent", id="roi_fraction"),
        pytest.param(small(), 'market.labelled.percent=["current_iv"]', "read as per cent", id="iv_fraction"),
        pytest.param(small(), 'market.labelled.percent=["roi"]', "must name numbers of the table", id="unknown_name"),
        pytest.param(small(roi=[-2.0, 0.1, 0.2, 0.3]), "", "25% of its values lie outside", id="more_than_the_risk"),
    ],
)
def test_a_unit_that_the_values_contradict_is_refused_with_both_ways_out(tmp_path, frame, overrides, said):
    with pytest.raises(BadData, match=said):
        read(frame, tmp_path, overrides)


def test_a_volatility_of_zero_was_not_computed_and_is_missing(tmp_path):
    found = read(small(current_iv=[0.0, 0.3, 0.35, 0.4]), tmp_path)
    assert found.events["current_iv"].to_list() == [None, 0.3, 0.35, 0.4]
    note = found.columns.filter(pl.col("column") == "current_iv")["note"].item()
    assert note == "1 without a value"


# ---- rows that are refused

LATE = dt.datetime(2019, 6, 10, tzinfo=dt.UTC)  # before the labels of `small` are due


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        pytest.param({"symbol": [" ", "B", "C", "D"]}, "no_symbol", id="symbol"),
        pytest.param({"date": [None, FRIDAY, FRIDAY, FRIDAY]}, "no_date", id="date"),
        pytest.param({"date": [dt.date(2019, 6, 1), FRIDAY, FRIDAY, FRIDAY]}, "not_a_session", id="saturday"),
        pytest.param({"date": [dt.date(2026, 3, 2), FRIDAY, FRIDAY, FRIDAY]}, "future", id="future"),
        pytest.param({"score": [None, 60.0, 70.0, 40.0]}, "no_score", id="score"),
        pytest.param({"score": ["high", "60", "70", "40"]}, "unreadable", id="text_for_a_number"),
        pytest.param({"score": [float("inf"), 60.0, 70.0, 40.0]}, "unreadable", id="infinite"),
        pytest.param({"roi": [None, 0.0, 0.1, 0.6]}, "no_outcome", id="due_without_outcome"),
        pytest.param({"holding_days": [None, 21, 21, 21]}, "no_due", id="no_holding"),
        pytest.param({"holding_days": [0, 21, 21, 21]}, "ends_before", id="ends_at_once"),
        pytest.param({"exit_date": [dt.date(2019, 6, 24), *[FRIDAY + dt.timedelta(3)] * 3]}, "after_due", id="late"),
        pytest.param({"exit_date": [FRIDAY, *[FRIDAY + dt.timedelta(3)] * 3]}, "ends_before", id="ends_at_t0"),
        pytest.param({"strategy": ["forecast", *["butterfly"] * 3]}, "other_strategy", id="strategy"),
        pytest.param({"source": ["paper", *["real"] * 3]}, "unknown_source", id="source"),
        pytest.param({"source": ["simulated", *["modelled"] * 3]}, "other_source", id="simulated"),
    ],
)
def test_each_row_that_cannot_be_an_event_is_refused_for_its_reason(tmp_path, changes, rule):
    found = read(small(**changes), tmp_path)
    assert len(found.events) == 3
    assert reasons(found) == {1: rule}


def test_a_value_outside_its_unit_refuses_its_row(tmp_path):
    frame = wide().with_columns(current_iv=pl.when(pl.int_range(pl.len()) == 0).then(7.0).otherwise("current_iv"))
    found = read(frame, tmp_path)
    assert len(found.events) == 299
    assert reasons(found) == {1: "current_iv_outside"}


def test_what_is_not_due_yet_is_an_open_event(tmp_path):
    found = read(
        small(roi=[None, 0.0, 0.1, 0.6], exit_date=[None, *[FRIDAY + dt.timedelta(5)] * 3]), tmp_path, now=LATE
    )
    assert reasons(found) == {}
    assert found.events["t1"].null_count() == found.events["outcome"].null_count() == 1


def test_an_outcome_cannot_be_known_before_it_ended(tmp_path):
    assert reasons(read(small(), tmp_path, now=LATE)) == dict.fromkeys([1, 2, 3, 4], "ends_in_future")


def test_copies_are_dropped_and_rows_that_contradict_each_other_refused(tmp_path):
    copy, other = small().head(1), small().row(1, named=True) | {"roi": 0.9}
    found = read(pl.concat([small(), copy, pl.DataFrame([other], schema=small().schema)]), tmp_path)
    assert found.events["symbol"].to_list() == ["A", "C", "D"]
    assert reasons(found) == {2: "decided_twice", 6: "decided_twice"}
    assert found.counts.select("symbol", "read", "copies").rows() == [
        ("A", 2, 1),
        ("B", 2, 0),
        ("C", 1, 0),
        ("D", 1, 0),
    ]


def test_a_column_that_tells_decisions_apart_makes_them_several(tmp_path):
    both = pl.concat([small(leg=["near"] * 4), small(leg=["far"] * 4, roi=[0.2] * 4)])
    assert set(reasons(read(both, tmp_path)).values()) == {"decided_twice"}
    found = read(both, tmp_path, 'market.columns={"variant":"leg"}')
    assert found.events["event_id"].n_unique() == 8


def test_too_many_refused_rows_refuse_the_table_and_say_why(tmp_path):
    frame = small(score=[None, 60.0, 70.0, 40.0])
    with pytest.raises(BadData, match=r"at most 2\.0% of the rows .*1 of 4.*no_score.*first row 1"):
        read(frame, tmp_path, "market.max_quarantine_share=0.02")


# ---- tables that are refused


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        pytest.param(small(score=None, roi=None), "`outcome`.* and `score`", id="all_that_is_missing_at_once"),
        pytest.param(small(holding_days=None), "`market.labelled.holding_days: 40`", id="no_latest_end"),
        pytest.param(
            small(actual_roi=[0.0] * 4), "one column may hold `outcome`, but 'roi' and 'actual_roi'", id="two"
        ),
        pytest.param(small().clear(), "must hold rows", id="empty"),
        pytest.param(small(date=["31/05/2019", "03/06/2019", "04/06/2019", "x"]), "dates", id="no_date"),
        pytest.param(small(date=["2019-05-31 10:30:00"] * 4), "must carry a time zone", id="no_zone"),
        pytest.param(small(date=["05/06/2019"] * 4), "reads both ways", id="both_ways"),
    ],
)
def test_a_table_that_cannot_be_read_says_what_must_hold(tmp_path, frame, said):
    with pytest.raises(BadData, match=said):
        read(frame, tmp_path)


def test_the_order_of_day_and_month_can_be_stated(tmp_path):
    found = read(small(date=["05/06/2019"] * 4), tmp_path, "market.dates=dmy")
    assert found.events["session"].unique().to_list() == [dt.date(2019, 6, 5)]


def test_a_holding_time_can_be_stated_for_all(tmp_path):
    found = read(small(holding_days=None), tmp_path, "market.labelled.holding_days=22")
    assert found.events["t1_due"][0] == dt.datetime(2019, 6, 24, 20, tzinfo=dt.UTC)  # a Saturday: the next session


def test_text_with_a_decimal_comma_is_read(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("symbol;date;holding_days;score;roi\nA;31.05.2019;21;50,5;-0,25\nB;31.05.2019;21;60;0,1\n")
    settings = settings_of()
    found = labelled.read(path, strategies.of(settings), settings, now=NOW).events
    assert found.select("score", "outcome").rows() == [(50.5, -0.25), (60.0, 0.1)]


@pytest.mark.parametrize("name", ["absent.parquet", "t.xlsx"])
def test_a_file_that_is_not_there_or_not_read_is_an_error_of_the_variable(tmp_path, name):
    (tmp_path / "t.xlsx").write_bytes(b"x")
    settings = settings_of()
    with pytest.raises(BadParameters, match="FROM_FILE must"):
        labelled.read(tmp_path / name, strategies.of(settings), settings, now=NOW)


@pytest.mark.parametrize("override", ["learning.regimes.states=3", "learning.gap_days=60"])
def test_parameters_that_need_bars_are_refused(override):
    with pytest.raises(BadParameters, match=r"must be null with market\.source: labelled"):
        settings_of(override)


# ---- labels


def test_labels_of_the_table_that_differ_from_the_edges_are_counted_and_not_used(tmp_path):
    frame = small(label=["Loss", "minor", "2", "Good"])  # edges -.10, .05, .15: Loss, Minor, Good, Excellent
    found = read(frame, tmp_path)
    (said,) = found.findings.filter(pl.col("rule") == "label_differs").select("row", "action", "detail").rows()
    assert said[:2] == (4, "flagged")
    assert said[2] == (
        "row says Good, the edges (-0.1, 0.05, 0.15) say Excellent; theirs are used, in 1 of 4 rows that differ"
    )


# ---- leaks


OWN = 'market.labelled.features=["vol_mispricing","my_edge"]'
RNG = np.random.default_rng(5)
LEAKS = {
    "the_outcome": pl.col("outcome"),
    "a_rank_of_it": pl.col("outcome").rank(),
    "falling_in_it": -pl.col("outcome").exp(),
    "its_class": (pl.col("outcome") > 0.05).cast(pl.Int64),
    "with_some_noise": pl.col("outcome") + pl.Series(0.05 * RNG.standard_normal(300)),
    "within_a_session": pl.col("outcome") + 100.0 * pl.col("date").dt.epoch("d") ** 2 * 1e-6,
    "missing_with_it": pl.when(pl.col("outcome") > 0).then(pl.Series(RNG.standard_normal(300))),
    "the_score": pl.col("total_score") ** 3,
}


@pytest.mark.parametrize("case", LEAKS)
def test_a_feature_that_knows_the_answer_is_refused_by_its_values(tmp_path, case):
    with pytest.raises(BadData, match=r"`my_edge`: (it|within)"):
        read(wide().with_columns(my_edge=LEAKS[case]), tmp_path, OWN)


def test_a_feature_that_only_an_outcome_fills_is_refused(tmp_path):
    frame, now = wide(), dt.datetime(2013, 2, 25, tzinfo=dt.UTC)
    due = pl.col("date") + pl.duration(days=25) > pl.lit(now.date())
    frame = frame.with_columns(
        outcome=pl.when(~due).then("outcome"),
        exit_date=pl.when(~due).then("exit_date"),
        my_edge=pl.when(~due).then(pl.Series(RNG.standard_normal(300))),
    )
    assert 10 <= frame["outcome"].null_count() <= 30
    with pytest.raises(BadData, match=r"missing in all \d+ open events"):
        read(frame, tmp_path, OWN, now=now)


@pytest.mark.parametrize(
    "name", ["exit_spread", "realizedVol", "pnl_5d", "fwd_return", "next_open", "my_score", "LEAD", "days_to_exit"]
)
def test_a_feature_is_refused_by_a_name_that_is_known_later(tmp_path, name):
    frame = wide().with_columns(pl.Series(name, RNG.standard_normal(300)))
    with pytest.raises((BadData, BadParameters), match=name):
        read(frame, tmp_path, f'market.labelled.features=["vol_mispricing","{name}"]')
    stated = f'market.columns={{"known_then":"{name}"}}'
    found = read(frame, tmp_path, f'market.labelled.features=["vol_mispricing","known_then"] {stated}')
    assert found.events["known_then"].null_count() == 0


def test_a_score_that_knows_the_answer_is_refused(tmp_path):
    frame = wide().with_columns(total_score=pl.col("outcome").rank())
    with pytest.raises(BadData, match="the rule score must be known at t0, but it orders the events"):
        read(frame, tmp_path)


def test_ends_that_seem_to_be_the_actual_ones_are_flagged(tmp_path):
    held = pl.int_range(pl.len()) % 15 + 5
    exits = pl.col("date") + pl.duration(days=held)
    found = read(wide().with_columns(holding_days=held, exit_date=exits), tmp_path)
    (said,) = found.findings.filter(pl.col("rule") == "ends_when_due")["detail"]
    assert "after 1" in said and "give the longest planned one by market.labelled.holding_days" in said
    planned = read(wide().with_columns(exit_date=exits), tmp_path)  # the same exits, within 25 planned days
    assert planned.findings.is_empty()


def test_a_strong_honest_feature_passes(tmp_path):
    frame = table(sessions=60, symbols=5, strength=0.85, seed=1)
    found = read(frame, tmp_path)
    assert "vol_mispricing" in found.events.columns


def test_a_leaking_column_that_is_not_asked_for_is_left_out_with_its_reason(tmp_path):
    frame = wide().with_columns(wing_sigmas=pl.col("outcome").rank())
    found = read(frame, tmp_path)
    assert "wing_sigmas" not in found.events.columns
    (why,) = found.columns.filter(pl.col("column") == "wing_sigmas").select("read_as", "note").rows()
    assert why == (None, "it orders the events as their outcomes do (1.00)")


def test_the_shipped_table_of_the_samples_is_whole(tmp_path):
    found = read(table(sessions=60, symbols=5), tmp_path)
    assert len(found.events) == 300 and found.findings.is_empty()
    assert set(BUTTERFLY.feature_set("butterfly_v2").columns) <= set(found.events.columns)
