"""What a reader of a scan sees: shared reasons once, sides from weights, nothing that says nothing."""

import datetime as dt
from dataclasses import replace

import polars as pl
import pytest

from bq import strategies
from bq.core import params, paths
from bq.jobs import scan, view
from bq.monitoring import deciding
from bq.monitoring.deciding import Decided
from bq.workbench import decisions

NO_MODEL = "no champion is deployed; no success-probability model is deployed"
RULE = {"tier": 3, "model": "rule score", "why_not_champion": "not_deployed", "why_not_second": "not_deployed"}
CHAMPION = {"tier": 1, "model": "m1", "threshold": 0.0, "predicted_class": None}


def answer(rows: list[dict], **common) -> pl.DataFrame:
    """Decisions; what is not given says nothing."""
    nothing = {
        **dict.fromkeys(("predicted_class", "class_probabilities", "confidence", "expected", "trained_through")),
        **dict.fromkeys(
            ("why_not_champion", "champion_fault", "why_not_second", "second_fault", "traded", "most_a_session")
        ),
        **{"threshold": 60.0, "should_trade": True, "in_sample": False, "outside_support": []},
    }
    named = [{"event_id": f"{i:032d}", "symbol": f"S{i}"} for i in range(len(rows))]
    whole = [{**name, **nothing, **common, **row} for name, row in zip(named, rows, strict=True)]
    return pl.DataFrame(whole, schema_overrides={"outside_support": pl.List(pl.String)}, infer_schema_length=None)


def settings_of(name: str, overrides: str = ""):
    return params.load(paths.parameters(name), strategies.get(name).settings, overrides=overrides)


def shown(name: str, rows: list[dict], overrides: str = "", **common) -> view.View:
    """The view of decisions of a strategy."""
    return view.of(answer(rows, **common), strategies.get(name), settings_of(name, overrides))


def told(name: str, row: dict, overrides: str = "") -> str:
    """The whole reason of a decision."""
    strategy = strategies.get(name)
    return decisions.reasons(answer([row]), strategy, settings_of(name, overrides)).own[0]


def test_a_reason_of_all_decisions_is_said_once():
    found = shown("butterfly", [{"score": 67.2}, {"score": 41.7, "should_trade": False}], **RULE)
    assert found.said == [
        f"Decided by rule score (tier 3); it trades what has a rule score at or above 60; {NO_MODEL}."
    ]
    assert found.table.columns == ["event", "symbol", "trade", "score"]
    assert found.table["trade"].to_list() == ["yes", "no"]


def test_the_only_decision_keeps_its_whole_reason():
    found = shown("butterfly", [{"score": 67.2}], **RULE)
    assert found.table["reason"].item() == f"rule score 67.2, at or above the 60 threshold; {NO_MODEL}"


def test_what_some_decisions_have_alone_stays_in_their_rows():
    rows = [{"outside_support": []}, {"outside_support": ["vix", "body; wing"]}]
    chances = {"class_probabilities": [0.6, 0.4], "threshold": 0.5, "should_trade": False, "score": 1.0}
    found = shown("butterfly", rows, **{**chances, "tier": 2, "model": "m2", "why_not_champion": "not_deployed"})
    assert found.said == [
        "Decided by m2 (tier 2); it trades what has P(Success) at or above 0.5; no champion is deployed."
    ]
    assert found.table["P(Success)"].to_list() == pytest.approx([0.4, 0.4])
    assert found.table["reason"].to_list() == [None, "outside the training support: vix, body; wing"]


def test_a_seen_session_is_said_once_although_each_expectation_differs():
    seen = {"in_sample": True, "trained_through": dt.datetime(2019, 1, 4, 21, tzinfo=dt.UTC)}
    rows = [{"expected": 0.25}, {"expected": 0.099, "should_trade": False}]
    found = shown("butterfly", rows, **{**CHAMPION, **seen, "threshold": 0.15, "score": 1.0})
    assert found.said == [
        "Decided by m1 (tier 1); it trades what has an expected ROI above 0.15; in sample, no evidence: the model was "
        "trained on events up to 2019-01-04."
    ]
    assert "reason" not in found.table.columns and found.own == ["", ""]


def test_the_best_of_a_session_are_said_once_and_who_is_not_among_them_in_its_row():
    rows = [{"expected": value, "should_trade": value > 0.2} for value in (0.3, 0.1, -0.1)]
    found = shown("butterfly", rows, **{**CHAMPION, "score": 1.0, "most_a_session": 1})
    assert "it trades the best 1 of the session, if they have an expected ROI above 0" in found.said[0]
    assert found.own == ["", "not among the best 1 of its session", ""]


