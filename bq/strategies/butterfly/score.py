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
    price_match_v2: Array  # distance of forecast and spot in standard deviations, instead of forecast and strike
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
    sigma = reading.spot * reading.iv * np.sqrt(structure.dte_days / 365.0)
    return Components(
        price_match_v2=100.0 * np.maximum(0.0, 1.0 - np.abs(reading.forecast - reading.spot) / sigma),
        price_match=np.maximum(0.0, 100.0 - np.abs(reading.forecast - structure.body) / reading.forecast * 500.0),
        vol_mispricing=np.clip(vol_mispricing(reading) * 5.0 + 50.0, 0.0, 100.0),
        stability=np.maximum(0.0, 100.0 - reading.width_pct * 5.0),
        fourier=np.minimum(100.0, fourier * np.where(reading.period_strength > 0.10, 1.1, 1.0)),
        delta_penalty=np.minimum(10.0, np.abs(delta) * 50.0),
    )


def total(parts: Components, weights: Score) -> Array:
    """The score under the given weights and rule.

    score_v1 compares the forecast with its own rounding to a strike, so it mostly measures the strike grid;
    score_v2 compares it with spot.
    """
    price_match = parts.price_match_v2 if weights.rule == "score_v2" else parts.price_match
    return (
        weights.price_match * price_match
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


def risk_label(probability: Array) -> NDArray[np.str_]:
    """LOW, MEDIUM or HIGH by the risk-neutral probability of profit at expiry: from 50%, from 30%, below."""
    return np.select([probability >= 0.5, probability >= 0.3], ["LOW", "MEDIUM"], default="HIGH")


def size_label(level: NDArray[np.str_], risk: NDArray[np.str_]) -> NDArray[np.str_]:
    """FULL, HALF, QUARTER or NONE of the usual stake: by level, one step less where the risk is HIGH."""
    steps = np.select([level == "STRONG_BUY", level == "BUY", level == "NEUTRAL"], [3, 2, 1], default=0)
    return np.array(["NONE", "QUARTER", "HALF", "FULL"])[np.maximum(steps - (risk == "HIGH"), 0)]
