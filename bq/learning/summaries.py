"""Descriptive tables of events and predictions, shown by the notebooks."""

from collections.abc import Sequence

import polars as pl

from bq.core.scalars import number_or_none
from bq.strategies.task import Task

ROUNDING_ERROR = 1e-9


def deciles(frame: pl.DataFrame, *, by: str, means: Sequence[str]) -> pl.DataFrame:
    """Mean of each column of `means` within the deciles of `by`: decile (1 lowest), the means, n."""
    decile = (pl.col(by).rank("ordinal") * 10 / pl.len()).ceil().cast(pl.Int64).alias("decile")
    return frame.group_by(decile).agg(pl.col(means).mean(), n=pl.len()).sort("decile")


def by_kind(events: pl.DataFrame, kind: str) -> pl.DataFrame:
    """One row per kind of event: number, symbols, sessions, mean outcome, win rate and mean score."""
    table = events.group_by(kind).agg(
        events=pl.len(),
        closed=pl.col("outcome").count(),
        symbols=pl.col("symbol").n_unique(),
        first=pl.col("session").min(),
        last=pl.col("session").max(),
        mean_outcome=pl.col("outcome").mean(),
        win_rate=(pl.col("outcome") > 0).mean(),
        mean_score=pl.col("score").mean(),
    )
    return table.sort(kind)


def by_year(events: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Number of events: year, and one column per kind in order."""
    year = pl.col("session").dt.year().cast(pl.String).alias("year")
    table = events.group_by(year, kind).len().pivot(kind, index="year", values="len").sort("year")
    return table.select("year", *sorted(table.columns[1:]))


def by_reason(refused: pl.DataFrame) -> pl.DataFrame:
    """Reasons why dates gave no event: reason, dates, symbols, most frequent first."""
    reasons = refused.group_by("reason").agg(dates=pl.len(), symbols=pl.col("symbol").n_unique())
    return reasons.sort("dates", "reason", descending=[True, False])


def by_class(closed: pl.DataFrame, classes: Sequence[str]) -> pl.DataFrame:
    """Share of each class among events with an outcome: class, share, events, mean_outcome, lowest mean first.

    Without classes one row named `all`.
    """
    named = pl.col("label").cast(pl.Int64).replace_strict(dict(enumerate(classes)), default="all")
    shares = closed.group_by(named.alias("class") if classes else pl.lit("all").alias("class"))
    table = shares.agg(share=pl.len() / len(closed), events=pl.len(), mean_outcome=pl.col("outcome").mean())
    return table.sort("mean_outcome")


def second_tier(predictions: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Outcomes of events above and below the second tier's threshold: traded, events, mean_outcome, win_rate.

    predictions : out of sample, of the success-probability model. task : what it learned.
    """
    traded = predictions.with_columns(traded=pl.col(task.probability) >= pl.col("threshold")).group_by("traded")
    means = {"mean_outcome": pl.col("outcome").mean(), "win_rate": (pl.col("outcome") > 0).mean()}
    return traded.agg(events=pl.len(), **means).sort("traded")


def describe_features(events: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """One row per feature: share missing, mean, standard deviation, quantiles."""
    values = events.select(pl.col(columns).fill_nan(None))
    rows = [
        {
            "feature": name,
            "missing": values[name].null_count() / max(len(values), 1),
            "mean": _without_rounding_error(number_or_none(values[name].mean())),
            "sd": values[name].std(),
            "5%": values[name].quantile(0.05),
            "median": values[name].median(),
            "95%": values[name].quantile(0.95),
        }
        for name in columns
    ]
    return pl.DataFrame(rows)


def _without_rounding_error(value: float | None) -> float | None:
    """0 where only a rounding error of the sum is left."""
    return 0.0 if value is not None and abs(value) < ROUNDING_ERROR else value


def rank_correlation(events: pl.DataFrame, columns: Sequence[str]) -> tuple[list[str], pl.DataFrame]:
    """Names and Spearman matrix of the columns that vary; a missing value counts as the middle rank."""
    values = events.select(pl.col(columns).fill_nan(None))
    known = [name for name in columns if values[name].n_unique() > 2 or (number_or_none(values[name].std()) or 0.0) > 0]
    return known, values.select(pl.col(known).rank()).fill_null(strategy="mean").corr()
