"""How good decisions turned out to be: every figure beside its baseline, with its interval and the delay to a verdict.

Pure: frames in, frames out. Every figure is a mean over sessions of equal weight; events of a session are averaged
first, as they share its fate. Intervals by stationary bootstrap over sessions in blocks of 1.5 holding times, at the
gate's level; of fewer than five blocks there is none, and a wide one stays as wide as it is.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import polars as pl

from bq.core.namespace import Tier
from bq.core.scalars import day
from bq.learning import metrics
from bq.learning.auc import auc_by_session
from bq.monitoring.predictions import Subject, matured, tiers
from bq.monitoring.promise import POINTS
from bq.serving import bounds
from bq.stats.blocks import Blocks
from bq.stats.delay import months_to_verdict
from bq.stats.rank_ic import rank_ic
from bq.strategies.policy import EXPECTED, SCORE
from bq.strategies.task import Task


class Measure(StrEnum):
    """What is measured."""

    ACCURACY = "accuracy"  # share of events whose likeliest class came
    LOG_LOSS = "log_loss"  # nats
    BRIER = "brier"  # squared error of the probabilities, summed over classes; of two classes that of the last alone
    CALIBRATION = "calibration"  # expected error, debiased: see `bq.stats.calibration`
    AUC = "auc"  # of the last class against the others
    RANK_IC = "rank_ic"  # Spearman with the outcome within a session
    SQUARED_ERROR = "squared_error"  # of the z-score, without classes
    BIAS = "bias"  # realised - predicted outcome
    BIAS_OF_TRADES = "bias_of_trades"  # the same of what was traded: what is chosen for its promise keeps less of it
    WIN_RATE = "win_rate"  # share of trades with an outcome above 0
    NET = "net"  # outcome of a session's trades, each by its share of the capital


class Baseline(StrEnum):
    """What a figure is held against."""

    MAJORITY = "majority"  # class most frequent among the events that the model was made from
    PRIOR = "prior"  # shares of the classes among them
    CHANCE = "chance"
    ZERO = "zero"
    RULE = "rule"  # rule score
    EVERYTHING = "everything"  # taking every event


class Why(StrEnum):
    """Why there is no figure."""

    NO_CLASSES = "no_classes"  # the model predicts z-scores
    NO_MODEL = "no_model"  # the rule score predicts nothing
    NO_TRADE = "no_trade"
    ONE_CLASS = "one_class"  # all events had the same outcome
    SMALL_SESSIONS = "small_sessions"  # no session has the events that a rank IC needs
    NOT_RECORDED = "not_recorded"  # weights of a portfolio by the rule score
    RESIDUAL = "residual"  # what is learned is freed of what decisions are not recorded with
    Z_SCORES = "z_scores"  # what is expected is not in the unit of the outcome


OLDER_TARGETS = {  # of the older systems: shown beside, binding nothing
    Measure.ACCURACY: (0.45, 0.55),
    Measure.BIAS_OF_TRADES: (-0.15, 0.15),
    Measure.WIN_RATE: (0.35, 0.45),
}
FIGURES = pl.Schema(
    {
        "measure": pl.String,
        "value": pl.Float64,
        "low": pl.Float64,  # of its interval
        "high": pl.Float64,
        "baseline": pl.Float64,
        "baseline_is": pl.String,  # Baseline
        "in_hindsight": pl.Boolean,  # whether the baseline knew the very events
        "difference": pl.Float64,  # value - baseline, of the same sessions
        "difference_low": pl.Float64,
        "difference_high": pl.Float64,
        "sessions": pl.Int64,
        "events": pl.Int64,
        "blocks": pl.Float64,  # how much independent evidence there is
        "months": pl.Float64,  # in all, until such a difference is told from none: see `months_to_verdict`
        "target_low": pl.Float64,  # of the older systems
        "target_high": pl.Float64,
        "why": pl.String,  # Why: there is no figure
    }
)
BY = ("model_id", "track", "predicted_class", "week")  # what decisions of a tier are told apart by


class Line(NamedTuple):
    """A figure that is a mean over sessions: its column, that of its baseline or a number, and what that is."""

    measure: Measure
    column: str
    against: str | float
    baseline: Baseline
    why: Why | None = None  # there is none where the column has no value


def figures(counted: pl.DataFrame, subject: Subject, *, by: str | None = None) -> pl.DataFrame:
    """Every figure of the decisions that count and have an outcome, by tier and `by`.

    counted : of `bq.monitoring.outcomes.counted`. by : one of BY; weeks begin on Monday. None: a tier as a whole.
    Returns tier, `by`, then FIGURES; no row where nothing has an outcome. A figure that does not apply is null and says
    why. The interval of `difference` is the paired one: whether the model beats its baseline is read there.
    """
    parts = []
    for tier in tiers(counted):
        rows = matured(counted, tier, subject).with_columns(week=pl.col("session").dt.truncate("1w"))
        groups = rows.partition_by(by, as_dict=True, maintain_order=True) if by else {(None,): rows}
        for (key,), group in sorted(groups.items(), key=lambda item: (item[0][0] is not None, item[0])):
            if group.is_empty():
                continue
            names = [pl.lit(tier.value, pl.Int32).alias("tier")]
            names += [pl.lit(key, rows.schema[by]).alias(by)] if by else []
            parts.append(of_tier(group, tier, subject).select(*names, *FIGURES))
    first = {"tier": pl.Int32} | ({by: pl.Date if by == "week" else pl.String} if by else {})
    return pl.concat([pl.DataFrame(schema={**first, **FIGURES}), *parts])


def of_tier(rows: pl.DataFrame, tier: Tier, subject: Subject) -> pl.DataFrame:
    """The figures of rows of `matured`."""
    task = subject.task(tier)
    sessions = by_session(rows, tier, task)
    blocks = bounds.blocks(rows, subject.settings, sessions["session"])
    days = (day(sessions["session"][-1]) - day(sessions["session"][0])).days / max(len(sessions) - 1, 1)
    lines = _lines(tier, task, subject)
    ranked = [line for line in lines if line.measure == Measure.RANK_IC]
    plain = [line for line in lines if line.measure != Measure.RANK_IC]
    table = [
        *_means(sessions, plain, blocks, days),
        *_means(sessions, ranked, blocks.of_ic, days),
        _calibration(rows, tier, task, blocks),
    ]
    hindsight = bool(rows["in_hindsight"].any()) if "in_hindsight" in rows.columns else False
    order = {measure: place for place, measure in enumerate(Measure)}
    found = sorted(table, key=lambda row: order[row["measure"]])
    prior = (Baseline.MAJORITY, Baseline.PRIOR)
    for row in found:
        low, high = OLDER_TARGETS.get(row["measure"], (None, None))
        row |= {"events": len(rows), "target_low": low, "target_high": high}
        row["in_hindsight"] = hindsight if row["baseline_is"] in prior else None
    return pl.DataFrame(found, schema=FIGURES).with_columns(pl.col(pl.Float64).fill_nan(None))


def by_session(rows: pl.DataFrame, tier: Tier, task: Task) -> pl.DataFrame:
    """One row a session, sorted, with the columns that figures are means of; null where a session has none."""
    outcome, traded = pl.col("outcome"), pl.col("held") != 0.0
    won, bias = (outcome > 0).cast(pl.Float64), outcome - pl.col("expected")
    columns = {
        "bias": bias.mean(),
        "trade_bias": bias.filter(traded).mean(),
        "wins": won.filter(traded).mean(),
        "all_wins": won.mean(),
        "net": (outcome * pl.col("held")).sum(),
        "rule_net": pl.when(pl.col("rule_held").is_not_null().any()).then((outcome * pl.col("rule_held")).sum()),
        "all_net": (outcome * pl.col("even")).sum(),
    }
    if task.classes:
        rows = _of_classes(rows, task)
        columns |= {name: pl.col(name).mean() for name in (*_OF_CLASSES,)}
    else:
        columns["error"] = ((pl.col("expected") - pl.col("label")) ** 2).mean()
        columns["spread"] = (pl.col("label") ** 2).mean()
    sessions = rows.group_by("session").agg(**columns).sort("session")
    for name, by in (("ic", _orders_by(tier, task)), ("score_ic", SCORE)):
        sessions = sessions.join(rank_ic(rows, by=by).rename({"ic": name}), on="session", how="left")
    return sessions.join(_areas(rows, tier, task), on="session", how="left").sort("session")


_OF_CLASSES = ("hit", "majority", "loss", "prior_loss", "brier", "prior_brier")


def _of_classes(rows: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Columns of each event that the figures of classes are means of; null where it has no probabilities."""
    known = pl.col("predicted").is_not_null()
    prior = rows.select(f"prior_{name}" for name in task.classes).to_numpy()
    label = pl.col("label")
    squares = {
        name: pl.sum_horizontal(
            (pl.col(f"{prefix}{one}") - (label == place).cast(pl.Float64)) ** 2
            for place, one in enumerate(task.classes)
            if len(task.classes) != 2 or place == 1
        )
        for name, prefix in (("brier", "p_"), ("prior_brier", "prior_"))
    }
    said = rows.with_columns(
        pl.col(f"p_{name}").fill_null(1.0 / len(task.classes)) for name in task.classes
    )  # taken out below
    return rows.with_columns(
        hit=(pl.col("predicted") == label).cast(pl.Float64),
        majority=(pl.Series("majority", prior.argmax(axis=1)) == rows["label"]).cast(pl.Float64),
        loss=metrics.log_loss(said, task),
        prior_loss=metrics.log_loss(rows, task, prefix="prior_"),
        **squares,
    ).with_columns(pl.when(known).then(pl.col(*_OF_CLASSES)))


