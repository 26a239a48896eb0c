"""The event table: ids, weights, required columns, feature matrices."""

import datetime as dt
import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bq import strategies
from bq.core.errors import BadData, BadParameters
from bq.strategies.events import HEAD, FeatureSet, average_uniqueness, conform, event_id, matured, refuse_leaks
from bq.strategies.task import Task

FEATURES = FeatureSet("two", ("b", "a"))
TASK = Task(("Loss", "Minor", "Good"), (0.0, 0.05))
T0 = dt.datetime(2020, 1, 6, 21, tzinfo=dt.UTC)


def day(n: float) -> dt.datetime:
    return T0 + dt.timedelta(days=n)


def table(**changes) -> pl.DataFrame:
    """Three events that hold, two closed and one open, with columns replaced."""
    columns = {
        "event_id": ["x", "y", "z"],
        "strategy": ["s"] * 3,
        "symbol": ["B", "A", "A"],
        "variant": ["v"] * 3,
        "session": [T0.date()] * 3,
        "t0": [day(1), day(1), day(0)],
        "t1": [day(5), None, day(4)],
        "t1_due": [day(9), day(9), day(8)],
        "taken": [True] * 3,
        "source": ["modelled"] * 3,
        "weight": [1.0, 0.5, 0.25],
        "score": [50.0, 60.0, 70.0],
        "a": [1, 2, 3],
        "b": [0.5, None, float("nan")],
        "outcome": [0.1, None, -1.0],
        "label": [2, None, 0],
        "detail": ["kept", "out", "here"],
    }
    return pl.DataFrame({**columns, **changes}, strict=False)


def test_conforming_events_have_the_contracts_columns_order_and_types():
    frame = conform(table(), FEATURES, TASK)
    assert frame.columns == [*HEAD, "b", "a", "outcome", "label"]
    assert [frame[name].dtype for name in HEAD] == list(HEAD.values())
    assert frame.schema["a"] == frame.schema["b"] == pl.Float32
    assert frame["event_id"].to_list() == ["z", "y", "x"]  # by time, then symbol
    assert conform(frame, FEATURES, TASK).equals(frame, null_equal=True)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        *(({name: [None] * 3}, f"no missing {name}") for name in HEAD if name != "t1"),
        ({"score": [1.0, float("nan"), 2.0]}, "no missing score"),
        ({"weight": [1.0, float("nan"), 2.0]}, "no missing weight"),
        ({"event_id": ["x", "x", "z"]}, "unique"),
        ({"a": [1.0, float("inf"), 2.0]}, "infinite ones: a"),
        ({"a": [1.0, 1e300, 2.0]}, "infinite ones: a"),
        ({"outcome": [float("inf"), None, 0.0]}, "infinite ones: outcome"),
        ({"t1_due": [day(9), day(1), day(8)]}, "t0 < t1 <= t1_due, but 1 do not, the first is y (A"),
        ({"t1": [day(9.5), None, day(4)]}, "t0 < t1 <= t1_due"),
        ({"t1": [day(1), None, day(4)]}, "t0 < t1 <= t1_due"),
        ({"t1": [None, None, day(4)]}, "none of them while open"),
        ({"outcome": [None, None, 0.0]}, "none of them while open"),
        ({"outcome": [float("nan"), None, 0.0]}, "none of them while open"),
        ({"label": [None, None, 0]}, "none of them while open"),
        ({"label": [2, 1, 0]}, "none of them while open"),
        ({"source": ["modelled", "guessed", "real"]}, "`source`"),
        ({"a": ["one", "two", "three"]}, "`a` as Float32, but it is String"),
        ({"session": ["soon"] * 3}, "`session` as Date"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[:30],
)
def test_each_violation_of_the_contract_is_refused_and_named(changes, says):
    with pytest.raises(BadData) as caught:
        conform(table(**changes), FEATURES, TASK)
    assert says in str(caught.value)


@pytest.mark.parametrize("name", [*HEAD, "a", "outcome", "label"])
def test_a_missing_column_is_named(name):
    with pytest.raises(BadData, match=f"lack: {name}"):
        conform(table().drop(name), FEATURES, TASK)


def test_no_events_conform_too():
    assert conform(table().clear(), FEATURES, TASK).is_empty()


def test_features_come_in_the_order_of_the_set_with_missing_as_nan():
    matrix = FEATURES.matrix(table())
    assert matrix.dtype == np.float32 and matrix.shape == (3, 2)
    np.testing.assert_array_equal(matrix, np.array([[0.5, 1], [np.nan, 2], [np.nan, 3]], np.float32))
    assert FEATURES.matrix(table().clear()).shape == (0, 2)


def test_a_matrix_without_its_features_names_the_missing_and_the_unexpected():
    with pytest.raises(BadData) as caught:
        FEATURES.matrix(table().rename({"a": "aa"}))
    message = str(caught.value)
    assert "missing: a;" in message and "unexpected: aa, detail." in message
    assert "two" in message and FEATURES.schema_hash in message


