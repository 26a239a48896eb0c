"""How a namespace stands, in words and small drawings: one card of the dashboard."""

from typing import NamedTuple

from markupsafe import Markup

from bq.core.namespace import Tier
from bq.core.numerals import decimal, with_sign
from bq.monitoring import promise, windows
from bq.monitoring.checks import Severity
from bq.monitoring.overview import Overview
from bq.runs.record import Trigger
from bq.serving import ready
from bq.strategies.events import NOTICES
from bq.workbench import small
from bq.workbench.phrases import COUNTS, counted, figure_text, interval, overdue
from bq.workbench.reading import months
from bq.workbench.standing import Evidence, Standing

FEATURES = 8  # of a heat map
COLOURS = {Severity.GRAVE: "red", Severity.WARNING: "amber"}


class Panel(NamedTuple):
    """A heading, a drawing where there is something to draw, and the sentence that reads it or says why not."""

    heading: str
    drawing: Markup
    text: str


class Bar(NamedTuple):
    """A trigger in words, and which part of its distance is gone, in percent; None where it has no distance."""

    text: str
    share: float | None
    holds: bool


class Card(NamedTuple):
    """One namespace."""

    name: str
    decides: str
    colour: str
    since: str
    silent: str  # that the champion cannot answer
    evidence: str
    report: str  # address; empty where there is none
    trading: str  # address; empty where nothing was traded
    notice: str  # that the evidence is none about the market
    overdue: str
    last_run: str  # time, for who looks at the page later; empty where there was none
    expected_days: int | None
    alerts: list[tuple[str, str, str]]  # colour, severity, statement
    panels: list[Panel]
    bars: list[Bar]
    triggers: str  # when they were found, or why there are none


def card(found: Standing) -> Card:
    """A namespace as the dashboard shows it."""
    deployed, newest = found.deployed, found.newest
    shown: Evidence | None = deployed.evidence if deployed else newest
    source = ready.SIMULATED if found.namespace.simulated else deployed.source if deployed else found.source
    bars = [_bar(one) for one in found.distances.triggers] if found.distances else []
    return Card(
        name=str(found.namespace),
        decides=str(found.decider),
        colour="green" if deployed else "grey",
        since=_since(found),
        silent=f"the deployed champion {found.silent} cannot answer" if found.silent else "",
        evidence=_evidence(found),
        report=f"{shown.run_id}/report.html" if shown and shown.report else "",
        trading=found.trading,
        notice=NOTICES.get(source, ""),
        overdue=overdue(found.schedule, found.now),
        last_run=found.schedule.last_utc.isoformat() if found.schedule.last_utc else "",
        expected_days=found.schedule.every_days,
        alerts=[
            (COLOURS[one.severity], one.severity.value, one.statement)
            for one in sorted(found.alerts, key=lambda one: one.severity != Severity.GRAVE)
        ],
        panels=[*_decided(found), _drift(found)],
        bars=bars,
        triggers=_triggers(found),
    )


def _since(found: Standing) -> str:
    if found.deployed is None:
        return "no model decides"
    since, trained = found.deployed.pointer.since_utc, found.deployed.trained_through
    days = max((found.now - since).days, 0)
    age = (found.now.date() - trained).days
    trained_on = f"trained on outcomes to {trained} ({counted(age, 'day')} ago)"
    return f"since {since:%Y-%m-%d} ({counted(days, 'day')}), {trained_on}"


def _evidence(found: Standing) -> str:
    """What the decider stands on: the figure by which its gate judged it."""
    if found.deployed is None:
        if found.newest is None:
            return "no candidate was judged yet"
        return f"newest candidate, {figure_text(found.newest.figure)}"
    if found.deployed.evidence is None:
        return f"{found.deployed.pointer.reason} (no run of outputs/ is the one that made it)"
    return f"deployed on {figure_text(found.deployed.evidence.figure)}"


def _nothing(found: Standing) -> str:
    """Why there is no figure of decisions; empty where there is one."""
    known = found.overview
    if known is None:
        return f"Not known: {found.fault}"
    if not known.counted:
        return f"Nothing counted yet: {COUNTS}"
    if not known.matured:
        due = f", the next is due on {known.next_due}" if known.next_due else ""
        return f"Nothing has an outcome yet: {counted(known.counted, 'decision')} open{due}."
    if known.tier is None:
        return f"All {counted(known.matured, 'decision')} with an outcome are in sample, which is no evidence."
    return ""


