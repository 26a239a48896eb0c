import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from bq.analysis.arima import ORDERS, arima_forecast
from bq.core.errors import BadData, BadParameters

ENGINES = ("compiled", "reference")
engines = pytest.mark.parametrize("engine", ENGINES)
Z95 = 1.959963984540054


def prices(*, rows: int, days: int = 120, ar=(), ma=(), seed: int = 0) -> np.ndarray:
    """Prices from 1000 on whose differences are an ARMA process with unit innovations."""
    shocks = np.random.default_rng(seed).standard_normal((rows, days + 99))
    differences = lfilter([1, *ma], [1, *(-np.array(ar))], shocks)[:, 100:]
    return np.cumsum(np.column_stack([np.full(rows, 1000.0), differences]), axis=1)


@engines
def test_random_walk_forecasts_the_last_price_with_the_textbook_interval(engine):
    windows = prices(rows=3)
    price, width_pct, order = arima_forecast(windows, steps=30, orders=((0, 1, 0),), engine=engine)
    deviation = np.sqrt(np.mean(np.diff(windows) ** 2, axis=1))
    expected = 2 * Z95 * deviation * np.sqrt(np.arange(1, 31)).mean() / windows[:, -1] * 100
    np.testing.assert_allclose(price, windows[:, -1], rtol=1e-6)
    np.testing.assert_allclose(width_pct, expected, rtol=1e-3)
    np.testing.assert_array_equal(order, 0)


