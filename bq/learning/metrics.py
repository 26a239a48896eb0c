"""Figures of merit of predictions, each with its baseline, interval, sample size and convention."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from bq.core.scalars import number
from bq.core.settings import Settings
from bq.learning.auc import auc_by_session
from bq.learning.model import FittedModel
from bq.stats.blocks import HOLDINGS, IC_HOLDINGS, Blocks, block_length
from bq.stats.calibration import Calibration, compare
from bq.stats.rank_ic import SMALLEST_CROSS_SECTION, rank_ic, spearman
from bq.strategies.contract import Strategy
from bq.strategies.events import FeatureSet
from bq.strategies.task import Task

BLOCKS = f"mean block {HOLDINGS:g} holding times, of rank ICs {IC_HOLDINGS:g}"  # for people
EACH = "mean over sessions; one without a trade earns 0"


def versus(
    predictions: pl.DataFrame, strategy: Strategy, settings: Settings, *, baseline: str = "score"
) -> pl.DataFrame:
    """What deciding by the model earns in each session, by the baseline, and by taking every event.

    Returns session, model, baseline, everything, uplift, by the strategy's `value` of the same events.
    """
    columns = {"model": "expected", "baseline": baseline, "everything": None}
    model, rule, everything = (
        strategy.value.earned(predictions, by, settings).rename({"value": name}) for name, by in columns.items()
    )
    joined = model.join(rule, on="session").join(everything, on="session").sort("session")
    return joined.with_columns(uplift=pl.col("model") - pl.col("baseline"))


def log_loss(predictions: pl.DataFrame, task: Task, *, prefix: str = "p_") -> pl.Series:
    """Negative log-probability of the class that occurred, per row."""
    chosen = predictions.select(pl.col(f"{prefix}{name}") for name in task.classes).to_numpy()
    return pl.Series(
        "log_loss", -np.log(np.maximum(chosen[np.arange(len(predictions)), predictions["label"].to_numpy()], 1e-7))
    )


def calibration(predictions: pl.DataFrame, task: Task, *, bins: int = 10) -> pl.DataFrame:
    """Reliability of all class probabilities together: bin, predicted, observed, low, high (95% Wilson), n.

    Of two classes the last alone, as the other mirrors it. No row for a task without classes.
    """
    if not task.classes:
        names = ("predicted", "observed", "low", "high")
        return pl.DataFrame(schema={"bin": pl.Int64, **dict.fromkeys(names, pl.Float64), "n": pl.UInt32})
    long = pl.concat(
        predictions.select(pl.col(f"p_{name}").alias("p"), (pl.col("label") == i).cast(pl.Float64).alias("hit"))
        for i, name in enumerate(task.classes)
        if len(task.classes) != 2 or i == 1
    )
    bin_of = (pl.col("p") * bins).floor().clip(0, bins - 1).cast(pl.Int64)
    table = long.group_by(bin_of.alias("bin")).agg(
        pl.col("p").mean().alias("predicted"), pl.col("hit").mean().alias("observed"), pl.len().alias("n")
    )
    z, n, p = 1.96, pl.col("n"), pl.col("observed")
    centre, spread = (
        (p + z**2 / (2 * n)) / (1 + z**2 / n),
        z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)).sqrt(),
    )
    return table.with_columns(low=centre - spread, high=centre + spread).sort("bin")


def calibration_error(predictions: pl.DataFrame, task: Task) -> float:
    """Expected calibration error: |predicted − observed| over the bins of `calibration`, weighted by their size."""
    table = calibration(predictions, task)
    distance = (table["predicted"] - table["observed"]).abs()
    return number((distance * table["n"]).sum()) / number(table["n"].sum())


def calibration_beside_prior(predictions: pl.DataFrame, task: Task, *, blocks: Blocks) -> Calibration:
    """Calibration of all class probabilities together beside that of the training's class shares, the same every day.

    predictions : with p_<class> and prior_<class>. Of two classes the last alone, as the other mirrors it.
    """
    predictions = predictions.sort("session", "event_id")  # sums do not depend on the order of rows
    classes = [(i, name) for i, name in enumerate(task.classes) if len(task.classes) != 2 or i == 1]
    ours, prior = (
        np.concatenate([predictions[f"{prefix}{name}"].cast(pl.Float64).to_numpy() for _, name in classes])
        for prefix in ("p_", "prior_")
    )
    hit = np.concatenate([(predictions["label"] == i).cast(pl.Float64).to_numpy() for i, _ in classes])
    row = np.tile(predictions["session"].rank("dense").to_numpy().astype(np.int64) - 1, len(classes))
    return compare(ours, prior, hit, row, **blocks._asdict())


def table(
    predictions: pl.DataFrame, strategy: Strategy, settings: Settings, task: Task, *, blocks: Blocks
) -> pl.DataFrame:
    """The figures a reviewer asks for, of one model's out-of-sample predictions.

    Returns metric, value, low, high, baseline, baseline_is, sessions, events, convention. Every figure is a mean over
    sessions of equal weight; intervals by stationary bootstrap over sessions; NaN where no session has the figure.
    """
    by_session, figures = _of_classes(predictions, task) if task.classes else _of_regression(predictions)
    sessions = (
        by_session.join(rank_ic(predictions, by="expected"), on="session", how="left")
        .join(rank_ic(predictions, by="score").rename({"ic": "score_ic"}), on="session", how="left")
        .sort("session")
    )
    several = f"Spearman within a session of ≥ {SMALLEST_CROSS_SECTION} events"
    ranks: Figures = [("rank IC", "ic", "score_ic", "rule score", several)]  # metric, columns, baseline, convention
    name = strategy.value.name(settings)
    values = [
        (name, "model", "baseline", "rule score", EACH),
        (name, "model", "everything", "all events", "mean over sessions, against taking every event"),
        ("uplift over rule score", "uplift", None, "none", "difference of the two"),
    ]
    decided = versus(predictions, strategy, settings)
    rarer = blocks._replace(block=block_length(predictions, decided["session"]))  # a portfolio is formed in some alone
    found = [
        *_intervals(sessions, figures, blocks),
        *_intervals(sessions, ranks, blocks.of_ic),
        *_intervals(decided, values, rarer),
    ]
    return pl.DataFrame(
        [
            {
                "metric": metric,
                "value": interval.mean,
                "low": interval.low,
                "high": interval.high,
                "baseline": baseline,
                "baseline_is": label,
                "sessions": interval.n,
                "events": len(predictions),
                "convention": convention,
            }
            for (metric, _, _, label, convention), interval, baseline in found
        ]
    )


Figures = list[tuple[str, str, str | None, str, str]]


def _intervals(sessions: pl.DataFrame, figures: Figures, blocks: Blocks) -> list[tuple]:
    """Each figure with the interval of its column and the mean of its baseline's."""
    found = blocks.means(np.column_stack([sessions[figure[1]] for figure in figures]))
    bases = [sessions[figure[2]].mean() if figure[2] else None for figure in figures]
    return list(zip(figures, found, bases, strict=True))


