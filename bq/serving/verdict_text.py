"""A verdict as text: the name of each component, its figures, and what would have to change."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from bq.core.namespace import Tier
from bq.core.numerals import bounds, decimal, percent, significant, with_sign
from bq.runs.verdict import Part
from bq.serving.gates import Verdict
from bq.serving.ledger import Deflated
from bq.stats.overfitting import SAME_TRIAL
from bq.strategies.component import BEYOND, Accusation, Component, Kind

NONE = "no figure"
NAMED = 2  # failed components named in a headline
EARNED = {
    Tier.CHAMPION: "adds to the rule score and to taking every event",
    Tier.SECOND: "its trades earn more than their costs and than all events",
    Tier.WEIGHTS: "adds to the rule score with its own weights and to taking every event",
}
EXPLAINS = {
    Kind.ALPHA: "the rule score's {} explains",
    Kind.OVER_ALL: "all events' {} explain",
    Kind.OVER_LONG: "being long, {}, explains",
}
AGAINST = {
    Tier.CHAMPION: "champion",
    Tier.SECOND: f"deployed {Tier.SECOND.label}",
    Tier.RULE: Tier.RULE.label,
    Tier.WEIGHTS: f"deployed {Tier.WEIGHTS.label}",
}  # what a candidate is compared with


def headline(found: Verdict) -> str:
    """Why a model is deployed, or why not."""
    if not found.deploy:
        failed = [f"{'inconclusive' if c.holds is None else 'not proven'}: {part(c).name}" for c in found.failed]
        return "; ".join(failed[:NAMED]) + (f"; and {len(failed) - NAMED} more" if len(failed) > NAMED else "")
    changed, artefact = found.part(Kind.CHANGED_RECIPE), found.part(Kind.ARTEFACT)
    recipe = f", better than {_whom(changed)}'s recipe" if changed and changed.against else ""
    window = _whom(artefact) if artefact else "chance"
    undone = found.part(Kind.ROLLED_BACK)
    again = f"; deployed again by FORCE=1 after its rollback of {_day(undone)}" if undone else ""
    return f"{EARNED[found.tier]} out of sample{recipe}, and not worse than {window} on the newest window{again}"


def _whom(component: Component) -> str:
    """What a candidate was compared with."""
    if component.against is None:
        return "chance"
    undone = "rolled_back" in component.more
    return f"the rolled-back {component.against.label}" if undone else f"the {AGAINST[component.against]}"


def _day(component: Component) -> str:
    return str(component.more["rolled_back"])[:10]


def part(component: Component) -> Part:
    """A component as text."""
    name, statement, needed = TEXTS[component.kind](component)
    return Part(
        name=name,
        holds=component.holds,
        statement=component.reason or statement,
        needed="" if component.holds else needed,
        facts=component,
    )


def more_time(months: float | None) -> str:
    """A number of months as text."""
    if months is None or months > 120:
        return "more than 10 more years"
    whole = max(math.ceil(months), 1)
    return f"about {whole} more month{'s' if whole > 1 else ''}"


LONGEST = 2_520  # sessions, ten years of days: more than anyone waits for
Text = tuple[str, str, str]  # name, statement, what is needed


_number = partial(with_sign, missing=NONE)
_plain = partial(decimal, missing=NONE)
_rounded = partial(significant, digits=6, missing=NONE)


def _short(component: Component, least: float) -> float:
    """Distance to a threshold; never so small that it would be rounded to 0."""
    short = component.missing.by if component.missing else None
    return max(short or 0.0, least)


def _by(component: Component, digits: int = 3) -> str:
    return decimal(_short(component, 10.0**-digits), digits)


def _interval(c: Component) -> str:
    return f"{_number(c.value)} {bounds(c.low, c.high)}"


def _bound(c: Component, beside: str = "") -> str:
    """A lower bound that must exceed a threshold."""
    level = "" if c.alpha is None else f" of {significant(1.0 - c.alpha, 4)} confidence"
    stated = "" if c.bound is None else f", {_number(c.bound)},"
    must = f"lower bound{level}{stated} must exceed {_number(c.threshold)}"
    return f"{_interval(c)}{beside}; {must}; {_sample(c)}"


def _mean(c: Component, beside: str = "") -> str:
    """A mean that must exceed a threshold; the bound that is asked for is another component's."""
    return f"{_interval(c)}{beside}; mean must exceed {_number(c.threshold)}; {_sample(c)}"


