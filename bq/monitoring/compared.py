"""Tracks compared by what a database holds of them: their decisions by shadow books, their executions by the ledger.

A shadow book (`bq.trading.shadow`) trades every opportunity with the whole capital by one pricing rule, and no order
fails.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import polars as pl
import sqlalchemy as sa

from bq.core import db
from bq.core.errors import BadParameters, did_you_mean
from bq.core.scalars import day, number
from bq.core.settings import Settings, Track
from bq.market.calendars import sessions
from bq.monitoring import draws
from bq.monitoring.draws import Drawn
from bq.monitoring.records import decisions, scans
from bq.strategies.contract import Strategy
from bq.strategies.desk import Desk
from bq.trading import comparison, costs, curve, trades, unpaired
from bq.trading.comparison import Comparison, Material, Question
from bq.trading.ledger import intents
from bq.trading.unpaired import Executed

ORDERS = 100_000  # whose costs are added up: all


class Origin(StrEnum):
    """Whose trades are compared."""

    LEDGER = "ledger"
    REPLAY = "replay"
    FILE = "file"


class Without(StrEnum):
    """Why a question has no answer."""

    NO_SCAN = "no_scan"  # nothing was decided
    NONE_COUNTS = "none_counts"  # no scan was the first of its session that was made in time
    NO_CHAMPION = "no_champion"  # a track's decider never answered
    NO_EXECUTION = "no_execution"
    ONE_TRACK = "one_track"
    TRADES_ALONE = "trades_alone"  # a list of trades holds no decision that was let pass


class Compared(NamedTuple):
    """Both questions, each answered or why not.

    source : of the outcomes (simulated, modelled, real). executed : the unpaired differences of the executions. drawn :
    what was drawn for each track; None: nothing was. scans : that were made, where none of them counts.
    """

    origin: Origin
    name: str  # of the replay, or the file; empty of the ledger
    source: str
    decisions: Comparison | Without
    executions: Comparison | Without
    executed: list[Executed] = []
    drawn: Drawn | None = None
    scans: int = 0


class Subject(NamedTuple):
    """Whose tracks are compared, and how they are traded."""

    strategy: Strategy
    settings: Settings
    desk: Desk
    asked: str = ""  # the track that others are compared with; empty: see `base_of`

    @property
    def namespace(self) -> str:
        """As the ledger names it."""
        return str(self.settings.namespace)

    @property
    def base(self) -> str:
        """The track that others are compared with."""
        return base_of(self.tracks, self.asked)

    @property
    def tracks(self) -> list[Track]:
        """Of today's settings."""
        return self.settings.trading.tracks


def base_of(tracks: Sequence[Track], asked: str = "") -> str:
    """The track that others are compared with: as asked, else the first by the rule score as it is, else the last.

    Raises BadParameters where none is called as asked.
    """
    if asked:
        return known([track.name for track in tracks], asked)
    rules = [track.name for track in tracks if track.decides == "rule" and track.weights is None]
    return rules[0] if rules else tracks[-1].name


class Shadows(NamedTuple):
    """The shadow books of all tracks, which begin with nothing. daily : track and `shadow.DAILY`.

    closed : track and `shadow.CLOSED`. held : positions that are open at the end, by track. opportunities : decisions
    that each of them met. source : the weakest of their outcomes.
    """

    daily: pl.DataFrame
    closed: pl.DataFrame
    held: Mapping[str, int]
    opportunities: int
    source: str


def by_decisions(subject: Subject, found: Shadows) -> Comparison:
    """Compare the shadow books of tracks, each on the whole capital."""
    names = [track.name for track in subject.tracks]
    whole = dict.fromkeys(names, subject.settings.trading.capital)
    made = found.closed.select(
        "track",
        "symbol",
        event_id="position",
        decided=pl.lit(None, pl.Date),
        opened="entered",
        closed="left",
        pnl="pnl",
        risk="risk",
        turnover="turnover",
        fees="fees",
        source=pl.lit(found.source),
    ).cast(trades.TRADES)
    told = made.join(predicted(subject), on="event_id", how="left", maintain_order="left")
    material = Material(
        daily=found.daily.select("track", "session", "pnl"),
        trades=told,
        capital=whole,
        given=dict.fromkeys(names, 1.0),
        held=found.held,
        opportunities=dict.fromkeys(names, found.opportunities),
        zone=zone(subject),
    )
    return comparison.compare(Question.DECISIONS, material, subject.base)


def by_executions(subject: Subject, account: str) -> tuple[Comparison | Without, list[Executed]]:
    """Compare what the tracks' account earned, from the first session on whose events every track's decider answered.

    Positions that were decided before are in no figure, as of `by_decisions`.
    """
    if len(subject.tracks) < 2:
        return Without.ONE_TRACK, []
    begun = _begun(subject)
    if isinstance(begun, Without):
        return begun, []
    material = _material(subject, account, begun)
    if material is None:
        return Without.NO_EXECUTION, []
    units, base = pl.DataFrame(schema=unpaired.OPPORTUNITIES), subject.base
    if not subject.desk.whole_book:  # each had the symbols and weeks that were drawn for it, and no others
        units = opportunities(subject, material.trades, begun)
        counts, shares = dict(units.group_by("track").len().rows()), {one.name: one.share for one in subject.tracks}
        material = material._replace(given=shares, opportunities={name: counts.get(name, 0) for name in shares})
    found = comparison.compare(Question.EXECUTIONS, material, base)
    others = [track.name for track in subject.tracks if track.name != base]
    return found, [unpaired.executed(material.trades, units, name, base) for name in others]


