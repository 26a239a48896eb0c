"""What a verdict hangs on, in words: the gate's figures without one symbol, one kind of event or one year."""

from typing import NamedTuple

from bq.core.numerals import bounds, with_sign
from bq.runs.verdict import Split, Table, Verdict, Without
from bq.strategies.component import BEYOND, Component, Kind

NAMED = 3  # groups that a sentence names
NAMES = {Kind.UPLIFT: "uplift", Kind.NET: "net"}  # with columns of their own
TURNED = NAMES | {kind: f"alpha over {whose}" for kind, whose in BEYOND.items()}
HOW = (
    "Each row is the verdict's figures without that group. Without a symbol or a kind, the choice is made again among "
    "the others; a portfolio holds cash in its place. Without a year, its sessions are left out. What a group "
    "contributes is the figure with it less the figure without it. Intervals have the confidence of the gate. "
    "This informs; the gate decided on all groups."
)


class Shown(NamedTuple):
    """A table with its title."""

    title: str
    table: Table


def tables(verdict: Verdict) -> list[Shown]:
    """One table a split, the largest contribution to the first figure first."""
    found = []
    for split in Split:
        rows = [one for one in verdict.without if one.split == split]
        if rows:
            table = Table(columns=_columns(rows[0]), rows=[_row(one, verdict) for one in rows])
            found.append(Shown(f"Without one {rows[0].called}", table))
    return found


def _columns(first: Without) -> list[str]:
    names = [NAMES[figure.kind] for figure in _shown(first)]
    figures = [text for name in names for text in (f"{name} without it", f"it contributes to {name}")]
    return [f"without the {first.called}", "its events", *figures, "what it changes"]


def _row(one: Without, verdict: Verdict) -> list[str]:
    figures = [text for figure in _shown(one) for text in (_interval(figure), _number(_contribution(figure, verdict)))]
    turned = ", ".join(f"{TURNED[figure.kind]} {_now(figure)}" for figure in _turned(one, verdict))
    return [one.group, f"{one.events:,}", *figures, turned]


def _shown(one: Without) -> list[Component]:
    return [figure for figure in one.figures if figure.kind in NAMES]


def largest(verdict: Verdict) -> str:
    """Each figure without the symbol, the kind and the year that contribute most to it, in one line; or nothing."""
    said = []
    for kind, name in NAMES.items():
        whole = verdict.part(kind)
        if whole is None or whole.facts is None:
            continue
        tops = [top for split in Split if (top := _top(verdict, split, kind)) is not None]
        if tops:
            each = ", ".join(f"{_number(_figure(top, kind).value)} without {_named(top)}" for top in tops)
            said.append(f"{name} {_number(whole.facts.value)} ({each})")
    return "; ".join(said)


def turns(verdict: Verdict) -> list[str]:
    """What in the verdict one symbol, one kind or one year alone decides."""
    found: dict[tuple[str, Kind], list[str]] = {}
    for one in verdict.without:
        for figure in _turned(one, verdict):
            found.setdefault((one.called, figure.kind), []).append(
                f"{_named(one)} ({_interval(figure)}, {_now(figure)})"
            )
    return [
        f"{part.name} holds, but depends on one {called}: without {_some(groups)} it does not"
        for (called, kind), groups in found.items()
        if (part := verdict.part(kind)) is not None
    ]


def _some(groups: list[str]) -> str:
    more = f", or {len(groups) - NAMED} more," if len(groups) > NAMED else ""
    return " or without ".join(groups[:NAMED]) + more


def _named(one: Without) -> str:
    """A group as a sentence has it: a kind says of what, as its name alone reads like a symbol."""
    return f"the {one.called} {one.group}" if one.split == Split.KIND else one.group


def _turned(one: Without, verdict: Verdict) -> list[Component]:
    """The figures that hold with the group and not without it."""
    return [
        figure
        for figure in one.figures
        if not figure.holds and (whole := verdict.part(figure.kind)) is not None and whole.holds
    ]


def _top(verdict: Verdict, split: Split, kind: Kind) -> Without | None:
    known = [one for one in verdict.without if one.split == split and _contribution(_figure(one, kind), verdict) > 0]
    return max(known, key=lambda one: _contribution(_figure(one, kind), verdict), default=None)


def _figure(one: Without, kind: Kind) -> Component:
    return next(figure for figure in one.figures if figure.kind == kind)


def _contribution(figure: Component, verdict: Verdict) -> float:
    """The figure with the group less the one without it; 0 where one of the two is not known."""
    whole = verdict.part(figure.kind)
    if whole is None or whole.facts is None or whole.facts.value is None or figure.value is None:
        return 0.0
    return whole.facts.value - figure.value


def _now(figure: Component) -> str:
    return "inconclusive" if figure.holds is None else "fails"


def _number(value: float | None) -> str:
    return with_sign(value, missing="no figure")


def _interval(figure: Component) -> str:
    return f"{_number(figure.value)} {bounds(figure.low, figure.high)}"
