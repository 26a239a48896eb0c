"""The champion gate: recipe and artefact, kept apart; anything inconclusive keeps what is deployed.

Recipe: does this way of training earn anything? Judged on the walk-forward out-of-sample stream against the rule score,
and against what the champion's recipe earned on the same sessions where the two recipes differ.
Artefact: is this fitted model sound? Judged on the newest window, which it never saw, against what it would replace.
"""

import math
from typing import NamedTuple

import polars as pl

from bq.core.errors import BadData
from bq.core.settings import Gate, Settings
from bq.learning import metrics
from bq.learning.metrics import Blocks
from bq.serving import ledger
from bq.serving.onnx import TOLERANCE, Parity
from bq.stats.bootstrap import Interval
from bq.strategies.contract import Component, Strategy, Task

DAYS_A_MONTH = 30.44
NAMED = 2  # failed components that a headline names


class Verdict(NamedTuple):
    """What the gate decided and why."""

    deploy: bool
    headline: str
    components: list[Component]


class Standing(NamedTuple):
    """What is deployed, as far as it can still be asked."""

    recipe: str  # digest of the way it was trained
    newest: pl.DataFrame | None  # the newest window as it predicts it; None where it cannot answer
    values: pl.DataFrame | None  # what its recipe earned out of sample: session, value; None where that is not known


def decide(
    oos: pl.DataFrame,
    newest: pl.DataFrame,
    standing: Standing | None,
    parity: Parity,
    *,
    recipe: str,
    trials: pl.DataFrame,
    strategy: Strategy,
    settings: Settings,
) -> Verdict:
    """Judge a candidate.

    oos : its walk-forward predictions (one model). newest : the newest window as the artefact predicts it. standing :
    the champion, None where there is none. recipe : how the candidate was trained; a retrain of the champion's recipe
    need not be better than it, a changed one must. trials : series of the ledger, see `ledger.on`.
    """
    changed = standing is not None and standing.recipe != recipe
    pairs = metrics.versus(oos, strategy, settings)
    components = [
        *_sample(oos, settings.gate),
        *_recipe(oos, pairs, strategy.value_name(settings), settings),
        *([_changed(oos, pairs, standing, settings)] if changed else []),
        *_drawdown(pairs, settings.gate),
        *_deflated(pairs, trials, settings.gate),
        _artefact(newest, standing, strategy, settings, changed=changed),
        *_calibration(oos, strategy.task(settings), settings.gate),
        *(strategy.requirements(oos, settings) if strategy.requirements else []),
        _parity(parity),
    ]
    failed = [c for c in components if not c.holds]
    if failed:
        return Verdict(False, _said(failed), components)
    headline = "better than the rule score out of sample"
    if changed:
        headline += " and than the champion's recipe"
    against = "the rule score" if standing is None or standing.newest is None else "the champion"
    return Verdict(True, f"{headline}, and not worse than {against} on the newest window", components)


def _said(failed: list[Component]) -> str:
    said = [f"{'inconclusive' if c.holds is None else 'not shown'}: {c.name}" for c in failed]
    more = f"; and {len(said) - NAMED} more" if len(said) > NAMED else ""
    return "; ".join(said[:NAMED]) + more


def decide_success(oos: pl.DataFrame, parity: Parity, *, settings: Settings) -> Verdict:
    """Judge the success-probability model: do the trades above its threshold earn more than their costs?

    oos : its walk-forward predictions (one model), each event beside the threshold that its fold's training chose.
    """
    traded = oos.select(pl.col("^p_.*$")).to_series(-1) >= oos["threshold"]
    earned = oos.with_columns(net=pl.when(traded).then(pl.col("outcome")))
    sessions = earned.group_by("session").agg(pl.col("net").mean()).sort("session")  # null where nothing was traded
    net = blocks(oos, settings).mean(sessions["net"].to_numpy())
    beside = f", all events {oos['outcome'].mean():+.3f}, {traded.sum()} of {len(oos)} events traded"
    components = [
        _bound("net outcome above 0 of the trades above the threshold", net, 0.0, settings.gate, oos, beside),
        _parity(parity),
    ]
    failed = [c for c in components if not c.holds]
    return Verdict(not failed, _said(failed) or "its trades earn more than their costs out of sample", components)


