"""The champion gate: recipe and artefact, kept apart; anything inconclusive keeps what is deployed.

Recipe: does this way of training earn anything? Judged on its out-of-sample predictions against the rule score, and,
where the recipe has changed, against what the champion's recipe earned on the same sessions.
Artefact: is this fitted model sound? Judged on the newest window, which it was not trained on, by rank IC within
sessions, against the model that it would replace: the window is too short to judge what a model earns, which its recipe
has shown already.
"""

import datetime as dt
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from bq.core.errors import BadData, BadParameters
from bq.core.namespace import Tier
from bq.core.scalars import day, number
from bq.core.settings import Gate, Settings
from bq.learning import metrics
from bq.serving import bounds, ledger
from bq.serving.onnx import TOLERANCE, Parity
from bq.stats import drawdown
from bq.stats.blocks import Blocks, block_length
from bq.stats.rank_ic import spearman
from bq.strategies import policy
from bq.strategies.component import Component, Kind, Missing, of_interval
from bq.strategies.contract import Strategy
from bq.strategies.task import Task

if TYPE_CHECKING:
    from bq.market import MarketData


class Verdict(NamedTuple):
    """Decision of the gate on a model of a tier, and its components."""

    deploy: bool
    tier: Tier
    components: list[Component]

    @property
    def failed(self) -> list[Component]:
        """Components that do not hold or are inconclusive."""
        return [component for component in self.components if not component.holds]

    def part(self, kind: Kind) -> Component | None:
        """The component of a kind, None where it was not required."""
        return next((component for component in self.components if component.kind == kind), None)


class Evidence(NamedTuple):
    """Evidence for a candidate."""

    oos: pl.DataFrame  # its walk-forward predictions (one model)
    newest: pl.DataFrame  # the newest window as the artefact predicts it
    parity: Parity
    recipe: str  # digest of the way it was trained
    trials: pl.DataFrame  # what earlier looks earned, see `ledger.on`
    uplifts: pl.DataFrame | None = None  # their uplifts over the rule score, see `ledger.Of`


class Incumbent(NamedTuple):
    """The deployed model that a candidate would replace, as far as it can still predict."""

    recipe: str  # digest of the way it was trained
    newest: pl.DataFrame | None  # the newest window as it predicts it; None where it cannot
    values: pl.DataFrame | None  # out-of-sample result of its recipe: session, value; None where not known
    tier: Tier = Tier.CHAMPION
    rolled_back: dt.datetime | None = None  # when; it is still what must be beaten

    @property
    def told(self) -> dict[str, Any]:
        """What a component says of it."""
        return {} if self.rolled_back is None else {"rolled_back": self.rolled_back.isoformat()}


def decide(
    found: Evidence,
    incumbent: Incumbent | None,
    *,
    strategy: Strategy,
    settings: Settings,
    market: "MarketData | None" = None,
) -> Verdict:
    """Judge a candidate against the champion, if there is one, and against the rule score.

    A retrain of the champion's recipe need not beat the champion; a changed recipe must. market : for a strategy whose
    requirements look at bars.
    """
    pairs = metrics.versus(found.oos, strategy, settings)
    shown = recipe(found.oos, pairs, strategy.value.name(settings), settings)
    shown += strategy.value.requirements(found.oos, settings, market)
    task = strategy.task(settings)
    return _judge(found, incumbent, pairs, shown, Tier.CHAMPION, task=task, settings=settings)


def decide_success(found: Evidence, incumbent: Incumbent | None, *, strategy: Strategy, settings: Settings) -> Verdict:
    """Judge a success-probability model against the deployed one, by what the policy earns when it ranks by it.

    Each out-of-sample event has the threshold that the training of its fold chose.
    """
    task, oos = strategy.success, found.oos
    if task is None:
        raise BadParameters(f"{strategy.name}: must have a second tier to be judged, but has none.")
    rule = strategy.value.earned(oos, "score", settings).rename({"value": "baseline"})
    ours = success_values(oos, task, settings).rename({"value": "model"})
    pairs = ours.join(rule, on="session", how="left", maintain_order="left")
    traded = policy.traded(oos, task.probability, settings.policy.k)
    net = blocks(oos, settings).mean(pairs["model"].to_numpy())
    sample: dict[str, Any] = {
        "baseline": oos["outcome"].mean(),
        "events": len(oos),
        "more": {"traded": int(traded.sum())},
    }
    shown = [bounds.bound(Kind.NET_OF_TRADES, net, 0.0, settings.gate, oos, **sample)]
    found = found._replace(newest=_by_probability(found.newest, task))
    if incumbent is not None and incumbent.newest is not None:
        incumbent = incumbent._replace(newest=_by_probability(incumbent.newest, task))
    return _judge(found, incumbent, pairs, shown, Tier.SECOND, task=task, settings=settings)


