"""Option-butterfly opportunities: one event is a (symbol, date) with the structure that the rules propose for it."""

import datetime as dt
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.files import digest
from bq.core.parallel import parallel_map
from bq.strategies.butterfly.features import BUTTERFLY_V2
from bq.strategies.butterfly.settings import ButterflySettings
from bq.strategies.contract import Built, Strategy, Task, event_id

if TYPE_CHECKING:
    from bq.market import MarketData

NAME = "butterfly"
Wanted = Mapping[str, list[dt.date]]


def variant(settings: ButterflySettings) -> str:
    """Rule-set name and digest of the parameters that an event depends on."""
    parts = {
        "analysis": settings.analysis.model_dump(exclude={"engine"}),
        "structure": settings.structure.model_dump(),
        "costs": settings.costs.model_dump(),
        "score": settings.score.model_dump(),
        "label": settings.label.model_dump(),
    }
    return f"{NAME}-{digest(parts, 8)}"


def schedule(market: "MarketData", settings: ButterflySettings) -> dict[str, list[dt.date]]:
    """The sessions looked at: the last of every n-th ISO week by the calendar, so that later data changes none."""
    from bq.market.calendars import sessions

    week = (pl.col("session").dt.epoch("d") + 3) // 7  # weeks since the Monday before the epoch
    last_of_week = sessions(market.calendar).group_by(week.alias("week")).agg(pl.col("session").max())
    chosen = last_of_week.filter(pl.col("week") % settings.events.every_weeks == 0).select("session")
    bars = market.bars.filter(pl.col("session") >= settings.events.first).join(chosen, on="session")
    return {symbol: group["session"].to_list() for (symbol,), group in bars.sort("session").group_by("symbol")}


def build(market: "MarketData", settings: ButterflySettings, wanted: Wanted) -> Built:
    """The events of the wanted sessions of each symbol."""
    from bq.market.calendars import sessions

    calendar = sessions(market.calendar)
    last = market.bars["session"].max()
    bars = {symbol: frame for (symbol,), frame in market.bars.group_by("symbol", maintain_order=True)}
    jobs = [(bars[symbol], dates) for symbol, dates in sorted(wanted.items()) if dates]
    work = partial(_build_one, calendar=calendar["session"].to_numpy(), last=last, settings=settings)
    parts = parallel_map(work, jobs, description="butterfly events")
    if not parts:
        raise ValueError("at least one session must be wanted")
    frames, refused = zip(*parts, strict=True)
    rows = pl.concat(frames)
    return Built(_as_events(rows, market, settings, calendar), pl.concat(refused))


def _build_one(
    job: tuple[pl.DataFrame, list[dt.date]], *, calendar: NDArray, last: dt.date, settings: ButterflySettings
) -> tuple[pl.DataFrame, pl.DataFrame]:
    from bq.strategies.butterfly.build import build_symbol, history

    bars, dates = job
    h = history(bars, calendar, last, settings)
    at = np.flatnonzero(np.isin(h.session, np.array(dates, "datetime64[D]")))
    columns, refused = build_symbol(h, at, settings)
    symbol = pl.lit(h.symbol).alias("symbol")
    return pl.DataFrame(columns).select(symbol, pl.all()), refused.select(symbol, pl.all())


def _as_events(
    rows: pl.DataFrame, market: "MarketData", settings: ButterflySettings, calendar: pl.DataFrame
) -> pl.DataFrame:
    """Add the contract's columns to the symbol-wise rows; the strategy's own columns stay behind them."""
    close = dict(calendar.iter_rows())
    name = variant(settings)
    ids = [
        event_id(NAME, symbol, close[session].isoformat(), name)
        for symbol, session in rows.select("symbol", "session").iter_rows()
    ]
    at_close = partial(
        pl.Expr.replace_strict,
        old=calendar["session"],
        new=calendar["close_utc"],
        return_dtype=pl.Datetime("us", "UTC"),
    )
    outcome = pl.col("outcome").fill_nan(None)
    return rows.with_columns(
        pl.col("^roi_.*$", "lead_7d", "debit", "risk", "exit_spot", "in_zone").fill_nan(None),
        pl.Series("event_id", ids, dtype=pl.String),
        strategy=pl.lit(NAME),
        variant=pl.lit(name),
        t0=at_close(pl.col("session")),
        t1=at_close(pl.col("known")),
        t1_due=at_close(pl.col("due")),
        taken=pl.lit(True),
        source=pl.lit(outcome_source(market)),
        outcome=outcome,
        label=task(settings).label(outcome),
    ).drop("due", "known")


def outcome_source(market: "MarketData") -> str:
    """Option prices come from a model, on real or on simulated underlyings."""
    return "simulated" if market.source == "simulated" else "modelled"


def task(settings: ButterflySettings) -> Task:
    """Four ROI classes by the edges of the settings."""
    return Task(("Loss", "Minor", "Good", "Excellent"), tuple(settings.label.edges))


def cells(events: pl.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Structure index and wing width in standard deviations: where class means are kept apart."""
    structure = events["structure"].replace_strict({"CALL": 0, "PUT": 1, "IRON": 2}, return_dtype=pl.Int64)
    return structure.to_numpy(), events["wing_sigmas"].cast(pl.Float32).to_numpy()


STRATEGY = Strategy(
    name=NAME,
    settings=ButterflySettings,
    feature_sets={BUTTERFLY_V2.name: BUTTERFLY_V2},
    build=build,
    schedule=schedule,
    task=task,
    outcome_source=outcome_source,
    cells=cells,
    baseline=lambda settings: settings.score.trade_at,
    quick="events.every_weeks=8 gate.draws=2000",
)
