"""The whole loop over history, day by day: decide, mature, watch, and train again where a trigger holds.

Everything happens in a world of its own (`bq.core.world`), as it would have happened with the data of each day.
"""

import datetime as dt
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import polars as pl

from bq.core.errors import BadData, BQError
from bq.core.log import only_errors, progress
from bq.core.namespace import Tier
from bq.core.scalars import count, number
from bq.core.settings import Settings
from bq.jobs import attempt
from bq.jobs.attempt import Attempt
from bq.jobs.replay_ends import Alarmed, Ends
from bq.jobs.replay_history import History, every_day
from bq.jobs.replay_trading import Books, Traded
from bq.jobs.retrain import code_digest
from bq.learning import walkforward
from bq.market import MarketData
from bq.monitoring import checks, deciding, drift, maturing, outcomes, performance_checks, refuted, triggers
from bq.monitoring.checks import Check, What
from bq.monitoring.deciding import Decided
from bq.monitoring.drift import Kept
from bq.monitoring.predictions import Subject
from bq.monitoring.refuted import Refuted
from bq.monitoring.triggers import Standing, State
from bq.runs.record import Trigger
from bq.serving import candidate, decide, out_of_sample, registry, verdict_text
from bq.serving.decide import Models
from bq.serving.out_of_sample import Ranking
from bq.serving.registry import Artefact
from bq.strategies import store
from bq.strategies.contract import Strategy
from bq.strategies.store import DAY
from bq.workbench import drifted

SCHEDULED = ("session", "t0", "t1", "t1_due", "outcome", "weight")  # of the events of the schedule
said = logging.getLogger("bq.replay")  # what the replay itself says
ENDED = pl.Schema({name: outcomes.COUNTED[name] for name in ("event_id", *outcomes.OUTCOME)})


class Trained(NamedTuple):
    """One attempt of the replayed schedule."""

    session: dt.date
    why: tuple[Trigger, ...]
    deployed: tuple[str, ...]  # ids of either tier
    headline: str
    candidate: Artefact
    seconds: float


class Retired(NamedTuple):
    """A model that its errors refuted, and which stopped deciding."""

    session: dt.date
    model_id: str
    changed: dt.date  # since when errors are more, as estimated


class Distance(NamedTuple):
    """How far the triggers of a retrain were in one week."""

    session: dt.date
    events: float  # effective number that no attempt has seen
    age: int | None  # days since the training of the champion ended; None: none is deployed


@dataclass
class Replayed:
    """What a replay did, and what came of it.

    earned : session, decided_by (a model, or the rule score), system, rule, everything: net outcomes by the strategy's
    value, of sessions whose events have all ended. hindsight : session, value and choice: the one choice that earned
    most, which nobody could know then.
    """

    decided: pl.DataFrame = field(default_factory=pl.DataFrame)  # see `outcomes.counted`
    events: pl.DataFrame = field(default_factory=pl.DataFrame)  # decided on, as they ended
    earned: pl.DataFrame = field(default_factory=pl.DataFrame)
    hindsight: pl.DataFrame = field(default_factory=pl.DataFrame)
    trained: list[Trained] = field(default_factory=list)
    refused: list[tuple[dt.date, str]] = field(default_factory=list)  # attempts that came to no verdict, and why
    retired: list[Retired] = field(default_factory=list)
    alarms: list[tuple[dt.date, Check]] = field(default_factory=list)
    alarmed: list[Alarmed] = field(default_factory=list)  # the first alarm of each kind and model, and what came
    distances: list[Distance] = field(default_factory=list)  # of the triggers, each week
    days: int = 0
    seconds: float = 0.0  # without the attempts
    traded: Traded | None = None  # None: the strategy has no desk

    def first_alarms(self) -> list[tuple[What, str, dt.date]]:
        """Kind, model and session of the first alarm of each on a model."""
        found: dict[tuple[What, str], dt.date] = {}
        for session, check in self.alarms:
            if check.model_id is not None:
                found.setdefault((check.what, check.model_id), session)
        return [(what, model_id, session) for (what, model_id), session in found.items()]


def replay(strategy: Strategy, settings: Settings, market: MarketData, first: dt.date, last: dt.date) -> Replayed:
    """Walk from the first session to the last, both included, in the world that is set.

    Raises BadData where the market has no session between them.
    """
    days = market.bars.filter(pl.col("session").is_between(first, last))["session"].unique().sort().to_list()
    if not days:
        raise BadData(f"FROM and TO must hold a session with bars, but none lies from {first} to {last}.")
    said.setLevel(logging.INFO)
    history = History(strategy, settings, market)
    history.build(every_day(market, days))
    history.build(strategy.table.schedule(market, settings))
    with only_errors():
        walk, begun = Walk(history, Replayed(), days[0]), time.monotonic()
    for session in progress(days, total=len(days), description="replay"):
        with only_errors():
            walk.day(session)
    seconds = time.monotonic() - begun
    with only_errors():
        return _ended(walk, days, seconds)