def test_a_tier_that_cannot_answer_is_named_with_its_fault():
    fault = {"why_not_champion": "damaged", "champion_fault": "model m1: it was changed. Retrain."}
    said = told("forecast", {**RULE, **fault, "score": 0.25, "threshold": 0.0, "why_not_second": "no_second_tier"})
    assert said == (
        "rule score 0.2, at or above the 0 threshold; the champion cannot answer: model m1: it was changed. Retrain"
    )


WEIGHED = {"tier": 1, "model": "m1", "score": 0.78, "priority": 0.6, "probability": 0.403, "predicted_by": "champion"}
BACKTESTED = {
    "weighed": ("", {}, "P(R > 0) 0.403 (champion), rule score 0.780, mode score_enhancement"),
    "dropped": (
        "ml.prediction_mode=filter",
        {"priority": None},
        "P(R > 0) 0.403 (champion), below the 0.5 threshold: not traded",
    ),
    "refused": (
        "",
        {"priority": None, "traded": False},
        "P(R > 0) 0.403 (champion), not among those that the model expects enough of (policy.above, policy.k): not "
        "traded",
    ),
    "unknown": ("", {"predicted_by": None}, "rule score 0.780; no out-of-sample probability is known"),
    "not asked": (
        "ml.enabled=false",
        {"predicted_by": None},
        "rule score 0.780; no model is used (ml.enabled is false)",
    ),
}


@pytest.mark.parametrize(("more", "row", "said"), BACKTESTED.values(), ids=BACKTESTED)
def test_a_backtester_says_in_its_own_words_what_decided(more, row, said):
    assert told("breakout", {**WEIGHED, **row}, f"ml.enabled=true {more}") == said


GOOD = {"should_trade": False, "most_a_session": 2}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        pytest.param(
            {**CHAMPION, **GOOD, "expected": 0.2},
            "expected ROI 0.200, above the 0 threshold; not among the best 2 of its session",
            id="model",
        ),
        pytest.param(
            {**RULE, **GOOD, "score": 61.0},
            "rule score 61.0, at or above the 60 threshold; not among the best 2 of its session",
            id="rule",
        ),
    ],
)
def test_what_is_good_enough_and_not_among_the_best_says_so(row, said):
    assert told("butterfly", {"score": 1.0, **row}).startswith(said)


def test_a_portfolio_trades_what_has_a_weight_whatever_is_expected():
    rows = [{"score": 1.0, "expected": value, "should_trade": value > 0.0} for value in (0.2, 0.1, -0.1)]
    events = pl.DataFrame({"event_id": [f"{i:032d}" for i in range(3)], "volatility_60": 0.2, "sector": None})
    weights = {0.2: 0.5, 0.1: 0.0, -0.1: -0.5}

    def sizes(known: pl.DataFrame, by: str, settings) -> pl.Series:
        return pl.Series("weight", [weights[value] for value in known[by]])

    forecast = strategies.get("forecast")
    strategy = replace(forecast, value=replace(forecast.value, sizes=sizes))
    book = deciding.sized(answer(rows, **CHAMPION), events, strategy, settings_of("forecast"))
    assert book["should_trade"].to_list() == [True, False, True]
    assert book["rank"].to_list() == [1, 2, 3] and book["threshold"].is_null().all()


def test_a_portfolio_shows_what_its_weights_hold_whatever_is_expected():
    """An expectation above 0 may have no weight, and one below 0 be held short."""
    rows = [
        {"score": 1.0, "expected": 0.1, "weight": 0.5, "rank": 1},
        {"score": 0.0, "expected": 0.01, "weight": 0.0, "rank": 2},
        {"score": -1.0, "expected": -0.1, "weight": -0.5, "rank": 3, "should_trade": False},
    ]
    found = shown("forecast", rows, **CHAMPION)
    assert found.table["side"].to_list() == ["long", "none", "short"]
    assert found.table["weight [%]"].to_list() == [50.0, 0.0, -50.0]
    assert "expected z-score" in found.table.columns and not {"trade", "reason"} & set(found.table.columns)
    assert found.said[1] == "Portfolio bought from cash: 2 of 3 names, 50% long, 50% short."


def test_who_decided_stands_in_each_row_only_where_it_differs():
    found = shown("butterfly", [{**CHAMPION, "score": 1.0, "expected": 0.2}, {**RULE, "score": 0.5}])
    assert found.said == ["Decided by m1 (tier 1) or rule score (tier 3)."]
    assert found.table["tier"].to_list() == [1, 3]


AGAIN = "another scan of the session came first"
LATE = "made too late. The session closed at 2020-01-03 21:00 UTC, and a scan of it counted until the next open, "