def success_values(oos: pl.DataFrame, task: Task, settings: Settings) -> pl.DataFrame:
    """What the policy earned when it ranks by the probability of success: session, value."""
    return policy.earned(oos, task.probability, settings.policy.k)


def _by_probability(predictions: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Predictions ordered by the probability of success instead of the expected outcome."""
    return predictions.with_columns(expected=pl.col(task.probability))


def _judge(
    found: Evidence,
    incumbent: Incumbent | None,
    pairs: pl.DataFrame,
    shown: list[Component],
    tier: Tier,
    *,
    task: Task,
    settings: Settings,
) -> Verdict:
    """The verdict on a model of either tier.

    pairs : results of the model and of the rule score: session, model, baseline. shown : components of its tier alone.
    """
    gate, oos = settings.gate, found.oos
    changed = None if incumbent is None or incumbent.recipe == found.recipe else incumbent
    components = [
        *_sample(oos, gate),
        *shown,
        *([] if changed is None else [_changed(oos, pairs, changed, settings)]),
        *_drawdown(pairs, gate),
        *_deflated(pairs, found.trials, gate),
        artefact(found.newest, incumbent, settings, changed=changed is not None),
        *_calibration(oos, task, gate),
        _parity(found.parity),
    ]
    return Verdict(all(component.holds for component in components), tier, components)


def _sample(oos: pl.DataFrame, settings: Gate) -> list[Component]:
    days, events = (day(oos["session"].max()) - day(oos["session"].min())).days, len(oos)
    least, fewest = settings.min_oos_days, settings.min_events
    months = (least - days) / bounds.DAYS_A_MONTH
    return [
        Component.asked(Kind.SAMPLE_TIME, days >= least, Missing(months=months), value=days, threshold=least),
        Component.asked(
            Kind.SAMPLE_EVENTS, events >= fewest, Missing(events=fewest - events), value=events, threshold=fewest
        ),
    ]


def recipe(oos: pl.DataFrame, pairs: pl.DataFrame, name: str, settings: Settings) -> list[Component]:
    """Uplift over the rule score and net result.

    pairs : what model and rule score earned of the predictions: session, model, baseline, uplift. name : of that.
    """
    uplift, net = blocks(oos, settings, pairs["session"]).means(pairs.select("uplift", "model").to_numpy())
    gate = settings.gate
    beside: dict[str, Any] = {"baseline": pairs["baseline"].mean(), "against": Tier.RULE}
    return [
        bounds.bound(Kind.UPLIFT, uplift, gate.margin, gate, oos, of=name, **beside),
        bounds.bound(Kind.NET, net, 0.0, gate, oos, of=name),
    ]


def _changed(oos: pl.DataFrame, pairs: pl.DataFrame, incumbent: Incumbent, settings: Settings) -> Component:
    """A changed recipe against the deployed model's, on sessions that both have out-of-sample results for."""
    ours = pairs.select("session", value="model")
    theirs = ours.clear() if incumbent.values is None else incumbent.values
    both = ours.join(theirs, on="session", suffix="_champion").sort("session")
    difference = blocks(oos, settings, both["session"]).mean((both["value"] - both["value_champion"]).to_numpy())
    beside: dict[str, Any] = {"baseline": both["value_champion"].mean(), "against": incumbent.tier}
    beside["more"] = incumbent.told
    if not difference.n:
        return Component.asked(Kind.CHANGED_RECIPE, None, sessions=0, **beside)
    return bounds.bound(Kind.CHANGED_RECIPE, difference, settings.gate.margin, settings.gate, both, **beside)


def _drawdown(pairs: pl.DataFrame, settings: Gate) -> list[Component]:
    most = settings.max_drawdown_ratio
    if most is None:
        return []
    ours, rule = (drawdown.maximum_of_sum(pairs[name]) for name in ("model", "baseline"))
    facts: dict[str, Any] = {
        "value": ours,
        "threshold": most * rule,
        "baseline": rule,
        "against": Tier.RULE,
        "more": {"ratio": most},
    }
    return [Component.asked(Kind.DRAWDOWN, ours <= most * rule, Missing(by=ours - most * rule), **facts)]


def _deflated(pairs: pl.DataFrame, trials: pl.DataFrame, settings: Gate) -> list[Component]:
    least = settings.min_deflated_probability
    if least is None:
        return []
    try:
        found = ledger.deflate(pairs.select("session", value="model"), trials, least=least)
    except BadData as error:
        return [Component.asked(Kind.DEFLATED_SHARPE, None, reason=str(error))]
    return [deflated(found, least)]


def deflated(found: ledger.Deflated, least: float) -> Component:
    """Deflated Sharpe ratio: the lower of the published and the revised probability must reach the minimum."""
    probability = min(found.probability, found.revised)
    facts: dict[str, Any] = {
        "value": probability,
        "threshold": least,
        "sessions": found.sessions,
        "more": found._asdict(),
    }
    return Component.asked(
        Kind.DEFLATED_SHARPE, probability >= least, Missing(sessions=found.needed - found.sessions), **facts
    )


def blocks(events: pl.DataFrame, settings: Settings, sessions: pl.Series | None = None) -> Blocks:
    """Block bootstrap of a stream of events, or of a series on some of its sessions."""
    gate = settings.gate
    return Blocks(block_length(events, sessions), gate.alpha, gate.draws, settings.learning.seed)


def artefact(newest: pl.DataFrame, incumbent: Incumbent | None, settings: Settings, *, changed: bool) -> Component:
    """On the newest window: its rank IC is at most the margin below the incumbent's or 0, whichever is higher.

    With `gate.same_recipe: superior` it must be higher. A session that the other does not order counts as 0 for it.
    """
    by, against, both = "score", Tier.RULE, newest
    if incumbent is not None and incumbent.newest is not None:
        by, against = "champion_expected", incumbent.tier
        both = newest.join(incumbent.newest.select("event_id", champion_expected="expected"), on="event_id")
    ranks = _orders(both, by)
    ours, difference = blocks(newest, settings, ranks["session"]).means(ranks.select("ours", "uplift").to_numpy())
    kind, gate = Kind.ARTEFACT, settings.gate
    window: dict[str, Any] = {"first": newest["session"].min(), "last": newest["session"].max(), "against": against}
    told = {} if incumbent is None or against == Tier.RULE else incumbent.told
    if incumbent is not None and not changed and gate.same_recipe == "superior":
        return bounds.bound(kind, difference, 0.0, gate, newest, more={"difference": True} | told, **window)
    window["more"] = told
    if math.isnan(ours.mean):
        return Component.asked(kind, None, sessions=0, **window)
    replaced = number(ranks["theirs"].mean())
    least = max(replaced, 0.0) - gate.artefact_margin
    found = of_interval(ours) | {"threshold": least, "baseline": replaced} | window
    return Component.asked(kind, ours.mean >= least, Missing(by=least - ours.mean), **found)


def _orders(predictions: pl.DataFrame, by: str) -> pl.DataFrame:
    """Rank correlation with the outcome in each session, by the expected outcome and by another column.

    Returns session, ours, theirs, uplift, weighted by the number of events less one (the inverse of the variance), so
    that the mean over rows is the weighted mean.
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
    facts: dict[str, Any] = {
        "value": error,
        "threshold": most,
        "events": len(oos),
        "more": {"classes": list(task.classes)},
    }
    return [Component.asked(Kind.CALIBRATION, error <= most, Missing(by=error - most), **facts)]


def _parity(parity: Parity) -> Component:
    facts: dict[str, Any] = {"value": parity.largest_difference, "threshold": TOLERANCE}
    return Component.asked(Kind.PARITY, parity.holds, **facts, more={"flips": parity.flips, "rows": parity.rows})
