"""Time is divided without a gap and without an overlap, in order."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bq.core.errors import BadData
from bq.core.settings import Tuning
from bq.tuning.windows import SHORTEST, divide


def days(n: int) -> np.ndarray:
    return np.datetime64("2010-01-04") + np.arange(n)


def test_ten_years_are_divided_by_the_default_shares():
    windows = divide(days(2000), Tuning())
    spans = [windows.train, *windows.folds, windows.holdout]
    assert [(span.end - span.start).days + 1 for span in spans] == [500, 275, 275, 275, 275, 400]


@given(n=st.integers(400, 4000), train=st.floats(0.05, 0.6), holdout=st.floats(0.05, 0.3), folds=st.integers(2, 6))
def test_every_session_lies_in_exactly_one_span(n, train, holdout, folds):
    assume(train + holdout <= 0.9)
    tuning = Tuning(train_share=train, holdout_share=holdout, folds=folds)
    try:
        windows = divide(days(n), tuning)
    except BadData:
        assume(False)
    spans = [windows.train, *windows.folds, windows.holdout]
    assert all((after.start - before.end).days == 1 for before, after in itertools.pairwise(spans))
    assert (spans[0].start, spans[-1].end) == (days(n)[0].item(), days(n)[-1].item())
    assert min((span.end - span.start).days + 1 for span in spans[1:]) >= SHORTEST


def test_shares_that_leave_no_validation_are_refused():
    with pytest.raises(ValueError, match="leave a tenth or more of the time for validation"):
        Tuning(train_share=0.5, holdout_share=0.5)
