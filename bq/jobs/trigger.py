"""The triggers of a retrain: what they are asked about, and how they are told."""

from collections.abc import Sequence

import polars as pl
from pydantic import ValidationError

from bq.core import files
from bq.core.errors import BQError
from bq.core.numerals import decimal, with_sign
from bq.jobs.request import Request
from bq.jobs.run import protocol, publish
from bq.market import MarketData
from bq.monitoring import checks, refuted, triggers
from bq.monitoring.checks import Check
from bq.monitoring.triggers import Standing, State
from bq.runs.record import Cause, RunRecord, Trigger
from bq.serving import ledger, registry
from bq.strategies import registered

DIFFERENT = {  # a field of the record, and what it is a change of
    "data_hash": "data",
    "parameters": "parameters",
    "git": "code",
    "packages": "packages",
}
ANSWERED = (Cause.AGE, Cause.HARM, Cause.EVIDENCE)  # beyond their limit they hold until an attempt has been made
WORDS = {
    Cause.FORCED: "forced",
    Cause.FIRST_ATTEMPT: "first attempt",
    Cause.CHAMPION_UNREADABLE: "the champion cannot be read",
    Cause.NO_CHAMPION: "no champion",
    Cause.SCHEMA: "the schema of the features changed",
    Cause.TABLE: "another labelled table",
    Cause.OWN_FEATURES: "files of own features changed",
    Cause.UNFINISHED: "the last attempt did not come to its end",
    Cause.DATA: "other data",
    Cause.PARAMETERS: "other parameters",
    Cause.CODE: "other code",
    Cause.PACKAGES: "other packages",
}


def state(request: Request, data: MarketData, events: pl.DataFrame, code: str) -> State:
    """What an attempt now would be made of.

    events : since the last confirmed change. code : digest of all that it would run.
    """
    features = request.strategy.features(request.settings)
    variants, matured_by = triggers.known(events)
    return State(
        parameters=files.digest(request.settings.model_dump(mode="json")),
        code=code,
        packages=files.digest(protocol.packages()),
        own_features=files.digest(registered.digests(features.columns)),
        schema_hash=features.schema_hash,
        table=data.data_hash if request.settings.market.table is not None else "",
        variants=variants,
        matured_by=matured_by,
        alarms=triggers.alarms(_checks(request, _champion(request))),
        since=refuted.in_force(request.settings),
    )


def found(request: Request, now: State, events: pl.DataFrame) -> list[Trigger]:
    """Every trigger with its distance, and how it is told."""
    namespace = request.settings.namespace
    attempt = ledger.last_attempt(namespace)
    last, unfinished = None, []
    if attempt is not None:
        last = _read(attempt["state"])
        if not publish.was_published(attempt["run_id"]):
            unfinished = [Trigger(kind=Cause.UNFINISHED)]
    champion = _champion(request)
    evidence = None if now.since is None else refuted.evidence(events, refuted.under_law(request.settings))
    every = triggers.found(
        now,
        last,
        events,
        champion=champion,
        checks=_checks(request, champion),
        newest_days=request.settings.learning.newest_days,
        force=request.force,
        evidence=evidence,
    )
    return [one.model_copy(update={"text": told(one)}) for one in [*unfinished, *every]]


def ahead(request: Request, now: State, events: pl.DataFrame) -> list[Trigger]:
    """The triggers of the next retrain as they stand at the end of this one, whose run is not published yet."""
    every = found(request._replace(force=False), now, events)
    return [one for one in every if one.kind != Cause.UNFINISHED]


def _checks(request: Request, champion: Standing | None) -> list[Check]:
    """The newest checks of the champion that decides; none where it cannot be read, or there is none."""
    return checks.newest(request.settings.namespace) if champion and champion.bundle else []


def _read(stored: object) -> State | None:
    """None for an attempt of a version that kept no state, or of one that keeps another."""
    try:
        return None if stored is None else State.model_validate(stored)
    except ValidationError:
        return None


def _champion(request: Request) -> Standing | None:
    try:
        deployed = registry.champion(request.settings.namespace)
    except (BQError, OSError):
        return Standing(None)
    return None if deployed is None else Standing(deployed.bundle)


def differing(last: RunRecord, record: RunRecord) -> list[str]:
    """In what a run differs from one before it: data, parameters, code, packages."""
    return [kind for name, kind in DIFFERENT.items() if getattr(last, name) != getattr(record, name)]


def told(trigger: Trigger) -> str:
    """A trigger in words: that it holds, or how far it is."""
    beyond = (trigger.value or 0.0) > (trigger.threshold or 0.0) and trigger.kind in ANSWERED
    return f"{_said(trigger)}{'; an attempt was already made for it' if beyond and not trigger.holds else ''}"


def _said(trigger: Trigger) -> str:
    value, limit = trigger.value or 0.0, trigger.threshold or 0.0
    if trigger.kind == Cause.AGE:
        before = f"{decimal(value, 0)} days before the newest event"
        return f"the champion's training ended {before}, of at most {decimal(limit, 0)}"
    if trigger.kind == Cause.EVENTS:
        return f"{decimal(value, 0)} of {decimal(limit, 0)} new matured events (effective number)"
    if trigger.kind == Cause.HARM:
        return f"errors of matured decisions: statistic {decimal(value, 1)}, alarm from {decimal(limit, 1)}"
    if trigger.kind == Cause.EVIDENCE:
        return f"{decimal(value, 0)} of {decimal(limit, 0)} days out of sample since the change, which a verdict needs"
    if trigger.kind == Cause.PROMISE:
        beyond = f"alarm where its interval is beyond ±{decimal(limit, 2)}"
        return f"realised minus predicted outcome {with_sign(value)}, {beyond}"
    return WORDS[trigger.kind]


def distances(found: Sequence[Trigger]) -> list[str]:
    """The triggers that do not hold, in words."""
    return [one.text for one in found if not one.holds]