def _of_classes(predictions: pl.DataFrame, task: Task) -> tuple[pl.DataFrame, Figures]:
    prior = predictions.select(pl.col(f"prior_{name}") for name in task.classes).to_numpy()
    majority = pl.Series(prior.argmax(axis=1)) == predictions["label"]
    by_session = (
        predictions.with_columns(
            hit=(pl.col("predicted") == pl.col("label")).cast(pl.Float64),
            majority=majority.cast(pl.Float64),
            loss=log_loss(predictions, task),
            prior_loss=log_loss(predictions, task, prefix="prior_"),
            bias=pl.col("expected") - pl.col("outcome"),
        )
        .group_by("session")
        .agg(pl.col("hit", "majority", "loss", "prior_loss", "bias").mean())
    )
    areas: Figures = []
    if len(task.classes) == 2:
        last = task.classes[-1]
        by_session = by_session.join(auc_by_session(predictions, by=f"p_{last}"), on="session")
        areas = [(f"AUC of P({last})", "auc", None, "none", "every event weighs the same; 0.5 is chance")]
    return by_session, [
        *areas,
        ("accuracy", "hit", "majority", "majority class of training", "share of a session's events"),
        ("log-loss", "loss", "prior_loss", "class prior of training", "nats, lower is better"),
        ("bias", "bias", None, "none", "expected − realised outcome"),
    ]


def _of_regression(predictions: pl.DataFrame) -> tuple[pl.DataFrame, Figures]:
    error = (pl.col("expected") - pl.col("label")) ** 2
    by_session = predictions.group_by("session").agg(error=error.mean(), spread=(pl.col("label") ** 2).mean())
    return by_session, [("squared error", "error", "spread", "predicting 0", "of the z-score, lower is better")]


def feature_ic(events: pl.DataFrame, columns: Sequence[str], *, blocks: Blocks) -> pl.DataFrame:
    """Mean rank IC of each column with the outcome, with its interval: feature, ic, low, high, sessions.

    Within each session of at least 5 events that have the feature; a session in which it does not vary has no IC.
    """
    known = events.filter(pl.col("outcome").is_not_null())
    sessions = known.group_by("session").agg(spearman(name).alias(name) for name in columns).sort("session")
    values = sessions.select(columns).fill_null(np.nan).to_numpy()
    rows = zip(columns, blocks.of_ic.means(values), strict=True)
    table = pl.DataFrame(
        [{"feature": name, "ic": i.mean, "low": i.low, "high": i.high, "sessions": i.n} for name, i in rows]
    )
    return table.with_columns(pl.col("ic", "low", "high").fill_nan(None)).sort(
        pl.col("ic").abs(), descending=True, nulls_last=True
    )


def importance(model: FittedModel, features: FeatureSet) -> tuple[list[str], np.ndarray]:
    """Feature names and their shares: of the gain (trees) or of the absolute coefficients (linear).

    NaN for a base model that has neither.
    """
    return list(features.columns), np.mean(list(model.importance().values()), axis=0)


def confusion(predictions: pl.DataFrame, task: Task) -> np.ndarray:
    """Events by actual (row) and predicted (column) class, shape (n_classes, n_classes)."""
    matrix = np.zeros((len(task.classes),) * 2, np.int64)
    if not task.classes:
        return matrix
    np.add.at(matrix, (predictions["label"].to_numpy(), predictions["predicted"].to_numpy()), 1)
    return matrix
