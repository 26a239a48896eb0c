"""Whether the world is still the one that a model was trained in, and its errors are what they were: all its checks.

Input and output drift are reported; only confirmed errors are a reason to train again. A model of before, which keeps
no reference, is not monitored, and that is said.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

import polars as pl

from bq.core.errors import BadData
from bq.core.namespace import Namespace, Tier
from bq.core.scalars import day
from bq.core.settings import Settings
from bq.market import MarketData
from bq.monitoring import error_stream, outcomes, windows
from bq.monitoring import reference as references
from bq.monitoring.checks import Check, What
from bq.monitoring.reference import Reference
from bq.monitoring.windows import About
from bq.serving import registry
from bq.stats import limits
from bq.stats.limits import Found
from bq.stats.shift import Usual
from bq.strategies import store
from bq.strategies.contract import Strategy

KINDS = (  # of checks made here
    What.INPUT,
    What.OUTPUT,
    What.LEVEL,
    What.SUPPORT,
    What.TIER,
    What.ERROR_CUSUM,
    What.ERROR_EPROCESS,
)
WORST = 4  # features whose distributions are shown
Events = Callable[[Mapping[str, list[dt.date]]], pl.DataFrame]  # of sessions of symbols, see `store.on`


class Without(StrEnum):
    """Why a model is not monitored."""

    NO_MODEL = "no_model"  # the rule score decides
    NO_REFERENCE = "no_reference"  # stored by a version that kept none
    NO_DECISIONS = "no_decisions"  # none that counts


class Monitored(NamedTuple):
    """What is known of the drift of one model: facts, and frames to show; frames are empty where nothing is known."""

    namespace: Namespace  # of the model
    model_id: str | None
    without: Without | None  # None: it is monitored
    day: dt.date | None = None  # newest session decided
    checks: tuple[Check, ...] = ()
    false_alarms_a_year: float = 0.0  # expected of all these checks together where nothing has changed
    features: pl.DataFrame = pl.DataFrame(schema=windows.FEATURES)  # of the newest window, the worst first
    weekly: pl.DataFrame = pl.DataFrame()  # PSI by feature and week, see `windows.weekly`
    distributions: pl.DataFrame = pl.DataFrame()  # of the worst features then and now, see `windows.distributions`
    paths: pl.DataFrame = pl.DataFrame(schema=error_stream.PATHS)  # of the error stream, with its limits
    detectors: tuple[Found, ...] = ()  # each on this model's own errors, a dummy last


class Kept(NamedTuple):
    """What is the same of a model on every day, by its id, for one who checks on many."""

    references: dict[str, Reference | None]
    usual: dict[str, error_stream.Usual | None]
    lines: dict[str, list[str]]  # see `registry.line_of`
    windows: dict[str, dict[int, Usual]]  # of features, by the sessions of a window

    @classmethod
    def nothing(cls) -> "Kept":
        """Before the first day."""
        return cls({}, {}, {}, {})


class Subject(NamedTuple):
    """A model, its reference, and the decisions that count."""

    namespace: Namespace
    reference: Reference
    counted: pl.DataFrame
    about: About


def check(
    strategy: Strategy,
    settings: Settings,
    market: MarketData,
    *,
    through: dt.date | None = None,
    events: Events | None = None,
    counted: pl.DataFrame | None = None,
    kept: Kept | None = None,
) -> list[Monitored]:
    """The checks of champion and second tier, without what is only shown; nothing is written.

    through : decisions of sessions up to it, None for all. events, counted : for one who has them; None builds the
    events, and reads the decisions (`outcomes.counted`). kept : takes what need not be read and computed again.
    """
    kept = Kept.nothing() if kept is None else kept
    known = events or _events(strategy, settings, market)
    read = outcomes.counted(settings.namespace, through=through) if counted is None else counted
    return [
        found if isinstance(found, Monitored) else _checked(found, known, kept)
        for found in _subjects(strategy, settings, read, kept)
    ]


def of(
    strategy: Strategy, settings: Settings, market: MarketData, *, through: dt.date | None = None
) -> list[Monitored]:
    """`check` with everything that is shown: frames by week, distributions then and now, paths, detectors compared."""
    events, kept = _events(strategy, settings, market), Kept.nothing()
    return [
        found if isinstance(found, Monitored) else _shown(found, events, kept)
        for found in _subjects(strategy, settings, outcomes.counted(settings.namespace, through=through), kept)
    ]


def _events(strategy: Strategy, settings: Settings, market: MarketData) -> Events:
    return lambda wanted: store.on(strategy, settings, market, wanted)


def _subjects(strategy: Strategy, settings: Settings, counted: pl.DataFrame, kept: Kept) -> list[Subject | Monitored]:
    """Each tier that has a model, or why it is not monitored."""
    tiers = [settings.namespace, *([settings.namespace.second] if strategy.success else [])]
    return [_subject(tier, counted, kept) for tier in tiers]


def _subject(namespace: Namespace, counted: pl.DataFrame, kept: Kept) -> Subject | Monitored:
    pointer = registry.pointer(namespace)
    if pointer is None:
        return Monitored(namespace, None, Without.NO_MODEL)
    if pointer.model_id not in kept.references:
        kept.references[pointer.model_id] = references.of(namespace)
    reference = kept.references[pointer.model_id]
    if reference is None:
        return Monitored(namespace, pointer.model_id, Without.NO_REFERENCE)
    own = counted.filter(pl.col("model_id") == reference.model_id)
    if own.is_empty():
        return Monitored(namespace, pointer.model_id, Without.NO_DECISIONS)
    about = About(str(namespace.champion), day(own["session"].max()), reference.model_id)
    return Subject(namespace, reference, counted, about)


def _checked(subject: Subject, events: Events, kept: Kept) -> Monitored:
    reference, counted, about = subject.reference, subject.counted, subject.about
    window = windows.newest(counted, reference.model_id)
    made, table = [windows.waiting(counted, about)], pl.DataFrame(schema=windows.FEATURES)
    if window is not None:
        known = kept.windows.setdefault(reference.model_id, {})
        found, table = windows.features(reference, window, _decided(events, window.decisions), about, known=known)
        made = [found, *windows.predictions(reference, window, about)]
        made += windows.shares(window, about, tiers=subject.namespace.tier == Tier.CHAMPION)
    stream = _errors(subject, kept)
    made += [error_stream.without(about, counted)] if stream is None else error_stream.checks(stream, about)
    expected = sum(float(one.details.get("false_alarms_a_year", 0.0)) for one in made)
    return Monitored(subject.namespace, reference.model_id, None, about.day, tuple(made), expected, features=table)


def _errors(subject: Subject, kept: Kept) -> error_stream.Errors | None:
    """The stream of the model's line; None where its reference has too few blocks."""
    reference = subject.reference
    model_id = reference.model_id
    if model_id not in kept.usual:
        kept.usual[model_id] = error_stream.usual_of(reference)
        kept.lines[model_id] = registry.line_of(subject.namespace, model_id)
    usual = kept.usual[model_id]
    if usual is None:
        return None
    return error_stream.beside(usual, reference, subject.counted, line=kept.lines[model_id])