def _begun(subject: Subject) -> dt.date | Without:
    """The first session on whose events every track's decider had answered."""
    answered = draws.answered(subject.settings.namespace)
    if not answered:
        return Without.NO_EXECUTION
    if any(track.name not in answered for track in subject.tracks):
        return Without.NO_CHAMPION
    return max(answered[track.name] for track in subject.tracks)


def opportunities(subject: Subject, made: pl.DataFrame, begun: dt.date) -> pl.DataFrame:
    """What came of each symbol and week that was drawn for a track: `unpaired.OPPORTUNITIES`.

    Only of weeks from `begun` on, and before the one in which the oldest open position was decided: of later ones not
    all is known yet.
    """
    drawn = draws.drawn(subject.settings.namespace)
    capital = {track.name: track.share * subject.settings.trading.capital for track in subject.tracks}
    weekly = made.with_columns(week=pl.col("decided").dt.truncate("1w"))
    oldest = weekly.filter(pl.col("closed").is_null())["week"].min()
    last = drawn["week"].max() if oldest is None else oldest
    whole = drawn.filter(pl.col("week") >= begun, pl.col("week") < last, pl.col("track").is_in(list(capital)))
    sums = weekly.group_by("track", "symbol", "week").agg(pl.col("pnl").sum())
    base = pl.col("track").replace_strict(capital, return_dtype=pl.Float64)
    known = whole.join(sums, on=["track", "symbol", "week"], how="left", maintain_order="left")
    return known.select("track", "symbol", value=pl.col("pnl").fill_null(0.0) / base, score="score")


def known(names: Sequence[str], asked: str) -> str:
    """A track's name as it was asked for. Raises BadParameters where there is none of it."""
    if asked not in names:
        raise BadParameters(f"TRACK must be one that is compared, but got {asked!r}; {did_you_mean(asked, names)}")
    return asked


def _material(subject: Subject, account: str, begun: dt.date) -> Material | None:
    """What the tracks did on an account with positions decided from a session on; None: nothing.

    Of a whole book all of it, as its positions are names that it always had.
    """
    since, namespace = None if subject.desk.whole_book else begun, subject.namespace
    running, made = curve.running(account, namespace, since=since), trades.of(account, namespace)
    if running.is_empty():
        return None
    made = made if since is None else made.filter(pl.col("decided") >= since)
    kept = None if since is None else set(made["event_id"])
    calendar = sessions(subject.settings.market.calendar)["session"]
    days = calendar.filter((calendar > begun) & (calendar <= day(running["session"].max()))).to_frame("session")
    names = [track.name for track in subject.tracks]
    daily = [_daily(name, running.filter(pl.col("track") == name), days) for name in names]
    return Material(
        daily=pl.concat(daily),
        trades=made.join(predicted(subject), on="event_id", how="left", maintain_order="left"),
        capital={track.name: track.share * subject.settings.trading.capital for track in subject.tracks},
        given=dict.fromkeys(names, 1.0),
        costs=costs.of(subject.desk, account, namespace, newest=ORDERS, positions=kept),
        zone=zone(subject),
    )


def _daily(track: str, running: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """P&L of each session; what was made up to the first one is in none."""
    total = days.join_asof(running.select("session", "pnl"), on="session")["pnl"].fill_null(0.0)
    before = running.filter(pl.col("session") < days["session"].min())["pnl"]
    start = number(before[-1]) if len(before) else 0.0
    made = total - total.shift(1, fill_value=start)
    return days.select(pl.lit(track).alias("track"), "session", pnl=made)


def zone(subject: Subject) -> float:
    """Where the classes begin that lie above 0: an outcome there is in the profit zone."""
    return next((edge for edge in subject.strategy.task(subject.settings).edges if edge >= 0.0), 0.0)


def predicted(subject: Subject) -> pl.DataFrame:
    """event_id, predicted: the probability that an event ends in the profit zone, of the model that decided on it.

    Only of models of the strategy's own classes; empty where outcomes have none.
    """
    task, schema = subject.strategy.task(subject.settings), {"event_id": pl.String, "predicted": pl.Float64}
    good = [place + 1 for place, edge in enumerate(task.edges) if edge >= 0.0]
    if not good:
        return pl.DataFrame(schema=schema)
    query = (
        sa.select(decisions.c.event_id, decisions.c.probabilities)
        .join(scans, scans.c.scan_id == decisions.c.scan_id)
        .where(scans.c.namespace == subject.namespace, decisions.c.probabilities.is_not(None))
        .order_by(decisions.c.scan_id)
    )
    with db.engine().connect() as connection:
        rows = connection.execute(query).all()
    found: dict[str, Any] = {
        row.event_id: sum(row.probabilities[place] for place in good)
        for row in rows
        if len(row.probabilities) == len(task.classes)
    }
    return pl.DataFrame({"event_id": list(found), "predicted": list(found.values())}, schema=schema)


def sources(subject: Subject) -> set[str]:
    """Where the outcomes of what was traded come from: simulated, modelled, real."""
    query = sa.select(intents.c.source).where(intents.c.namespace == subject.namespace).distinct()
    with db.engine().connect() as connection:
        return set(connection.execute(query).scalars())
