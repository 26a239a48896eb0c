"""Is this fitted model sound? The newest window, which it was not trained on, tells it from its opposite.

The window is a dozen holding times: too short to judge what a model earns, which its recipe has shown already.
"""

import math
from typing import Any

import polars as pl

from bq.core.namespace import Tier
from bq.core.scalars import number, number_or_none
from bq.core.settings import Settings
from bq.serving import bounds
from bq.strategies.component import Component, Kind, Missing, of_interval


def artefact(
    newest: pl.DataFrame, champion: pl.DataFrame | None, tier: Tier, settings: Settings, *, changed: bool
) -> Component:
    """On the newest window it orders outcomes no worse than chance, nor than the champion by more than the margin.

    newest, champion : the window as the candidate predicts it, and as the deployed model of `tier` does, None where it
    cannot. The figure is the mean over sessions of z(rank of what is expected) × outcome, in standard deviations of the
    outcomes within a session: 0 on average whatever the shape of outcomes, where a rank correlation is not. A point
    rule: of so few blocks no bound has power. With `gate.same_recipe: superior` it must be higher than the champion's
    by its lower bound. A session that the champion does not order counts as 0 for it.
    """
    both, by = newest.with_columns(nothing=pl.lit(0.0)), "nothing"
    if champion is not None:
        by = "champion_expected"
        both = newest.join(champion.select("event_id", champion_expected="expected"), on="event_id")
    ordered = orders(both, by)
    values = ordered.select("ours", uplift=pl.col("ours") - pl.col("theirs")).to_numpy()
    ours, difference = bounds.blocks(newest, settings, ordered["session"]).means(values)
    kind, gate = Kind.ARTEFACT, settings.gate
    window: dict[str, Any] = {"first": newest["session"].min(), "last": newest["session"].max()}
    window |= {} if champion is None else {"against": tier}
    if champion is not None and not changed and gate.same_recipe == "superior":
        return bounds.bound(kind, difference, 0.0, gate, newest, more={"difference": True}, **window)
    if math.isnan(ours.mean):
        return Component.asked(kind, None, sessions=0, **window)
    least, theirs = 0.0, None
    if champion is not None:
        theirs = number(ordered["theirs"].mean())
        least = max(theirs - gate.artefact_margin, 0.0)
    found = of_interval(ours) | {"threshold": least, "baseline": theirs} | window
    return Component.asked(kind, ours.mean >= least, Missing(by=least - ours.mean), **found)


def orders(predictions: pl.DataFrame, by: str) -> pl.DataFrame:
    """Covariance of the outcome with z(rank) in each session, by the expected outcome and by another column.

    Returns session, ours, theirs, in standard deviations of the outcomes within a session (one figure for the window)
    and weighted by the number of events less one (the inverse of the variance), so that the mean over rows is the
    weighted mean. Sessions in which the expected outcomes, or the outcomes, do not differ are left out.
    """
    spread = (pl.col("outcome") - pl.col("outcome").mean()).pow(2).sum()
    sessions = (
        predictions.group_by("session")
        .agg(
            ours=_by_rank("expected"),
            theirs=_by_rank(by).fill_null(0.0).fill_nan(0.0),
            weight=pl.len() - 1.0,
            spread=spread,
        )
        .filter(pl.col("ours").is_finite(), pl.col("spread") > 0.0)
        .sort("session")
    )
    events = number_or_none((sessions["weight"] + 1.0).sum()) or 1.0
    deviation = math.sqrt((number_or_none(sessions["spread"].sum()) or 1.0) / events)
    share = pl.col("weight") / pl.col("weight").mean() / deviation
    return sessions.select("session", ours=pl.col("ours") * share, theirs=pl.col("theirs") * share)


def _by_rank(name: str) -> pl.Expr:
    """Mean of z(rank) × outcome; null where fewer than two are known, NaN where all are equal."""
    value = pl.col(name).cast(pl.Float64).fill_nan(None)
    rank = value.rank()
    z = (rank - rank.mean()) / rank.std(ddof=0)
    return pl.when(value.count() >= 2).then((z * pl.col("outcome")).mean())
