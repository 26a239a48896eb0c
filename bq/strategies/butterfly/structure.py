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
    strike step is that of the quoted price (`strike_step`); where only back-adjusted prices exist (`quoted` false) it
    is 2.5% of spot. A wing is a whole number of steps, as many as `least_wing` needs or more.
    """
    kind = np.where(reading.trend > 0, CALL, np.where(reading.trend < 0, PUT, IRON))
    step = strike_step(reading.spot) if quoted else 0.025 * reading.spot
    body = np.maximum(np.rint(reading.forecast / step), 1.0) * step
    period = reading.dominant_period
    dte = np.select([period < 20, period < 40], settings.dte_days[:2], default=settings.dte_days[2])
    if settings.wing == "volatility":
        steps = np.rint(reading.spot * reading.iv * np.sqrt(dte / 365.0) / step)
    else:
        cuts = np.asarray(sum(reading.width_pct >= cut for cut in settings.width_cuts))
        steps = np.rint((1.0 + cuts) * np.select([period < 15, period > 45], [0.8, 1.2], default=1.0))
    least = np.ceil(np.asarray(least_wing(reading, dte, settings) / step))
    wing = np.maximum(np.maximum(steps, least), 1.0) * step
    return Structure(kind, body - wing, body, body + wing, dte.astype(np.int64))


def strike_step(spot: Array) -> Array:
    """Distance of neighbouring strikes at prices as quoted: 2.5 below 50, 5 below 200, then about 1% of spot.

    That is rounded to 10, 25, 50, 100, 250, …, so that a fly of an index is as wide, for its price, as one of a stock:
    wings of ten points on 2,250 cost their whole risk in spreads.

    >>> strike_step(np.array([49.0, 199.0, 200.0, 1500.0, 2250.0, 4000.0, 15000.0])).tolist()
    [2.5, 5.0, 10.0, 10.0, 25.0, 50.0, 100.0]
    """
    decade = 10.0 ** np.floor(np.log10(0.01 * spot))
    steps = decade * np.array([[1.0], [2.5], [5.0], [10.0]])
    nearest = np.take_along_axis(steps, np.abs(steps - 0.01 * spot).argmin(axis=0)[None], axis=0)[0]
    return np.select([spot < 50, spot < 200], [2.5, 5.0], default=np.maximum(nearest, 10.0))


def least_wing(reading: Reading, dte_days: NDArray[np.int64], settings: "parameters.Structure") -> Array:
    """Width below which a wing is inside the noise: `min_wing_sigmas` of spot × IV × √T."""
    return settings.min_wing_sigmas * reading.spot * reading.iv * np.sqrt(dte_days / 365.0)
