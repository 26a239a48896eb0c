"""The whole loop over history, day by day: decide, mature, watch, and train again where a trigger holds.

Everything happens in a world of its own (`bq.core.world`), as it would have happened with the data of each day.
"""

import datetime as dt
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import polars as pl

from bq.core import files
from bq.core.errors import BadData, BQError
from bq.core.log import only_errors
from bq.core.namespace import Tier
from bq.core.scalars import count, day
from bq.core.settings import Settings
from bq.jobs import attempt
from bq.jobs.attempt import Attempt
from bq.jobs.retrain import code_digest
from bq.learning import walkforward
from bq.market import MarketData, prints
from bq.market.calendars import sessions
from bq.market.chains.quotes import content_hash
from bq.monitoring import checks, deciding, drift, maturing, observed, outcomes, performance_checks, triggers
from bq.monitoring.checks import Check
from bq.monitoring.triggers import Standing, State
from bq.runs.record import Trigger
from bq.serving import decide, gates, out_of_sample, registry, verdict_text
from bq.serving.decide import Models
from bq.serving.out_of_sample import Ranking
from bq.serving.ready import Champion, ready
from bq.serving.registry import Artefact
from bq.strategies import store
from bq.strategies.contract import Strategy
from bq.strategies.events import Built, Wanted

progress = logging.getLogger("bq.replay")  # what the replay itself says
KEY = ("symbol", "session")
EARNED = pl.Schema(
    {
        "session": pl.Date,
        "decided_by": pl.String,
        "system": pl.Float64,
        "rule": pl.Float64,
        "everything": pl.Float64,
    }
)
ENDED = pl.Schema({name: outcomes.COUNTED[name] for name in ("event_id", *outcomes.OUTCOME)})
KNOWN_LATER = ("t1", "outcome", "label")  # columns of an event that are null while it is open


class Trained(NamedTuple):
    """One attempt of the replayed schedule."""

    session: dt.date
    why: tuple[Trigger, ...]
    deployed: tuple[str, ...]  # ids of either tier
    headline: str
    candidate: Artefact
    seconds: float


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
    alarms: list[tuple[dt.date, Check]] = field(default_factory=list)
    days: int = 0
    seconds: float = 0.0  # without the attempts


class History:
    """Events of a market as each day saw them. Built once, which the future does not change (`make audit`)."""

    def __init__(self, strategy: Strategy, settings: Settings, market: MarketData) -> None:
        self.strategy, self.settings, self.market = strategy, settings, market
        self.rows = pl.DataFrame()
        self.done = pl.DataFrame(schema={"symbol": pl.String, "session": pl.Date})  # built, or refused
        known = sessions(market.calendar)
        self.closes = dict(zip(known["session"], known["close_utc"], strict=True))
        self.hashes = _hashes(market)

    def cut(self, last: dt.date) -> MarketData:
        """The market as it was known at the close of a session."""
        through = pl.col("session") <= last
        return replace(
            self.market,
            bars=self.market.bars.filter(through),
            quotes=self.market.quotes.filter(through) if len(self.market.quotes) else self.market.quotes,
            data_hash=self.hashes[last],
        )

    def build(self, wanted: Wanted) -> None:
        """Have the events of these symbols and sessions."""
        missing = _days(wanted).join(self.done, on=KEY, how="anti", maintain_order="left")
        if len(missing):
            self.done = pl.concat([self.done, missing])
            of = dict(missing.group_by("symbol").agg(pl.col("session").sort()).sort("symbol").rows())
            built = self.strategy.table.build(self.market, self.settings, of).events
            self.rows = pl.concat([self.rows, built]) if len(self.rows) else built

    def decided_on(self, first: dt.date) -> dict[dt.date, pl.DataFrame]:
        """The events of every session from `first` on, ready for a decision: nothing is known of how they end."""
        whole = store.finished(self.strategy, self.settings, self.market, Built(self.rows), 0).events
        open_ones = whole.filter(pl.col("session") >= first).with_columns(
            pl.lit(None, whole.schema[name]).alias(name) for name in KNOWN_LATER
        )
        parts = open_ones.sort("session", "symbol").partition_by("session", as_dict=True)
        return {day(session): rows for (session,), rows in parts.items()}

    def trained_on(self, last: dt.date) -> tuple[pl.DataFrame, MarketData]:
        """The events of the schedule as they were known at the close of a session, and the market then."""
        market, now = self.cut(last), self.closes[last]
        wanted = self.strategy.table.schedule(market, self.settings)
        self.build(wanted)
        scheduled = self.rows.join(_days(wanted), on=KEY, how="semi", maintain_order="left")
        later = pl.col("t1") > now
        known = scheduled.with_columns(
            pl.when(~later).then(name).alias(name) for name in KNOWN_LATER if name in scheduled.columns
        )
        whole = store.finished(self.strategy, self.settings, market, Built(known.sort("t0", "symbol")), 0)
        return whole.events, market


