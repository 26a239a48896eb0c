"""Bars of a simulated market, on the sessions of the calendar. Labelled simulated everywhere."""

import datetime as dt

import polars as pl

from bq.core.errors import BadParameters
from bq.core.settings import Market
from bq.market.bars import rows
from bq.market.calendars import sessions
from bq.market.flags import SIMULATED
from bq.market.sources import Batch, picked
from bq.simulate.families import Family, simulated


def read(settings: Market) -> Batch:
    """The rows asked for of the market that `settings.simulation` describes, and no findings."""
    days, made = market_of(settings)
    frames = [
        pl.DataFrame({"session": days, **{key: values[:, i] for key, values in made.bars.items()}}).with_columns(
            symbol=pl.lit(name)
        )
        for i, name in enumerate(made.names)
    ]
    del made  # every array of the market, and its truth
    there = pl.concat(frames).with_columns(pl.exclude("session", "symbol").fill_nan(None))
    return picked(rows(there.filter(pl.col("close").is_not_null()), file=SIMULATED), settings)


def market_of(settings: Market) -> tuple[pl.Series, Family]:
    """The sessions and the market that `settings.simulation` describes, with its truth."""
    plan = settings.simulation
    if plan is None:
        raise BadParameters(
            "`market.simulation` must be given with `market.source: simulated`; see parameters/simulated/."
        )
    over = (pl.col("session") >= plan.first) & (pl.col("close_utc") <= dt.datetime.now(dt.UTC))
    days = sessions(settings.calendar).filter(over)["session"].head(plan.sessions)
    if len(days) < plan.sessions:
        raise BadParameters(
            f"`market.simulation.sessions` must be over, but of {plan.sessions} sessions of {settings.calendar} from "
            f"{plan.first} only {len(days)} are. Simulate fewer, or set an earlier `first`."
        )
    return days, simulated(plan, days.to_list())
