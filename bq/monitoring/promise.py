"""Does a model still keep what it promised: predicted against realised outcome, week by week."""

import datetime as dt

import polars as pl

from bq.core.namespace import Tier
from bq.core.scalars import day
from bq.monitoring.predictions import Subject, matured, tiers
from bq.serving import bounds
from bq.stats.delay import months_to_verdict

POINTS = 0.20  # |realised - predicted| outcome beyond which a promise is broken
WEEKS = pl.Schema(
    {
        "tier": pl.Int32,
        "model_id": pl.String,
        "week": pl.Date,  # its Monday
        "events": pl.Int64,
        "sessions": pl.Int64,
        "predicted": pl.Float64,  # means over the week's sessions
        "realised": pl.Float64,
        "window_from": pl.Date,  # first session of what follows, which ends with the week
        "window_sessions": pl.Int64,
        "window_predicted": pl.Float64,
        "window_realised": pl.Float64,
        "difference": pl.Float64,  # realised - predicted
        "low": pl.Float64,  # of its interval
        "high": pl.Float64,
        "blocks": pl.Float64,
        "months": pl.Float64,  # in all, until a difference of POINTS is told from none
        "alarm": pl.Boolean,
    }
)


def weekly(counted: pl.DataFrame, subject: Subject, *, newest: int | None = None) -> pl.DataFrame:
    """Predicted and realised outcome of each model by week, with the rule of 20 points.

    counted : of `bq.monitoring.outcomes.counted`. A week is that of the decisions, and its events have an outcome.

    The interval is of a window of as many blocks as the gate asks for (`gate.min_blocks`) that ends with the week, or
    of all there is: a week alone is less than a holding time. Alarm: the whole interval lies beyond -20 or +20 points.
    An interval of fewer than five blocks is null, and never an alarm. Each row uses what was decided up to its week.

    newest : so many of the last weeks of each model alone, which is quicker; None for all.

    Returns WEEKS, sorted by tier, model and week; no row of the rule score, which promises nothing, nor of a model that
    predicts z-scores, which are in no unit of an outcome.
    """
    parts = [pl.DataFrame(schema=WEEKS)]
    for tier in tiers(counted):
        if tier != Tier.RULE and subject.task(tier).classes:
            rows = matured(counted, tier, subject).filter(pl.col("expected").is_not_null())
            number = pl.lit(tier.value, pl.Int32).alias("tier")
            for _, own in sorted(rows.partition_by("model_id", as_dict=True).items()):
                parts.append(_of_model(own, subject, newest).with_columns(number).select(*WEEKS))
    return pl.concat(parts)


def _of_model(rows: pl.DataFrame, subject: Subject, newest: int | None) -> pl.DataFrame:
    sessions = rows.group_by("session").agg(
        pl.col("model_id").first(), predicted=pl.col("expected").mean(), realised=pl.col("outcome").mean(), n=pl.len()
    )
    sessions = sessions.sort("session").with_columns(week=pl.col("session").dt.truncate("1w"))
    weeks = sessions.group_by("week", maintain_order=True).agg(
        pl.col("model_id").first(),
        pl.col("predicted", "realised").mean(),
        events=pl.col("n").sum().cast(pl.Int64),
        sessions=pl.len().cast(pl.Int64),
        last=pl.col("session").last(),
    )
    weeks = weeks if newest is None else weeks.tail(newest)
    windows = [_window(rows, sessions, last, subject) for last in weeks["last"]]
    return pl.concat(
        [weeks, pl.DataFrame(windows, schema={name: WEEKS[name] for name in list(WEEKS)[7:]})], how="horizontal"
    )


def _window(rows: pl.DataFrame, sessions: pl.DataFrame, last: dt.date, subject: Subject) -> dict:
    """Realised less predicted over the newest blocks up to a session."""
    known = sessions.filter(pl.col("session") <= last)
    blocks = bounds.blocks(rows.filter(pl.col("session") <= last), subject.settings, known["session"])
    window = known.tail(max(round(subject.settings.gate.min_blocks * blocks.block), 1))
    values = (window["realised"] - window["predicted"]).to_numpy()
    found = blocks.mean(values)
    first = day(window["session"][0])
    days = (last - first).days / max(len(window) - 1, 1)
    low, high = found.ends
    return {
        "window_from": first,
        "window_sessions": len(window),
        "window_predicted": window["predicted"].mean(),
        "window_realised": window["realised"].mean(),
        "difference": found.mean,
        "low": low,
        "high": high,
        "blocks": found.blocks,
        "months": months_to_verdict(values, block=blocks.block, difference=POINTS, alpha=blocks.alpha, days_a_row=days),
        "alarm": low is not None and high is not None and (low > POINTS or high < -POINTS),
    }