def _hashes(market: MarketData) -> dict[dt.date, str]:
    """For each session a digest of what the market's data were at its close."""
    quotes = {} if market.quotes.is_empty() else market.quotes.partition_by("session", as_dict=True)
    found, so_far = {}, files.digest(market.sectors, 64)
    bars = prints.of_bars(market.bars).sort("session", "symbol")
    for (session,), rows in bars.group_by("session", maintain_order=True):
        quoted = content_hash(quotes[(session,)]) if (session,) in quotes else ""
        so_far = files.digest([so_far, rows["symbol"].to_list(), rows["print"].to_list(), quoted], 64)
        found[day(session)] = so_far
    return found


def _days(wanted: Mapping[str, list[dt.date]]) -> pl.DataFrame:
    frame = pl.DataFrame(
        {"symbol": list(wanted), "session": list(wanted.values())},
        schema={"symbol": pl.String, "session": pl.List(pl.Date)},
    )
    return frame.explode("session").drop_nulls()


def replay(strategy: Strategy, settings: Settings, market: MarketData, first: dt.date, last: dt.date) -> Replayed:
    """Walk from the first session to the last, both included, in the world that is set.

    Raises BadData where the market has no session between them.
    """
    days = market.bars.filter(pl.col("session").is_between(first, last))["session"].unique().sort().to_list()
    if not days:
        raise BadData(f"FROM and TO must hold a session with bars, but none lies from {first} to {last}.")
    progress.setLevel(logging.INFO)
    with only_errors():
        return _walked(History(strategy, settings, market), days)


def _walked(history: History, days: list[dt.date]) -> Replayed:
    strategy, settings, market = history.strategy, history.settings, history.market
    history.build(_every(market, days))
    history.build(strategy.table.schedule(market, settings))
    walk, begun = Walk(history, Replayed(), days[0]), time.monotonic()
    for place, session in enumerate(days):
        walk.day(session)
        if place % 250 == 249:
            progress.info(
                "replay: %s, %d of %d days, %d attempts", session, place + 1, len(days), len(walk.made.trained)
            )
    made = walk.made
    made.days, made.seconds = len(days), time.monotonic() - begun - sum(one.seconds for one in made.trained)
    made.decided = outcomes.counted(settings.namespace)
    made.events = history.rows.join(made.decided.select("event_id"), on="event_id", how="semi").sort("t0", "symbol")
    made.earned = walk.earned(days[-1])
    made.hindsight = walk.hindsight(made, days[-1])
    return made


def _every(market: MarketData, days: list[dt.date]) -> Wanted:
    """Every symbol and session that has a bar."""
    inside = market.bars.filter(pl.col("session").is_in(days))
    return dict(inside.group_by("symbol").agg(pl.col("session").sort()).sort("symbol").rows())


