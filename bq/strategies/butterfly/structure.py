"""From an analysis to four legs: type, body, wings, expiry."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bq.strategies.butterfly import settings as parameters

Array = NDArray[np.float64]

TYPES = ("CALL", "PUT", "IRON")
CALL, PUT, IRON = range(3)
QUANTITY = np.array([1.0, -1.0, -1.0, 1.0])  # lower wing, body, body, upper wing; the same for all three types
IS_CALL = np.array([[True] * 4, [False] * 4, [False, False, True, True]])  # row: type; iron: put spread + call spread


class Reading(NamedTuple):
    """What the analysis says at each t0; arrays of shape (n_events,), prices in units of the price at t0."""

    spot: Array
    trend_slope: Array  # % of price per bar
    trend: NDArray[np.int64]  # 1 up, -1 down, 0 flat
    peak: NDArray[np.bool_]  # phase of the mid-band: peak, else trough
    dominant_period: Array  # days
    period_strength: Array
    forecast: Array  # mean of the 30 ARIMA steps
    width_pct: Array  # ARIMA 95% interval, % of the forecast
    garch_vol: Array  # annualised decimal
    iv: Array
    iv_percentile: Array
    momentum_7d: Array
    vol_concentration: Array
    skew: Array  # IV at 0.96 less IV at 1.04 of spot; NaN where no chain is quoted


class Structure(NamedTuple):
    """Legs of each event; strikes in units of the price at t0."""

    type: NDArray[np.int64]  # index into TYPES
    lower: Array
    body: Array
    upper: Array
    dte_days: NDArray[np.int64]

    @property
    def strikes(self) -> Array:
        """Shape (n_events, 4): lower, body, body, upper."""
        return np.column_stack([self.lower, self.body, self.body, self.upper])

    @property
    def is_call(self) -> NDArray[np.bool_]:
        """Shape (n_events, 4): the right of each leg."""
        return IS_CALL[self.type]

    @property
    def width(self) -> Array:
        """Distance from body to wing."""
        return self.body - self.lower


def choose(reading: Reading, *, quoted: bool, settings: "parameters.Structure") -> Structure:
    """Pick the structure of each event.

    Up-trend in a trough gives a call fly, down-trend at a peak a put fly, no trend an iron fly, the rest by trend. The
    strike step is 2.5, 5 or 10 by the quoted price; where only back-adjusted prices exist (`quoted` false) it is 2.5%
    of spot.
    """
    kind = np.where(reading.trend > 0, CALL, np.where(reading.trend < 0, PUT, IRON))
    if quoted:
        step = np.select([reading.spot < 50, reading.spot < 200], [2.5, 5.0], default=10.0)
    else:
        step = 0.025 * reading.spot
    body = np.maximum(np.rint(reading.forecast / step), 1.0) * step
    period = reading.dominant_period
    dte = np.select([period < 20, period < 40], settings.dte_days[:2], default=settings.dte_days[2])
    if settings.wing == "volatility":
        steps = np.rint(reading.spot * reading.iv * np.sqrt(dte / 365.0) / step)
    else:
        steps = 1.0 + sum(reading.width_pct >= cut for cut in settings.width_cuts)
        steps = np.rint(steps * np.select([period < 15, period > 45], [0.8, 1.2], default=1.0))
    wing = np.maximum(steps, 1.0) * step
    return Structure(kind, body - wing, body, body + wing, dte.astype(np.int64))
