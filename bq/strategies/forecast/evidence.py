"""What there is to know about the events: what came through each stage, and which factors they have."""

from typing import TYPE_CHECKING

import polars as pl

from bq.strategies.contract import Built, Exhibit
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
            "Which factors there are",
            "Share of the events that have each factor. One that needs volume or the day's range is missing where bars "
            "have none; it is never filled in.",
            coverage(made.events, FACTORS),
        ),
    ]


def results(predictions: pl.DataFrame, settings: "ForecastSettings", market: "MarketData") -> list[Exhibit]:
    """The table of a training about what could be held, day by day."""
    text = (
        "Net of costs, of daily returns, ratios a year: the portfolio by the model beside the one by the rule score, "
        "equal weight of all names, and the index, which pays nothing. The information ratio is against equal weight."
    )
    return [Exhibit("What could be held, day by day", text, compare(predictions, settings, market))]
