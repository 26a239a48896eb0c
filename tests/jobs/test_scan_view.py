"""What a reader of a scan sees: shared reasons once, sides from weights, nothing that says nothing."""

import polars as pl
import pytest

from bq import strategies
from bq.core import params, paths
from bq.jobs import view

NO_MODEL = "champion: no model was deployed yet; success model: no model was deployed yet"


def shown(name: str, **columns) -> view.View:
    """The view of decisions of a strategy; what is not given says nothing."""
    n = len(columns["score"])
    given = {
        "event_id": [f"{i:032d}" for i in range(n)],
        "symbol": [f"S{i}" for i in range(n)],
        "model": ["rule score"] * n,
        "tier": [3] * n,
        "should_trade": [True] * n,
        "expected_roi": [None] * n,
        "predicted_class": [None] * n,
        "confidence": [None] * n,
    }
    strategy = strategies.get(name)
    settings = params.load(paths.parameters(name), strategy.settings)
    return view.of(pl.DataFrame({**given, **columns}), strategy, settings)


def test_a_reason_of_all_decisions_is_said_once():
    reasons = [f"rule score {score} against 60.0; {NO_MODEL}" for score in (67.2, 41.7)]
    found = shown("butterfly", score=[67.2, 41.7], reason=reasons, should_trade=[True, False])
    assert found.said == [f"Decided by rule score (tier 3); {NO_MODEL}."]
    assert found.table["reason"].to_list() == ["rule score 67.2 against 60.0", "rule score 41.7 against 60.0"]
    assert found.table.columns == ["event", "symbol", "trade", "score", "reason"]
    assert found.table["trade"].to_list() == ["yes", "no"]


def test_the_only_decision_keeps_its_whole_reason():
    found = shown("butterfly", score=[67.2], reason=[f"rule score 67.2 against 60.0; {NO_MODEL}"])
    assert found.table["reason"].item().endswith(NO_MODEL)


def test_what_some_decisions_have_alone_stays_in_their_rows():
    reasons = ["P 0.4 against 0.5; champion: none", "P 0.6 against 0.5; champion: none; outside the support: vix"]
    assert view.apart(reasons) == (
        ["champion: none"],
        ["P 0.4 against 0.5", "P 0.6 against 0.5; outside the support: vix"],
    )


def test_a_seen_session_is_said_once_although_each_expectation_differs():
    seen = "in sample, no evidence (the model was trained on events up to 2019-01-04)"
    assert view.apart([f"{seen}: expected outcome 0.1 against 0", f"{seen}: expected outcome 0.2 against 0"]) == (
        [seen],
        ["expected outcome 0.1 against 0", "expected outcome 0.2 against 0"],
    )


def test_a_portfolio_shows_what_its_weights_hold_whatever_is_expected():
    """An expectation above 0 may have no weight, and one below 0 be held short."""
    found = shown(
        "forecast",
        score=[1.0, 0.0, -1.0],
        reason=[
            "expected outcome 0.1 against 0.0",
            "expected outcome 0.01 against 0.0",
            "expected outcome -0.1 against 0",
        ],
        expected_roi=[0.1, 0.01, -0.1],
        should_trade=[True, True, False],
        weight=[0.5, 0.0, -0.5],
        rank=[1, 2, 3],
    )
    assert found.table["side"].to_list() == ["long", "none", "short"]
    assert found.table["weight [%]"].to_list() == [50.0, 0.0, -50.0]
    assert "expected standing" in found.table.columns and not {"trade", "reason"} & set(found.table.columns)
    assert found.said[1] == "Portfolio bought from cash: 2 of 3 names, 50% long, 50% short."


def test_who_decided_stands_in_each_row_only_where_it_differs():
    found = shown("breakout", score=[1.0, 0.5], reason=["a", "b"], tier=[1, 3], model=["m1", "rule score"])
    assert found.said == ["Decided by m1 (tier 1) or rule score (tier 3)."]
    assert found.table["tier"].to_list() == [1, 3]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        pytest.param(2, 1, ["n", "0", "1", "… 2 between", "4"], id="best and last"),
        pytest.param(2, 0, ["n", "0", "1"], id="best"),
        pytest.param(3, 2, ["n", "0", "1", "2", "3", "4"], id="all"),
    ],
)
def test_a_screen_shows_the_ends_of_a_long_table(first, last, expected):
    assert view.ends(pl.DataFrame({"n": range(5)}), first, last) == expected
