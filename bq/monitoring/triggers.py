"""Which triggers of a retrain hold, and how far each of the others is. This decides; `make retrain` executes.

A new bar alone triggers nothing. Input drift opens an alert; only a confirmed loss of performance, enough new outcomes,
age, another schema, or parameters and code that somebody changed train again.
"""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from bq.core.records import Facts, Moment
from bq.core.scalars import day, moment, number
from bq.monitoring.checks import Check, What
from bq.runs.record import Cause, Trigger
from bq.serving.model_records import Bundle
from bq.strategies.events import matured

ENOUGH = 500.0  # effective events: the sum of their uniqueness weights
HARM = {What.ERROR_CUSUM: Cause.HARM, What.PROMISE: Cause.PROMISE}  # checks on matured decisions that train again
OLD_DAYS = 365  # from the end of the champion's training to the newest event


class State(Facts):
    """What an attempt was made of and knew, as the triggers of the next one need it. Digests but for the last five."""

    parameters: str
    code: str
    packages: str
    own_features: str  # of the files that the user's features are in
    schema_hash: str  # of the features
    table: str = ""  # of labelled tables, where events are collected from such
    variants: list[str] = []  # rule sets of the events
    matured_by: Moment | None = None  # the newest end of an event
    alarms: list[str] = []  # that stood, see `alarms`
    since: dt.date | None = None  # the confirmed change from which on events trained; None: all did


class Standing(NamedTuple):
    """The champion: its bundle, or None where it cannot be read."""

    bundle: Bundle | None


def found(
    now: State,
    last: State | None,
    events: pl.DataFrame,
    *,
    champion: Standing | None,
    checks: Sequence[Check] = (),
    newest_days: int = 0,
    force: bool = False,
    evidence: Trigger | None = None,
) -> list[Trigger]:
    """Every trigger that applies, whether it holds, with its distance.

    last : of the newest attempt that came to its end; None where there was none. events : with the columns of the
    contract. champion : None where none is deployed. checks : the newest of the champion. newest_days : of the window
    on which no model is trained. evidence : of `refuted.evidence`, where a model was retired; None where none was.
    Until it holds nothing but FORCE=1 trains: the gate could not come to a verdict.

    What an attempt has answered does not hold again: an alarm that stood at it, and age within a year of what it knew.
    Else a candidate that the gate refuses would be trained anew on each day, and each of these is one more look.
    """
    forced = [Trigger(kind=Cause.FORCED)] if force else []
    if last is None:
        return [*forced, Trigger(kind=Cause.FIRST_ATTEMPT)]
    newest = day(events["session"].max())
    recent = last.matured_by is not None and (newest - last.matured_by.date()).days < OLD_DAYS
    if evidence is not None:
        seen = recent and last.since == now.since
        evidence = evidence.model_copy(update={"holds": evidence.holds and not seen})
        if last.since != now.since:
            return [*forced, evidence]
    changed = {
        Cause.PARAMETERS: now.parameters != last.parameters,
        Cause.CODE: now.code != last.code,
        Cause.PACKAGES: now.packages != last.packages,
        Cause.OWN_FEATURES: now.own_features != last.own_features,
        Cause.TABLE: now.table != last.table,
        Cause.SCHEMA: now.schema_hash != last.schema_hash,
    }
    return [
        *forced,
        *(Trigger(kind=kind) for kind, differs in changed.items() if differs),
        unseen(events, last),
        *(_of_champion(champion, newest, newest_days, answered=recent) if champion else []),
        *([evidence] if evidence and not champion else []),
        *(
            Trigger(
                kind=HARM[check.what],
                holds=not set(alarms([check])) <= set(last.alarms),
                value=check.value,
                threshold=check.threshold,
            )
            for check in checks
            if check.what in HARM
        ),
    ]


def unseen(events: pl.DataFrame, last: State) -> Trigger:
    """The effective number of matured events that no attempt has seen."""
    late = matured(events)
    if last.matured_by:
        late = late.filter((pl.col("t1_due") > last.matured_by) | ~pl.col("variant").is_in(last.variants))
    effective = number(late["weight"].sum())
    return Trigger(kind=Cause.EVENTS, holds=effective >= ENOUGH, value=effective, threshold=ENOUGH)


def known(events: pl.DataFrame) -> tuple[list[str], dt.datetime | None]:
    """Of events, what the next attempt must know: their rule sets, and when the last of them matured."""
    ends = matured(events)["t1_due"]
    return events["variant"].unique().sort().to_list(), moment(ends.max()) if len(ends) else None


def alarms(checks: Sequence[Check]) -> list[str]:
    """The alarms that train again, each with its model."""
    return sorted(f"{check.what} {check.model_id}" for check in checks if check.alarm and check.what in HARM)


def _of_champion(champion: Standing, newest: dt.date, newest_days: int, *, answered: bool) -> list[Trigger]:
    if champion.bundle is None:
        return [Trigger(kind=Cause.CHAMPION_UNREADABLE)]
    age, old = (newest - champion.bundle.trained_through.date()).days, OLD_DAYS + newest_days
    return [Trigger(kind=Cause.AGE, holds=age > old and not answered, value=age, threshold=old)]