def _sample(oos: pl.DataFrame, settings: Gate) -> list[Component]:
    days, events = (oos["session"].max() - oos["session"].min()).days, len(oos)
    missing = settings.min_oos_days - days
    return [
        Component.of(
            "out-of-sample time",
            days >= settings.min_oos_days,
            f"{days} days (at least {settings.min_oos_days})",
            _more_time(missing),
        ),
        Component.of(
            "out-of-sample events",
            events >= settings.min_events,
            f"{events} events (at least {settings.min_events})",
            f"{settings.min_events - events} more events",
        ),
    ]


def _recipe(oos: pl.DataFrame, pairs: pl.DataFrame, name: str, settings: Settings) -> list[Component]:
    uplift, net = blocks(oos, settings, pairs["session"]).means(pairs.select("uplift", "model").to_numpy())
    beside = f", rule score {pairs['baseline'].mean():+.3f}"
    return [
        _bound(f"{name}: uplift over the rule score", uplift, settings.gate.margin, settings.gate, oos, beside),
        _bound(f"{name} above 0", net, 0.0, settings.gate, oos),
    ]


def _changed(oos: pl.DataFrame, pairs: pl.DataFrame, standing: Standing, settings: Settings) -> Component:
    """A changed recipe against the champion's, on the sessions that both were judged on out of sample."""
    name = "uplift over the champion's recipe"
    ours = pairs.select("session", value="model")
    theirs = ours.clear() if standing.values is None else standing.values
    both = ours.join(theirs, on="session", suffix="_champion").sort("session")
    difference = blocks(oos, settings, both["session"]).mean((both["value"] - both["value_champion"]).to_numpy())
    if not difference.n:
        statement = "the champion's recipe has no session in common with this one's out-of-sample sessions"
        return Component.of(name, None, statement, "sessions that both were judged on, or a rollback to the rule score")
    beside = f", changed recipe, champion's {both['value_champion'].mean():+.3f}"
    return _bound(name, difference, settings.gate.margin, settings.gate, both, beside)


def _drawdown(pairs: pl.DataFrame, settings: Gate) -> list[Component]:
    most = settings.max_drawdown_ratio
    if most is None:
        return []
    ours, rule = (metrics.drawdown(pairs[name]) for name in ("model", "baseline"))
    statement = f"largest fall of the running sum {ours:.3f}, rule score's {rule:.3f} (at most {most:g} times that)"
    return [Component.of("drawdown", ours <= most * rule, statement, f"a fall smaller by {ours - most * rule:.3f}")]


def _deflated(pairs: pl.DataFrame, trials: pl.DataFrame, settings: Gate) -> list[Component]:
    least = settings.min_deflated_probability
    if least is None:
        return []
    name = "deflated Sharpe ratio"
    try:
        found = ledger.deflate(pairs.select("session", value="model"), trials, least=least)
    except BadData as error:
        return [Component.of(name, None, str(error), "results that vary")]
    more = found.needed - found.sessions
    needed = "a higher mean or a steadier one"
    if math.isfinite(more):
        needed = f"about {math.ceil(more):,} more sessions like these, or {needed}"
    return [Component.of(name, min(found.probability, found.revised) >= least, f"{found}; at least {least:g}", needed)]


def blocks(events: pl.DataFrame, settings: Settings, sessions: pl.Series | None = None) -> Blocks:
    """How a stream is resampled, or a series on some of its sessions."""
    gate = settings.gate
    return Blocks(metrics.block_length(events, sessions), gate.alpha, gate.draws, settings.learning.seed)