@pytest.mark.parametrize(
    ("session", "decided", "another", "trusted", "why"),
    [
        pytest.param("2020-01-03", "2020-01-06 14:30", False, True, f"{LATE}2020-01-06 14:30 UTC", id="too late"),
        pytest.param(
            "2020-01-03",
            "2020-01-03 20:59",
            False,
            True,
            "made too early. The session closes at 2020-01-03 21:00 UTC",
            id="too early",
        ),
        pytest.param("2020-01-03", "2020-01-04 12:00", True, True, AGAIN, id="again"),
        pytest.param("2020-01-03", "2020-01-08 12:00", True, True, AGAIN, id="again, days later"),
        pytest.param(
            "2020-01-03",
            "2020-01-04 12:00",
            False,
            False,
            "the clock went back, so that it is not known when it was made",
            id="clock",
        ),
        pytest.param("2020-01-04", "2020-01-04 12:00", False, True, "2020-01-04 is no session of XNYS", id="Saturday"),
    ],
)
def test_a_scan_that_counts_nowhere_says_which_of_the_reasons_it_is(session, decided, another, trusted, why):
    at = dt.datetime.fromisoformat(decided).replace(tzinfo=dt.UTC)
    made = Decided(1, True, another, at, pl.DataFrame(), pl.DataFrame())
    said = scan.uncounted(made, dt.date.fromisoformat(session), calendar="XNYS", trusted=trusted)
    assert said == f"Counts in no statistic: {why}."


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        pytest.param(2, 1, ["n", "0", "1", "… 2 between", "4"], id="best and last"),
        pytest.param(2, 0, ["n", "0", "1", "… and 3 more"], id="best"),
        pytest.param(3, 2, ["n", "0", "1", "2", "3", "4"], id="all"),
    ],
)
def test_a_screen_shows_the_ends_of_a_long_table(first, last, expected):
    assert view.ends(pl.DataFrame({"n": range(5)}), first, last) == expected


@pytest.mark.parametrize(
    ("strategy", "row", "said"),
    [
        (
            "butterfly",
            {**CHAMPION, "threshold": 0.15, "expected": 0.2, "predicted_class": "Loss", "score": 40.0},
            "expected ROI 0.200, above the 0.15 threshold; class Loss speaks against it, but does not decide",
        ),
        (
            "butterfly",
            {**CHAMPION, "threshold": 0.15, "expected": 0.1, "predicted_class": "Excellent", "should_trade": False},
            "expected ROI 0.100, below the 0.15 threshold; class Excellent speaks for it, but does not decide",
        ),
        (
            "butterfly",
            {"tier": 2, "threshold": 0.3, "class_probabilities": [0.6, 0.4], "predicted_class": "Failure"}
            | {"expected": -0.01},
            "P(Success) 0.400, at or above the 0.3 threshold; class Failure and expected ROI -0.010 speak against it, "
            "but do not decide",
        ),
        (
            "breakout",
            {"tier": 1, "priority": 0.4, "score": 0.4, "probability": 0.45, "predicted_by": "the champion"}
            | {"predicted_class": "Loss", "expected": -0.01},
            "P(R > 0) 0.450 (the champion), rule score 0.400, mode score_enhancement; class Loss and expected R -0.010 "
            "speak against it, but do not decide",
        ),
        (
            "butterfly",
            {**CHAMPION, "threshold": 0.15, "expected": 0.2, "predicted_class": "Good", "score": 40.0},
            "expected ROI 0.200, above the 0.15 threshold",
        ),
    ],
    ids=["class", "class-for", "second-tier", "breakout", "agreed"],
)
def test_a_column_that_says_the_opposite_of_the_decision_is_named_with_what_decided(strategy, row, said):
    overrides = "ml.enabled=true" if strategy == "breakout" else ""
    assert told(strategy, row, overrides) == said


@pytest.mark.parametrize(
    ("level", "trade", "said"),
    [
        (
            "NEUTRAL",
            True,
            "level NEUTRAL speaks against it, but does not decide: BUY asks for a score of 60 or more (here 62.0) and "
            "a profit ratio above 1.5 (here 1.20)",
        ),
        (
            "BUY",
            False,
            "level BUY speaks for it, but does not decide: BUY asks for a score of 60 or more (here 62.0) and "
            "a profit ratio above 1.5 (here 1.20)",
        ),
        ("BUY", True, None),
        ("AVOID", False, None),
    ],
)
def test_a_level_that_says_the_opposite_of_the_decision_is_named_with_what_it_asks(level, trade, said):
    event = {"level": level, "score": 62.0, "profit_ratio": 1.2}
    found = strategies.get("butterfly").views.against(event, trade, settings_of("butterfly"))
    assert found == ([] if said is None else [said])
