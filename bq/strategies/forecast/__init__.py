"""Cross-sectional forecast: one event is a (symbol, session) and what it returns over the next ten sessions."""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.strategies.contract import Counter, Strategy, Table, Value, Views
from bq.strategies.forecast import sectors
from bq.strategies.forecast.build import NAME, build
from bq.strategies.forecast.desk import ForecastDesk
from bq.strategies.forecast.evidence import exhibits, results
from bq.strategies.forecast.features import FEATURE_SETS
from bq.strategies.forecast.portfolio import CARRIED, chosen, contributions, sizes, value, value_name
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
    """A regression on the z-score, among those of its session, of a return's own part in units of its volatility."""
    return Task(outcome="return", beta="market_beta_60", volatility="volatility_60")


def cells(events: pl.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """One category, and the volatility of 60 sessions as size."""
    return np.zeros(len(events), np.int64), events["volatility_60"].fill_null(np.nan).to_numpy().astype(np.float32)


def notices(events: pl.DataFrame, settings: ForecastSettings) -> list[str]:
    """Which names are under no sector limit."""
    unlimited = sectors.unlimited(events, settings.portfolio)
    return [unlimited] if unlimited else []


def counters(events: pl.DataFrame) -> list[Counter]:
    """Outcomes of names that were halted or delisted before the exit: they earn their last price."""
    closed = events.filter(pl.col("outcome").is_not_null())
    older = closed.filter(pl.col("exit_stale_sessions") > 0)
    names = older["symbol"].unique().sort().to_list()
    return [Counter("outcomes that end at a stale price (no bar in the exit session)", len(older), len(closed), names)]


STRATEGY = Strategy(
    name=NAME,
    settings=ForecastSettings,
    table=Table(
        build=build,
        feature_sets=FEATURE_SETS,
        schedule=schedule,
        cells=cells,
        cells_from=("volatility_60",),
        cross_sectional=True,
        carried=CARRIED,
    ),
    task=task,
    value=Value(
        chosen=chosen,
        earned=value,
        name=value_name,
        requirements=requirements,
        sizes=sizes,
        contributions=contributions,
    ),
    views=Views(
        exhibits=lambda made, market, settings: exhibits(made), results=results, notices=notices, counters=counters
    ),
    desk=ForecastDesk,
    quick="events.every_sessions=10 gate.draws=2000",
)
