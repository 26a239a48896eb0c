"""When an association is too good to be honest."""

import pytest

from bq.audit.association import Association, Shift
from bq.audit.leaks import _too_good

FALLS, RISES, UNKNOWN = Shift(0.2, 0.3, 0.01), Shift(0.6, -0.1, 0.01), Shift()


@pytest.mark.parametrize(
    ("value", "error", "shifts", "accused"),
    [
        pytest.param(0.30, 0.02, (FALLS, FALLS), True, id="strong, and falls"),
        pytest.param(-0.30, 0.02, (FALLS, FALLS), True, id="strongly against, and falls"),
        pytest.param(0.30, 0.02, (FALLS, UNKNOWN), True, id="falls where it is known"),
        pytest.param(0.30, 0.02, (RISES, FALLS), False, id="rises first"),
        pytest.param(0.30, 0.02, (FALLS, RISES), False, id="rises later"),
        pytest.param(0.30, 0.02, (UNKNOWN, UNKNOWN), False, id="no shift is known"),
        pytest.param(0.30, 0.03, (FALLS, FALLS), False, id="not surely strong"),
        pytest.param(0.60, 0.02, (UNKNOWN, UNKNOWN), True, id="beyond doubt without shifts"),
        pytest.param(0.60, 0.02, (RISES, RISES), True, id="beyond doubt whatever the shifts"),
        pytest.param(float("nan"), float("nan"), (UNKNOWN, UNKNOWN), False, id="no figure"),
    ],
)
def test_a_feature_is_accused_where_it_is_surely_too_strong_and_falls(value, error, shifts, accused):
    assert _too_good(Association(value, error, 100), dict(zip((1, 5), shifts, strict=True))) is accused