def _sample(c: Component) -> str:
    blocks = f"{decimal(c.blocks or 0, 0)} blocks" + (f" (at least {c.least_blocks})" if c.holds is None else "")
    return f"{c.sessions or 0:,} sessions, {blocks}"


def _bound_needed(c: Component) -> str:
    missing = c.missing
    if missing is None:
        return ""
    if missing.identical:
        return "different picks: model and baseline made identical picks on every session"
    better = f"the mean must rise by {_by(c)}"
    if c.holds is None:
        rise = "" if missing.by is None else f", and the mean must rise by {_by(c)} or more"
        return f"{more_time(missing.months)}{rise}"
    return better if missing.months is None else f"{more_time(missing.months)} at this mean, or {better}"


def _sample_time(c: Component) -> Text:
    return (
        "out-of-sample time",
        f"{_plain(c.value, 0)} days (at least {_plain(c.threshold, 0)})",
        more_time(c.missing.months) if c.missing else "",
    )


def _sample_events(c: Component) -> Text:
    more = c.missing.events if c.missing else None
    return (
        "out-of-sample events",
        f"{_plain(c.value, 0)} events (at least {_plain(c.threshold, 0)})",
        f"{_plain(more, 0)} more events",
    )


def _sample_months(c: Component) -> Text:
    more = c.missing.months if c.missing else None
    statement = f"{_plain(c.value, 1)} months out of sample; at least {_rounded(c.threshold)}"
    return "months out of sample", statement, f"{_plain(more, 1)} more months"


def _uplift(c: Component) -> Text:
    statement = _mean(c, f", rule score {_number(c.baseline)}")
    return f"{c.of}: uplift over the rule score", statement, _bound_needed(c)


def _alpha(c: Component) -> Text:
    beside = f" beyond what {EXPLAINS[c.kind].format(_number(c.baseline))}"
    return f"{c.of}: alpha over {BEYOND[c.kind]}", _bound(c, beside), _bound_needed(c)


def _net(c: Component) -> Text:
    """A mean where the alpha over being long stands beside it."""
    return f"{c.of} is positive", _mean(c) if c.alpha is None else _bound(c), _bound_needed(c)


def _net_of_trades(c: Component) -> Text:
    beside = f", all events {_number(c.baseline)}, {c.more['traded']:,} of {c.events or 0:,} events traded"
    return "mean net outcome of the trades above the threshold is positive", _bound(c, beside), _bound_needed(c)


def _changed_recipe(c: Component) -> Text:
    whose = _whom(c)
    name = f"uplift over {whose}'s recipe"
    if not c.sessions:
        statement = f"no out-of-sample session on which this recipe and {whose}'s decided on the same events"
        return name, statement, "a way of training of the champion that can be walked forward on these events"
    return (
        name,
        _bound(c, f", changed recipe; {whose.removeprefix('the ')}'s recipe {_number(c.baseline)}"),
        _bound_needed(c),
    )


def _rolled_back(c: Component) -> Text:
    statement = f"its way of training was deployed, then rolled back {_day(c)}; FORCE=1 says that it is wanted again"
    return f"rolled-back {(c.against or Tier.CHAMPION).label} wanted again", statement, "FORCE=1, or a better recipe"


def _drawdown(c: Component) -> Text:
    statement = (
        f"maximum drawdown of the running sum {_plain(c.value, 3)}, the rule score's {_plain(c.baseline, 3)}; "
        f"must be at most {_rounded(c.more['ratio'])} times as large"
    )
    if c.alpha is not None:
        than = "that" if c.more["ratio"] < 1.0 else "the rule score's"
        found = c.more.get("no_larger")
        here = "" if found is None else f"; here in {percent(found, 1)}"
        rare = f"in at least {percent(c.alpha, 1)} of resampled histories{here}"
        statement += f", unless chance explains it (no larger than {than} {rare})"
    return "maximum drawdown", statement, f"maximum drawdown must be {_by(c)} smaller"


