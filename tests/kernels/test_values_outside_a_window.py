"""A value outside a window never matters, however absurd: a figure is that of its window alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bq.kernels import rolling, technical

ABSURD = [1e8, 1e25, -1e25, 1e300, 1.7e308, np.inf]
absurd = pytest.mark.parametrize("value", ABSURD, ids="{:g}".format)
LENGTH = 20


def usual(seed, count=400):
    return 1e5 * np.exp(np.random.default_rng(seed).standard_normal(count))


def fading(value, count):
    """From a value down to 1, halving: no step is large, and all of them together are."""
    return np.maximum(value * 0.5 ** np.arange(count), 1.0)


def in_place(kernel, x, *rest):
    out = np.empty(len(x))
    kernel(x, *rest, out)
    return out


def moments(x):
    mean, deviation, skew = np.empty((3, len(x)))
    rolling._moments(x, LENGTH, mean, deviation, skew)
    return np.stack([mean, deviation, skew])


MARKET = 0.01 * np.random.default_rng(77).standard_normal(400)
KERNELS = {
    "technical mean": (lambda x: in_place(technical._mean, x, LENGTH), usual),
    "technical deviation": (lambda x: in_place(technical._deviation, x, LENGTH), lambda seed: usual(seed) * 1e-7),
    "mean": (lambda x: in_place(rolling._mean, x, LENGTH), usual),
    "moments": (moments, lambda seed: 0.02 * np.random.default_rng(seed).standard_t(4, 400)),
    "beta": (
        lambda x: in_place(rolling._beta, x, MARKET, LENGTH),
        lambda seed: MARKET + 0.01 * np.random.default_rng(seed).standard_normal(400),
    ),
    "trend": (
        lambda x: in_place(rolling._trend_r2, x, LENGTH),
        lambda seed: np.cumsum(0.01 * np.random.default_rng(seed).standard_normal(400)),
    ),
}
kernels = pytest.mark.parametrize(("kernel", "series"), KERNELS.values(), ids=list(KERNELS))


def assert_same_from(kernel, spoilt, clean, first):
    """Where the window holds no absurd value the figures are those of the clean series."""
    with np.errstate(all="ignore"):
        mine, theirs = kernel(spoilt)[..., first:], kernel(clean)[..., first:]
    assert np.isfinite(theirs).any()
    np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9 * np.nanmax(np.abs(theirs)))


@kernels
@absurd
@pytest.mark.parametrize("at", [0, 1, 137], ids="at-{}".format)
def test_one_absurd_value_is_forgotten_when_it_leaves_the_window(kernel, series, value, at):
    clean = series(5)
    spoilt = clean.copy()
    spoilt[at] = value
    assert_same_from(kernel, spoilt, clean, at + LENGTH + 1)


@kernels
@pytest.mark.parametrize("value", [1e25, 1e300], ids="{:g}".format)
def test_a_slow_return_from_an_absurd_height_is_forgotten(kernel, series, value):
    clean = series(6)
    spoilt = np.concatenate([fading(value, 1100), clean])
    longer = np.concatenate([np.ones(1100), clean])
    if kernel is KERNELS["beta"][0]:
        pytest.skip("its market has no more sessions")
    assert_same_from(kernel, spoilt, longer, 1100 + LENGTH + 1)


@kernels
@given(where=st.lists(st.integers(0, 300), min_size=1, max_size=5), data=st.data())
@settings(max_examples=25, deadline=None)
def test_whatever_lies_before_a_window_changes_nothing_in_it(kernel, series, where, data):
    clean = series(7)
    spoilt = clean.copy()
    for at in where:
        spoilt[at] = data.draw(st.sampled_from([*ABSURD, np.nan, 0.0, 5e-324]))
    assert_same_from(kernel, spoilt, clean, max(where) + LENGTH + 1)


@pytest.mark.parametrize("field", ["close", "high", "volume"])
def test_factors_of_a_symbol_recover_from_an_absurd_value(field):
    rng = np.random.default_rng(3)
    close = 50.0 * np.exp(np.cumsum(0.02 * rng.standard_normal(700)))
    bars = {"close": close, "high": 1.01 * close, "low": 0.99 * close, "volume": usual(4, 700)}
    market = 0.01 * rng.standard_normal(700)
    how = {"periods_per_year": 252}
    bars["turnover"] = bars["close"] * bars["volume"]
    clean = rolling.alpha_factors(*(values[None] for values in bars.values()), market, **how)
    for value in (1e25, 1e300):
        spoilt = {name: values.copy() for name, values in bars.items()}
        spoilt[field][300] = value
        spoilt["turnover"] = spoilt["close"] * spoilt["volume"]
        found = rolling.alpha_factors(*(values[None] for values in spoilt.values()), market, **how)
        # at 300 + 252 it leaves the longest window, the year's high
        np.testing.assert_allclose(found[..., 560:], clean[..., 560:], rtol=1e-5, atol=1e-6)


def test_a_correlation_of_sixty_sessions_forgets_a_return_that_has_left():
    rng = np.random.default_rng(9)
    returns = np.asfortranarray(0.01 * rng.standard_normal((400, 6)))
    spoilt = returns.copy(order="F")
    spoilt[130, 2] = 690.0  # the logarithm of 1e300
    bars = np.tile(np.arange(1, 401)[:, None], (1, 6))
    found = []
    for values in (returns, spoilt):
        out = np.full((400, 6), np.nan)
        technical.average_correlation(values, np.ascontiguousarray(values), bars, 0, 400, out)
        found.append(out[191:])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9, atol=1e-12)
