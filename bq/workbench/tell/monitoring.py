"""Notebook 04: is the model still as good as was promised?"""

from collections.abc import Callable
from functools import partial

import polars as pl

from bq.core.namespace import Tier
from bq.core.numerals import decimal, with_sign
from bq.learning import metrics
from bq.monitoring import performance, quarters
from bq.monitoring import promise as promises
from bq.monitoring.observed import Observed
from bq.monitoring.performance import Measure
from bq.monitoring.predictions import matured
from bq.serving import bounds
from bq.stats.calibration import Calibration
from bq.workbench import monitors, plots, reading
from bq.workbench.told import Told


def decided(observed: Observed) -> Told:
    """How many decisions count, by who made them, and how many have an outcome."""
    known = ~pl.col("in_sample").fill_null(False) & pl.col("outcome").is_not_null()
    table = (
        observed.counted.group_by("tier", "model_id")
        .agg(
            first=pl.col("session").min(),
            last=pl.col("session").max(),
            sessions=pl.col("session").n_unique(),
            decisions=pl.len(),
            traded=pl.col("should_trade").sum(),
            matured=known.sum(),
            open=pl.col("outcome").is_null().sum(),
            in_sample=pl.col("in_sample").fill_null(False).sum(),
        )
        .sort("first", "tier", "model_id", nulls_last=True)
    )
    named = {tier.value: tier.label for tier in Tier}
    shown = table.with_columns(pl.col("tier").replace_strict(named, return_dtype=pl.String).alias("by"))
    columns = shown.select("by", pl.col("model_id").alias("model"), *table.columns[2:]).rename(
        {"in_sample": "in sample"}
    )
    return Told(plots.table(columns) if len(table) else None, reading.decided(table), table)


def performance_figures(observed: Observed) -> Told:
    """Every figure of the decisions that have an outcome, beside its baseline."""
    table = performance.figures(observed.counted, observed.subject)
    shown = plots.table(_shown(table)) if len(table) else None
    return Told(shown, reading.performances(table), table)


def performance_by_class(observed: Observed) -> Told:
    """How often each predicted class came, and what was earned by trading it."""
    asked = pl.col("measure").is_in([Measure.ACCURACY, Measure.BIAS, Measure.WIN_RATE])
    table = performance.figures(observed.counted, observed.subject, by="predicted_class").filter(asked)
    table = table.drop_nulls("predicted_class").filter(pl.col("value").is_not_null())
    shown = table.select(pl.col("predicted_class").alias("predicted class"), *table.columns[2:])
    return Told(plots.table(_shown(shown)) if len(table) else None, reading.by_class(table), table)


def _shown(table: pl.DataFrame) -> pl.DataFrame:
    """The figures as a reader wants them: each with its interval in one column, and no column that says nothing."""
    labels = {tier.value: tier.label for tier in Tier}
    named = {"tier": pl.col("tier").replace_strict(labels, return_dtype=pl.String).alias("by")}
    parted = "tier" in table.columns and table["tier"].n_unique() > 1
    first = [named["tier"]] if parted else []
    first += [pl.col(name) for name in table.columns if name == "predicted class"]
    months = pl.col("months").map_elements(reading.months, return_dtype=pl.String, skip_nulls=False)
    baseline = pl.col("baseline_is").replace_strict(reading.BASELINES, return_dtype=pl.String)
    target = pl.when(pl.col("target_low").is_not_null()).then(pl.format("{} to {}", "target_low", "target_high"))
    shown = table.select(
        *first,
        pl.col("measure").replace_strict(reading.MEASURES, return_dtype=pl.String).alias("figure"),
        _with_interval("value", "low", "high").alias("value"),
        pl.when(pl.col("baseline").is_not_null())
        .then(pl.format("{} {}", _text("baseline"), baseline))
        .alias("baseline"),
        _with_interval("difference", "difference_low", "difference_high", told=with_sign).alias("difference"),
        _text("blocks", told=partial(decimal, digits=1)).alias("blocks"),
        months.alias("months to a verdict"),
        target.alias("older target"),
        pl.col("why").replace_strict(reading.WHY, return_dtype=pl.String, default=None).alias("none because"),
    )
    return shown.select(column for column in shown if column.null_count() < len(shown))