def _bound(
    name: str, interval: Interval, threshold: float, settings: Gate, sample: pl.DataFrame, beside: str = ""
) -> Component:
    """A one-sided bootstrap lower bound against a threshold; too few blocks are inconclusive."""
    days = (sample["session"].max() - sample["session"].min()).days
    statement = (
        f"{interval} per session{beside}; lower bound must exceed {threshold:+.3f}; "
        f"{interval.n} sessions, {interval.blocks:.0f} blocks"
    )
    if not interval.blocks >= settings.min_blocks:
        more = days * (settings.min_blocks / max(interval.blocks, 1e-9) - 1.0)
        return Component.of(name, None, f"{statement} (at least {settings.min_blocks})", _more_time(more))
    if interval.low > threshold:
        return Component.of(name, True, statement, "")
    return Component.of(name, False, statement, _needed(interval, threshold, days))


def _needed(interval: Interval, threshold: float, days: int) -> str:
    """How much more time would settle it at the same mean, or how much better it would have to be."""
    better = f"a mean higher by {threshold - interval.low:.3f}"
    distance = interval.mean - threshold
    if distance <= 0:
        return better
    factor = ((interval.mean - interval.low) / distance) ** 2  # the interval shrinks with the square root of time
    return f"{_more_time(days * (factor - 1.0))} at this mean, or {better}"


def _more_time(days: float) -> str:
    months = max(math.ceil(days / DAYS_A_MONTH), 1)
    unit = "month" if months == 1 else "months"
    return f"about {months} more {unit}" if months <= 120 else "more than 10 more years"


def _artefact(
    newest: pl.DataFrame, standing: Standing | None, strategy: Strategy, settings: Settings, *, changed: bool
) -> Component:
    """On the newest window: not worse than what it would replace by more than the margin, or better where asked."""
    if standing is None or standing.newest is None:
        pairs, against = metrics.versus(newest, strategy, settings), "rule score"
    else:
        answers = standing.newest.select("event_id", champion_expected="expected")
        both = newest.join(answers, on="event_id")
        pairs, against = metrics.versus(both, strategy, settings, baseline="champion_expected"), "champion"
    difference = blocks(newest, settings, pairs["session"]).mean(pairs["uplift"].to_numpy())
    name = f"newest window against the {against}"
    first, last = newest["session"].min(), newest["session"].max()
    gate = settings.gate
    if standing is not None and not changed and gate.same_recipe == "superior":
        component = _bound(name, difference, 0.0, gate, newest, f", {first} to {last}")
        window = f"{component.needed} (the window is `learning.newest_days`)"
        return component._replace(needed="" if component.holds else window)
    least = -gate.artefact_margin
    statement = (
        f"{difference} per session; mean must be at least {least:+.3f}; {difference.n} sessions, {first} to {last}"
    )
    if math.isnan(difference.mean):
        return Component.of(name, None, statement, f"events that the {against} answers too")
    return Component.of(name, difference.mean >= least, statement, f"a mean higher by {least - difference.mean:.3f}")


def _calibration(oos: pl.DataFrame, task: Task, settings: Gate) -> list[Component]:
    most = settings.max_calibration_error
    if most is None or not task.classes:
        return []
    error = metrics.calibration_error(oos, task)
    sample = f"{len(oos)} events, {len(task.classes)} classes together"
    statement = f"expected calibration error {error:.3f} (at most {most}); {sample}"
    return [Component.of("calibration", error <= most, statement, f"an error lower by {error - most:.3f}")]


def _parity(parity: Parity) -> Component:
    statement = (
        f"largest difference {parity.largest_difference:.1e}, {parity.flips} decision flips on {parity.rows} rows "
        f"(at most {TOLERANCE:.0e} and none)"
    )
    return Component.of("ONNX parity", parity.holds, statement, "a graph that answers as the model does")
