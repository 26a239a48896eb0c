"""The feature sets of the butterfly strategy and the one function that computes them, for training and serving."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bq.strategies.butterfly.score import vol_mispricing
from bq.strategies.butterfly.structure import IRON, PUT, Reading, Structure
from bq.strategies.events import FeatureSet

if TYPE_CHECKING:  # SciPy loads when prices are computed, not when the feature sets are looked up
    from bq.analysis.options import Greeks
    from bq.strategies.butterfly.pricing import Terms

Array = NDArray[np.float64]

BUTTERFLY_V2 = FeatureSet(
    "butterfly_v2",
    (
        "trend_slope",
        "dominant_period_days",
        "period_strength",
        "forecast_price",
        "predicted_vol",
        "current_iv",
        "vol_mispricing",
        "iv_percentile",
        "delta",
        "gamma",
        "vega",
        "theta",
        "max_profit",
        "max_loss",
        "profit_ratio",
        "prob_profit",
        "skew_estimate",
        "momentum_7d",
        "vol_concentration",
        "dte_factor",
        "price_stability",
        "gamma_theta_ratio",
    ),
)


def butterfly_v2(
    reading: Reading, structure: Structure, greek: "Greeks", opened: "Terms", probability: Array
) -> dict[str, Array]:
    """The 22 features, each of shape (n_events,), from what is known at t0.

    `skew_estimate` is missing where prices are modelled: one implied volatility for all strikes has no skew to measure.
    Prices are in units of the quoted price, or per 100 of spot where only back-adjusted prices exist.
    """
    max_loss = opened.risk
    values = (
        reading.trend_slope,
        reading.dominant_period,
        reading.period_strength,
        reading.forecast,
        reading.garch_vol,
        reading.iv,
        vol_mispricing(reading),
        reading.iv_percentile,
        greek.delta,
        greek.gamma,
        greek.vega,
        greek.theta,
        opened.max_profit,
        max_loss,
        opened.max_profit / max_loss,
        probability,
        reading.skew,
        reading.momentum_7d,
        reading.vol_concentration,
        np.minimum(structure.dte_days / 30.0, 2.0),
        1.0 / reading.width_pct,
        np.clip(np.abs(greek.gamma) / np.maximum(np.abs(greek.theta), 0.001), 0.0, 100.0),
    )
    return dict(zip(BUTTERFLY_V2.columns, values, strict=True))


BUTTERFLY_V3 = FeatureSet(
    "butterfly_v3",
    (
        "trend_slope",
        "dominant_period_days",
        "period_strength",
        "forecast_return",
        "forecast_sigmas",
        "predicted_vol",
        "current_iv",
        "vol_mispricing",
        "iv_percentile",
        "delta",
        "gamma_cash",
        "vega_share",
        "theta_share",
        "max_profit_share",
        "max_loss_share",
        "profit_ratio",
        "prob_profit",
        "skew_estimate",
        "momentum_7d",
        "vol_concentration",
        "dte_factor",
        "price_stability",
        "body_sigmas",
        "wing_sigmas",
        "is_put",
        "is_iron",
    ),
)


def butterfly_v3(reading: Reading, structure: Structure, v2: dict[str, Array]) -> dict[str, Array]:
    """The features of v3 that v2 does not have, each of shape (n_events,): no price level is left in them.

    Shares are of spot; sigmas are of spot × IV × √T; gamma_cash is the change of delta for a move of 1% of spot.
    """
    spot = reading.spot
    sigma = spot * reading.iv * np.sqrt(structure.dte_days / 365.0)
    return {
        "forecast_return": reading.forecast / spot - 1.0,
        "forecast_sigmas": (reading.forecast - spot) / sigma,
        "gamma_cash": v2["gamma"] * spot / 100.0,
        "vega_share": v2["vega"] / spot,
        "theta_share": v2["theta"] / spot,
        "max_profit_share": v2["max_profit"] / spot,
        "max_loss_share": v2["max_loss"] / spot,
        "body_sigmas": (structure.body - spot) / sigma,
        "wing_sigmas": structure.width / sigma,
        "is_put": (structure.type == PUT).astype(np.float64),
        "is_iron": (structure.type == IRON).astype(np.float64),
    }
