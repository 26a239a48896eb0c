"""GARCH(1,1) volatility of many windows of returns, each fitted on its own from pinned starting values."""

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bq.analysis.engines import Engine, as_windows, check_engine
from bq.core.errors import UNFIT

MIN_RETURNS = 50


class GarchFit(NamedTuple):
    """Parameters of r_t = mu + e_t, h_t = omega + alpha e²_{t-1} + beta h_{t-1}; all NaN where there is no fit."""

    mu: float
    omega: float
    alpha: float
    beta: float
    loglikelihood: float


def fit_garch(returns_pct: ArrayLike, *, engine: Engine = "compiled") -> GarchFit:
    """Fit GARCH(1,1) with a constant mean by Gaussian maximum likelihood.

    returns_pct : array of shape (n,), n >= 50, returns × 100.
    Both h_0 and e²_0 start from the mean squared deviation of the window (not arch's default, an exponentially weighted
    one): the convention of the DM/GBP benchmark of Fiorentini, Calzolari and Panattoni (1996),
    doi:10.1002/(SICI)1099-1255(199607)11:4<399::AID-JAE401>3.0.CO;2-R.
    omega > 0, alpha >= 0, beta >= 0; alpha + beta is held below 1, and a fit on that bound (4% of two-year windows of
    US stocks) is kept: its forecast over a finite horizon exists. NaN for a window that is constant or holds a
    non-finite value, and where the optimiser does not converge.

    Raises BadData for a window of another shape.
    """
    check_engine(engine)
    window = as_windows(np.asarray(returns_pct)[None], name="returns_pct[None]", at_least=MIN_RETURNS)
    return GarchFit(*_fit(window, horizon=1, engine=engine)[0, :5].tolist())


def garch_volatility(
    returns_pct: ArrayLike, *, periods_per_year: int, horizon: int = 30, engine: Engine = "compiled"
) -> np.ndarray:
    """Forecast volatility over the next `horizon` days, one value a window.

    returns_pct : array of shape (m, n), n >= 50, returns × 100, oldest first. A row uses nothing but itself, so a value
        depends on data up to the row's last return only.
    Returns array of shape (m,): square root of the mean forecast variance over the horizon, annualised by
    √periods_per_year (of the market's calendar), as a decimal (0.20 is 20%). NaN where `fit_garch` gives NaN.
    engine : "compiled" or "reference" (arch, the same likelihood).

    Raises BadData for windows of another shape.
    """
    check_engine(engine)
    windows = as_windows(returns_pct, name="returns_pct", at_least=MIN_RETURNS)
    fits = _fit(windows, horizon=horizon, engine=engine)
    return np.sqrt(periods_per_year * fits[:, 5]) / 100


def _fit(windows: np.ndarray, *, horizon: int, engine: Engine) -> np.ndarray:
    """Fit each row: mu, omega, alpha, beta, log-likelihood, mean forecast variance."""
    if engine == "reference":
        return np.array([_reference(window, horizon) for window in windows]).reshape(len(windows), 6)
    from bq.kernels.garch import fit_windows

    return fit_windows(windows, horizon)


def _reference(window: np.ndarray, horizon: int) -> np.ndarray:
    """Fit one window by arch."""
    from arch import arch_model

    missing = np.full(6, np.nan)
    if not np.isfinite(window).all() or np.ptp(window) == 0:
        return missing
    model, backcast = arch_model(window, rescale=False), np.var(window)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):  # arch holds the backcast fixed: once more, with the residuals around the fitted mean
            try:
                fit = model.fit(disp="off", show_warning=False, backcast=backcast)
            except UNFIT:
                return missing
            mu, omega, alpha, beta = fit.params
            backcast = np.mean((window - mu) ** 2)
    if fit.convergence_flag != 0:
        return missing
    # fit.forecast() would start over from arch's own backcast; the fitted variance of the last day is what continues
    ahead = omega + alpha * (window[-1] - mu) ** 2 + beta * fit.conditional_volatility[-1] ** 2
    variances = [ahead]
    for _ in range(horizon - 1):
        variances.append(omega + (alpha + beta) * variances[-1])
    return np.array([mu, omega, alpha, beta, fit.loglikelihood, np.mean(variances)])
