import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime
from scipy.signal import lfilter
from statsmodels.tsa.arima_process import arma2ma, arma_acf

from bq.kernels.arima import _evaluate, _forecast, _hannan_rissanen, _levinson, _partials, _unpack

partials = st.lists(st.floats(-0.98, 0.98), min_size=1, max_size=5)
sizes = pytest.mark.parametrize(("p", "q"), [(1, 1), (2, 2), (1, 2), (2, 1), (3, 2), (0, 1), (2, 0)])


def series(days=100, seed=0):
    return np.random.default_rng(seed).standard_normal(days)


def residuals(c, w, p):
    """The definition by scipy: e = phi(B)/theta(B) w, nothing before the series."""
    return lfilter(np.r_[1, -c[:p]], np.r_[1, c[p:]], w)


@settings(deadline=None)
@given(partials)
def test_partial_autocorrelations_give_a_stationary_process(u):
    coefficients = np.empty(len(u))
    _levinson(np.array(u), coefficients)
    assert np.abs(np.roots(np.r_[1, -coefficients])).max() < 1


@settings(deadline=None)
@given(partials)
def test_partial_autocorrelations_come_back(u):
    coefficients, back = np.empty(len(u)), np.empty(len(u))
    _levinson(np.array(u), coefficients)
    _partials(coefficients, 1.0, back)
    np.testing.assert_allclose(back, u, atol=1e-6)


def test_the_last_partial_autocorrelation_is_that_of_the_process():
    u, coefficients = np.array([0.5, -0.3, 0.4]), np.empty(3)
    _levinson(u, coefficients)
    r = arma_acf(np.r_[1, -coefficients], [1], lags=4)
    toeplitz = r[np.abs(np.subtract.outer(np.arange(3), np.arange(3)))]
    np.testing.assert_allclose(np.linalg.solve(toeplitz, r[1:])[-1], u[-1], rtol=1e-9)


def test_a_process_that_is_not_stationary_has_zero_partials():
    back = np.ones(2)
    _partials(np.array([0.5, 0.6]), 1.0, back)
    np.testing.assert_array_equal(back, 0)


@sizes
def test_sum_of_squares_and_its_slope_are_those_of_the_definition(p, q):
    w, u = series(), np.linspace(-0.6, 0.7, p + q)
    k = p + q
    c, e, gradient, normal = np.empty(k), np.empty(w.size), np.empty(k), np.empty((k, k))
    total = _evaluate(w, u, p, c, e, np.empty((2, w.size)), np.empty((k, w.size)), gradient, normal)

    def by_partials(at):
        coefficients = np.empty(k)
        _unpack(at, p, coefficients, np.empty((k, k)))
        return residuals(coefficients, w, p)

    np.testing.assert_allclose(e, by_partials(u), rtol=1e-9, atol=1e-12)
    assert total == pytest.approx(e @ e)
    slopes = approx_fprime(u, by_partials, 1e-7)
    np.testing.assert_allclose(gradient, slopes.T @ e, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(normal, slopes.T @ slopes, rtol=1e-4, atol=1e-3)


@sizes
def test_forecast_is_the_recursion_and_its_deviation_comes_from_the_psi_weights(p, q):
    w, c = series(), np.r_[[0.4, -0.3, 0.2][:p], [0.5, 0.2][:q]]
    e = residuals(c, w, p)
    change, deviation = _forecast(w, e, c, p, 30)
    # forecasting is filtering on with zero shocks
    ahead = lfilter(np.r_[1, c[p:]], np.r_[1, -c[:p]], np.r_[e, np.zeros(30)])[w.size :]
    psi = np.cumsum(arma2ma(np.r_[1, -c[:p]], np.r_[1, c[p:]], lags=30))
    assert change == pytest.approx(np.cumsum(ahead).mean(), abs=1e-9)
    assert deviation == pytest.approx(np.sqrt(np.cumsum(psi**2)).mean())


@sizes
@pytest.mark.filterwarnings("ignore:Non-")
def test_start_is_the_one_statsmodels_starts_from(p, q):
    from statsmodels.tsa.arima.model import ARIMA

    w = lfilter([1, 0.5, 0.3], [1, -0.4, 0.3], series(400, seed=2))
    u, c = np.empty(p + q), np.empty(p + q)
    _hannan_rissanen(w, p, q, u)
    _unpack(u, p, c, np.empty((p + q, p + q)))
    expected = ARIMA(w, order=(p, 0, q), trend="n").start_params[:-1]
    np.testing.assert_allclose(c, expected, rtol=1e-6, atol=1e-9)
