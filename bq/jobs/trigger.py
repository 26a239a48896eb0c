"""Why a retrain is run: which triggers held. It runs whenever data, parameters or code differ, or where forced."""

import polars as pl

from bq import runs
from bq.core.errors import BQError
from bq.core.namespace import Namespace
from bq.core.scalars import day, moment
from bq.jobs.request import Request
from bq.runs.record import GOOD, Cause, Known, RunRecord, Trigger
from bq.serving import registry
from bq.strategies.events import matured
from bq.workbench.phrases import counted

ENOUGH_EVENTS = 500  # matured ones that the last attempt did not know
OLD_DAYS = 365  # since the champion's training ended, by the newest session
DIFFERENT = {  # a field of the record, and what it is a change of
    "data_hash": Cause.DATA,
    "parameters": Cause.PARAMETERS,
    "git": Cause.CODE,
    "packages": Cause.PACKAGES,
}
WORDS = {
    Cause.FORCED: "forced",
    Cause.FIRST_ATTEMPT: "first attempt",
    Cause.CHAMPION_UNREADABLE: "the champion cannot be read",
    Cause.NO_CHAMPION: "no champion",
    Cause.SCHEMA: "the schema of the features changed",
    Cause.DATA: "other data",
    Cause.PARAMETERS: "other parameters",
    Cause.CODE: "other code",
    Cause.PACKAGES: "other packages",
}


def known(events: pl.DataFrame) -> Known:
    """What the next attempt must know of this one's events: rule sets, and until when they had matured."""
    ends = events["t1"].drop_nulls()
    by = moment(ends.max()) if len(ends) else None
    return Known(variants=events["variant"].unique().sort().to_list(), matured_by=by)


def held(request: Request, record: RunRecord, events: pl.DataFrame) -> list[Trigger]:
    """The triggers that hold, and how far that of new events is. record : the run's own, with `known` in it."""
    forced = [Trigger(kind=Cause.FORCED)] if request.force else []
    last = _last(request.settings.namespace)
    if last is None:
        found = [*forced, Trigger(kind=Cause.FIRST_ATTEMPT)]
    else:
        found = [
            *forced,
            *_of_champion(request, events),
            _unseen(events, last.known),
            *(Trigger(kind=kind) for kind in differing(last, record)),
        ]
    return [trigger.model_copy(update={"text": told(trigger)}) for trigger in found]


def differing(last: RunRecord, record: RunRecord) -> list[Cause]:
    """In what a run differs from one before it."""
    return [kind for name, kind in DIFFERENT.items() if getattr(last, name) != getattr(record, name)]


def told(trigger: Trigger) -> str:
    """A trigger in words."""
    if trigger.kind == Cause.AGE:
        return f"the champion's training ended {trigger.value or 0:.0f} days ago"
    if trigger.kind == Cause.EVENTS:
        enough = "" if trigger.holds else f" ({trigger.threshold or 0:.0f} alone would trigger a retrain)"
        return f"{counted(int(trigger.value or 0), 'new matured event')} since the last attempt{enough}"
    return WORDS[trigger.kind]


def _last(namespace: Namespace) -> RunRecord | None:
    """The record of the newest attempt that came to its end."""
    made = (run.record for run in runs.every(str(namespace), job="retrain") if run.record.status in GOOD)
    return next(made, None)


def _of_champion(request: Request, events: pl.DataFrame) -> list[Trigger]:
    try:
        champion = registry.champion(request.settings.namespace)
    except (BQError, OSError):
        return [Trigger(kind=Cause.CHAMPION_UNREADABLE)]
    if champion is None:
        return [Trigger(kind=Cause.NO_CHAMPION)]
    found = []
    if champion.bundle.schema_hash != request.strategy.features(request.settings).schema_hash:
        found.append(Trigger(kind=Cause.SCHEMA))
    age = (day(events["session"].max()) - champion.bundle.trained_through.date()).days
    old = OLD_DAYS + request.settings.learning.newest_days
    return [*found, *([Trigger(kind=Cause.AGE, value=age, threshold=old)] if age > old else [])]


def _unseen(events: pl.DataFrame, before: Known) -> Trigger:
    """How many matured events the last attempt did not know."""
    unseen = matured(events)
    if before.matured_by:
        late = pl.col("t1_due") > before.matured_by
        unseen = unseen.filter(late | ~pl.col("variant").is_in(before.variants))
    count = len(unseen)
    return Trigger(kind=Cause.EVENTS, holds=count >= ENOUGH_EVENTS, value=count, threshold=ENOUGH_EVENTS)
