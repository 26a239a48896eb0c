"""Performance as checks: what each model that decides has come to, on the newest day."""

from typing import Any

import polars as pl

from bq.core.namespace import Tier
from bq.core.scalars import day
from bq.monitoring import performance, promise
from bq.monitoring.checks import Check, What
from bq.monitoring.observed import Observed
from bq.monitoring.performance import Baseline, Measure
from bq.monitoring.predictions import Subject

KINDS = {  # figures that become a check, by measure and baseline
    (Measure.ACCURACY, Baseline.MAJORITY): What.ACCURACY,
    (Measure.LOG_LOSS, Baseline.PRIOR): What.LOG_LOSS,
    (Measure.RANK_IC, Baseline.RULE): What.RANK_IC,
    (Measure.NET, Baseline.RULE): What.UPLIFT,
}
ALARMS = (What.PROMISE,)


def of(observed: Observed) -> list[Check]:
    """One check a model of each of KINDS, and of what it promised; none where nothing has an outcome.

    Only a broken promise is an alarm (see `promise.weekly`): a figure below its baseline is shown with its interval.
    value, low and high are of the difference to the baseline.
    """
    counted, subject = observed.counted, observed.subject
    about = _about(counted, subject)
    if about is None:
        return []
    made = []
    for row in performance.figures(counted, subject, by="model_id").iter_rows(named=True):
        kind = KINDS.get((row["measure"], row["baseline_is"]))
        if kind is not None and row["difference"] is not None:
            details = {"figure": row["value"], "baseline": row["baseline"], "months": row["months"]}
            interval = {"value": row["difference"], "low": row["difference_low"], "high": row["difference_high"]}
            counts = {"n": row["events"], "blocks": int(row["blocks"])}
            made.append(Check(what=kind, model_id=row["model_id"], **about, **counts, **interval, details=details))
    return [*made, *alarms(counted, subject)]


def alarms(counted: pl.DataFrame, subject: Subject) -> list[Check]:
    """Of `of` those that may be an alarm: what each model promised. Promises of the subject are not looked at."""
    about = _about(counted, subject)
    if about is None:
        return []
    weeks = promise.weekly(counted, subject, newest=1)
    return [_promise(row, about) for row in weeks.iter_rows(named=True)]


def _about(counted: pl.DataFrame, subject: Subject) -> dict[str, Any] | None:
    """Of whom and which day the checks are; None where nothing has an outcome."""
    known = counted.filter(pl.col("outcome").is_not_null())
    if known.is_empty():
        return None
    return {"namespace": str(subject.settings.namespace), "day": day(known["session"].max())}


def _promise(row: dict[str, Any], about: dict[str, Any]) -> Check:
    return Check(
        what=What.PROMISE,
        model_id=row["model_id"],
        **about,
        n=row["window_sessions"],
        blocks=int(row["blocks"]),
        value=row["difference"],
        low=row["low"],
        high=row["high"],
        threshold=promise.POINTS,
        alarm=row["alarm"],
        details={
            "predicted": row["window_predicted"],
            "realised": row["window_realised"],
            "from": row["window_from"].isoformat(),
            "months": row["months"],
            "second_tier": row["tier"] == Tier.SECOND,
        },
    )
