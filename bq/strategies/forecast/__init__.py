"""Cross-sectional forecast: one event is a (symbol, session) and what it returns over the next ten sessions."""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.strategies.contract import Strategy
from bq.strategies.forecast import sectors
from bq.strategies.forecast.build import NAME, build
from bq.strategies.forecast.evidence import exhibits, results
from bq.strategies.forecast.features import FEATURE_SETS
from bq.strategies.forecast.portfolio import CARRIED, sizes, value, value_name
from bq.strategies.forecast.production import requirements
from bq.strategies.forecast.settings import ForecastSettings
from bq.strategies.task import Task

if TYPE_CHECKING:
    from bq.market import MarketData

Wanted = Mapping[str, list[dt.date]]


def schedule(market: "MarketData", settings: ForecastSettings) -> Wanted:
    """Every n-th session of the calendar from `events.first` on, whatever bars come later, for all but the indices."""
    from bq.market.calendars import sessions

    days = sessions(market.calendar)["session"].gather_every(settings.events.every_sessions)
    bars = market.bars.filter(
        pl.col("session") >= settings.events.first,
        ~pl.col("symbol").is_in(settings.events.index_symbols),
        pl.col("session").is_in(days.implode()),
    )
    return {symbol: group["session"].to_list() for (symbol,), group in bars.group_by("symbol", maintain_order=True)}


def task(settings: ForecastSettings) -> Task:
    """A regression on the standing of a return among those of its session."""
    return Task(trade_above=0.0)


def cells(events: pl.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """One category, and the volatility of 60 sessions as size."""
    return np.zeros(len(events), np.int64), events["volatility_60"].fill_null(np.nan).to_numpy().astype(np.float32)


def notices(events: pl.DataFrame, settings: ForecastSettings) -> list[str]:
    """Which names are under no sector limit."""
    unlimited = sectors.unlimited(events, settings.portfolio)
    return [unlimited] if unlimited else []


STRATEGY = Strategy(
    name=NAME,
    settings=ForecastSettings,
    feature_sets={features.name: features for features in FEATURE_SETS},
    schedule=schedule,
    build=build,
    task=task,
    cells=cells,
    baseline=lambda settings: 0.0,
    value=value,
    value_name=value_name,
    carried=CARRIED,
    requirements=requirements,
    quick="events.every_sessions=10 gate.draws=2000",
    cross_sectional=True,
    exhibits=lambda made, market, settings: exhibits(made),
    sizes=sizes,
    notices=notices,
    results=results,
)
