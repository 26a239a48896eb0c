"""A deployed model that its own errors refuted: it stops deciding, and what came before the change is no evidence.

Of a confirmed harm (`error_stream`) the CUSUM also says since when errors are more. From then on another law holds
than the one the model learnt and its recipe was judged by. With `learning.on_harm: retire` the model is retired at
once, whatever a retrain comes to; and a candidate is trained and judged on events since the change alone, by the same
gate, once there are as many as it needs.
"""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from bq.core.namespace import Namespace
from bq.core.scalars import day
from bq.core.settings import Settings
from bq.learning.splits import TESTED
from bq.monitoring import checks
from bq.monitoring.checks import Check, Severity, What
from bq.runs.record import Cause, Trigger
from bq.serving import bounds, journal, registry
from bq.strategies.events import matured

ALERT = "retired"  # kind of the alert, open until a model is deployed again


class Refuted(NamedTuple):
    """A deployed model and the check that refutes it."""

    namespace: Namespace  # of its tier
    check: Check


def among(settings: Settings, made: Sequence[Check]) -> list[Refuted]:
    """The deployed models, of either tier, with a confirmed harm among checks; none unless `on_harm` is `retire`."""
    if settings.learning.on_harm != "retire":
        return []
    namespace = settings.namespace
    harmed = {check.model_id: check for check in made if check.what == What.ERROR_CUSUM and check.alarm}
    pointers = ((tier, registry.pointer_or_none(tier)) for tier in (namespace, namespace.second))
    return [Refuted(tier, harmed[one.model_id]) for tier, one in pointers if one and one.model_id in harmed]


def retire(one: Refuted, *, statement: str) -> None:
    """Let the next tier decide. The check must be recorded. statement : for people, also of the alert that is opened.

    Killed in between and repeated it leaves the same.
    """
    of = one.namespace.champion
    checks.open_alert(of, kind=ALERT, severity=Severity.GRAVE, statement=statement, check_ids=[])
    registry.retire(one.namespace, reason=statement)


def settle(namespace: Namespace) -> None:
    """Close the alert where a model decides again."""
    if any(registry.pointer_or_none(tier) for tier in (namespace, namespace.second)):
        checks.close(namespace, kind=ALERT)


def since(namespace: Namespace) -> dt.date | None:
    """The change that the newest retired model of either tier was retired for, as estimated; None where none was."""
    changes = [_changed(tier) for tier in (namespace.champion, namespace.second)]
    return max((change for change in changes if change), default=None)


def _changed(tier: Namespace) -> dt.date | None:
    retired = (row for row in journal.changes(tier) if row["kind"] == registry.Change.RETIRED)
    row = next(retired, None)
    if row is None:
        return None
    known = checks.history(tier.champion, what=What.ERROR_CUSUM, model_id=row["previous"])
    found = [check.details["changed"] for check in known if check.alarm and check.details.get("changed")]
    at: dt.datetime = row["at_utc"]
    return dt.date.fromisoformat(found[-1]) if found else at.date()  # its check is lost: nothing before is believed


def in_force(settings: Settings) -> dt.date | None:
    """The confirmed change from which on to train; None where none was, or where the settings say since when."""
    return None if settings.learning.since is not None else since(settings.namespace)


def under_law(settings: Settings) -> Settings:
    """The settings with which to train now: from the confirmed change in force on."""
    change = in_force(settings)
    if change is None:
        return settings
    return settings.model_copy(update={"learning": settings.learning.model_copy(update={"since": change})})


def evidence(events: pl.DataFrame, settings: Settings) -> Trigger:
    """Days since the change that are out of sample, of those after which the gate can come to a verdict.

    events : since the change, with `learning.since` set. The gate asks for days and for blocks of 1.5 holding times.
    """
    known, gate = matured(events), settings.gate
    first, needed = settings.learning.since, float(gate.min_oos_days)
    if known.is_empty() or first is None:
        return Trigger(kind=Cause.EVIDENCE, holds=False, value=0.0, threshold=needed)
    last = day(known["session"].max())
    begins = last - dt.timedelta(days=int((last - day(known["session"].min())).days * TESTED))
    tested = known.filter(pl.col("session") > begins)
    days, sessions = (last - begins).days, tested["session"].n_unique()
    if sessions > 1:
        needed = max(needed, days * gate.min_blocks * bounds.blocks(tested, settings).block / sessions)
    return Trigger(kind=Cause.EVIDENCE, holds=days > needed, value=days, threshold=needed)
