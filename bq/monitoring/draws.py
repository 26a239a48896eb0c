"""Which symbols and weeks were drawn for which track, and what was known of them before."""

import datetime as dt
from typing import NamedTuple

import polars as pl
import sqlalchemy as sa

from bq.core import db
from bq.core.namespace import Namespace
from bq.core.settings import Trading
from bq.monitoring.records import decisions, scans
from bq.trading import tracks
from bq.trading.ledger import track_decisions
from bq.trading.tracks import Split

DRAWS = pl.Schema({"symbol": pl.String, "week": pl.Date, "track": pl.String, "score": pl.Float64})


def drawn(namespace: Namespace) -> pl.DataFrame:
    """One row a symbol and ISO week that was drawn for a track, in the order of the draws: `DRAWS`.

    week : its Monday. score : mean rule score of its events, which is known before the draw and is not of the track.
    """
    same = (
        track_decisions.c.scan_id == decisions.c.scan_id,
        track_decisions.c.event_id == decisions.c.event_id,
    )
    query = (
        sa.select(decisions.c.symbol, decisions.c.session, track_decisions.c.track, decisions.c.score)
        .join(scans, scans.c.scan_id == decisions.c.scan_id)
        .join(track_decisions, sa.and_(*same))
        .where(scans.c.namespace == str(namespace), track_decisions.c.assigned)
        .order_by(decisions.c.scan_id, decisions.c.event_id)
    )
    with db.engine().connect() as connection:
        rows = [tuple(row) for row in connection.execute(query)]
    schema = {"symbol": pl.String, "session": pl.Date, "track": pl.String, "score": pl.Float64}
    frame = pl.DataFrame(rows, schema=schema, orient="row").with_columns(week=pl.col("session").dt.truncate("1w"))
    whole = frame.group_by("symbol", "week", maintain_order=True).agg(pl.col("track").last(), pl.col("score").mean())
    return whole.select(DRAWS.names()).cast(DRAWS)


class Drawn(NamedTuple):
    """Whether draws went to the tracks of today's settings as their shares say. counts, planned : of each track."""

    split: Split
    counts: dict[str, int]
    planned: dict[str, float]


def tested(draws: pl.DataFrame, trading: Trading) -> Drawn:
    """The sequential test of a sample-ratio mismatch. draws : as from `drawn`."""
    total = sum(track.share for track in trading.tracks)
    shares = {track.name: track.share / total for track in trading.tracks}
    order = [name for name in draws["track"] if name in shares]
    return Drawn(tracks.split(shares, order), {name: order.count(name) for name in shares}, shares)


def answered(namespace: Namespace) -> dict[str, dt.date]:
    """First session on which each track's decider answered for an event."""
    first = sa.func.min(scans.c.session, type_=sa.Date)
    query = (
        sa.select(track_decisions.c.track, first)
        .join(scans, scans.c.scan_id == track_decisions.c.scan_id)
        .where(scans.c.namespace == str(namespace), track_decisions.c.should_trade.is_not(None))
        .group_by(track_decisions.c.track)
    )
    with db.engine().connect() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}
