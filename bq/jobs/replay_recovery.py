"""The part of a replay's page on a planted change: how long until it was noticed, answered and made up for."""

import datetime as dt
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from bq.core.numerals import decimal, with_sign
from bq.core.settings import Settings
from bq.jobs.replaying import Replayed
from bq.learning.splits import TESTED
from bq.monitoring import refuted
from bq.monitoring.triggers import HARM
from bq.serving import bounds
from bq.stats.year import DAYS_A_MONTH
from bq.workbench.phrases import interval
from bq.workbench.table import table

Part = tuple[str, list[Any]]
APART = pl.col("system").fill_null(0.0) - pl.col("rule").fill_null(0.0)
NEVER = "not within this replay"
RECOVERED = (
    "Recovered: the first session from which the sum of system less rule score, counted from a deployment after the "
    "alarm, stays above 0 to the end of the replay. The interval of the last part below says whether that is more than "
    "luck."
)


class Recovery(NamedTuple):
    """Sessions after a change; None for what never came."""

    noticed: dt.date | None  # the first alarm on errors or promises of a model
    retired: dt.date | None
    tried: dt.date | None  # the first attempt after that: after the retirement, else the alarm
    deployed: dt.date | None  # the first deployment after that
    recovered: dt.date | None  # see RECOVERED


def found(made: Replayed, change: dt.date) -> Recovery:
    """When a replay noticed a change, and when it had made up for it."""
    alarms = (session for session, check in made.alarms if session >= change and check.what in HARM)
    noticed = next(alarms, None)
    retired = next((one.session for one in made.retired if one.session >= change), None)
    answered = retired or noticed
    later = [one for one in made.trained if answered is not None and one.session >= answered]
    deployments = [one.session for one in later if one.deployed]
    again = (_ahead_from(made.earned, session) for session in deployments)
    return Recovery(
        noticed,
        retired,
        tried=later[0].session if later else None,
        deployed=deployments[0] if deployments else None,
        recovered=next((session for session in again if session), None),
    )


def _ahead_from(earned: pl.DataFrame, begins: dt.date) -> dt.date | None:
    """The first session from which on the sum of system less rule score since `begins` stays above 0; None: never."""
    rows = earned.filter(pl.col("session") >= begins).select("session", ahead=APART.cum_sum())
    behind = np.flatnonzero(rows["ahead"].to_numpy() <= 0.0)
    first = int(behind[-1]) + 1 if len(behind) else 0
    return rows["session"][first] if first < len(rows) else None


def parts(made: Replayed, settings: Settings) -> list[Part]:
    """Of a simulated market whose signal changes on a known day; nothing of others."""
    simulation = settings.market.simulation
    change = simulation.changes if simulation is not None and settings.market.is_simulated else None
    if change is None or made.earned.filter(pl.col("session") < change).is_empty():
        return []
    of = found(made, change)
    shown = [f"The signal of this simulated market changes on {change}.", _waits(of, change), RECOVERED]
    shown += [_least(made, settings)] if of.retired else []
    return [("After the change of the signal", [*shown, table(pl.DataFrame(_spans(of, made, settings, change)))])]


def _waits(of: Recovery, change: dt.date) -> Any:
    after = " after that" if of.retired else ""
    names = {
        "noticed": "first alarm on errors or promises",
        "retired": "model retired",
        "tried": f"first attempt{after}",
        "deployed": f"first deployment{after}",
        "recovered": "recovered",
    }
    rows = [
        {
            "after the change": name,
            "session": NEVER if at is None else str(at),
            "days": None if at is None else (at - change).days,
        }
        for name, at in ((names[field], getattr(of, field)) for field in Recovery._fields)
    ]
    return table(pl.DataFrame(rows))


def _least(made: Replayed, settings: Settings) -> str:
    """How long after a change its gate can come to a verdict at the earliest."""
    changed = made.retired[-1].changed
    learning = settings.learning.model_copy(update={"since": changed})
    since = made.events.filter(pl.col("session") >= changed).with_columns(label="outcome")
    asked = refuted.evidence(since, settings.model_copy(update={"learning": learning}))
    days, gate = asked.threshold or 0.0, settings.gate
    months = decimal(days / TESTED / DAYS_A_MONTH, 0)
    return (
        f"The gate asks for {decimal(days, 0)} days out of sample ({gate.min_blocks} blocks of 1.5 holding times, and "
        f"{gate.min_oos_days} days at least), which are {TESTED} of the time since the change as it was dated "
        f"({changed}): a model on events since then can be deployed {months} months after it at the earliest, however "
        "strong the signal."
    )


def _spans(of: Recovery, made: Replayed, settings: Settings, change: dt.date) -> list[dict[str, Any]]:
    stopped = of.retired or of.deployed
    until = "until its model stopped deciding" if of.retired else "to the deployment" if of.deployed else "on"
    return [
        _span("before the change", made, settings, until=change),
        _span(f"from the change {until}", made, settings, since=change, until=stopped),
        *([_span("without a model", made, settings, since=of.retired, until=of.deployed)] if of.retired else []),
        *([_span("from the deployment on", made, settings, since=of.deployed)] if of.deployed else []),
    ]


def _span(
    name: str, made: Replayed, settings: Settings, *, since: dt.date | None = None, until: dt.date | None = None
) -> dict[str, Any]:
    """What the system earned a session beyond the rule score in a part of the replay."""
    rows = made.earned.select("session", value=APART)
    rows = rows.filter(pl.col("session") >= since) if since else rows
    rows = rows.filter(pl.col("session") < until) if until else rows
    known = bounds.mean_of(rows, made.events, settings)
    return {
        "part": name,
        "sessions": len(rows),
        "system less rule score": "–" if known is None else with_sign(known.mean),
        "interval": "–" if known is None else interval(*known.ends),
    }