def _shown(subject: Subject, events: Events, kept: Kept) -> Monitored:
    reference, counted = subject.reference, subject.counted
    found = _checked(subject, events, kept)
    own = counted.filter(pl.col("model_id") == reference.model_id, ~pl.col("in_sample").fill_null(False))
    decided = _decided(events, own)
    window = windows.newest(counted, reference.model_id)
    shown = found._replace(weekly=windows.weekly(reference, decided))
    if window is not None:
        newest = decided.filter(pl.col("session").is_between(window.first, window.last))
        worst = found.features["feature"].head(WORST).to_list()
        shown = shown._replace(distributions=windows.distributions(reference, newest, worst))
    stream = _errors(subject, kept)
    if stream is not None:
        compared = tuple(limits.compared(stream.stream, seed=windows.SEED, horizon=stream.horizon))
        shown = shown._replace(paths=error_stream.paths(stream), detectors=compared)
    return shown


def _decided(events: Events, decisions: pl.DataFrame) -> pl.DataFrame:
    """The events of decisions, with their features; those that today's rules do not build are left out.

    Raises BadData where none is left.
    """
    wanted = dict(decisions.group_by("symbol").agg(pl.col("session").unique().sort()).rows())
    built = events(wanted)
    found = built.join(decisions.select("event_id"), on="event_id", how="semi") if len(built) else built
    if found.is_empty():
        raise BadData(
            f"the features of {len(decisions):,} decisions must be known from the bars, but no event of theirs is "
            "built from these: other symbols, dates or parameters. Monitor with those that were scanned with."
        )
    return found.sort("session", "event_id")
