"""The champion gate: recipe and artefact, kept apart; anything inconclusive keeps what is deployed.

Recipe: does this way of training earn anything? Judged on the walk-forward out-of-sample stream against the rule score,
and against what the champion's recipe earned on the same sessions where the two recipes differ.
Artefact: is this fitted model sound? Judged on the newest window, which it never saw, against what it would replace, by
how well it orders the events of a session: a window is too short for what an order earns to tell a model from its
opposite, and a recipe has shown what it earns already.
"""

import math
from typing import NamedTuple

import polars as pl

from bq.core.errors import BadData
from bq.core.settings import Gate, Settings
from bq.learning import metrics
from bq.serving import bounds, ledger
from bq.serving.onnx import TOLERANCE, Parity
from bq.stats import drawdown
from bq.stats.blocks import Blocks, block_length
from bq.stats.rank_ic import spearman
from bq.strategies.component import Component
from bq.strategies.contract import Strategy
from bq.strategies.task import Task

NAMED = 2  # failed components that a headline names


class Verdict(NamedTuple):
    """What the gate decided and why."""

    deploy: bool
    headline: str
    components: list[Component]


class Evidence(NamedTuple):
    """What is known of a candidate."""

    oos: pl.DataFrame  # its walk-forward predictions (one model)
    newest: pl.DataFrame  # the newest window as the artefact predicts it
    parity: Parity
    recipe: str  # digest of the way it was trained
    trials: pl.DataFrame  # series of the ledger, see `ledger.on`


class Standing(NamedTuple):
    """What is deployed, as far as it can still be asked."""

    recipe: str  # digest of the way it was trained
    newest: pl.DataFrame | None  # the newest window as it predicts it; None where it cannot answer
    values: pl.DataFrame | None  # what its recipe earned out of sample: session, value; None where that is not known
    name: str = "champion"  # for people


def decide(found: Evidence, standing: Standing | None, *, strategy: Strategy, settings: Settings) -> Verdict:
    """Judge a candidate against the champion, None where there is none, and against the rule score.

    A retrain of the champion's recipe need not be better than it, a changed one must.
    """
    pairs = metrics.versus(found.oos, strategy, settings)
    shown = _recipe(found.oos, pairs, strategy.value.name(settings), settings)
    shown += strategy.value.requirements(found.oos, settings)
    task = strategy.task(settings)
    return _judge(found, standing, pairs, shown, "better than the rule score", task=task, settings=settings)


def decide_success(found: Evidence, standing: Standing | None, *, strategy: Strategy, settings: Settings) -> Verdict:
    """Judge the success-probability model against the standing one: what do the trades above its threshold earn?

    Each event out of sample is beside the threshold that its fold's training chose.
    """
    task, oos = strategy.success, found.oos
    rule = strategy.value.earned(oos, "score", settings).rename({"value": "baseline"})
    ours = success_values(oos, task).rename({"value": "model"})
    pairs = ours.join(rule, on="session", how="left", maintain_order="left")
    traded = oos[task.probability] >= oos["threshold"]
    beside = f", all events {oos['outcome'].mean():+.3f}, {traded.sum()} of {len(oos)} events traded"
    net = blocks(oos, settings).mean(pairs["model"].to_numpy())
    name = "net outcome above 0 of the trades above the threshold"
    shown = [bounds.bound(name, net, 0.0, settings.gate, oos, beside)]
    found = found._replace(newest=_by_probability(found.newest, task))
    if standing is not None and standing.newest is not None:
        standing = standing._replace(newest=_by_probability(standing.newest, task))
    return _judge(found, standing, pairs, shown, "its trades earn more than their costs", task=task, settings=settings)


def success_values(oos: pl.DataFrame, task: Task) -> pl.DataFrame:
    """What the trades at or above their thresholds earned: session, value; null where none was taken."""
    traded = pl.col(task.probability) >= pl.col("threshold")
    net = pl.when(traded).then(pl.col("outcome")).mean()
    return oos.group_by("session").agg(value=net).sort("session")


