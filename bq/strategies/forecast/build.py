"""From the bars of all symbols to the events of the cross-section."""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.errors import BadData
from bq.core.files import digest
from bq.core.log import log
from bq.market.matrix import BarMatrix, Mask, bar_matrix, days_between
from bq.strategies.events import UTC, Built, event_id
from bq.strategies.forecast.alignment import Refusal, explained
from bq.strategies.forecast.features import FACTORS
from bq.strategies.forecast.outcome import Outcomes, outcomes
from bq.strategies.forecast.settings import DELAY, ForecastSettings

if TYPE_CHECKING:
    from bq.market import MarketData

NAME = "forecast"
SCORED_BY = ("momentum_252", "reversal_5d")


class Rows(NamedTuple):
    """Which (symbol, session) of the market take part; masks of shape (n_symbols, n_sessions)."""

    members: Mask  # the cross-section: names with enough history and a bar
    events: Mask  # members that are wanted and can be bought, in sessions of enough names
    refused: Mapping[Refusal, Mask]  # why others that are wanted gave none


def variant(s: ForecastSettings) -> str:
    """Name and digest of the parameters that an event depends on."""
    parts = {
        "events": s.events.model_dump(include={"min_names", "index_symbols"}),
        "temporal": {
            **s.temporal.model_dump(exclude={"cv_gap_days", "cv_embargo_days", "lags"}),
            "delay_days": DELAY,  # of the ids of events since the first version
        },
        "decay": s.decay.model_dump(),
    }
    return f"{NAME}-{digest(parts, 8)}"


def build(market: "MarketData", settings: ForecastSettings, wanted: Mapping[str, list[dt.date]]) -> Built:
    """The events of the wanted sessions; ranks are among all names of the market, wanted or not.

    Raises BadData where less than `alignment.coverage_threshold` of the rows with history can become events, counted
    from `events.first` to the newest bar whatever is wanted: an update by one thin session goes on.
    """
    from bq.market.calendars import periods_per_year, sessions
    from bq.strategies.forecast.factors import columns

    calendar, year = sessions(market.calendar), periods_per_year(market.calendar)
    p = bar_matrix(market.bars, days_between(market.bars, calendar))
    found = outcomes(p, horizon=settings.temporal.prediction_horizon_days)
    _enough(p, _rows(p, found, settings, p.has_bar & (p.sessions >= np.datetime64(settings.events.first))), settings)
    rows = _rows(p, found, settings, _asked(p, wanted))
    closes = calendar.filter(pl.col("session") >= p.sessions[0])["close_utc"]
    head = _head(p, closes, found, rows.events, settings, source=market.source)
    del found  # as large as two columns of the bars
    index = next((p.symbols.index(name) for name in settings.events.index_symbols if name in p.symbols), None)
    table = dict(columns(p, settings, index=index, members=rows.members, rows=rows.events, periods_per_year=year))
    _warn_of_missing(table)
    refused = _refused(p, rows, settings)
    if not rows.events.any() and len(refused):
        log.warning("forecast: no event was built: %s", explained(refused))
    events = head.with_columns(**{name: pl.Series(values) for name, values in table.items()})
    sectors = pl.col("symbol").replace_strict(dict(market.sectors), default=None, return_dtype=pl.String)
    return Built(events.with_columns(score=rule_score(), sector=sectors), refused)


def rule_score() -> pl.Expr:
    """Mean rank of a year's momentum and a week's reversal, of those known; 0, the middle, where neither is.

    The two classics of price alone: Jegadeesh & Titman 1993, doi:10.1111/j.1540-6261.1993.tb04702.x, and Lehmann 1990,
    doi:10.2307/2937816.
    """
    ranks = [pl.col(f"{name}_rank").cast(pl.Float64).fill_nan(None) for name in SCORED_BY]
    return pl.mean_horizontal(ranks).fill_null(0.0)


def _asked(p: BarMatrix, wanted: Mapping[str, list[dt.date]]) -> Mask:
    """Which (symbol, session) are wanted and have a bar."""
    mask = np.zeros(p.close.shape, bool)
    for row, symbol in enumerate(p.symbols):
        days = np.array(wanted.get(symbol, []), "datetime64[D]")
        place = np.minimum(np.searchsorted(p.sessions, days), len(p.sessions) - 1)
        mask[row, place[p.sessions[place] == days]] = True
    return mask & p.has_bar