def _ended(walk: "Walk", days: list[dt.date], seconds: float) -> Replayed:
    history, made, settings = walk.history, walk.made, walk.settings
    made.days, made.seconds = len(days), seconds - sum(one.seconds for one in made.trained)
    made.decided = outcomes.counted(settings.namespace)
    made.events = history.rows.join(made.decided.select("event_id"), on="event_id", how="semi").sort("t0", "symbol")
    ends = Ends(history, walk.events, days[-1])
    made.earned = ends.earned(walk.answered)
    made.hindsight = ends.hindsight(made.earned, [(one.session, one.candidate) for one in made.trained])
    made.alarmed = [ends.after(*first, made.earned) for first in made.first_alarms()]
    made.traded = None if walk.books is None else walk.books.made()
    return made


class Walk:
    """The state of the loop: what decides, what is open, what the last attempt knew."""

    def __init__(self, history: History, made: Replayed, first: dt.date) -> None:
        self.history, self.made = history, made
        self.events = history.decided_on(first)
        self.answered: dict[str, list[pl.DataFrame]] = {}  # predictions of decided events, by what decided
        self.ranked: Ranking | None = None
        wanted = history.strategy.table.schedule(history.market, history.settings)
        planned = history.rows.join(store.days_of(wanted), on=DAY, how="semi")
        self.scheduled = store.weighed(planned, history.market.calendar).select(*SCHEDULED)
        self.strategy, self.settings = history.strategy, history.settings
        self.law = refuted.under_law(self.settings)  # under which to train
        self.models: Models | None = None
        self.kept = Kept.nothing()  # of the models that were monitored
        self.last: State | None = None
        self.code = code_digest()
        self.open: list[pl.DataFrame] = []  # events decided on, one table a session
        self.known = outcomes.counted(history.settings.namespace).drop(
            outcomes.OUTCOME
        )  # decisions that were read, without their outcomes
        self.ends = [pl.DataFrame(schema=ENDED)]  # of decided events
        self.asked: dt.date | None = None  # when a retrain was last thought of
        self.books = None if history.strategy.desk is None else Books(history)

    def day(self, session: dt.date) -> None:
        """One session: what came of earlier decisions, then the scan; each week first the monitors and the triggers."""
        now = self.history.closes[session] + dt.timedelta(minutes=1)
        self.mature(session, now)
        if self.asked is None or session.isocalendar()[:2] != self.asked.isocalendar()[:2]:
            self.asked = session
            self.watch(session)
            self.retrain(session)
        decided = self.scan(session, self.events[session], now) if session in self.events else None
        if self.books is not None:
            self.books.day(session, decided)

    def scan(self, session: dt.date, events: pl.DataFrame, now: dt.datetime) -> Decided:
        """Decide with what is deployed."""
        strategy, settings = self.strategy, self.settings
        if self.models is None:
            self.models = decide.load(strategy, settings)
            whole = pl.concat(self.events.values())
            self.ranked = out_of_sample.ranking(self.history.market, strategy, settings, self.models, whole)
        market = self.history.cut(session)
        answer = deciding.answered(events, strategy, settings, market, models=self.models, ranked=self.ranked)
        decided = deciding.entered(answer, events, settings, data_hash=market.data_hash, decided_utc=now)
        self.open.append(events.select("event_id", *DAY, "t1_due"))
        loaded = self.models.champion if self.models.second is None else self.models.second
        by = Tier.RULE.label if loaded.model is None else loaded.model.model_id
        answered = events if loaded.model is None else decide.predict(loaded.model, events, strategy)
        self.answered.setdefault(by, []).append(answered)
        return decided

    def mature(self, session: dt.date, now: dt.datetime) -> None:
        """Record what came of decisions that are due."""
        if not self.open:
            return
        waiting = pl.concat(self.open)
        due = waiting.filter(pl.col("t1_due") <= self.history.closes[session])
        self.open = [waiting.filter(pl.col("t1_due") > self.history.closes[session])]
        if due.is_empty():
            return
        built = self.history.rows.join(due.select("event_id"), on="event_id", how="semi")
        group = maturing.Group("", self.strategy, self.settings)
        quoted = len(self.history.market.quotes) > 0
        found = maturing.ended(built, group, self.history.closes[session], quoted=quoted)
        ends = found.rename(lambda name: name.removesuffix("_now")).with_columns(revision=pl.lit(0))
        self.ends.append(ends.select(list(ENDED)).cast(ENDED))
        rows = found.with_columns(revision=pl.lit(None, pl.Int64))
        outcomes.enter(self.settings.namespace, rows, data_hash=self.history.hashes[session], now=now)

    def watch(self, session: dt.date) -> None:
        """The monitors of what is deployed, on what was known before the session."""
        strategy, settings = self.strategy, self.settings
        if not any(registry.pointer(tier) for tier in (settings.namespace, settings.namespace.second)):
            return
        counted = self.counted()
        of: dict[str, Any] = {"events": self._of, "counted": counted, "kept": self.kept}
        found = drift.check(strategy, settings, self.history.market, **of)
        made = [check for one in found for check in one.checks]
        made += performance_checks.alarms(counted, Subject(strategy, settings, {}))
        checks.enter(made)
        self.made.alarms += [(session, check) for check in made if check.alarm]
        self.retire(session, refuted.among(settings, made))

    def retire(self, session: dt.date, found: list[Refuted]) -> None:
        """Let what is refuted decide no more."""
        for one in found:
            refuted.retire(one, statement=drifted.retirement(one.check))
            changed = dt.date.fromisoformat(one.check.details["changed"])
            self.made.retired.append(Retired(session, str(one.check.model_id), changed))
            said.info("replay: %s, model %s retired, changed about %s", session, one.check.model_id, changed)
            self.law, self.models = refuted.under_law(self.settings), None

    def counted(self) -> pl.DataFrame:
        """`outcomes.counted` of this world, of which only the scans since the last call are read."""
        after = count(self.known["scan_id"].max()) if len(self.known) else 0
        new = outcomes.counted(self.settings.namespace, after=after)
        self.known = pl.concat([self.known, new.drop(outcomes.OUTCOME)])
        both = self.known.join(pl.concat(self.ends), on="event_id", how="left")
        return both.select(*outcomes.COUNTED).sort("session", "rank", "event_id", nulls_last=True)

    def _of(self, wanted: Mapping[str, list[dt.date]]) -> pl.DataFrame:
        """The events of sessions of symbols."""
        asked = {session for sessions in wanted.values() for session in sessions}
        parts = [self.events[session] for session in sorted(asked) if session in self.events]
        return pl.concat(parts).join(store.days_of(wanted), on=DAY, how="semi", maintain_order="left")

    def retrain(self, session: dt.date) -> None:
        """An attempt, where a trigger holds."""
        if not self._may(session):
            return
        events, market = self.history.trained_on(session, self.law)
        now, why = self._why(session, events)
        if not any(one.holds for one in why):
            return
        begun = time.monotonic()
        try:
            walkforward.check(events, self.strategy, self.law)
            made = candidate.train(events, self.strategy, self.law)
        except BQError as error:  # too few events so far: asked again next week
            self.made.refused.append((session, str(error)))
            return
        asked = Attempt(made, events, market, self.strategy, self.law, f"replay-{session}")
        attempt.enter(asked)
        answer = attempt.judge(asked)
        deployed = attempt.deploy(asked, answer, {"run_id": asked.run_id, "data_hash": market.data_hash})
        self.last, self.models = now, None
        headline = verdict_text.headline(answer.ours)
        found = Trained(
            session,
            tuple(one for one in why if one.holds),
            tuple(deployed),
            headline,
            made.artefact,
            time.monotonic() - begun,
        )
        self.made.trained.append(found)
        said.info("replay: %s, %s", session, headline)

    def _may(self, session: dt.date) -> bool:
        """Whether a trigger can hold, by what is known without the events as they were that day.

        Nothing that begins later overlaps what has ended: its weight is the same in the whole history.
        """
        if self.last is None or self.last.matured_by is None:
            return True
        champion, since = registry.champion(self.settings.namespace), refuted.in_force(self.settings)
        age = None if champion is None else (session - champion.bundle.trained_through.date()).days
        past = self.scheduled.filter(pl.col("t1_due").is_between(self.last.matured_by, self.history.closes[session]))
        effective = number(past["weight"].sum())
        self.made.distances.append(Distance(session, effective, age))
        waiting = self.last.since != since
        if since is not None and (waiting or champion is None) and self._evidence(session).holds:
            return True
        if waiting or effective >= triggers.ENOUGH or age is None:
            return not waiting and effective >= triggers.ENOUGH
        old = age > triggers.OLD_DAYS + self.settings.learning.newest_days
        return old or bool(set(triggers.alarms(checks.newest(self.settings.namespace))) - set(self.last.alarms))

    def _evidence(self, session: dt.date) -> Trigger:
        """`refuted.evidence` of the schedule as it stood at the close of a session."""
        first = self.law.learning.since
        known = self.scheduled.filter(pl.col("t1_due") <= self.history.closes[session], pl.col("session") >= first)
        return refuted.evidence(known.with_columns(label=pl.col("outcome")), self.law)

    def _why(self, session: dt.date, events: pl.DataFrame) -> tuple[State, list[Trigger]]:
        """What an attempt now would be made of, and every trigger."""
        namespace = self.settings.namespace
        features = self.strategy.features(self.settings)
        variants, matured_by = triggers.known(events) if len(events) else ([], None)
        deployed = registry.champion(namespace)
        known = checks.newest(namespace) if deployed else []
        now = State(
            parameters="",
            code=self.code,
            packages="",
            own_features="",
            schema_hash=features.schema_hash,
            variants=variants,
            matured_by=matured_by,
            alarms=triggers.alarms(known),
            since=refuted.in_force(self.settings),
        )
        if events.is_empty():
            return now, []
        return now, triggers.found(
            now,
            self.last,
            events,
            champion=None if deployed is None else Standing(deployed.bundle),
            checks=known,
            newest_days=self.settings.learning.newest_days,
            evidence=None if now.since is None else refuted.evidence(events, self.law),
        )
