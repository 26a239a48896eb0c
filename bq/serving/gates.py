"""The champion gate: recipe and artefact, kept apart; anything inconclusive keeps what is deployed.

Recipe: does this way of training earn anything? Judged on the walk-forward out-of-sample stream against the rule score.
Artefact: is this fitted model sound? Judged on the newest window, which it never saw, against what it would replace.
"""

import math
from typing import NamedTuple

import polars as pl

from bq.core.settings import Gate
from bq.learning import metrics
from bq.learning.metrics import Blocks
from bq.serving.onnx import TOLERANCE, Parity
from bq.stats.bootstrap import Interval
from bq.strategies.contract import Task

DAYS_A_MONTH = 30.44


class Component(NamedTuple):
    """One thing that must hold."""

    name: str
    holds: bool | None  # None: inconclusive, which deploys nothing
    statement: str  # value, interval, threshold and sample in words
    needed: str  # what would have to change for it to hold; empty where it holds

    @staticmethod
    def of(name: str, holds: bool | None, statement: str, needed: str) -> "Component":
        """A component; what would be needed is dropped where it holds."""
        return Component(name, None if holds is None else bool(holds), statement, "" if holds else needed)


class Verdict(NamedTuple):
    """What the gate decided and why."""

    deploy: bool
    headline: str
    components: list[Component]

    @property
    def reasons(self) -> list[str]:
        """The components that do not hold, or all of them where the model is deployed."""
        chosen = [c for c in self.components if not c.holds] or self.components
        return [f"{c.name}: {c.statement}" for c in chosen]

    @property
    def needed(self) -> list[str]:
        """What would be needed, for each component that does not hold."""
        return [f"{c.name}: {c.needed}" for c in self.components if c.needed]


def decide(
    oos: pl.DataFrame,
    newest: pl.DataFrame,
    champion: pl.DataFrame | None,
    parity: Parity,
    *,
    same_recipe: bool,
    task: Task,
    settings: Gate,
    seed: int,
) -> Verdict:
    """Judge a candidate.

    oos : its walk-forward predictions (one model). newest : the newest window as the artefact predicts it;
    champion : the same events as the champion predicts them, None where there is none. same_recipe : whether the
    champion was trained the same way; then not being worse is enough, else the candidate must be better.
    """
    components = [
        *_sample(oos, settings),
        *_recipe(oos, settings, seed),
        _artefact(newest, champion, settings, seed, same_recipe=same_recipe),
        _calibration(oos, task, settings),
        _parity(parity),
    ]
    failed = [c for c in components if not c.holds]
    if not failed:
        against = "the rule score" if champion is None else "the champion"
        than = "better" if _must_be_better(champion, same_recipe=same_recipe) else "not worse"
        headline = f"better than the rule score out of sample, and {than} than {against} on the newest window"
        return Verdict(True, headline, components)
    return Verdict(False, _said(failed), components)


def _said(failed: list[Component]) -> str:
    return "; ".join(f"{'inconclusive' if c.holds is None else 'not shown'}: {c.name}" for c in failed)


def decide_success(oos: pl.DataFrame, parity: Parity, *, settings: Gate, seed: int) -> Verdict:
    """Judge the success-probability model: do the trades above its threshold earn more than their costs?

    oos : its walk-forward predictions (one model), each event beside the threshold that its fold's training chose.
    """
    traded = oos.select(pl.col("^p_.*$")).to_series(-1) >= oos["threshold"]
    earned = oos.with_columns(net=pl.when(traded).then(pl.col("outcome")))
    sessions = earned.group_by("session").agg(pl.col("net").mean()).sort("session")  # null where nothing was traded
    days = (oos["session"].max() - oos["session"].min()).days
    net = blocks(oos, settings, seed).mean(sessions["net"].to_numpy())
    beside = f", all events {oos['outcome'].mean():+.3f}, {traded.sum()} of {len(oos)} events traded"
    components = [
        _bound("net ROI above 0 of the trades above the threshold", net, 0.0, settings, days, beside),
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


def _recipe(oos: pl.DataFrame, settings: Gate, seed: int) -> list[Component]:
    pairs = metrics.versus(oos, k=settings.top_k)
    uplift, net = blocks(oos, settings, seed).means(pairs.select("uplift", "model").to_numpy())
    days = (oos["session"].max() - oos["session"].min()).days
    beside = f", rule score {pairs['baseline'].mean():+.3f}"
    name = f"uplift of the top {settings.top_k} over the rule score's"
    return [
        _bound(name, uplift, settings.margin, settings, days, beside),
        _bound(f"net ROI of the top {settings.top_k} above 0", net, 0.0, settings, days),
    ]


def blocks(events: pl.DataFrame, settings: Gate, seed: int) -> Blocks:
    """How the sessions of a stream are resampled."""
    return Blocks(metrics.block_length(events), settings.alpha, settings.draws, seed)


def _bound(name: str, interval: Interval, threshold: float, settings: Gate, days: int, beside: str = "") -> Component:
    """A one-sided bootstrap lower bound against a threshold; too few blocks are inconclusive."""
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


def _must_be_better(champion: pl.DataFrame | None, *, same_recipe: bool) -> bool:
    return champion is not None and not same_recipe


def _artefact(
    newest: pl.DataFrame, champion: pl.DataFrame | None, settings: Gate, seed: int, *, same_recipe: bool
) -> Component:
    """On the newest window: a changed recipe must be better than the champion, anything else not worse by the margin.

    A lower bound from fewer blocks than `min_blocks` is no evidence: four of them accept an equal recipe in 5 to 17 of
    100 windows where 2.5 are meant.
    """
    if champion is None:
        pairs, against = metrics.versus(newest, k=settings.top_k), "rule score"
    else:
        both = newest.join(champion.select("event_id", champion_expected="expected"), on="event_id")
        pairs, against = metrics.versus(both, k=settings.top_k, baseline="champion_expected"), "champion"
    difference = blocks(newest, settings, seed).mean(pairs["uplift"].to_numpy())
    name = f"newest window against the {against}"
    first, last = newest["session"].min(), newest["session"].max()
    if _must_be_better(champion, same_recipe=same_recipe):
        component = _bound(name, difference, 0.0, settings, (last - first).days, f", changed recipe, {first} to {last}")
        window = f"{component.needed} (the window is `learning.newest_days`)"
        return component._replace(needed="" if component.holds else window)
    least = -settings.artefact_margin
    statement = (
        f"{difference} per session; mean must be at least {least:+.3f}; {difference.n} sessions, {first} to {last}"
    )
    if math.isnan(difference.mean):
        return Component.of(name, None, statement, f"events that the {against} answers too")
    return Component.of(name, difference.mean >= least, statement, f"a mean higher by {least - difference.mean:.3f}")


def _calibration(oos: pl.DataFrame, task: Task, settings: Gate) -> Component:
    error = metrics.calibration_error(oos, task)
    most = settings.max_calibration_error
    sample = f"{len(oos)} events, {len(task.classes)} classes together"
    statement = f"expected calibration error {error:.3f} (at most {most}); {sample}"
    return Component.of("calibration", error <= most, statement, f"an error lower by {error - most:.3f}")


def _parity(parity: Parity) -> Component:
    statement = (
        f"largest difference {parity.largest_difference:.1e}, {parity.flips} decision flips on {parity.rows} rows "
        f"(at most {TOLERANCE:.0e} and none)"
    )
    return Component.of("ONNX parity", parity.holds, statement, "a graph that answers as the model does")
