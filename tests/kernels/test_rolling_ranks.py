import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

from bq.kernels.ranks import rank_rows


def by_scipy(values):
    """Mean ranks from 1 to n as shares of the row, around zero."""
    ranks = rankdata(values, axis=1, nan_policy="omit")
    return (ranks - 0.5) / np.isfinite(ranks).sum(axis=1, keepdims=True) - 0.5


some = st.sampled_from([np.nan, 0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, 1e-38, -1e-45, 3e38])


@settings(deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 12)), elements=some | st.floats(width=32)))
def test_ranks_are_scipys(values):
    assert rank_rows(values).shape == values.shape
    np.testing.assert_allclose(rank_rows(values), by_scipy(values), atol=1e-6)


@settings(deadline=None)
@given(arrays(np.float32, (3, 8), elements=st.floats(-100, 100, width=32)))
def test_ranks_of_a_row_add_to_zero_and_ignore_what_keeps_the_order(values):
    ranks = rank_rows(values)
    np.testing.assert_allclose(ranks.sum(axis=1), 0.0, atol=1e-5)
    np.testing.assert_array_equal(rank_rows(2.0 * values), ranks)


def test_a_row_of_one_stands_in_the_middle_and_an_empty_one_nowhere():
    np.testing.assert_array_equal(rank_rows(np.array([[np.nan, 7.0], [np.nan, np.nan]])), [[np.nan, 0.0], [np.nan] * 2])


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)], ids=str)
def test_nothing_has_no_ranks(shape):
    assert rank_rows(np.empty(shape, np.float32)).shape == shape
