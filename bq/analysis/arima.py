"""ARIMA forecasts of many windows of prices: the order by AIC, the mean of the forecast steps, the interval's width."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bq.analysis.engines import Engine, as_windows, check_engine
from bq.core.errors import UNFIT, BadParameters

MIN_PRICES = 30
Z95 = 1.959963984540054
ORDERS = ((1, 1, 1), (2, 1, 2), (1, 1, 2), (2, 1, 1), (3, 1, 2))


class ArimaForecast(NamedTuple):
    """Three arrays of shape (m,), one value a window.

    price : mean of the forecast steps, in units of the prices.
    width_pct : mean width of the 95% interval over the steps, in % of `price`.
    order : index into `orders` of the chosen one; −1 where the other two are NaN.
    """

    price: np.ndarray
    width_pct: np.ndarray
    order: np.ndarray


def arima_forecast(
    prices: ArrayLike, *, steps: int = 30, orders: Sequence[tuple[int, int, int]] = ORDERS, engine: Engine = "compiled"
) -> ArimaForecast:
    """Forecast each window with the order of lowest AIC.

    prices : array of shape (m, n), n >= 30, oldest first. A row uses nothing but itself, so a value depends on data up
        to the row's last price only.
    steps : trading days forecast. orders : (p, 1, q) candidates, without a constant. The likelihoods that AIC compares
        leave out the same first max(p) differences for every order.
    engine : "compiled" (conditional sum of squares) or "reference" (statsmodels, exact likelihood).
    A window that is a straight line or holds a non-finite value gives NaN, as does a forecast that is not positive.

    Raises BadData for windows of another shape, BadParameters for orders with d other than 1.
    """
    check_engine(engine)
    windows = as_windows(prices, name="prices", at_least=MIN_PRICES)
    if not orders or any(d != 1 or p < 0 or q < 0 for p, d, q in orders):
        raise BadParameters(f"orders must be one or more (p, 1, q), but got {orders!r}. Difference once.")
    if engine == "reference":
        rows = np.array([_reference(window, steps, orders) for window in windows]).reshape(len(windows), 3)
    else:
        from bq.kernels.arima import forecast_windows

        rows = forecast_windows(windows, np.array([(p, q) for p, _, q in orders]), steps)
    price, width_pct, order = rows.T
    return ArimaForecast(price, width_pct, np.where(np.isnan(order), -1, order).astype(np.int64))


def _reference(window: np.ndarray, steps: int, orders: Sequence[tuple[int, int, int]]) -> tuple[float, float, float]:
    """Forecast one window by statsmodels: price, width in %, index of the order."""
    from statsmodels.tsa.arima.model import ARIMA

    if not np.isfinite(window).all() or np.std(np.diff(window)) <= 1e-12 * np.abs(window).max():
        return np.nan, np.nan, np.nan
    scale = np.std(np.diff(window))
    scaled = (window - window[0]) / scale
    burn = 1 + max(p for p, _, _ in orders)
    best, lowest, chosen = None, np.inf, np.nan
    for index, (p, d, q) in enumerate(orders):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                fit = ARIMA(scaled, order=(p, d, q), trend="n").fit()
            except UNFIT:
                continue
        aic = 2 * (p + q + 1) - 2 * fit.llf_obs[burn:].sum()
        if aic < lowest:
            best, lowest, chosen = fit, aic, index
    if best is None:
        return np.nan, np.nan, np.nan
    forecast = best.get_forecast(steps)
    price = window[0] + scale * forecast.predicted_mean.mean()
    if not price > 0:
        return np.nan, np.nan, np.nan
    width = scale * 2 * Z95 * np.mean(forecast.se_mean)
    return price, 100 * width / price, chosen