def test_a_schema_hash_depends_on_names_and_order_only():
    assert FeatureSet("other", ("b", "a")).schema_hash == FEATURES.schema_hash
    hashes = {
        FeatureSet("x", names).schema_hash for names in [("a", "b"), ("b", "a"), ("ab",), ("a",), ("a", "b", "c")]
    }
    assert len(hashes) == 5


@pytest.mark.parametrize("leak", ["score", "outcome", "label", "t1", "total_score", "fourier_score"])
def test_a_feature_set_that_names_the_score_or_the_answer_is_refused(leak):
    with pytest.raises(BadParameters, match=f"names {leak}"):
        refuse_leaks(FeatureSet("leaky", ("a", leak)))


def test_an_honest_feature_set_passes():
    assert refuse_leaks(FEATURES) is FEATURES


def test_an_event_keeps_its_id():
    assert event_id("butterfly", "AAPL", "2010-01-08T21:00:00Z", "v-1") == "83dafa8b4025e6fd171728212ad9e60f"


@given(st.sets(st.tuples(*[st.text(alphabet="ab1-", max_size=3)] * 4), min_size=2, max_size=20))
def test_different_decisions_have_different_ids(decisions):
    assert len({event_id(*decision) for decision in decisions}) == len(decisions)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        # López de Prado 2018, section 4.4, and the indicator matrix of RiskLab's tests
        ([0, 2, 4], [2, 3, 5], [0.8333, 0.75, 1.0]),
        ([0, 1, 0], [2, 3, 1], [0.44444, 0.61111, 0.41667]),
        ([7], [7], [1.0]),
        ([3, 3], [9, 9], [0.5, 0.5]),
    ],
    ids=["lopez-de-prado", "risklab", "alone", "twins"],
)
def test_average_uniqueness_is_that_of_the_literature(first, last, expected):
    assert average_uniqueness(np.array(first), np.array(last)) == pytest.approx(expected, abs=5e-5)


@given(arrays(np.int64, st.tuples(st.integers(0, 12), st.just(2)), elements=st.integers(0, 15)))
@hypothesis_settings(max_examples=60)
def test_average_uniqueness_is_the_mean_share_of_each_bar(intervals):
    first, last = intervals.min(axis=1, initial=99), intervals.max(axis=1, initial=0)
    spans = [set(range(a, b + 1)) for a, b in zip(first, last, strict=True)]
    expected = [np.mean([1 / sum(bar in other for other in spans) for bar in span]) for span in spans]
    assert average_uniqueness(first, last) == pytest.approx(expected, rel=1e-6)


def test_classes_hold_their_lower_edge():
    task = Task(("Loss", "Minor", "Good", "Excellent"), (-0.10, 0.05, 0.15))
    outcomes = pl.DataFrame({"outcome": [-1.0, -0.1000001, -0.10, 0.0499, 0.05, 0.1499, 0.15, 9.0, None]})
    assert outcomes.select(task.label(pl.col("outcome"))).to_series().to_list() == [0, 0, 1, 1, 2, 2, 3, 3, None]


def test_a_standing_is_the_z_score_within_the_session_cut_at_three():
    outcomes = [*np.linspace(-0.2, 0.2, 40), 9.0, None]
    frame = pl.DataFrame(
        {"session": [1] * 42 + [2] * 4 + [3] * 6, "outcome": [*outcomes, 1.0, 2.0, 3.0, 4.0, *[0.5] * 6]}
    )
    label = frame.select(Task().label(pl.col("outcome"))).to_series()
    known = np.array(outcomes[:-1], float)
    expected = (known - known.mean()) / known.std(ddof=1)
    assert expected[-1] > 3.0
    assert label[:41].to_list() == pytest.approx(np.clip(expected, -3.0, 3.0))
    assert label[41] is None, "open"
    assert label[42:46].null_count() == 4, "fewer than five outcomes have no standing"
    assert label[46:].null_count() == 6, "equal outcomes have no standing"


def test_an_outcome_without_a_standing_conforms():
    frame = conform(table(label=[None, None, 1.5]), FEATURES, Task())
    assert frame["label"].dtype == pl.Float64
    with pytest.raises(BadData, match="none of them while open"):
        conform(table(label=[0.1, 0.2, 1.5]), FEATURES, Task())


def test_events_count_once_due_whether_or_not_they_closed_early():
    assert matured(table(), cut=day(8))["event_id"].to_list() == ["z"]
    assert matured(table(), cut=day(9))["event_id"].to_list() == ["x", "z"]
    assert matured(table(), cut=day(7)).is_empty()


def test_an_unknown_strategy_is_refused_with_the_nearest_name():
    with pytest.raises(BadParameters, match="did you mean `butterfly`"):
        strategies.get("buterfly")


@pytest.mark.parametrize("name", strategies.MODULES)
def test_no_feature_set_of_a_strategy_leaks(name):
    strategy = strategies.get(name)
    for features in strategy.table.feature_sets:
        assert refuse_leaks(features) is features
    names = [features.columns for features in strategy.table.feature_sets]
    assert all(one != other for one, other in itertools.combinations(names, 2))
