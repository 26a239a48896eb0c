"""What the first screen of a report says: the verdict in a sentence, and six figures beside their thresholds."""

from collections.abc import Callable

from bq.core.numerals import bounds, decimal, percent, significant, with_sign
from bq.runs.verdict import Decision, Part, Shown, Verdict
from bq.strategies.component import BEYOND, Component, Kind
from bq.workbench.phrases import listed

DONE = {
    Decision.DEPLOYED: "The new model is deployed",
    Decision.KEPT: "The new model is not deployed",
    Decision.QUICK_LOOK: "A quick look, which deploys nothing",
    Decision.PASSED: "The tuned parameters passed",
    Decision.REJECTED: "The tuned parameters are rejected",
    Decision.DONE: "Done",
}
SHOWN = 6
NAMED = 3  # conditions that do not hold are named where they are no more

Make = Callable[[str, Component], Shown]  # of the name of a condition and its facts


def sentence(verdict: Verdict) -> str:
    """What was decided and what stands against it, for somebody who reads this for the first time; or nothing."""
    parts = [part for part in verdict.components if part.facts is not None]
    if not parts:
        return ""
    done, failed = DONE[verdict.decision], [part for part in parts if not part.holds]
    earned, long = (part.facts if part else None for part in map(verdict.part, (Kind.NET, Kind.OVER_LONG)))
    because = "" if earned is None else f": {_earned(earned, long)}"
    if not failed:
        return f"{done}{because}. All {len(parts)} conditions of the gate hold."
    which = f": {listed([_short(part) for part in failed])}" if len(failed) <= NAMED else ""
    return f"{done}{because}. Of the gate's {len(parts)} conditions, {len(failed)} {_do(len(failed))} not hold{which}."


def _earned(net: Component, long: Component | None) -> str:
    """long : the alpha over being long, where that stands beside it."""
    if net.value is None:
        return "there is no figure for what it would have earned"
    earned = f"on sessions it was not trained on, its {net.of} was {_exact(net.value)} on average"
    whose, by = net, "its lower bound"
    if long is not None:
        whose, by = long, "the lower bound of what it earned beyond being long"
    bound, asked = whose.low if whose.bound is None else whose.bound, whose.threshold or 0.0
    if bound is None:
        return earned
    above = f"{'is' if bound > asked else 'must be'} above {_exact(asked) if asked else 0}"
    return f"{earned}; {by}, {_exact(bound)}, {above}"


def _short(part: Part) -> str:
    """The name of a condition, without what its figure is of."""
    return part.name.removeprefix(f"{part.facts.of}: ") if part.facts else part.name


def _exact(value: float) -> str:
    """Three decimals, and where they would all be 0 the first that is not."""
    return with_sign(value) if abs(value) >= 0.0005 or value == 0 else significant(value, 1, sign=True)


def _do(count: int) -> str:
    return "does" if count == 1 else "do"


def strip(verdict: Verdict) -> list[Shown]:
    """At most six figures: what is earned first, then how sure that is, then what it rests on."""
    known = {part.facts.kind: (part.name, part.facts) for part in verdict.components if part.facts is not None}
    cells = [make(*known[kind]) for kind, make in CELLS.items() if kind in known]
    return [*cells, *verdict.shown][:SHOWN]


def _bound(name: str, c: Component) -> Shown:
    interval = bounds(c.low, c.high, missing="no interval")
    beside = "" if c.baseline is None else f", {COMPARED.get(c.kind, 'rule score')} {with_sign(c.baseline)}"
    value = with_sign(c.value, missing="no figure")
    return Shown(name=NAMES[c.kind].format(of=c.of), value=value, beside=interval + beside)


def _of_threshold(words: str, shown: Callable[..., str], digits: int) -> Make:
    def cell(name: str, c: Component) -> Shown:
        value, asked = (shown(number, digits, missing="no figure") for number in (c.value, c.threshold))
        return Shown(name=name, value=value, beside=f"{words} {asked}")

    return cell


NAMES = {
    Kind.NET: "{of}, mean",
    Kind.UPLIFT: "uplift over the rule score",
    **{kind: f"alpha over {whose}" for kind, whose in BEYOND.items()},
    Kind.CHANGED_RECIPE: "uplift over the recipe of what is deployed",
}
COMPARED = {  # whose figure stands beside, where it is not the rule score's
    **{kind: whose.removeprefix("the ") for kind, whose in BEYOND.items()},
    Kind.CHANGED_RECIPE: "that recipe",
}
CELLS: dict[Kind, Make] = {
    Kind.NET: _bound,
    Kind.UPLIFT: _bound,
    **dict.fromkeys(BEYOND, _bound),
    Kind.CHANGED_RECIPE: _bound,
    Kind.OVERFITTING: _of_threshold("must be below", percent, 0),
    Kind.SHARPE: _of_threshold("a year; must exceed", decimal, 2),
    Kind.DEFLATED_SHARPE: _of_threshold("probability of being above 0; at least", decimal, 3),
    Kind.DRAWDOWN: _of_threshold("at most", decimal, 2),
    Kind.PORTFOLIO_DRAWDOWN: _of_threshold("must be below", percent, 1),
    Kind.ARTEFACT: _of_threshold("at least", with_sign, 3),
    Kind.CALIBRATION: _of_threshold("at most", decimal, 3),
    Kind.SAMPLE_EVENTS: _of_threshold("at least", decimal, 0),
    Kind.SAMPLE_TIME: _of_threshold("days; at least", decimal, 0),
}