def _orders_by(tier: Tier, task: Task) -> str:
    """The column that a tier orders a session's events by."""
    if tier == Tier.RULE:
        return SCORE
    return task.probability if tier == Tier.SECOND else EXPECTED


def _areas(rows: pl.DataFrame, tier: Tier, task: Task) -> pl.DataFrame:
    """session, auc: of the probability of the last class, where there is one."""
    known = rows.filter(pl.col("predicted").is_not_null()) if task.classes else rows.clear()
    if known.is_empty():
        return pl.DataFrame(schema={"session": pl.Date, "auc": pl.Float64})
    last = known.with_columns(label=(pl.col("label") == len(task.classes) - 1).cast(pl.Int64))
    return auc_by_session(last, by=task.probability)


def _lines(tier: Tier, task: Task, subject: Subject) -> list[Line]:
    """The figures that are means over sessions."""
    none = Why.NO_MODEL if tier == Tier.RULE else None if task.classes else Why.NO_CLASSES
    unit = Why.NO_MODEL if tier == Tier.RULE else None if task.classes else Why.Z_SCORES
    lines = [
        Line(Measure.ACCURACY, "hit", "majority", Baseline.MAJORITY, none),
        Line(Measure.LOG_LOSS, "loss", "prior_loss", Baseline.PRIOR, none),
        Line(Measure.BRIER, "brier", "prior_brier", Baseline.PRIOR, none),
        Line(Measure.AUC, "auc", 0.5, Baseline.CHANCE, none),
        Line(Measure.RANK_IC, "ic", "score_ic", Baseline.RULE),
        Line(Measure.BIAS, "bias", 0.0, Baseline.ZERO, unit),
        Line(Measure.BIAS_OF_TRADES, "trade_bias", 0.0, Baseline.ZERO, unit),
        Line(Measure.WIN_RATE, "wins", "all_wins", Baseline.EVERYTHING),
        Line(Measure.NET, "net", "rule_net", Baseline.RULE),
        Line(Measure.NET, "net", "all_net", Baseline.EVERYTHING),
    ]
    if not task.classes and tier != Tier.RULE:
        lines.append(Line(Measure.SQUARED_ERROR, "error", "spread", Baseline.ZERO))
    return lines


