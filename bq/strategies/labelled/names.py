"""Which column of a table holds what: by the names that were stated, else by those that are recognised."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bq.market.bars import Rejected
from bq.market.columns import remedy
from bq.market.tables import bare
from bq.strategies.layout import Layout

CONTRACT: Mapping[str, tuple[str, ...]] = {
    "symbol": ("ticker", "underlying", "underlyingsymbol", "stock"),
    "t0": ("session", "date", "scandate", "decisiondate", "signaldate", "asof", "asofdate", "timestamp", "datetime"),
    "t1": ("exitdate", "exitsession", "closedate", "closedat", "exitedat"),
    "t1_due": ("due", "duedate", "latestexit", "plannedexit"),
    "holding_days": ("holddays", "holdingperioddays"),
    "outcome": ("outcomenet",),
    "label": ("class", "labelclass", "roiclass", "target", "targetclass"),
    "score": (),
    "strategy": (),
    "variant": ("ruleset",),
    "taken": ("traded",),
    "source": ("outcomesource",),
}
NEEDED = ("symbol", "t0", "outcome", "score")
OF_OUR_OWN = ("event_id", "session", "weight")  # made anew of the others
PERCENT = re.compile(r"(%|pct|percent|percentage)\W*$", re.I)


class Names(NamedTuple):
    """`found` : the table's name of each column that has a place. `others` : its further columns, as it has them."""

    found: dict[str, str]
    others: list[str]

    def in_percent(self, name: str) -> bool:
        """Whether the table's name of a column says that it is in per cent, and our own does not."""
        return bool(PERCENT.search(self.found[name])) and not PERCENT.search(name)


def match(
    names: Sequence[str],
    *,
    known: Sequence[str],
    asked: Sequence[str],
    layout: Layout,
    stated: Mapping[str, str],
) -> Names:
    """Find the places of a table's columns; case, spaces, punctuation and a sign for per cent do not matter.

    known : features of the strategy. asked : features that the user names, of the strategy or not: they must be there.
    stated : `{place: table's name}`, which go before all others; a place that is none names a column of the user's own.

    Raises Rejected where a stated name is not there, where two columns could hold one place, or where a needed one is
    absent: all of them at once.
    """
    absent = [f"{place}: {name}" for place, name in stated.items() if name not in names]
    if absent:
        raise Rejected(
            "missing_column", f"`market.columns` must name columns that are there, but {', '.join(absent)} is not."
        )
    found, taken = dict(stated), set(stated.values())
    for place in dict.fromkeys([*CONTRACT, *known, *asked, *layout.texts, *layout.beside]):
        if place not in found:
            candidates = _candidates(place, [name for name in names if name not in taken], layout)
            if len(candidates) > 1:
                raise Rejected(
                    "two_columns",
                    f"one column may hold `{place}`, but {' and '.join(map(repr, candidates))} do. Say which by "
                    f"`market.columns: {{{place}: {candidates[0]}}}`.",
                )
            if candidates:
                found[place] = candidates[0]
                taken.add(candidates[0])
    if lacking := [place for place in (*NEEDED, *asked) if place not in found]:
        raise _lacking(lacking, names, layout)
    return Names(found, [name for name in names if name not in taken and bare(name) not in map(bare, OF_OUR_OWN)])


def _candidates(place: str, names: Sequence[str], layout: Layout) -> list[str]:
    """The columns that could hold a place: the one of exactly its name before all that have another of its names."""
    own = [name for name in names if bare(name) == bare(place)]
    known = (bare(place), *CONTRACT.get(place, ()), *layout.names.get(place, ()))
    return own or [name for name in names if bare(name) in known or bare(PERCENT.sub("", name)) in known]


def _lacking(places: Sequence[str], names: Sequence[str], layout: Layout) -> Rejected:
    """The refusal of a table without columns that it needs."""
    why = {
        "score": "`score` (the rule score, which a model must beat; any rule that ranks decisions is one)",
        "outcome": "`outcome` (what a decision earned, net of costs)",
        "t0": "`t0` (the session at whose close is decided)",
    }
    must = " and ".join(why.get(place, f"`{place}`") for place in places)
    return Rejected("missing_column", f"a labelled table must have {must}, but its {remedy(places, names)}")
