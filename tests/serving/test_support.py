"""What is frozen with a model about its training features."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bq.serving import support
from bq.strategies.events import FeatureSet

FEATURES = FeatureSet("two", ("a", "b"))
NAN = np.float32(np.nan)
VALUES = st.floats(-1e6, 1e6, width=32) | st.just(float("nan"))


def matrix(*columns) -> np.ndarray:
    return np.column_stack(columns).astype(np.float32)


def test_ten_bins_hold_a_tenth_each():
    x = matrix(np.random.default_rng(0).permutation(1000), np.zeros(1000))
    found = support.describe(FEATURES, x)
    assert found["a"]["counts"] == [100] * 10
    assert (found["a"]["low"], found["a"]["high"], found["a"]["missing"]) == (0.0, 999.0, 0)
    assert found["b"]["counts"] == [1000, 0], "one value makes one bin"


def test_missing_values_are_counted_apart():
    found = support.describe(FEATURES, matrix([1, 2, NAN, np.inf], [NAN] * 4))
    assert found["a"]["missing"] == 2 and sum(found["a"]["counts"]) == 2
    assert found["b"] == {"low": None, "high": None, "edges": [], "counts": [0], "missing": 4}


@hypothesis_settings(max_examples=60, deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(1, 40), st.just(2)), elements=VALUES))
def test_every_training_row_lies_inside_its_own_support_and_in_one_bin(x):
    found = support.describe(FEATURES, x)
    assert not support.outside(found, FEATURES, x).any()
    for name in FEATURES.columns:
        assert sum(found[name]["counts"]) + found[name]["missing"] == len(x)
        assert len(found[name]["counts"]) == len(found[name]["edges"]) + 1


@pytest.mark.parametrize(
    ("value", "out"),
    [(0.5, False), (1.0, False), (1.0001, True), (-9.0, True), (np.inf, True), (-np.inf, True), (NAN, False)],
    ids=["inside", "edge", "above", "below", "+inf", "-inf", "missing"],
)
def test_a_row_outside_is_named_by_feature(value, out):
    found = support.describe(FEATURES, matrix([0, 0.5, 1], [5, 6, 7]))
    assert support.outside(found, FEATURES, matrix([value], [6])).tolist() == [[out, False]]


def test_a_feature_that_training_never_had_is_outside_where_it_appears():
    found = support.describe(FEATURES, matrix([0, 1], [NAN, NAN]))
    assert support.outside(found, FEATURES, matrix([0.5, 0.5], [NAN, 3.0])).tolist() == [[False, False], [False, True]]


def test_the_order_in_which_the_reference_was_stored_does_not_matter():
    found = support.describe(FEATURES, matrix([0, 1], [5, 6]))
    turned = {"b": found["b"], "a": found["a"]}
    assert support.outside(turned, FEATURES, matrix([0.5, 5.5], [5.5, 0.5])).tolist() == [[False, False], [True, True]]
