"""Rolling GARCH and ARIMA against arch and statsmodels, on the closes of the S&P 500."""

import warnings

import numpy as np
from numpy.typing import NDArray

from bq.analysis.arima import arima_forecast
from bq.analysis.garch import fit_garch, garch_volatility
from tests.bench import samples
from tests.bench.measure import Plan, pair, speed_up, version
from tests.bench.row import Goal, Row, finite

GARCH_RETURNS, ARIMA_PRICES = 500, 120


def garch_refit(plan: Plan) -> Row:
    """GARCH(1,1) fitted anew on each date; arch fits some of the same dates."""
    dates = plan.n(full=250, quick=100, tiny=4)
    returns = 100.0 * np.diff(np.log(samples.closes()))
    windows = np.lib.stride_tricks.sliding_window_view(returns, GARCH_RETURNS)[-dates:]
    some = _spread(windows, plan.n(full=50, quick=20, tiny=2))
    times = pair(
        lambda: _arch(some),
        lambda: garch_volatility(windows, periods_per_year=252),
        peer_n=len(some),
        ours_n=dates,
        repeats=plan.n(full=7, quick=3, tiny=1),
    )
    short = [_shortfall(window) for window in some]
    likelihood = Goal("log-likelihood below arch's, relative", finite(np.nanmax(short)), "≤", 1e-6)
    return times.row(
        of="a fit",
        n=f"{dates} windows of {GARCH_RETURNS} returns (peer: {len(some)} of them)",
        peer=version("arch"),
        goal=speed_up(50),
        goals=(likelihood,),
        notes=(
            "arch fits once, from its own starting values and our backcast; ours climbs from four starts",
            f"likelihoods after arch's second fit, around its fitted mean; arch converged on "
            f"{np.isfinite(short).sum()} of {len(some)}",
        ),
    )


def _arch(windows: NDArray[np.float64]) -> None:
    from arch import arch_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for window in windows:
            arch_model(window, rescale=False).fit(disp="off", show_warning=False, backcast=np.var(window))


def _shortfall(window: NDArray[np.float64]) -> float:
    """How far our log-likelihood lies below arch's, relative; NaN where arch did not converge, inf where we did not."""
    ours, peer = (fit_garch(window, engine=engine).loglikelihood for engine in ("compiled", "reference"))
    return max(0.0, peer - ours) / abs(peer) if np.isfinite(ours) else np.inf


def arima_orders(plan: Plan) -> Row:
    """Five ARIMA orders, the lowest AIC, 30 steps of forecast."""
    dates = plan.n(full=250, quick=100, tiny=4)
    windows = np.lib.stride_tricks.sliding_window_view(samples.closes(), ARIMA_PRICES)[-dates:]
    some = _spread(windows, plan.n(full=8, quick=3, tiny=1))
    times = pair(
        lambda: arima_forecast(some, engine="reference"),
        lambda: arima_forecast(windows),
        peer_n=len(some),
        ours_n=dates,
        repeats=plan.n(full=5, quick=2, tiny=1),
    )
    ours, peer = (arima_forecast(some, engine=engine).price for engine in ("compiled", "reference"))
    distance = np.abs(ours - peer) / np.diff(some).std(axis=1)
    return times.row(
        of="a window",
        n=f"{dates} windows of {ARIMA_PRICES} prices (peer: {len(some)} of them)",
        peer=version("statsmodels"),
        goal=speed_up(200),
        notes=(
            "ours minimises the conditional sum of squares, statsmodels the exact likelihood; mean forecasts differ by "
            f"{np.nanmedian(distance):.3f} of a daily deviation (median), {np.nanmax(distance):.3f} at most, the two "
            "orders chosen being different included",
        ),
    )


def _spread(windows: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """`count` of the windows, evenly spread."""
    return windows[np.linspace(0, len(windows) - 1, count).astype(int)]