def _by_probability(predictions: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Predictions of success, ordered by its probability instead of what is expected."""
    return predictions.with_columns(expected=pl.col(task.probability))


def _judge(
    found: Evidence,
    standing: Standing | None,
    pairs: pl.DataFrame,
    shown: list[Component],
    earned: str,
    *,
    task: Task,
    settings: Settings,
) -> Verdict:
    """The verdict on a model of either tier.

    pairs : what it and the rule score earned: session, model, baseline. shown : what only its own tier is asked for.
    earned : that in words, where it holds.
    """
    gate, oos = settings.gate, found.oos
    changed = standing is not None and standing.recipe != found.recipe
    components = [
        *_sample(oos, gate),
        *shown,
        *([_changed(oos, pairs, standing, settings)] if changed else []),
        *_drawdown(pairs, gate),
        *_deflated(pairs, found.trials, gate),
        artefact(found.newest, standing, settings, changed=changed),
        *_calibration(oos, task, gate),
        _parity(found.parity),
    ]
    failed = [c for c in components if not c.holds]
    if failed:
        return Verdict(False, _said(failed), components)
    better = f"{earned} out of sample" + (f", better than the {standing.name}'s recipe" if changed else "")
    against = "rule score" if standing is None or standing.newest is None else standing.name
    return Verdict(True, f"{better}, and not worse than the {against} on the newest window", components)


def _said(failed: list[Component]) -> str:
    said = [f"{'inconclusive' if c.holds is None else 'not proven'}: {c.name}" for c in failed]
    more = f"; and {len(said) - NAMED} more" if len(said) > NAMED else ""
    return "; ".join(said[:NAMED]) + more


def _sample(oos: pl.DataFrame, settings: Gate) -> list[Component]:
    days, events = (oos["session"].max() - oos["session"].min()).days, len(oos)
    missing = settings.min_oos_days - days
    return [
        Component.of(
            "out-of-sample time",
            days >= settings.min_oos_days,
            f"{days} days (at least {settings.min_oos_days})",
            bounds.more_time(missing),
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
        bounds.bound(f"{name}: uplift over the rule score", uplift, settings.gate.margin, settings.gate, oos, beside),
        bounds.bound(f"{name} above 0", net, 0.0, settings.gate, oos),
    ]


def _changed(oos: pl.DataFrame, pairs: pl.DataFrame, standing: Standing, settings: Settings) -> Component:
    """A changed recipe against the champion's, on the sessions that both were judged on out of sample."""
    name, whose = f"uplift over the {standing.name}'s recipe", f"the {standing.name}'s"
    ours = pairs.select("session", value="model")
    theirs = ours.clear() if standing.values is None else standing.values
    both = ours.join(theirs, on="session", suffix="_champion").sort("session")
    difference = blocks(oos, settings, both["session"]).mean((both["value"] - both["value_champion"]).to_numpy())
    if not difference.n:
        statement = f"{whose} recipe has no session in common with this one's out-of-sample sessions"
        return Component.of(name, None, statement, "sessions that both were judged on, or a rollback to the rule score")
    beside = f", changed recipe, {whose} {both['value_champion'].mean():+.3f}"
    return bounds.bound(name, difference, settings.gate.margin, settings.gate, both, beside)


def _drawdown(pairs: pl.DataFrame, settings: Gate) -> list[Component]:
    most = settings.max_drawdown_ratio
    if most is None:
        return []
    ours, rule = (drawdown.maximum_of_sum(pairs[name]) for name in ("model", "baseline"))
    statement = f"largest fall of the running sum {ours:.3f}, rule score's {rule:.3f} (at most {most:g} times that)"
    needed = f"a fall smaller by {bounds.least(ours - most * rule)}"
    return [Component.of("drawdown", ours <= most * rule, statement, needed)]


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
    return Blocks(block_length(events, sessions), gate.alpha, gate.draws, settings.learning.seed)


def artefact(newest: pl.DataFrame, standing: Standing | None, settings: Settings, *, changed: bool) -> Component:
    """On the newest window: it orders events not worse than what it would replace, or chance, by more than the margin.

    Or better, where asked. A session that the other leaves without an order counts as 0 for it.
    """
    by, against, both = "score", "rule score", newest
    if standing is not None and standing.newest is not None:
        by, against = "champion_expected", standing.name
        both = newest.join(standing.newest.select("event_id", champion_expected="expected"), on="event_id")
    ranks = _orders(both, by)
    ours, difference = blocks(newest, settings, ranks["session"]).means(ranks.select("ours", "uplift").to_numpy())
    name, gate = f"newest window against the {against}", settings.gate
    window = f"{newest['session'].min()} to {newest['session'].max()}"
    if standing is not None and not changed and gate.same_recipe == "superior":
        component = bounds.bound(name, difference, 0.0, gate, newest, f" of rank IC, {window}")
        longer = f"{component.needed} (the window is `learning.newest_days`)"
        return component._replace(needed="" if component.holds else longer)
    if math.isnan(ours.mean):
        statement = f"no session of {window} has two events that it orders and the {against} answers"
        return Component.of(name, None, statement, "sessions of two such events or more")
    replaced = ranks["theirs"].mean()
    least = max(replaced, 0.0) - gate.artefact_margin
    statement = (
        f"rank IC {ours} per session, {against} {replaced:+.3f}; mean must be at least {least:+.3f}; "
        f"{ours.n} sessions, {window}"
    )
    return Component.of(name, ours.mean >= least, statement, f"a mean higher by {bounds.least(least - ours.mean)}")


def _orders(predictions: pl.DataFrame, by: str) -> pl.DataFrame:
    """Rank correlation with the outcome in each session, by what is expected and by another column.

    Returns session, ours, theirs, uplift, each weighing as many as it has events beside the first (its variance is one
    over that), so that the mean over rows is the weighted mean.
    """
    ours, theirs = (spearman(column, least=2) for column in ("expected", by))
    sessions = predictions.group_by("session").agg(ours=ours, theirs=theirs.fill_null(0.0), weight=pl.len() - 1.0)
    ordered = sessions.filter(pl.col("ours").is_not_null()).sort("session")
    weight = pl.col("weight") / pl.col("weight").mean()
    weighted = ordered.select("session", ours=pl.col("ours") * weight, theirs=pl.col("theirs") * weight)
    return weighted.with_columns(uplift=pl.col("ours") - pl.col("theirs"))


def _calibration(oos: pl.DataFrame, task: Task, settings: Gate) -> list[Component]:
    most = settings.max_calibration_error
    if most is None or not task.classes:
        return []
    error = metrics.calibration_error(oos, task)
    of = f"P({task.classes[-1]})" if len(task.classes) == 2 else f"{len(task.classes)} classes together"
    sample = f"{len(oos)} events, {of}"
    statement = f"expected calibration error {error:.3f} (at most {most}); {sample}"
    return [Component.of("calibration", error <= most, statement, f"an error lower by {bounds.least(error - most)}")]


def _parity(parity: Parity) -> Component:
    statement = (
        f"largest difference {parity.largest_difference:.1e}, {parity.flips} decision flips on {parity.rows} rows "
        f"(at most {TOLERANCE:.0e} and none)"
    )
    return Component.of("ONNX parity", parity.holds, statement, "a graph that answers as the model does")