def _deflated_sharpe(c: Component) -> Text:
    beyond = c.more.get("beyond")
    of = "" if beyond is None else f" of what is earned beyond {BEYOND[Kind(beyond)]}"
    name, better = f"deflated Sharpe ratio{of}", "a higher mean or a lower variance"
    if c.reason:
        return name, c.reason, "results that vary over sessions"
    facts = {key: c.more[key] for key in Deflated._fields if key in c.more}
    known: dict[str, Any] = {key: math.nan if value is None else value for key, value in facts.items()}
    found = Deflated(**known)
    more = c.missing.sessions if c.missing else None
    needed = (
        better if more is None or more > LONGEST else f"about {math.ceil(more):,} more sessions like these, or {better}"
    )
    return name, f"{found}; at least {_rounded(c.threshold)}", needed


def _artefact(c: Component) -> Text:
    against, window = _whom(c), f"{c.first} to {c.last}"
    name = f"newest window against {against}"
    if "difference" in c.more:
        needed = f"{_bound_needed(c)} (the window is `learning.newest_days`)"
        return name, _bound(c, f" of rank covariance, {window}"), needed
    if not c.sessions:
        predicted = "predicted" if c.against is None else f"predicted by the model and {against}"
        statement = f"no session of {window} has two events {predicted} whose order can be told"
        return name, statement, "sessions with two or more such events"
    beside = "" if c.against is None else f", {against.removeprefix('the ')} {_number(c.baseline)}"
    statement = (
        f"rank covariance {_interval(c)} per session in standard deviations of the outcome{beside}; mean must be at "
        f"least {_number(c.threshold)}; {c.sessions or 0:,} sessions, {window}"
    )
    return name, statement, f"the mean must rise by {_by(c)}"


def _calibration(c: Component) -> Text:
    classes, low, excess = c.more["classes"], c.more.get("excess_low"), c.more.get("excess")
    of = f"P({classes[-1]})" if len(classes) == 2 else f"{len(classes)} classes together"
    bound = "no lower bound of so few blocks" if low is None else f"lower bound {with_sign(low)}"
    statement = (
        f"expected calibration error {_plain(c.value, 3)}, of the training's class shares on the same sessions "
        f"{_plain(c.baseline, 3)} (debiased); must be at most {_rounded(c.threshold)}, or not proven "
        f"to exceed theirs: by {_number(excess)}, {bound}; {c.events or 0:,} events, {of}"
    )
    return "calibration", statement, f"calibration error must fall by {_by(c)}"


def _parity(c: Component) -> Text:
    ties = f", {c.more['ties']} where the model itself is tied (at most 1 in 1,000)" if "ties" in c.more else ""
    statement = (
        f"largest difference {significant(c.value, 2, missing=NONE)} (at most {_rounded(c.threshold)}), "
        f"{c.more['flips']} decision flips (none allowed){ties} on {c.more['rows']:,} rows"
    )
    return "ONNX parity", statement, "a graph with the same predictions as the model"


def _rank_ic(c: Component) -> Text:
    statement = f"{_interval(c)}, {c.sessions or 0:,} sessions; at least {_rounded(c.threshold)}, lower bound above 0"
    if c.holds is None:
        return "rank IC", statement, "more sessions with five or more symbols"
    more = c.missing.sessions if c.missing else None
    better = f"the mean must rise by {_by(c)}, for the lower bound to be above 0 as well"
    longer = f"about {_plain(more, 0)} more sessions of such forecasts, or {better}"
    return "rank IC", statement, better if more is None else longer


def _rolling_rank_ic(c: Component) -> Text:
    name, window = "rolling rank IC", c.more["window_sessions"]
    if c.value is None:
        return name, "no complete window", f"{window} sessions with a rank IC"
    statement = f"not negative in {percent(c.value)} of {c.more['windows']} windows of {window} sessions"
    return name, f"{statement}; at least {percent(c.threshold)}", f"{percent(_short(c, 0.01))} more of the windows"


def _information_ratio(c: Component) -> Text:
    own = f"{_interval(c)}, annual: of {_daily(c)} less those of equal weight, {_formula(c)}"
    statement = f"{own}; at least {_rounded(c.threshold)}"
    return "information ratio", statement, _sessions(c) or f"the ratio must rise by {_by(c, digits=2)}"


def _sharpe(c: Component) -> Text:
    chance = _plain(c.more.get("probability"), 3)
    statement = (
        f"{_interval(c)}, annual: of {_daily(c)}, {_formula(c)}; above 0 with probability {chance} "
        f"(as one trial); must exceed {_rounded(c.threshold)}"
    )
    return "net Sharpe ratio", statement, _sessions(c) or f"the ratio must rise by {_by(c, digits=2)}"


