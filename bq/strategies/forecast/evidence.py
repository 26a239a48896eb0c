"""Exhibits of the cross-section: how many rows reached each stage, and which factors are known."""

from typing import TYPE_CHECKING

import polars as pl

from bq.strategies.contract import Exhibit
from bq.strategies.events import Built
from bq.strategies.forecast import sectors
from bq.strategies.forecast.alignment import alignment, coverage
from bq.strategies.forecast.features import FACTORS
from bq.strategies.forecast.production import compare

if TYPE_CHECKING:
    from bq.market import MarketData
    from bq.strategies.forecast.settings import ForecastSettings


def exhibits(made: Built) -> list[Exhibit]:
    """The tables of a feature exploration that are about the cross-section."""
    names = made.events.group_by("session").len()["len"]
    width = {"sessions": len(names), "fewest": names.min(), "median": names.median(), "most": names.max()}
    return [
        Exhibit(
            "From bars to matured events",
            "Rows that reached each stage, as a share of the stage before, and why the others did not.",
            alignment(len(made.events) + len(made.refused), made.events, made.refused),
        ),
        Exhibit(
            "Names per session",
            "Few names make a noisy cross-section: without skill the rank IC of a session has standard deviation "
            "1 / √(names − 1).",
            pl.DataFrame([width]),
        ),
        Exhibit(
            "Outcomes at a stale price",
            "A name that was halted or delisted has no bar in its exit session: its outcome ends at its last price.",
            pl.DataFrame([_older(made.events)]),
        ),
        Exhibit(
            "Coverage of the factors",
            "Share of the events for which each factor is known. A factor that needs volume or the day's range is "
            "missing where the bars lack them; it is never filled in.",
            coverage(made.events, FACTORS),
        ),
    ]


def _older(events: pl.DataFrame) -> dict:
    """Events whose exit price is older than the exit session, and how old."""
    closed = events.filter(pl.col("outcome").is_not_null())
    older = closed.filter(pl.col("exit_stale_sessions") > 0)
    return {
        "outcomes": len(closed),
        "at_an_older_price": len(older),
        "symbols": older["symbol"].n_unique(),
        "oldest_sessions": older["exit_stale_sessions"].max(),
        "mean_outcome": older["outcome"].mean(),
    }


def results(predictions: pl.DataFrame, settings: "ForecastSettings", market: "MarketData") -> list[Exhibit]:
    """The table of a training that compares the portfolio with its alternatives, day by day."""
    text = (
        "Daily returns net of costs, with annual ratios. The model's portfolio is compared with the rule score's, with "
        "equal weight of all names, and with the index, which pays no costs. The information ratio is against "
        "equal weight."
    )
    unlimited = sectors.unlimited(predictions, settings.portfolio)
    text += f" Here {unlimited}." if unlimited else ""
    return [Exhibit("The portfolio against its alternatives, day by day", text, compare(predictions, settings, market))]
