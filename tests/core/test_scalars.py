import datetime as dt
import math

import numpy as np
import polars as pl
import pytest

from bq.core import scalars

DAY, MOMENT = dt.date(2024, 1, 2), dt.datetime(2024, 1, 2, 21, tzinfo=dt.UTC)

taken = {
    "mean": (scalars.number, pl.Series([1, 2]).mean(), 1.5),
    "numpy-float": (scalars.number, np.float64(0.5), 0.5),
    "numpy-int": (scalars.number, np.int64(2), 2.0),
    "present-or-none": (scalars.number_or_none, 2, 2.0),
    "mean-of-nothing": (scalars.number_or_none, pl.Series([], dtype=pl.Float64).mean(), None),
    "maximum": (scalars.count, pl.Series([1, 3]).max(), 3),
    "numpy-count": (scalars.count, np.int32(7), 7),
    "day": (scalars.day, pl.Series([DAY]).max(), DAY),
    "moment": (scalars.moment, pl.Series([MOMENT]).max(), MOMENT),
}
refused = {
    "no-number": (scalars.number, None),
    "text": (scalars.number, "1.5"),
    "true-is-no-number": (scalars.number, True),
    "text-or-none": (scalars.number_or_none, "1.5"),
    "fraction": (scalars.count, 1.0),
    "true-is-no-count": (scalars.count, True),
    "moment-is-no-day": (scalars.day, MOMENT),
    "day-is-no-moment": (scalars.moment, DAY),
}


@pytest.mark.parametrize(("take", "value", "expected"), taken.values(), ids=taken)
def test_a_value_of_a_frame_is_taken_with_its_type(take, value, expected):
    found = take(value)
    assert found == expected
    assert type(found) is type(expected)


def test_what_is_not_a_number_of_the_field_is_still_a_float():
    assert math.isnan(scalars.number(float("nan")))


@pytest.mark.parametrize(("take", "value"), refused.values(), ids=refused)
def test_a_value_of_another_type_is_refused_with_what_came(take, value):
    with pytest.raises(TypeError, match=f"must be given, but got .*{type(value).__name__}"):
        take(value)
