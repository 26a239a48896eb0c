"""The rule score: four components of 0 to 100, weighted, less a penalty for directional exposure. The ML baseline."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bq.strategies.butterfly.settings import Score
from bq.strategies.butterfly.structure import CALL, IRON, PUT, Reading, Structure

Array = NDArray[np.float64]


class Components(NamedTuple):
    """The parts of the score, kept with each event so that it can be recomputed under any weights."""

    price_match: Array
    vol_mispricing: Array
    stability: Array
    fourier: Array
    delta_penalty: Array  # 0 to 10


def vol_mispricing(reading: Reading) -> Array:
    """(IV − GARCH volatility) / IV × 100."""
    return (reading.iv - reading.garch_vol) / reading.iv * 100.0


def components(reading: Reading, structure: Structure, delta: Array) -> Components:
    """Score each part; `delta` is the structure's own, per share of the underlying."""
    agrees = ((structure.type == CALL) & (reading.trend > 0) & ~reading.peak) | (
        (structure.type == PUT) & (reading.trend < 0) & reading.peak
    )
    fourier = np.where(agrees, 100.0, np.where(structure.type == IRON, 80.0, 50.0))
    return Components(
        price_match=np.maximum(0.0, 100.0 - np.abs(reading.forecast - structure.body) / reading.forecast * 500.0),
        vol_mispricing=np.clip(vol_mispricing(reading) * 5.0 + 50.0, 0.0, 100.0),
        stability=np.maximum(0.0, 100.0 - reading.width_pct * 5.0),
        fourier=np.minimum(100.0, fourier * np.where(reading.period_strength > 0.10, 1.1, 1.0)),
        delta_penalty=np.minimum(10.0, np.abs(delta) * 50.0),
    )


def total(parts: Components, weights: Score) -> Array:
    """The score under the given weights."""
    return (
        weights.price_match * parts.price_match
        + weights.vol_mispricing * parts.vol_mispricing
        + weights.stability * parts.stability
        + weights.fourier * parts.fourier
        - parts.delta_penalty
    )


def level(score: Array, profit_ratio: Array) -> NDArray[np.str_]:
    """STRONG_BUY, BUY, NEUTRAL or AVOID."""
    return np.select(
        [(score >= 75) & (profit_ratio > 2), (score >= 60) & (profit_ratio > 1.5), score >= 45],
        ["STRONG_BUY", "BUY", "NEUTRAL"],
        default="AVOID",
    )
