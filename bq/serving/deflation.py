"""What was earned, and earned beyond, against the best of as many looks without skill, as components of the gate.

A Sharpe ratio deflated by the looks says nothing where everything earns: any choice is then far from chance. So what
is earned beyond the rule score and beyond all events (`bq.serving.earned`) is deflated too, by what the looks earned
beyond the same. Where it is known what being long would have earned, the result itself is deflated beyond that.
"""

import math
from collections.abc import Collection
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.errors import BadData
from bq.core.settings import Gate
from bq.serving import earned, ledger
from bq.serving.ledger import Deflated
from bq.strategies.component import Component, Kind, Missing

Array = NDArray[np.float64]


def components(
    pairs: pl.DataFrame, trials: pl.DataFrame, settings: Gate, *, beyond: Collection[Kind] = (), span: int = 1
) -> list[Component]:
    """The deflated Sharpe ratio of a result, and of what it is beyond others; nothing where it is not asked for.

    pairs : of `earned.results`. trials : of `ledger.on`. beyond : the series of `earned.series` that count, of which
    the one with the lower probability is shown. span : sessions of the series that an outcome spans: so many are one
    observation, since the probabilities allow for a correlation of neighbours that fades at once, and not for overlap.
    """
    least = settings.min_deflated_probability
    if least is None:
        return []
    own = _series(pairs, alone=not beyond)
    net = Kind.OVER_LONG if Kind.OVER_LONG in own else Kind.NET
    others = [kind for kind in beyond if kind in own]
    looks = _looks(pairs, trials, of=[net, *others])
    shown: list[Component] = []

    def deflated(kind: Kind) -> Deflated:
        return _deflate(pairs, own[kind], looks[kind], least=least, span=span)

    try:
        shown.append(component(deflated(net), least, **({} if net == Kind.NET else {"beyond": net})))
        found = {kind: deflated(kind) for kind in others}
    except BadData as error:
        missing = Kind.DEFLATED_UPLIFT if shown else Kind.DEFLATED_SHARPE
        return [*shown, Component.asked(missing, None, reason=str(error))]
    if found:
        lowest = min(found, key=lambda kind: _probability(found[kind]))
        shown.append(component(found[lowest], least, Kind.DEFLATED_UPLIFT, beyond=lowest))
    return shown


def component(found: Deflated, least: float, kind: Kind = Kind.DEFLATED_SHARPE, **more: Kind) -> Component:
    """Deflated Sharpe ratio: the lower of the published and the revised probability must reach the minimum."""
    probability = _probability(found)
    facts: dict[str, Any] = {
        "value": probability,
        "threshold": least,
        "sessions": found.sessions,
        "more": found._asdict() | more,
    }
    return Component.asked(kind, probability >= least, Missing(sessions=found.needed - found.sessions), **facts)


def _probability(found: Deflated) -> float:
    return min(found.probability, found.revised)


def _looks(pairs: pl.DataFrame, trials: pl.DataFrame, *, of: Collection[Kind]) -> dict[Kind, dict[str, Array]]:
    """What each look earned, and beyond others, on the sessions of the pairs: by kind, then by its name."""
    beside = pairs.join(trials, on="session", how="left", maintain_order="left")
    found: dict[Kind, dict[str, Array]] = {kind: {} for kind in of}
    for name in trials.columns:
        if name != "session":
            series = _series(beside, name, alone=set(of) == {Kind.NET})
            for kind in of:
                if kind in series:
                    found[kind][name] = series[kind]
    return found


def _series(pairs: pl.DataFrame, name: str = "model", *, alone: bool) -> dict[Kind, Array]:
    """What a column of results earns, and, where that is not all, earns beyond others."""
    return {Kind.NET: earned.column(pairs, name)} | ({} if alone else earned.series(pairs, name))


def _deflate(pairs: pl.DataFrame, own: Array, looks: dict[str, Array], *, least: float, span: int) -> Deflated:
    """`ledger.deflate` of means over `span` sessions each; its figures are of a session again."""
    sessions = pairs["session"].gather_every(span).head(max(len(pairs) // span, 1))
    ours = pl.DataFrame({"session": sessions, "value": _means(own, span)})
    theirs = pl.DataFrame({"session": sessions, **{name: _means(values, span) for name, values in looks.items()}})
    found = ledger.deflate(ours, theirs, least=least)
    return found._replace(sharpe=found.sharpe / math.sqrt(span), sessions=len(pairs), needed=found.needed * span)


def _means(values: Array, span: int) -> Array:
    """Means of `span` values each, one without a value as 0; what is left at the end of the series is left out."""
    known = np.nan_to_num(values)
    whole = max(len(known) // span, 1) * span
    return known[:whole].reshape(-1, min(span, len(known[:whole]))).mean(axis=1)