def _portfolio_drawdown(c: Component) -> Text:
    statement = (
        f"{percent(c.value, 1, missing=NONE)}, of {_daily(c)}, compounded "
        f"(equal weight {percent(c.baseline, 1, missing=NONE)}); "
        f"must be below {percent(c.threshold, 0, missing=NONE)}"
    )
    needed = f"maximum drawdown must be {decimal(100 * _short(c, 0.001), 1)} points smaller"
    return "maximum drawdown of the portfolio", statement, _sessions(c) or needed


def _daily(c: Component) -> str:
    return f"{c.sessions or 0:,} daily net returns"


def _formula(c: Component) -> str:
    return f"mean over standard deviation × √{_plain(c.more.get('periods_per_year'), 0)}"


def _sessions(c: Component) -> str:
    return "more sessions" if c.reason else ""


def _overfitting(c: Component) -> Text:
    name, trials = "probability of overfitting", c.more["trials"]
    if c.value is None:
        statement = (
            f"all {trials} trials move together (correlation at least {SAME_TRIAL}), so there was no choice to judge"
        )
        return name, statement, "trials that differ: more trials or wider ranges"
    statement = (
        f"in {percent(c.value)} of splits the in-sample winner ranked at or below the out-of-sample median "
        f"({trials} trials, {c.more['effective']} effectively distinct; {percent(c.more['all_trials'])} if all count)"
        f"; must be below {percent(c.threshold)}"
    )
    return name, statement, "narrower ranges or more history, so that parameters that rank high go on doing so"


ACCUSED = {
    Accusation.LATER_BARS: "changes when later bars are taken away",
    Accusation.UNIT: "depends on the level of adjusted prices, which later splits and dividends set",
    Accusation.SERVED: "has another value when it is computed on the day",
    Accusation.LABEL: "holds the event's own outcome",
    Accusation.GROUP: "holds the outcomes of its session",
}


def _leaks(c: Component) -> Text:
    accused = {name: ", ".join(ACCUSED[kind] for kind in kinds) for name, kinds in c.more["accused"].items()}
    named = "; ".join(f"{name} {what}" for name, what in list(accused.items())[:NAMED])
    more = f"; and {len(accused) - NAMED} more" if len(accused) > NAMED else ""
    of = f"{c.more['features']} features of {c.events or 0:,} events audited"
    statement = f"{of}: {named}{more}" if accused else f"{of}, none accused"
    return "features know nothing of the future", statement, "other features, or none: `make audit` shows each figure"


def _own_files(c: Component) -> Text:
    name, by_hand, changed = "own features stand in files", c.more["by_hand"], c.more["changed"]
    statement = f"{c.more['features']} of your own"
    if by_hand:
        statement += f"; registered by hand: {', '.join(by_hand)}"
    if changed:
        statement += f"; changed since the training: {', '.join(changed)}"
    return name, statement, "files in data/raw/features/ that stay as they are during a run"


TEXTS: dict[Kind, Callable[[Component], Text]] = {
    Kind.SAMPLE_TIME: _sample_time,
    Kind.SAMPLE_EVENTS: _sample_events,
    Kind.SAMPLE_MONTHS: _sample_months,
    Kind.UPLIFT: _uplift,
    **dict.fromkeys(BEYOND, _alpha),
    Kind.NET: _net,
    Kind.NET_OF_TRADES: _net_of_trades,
    Kind.CHANGED_RECIPE: _changed_recipe,
    Kind.ROLLED_BACK: _rolled_back,
    Kind.DRAWDOWN: _drawdown,
    Kind.DEFLATED_SHARPE: _deflated_sharpe,
    Kind.DEFLATED_UPLIFT: _deflated_sharpe,
    Kind.ARTEFACT: _artefact,
    Kind.CALIBRATION: _calibration,
    Kind.PARITY: _parity,
    Kind.RANK_IC: _rank_ic,
    Kind.ROLLING_RANK_IC: _rolling_rank_ic,
    Kind.INFORMATION_RATIO: _information_ratio,
    Kind.SHARPE: _sharpe,
    Kind.PORTFOLIO_DRAWDOWN: _portfolio_drawdown,
    Kind.OVERFITTING: _overfitting,
    Kind.LEAKS: _leaks,
    Kind.OWN_FILES: _own_files,
}
