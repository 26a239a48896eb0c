"""The median that scales an order, against numpy's."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bq.kernels.technical import median_up_to

ROUNDED = st.floats(0.0, 5.0).map(lambda value: round(value, 12))  # nearer ones than 5 / 2^64 are not told apart
LEVELS = st.one_of(st.just(np.nan), st.sampled_from([0.0, 0.01, 0.02]), ROUNDED)


@given(st.lists(LEVELS, min_size=1, max_size=260).filter(lambda values: not np.isnan(values).all()))
def test_the_median_is_numpys_with_gaps_ties_and_zeros(values):
    values = np.array(values)
    known = values[np.isfinite(values)]
    assert median_up_to(values, known.size, known.max()) == np.median(known)
