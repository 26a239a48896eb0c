"""What the checks of drift say, window by window, of a model on a market that changes at a known date.

The model is deployed two years before the change, and decides on every event from then on: until the change each alarm
is false, and after it the time to the first one is the delay.
"""

import datetime as dt

import polars as pl

from bq.audit.calibration import Market, Watched
from bq.core.errors import BadData
from bq.core.scalars import day
from bq.core.settings import Settings
from bq.monitoring import drift, windows
from bq.monitoring.outcomes import COUNTED, OUTCOME
from bq.serving import candidate, decide, ready, registry
from bq.serving.decide import Loaded, Models
from bq.strategies.contract import Strategy

BEFORE = dt.timedelta(days=730)  # the change, when the model is deployed
FOLDS = 3  # of its training, whose time is shorter than the market's


def watch(place: Market, strategy: Strategy, settings: Settings) -> Watched:
    """Deploy a model in the world that is set, and check it at the end of every window of its decisions.

    Raises BadData where the market does not change, or does so too early to train before.
    """
    plan = settings.market.simulation
    if plan is None or plan.changes is None:
        raise BadData("market.simulation.changes must be a date for drift to be found, but is null.")
    begins = plan.changes - BEFORE
    known = place.events.filter(pl.col("t1_due").dt.date() < begins)
    settings = _shortened(settings, known)
    made = candidate.train(known, strategy, settings).artefact
    registry.deploy(settings.namespace, made, reason="rehearsal")
    later = place.events.filter(pl.col("session") >= begins)
    counted = _counted(later, decide.decide(later, strategy, settings, _alone(made, strategy, settings)))
    ends = counted["session"].unique().sort()[windows.SESSIONS - 1 :: windows.SESSIONS].to_list()
    alarms: dict[str, list[dt.date]] = {}
    for end in ends:
        found = drift.check(strategy, settings, place.data, events=lambda wanted: later, counted=_through(counted, end))
        for check in found[0].checks:
            days = alarms.setdefault(check.what.value, [])
            if check.alarm:
                days.append(end)
    return Watched(changes=plan.changes, first=begins, last=day(ends[-1]) if ends else begins, alarms=alarms)


def _shortened(settings: Settings, known: pl.DataFrame) -> Settings:
    """The settings with fewer and shorter folds, where the events need them."""
    days = (day(known["session"].max()) - day(known["session"].min())).days if len(known) else 0
    each, given = max(days // (FOLDS + 2), 1), settings.learning
    changes = {
        "folds": min(given.folds, FOLDS),
        "test_days": min(given.test_days, each),
        "newest_days": min(given.newest_days, each),
    }
    learning = given.model_copy(update=changes)
    return settings.without_comparison().model_copy(update={"learning": learning})


def _alone(made: registry.Artefact, strategy: Strategy, settings: Settings) -> Models:
    return Models(Loaded(ready.ready(made, strategy, settings.namespace)), None)


def _counted(events: pl.DataFrame, decided: pl.DataFrame) -> pl.DataFrame:
    """Decisions and what came of them, as `outcomes.counted`; none was late."""
    beside = events.select("event_id", "t0", "t1", "t1_due", "outcome")
    rows = decided.join(beside, on="event_id", how="left").rename(
        {"model": "model_id", "class_probabilities": "probabilities"}
    )
    known = set(rows.columns)
    return rows.select(
        (pl.col(name) if name in known else pl.lit(None)).cast(kind).alias(name) for name, kind in COUNTED.items()
    ).sort("session", "event_id")


def _through(counted: pl.DataFrame, end: dt.date) -> pl.DataFrame:
    """What was known at the end of a session."""
    due = pl.col("t1_due").dt.date() <= end
    return counted.filter(pl.col("session") <= end).with_columns(pl.when(due).then(pl.col(OUTCOME)))
