"""What is said of predictions out of sample, and of what was earned by them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from bq.core.numerals import decimal, percent, significant, with_sign
from bq.core.scalars import number
from bq.stats import drawdown
from bq.workbench.phrases import NO_OUTCOMES, counted, interval, listed, signed

NAMED = 3  # names that a sentence lists


def sums(frame: pl.DataFrame, columns: Mapping[str, str], *, where: str) -> str:
    """Of columns of values a session, as their running sums are drawn.

    columns : name in the frame, name for people. where : what sessions these are, such as "Out of sample".
    """
    ends = {name: number(frame[name].fill_nan(None).sum()) for name in columns if len(frame) and frame[name].count()}
    if not ends:
        return f"{where} no session has a result, so there is nothing to add up."
    fallen = {name: drawdown.maximum_of_sum(frame.sort("session")[name].fill_nan(None)) for name in ends}
    parts = [f"{columns[name]} at {signed(end)} ({decimal(fallen[name], 2)})" for name, end in ends.items()]
    return (
        f"{where}, after {counted(len(frame), 'session')}, the sums end with {listed(parts)}; in brackets the maximum "
        "drawdown."
    )


def thresholds(table: pl.DataFrame) -> str:
    """Of `bq.learning.thresholds.by_threshold`: what the policy trades and earns, and the rule score with as many."""
    if table.is_empty():
        return "No event has an expected outcome, so there is nothing to trade."
    own = table.filter("policy").row(0, named=True)
    said = [_earned(own, "", "the model"), _earned(own, "rule_", "the rule score")]
    return (
        f"With the policy's threshold, {significant(own['above'], 6)}, {listed(said)}. The other thresholds were "
        "chosen after the fact: the best of them is no evidence for it."
    )


def _earned(row: Mapping[str, Any], prefix: str, who: str) -> str:
    value, low, high = (row[f"{prefix}{name}"] for name in ("value", "low", "high"))
    within = "[no interval]" if low is None or high is None else interval(low, high)
    return f"{who} makes {counted(row[f'{prefix}trades'], 'trade')} and earns {with_sign(value, 4)} {within} a session"


def growths(frame: pl.DataFrame, columns: Sequence[str]) -> str:
    """Of columns of levels above 0: what 1 became, and the largest share lost on the way."""
    found = []
    for name in columns:
        level = frame.sort("session")[name].fill_nan(None).drop_nulls()
        if len(level):
            lost = drawdown.maximum_of_wealth(level)
            found.append(f"{decimal(level[-1] / level[0], 2)} in {name.replace('_', ' ')} ({percent(lost)})")
    return f"1 became {listed(found)}; in brackets the maximum drawdown." if found else "There is no level to follow."


def rolling(frame: pl.DataFrame, model: str, beside: str) -> str:
    """Of two columns of rolling means: how often each is above 0, and the first above the second."""
    known = frame.select(model, beside).drop_nulls()
    if known.is_empty():
        return "There are too few sessions for a rolling mean."
    above = {name: (known[name] > 0).mean() for name in (model, beside)}
    better = (known[model] > known[beside]).mean()
    return (
        f"The rolling mean is above 0 in {percent(above[model])} of windows for {model} and in "
        f"{percent(above[beside])} for the {beside}; {model} is the higher of the two in {percent(better)}."
    )


def calibration(table: pl.DataFrame) -> str:
    """Of `metrics.calibration`: bins of predicted probabilities beside what was observed."""
    if table.is_empty():
        return "There are no probabilities to check: a model of cross-sectional z-scores gives none."
    gaps = table.with_columns(gap=pl.col("observed") - pl.col("predicted"))
    inside = gaps.filter(pl.col("predicted").is_between("low", "high"))
    worst = gaps.sort(pl.col("gap").abs() * pl.col("n"), descending=True).row(0, named=True)
    return (
        f"In {len(inside)} of {counted(len(gaps), 'bin')} the prediction lies within the 95% interval of what was "
        f"observed. The gap that weighs most: {percent(worst['predicted'])} predicted and "
        f"{percent(worst['observed'])} observed, of {worst['n']:,}."
    )


def confusion(matrix: np.ndarray, names: Sequence[str], *, majority: float) -> str:
    """Of events by actual (row) and predicted (column) class."""
    counts = np.asarray(matrix, dtype=float)
    if not counts.sum() > 0:
        return "No class was predicted: a model of cross-sectional z-scores has none."
    actual = counts.sum(axis=1)
    found = np.divide(np.diag(counts), actual, out=np.full(len(actual), np.nan), where=actual > 0)
    best, worst = int(np.nanargmax(found)), int(np.nanargmin(found))
    return (
        f"{percent(np.trace(counts) / counts.sum())} of the predicted classes are right; always predicting the "
        f"largest class would be right in {percent(majority)}. Of the events that became {names[best]}, "
        f"{percent(found[best])} were predicted so; of {names[worst]}, {percent(found[worst])}."
    )


def beside(table: pl.DataFrame, one: str, other: str, *, value: str = "outcome") -> str:
    """Of deciles by one prediction, with the mean of another beside it: which is closer to what came."""
    known = table.drop_nulls([one, other, value])
    if known.is_empty():
        return NO_OUTCOMES
    errors = {name: (known[name] - known[value]).abs().mean() for name in (one, other)}
    return (
        f"Over the deciles the {one} prediction misses the outcome by {decimal(errors[one])} on average, the {other} "
        f"one by {decimal(errors[other])}."
    )


def second_tier(table: pl.DataFrame) -> str:
    """Of what events earned above and below the threshold of the second tier."""
    said = {row["traded"]: row for row in table.iter_rows(named=True)}
    if len(said) < 2:
        share = "all" if True in said else "none"
        return f"The threshold separates nothing: {share} of the events would be traded."
    above, others = said[True], said[False]
    return (
        f"All events above the threshold, whatever a session may trade, earned {signed(above['mean_outcome'])} on "
        f"average ({above['events']:,}, {percent(above['win_rate'])} above 0), the others "
        f"{signed(others['mean_outcome'])} ({others['events']:,}, {percent(others['win_rate'])})."
    )


def importances(names: Sequence[str], shares: Sequence[float], *, of: str) -> str:
    """Of shares by name that add to 1: who has most; where not all are named, how many it takes for nine tenths."""
    sizes = np.abs(np.asarray(shares, dtype=float))
    if not np.isfinite(sizes).any() or not np.nansum(sizes) > 0:
        return f"No {of} has an importance."
    order = np.argsort(-np.nan_to_num(sizes), kind="stable")
    share = np.nan_to_num(sizes)[order] / np.nansum(sizes)
    top = listed([f"{names[i]} ({percent(of_it)})" for i, of_it in zip(order[:NAMED], share, strict=False)])
    if len(names) <= NAMED:
        return f"{top} {'carries' if len(names) == 1 else 'carry'} the importance."
    enough = int(np.searchsorted(share.cumsum(), 0.9 - 1e-9)) + 1
    carry = "carries" if enough == 1 else "carry"
    return f"{top} matter most; {enough} of {counted(len(names), of)} {carry} 90% of the importance."
