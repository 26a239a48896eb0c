"""What is said of a stack, its layers and the market regimes."""

from collections.abc import Sequence

import polars as pl

from bq.core.numerals import decimal, percent, with_sign
from bq.workbench.phrases import counted, interval, listed


def layers(table: pl.DataFrame) -> str:
    """Of `layer_diagnostics.layer_ic`: the whole beside its best part."""
    known = table.filter(pl.col("ic").is_not_null())
    whole, parts = known.filter(pl.col("layer") == "stack"), known.filter(pl.col("layer") != "stack")
    if whole.is_empty() or parts.is_empty():
        return "No session has the five events that a rank IC needs; more symbols would give one."
    best = parts.sort("ic", descending=True).row(0, named=True)
    return (
        f"The stack has rank IC {with_sign(whole['ic'][0])}. The best of its parts and baselines is {best['layer']} "
        f"with {with_sign(best['ic'])}, to which the stack adds {with_sign(best['stack_adds'])} "
        f"{interval(best['adds_low'], best['adds_high'])}."
    )


def shares_by_layer(table: pl.DataFrame, columns: Sequence[str]) -> str:
    """Of features by layer: which has most in each."""
    known = [name for name in columns if len(table) and table[name].fill_nan(None).fill_null(0.0).gt(0.0).any()]
    if not known:
        return "No layer has importances."
    tops = [(name, table.sort(name, descending=True, nulls_last=True).row(0, named=True)) for name in known]
    parts = [f"{row['feature']} in {name} ({percent(row[name])})" for name, row in tops]
    return f"The most important feature of each layer: {listed(parts)}."


def weights(table: pl.DataFrame) -> str:
    """Of `layer_diagnostics.weights`: the largest mean fitted weight, and what was dropped."""
    if table.is_empty():
        return "The model is no stack, so it has no weights."
    fitted = table.select("layer", mean=pl.mean_horizontal("^.*fitted$")).drop_nulls()
    if fitted.is_empty():
        return "The meta-learner has no coefficients, so its weights are not known."
    best = fitted.sort("mean", descending=True).row(0, named=True)
    dropped = fitted.filter(pl.col("mean") == 0.0)["layer"].to_list()
    rest = f"{listed(dropped)} {'has' if len(dropped) == 1 else 'have'} no weight" if dropped else "all have a weight"
    most = f"{best['layer']} ({percent(best['mean'])} on average over the regimes)"
    return f"The meta-learner gives most weight to {most}; {rest}."


def regime_growths(table: pl.DataFrame) -> str:
    """Of `regime.summary`: what the market did while each regime stood."""
    known = table.filter(pl.col("regime").is_not_null(), pl.col("growth").is_not_null())
    if known.is_empty():
        return "There is too little history for a regime to be known."
    parts = [
        f"{row['regime']} {percent(row['growth'], sign=True)} ({decimal(row['expected_stay'], 0)} sessions)"
        for row in known.to_dicts()
    ]
    return f"Growth of the market a year by regime: {listed(parts)}; in brackets the mean stay."


def regimes(frame: pl.DataFrame, states: Sequence[str]) -> str:
    """Of a timeline, session by session: how long each regime stood, and which stands now."""
    known = frame.filter(pl.col("regime").is_not_null())
    if known.is_empty():
        return "There is too little history for a regime to be known."
    shares = {name: (known["regime"] == name).mean() for name in states}
    changes = (known["regime"] != known["regime"].shift()).fill_null(True)
    since = known.filter(changes)["session"].max()
    parts = listed([f"{name} {percent(share)}" for name, share in shares.items()])
    return f"Of {counted(len(known), 'session')}: {parts}; {known['regime'][-1]} has stood since {since}."


def fear_greed(frame: pl.DataFrame) -> str:
    """Of the composite, 0 fear to 1 greed."""
    known = frame.filter(pl.col("fear_greed").is_not_null())
    if known.is_empty():
        return "There is too little history for the composite."
    values = known["fear_greed"]
    return (
        f"It is above 0.5 in {percent((values > 0.5).mean())} of {counted(len(known), 'session')} and ends at "
        f"{decimal(values[-1], 2)} on {known['session'][-1]}."
    )


def probabilities(frame: pl.DataFrame, states: Sequence[str]) -> str:
    """Of a probability for each regime, session by session."""
    known = frame.select(states).drop_nulls()
    if known.is_empty():
        return "There is too little history for probabilities of regimes."
    sure = (known.max_horizontal() > 0.9).mean()
    last = listed([f"{name} {percent(known[name][-1])}" for name in states])
    return f"In {percent(sure)} of sessions one regime has a probability above 90%; at the end: {last}."