def _whose(known: Overview) -> str:
    """Whose decisions are measured."""
    if known.tier in (None, Tier.RULE):
        return "rule score"
    return f"{known.tier.label}s" if len(known.models) > 1 else known.tier.label


def _decided(found: Standing) -> list[Panel]:
    """What came of the decisions that count; one panel that says why there is nothing."""
    why, known = _nothing(found), found.overview
    if why or known is None:
        return [Panel("Outcomes of decisions", Markup(), why)]
    return [_promised(known), _earned(known)]


def _promised(known: Overview) -> Panel:
    heading = "Predicted and realised, by week"
    if known.tier == Tier.RULE:
        return Panel(heading, Markup(), "The rule score decided: it predicts no outcome.")
    if not known.promises:
        return Panel(heading, Markup(), "The model predicts z-scores, which do not have the unit of an outcome.")
    last, limit = known.weeks[-1], decimal(promise.POINTS, 2)
    within = interval(last.low, last.high)
    text = (
        f"Mean {known.outcome} of decisions of model {known.models[-1]}; lines: of the window that ends in the week. "
        f"Realised − predicted since {last.window_from}: {with_sign(last.difference)} {within}; alarm where all of it "
        f"is beyond ±{limit}{': ALARM' if last.alarm else ''}."
    )
    return Panel(heading, small.promised(known.weeks, said=f"{heading}. {text}"), text)


def _earned(known: Overview) -> Panel:
    heading, net, sums, whose = "Net result, running sum", known.net, known.sums, _whose(known)
    if net is None or sums is None:
        return Panel(heading, Markup(), "No session has a result.")
    labels = {"decided": whose, "rule": "rule score", "everything": "every event"}
    if known.tier == Tier.RULE:  # the two lines are one
        sums = sums.model_copy(update={"rule": []})
    evidence = f"{counted(known.sessions, 'session')}, {decimal(net.blocks, 1)} blocks"
    text = f"{known.outcome} a session: {whose} {with_sign(net.value)} {interval(net.low, net.high)}"
    if known.tier != Tier.RULE and net.rule is not None:
        apart = f"{with_sign(net.difference)} {interval(net.difference_low, net.difference_high)}"
        text += f", rule score {with_sign(net.rule)}; difference {apart}, verdict in {months(net.months)} months"
    left_out = f"; {known.in_sample:,} in-sample left out" if known.in_sample else ""
    text += f" ({evidence}{left_out})."
    return Panel(heading, small.sums(sums, labels=labels, said=f"{heading}. {text}"), text)


def _drift(found: Standing) -> Panel:
    heading = "Drift of features, by week"
    if found.deployed is None:
        return Panel(heading, Markup(), "No model decides, so none can drift from its training.")
    kept = found.heat
    if kept is None or kept.model_id != found.decider.model_id or not kept.columns:
        return Panel(heading, Markup(), "Not known yet: `make check-drift` computes it once its decisions count.")
    table = windows.multiples(kept.table)
    worst = windows.worst(table).head(FEATURES)
    shown = worst.to_frame().join(table, on="feature", how="left", maintain_order="left")
    text = (
        f"PSI against the training, the worst {len(worst)} of {len(kept.features)}; blank: chance, strongest: "
        f"{decimal(small.DARKEST, 0)} times chance or more. Persistent features exceed chance without any drift; only "
        "tests open alerts."
    )
    drawn = small.heat(shown.select("feature", "week", "multiple"), said=f"{heading}. {text}")
    return Panel(heading, drawn, text)


def _bar(trigger: Trigger) -> Bar:
    value, threshold = trigger.value, trigger.threshold
    share = None
    if value is not None and threshold:
        share = round(min(max(abs(value) / threshold, 0.0), 1.0) * 100, 1)
    return Bar(trigger.text or trigger.kind.value, share, trigger.holds)


def _triggers(found: Standing) -> str:
    if found.distances is None:
        return "Not known yet: the next `make retrain` says how far each is."
    return f"as of {found.distances.at_utc:%Y-%m-%d %H:%M} UTC"
