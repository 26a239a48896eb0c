"""The feature sets of the butterfly strategy and the one function that computes them, for training and serving."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bq.strategies.butterfly.score import vol_mispricing
from bq.strategies.butterfly.structure import Reading, Structure
from bq.strategies.contract import FeatureSet

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

    `skew_estimate` is missing: modelled prices have one implied volatility for all strikes, hence no skew to measure.
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
        np.full(len(max_loss), np.nan),
        reading.momentum_7d,
        reading.vol_concentration,
        np.minimum(structure.dte_days / 30.0, 2.0),
        1.0 / reading.width_pct,
        np.clip(np.abs(greek.gamma) / np.maximum(np.abs(greek.theta), 0.001), 0.0, 100.0),
    )
    return dict(zip(BUTTERFLY_V2.columns, values, strict=True))
