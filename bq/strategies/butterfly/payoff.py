"""What stands behind an event: its legs, its rule score, its Greeks, and its worth across prices of the underlying."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.strategies.butterfly import pricing
from bq.strategies.butterfly.settings import ButterflySettings
from bq.strategies.butterfly.structure import QUANTITY, TYPES, Structure

Array = NDArray[np.float64]


def structure_of(event: Mapping[str, Any], copies: int = 1) -> Structure:
    """The structure of one event (a row of the events table), repeated."""
    kind = TYPES.index(event["structure"])
    values = (kind, event["lower"], event["body"], event["upper"], event["dte_days"])
    return Structure(*(np.full(copies, value) for value in values))


def legs(event: Mapping[str, Any]) -> pl.DataFrame:
    """The legs of one event: quantity, right, strike, expiry; equal legs together."""
    structure = structure_of(event)
    rights = np.where(structure.is_call[0], "call", "put")
    rows = {"quantity": QUANTITY.astype(int), "right": rights, "strike": structure.strikes[0]}
    frame = pl.DataFrame(rows).group_by("right", "strike", maintain_order=True).agg(pl.col("quantity").sum())
    return frame.select("quantity", "right", "strike", expiry=pl.lit(event["expiry"])).sort("strike", "right")


def score(event: Mapping[str, Any], settings: ButterflySettings) -> pl.DataFrame:
    """The points of each component of the rule score, the delta penalty and the whole."""
    names = ("price_match", "vol_mispricing", "stability", "fourier")
    weights = [getattr(settings.score, name) for name in names]
    values = [event[f"{name}_score"] for name in names]
    table = pl.DataFrame({"component": names, "weight": weights, "value [0–100]": values})
    points = table.with_columns(points=pl.col("weight") * pl.col("value [0–100]"))
    rest = {
        "component": ["delta penalty", "score"],
        "weight": [None, None],
        "value [0–100]": [None, None],
        "points": [-event["delta_penalty_score"], event["score"]],
    }
    return pl.concat([points, pl.DataFrame(rest, schema=points.schema)])


def greeks(event: Mapping[str, Any]) -> pl.DataFrame:
    """Greeks of the long structure, per share, European."""
    units = {
        "delta": "per unit of the price",
        "gamma": "delta per unit of the price",
        "vega": "per volatility point",
        "theta": "per calendar day",
    }
    values = [event[name] for name in units]
    return pl.DataFrame({"Greek": list(units), "per share": values, "unit": list(units.values())})


def payoff(event: Mapping[str, Any], settings: ButterflySettings, *, points: int = 201) -> pl.DataFrame:
    """Profit per share over prices of the underlying, after the cost of entering: spot, at expiry, at t0."""
    reach = 2.2 * (event["upper"] - event["body"])
    spot = np.linspace(max(event["body"] - reach, 1e-3), event["body"] + reach, points)
    structure = structure_of(event, points)
    iv = np.full(points, event["current_iv"])
    rate, costs = settings.structure.rate, settings.costs

    def value(years: float) -> Array:
        return pricing.quote(structure, spot, iv, np.full(points, years), rate=rate, costs=costs).mid

    debit = -event["max_profit"] if event["structure"] == "IRON" else event["max_loss"]  # as at t0
    return pl.DataFrame(
        {"spot": spot, "at expiry": value(0.0) - debit, "at t0": value(event["dte_days"] / 365.0) - debit}
    )