def _rows(p: BarMatrix, found: Outcomes, s: ForecastSettings, wanted: Mask) -> Rows:
    history, least = s.temporal.max_lookback_days, s.events.min_names
    index = np.isin(p.symbols, s.events.index_symbols)[:, None] & p.has_bar
    first = np.argmax(p.has_bar, axis=1)[:, None]
    young = np.arange(len(p.sessions)) - first < history
    members = p.has_bar & ~index & ~young
    able = members & found.enterable
    few = able & (able.sum(axis=0) < least)
    refused = {
        Refusal.INDEX: index,
        Refusal.YOUNG: young & ~index,
        Refusal.NO_ENTRY: members & ~found.enterable,
        Refusal.FEW: few,
    }
    return Rows(members, wanted & able & ~few, {why: wanted & mask for why, mask in refused.items()})


def _enough(p: BarMatrix, rows: Rows, s: ForecastSettings) -> None:
    """Raise where too much of the cross-section gives no event; rows : of all sessions from `events.first` on."""
    threshold, least, kept = s.alignment.coverage_threshold, s.events.min_names, int(rows.events.sum())
    unsold, few = rows.refused[Refusal.NO_ENTRY], rows.refused[Refusal.FEW]
    whole = kept + int(unsold.sum()) + int(few.sum())
    if kept >= threshold * whole:
        return
    thin = p.sessions[few.any(axis=0)]
    span = f", {thin[0]} to {thin[-1]}" if len(thin) else ""
    raise BadData(
        f"`alignment.coverage_threshold`: at least {threshold:.0%} of the rows with enough history must become events, "
        f"but {kept:,} of {whole:,} do ({kept / whole:.0%}): {few.sum():,} are in {len(thin):,} sessions of fewer than "
        f"{least} names that can be bought (`events.min_names`{span}), {unsold.sum():,} have no price in the next "
        "session. `make check-data` lists the sessions that are missing; bring them, begin later (`events.first`) or "
        "end earlier (`market.end`), or lower the threshold."
    )


def _warn_of_missing(table: Mapping[str, NDArray[np.float32]]) -> None:
    absent = [name for name in FACTORS if len(table[name]) and np.isnan(table[name]).all()]
    if absent:
        log.warning(
            "forecast: these factors are missing everywhere, for lack of volume, high, low or history: %s",
            ", ".join(absent),
        )


def _head(
    p: BarMatrix, closes: pl.Series, found: Outcomes, events: Mask, s: ForecastSettings, *, source: str
) -> pl.DataFrame:
    """The contract's columns but the score and the features, and what is known of entry and exit.

    closes : UTC, of each session and of as many to come as the calendar knows.
    """
    day, symbol = np.nonzero(events.T)
    horizon = s.temporal.prediction_horizon_days
    names, name = pl.Series(p.symbols), variant(s)
    value, stale = found.value[symbol, day], found.stale_sessions[symbol, day]
    known = found.known[symbol, day]
    due = closes.gather(day + horizon)
    stamps = [close.isoformat() for close in closes.head(len(p.sessions))]
    ids = [event_id(NAME, p.symbols[i], stamps[t], name) for i, t in zip(symbol, day, strict=True)]
    frame = pl.DataFrame(
        {
            "event_id": pl.Series(ids, dtype=pl.String),
            "symbol": names.gather(symbol),
            "session": pl.Series(p.sessions[day]).cast(pl.Date),
            "t0": closes.gather(day),
            "t1_due": due,
            "known": known,
            "outcome": value,
            "entry_at": np.where(found.at_open[symbol, day], "open", "close"),
            "exit_stale_sessions": stale,
        }
    )
    return frame.with_columns(
        pl.col("outcome").fill_nan(None),
        pl.col("exit_stale_sessions").fill_nan(None).cast(pl.Int32),
        strategy=pl.lit(NAME),
        variant=pl.lit(name),
        t1=pl.when("known").then("t1_due").otherwise(pl.lit(None, UTC)),
        taken=pl.lit(True),
        source=pl.lit(source),
    ).drop("known")


def _refused(p: BarMatrix, rows: Rows, s: ForecastSettings) -> pl.DataFrame:
    """The wanted dates without an event: symbol, session, refusal and its sentence as reason."""
    nothing = {"symbol": pl.String, "session": pl.Date, "refusal": pl.String, "reason": pl.String}
    parts = [pl.DataFrame(schema=nothing)]
    for why, mask in rows.refused.items():
        symbol, day = np.nonzero(mask)
        part = {"symbol": pl.Series(p.symbols).gather(symbol), "session": pl.Series(p.sessions[day]).cast(pl.Date)}
        parts.append(pl.DataFrame(part).with_columns(refusal=pl.lit(why.value), reason=pl.lit(why.sentence(s))))
    return pl.concat(parts)
