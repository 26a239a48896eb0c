"""What there is to know about the events: what came through each stage, and which factors they have."""

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
            "What came of the bars",
            "Rows through each stage, the share of the stage before, and the rest with its reasons.",
            alignment(len(made.events) + len(made.refused), made.events, made.refused),
        ),
        Exhibit(
            "Names in a session",
            "Few names make a noisy cross-section: without skill the rank IC of a session has standard deviation "
            "1 / √(names − 1).",
            pl.DataFrame([width]),
        ),
        Exhibit(
            "Outcomes at an older price",
            "A name without a bar in the session in which its outcome ends, halted or delisted, earns its last price.",
            pl.DataFrame([_older(made.events)]),
        ),
        Exhibit(
            "Which factors there are",
            "Share of the events that have each factor. One that needs volume or the day's range is missing where bars "
            "have none; it is never filled in.",
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
    """The table of a training about what could be held, day by day."""
    text = (
        "Net of costs, of daily returns, ratios a year: the portfolio by the model beside the one by the rule score, "
        "equal weight of all names, and the index, which pays nothing. The information ratio is against equal weight. "
        "A ratio of returns that do not vary is empty."
    )
    unlimited = sectors.unlimited(predictions, settings.portfolio)
    text += f" Here {unlimited}." if unlimited else ""
    return [Exhibit("What could be held, day by day", text, compare(predictions, settings, market))]
