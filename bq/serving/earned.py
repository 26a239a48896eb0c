"""What a model earned beyond what could be had without it, as components of the gate.

Three comparisons, each of the model's result session by session, none of which another one answers:

- with nothing: is it above 0, net of costs?
- with every event: the intercept of the model's results regressed on what all events earned. Does choosing add anything
  to as much of them as the model held? Where everything earns, in a trend, it alone tells. (The alternative to a
  market-neutral portfolio is cash, which the first comparison is with.)
- with the rule score: the intercept of the model's results regressed on the rule's. A rule that sees part of what the
  model sees moves with it, and the difference of the two is mostly what the rule does alone: the intercept is free of
  that. The mean uplift must be positive too, or a hedged copy of the rule would do.

Where a strategy says what being long would have earned in an event's place (`Value.hedge`), that is regressed out of
all three: as a control variate it takes the market's noise away, and no exposure to a market that rises counts as
choosing. The mean net result must be positive beside it, or a hedged loss would do.

A model of the rule's own skill that sees other things has a positive alpha, and its uplift is positive in half of all
cases: of such a one the gate asserts that it adds to the rule, not that it is better.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.namespace import Tier
from bq.core.settings import Settings
from bq.learning import metrics
from bq.serving import bounds
from bq.stats.intercept import intercept
from bq.strategies.component import Component, Kind
from bq.strategies.contract import Strategy

if TYPE_CHECKING:
    from bq.market import MarketData

WHOSE = ("model", "baseline", "everything")
Array = NDArray[np.float64]


def results(
    oos: pl.DataFrame, strategy: Strategy, settings: Settings, market: "MarketData | None" = None
) -> pl.DataFrame:
    """`metrics.versus`, and what being long would have earned beside it: hedge_model, hedge_baseline, hedge_everything.

    The latter of a strategy that says so, with a market.
    """
    oos = oos.sort("session", "event_id")  # sums do not depend on the order of rows
    pairs, hedge = metrics.versus(oos, strategy, settings), strategy.value.hedge
    if hedge is None or market is None:
        return pairs
    long = metrics.versus(oos.with_columns(outcome=hedge(oos, settings, market)), strategy, settings)
    beside = long.select("session", *(pl.col(name).alias(f"hedge_{name}") for name in WHOSE))
    return pairs.join(beside, on="session", how="left", maintain_order="left")


def recipe(oos: pl.DataFrame, pairs: pl.DataFrame, name: str, settings: Settings) -> list[Component]:
    """Uplift and alpha over the rule score, alpha over all events, the net result, and its alpha over being long.

    pairs : of `results`. name : of what they are.
    """
    beyond, gate = series(pairs), settings.gate
    columns = np.column_stack([column(pairs, "uplift"), column(pairs, "model"), *beyond.values()])
    uplift, net, *others = bounds.blocks(oos, settings, pairs["session"]).means(columns)
    over = dict(zip(beyond, others, strict=True))
    rule: dict[str, Any] = {"of": name, "baseline": pairs["baseline"].mean(), "against": Tier.RULE}
    found = [
        bounds.point(Kind.UPLIFT, uplift, gate.margin, gate, oos, **rule),
        bounds.bound(Kind.ALPHA, over[Kind.ALPHA], gate.margin, gate, oos, **rule),
    ]
    if Kind.OVER_ALL in over:
        found.append(over_all(over[Kind.OVER_ALL], oos, pairs, settings, of=name))
    if Kind.OVER_LONG not in over:
        return [*found, bounds.bound(Kind.NET, net, 0.0, gate, oos, of=name)]
    alone = pairs["hedge_model"].mean()
    found.append(bounds.bound(Kind.OVER_LONG, over[Kind.OVER_LONG], 0.0, gate, oos, of=name, baseline=alone))
    return [*found, bounds.point(Kind.NET, net, 0.0, gate, oos, of=name)]


def over_all(found: Any, oos: pl.DataFrame, pairs: pl.DataFrame, settings: Settings, **facts: Any) -> Component:
    """The component of an alpha over all events. found : its interval."""
    alone = pairs["everything"].mean()
    return bounds.bound(Kind.OVER_ALL, found, 0.0, settings.gate, oos, baseline=alone, **facts)


def series(pairs: pl.DataFrame, model: str = "model") -> dict[Kind, Array]:
    """What a column of results earns beyond the rule score, all events and being long: one value a session.

    NaN if unknown. Their means are the figures, see `bq.stats.intercept`. Nothing over all events where the alternative
    is cash, nothing over being long where that is not known.
    """
    own, rule, everything = (column(pairs, name) for name in (model, "baseline", "everything"))
    found = {Kind.ALPHA: intercept(own, np.column_stack([rule, *hedges(pairs, model, "baseline")]))}
    if np.nan_to_num(everything).any():
        beside = np.column_stack([everything, *hedges(pairs, model, "everything")])
        found[Kind.OVER_ALL] = intercept(own, beside)
    if long := hedges(pairs, model) or hedges(pairs, "everything"):
        found[Kind.OVER_LONG] = intercept(own, long[0])
    return found


def hedges(pairs: pl.DataFrame, *names: str) -> list[Array]:
    """What being long would have earned beside each of these, as far as that is known."""
    return [column(pairs, hedge) for name in names if (hedge := f"hedge_{name}") in pairs.columns]


def column(pairs: pl.DataFrame, name: str) -> Array:
    """Results of a column, one a session, NaN where unknown."""
    return pairs[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
