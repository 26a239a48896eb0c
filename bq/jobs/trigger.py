"""Why a retrain is run: which triggers held. It runs whenever data, parameters or code differ, or where forced."""

import datetime as dt
from typing import Any

import polars as pl

from bq import runs
from bq.core.errors import BQError
from bq.core.namespace import Namespace
from bq.jobs.request import Request
from bq.jobs.run.record import GOOD
from bq.serving import registry
from bq.strategies.events import matured
from bq.workbench import screen

ENOUGH_EVENTS = 500  # matured ones that the last attempt did not know
OLD_DAYS = 365  # since the champion's training ended, by the newest session
DIFFERENT = {"data_hash": "data", "parameters": "parameters", "git": "code", "packages": "packages"}


def known(events: pl.DataFrame) -> dict[str, Any]:
    """What the next attempt must know of this one's events: rule sets, and until when they had matured."""
    ended = events["t1"].max()
    return {"variants": events["variant"].unique().sort().to_list(), "matured_by": ended.isoformat() if ended else None}


def held(request: Request, info: dict[str, Any], events: pl.DataFrame) -> str:
    """The triggers that hold, in words. info : the run's own record, with `known` in it."""
    last = _last(request.settings.namespace)
    if last is None:
        return "forced, first attempt" if request.force else "first attempt"
    new = [word for name, word in DIFFERENT.items() if last.get(name) != info.get(name)]
    parts = [
        *(["forced"] if request.force else []),
        *_of_champion(request, events),
        _unseen(events, last.get("known") or {}),
        *([f"{', '.join(new)} differ"] if new else []),
    ]
    return "; ".join(parts)


def _last(namespace: Namespace) -> dict[str, Any] | None:
    """The record of the newest attempt that came to its end."""
    made = (run.info for run in runs.every(str(namespace), job="retrain") if run.info["status"] in GOOD)
    return next(made, None)


def _of_champion(request: Request, events: pl.DataFrame) -> list[str]:
    try:
        champion = registry.champion(request.settings.namespace)
    except (BQError, OSError):
        return ["the champion cannot be read"]
    if champion is None:
        return ["no champion"]
    parts = []
    if champion.bundle["schema_hash"] != request.strategy.features(request.settings).schema_hash:
        parts.append("the schema of the features changed")
    age = (events["session"].max() - dt.datetime.fromisoformat(champion.bundle["trained_through"]).date()).days
    if age > OLD_DAYS + request.settings.learning.newest_days:
        parts.append(f"the champion's training ended {age} days ago")
    return parts


def _unseen(events: pl.DataFrame, before: dict[str, Any]) -> str:
    """How many matured events the last attempt did not know."""
    ripe = matured(events)
    if before.get("matured_by"):
        late = pl.col("t1_due") > dt.datetime.fromisoformat(before["matured_by"])
        ripe = ripe.filter(late | ~pl.col("variant").is_in(before["variants"]))
    enough = "" if len(ripe) >= ENOUGH_EVENTS else f" ({ENOUGH_EVENTS} would be enough by themselves)"
    return f"{screen.count(len(ripe), 'matured event')} new since the last attempt{enough}"
