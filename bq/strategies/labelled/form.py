"""A strategy as it is where its events come from a labelled table: the same task, value and gate, and no bars."""

from dataclasses import replace

import polars as pl

from bq.core.errors import BadData, BadParameters
from bq.core.settings import Settings
from bq.market import NO_BARS, MarketData
from bq.strategies.contract import Exhibit, Strategy, Views
from bq.strategies.events import Built, Wanted
from bq.strategies.labelled import kept


def of_table(strategy: Strategy, settings: Settings) -> Strategy:
    """`strategy` without what needs bars. Raises BadParameters where its gate does."""
    if strategy.layout is None:
        raise BadParameters(
            f"`market.source: labelled` must be with a strategy whose decisions are valued one by one, but "
            f"{strategy.name} values a portfolio day by day, which needs bars. Bring bars (market.source: files)."
        )
    table = replace(strategy.table, build=_no_bars, schedule=_no_schedule)
    views = Views(exhibits=_exhibits, results=strategy.views.results, notices=strategy.views.notices)
    return replace(strategy, table=table, views=views, backtester=None)


def _no_bars(market: MarketData, settings: Settings, wanted: Wanted) -> Built:
    raise BadData(NO_BARS)


def _no_schedule(market: MarketData, settings: Settings) -> Wanted:
    raise BadData(NO_BARS)


def _exhibits(made: Built, market: MarketData, settings: Settings) -> list[Exhibit]:
    """What became of the rows and of the columns of each file."""
    found = kept.load(settings)
    counts = market.counts.group_by("file", maintain_order=True).agg(
        pl.col("read", "kept", "outside", "not_asked", "copies", "quarantined").sum()
    )
    reasons = market.findings.group_by("file", "action", "rule").agg(rows=pl.len(), first_row=pl.col("row").min())
    return [
        Exhibit("What became of the rows", "Every row of every file, exactly once.", counts),
        Exhibit(
            "Why rows were refused or flagged",
            "A flagged row is used; where its label differs, the class edges of the parameters give the label.",
            reasons.sort("file", "action", "rows", "rule", descending=[False, False, True, False]),
        ),
        Exhibit("What the columns were read as", "A column without a place is not used.", found.tables.columns),
    ]
