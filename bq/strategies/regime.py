"""Market regimes as columns of events, and the timeline behind them."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from bq.analysis.regimes import MEASURES, Estimate, filtered_probabilities, held, market_index, measures
from bq.core.log import log
from bq.core.settings import Regimes
from bq.strategies.events import regime_columns

if TYPE_CHECKING:
    from bq.market import MarketData

LABEL = "regime"  # column with the name of the current regime; the probabilities' names begin with it


class Timeline(NamedTuple):
    """The regimes of a market, session by session."""

    frame: pl.DataFrame  # session, close, the measures of analysis.regimes, a probability for each regime, regime
    market: str  # which series stands for the market
    periods_per_year: int  # sessions, of the market's calendar
    estimates: list[Estimate]  # of the filter, one each January

    @property
    def columns(self) -> list[str]:
        """Names of the columns of probabilities."""
        return [name for name in self.frame.columns if name.startswith(f"{LABEL}_")]

    @property
    def names(self) -> list[str]:
        """Names of the regimes, in the order of `columns`."""
        return [name.removeprefix(f"{LABEL}_") for name in self.columns]


def timeline(market: "MarketData", regimes: Regimes) -> Timeline:
    """The market's regimes; what a row says was known at its session's close.

    Probabilities are null, never zero, while there is too little history; `regime` is null until there is a first.
    """
    from bq.market.calendars import periods_per_year

    index, name = market_index(market.bars, regimes.index)
    columns = regime_columns(regimes.states)
    p, estimates = filtered_probabilities(index, states=regimes.states, min_sessions=regimes.min_sessions)
    current = held(p, probability=regimes.switch_probability, sessions=regimes.switch_sessions)
    names = [column.removeprefix(f"{LABEL}_") for column in columns]
    labels = pl.Series(LABEL, [names[state] if state >= 0 else None for state in current], dtype=pl.String)
    known = pl.DataFrame(p.astype(np.float32), schema=dict.fromkeys(columns, pl.Float32)).fill_nan(None)
    year = periods_per_year(market.calendar)
    frame = measures(index, periods_per_year=year).drop("iv", "breadth").hstack(known).with_columns(labels)
    return Timeline(frame, name, year, estimates)


def attach(events: pl.DataFrame, line: Timeline) -> pl.DataFrame:
    """Events with the probability of each regime (Float32) and the current regime (String) at their session.

    Null where the session is not one of the index, or comes before there are probabilities; the log says how many,
    which series is the index, and in which years the filter could not be estimated.
    """
    found = joined(events, line)
    unknown = found[line.columns[0]].null_count()
    log.info("the market regimes (of %s) are not known yet at %d of %d events", line.market, unknown, len(found))
    for year, failed in line.estimates:
        if failed:
            log.warning("the market regimes of %d (of %s) could not be estimated: %s", year, line.market, failed)
    return found


def joined(events: pl.DataFrame, line: Timeline) -> pl.DataFrame:
    """Events with the columns of `attach` from a timeline."""
    known = line.frame.select("session", *line.columns, LABEL)
    clean = events.drop(*line.columns, LABEL, strict=False)
    found = clean.select("session").join(known, on="session", how="left", maintain_order="left")
    return clean.hstack(found.drop("session"))  # the join of all columns would copy them


def summary(events: pl.DataFrame, line: Timeline) -> pl.DataFrame:
    """How much there is of each regime, and what the market was like meanwhile: a row for each, in their order.

    events : with the columns of `attach`. Returns regime, events, dates, sessions, spells, expected_stay (sessions),
    growth, and the mean of each measure of `analysis.regimes`. The expected stay is the mean length of a spell, the
    last one, which goes on, included; growth the mean log return a year. The row with regime null counts what no
    regime is known of.
    """
    growth = pl.col("close").log().diff() * line.periods_per_year
    stays = line.frame.with_columns(spell=pl.col(LABEL).rle_id(), growth=growth)
    lasted = stays.group_by(LABEL).agg(
        pl.len().alias("sessions"),
        pl.col("spell").n_unique().alias("spells"),
        (pl.len() / pl.col("spell").n_unique()).alias("expected_stay"),
        pl.col("growth", *MEASURES).mean(),
    )
    counts = events.group_by(LABEL).agg(events=pl.len(), dates=pl.col("session").n_unique())
    both = counts.join(lasted, on=LABEL, how="full", coalesce=True, nulls_equal=True)
    in_order = both.sort(pl.col(LABEL).cast(pl.Enum(line.names)), nulls_last=True)
    return in_order.with_columns(pl.col("events", "dates").fill_null(0))
