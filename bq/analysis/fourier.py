"""Cycle and trend of a price history by its Fourier spectrum."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

VWAP_BARS = 20
SHORTEST = 50  # bars
DEFAULT_PERIOD_DAYS = 30.0


class FourierReading(NamedTuple):
    """One value per window: see `fourier_reading`."""

    trend_slope: Array  # slope of the low-passed price over the last 20 bars, % of price per bar
    cycle: Array  # mean of the mid-band over the last 10 bars, in price units; > 0 is a peak
    dominant_period: Array  # bars; 30 where no period qualifies
    period_strength: Array  # share of the spectrum's power in the dominant period, in [0, 1]


def fourier_reading(prices: Array, volumes: Array | None = None) -> FourierReading:
    """Trend, phase and dominant period at the last bar of each window.

    prices : array of shape (n_windows, n_bars), n_bars >= 50. volumes : same shape, or None; a window with any
    missing volume is detrended by the simple mean instead of the VWAP.

    The price minus its rolling VWAP (warm-up dropped, never back-filled) gives the spectrum, through a Hann window, and
    the phase (periods of 5 to 60 bars). Trend is the slope of the price with periods up to 60 bars removed. Trend and
    phase use no Hann window: it forces the end of the series, which is what they measure, to zero. The values use
    nothing but the window itself.

    Raises ValueError for windows shorter than 50 bars.
    """
    n = prices.shape[1]
    if n < SHORTEST:
        raise ValueError(f"windows must hold >= {SHORTEST} bars, but got {n}")
    window = min(VWAP_BARS, n // 3)
    detrended = prices[:, window - 1 :] - _rolling_vwap(prices, volumes, window)
    dominant, strength = _dominant_period(detrended)
    return FourierReading(
        trend_slope=_trend_slope(prices),
        cycle=_band(detrended, shortest=5, longest=60)[:, -10:].mean(axis=1),
        dominant_period=dominant,
        period_strength=strength,
    )


def _rolling_vwap(prices: Array, volumes: Array | None, window: int) -> Array:
    weights = np.ones_like(prices) if volumes is None else np.where(np.isfinite(volumes), volumes, np.nan)
    unusable = ~np.isfinite(weights).all(axis=1) | (weights.sum(axis=1) <= 0)
    weights = np.where(unusable[:, None], 1.0, weights)
    views = np.lib.stride_tricks.sliding_window_view
    traded = views(weights, window, axis=1).sum(axis=-1)
    vwap = views(prices * weights, window, axis=1).sum(axis=-1) / np.where(traded > 0, traded, 1.0)
    return np.where(traded > 0, vwap, views(prices, window, axis=1).mean(axis=-1))


def _periods(n: int) -> Array:
    with np.errstate(divide="ignore"):
        return np.divide(1.0, np.fft.rfftfreq(n), dtype=np.float64)


def _band(series: Array, *, shortest: float, longest: float) -> Array:
    """The part of each row with shortest <= period <= longest, in bars."""
    periods = _periods(series.shape[1])
    keep = (periods >= shortest) & (periods <= longest)
    return np.fft.irfft(np.fft.rfft(series, axis=1) * keep, n=series.shape[1], axis=1)


def _trend_slope(prices: Array) -> Array:
    """Slope of the low-passed price (periods > 60 bars) over the last 20 bars, % of the last price per bar.

    The straight line from first to last bar is taken out before the transform and put back after it: without this the
    transform sees a jump from the last bar to the first and bends the very end that is measured.
    """
    n = prices.shape[1]
    line = prices[:, :1] + (prices[:, -1:] - prices[:, :1]) * (np.arange(n) / (n - 1))
    smooth = line + _band(prices - line, shortest=60.0 + 1e-9, longest=np.inf)
    last = smooth[:, -20:]
    time = np.arange(20) - 9.5
    # a matrix product would round a row differently by how many others there are
    return 100.0 * (last * time).sum(axis=1) / (time @ time) / prices[:, -1]


def _dominant_period(detrended: Array) -> tuple[Array, Array]:
    n = detrended.shape[1]
    centred = detrended - detrended.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(centred * np.hanning(n), axis=1)) ** 2
    power[:, 0] = 0.0
    periods = _periods(n)
    strongest = np.argsort(-power, axis=1, kind="stable")[:, :10]
    allowed = (periods[strongest] > 7) & (periods[strongest] < 180) & (np.take_along_axis(power, strongest, axis=1) > 0)
    first = allowed.argmax(axis=1)
    found = allowed.any(axis=1)
    chosen = np.take_along_axis(strongest, first[:, None], axis=1)[:, 0]
    total = power.sum(axis=1)
    share = np.divide(power[np.arange(len(power)), chosen], total, out=np.zeros_like(total), where=total > 0)
    return np.where(found, periods[chosen], DEFAULT_PERIOD_DAYS), np.where(found, share, 0.0)
