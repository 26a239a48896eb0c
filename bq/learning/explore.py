"""Small tables that describe events and predictions; the notebooks show them."""

from collections.abc import Sequence

import polars as pl

from bq.strategies.task import Task

DUST = 1e-9


def deciles(frame: pl.DataFrame, *, by: str, means: Sequence[str]) -> pl.DataFrame:
    """Mean of each column of `means` within the deciles of `by`: decile (1 lowest), the means, n."""
    decile = (pl.col(by).rank("ordinal") * 10 / pl.len()).ceil().cast(pl.Int64).alias("decile")
    return frame.group_by(decile).agg(pl.col(means).mean(), n=pl.len()).sort("decile")


def second_tier(predictions: pl.DataFrame | None, task: Task | None) -> pl.DataFrame:
    """What the events earned above and below the threshold of the second tier: traded, events, mean_outcome, win_rate.

    predictions : out of sample, of the success-probability model, task : what it learned; None for a strategy without.
    """
    if predictions is None or task is None:
        return pl.DataFrame({"second tier": ["this strategy has none"]})
    traded = predictions.with_columns(traded=pl.col(task.probability) >= pl.col("threshold")).group_by("traded")
    means = {"mean_outcome": pl.col("outcome").mean(), "win_rate": (pl.col("outcome") > 0).mean()}
    return traded.agg(events=pl.len(), **means).sort("traded")


def describe_features(events: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """One row a feature: share missing, mean, standard deviation, quantiles."""
    values = events.select(pl.col(columns).fill_nan(None))
    rows = [
        {
            "feature": name,
            "missing": values[name].null_count() / max(len(values), 1),
            "mean": _without_dust(values[name].mean()),
            "sd": values[name].std(),
            "5%": values[name].quantile(0.05),
            "median": values[name].median(),
            "95%": values[name].quantile(0.95),
        }
        for name in columns
    ]
    return pl.DataFrame(rows)


def _without_dust(value: float | None) -> float | None:
    """0 for what summation has left of it."""
    return 0.0 if value is not None and abs(value) < DUST else value


def rank_correlation(events: pl.DataFrame, columns: Sequence[str]) -> tuple[list[str], pl.DataFrame]:
    """Names and Spearman matrix of the columns that vary; a missing value counts as the middle rank."""
    values = events.select(pl.col(columns).fill_nan(None))
    known = [name for name in columns if values[name].n_unique() > 2 or (values[name].std() or 0) > 0]
    return known, values.select(pl.col(known).rank()).fill_null(strategy="mean").corr()


def strongest(ic: pl.DataFrame) -> str:
    """One sentence about the feature of largest rank IC beside the rule score's; `ic` as from `metrics.feature_ic`."""
    known = ic.filter(pl.col("ic").is_not_null())
    features, score = known.filter(pl.col("feature") != "score"), known.filter(pl.col("feature") == "score")["ic"]
    if features.is_empty():
        return "No session has the five events that a rank IC needs: bring more symbols."
    best = features.row(0, named=True)
    beside = f"; the rule score has {score[0]:+.3f}" if len(score) else ""
    bounded = best["low"] is not None
    interval = f" [{best['low']:+.3f}, {best['high']:+.3f}]" if bounded else " (too few sessions for an interval)"
    found = f"Strongest feature: {best['feature']}, rank IC {best['ic']:+.3f}{interval}"
    return f"{found} over {best['sessions']} sessions{beside}."