def test_autoregression_of_one_lag_is_least_squares():
    window = prices(rows=1, ar=[0.4])
    w = np.diff(window[0])
    phi = w[1:] @ w[:-1] / (w[:-1] @ w[:-1])
    expected = window[0, -1] + np.cumsum(w[-1] * phi ** np.arange(1, 31)).mean()
    assert arima_forecast(window, orders=((1, 1, 0),)).price[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("order", [(0, 1, 1), (1, 1, 0), (1, 1, 1)], ids=str)
def test_forecasts_lie_where_exact_likelihood_puts_them(order):
    windows = prices(rows=12, ma=[-0.2])
    ours, peer = (arima_forecast(windows, orders=(order,), engine=engine) for engine in ENGINES)
    distance = np.abs(ours.price - peer.price) / np.diff(windows).std(axis=1)
    assert np.median(distance) <= 0.006
    np.testing.assert_allclose(np.median(ours.width_pct / peer.width_pct), 1, atol=0.01)


@pytest.mark.parametrize(
    ("order", "ar", "ma"),
    [
        ((2, 1, 1), (0.5, -0.6), (0.5,)),
        ((2, 1, 2), (0.5, -0.6), (0.6, 0.5)),
        ((1, 1, 2), (0.6,), (0.5, 0.4)),
        ((3, 1, 2), (0.4, -0.5, 0.3), (0.6, 0.5)),
    ],
    ids=str,
)
def test_larger_orders_follow_exact_likelihood_where_the_process_is_of_that_order(order, ar, ma):
    windows = prices(rows=6, days=250, ar=ar, ma=ma)
    ours, peer = (arima_forecast(windows, orders=(order,), engine=engine) for engine in ENGINES)
    distance = np.abs(ours.price - peer.price) / peer.width_pct / peer.price * 100
    assert np.median(distance) <= 0.01  # of the interval's width
    np.testing.assert_allclose(np.median(ours.width_pct / peer.width_pct), 1, atol=0.01)


@engines
def test_the_order_of_a_strong_process_is_found(engine):
    windows = prices(rows=6, days=250, ar=(0.5, -0.6), ma=(0.6, 0.5))
    order = arima_forecast(windows, orders=((1, 1, 1), (2, 1, 2), (1, 1, 2)), engine=engine).order
    np.testing.assert_array_equal(order, 1)


def test_aic_penalises_what_does_not_help():
    windows = prices(rows=200, ma=[-0.6], seed=4)
    order = arima_forecast(windows, orders=((0, 1, 1), (3, 1, 2))).order
    assert (order == 0).mean() > 0.7


def test_each_row_depends_on_itself_alone():
    windows = prices(rows=40)
    together = arima_forecast(windows)
    shuffled = np.random.default_rng(0).permutation(40)
    for whole, part, one in zip(together, arima_forecast(windows[shuffled]), arima_forecast(windows[7:8]), strict=True):
        np.testing.assert_array_equal(part, whole[shuffled])
        np.testing.assert_array_equal(one, whole[7:8])


def test_the_chosen_order_forecasts_what_it_forecasts_alone():
    windows = prices(rows=20)
    together = arima_forecast(windows)
    assert len(set(together.order)) > 1
    for row, index in enumerate(together.order):
        alone = arima_forecast(windows[row : row + 1], orders=(ORDERS[index],))
        assert (alone.price[0], alone.width_pct[0]) == (together.price[row], together.width_pct[row])


def test_sliding_views_give_what_copies_give():
    view = np.lib.stride_tricks.sliding_window_view(prices(rows=1, days=140)[0], 120)
    for ours, copied in zip(arima_forecast(view), arima_forecast(view.copy()), strict=True):
        np.testing.assert_array_equal(ours, copied)


@settings(deadline=None, max_examples=25)
@given(power=st.integers(-6, 6), seed=st.integers(0, 1000))
def test_forecast_scales_with_the_prices_and_the_width_does_not_change(power, seed):
    windows = prices(rows=4, ar=[0.3], seed=seed)
    plain, scaled = arima_forecast(windows), arima_forecast(windows * 2.0**power)
    np.testing.assert_allclose(scaled.price, plain.price * 2.0**power, rtol=1e-12)
    np.testing.assert_allclose(scaled.width_pct, plain.width_pct, rtol=1e-12)
    np.testing.assert_array_equal(scaled.order, plain.order)


def test_scale_by_any_factor_and_shift_by_any_price_carry_over_within_rounding():
    windows = prices(rows=4, ar=[0.5], ma=[0.4])
    plain = arima_forecast(windows, orders=((1, 1, 1),))
    scaled = arima_forecast(windows * 3.7, orders=((1, 1, 1),))
    shifted = arima_forecast(windows + 50, orders=((1, 1, 1),))
    np.testing.assert_allclose(scaled.price, plain.price * 3.7, rtol=1e-7)
    np.testing.assert_allclose(scaled.width_pct, plain.width_pct, rtol=1e-6)
    np.testing.assert_allclose(shifted.price, plain.price + 50, rtol=1e-7)


@engines
@pytest.mark.parametrize("fill", ["nan", "infinite", "constant", "line"])
def test_unusable_row_is_nan_and_leaves_the_others(engine, fill):
    windows = prices(rows=2)
    alone = arima_forecast(windows[1:], engine=engine)
    if fill in ("nan", "infinite"):
        windows[0, 60] = np.nan if fill == "nan" else np.inf
    else:
        windows[0] = 100.0 if fill == "constant" else 100.0 + 0.5 * np.arange(120)
    both = arima_forecast(windows, engine=engine)
    assert np.isnan(both.price[0])
    assert np.isnan(both.width_pct[0])
    assert both.order[0] == -1
    np.testing.assert_array_equal(both.price[1:], alone.price)


@engines
def test_forecast_that_is_not_positive_is_nan(engine):
    fall = 60 - np.cumsum(1 + 0.01 * np.random.default_rng(0).standard_normal((1, 60)), axis=1)
    result = arima_forecast(fall, orders=((1, 1, 0),), engine=engine)
    assert np.isnan(result.price[0])
    assert result.order[0] == -1


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), jump=st.sampled_from([0.0, 5.0, 50.0]), days=st.sampled_from([30, 60, 120]))
def test_every_window_has_a_finite_forecast_and_a_positive_width(seed, jump, days):
    windows = prices(rows=3, days=days, seed=seed)
    windows[:, days // 2 :] += jump
    price, width_pct, order = arima_forecast(windows)
    assert np.isfinite(price).all()
    assert (width_pct > 0).all()
    assert ((order >= 0) & (order < len(ORDERS))).all()


@pytest.mark.parametrize("shape", [(120,), (3, 29)], ids=["vector", "short"])
def test_other_shapes_are_refused(shape):
    with pytest.raises(BadData, match="prices must be a matrix of one window a row, at least 30"):
        arima_forecast(np.zeros(shape))


@pytest.mark.parametrize("orders", [(), ((1, 0, 1),), ((1, 1, -1),)], ids=["none", "levels", "negative"])
def test_other_orders_are_refused(orders):
    with pytest.raises(BadParameters, match="orders must be one or more"):
        arima_forecast(prices(rows=1), orders=orders)


def test_unknown_engine_is_refused():
    with pytest.raises(BadParameters, match="did you mean `reference`"):
        arima_forecast(prices(rows=1), engine="referense")