def _text(name: str, *, told: Callable[[float], str] = decimal) -> pl.Expr:
    return pl.col(name).map_elements(told, return_dtype=pl.String)


def _with_interval(value: str, low: str, high: str, *, told: Callable[[float], str] = decimal) -> pl.Expr:
    """A figure with its interval in brackets; one bound alone as what it is."""
    text, *ends = (_text(name, told=told) for name in (value, low, high))
    known = [pl.col(name).is_not_null() for name in (low, high)]
    return (
        pl.when(known[0] & known[1]).then(pl.format("{} [{}, {}]", text, *ends))
        .when(known[0]).then(pl.format("{}, above {}", text, ends[0]))
        .otherwise(text)
    )  # fmt: skip


def promise(observed: Observed) -> Told:
    """Predicted against realised outcome by week, with the rule of 20 points; of the model that decided last."""
    table = promises.weekly(observed.counted, observed.subject)
    task = observed.subject.strategy.task(observed.subject.settings)
    if table.is_empty():
        return Told(None, reading.promise(table, points=promises.POINTS), table)
    last = table.sort("week", "tier", descending=[True, False])["model_id"][0]
    own = table.filter(pl.col("model_id") == last)
    title = f"Predicted and realised {task.outcome} of {last}"
    figure = monitors.promised(own, points=promises.POINTS, title=title, y_title=f"mean {task.outcome}")
    return Told(figure, reading.promise(own, points=promises.POINTS), own)


def calibration_then_and_now(observed: Observed) -> Told:
    """Predicted probabilities beside observed frequencies: out of sample when the model was made, and since."""
    task = observed.subject.task(Tier.CHAMPION)
    if not task.classes:
        return Told(None, reading.calibration_now(None, None, classes=False))
    now = matured(observed.counted, Tier.CHAMPION, observed.subject).drop_nulls("predicted")
    kept = observed.reference
    then = None if kept is None else _promised(observed)
    tables = [
        metrics.calibration(one, task) if one is not None else metrics.calibration(now.clear(), task)
        for one in (then, now)
    ]
    errors = [None if one is None or one.is_empty() else _error(one, observed) for one in (then, now)]
    figure = monitors.then_and_now(*tables, title="Calibration then (out of sample) and now")
    return Told(figure, reading.calibration_now(*errors), tables[1])


def _promised(observed: Observed) -> pl.DataFrame:
    """The reference's out-of-sample predictions in the shape of decisions that have an outcome."""
    kept = observed.reference
    assert kept is not None
    rows = kept.promised.with_columns(
        tier=pl.lit(Tier.CHAMPION.value, pl.Int32),
        model_id=pl.lit(kept.model_id),
        in_sample=False,
        should_trade=False,
        weight=pl.lit(None, pl.Float64),
        probabilities=pl.col("probabilities").cast(pl.List(pl.Float64)),
    )
    return matured(rows, Tier.CHAMPION, observed.subject).drop_nulls("predicted")


def _error(rows: pl.DataFrame, observed: Observed) -> Calibration:
    blocks = bounds.blocks(rows, observed.subject.settings)
    return metrics.calibration_beside_prior(rows, observed.subject.task(Tier.CHAMPION), blocks=blocks)


def estimates(observed: Observed) -> Told:
    """Accuracy by quarter as estimated before outcomes are known, beside what came."""
    if not observed.subject.task(Tier.CHAMPION).classes:
        return Told(None, reading.NO_PROBABILITIES)
    if observed.reference is None:
        return Told(None, reading.NO_REFERENCE)
    table = quarters.estimates(observed, observed.events)
    title = "Accuracy, estimated before outcomes and realised"
    return Told(monitors.estimated(table, title=title), reading.estimates(table), table)
