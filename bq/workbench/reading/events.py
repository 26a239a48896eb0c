"""What is said of events and their features."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from bq.core.numerals import percent, with_sign
from bq.core.scalars import count, number
from bq.workbench.phrases import NO_EVENTS, NO_OUTCOMES, counted, interval, most, signed

ALIKE = 0.9  # |rank correlation| from which two columns say about the same


def kinds(table: pl.DataFrame, kind: str) -> str:
    """Of `explore.by_kind`."""
    known = table.filter(pl.col("mean_outcome").is_not_null()).sort("mean_outcome", descending=True)
    total, closed = count(table["events"].sum()), count(table["closed"].sum())
    if not total:
        return NO_EVENTS
    begin = f"{counted(total, 'event')}, of which {closed:,} have an outcome"
    if known.is_empty():
        return f"{begin}."
    best, worst = known.row(0, named=True), known.row(-1, named=True)
    if len(known) == 1:
        return f"{begin}; mean outcome {signed(best['mean_outcome'])}, {percent(best['win_rate'])} above 0."
    other = "most" if best["mean_outcome"] < 0 else "least"
    return (
        f"{begin}. By {kind}, {best[kind]} {most(best['mean_outcome'])} ({signed(best['mean_outcome'])} on average, "
        f"{percent(best['win_rate'])} above 0) and {worst[kind]} {other} ({signed(worst['mean_outcome'])}, "
        f"{percent(worst['win_rate'])} above 0)."
    )


def years(table: pl.DataFrame) -> str:
    """Of `explore.by_year`."""
    if table.is_empty():
        return NO_EVENTS
    sums = table.select("year", events=pl.sum_horizontal(pl.exclude("year").fill_null(0))).sort("events", "year")
    least, most = sums.row(0, named=True), sums.row(-1, named=True)
    if len(sums) == 1:
        return f"All {counted(most['events'], 'event')} are of {most['year']}."
    return (
        f"{most['year']} has the most events ({most['events']:,}), {least['year']} the fewest ({least['events']:,}); "
        "the first and the last year may be incomplete."
    )


def refusals(table: pl.DataFrame) -> str:
    """Of `explore.refusals`."""
    if table.is_empty():
        return "Every scheduled date gave an event."
    first = table.row(0, named=True)
    total = count(table["dates"].sum())
    if len(table) == 1:
        return f"{counted(total, 'date')} gave no event: {first['reason']}."
    return f"{counted(total, 'date')} gave no event, {percent(first['dates'] / total)} of them by: {first['reason']}."


def outcomes(frame: pl.DataFrame) -> str:
    """Of the events with an outcome, as a histogram draws them."""
    if frame.is_empty():
        return NO_OUTCOMES
    low, middle, high = (number(frame["outcome"].quantile(q, "linear")) for q in (0.25, 0.5, 0.75))
    text = f"Half of the outcomes lie between {signed(low)} and {signed(high)}, with median {signed(middle)}"
    return (
        f"{text} and mean {signed(number(frame['outcome'].mean()))}; {percent((frame['outcome'] > 0).mean())} are "
        f"above 0."
    )


def classes(table: pl.DataFrame) -> str:
    """Of `explore.by_class`."""
    if table.is_empty():
        return NO_OUTCOMES
    largest = table.sort("share", descending=True).row(0, named=True)
    if len(table) == 1:
        return "The task has no classes: a model learns how an outcome ranks among those of its session."
    return (
        f"{largest['class']} is the largest class, {percent(largest['share'])} of the events: a model that always "
        "predicts it is right as often."
    )


def deciles(table: pl.DataFrame, of: str, *, value: str = "outcome") -> str:
    """Of `explore.deciles`: the highest beside the lowest, and whether what lies between rises."""
    known = table.filter(pl.col(value).is_not_null())
    if len(known) < 2:
        return NO_OUTCOMES
    lowest, highest = known[value][0], known[value][-1]
    steps = known[value].diff().drop_nulls()
    return (
        f"The top decile of the {of} earned {signed(highest)} on average, the lowest {signed(lowest)}; from decile to "
        f"decile the mean rises in {(steps > 0).sum()} of {len(steps)} steps."
    )


def features(table: pl.DataFrame) -> str:
    """Of `explore.describe_features`."""
    missing = table.filter(pl.col("missing") > 0).sort("missing", descending=True)
    if missing.is_empty():
        return f"None of the {counted(len(table), 'feature')} has a missing value."
    worst = missing.row(0, named=True)
    return (
        f"Values are missing in {len(missing)} of {counted(len(table), 'feature')}, most of all in {worst['feature']} "
        f"({percent(worst['missing'])})."
    )


def rank_ics(table: pl.DataFrame, *, label: str, score_ic: float | None = None) -> str:
    """Of rows with a rank IC and its interval: `metrics.feature_ic` without score, or `layer_diagnostics.layer_ic`."""
    known = table.filter(pl.col("ic").is_not_null()).sort(pl.col("ic").abs(), descending=True)
    if known.is_empty():
        return "No session has the five events that a rank IC needs; more symbols would give one."
    best = known.row(0, named=True)
    told = known.filter((pl.col("low") > 0) | (pl.col("high") < 0))
    beside = "" if score_ic is None else f"; the rule score has {with_sign(score_ic)}"
    return (
        f"{best[label]} has the largest rank IC, {with_sign(best['ic'])} "
        f"{interval(best['low'], best['high'])}{beside}. The interval excludes 0 for {len(told)} of "
        f"{counted(len(known), label)}."
    )


def correlations(names: Sequence[str], matrix: np.ndarray) -> str:
    """Of a square matrix of rank correlations: which two are most correlated, and how many are nearly the same."""
    values = np.asarray(matrix, dtype=float)
    rows, columns = np.triu_indices(len(names), 1)
    pairs = values[rows, columns] if len(rows) else np.empty(0)
    if not np.isfinite(pairs).any():
        return "There are no two columns that vary, so nothing can be correlated."
    place = int(np.nanargmax(np.abs(pairs)))
    alike = int((np.abs(pairs) >= ALIKE).sum())
    return (
        f"{names[rows[place]]} and {names[columns[place]]} are the most correlated ({with_sign(pairs[place], 2)}); "
        f"{alike} of {counted(len(pairs), 'pair')} have a rank correlation of {ALIKE} or more in size."
    )