class Walk:
    """The state of the loop: what decides, what is open, what the last attempt knew."""

    def __init__(self, history: History, made: Replayed, first: dt.date) -> None:
        self.history, self.made = history, made
        self.events = history.decided_on(first)
        self.answered: dict[str, list[pl.DataFrame]] = {}  # predictions of decided events, by what decided
        self.ranked: Ranking | None = None
        wanted = history.strategy.table.schedule(history.market, history.settings)
        planned = history.rows.join(_days(wanted), on=KEY, how="semi")
        self.scheduled = store.weighed(planned, history.market.calendar).select("t1_due", "weight")
        self.strategy, self.settings = history.strategy, history.settings
        self.models: Models | None = None
        self.last: State | None = None
        self.code = code_digest()
        self.open: list[pl.DataFrame] = []  # events decided on, one table a session
        self.known = outcomes.counted(history.settings.namespace).drop(
            outcomes.OUTCOME
        )  # decisions that were read, without their outcomes
        self.ends = [pl.DataFrame(schema=ENDED)]  # of decided events
        self.asked: dt.date | None = None  # when a retrain was last thought of

    def day(self, session: dt.date) -> None:
        """One session: what came of earlier decisions, then the scan; each week first the monitors and the triggers."""
        now = self.history.closes[session] + dt.timedelta(minutes=1)
        self.mature(session, now)
        if self.asked is None or session.isocalendar()[:2] != self.asked.isocalendar()[:2]:
            self.asked = session
            self.watch(session)
            self.retrain(session)
        if session in self.events:
            self.scan(session, self.events[session], now)

    def scan(self, session: dt.date, events: pl.DataFrame, now: dt.datetime) -> None:
        """Decide with what is deployed."""
        strategy, settings = self.strategy, self.settings
        if self.models is None:
            self.models = decide.load(strategy, settings)
            whole = pl.concat(self.events.values())
            self.ranked = out_of_sample.ranking(self.history.market, strategy, settings, self.models, whole)
        market = self.history.cut(session)
        answer = deciding.answered(events, strategy, settings, market, models=self.models, ranked=self.ranked)
        deciding.entered(answer, events, settings, data_hash=market.data_hash, decided_utc=now)
        self.open.append(events.select("event_id", *KEY, "t1_due"))
        loaded = self.models.champion if self.models.second is None else self.models.second
        by = Tier.RULE.label if loaded.model is None else loaded.model.model_id
        answered = events if loaded.model is None else decide.predict(loaded.model, events, strategy)
        self.answered.setdefault(by, []).append(answered)

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
        found = drift.check(strategy, settings, self.history.market, events=self._of, counted=counted)
        made = [check for one in found for check in one.checks]
        made += performance_checks.of(observed.among(strategy, settings, counted))
        checks.enter(made)
        self.made.alarms += [(session, check) for check in made if check.alarm]

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
        return pl.concat(parts).join(_days(wanted), on=KEY, how="semi", maintain_order="left")

    def retrain(self, session: dt.date) -> None:
        """An attempt, where a trigger holds."""
        if not self._may(session):
            return
        events, market = self.history.trained_on(session)
        now, why = self._why(session, events)
        if not any(one.holds for one in why):
            return
        begun = time.monotonic()
        try:
            walkforward.check(events, self.strategy, self.settings)
            made = attempt.train(events, self.strategy, self.settings)
        except BQError as error:  # too few events so far: asked again next week
            self.made.refused.append((session, str(error)))
            return
        asked = Attempt(made, events, market, self.strategy, self.settings, f"replay-{session}")
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
        progress.info("replay: %s, %s", session, headline)

    def _may(self, session: dt.date) -> bool:
        """Whether a trigger can hold, by what is known without the events as they were that day.

        Nothing that begins later overlaps what has ended: its weight is the same in the whole history.
        """
        if self.last is None or self.last.matured_by is None:
            return True
        past = self.scheduled.filter(pl.col("t1_due").is_between(self.last.matured_by, self.history.closes[session]))
        champion = registry.champion(self.settings.namespace)
        effective = past["weight"].sum()
        if effective >= triggers.ENOUGH or champion is None:
            return effective >= triggers.ENOUGH
        age = (session - champion.bundle.trained_through.date()).days
        old = age > triggers.OLD_DAYS + self.settings.learning.newest_days
        return old or any(one.alarm for one in checks.newest(self.settings.namespace) if one.what in triggers.HARM)

    def _why(self, session: dt.date, events: pl.DataFrame) -> tuple[State, list[Trigger]]:
        """What an attempt now would be made of, and every trigger."""
        namespace = self.settings.namespace
        features = self.strategy.features(self.settings)
        variants, matured_by = triggers.known(events) if len(events) else ([], None)
        now = State(
            parameters="",
            code=self.code,
            packages="",
            own_features="",
            schema_hash=features.schema_hash,
            variants=variants,
            matured_by=matured_by,
        )
        if events.is_empty():
            return now, []
        deployed = registry.champion(namespace)
        return now, triggers.found(
            now,
            self.last,
            events,
            champion=None if deployed is None else Standing(deployed.bundle),
            checks=checks.newest(namespace) if deployed else [],
            newest_days=self.settings.learning.newest_days,
        )

    def _ended(self, answered: pl.DataFrame, last: dt.date) -> pl.DataFrame:
        """Predictions with the outcomes of their events, of sessions whose events have all ended."""
        ends = self.history.rows.filter(pl.col("t1_due") <= self.history.closes[last], pl.col("outcome").is_finite())
        task = self.strategy.task(self.settings)
        known = ends.select("event_id", "t1", "outcome", label=task.label(pl.col("outcome")))
        both = answered.drop(KNOWN_LATER).join(known, on="event_id", how="left", maintain_order="left")
        whole = both.group_by("session").agg(pl.col("outcome").is_not_null().all().alias("whole")).filter("whole")
        return both.join(whole.select("session"), on="session", how="semi").sort("session", "symbol")

    def earned(self, last: dt.date) -> pl.DataFrame:
        """What the system's decisions earned, the rule score's, and taking every event."""
        parts = []
        for by, frames in self.answered.items():
            ended = self._ended(pl.concat(frames), last)
            if len(ended):
                parts.append(self._versus(ended, by).with_columns(decided_by=pl.lit(by)))
        empty = pl.DataFrame(schema=EARNED)
        return pl.concat([empty, *(part.select(EARNED.names()).cast(EARNED) for part in parts)]).sort("session")

    def _versus(self, ended: pl.DataFrame, by: str) -> pl.DataFrame:
        value, settings = self.strategy.value, self.settings
        rule, everything = (
            value.earned(ended, column, settings).rename({"value": name})
            for column, name in (("score", "rule"), (None, "everything"))
        )
        pairs = rule.join(everything, on="session")
        if by == Tier.RULE.label:
            return pairs.with_columns(system=pl.col("rule"))
        model = self.made_by(by)
        own = decide.as_deployed(settings, model)
        second, task = model.bundle.tier == Tier.SECOND, self.strategy.success
        values = gates.success_values(ended, task, own) if second and task else value.earned(ended, "expected", own)
        return pairs.join(values.rename({"value": "system"}), on="session", how="left")

    def made_by(self, model_id: str) -> Champion:
        """A model of this world by its id."""
        for tier in (self.settings.namespace, self.settings.namespace.second):
            if (folder := registry.folder(tier, model_id)).is_dir():
                return ready(registry.load(folder), self.strategy, tier)
        raise BadData(f"model {model_id}: must lie in this world's models, but does not.")

    def hindsight(self, made: Replayed, last: dt.date) -> pl.DataFrame:
        """The choice that earned most: the rule score, every event, or a candidate from its training on."""
        earned = made.earned
        choices = {"rule score": earned["rule"], "every event": earned["everything"]}
        for one in made.trained:
            name = f"{one.candidate.model_id} from {one.session}"
            later = [rows for session, rows in self.events.items() if session >= one.session]
            if not later:
                continue
            model = ready(one.candidate, self.strategy, self.settings.namespace)
            ended = self._ended(decide.predict(model, pl.concat(later), self.strategy), last)
            own = decide.as_deployed(self.settings, model)
            values = self.strategy.value.earned(ended, "expected", own)
            joined = earned.select("session", "rule").join(values, on="session", how="left")
            choices[name] = joined.select(pl.coalesce("value", "rule")).to_series()
        best = max(choices, key=lambda name: choices[name].fill_null(0.0).sum())
        return earned.select("session", value=choices[best], choice=pl.lit(best))
