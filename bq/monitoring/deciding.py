"""Decide on a session with what is deployed, and record it: what `make scan`, `make cycle` and a replay share."""

import datetime as dt
from typing import NamedTuple

import polars as pl

from bq.core.scalars import day
from bq.core.settings import Settings
from bq.market import MarketData
from bq.monitoring import outcomes, records
from bq.monitoring.records import Scan
from bq.serving import out_of_sample, registry
from bq.serving.decide import Models
from bq.serving.out_of_sample import Ranking
from bq.strategies import event_set, store
from bq.strategies.contract import Strategy

WHEN = ("event_id", "t0", "t1_due", "variant")  # of an event, recorded with its decision


class Decided(NamedTuple):
    """A session's decisions as they were recorded."""

    scan_id: int
    late: bool  # whether it could not be traded, or another scan of the session counts
    another: bool  # whether another does
    decided_utc: dt.datetime
    answer: pl.DataFrame  # as `out_of_sample.decide` gives it, of a portfolio with rank and weight
    events: pl.DataFrame


def decide(
    strategy: Strategy,
    settings: Settings,
    market: MarketData,
    session: dt.date,
    *,
    models: Models | None = None,
    decided_utc: dt.datetime | None = None,
) -> Decided | None:
    """Decide on the events of a session, on the schedule or not, and record a scan; None where it has no event.

    models : as from `out_of_sample.load`, for one who decides on many sessions; None loads them. decided_utc : when the
    decisions are made, by which it is judged whether they count; None is now. A replay gives the session's close.

    Raises as `out_of_sample.load`, also on a session without events; BadData for a day without bars.
    """
    events = store.at(strategy, settings, market, session)
    models = models or out_of_sample.load(strategy, settings)
    if events.is_empty():
        return None
    answer = answered(events, strategy, settings, market, models=models)
    return entered(answer, events, settings, data_hash=market.data_hash, decided_utc=decided_utc)


def answered(
    events: pl.DataFrame,
    strategy: Strategy,
    settings: Settings,
    market: MarketData,
    *,
    models: Models,
    ranked: Ranking | None = None,
) -> pl.DataFrame:
    """Decisions on events, all of one session; nothing is recorded. ranked : see `out_of_sample.decide`."""
    answer = out_of_sample.decide(events, market, strategy, settings, models, ranked)
    return answer if strategy.value.sizes is None else sized(answer, events, strategy, settings)


def entered(
    answer: pl.DataFrame,
    events: pl.DataFrame,
    settings: Settings,
    *,
    data_hash: str,
    decided_utc: dt.datetime | None = None,
    trusted: bool = True,
) -> Decided:
    """Record a scan with the decisions of `answered`.

    trusted : whether the clock is right; where it is not, the scan is late and counts nowhere.
    """
    session = day(events["session"][0])
    deployed = [registry.pointer_or_none(tier) for tier in (settings.namespace, settings.namespace.second)]
    champion_id, second_id = [None if pointer is None else pointer.model_id for pointer in deployed]
    now = decided_utc or dt.datetime.now(dt.UTC)
    scan = Scan(
        settings.namespace,
        session=session,
        decided_utc=now,
        parameters=settings.model_dump(mode="json"),
        data_hash=data_hash,
        code_digest=event_set.code_digest(),
        champion_id=champion_id,
        second_id=second_id,
        late=not (trusted and outcomes.in_time(session, now, calendar=settings.market.calendar)),
    )
    numbered = answer if "rank" in answer.columns else answer.with_row_index("rank", offset=1)
    made = numbered.join(events.select(WHEN), on="event_id", how="left", maintain_order="left")
    found = records.enter(scan, made)
    return Decided(found.scan_id, bool(found.late), found.another, now, answer, events)


def sized(answer: pl.DataFrame, events: pl.DataFrame, strategy: Strategy, settings: Settings) -> pl.DataFrame:
    """Decisions with the rank of each (1 is best) and its weight in the strategy's portfolio, by which it is traded."""
    assert strategy.value.sizes is not None
    carried = events.select("event_id", *strategy.table.carried)
    by = "score" if answer["expected"].is_null().all() else "expected"
    known = answer.join(carried, on="event_id", maintain_order="left", how="inner")
    weight = strategy.value.sizes(known, by, settings)
    book = answer.with_columns(weight, should_trade=weight != 0.0, threshold=pl.lit(None, pl.Float64))
    return book.with_columns(rank=pl.col(by).rank("min", descending=True).cast(pl.Int64))