_EMPTY = {  # why a column has no value in any session
    "auc": Why.ONE_CLASS,
    "error": Why.RESIDUAL,
    "ic": Why.SMALL_SESSIONS,
    "wins": Why.NO_TRADE,
    "trade_bias": Why.NO_TRADE,
}


def _means(sessions: pl.DataFrame, lines: Sequence[Line], blocks: Blocks, days: float) -> list[dict]:
    """Each line as a row of FIGURES: means of its column, its baseline and their difference."""
    asked = [line for line in lines if line.why is None]
    ours = [_column(sessions, line.column) for line in asked]
    theirs = [_column(sessions, line.against) for line in asked]
    both = [own - other for own, other in zip(ours, theirs, strict=True)]
    found = iter(blocks.means(np.column_stack([*ours, *both])) if asked else [])
    values = [next(found) for _ in asked]
    rows = [_without(line, line.why) for line in lines if line.why is not None]
    for line, value, gap, base, paired in zip(asked, values, found, theirs, both, strict=True):
        if not value.n:
            rows.append(_without(line, _EMPTY.get(line.column)))
            continue
        known = np.isfinite(paired)
        harm = POINTS if line.column in ("bias", "trade_bias") else gap.mean
        months = months_to_verdict(paired, block=blocks.block, difference=harm, alpha=blocks.alpha, days_a_row=days)
        rows.append(
            _without(line, None if known.any() else Why.NOT_RECORDED)
            | {"value": value.mean, "low": value.low, "high": value.high, "sessions": value.n, "blocks": value.blocks}
            | {"baseline": base[known].mean() if known.any() else None, "months": months}
            | {"difference": gap.mean, "difference_low": gap.low, "difference_high": gap.high}
        )
    return rows


def _without(line: Line, why: Why | None) -> dict:
    return {"measure": line.measure, "baseline_is": line.baseline, "why": why}


def _column(sessions: pl.DataFrame, of: str | float) -> np.ndarray:
    if isinstance(of, float):
        return np.full(len(sessions), of)
    return sessions[of].cast(pl.Float64).fill_null(np.nan).to_numpy()


def _calibration(rows: pl.DataFrame, tier: Tier, task: Task, blocks: Blocks) -> dict:
    """Expected calibration error beside the prior's; the upper end of the interval is not asked for."""
    none = Why.NO_MODEL if tier == Tier.RULE else None if task.classes else Why.NO_CLASSES
    line = Line(Measure.CALIBRATION, "", "", Baseline.PRIOR, none)
    known = rows.filter(pl.col("predicted").is_not_null()) if none is None else rows.clear()
    if known.is_empty():
        return _without(line, none or Why.NO_MODEL)
    found = metrics.calibration_beside_prior(known, task, blocks=blocks)
    return _without(line, None) | {
        "value": found.error,
        "baseline": found.reference,
        "difference": found.excess,
        "difference_low": found.low,
        "sessions": known["session"].n_unique(),
        "blocks": found.blocks,
    }
