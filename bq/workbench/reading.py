"""What a figure or a table says, in one sentence: each function reads the very table that is drawn.

A table without data gives a sentence that says why there is nothing to read.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from bq.stats import drawdown

NO_EVENTS = "There are no events, so there is nothing to read."
NO_OUTCOMES = "No event has an outcome yet, so there is nothing to read."
ALIKE = 0.9  # |rank correlation| from which two columns say about the same
NAMED = 3  # names that a sentence lists


def signed(value: float) -> str:
    """Two decimals, two significant digits below 0.1.

    >>> signed(0.0312), signed(-12.345), signed(-0.4)
    ('+0.031', '-12.35', '-0.40')
    """
    return f"{value:+.2g}" if 1e-4 <= abs(value) < 0.1 else f"{value:+.2f}"


def counted(n: int, thing: str) -> str:
    """A number with its noun.

    >>> counted(1, "event"), counted(12000, "event")
    ('1 event', '12,000 events')
    """
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def listed(names: Sequence[object], *, nothing: str = "none") -> str:
    """Names as a sentence has them.

    >>> listed(["a", "b", "c"]), listed([])
    ('a, b and c', 'none')
    """
    *before, last = map(str, names or [nothing])
    return f"{', '.join(before)} and {last}" if before else last


def interval(low: float | None, high: float | None) -> str:
    """The bounds in brackets, or that there are none.

    >>> interval(-0.1, 0.25), interval(None, None)
    ('[-0.100, +0.250]', '(too few sessions for an interval)')
    """
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return "(too few sessions for an interval)"
    return f"[{low:+.3f}, {high:+.3f}]"


# ---- events


def kinds(table: pl.DataFrame, kind: str) -> str:
    """Of `explore.by_kind`."""
    known = table.filter(pl.col("mean_outcome").is_not_null()).sort("mean_outcome", descending=True)
    total, closed = table["events"].sum(), table["closed"].sum()
    if not total:
        return NO_EVENTS
    begin = f"{counted(total, 'event')}, of which {closed:,} have an outcome"
    if known.is_empty():
        return f"{begin}."
    best, worst = known.row(0, named=True), known.row(-1, named=True)
    if len(known) == 1:
        return f"{begin}; mean outcome {signed(best['mean_outcome'])}, {best['win_rate']:.0%} above 0."
    return (
        f"{begin}. By {kind}, {best[kind]} earned most ({signed(best['mean_outcome'])} on average, "
        f"{best['win_rate']:.0%} above 0) and {worst[kind]} least ({signed(worst['mean_outcome'])}, "
        f"{worst['win_rate']:.0%} above 0)."
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
    total = table["dates"].sum()
    if len(table) == 1:
        return f"{counted(total, 'date')} gave no event: {first['reason']}."
    return f"{counted(total, 'date')} gave no event, {first['dates'] / total:.0%} of them by: {first['reason']}."


def outcomes(frame: pl.DataFrame) -> str:
    """Of the events with an outcome, as a histogram draws them."""
    if frame.is_empty():
        return NO_OUTCOMES
    low, middle, high = (frame["outcome"].quantile(q, "linear") for q in (0.25, 0.5, 0.75))
    text = f"Half of the outcomes lie between {signed(low)} and {signed(high)}, with median {signed(middle)}"
    return f"{text} and mean {signed(frame['outcome'].mean())}; {(frame['outcome'] > 0).mean():.0%} are above 0."


def classes(table: pl.DataFrame) -> str:
    """Of `explore.by_class`."""
    if table.is_empty():
        return NO_OUTCOMES
    largest = table.sort("share", descending=True).row(0, named=True)
    if len(table) == 1:
        return "The task has no classes: a model learns how an outcome ranks among those of its session."
    return (
        f"{largest['class']} is the largest class, {largest['share']:.0%} of the events: a model that always predicts "
        "it is right as often."
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
        f"({worst['missing']:.0%})."
    )


def rank_ics(table: pl.DataFrame, *, label: str, score_ic: float | None = None) -> str:
    """Of rows with a rank IC and its interval: `metrics.feature_ic` without the score, or `anatomy.layer_ic`."""
    known = table.filter(pl.col("ic").is_not_null()).sort(pl.col("ic").abs(), descending=True)
    if known.is_empty():
        return "No session has the five events that a rank IC needs; more symbols would give one."
    best = known.row(0, named=True)
    told = known.filter((pl.col("low") > 0) | (pl.col("high") < 0))
    beside = "" if score_ic is None else f"; the rule score has {score_ic:+.3f}"
    return (
        f"{best[label]} has the largest rank IC, {best['ic']:+.3f} {interval(best['low'], best['high'])}{beside}. "
        f"The interval excludes 0 for {len(told)} of {counted(len(known), label)}."
    )


def correlations(names: Sequence[str], matrix: np.ndarray) -> str:
    """Of a square matrix of rank correlations: which two are most alike, and how many say about the same."""
    values = np.asarray(matrix, dtype=float)
    rows, columns = np.triu_indices(len(names), 1)
    pairs = values[rows, columns] if len(rows) else np.empty(0)
    if not np.isfinite(pairs).any():
        return "There are no two columns that vary, so nothing can be correlated."
    place = int(np.nanargmax(np.abs(pairs)))
    alike = int((np.abs(pairs) >= ALIKE).sum())
    return (
        f"{names[rows[place]]} and {names[columns[place]]} are most alike ({pairs[place]:+.2f}); {alike} of "
        f"{counted(len(pairs), 'pair')} correlate by {ALIKE} or more in size."
    )


# ---- predictions


def sums(frame: pl.DataFrame, columns: Mapping[str, str], *, where: str) -> str:
    """Of columns of values a session, as their running sums are drawn.

    columns : name in the frame, name for people. where : what sessions these are, such as "Out of sample".
    """
    ends = {name: frame[name].fill_nan(None).sum() for name in columns if len(frame) and frame[name].count()}
    if not ends:
        return f"{where} no session has a result, so there is nothing to add up."
    fallen = {name: drawdown.maximum_of_sum(frame.sort("session")[name].fill_nan(None)) for name in ends}
    parts = [f"{columns[name]} at {signed(end)} ({fallen[name]:.2f})" for name, end in ends.items()]
    return (
        f"{where}, after {counted(len(frame), 'session')}, the sums end with {listed(parts)}; in brackets the maximum "
        "drawdown."
    )


def growths(frame: pl.DataFrame, columns: Sequence[str]) -> str:
    """Of columns of levels above 0: what 1 became, and the largest share lost on the way."""
    found = []
    for name in columns:
        level = frame.sort("session")[name].fill_nan(None).drop_nulls()
        if len(level):
            lost = drawdown.maximum_of_wealth(level)
            found.append(f"{level[-1] / level[0]:.2f} in {name.replace('_', ' ')} ({lost:.0%})")
    return f"1 became {listed(found)}; in brackets the maximum drawdown." if found else "There is no level to follow."


def rolling(frame: pl.DataFrame, model: str, beside: str) -> str:
    """Of two columns of rolling means: how often each is above 0, and the first above the second."""
    known = frame.select(model, beside).drop_nulls()
    if known.is_empty():
        return "There are too few sessions for a rolling mean."
    above = {name: (known[name] > 0).mean() for name in (model, beside)}
    better = (known[model] > known[beside]).mean()
    return (
        f"The rolling mean is above 0 in {above[model]:.0%} of windows for {model} and in {above[beside]:.0%} for the "
        f"{beside}; {model} is the higher of the two in {better:.0%}."
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
        f"observed. The gap that weighs most: {worst['predicted']:.0%} predicted and {worst['observed']:.0%} observed, "
        f"of {worst['n']:,}."
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
        f"{np.trace(counts) / counts.sum():.0%} of the predicted classes are right; always predicting the largest "
        f"class would be right in {majority:.0%}. Of the events that became {names[best]}, {found[best]:.0%} were "
        f"predicted so; of {names[worst]}, {found[worst]:.0%}."
    )


def beside(table: pl.DataFrame, one: str, other: str, *, value: str = "outcome") -> str:
    """Of deciles by one prediction, with the mean of another beside it: which is closer to what came."""
    known = table.drop_nulls([one, other, value])
    if known.is_empty():
        return NO_OUTCOMES
    errors = {name: (known[name] - known[value]).abs().mean() for name in (one, other)}
    return (
        f"Over the deciles the {one} prediction misses the outcome by {errors[one]:.3f} on average, the {other} one by "
        f"{errors[other]:.3f}."
    )


def second_tier(table: pl.DataFrame) -> str:
    """Of what events earned above and below the threshold of the second tier."""
    said = {row["traded"]: row for row in table.iter_rows(named=True)}
    if len(said) < 2:
        share = "all" if True in said else "none"
        return f"The threshold parts nothing: {share} of the events would be traded."
    return (
        f"Events above the threshold earned {signed(said[True]['mean_outcome'])} on average ({said[True]['events']:,}, "
        f"{said[True]['win_rate']:.0%} above 0), the others {signed(said[False]['mean_outcome'])} "
        f"({said[False]['events']:,}, {said[False]['win_rate']:.0%})."
    )


def importances(names: Sequence[str], shares: Sequence[float], *, of: str) -> str:
    """Of shares by name that add to 1: who has most, and how many it takes for nine tenths."""
    sizes = np.abs(np.asarray(shares, dtype=float))
    if not np.isfinite(sizes).any() or not np.nansum(sizes) > 0:
        return f"No {of} has an importance."
    order = np.argsort(-np.nan_to_num(sizes), kind="stable")
    share = np.nan_to_num(sizes)[order] / np.nansum(sizes)
    top = order[:NAMED]
    enough = int(np.searchsorted(share.cumsum(), 0.9 - 1e-9)) + 1
    return (
        f"{listed([names[i] for i in top])} {'carries' if len(top) == 1 else 'carry'} {share[: len(top)].sum():.0%} of "
        f"the importance; {enough} of {counted(len(names), of)} {'carries' if enough == 1 else 'carry'} 90%."
    )


# ---- a stack and its regimes


def layers(table: pl.DataFrame) -> str:
    """Of `anatomy.layer_ic`: the whole beside its best part."""
    known = table.filter(pl.col("ic").is_not_null())
    whole, parts = known.filter(pl.col("layer") == "stack"), known.filter(pl.col("layer") != "stack")
    if whole.is_empty() or parts.is_empty():
        return "No session has the five events that a rank IC needs; more symbols would give one."
    best = parts.sort("ic", descending=True).row(0, named=True)
    return (
        f"The stack has rank IC {whole['ic'][0]:+.3f}. The best of its parts and baselines is {best['layer']} with "
        f"{best['ic']:+.3f}, to which the stack adds {best['stack_adds']:+.3f} "
        f"{interval(best['adds_low'], best['adds_high'])}."
    )


def shares_by_layer(table: pl.DataFrame, columns: Sequence[str]) -> str:
    """Of features by layer: which has most in each."""
    known = [name for name in columns if len(table) and (table[name].fill_nan(None).max() or 0) > 0]
    if not known:
        return "No layer has importances."
    tops = [(name, table.sort(name, descending=True, nulls_last=True).row(0, named=True)) for name in known]
    parts = [f"{name} by {row['feature']} ({row[name]:.0%})" for name, row in tops]
    return f"Each layer is led by one feature: {listed(parts)}."


def weights(table: pl.DataFrame) -> str:
    """Of `anatomy.weights`: the largest mean fitted weight, and what was dropped."""
    if table.is_empty():
        return "The model is no stack, so it has no weights."
    fitted = table.select("layer", mean=pl.mean_horizontal("^.*fitted$")).drop_nulls()
    if fitted.is_empty():
        return "The meta-learner has no coefficients, so its weights are not known."
    best = fitted.sort("mean", descending=True).row(0, named=True)
    dropped = fitted.filter(pl.col("mean") == 0.0)["layer"].to_list()
    rest = f"{listed(dropped)} {'has' if len(dropped) == 1 else 'have'} no weight" if dropped else "all have a weight"
    return f"The meta-learner leans most on {best['layer']} ({best['mean']:.0%} on average over the regimes); {rest}."


def regime_growths(table: pl.DataFrame) -> str:
    """Of `regime.summary`: what the market did while each regime stood."""
    known = table.filter(pl.col("regime").is_not_null(), pl.col("growth").is_not_null())
    if known.is_empty():
        return "There is too little history for a regime to be known."
    parts = [
        f"{row['regime']} by {row['growth']:+.0%} ({row['expected_stay']:.0f} sessions)" for row in known.to_dicts()
    ]
    return f"While it stood the market grew a year, in {listed(parts)}; in brackets the mean stay."


def regimes(frame: pl.DataFrame, states: Sequence[str]) -> str:
    """Of a timeline, session by session: how long each regime stood, and which stands now."""
    known = frame.filter(pl.col("regime").is_not_null())
    if known.is_empty():
        return "There is too little history for a regime to be known."
    shares = {name: (known["regime"] == name).mean() for name in states}
    changes = (known["regime"] != known["regime"].shift()).fill_null(True)
    since = known.filter(changes)["session"].max()
    parts = listed([f"{name} {share:.0%}" for name, share in shares.items()])
    return f"Of {counted(len(known), 'session')}: {parts}; {known['regime'][-1]} has stood since {since}."


def fear_greed(frame: pl.DataFrame) -> str:
    """Of the composite, 0 fear to 1 greed."""
    known = frame.filter(pl.col("fear_greed").is_not_null())
    if known.is_empty():
        return "There is too little history for the composite."
    values = known["fear_greed"]
    return (
        f"It is above 0.5 in {(values > 0.5).mean():.0%} of {counted(len(known), 'session')} and ends at "
        f"{values[-1]:.2f} on {known['session'][-1]}."
    )


def probabilities(frame: pl.DataFrame, states: Sequence[str]) -> str:
    """Of a probability for each regime, session by session."""
    known = frame.select(states).drop_nulls()
    if known.is_empty():
        return "There is too little history for probabilities of regimes."
    sure = (known.max_horizontal() > 0.9).mean()
    last = listed([f"{name} {known[name][-1]:.0%}" for name in states])
    return f"In {sure:.0%} of sessions one regime has more than 90%; at the end: {last}."


# ---- a search


def search(trials: pl.DataFrame, objective: str) -> str:
    """Of trials: the best, when it was found, and what the first half of the search had."""
    known = trials.filter(pl.col("state") == "feasible").sort("value", "number", descending=[True, False])
    if known.is_empty():
        return "No trial was feasible."
    best, half = known.row(0, named=True), trials["number"].max() // 2
    early = known.filter(pl.col("number") <= half)["value"].max()
    before = "no trial of the first half was feasible" if early is None else f"the first half had found {early:+.2f}"
    if best["number"] <= half:
        before = "the second half of the search found nothing better"
    return (
        f"The best {objective} is {best['value']:+.2f}, found by trial {best['number']} of 0 to "
        f"{trials['number'].max()}; {before}."
    )


def best_quarter(trials: pl.DataFrame, names: Sequence[str]) -> str:
    """Of trials: which values the best quarter has, of those that were tried."""
    known = trials.filter(pl.col("state") == "feasible").sort("value", descending=True)
    if known.is_empty() or not names:
        return "No trial was feasible."
    top = known.head(max(len(known) // 4, 1))
    parts = [f"{name} {_span(top[name])} (tried: {_span(known[name])})" for name in names]
    return f"The best quarter of the feasible trials ({len(top)}) has {listed(parts)}."


def _span(values: pl.Series) -> str:
    if not values.dtype.is_numeric():
        return listed(values.unique().sort())
    low, high = values.min(), values.max()
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
