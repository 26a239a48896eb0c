"""Tracks: who decides on which symbol, and what each would have done with every event."""

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
import sqlalchemy as sa

from bq.core import db
from bq.core.errors import BadParameters
from bq.core.namespace import Tier
from bq.core.settings import Settings, Track
from bq.strategies import policy
from bq.strategies.contract import Strategy
from bq.strategies.desk import Desk
from bq.strategies.policy import FROM, SCORE
from bq.strategies.weighing import LEARNT
from bq.trading.ledger import intents, track_decisions

BITS = 64


def assigned(tracks: Sequence[Track], *, seed: int, symbol: str, day: dt.date) -> str | None:
    """Whose a symbol is in the ISO week of a day; None where the shares leave it to nobody.

    A seeded hash: random, the same whenever it is asked, and of nothing that is known about the symbol.
    """
    year, week, _ = day.isocalendar()
    text = f"{seed}|{symbol}|{year}-W{week:02d}".encode()
    draw = int.from_bytes(hashlib.sha256(text).digest()[: BITS // 8]) / 2.0**BITS
    for track in tracks:
        draw -= track.share
        if draw < 0:
            return track.name
    return None


def limit_of(track: Track, whole: int) -> int:
    """A track's part of a number that an account may not exceed; at least 1."""
    return max(round(track.share * whole), 1)


def decided(track: Track, decisions: pl.DataFrame, strategy: Strategy, settings: Settings) -> pl.DataFrame:
    """What a track would do with every event of a scan: event_id, should_trade, rank; null: nobody answers for it.

    decisions : rows of the scan: event_id, tier, score, should_trade, rank. The rule decides by the score alone, of all
    events, as it does where there is no model; a track with learnt weights by `learnt_score`, which is null where none
    are deployed, and trades as many.
    """
    if track.decides == "champion":
        by_model = pl.col("tier") == Tier.CHAMPION.value
        return decisions.select(
            "event_id",
            should_trade=pl.when(by_model).then("should_trade"),
            rank=pl.when(by_model).then(pl.col("rank").cast(pl.Int64)),
        )
    known = decisions.with_columns(pl.lit(strategy.task(settings).trade_score).alias(FROM))
    taken, by = policy.traded(known, SCORE, settings.policy.k), SCORE
    if track.weights == "learnt":
        if LEARNT not in known.columns or known[LEARNT].is_null().all():
            return decisions.select(
                "event_id", pl.lit(None, pl.Boolean).alias("should_trade"), rank=pl.lit(None, pl.Int64)
            )
        taken, by = policy.as_many(known, LEARNT, taken), LEARNT
    traded = known.with_columns(taken)
    rank = pl.col(by).fill_nan(None).rank("ordinal", descending=True).cast(pl.Int64)
    return traded.select("event_id", should_trade=pl.col("traded"), rank=rank)


def weighed(desk: Desk, track: Track, decisions: pl.DataFrame, events: Callable[[], pl.DataFrame]) -> pl.DataFrame:
    """The decisions of a scan, with the rule score by the weights of a track that has its own."""
    if track.weights is None:
        return decisions
    known = events()
    if track.weights == "learnt":
        return decisions.join(known.select("event_id", LEARNT), on="event_id", how="left", maintain_order="left")
    scores = known.select("event_id", desk.scored(known, track.weights).alias(SCORE))
    return decisions.drop(SCORE).join(scores, on="event_id", how="left", maintain_order="left")


def enter(scan_id: int, made: dict[str, pl.DataFrame], whose: dict[str, str | None]) -> None:
    """Write down what each track would do. made : by track, as from `decided`. whose : by event, the track it is of."""
    with db.engine().begin() as connection:
        query = sa.select(track_decisions.c.track).where(track_decisions.c.scan_id == scan_id).distinct()
        known = set(connection.execute(query).scalars())
        rows = [
            {"scan_id": scan_id, "track": name, "assigned": whose[row["event_id"]] == name, **row}
            for name, frame in made.items()
            if name not in known
            for row in frame.to_dicts()
        ]
        if rows:
            connection.execute(track_decisions.insert(), rows)


def refuse_taken(names: Sequence[str], *, account: str, namespace: str) -> None:
    """Raise BadParameters where another namespace trades on the account under one of these names."""
    query = sa.select(intents.c.track, intents.c.namespace).where(
        intents.c.account == account, intents.c.namespace != namespace, intents.c.track.in_(names)
    )
    with db.engine().connect() as connection:
        taken = connection.execute(query.limit(1)).first()
    if taken is not None:
        raise BadParameters(
            f"`trading.tracks` must have names of its own on the account {account}, but {taken.track!r} trades there "
            f"for {taken.namespace} already. Give the track of {namespace} another name."
        )


class Split(NamedTuple):
    """Whether draws went to tracks as their shares say. p : holds however often one looks."""

    draws: int
    p: float


def split(shares: Mapping[str, float], order: Sequence[str]) -> Split:
    """Sequential test of a sample-ratio mismatch.

    shares : of each track, which sum to 1. order : the track of each draw, one after the other. The Bayes factor of a
    multinomial whose shares have a Dirichlet prior around the planned ones, against these; by Ville's inequality the
    chance that its running maximum ever exceeds 1/α is at most α where the plan holds.

    Lindon & Malek 2022, arXiv:2011.03567.
    """
    names = list(shares)
    prior = np.array([shares[name] for name in names]) * len(names)
    seen, log_factor, highest = np.zeros(len(names)), 0.0, 0.0
    for track in order:
        i = names.index(track)
        predicted = (prior[i] + seen[i]) / (prior.sum() + seen.sum())
        log_factor += np.log(predicted / shares[track])
        highest = max(highest, log_factor)
        seen[i] += 1
    return Split(len(order), float(np.exp(-highest)))
