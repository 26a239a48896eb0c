"""The champion gate: recipe and artefact, kept apart; anything inconclusive keeps what is deployed.

Recipe: does this way of training earn anything? Judged on its out-of-sample predictions by what they earn, beyond the
rule score and beyond all events (`bq.serving.earned`), and, where the recipe has changed, against what the champion's
recipe earned on the same sessions.
Artefact: is this fitted model sound? Judged on the newest window, which it was not trained on (`bq.serving.newest`).

Every component must hold, each at the level of `gate.alpha`, so that all together err no more often than that one which
errs least (intersection-union). The models of two tiers in one attempt share the level: see `judge`.
"""

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from bq.core.errors import BadParameters
from bq.core.namespace import Tier
from bq.core.scalars import day
from bq.core.settings import Gate, Settings
from bq.learning import metrics
from bq.runs.verdict import Loosened
from bq.serving import bounds, deflation, earned, floors, learnt
from bq.serving.bounds import blocks
from bq.serving.newest import artefact
from bq.serving.onnx import Parity
from bq.serving.session import TOLERANCE
from bq.stats import drawdown
from bq.stats.blocks import HOLDINGS, Blocks
from bq.strategies import policy
from bq.strategies.component import Component, Kind, Missing
from bq.strategies.contract import Strategy
from bq.strategies.task import Task

if TYPE_CHECKING:
    from bq.market import MarketData


BEYOND = {  # what of an uplift is deflated
    Tier.CHAMPION: (Kind.ALPHA, Kind.OVER_ALL),
    Tier.SECOND: (Kind.OVER_ALL,),
    Tier.WEIGHTS: (Kind.ALPHA, Kind.OVER_ALL),
}
TRADES = "net outcome of the trades above the threshold"


class Verdict(NamedTuple):
    """Decision of the gate on a model of a tier, and its components."""

    deploy: bool
    tier: Tier
    components: list[Component]
    loosened: Sequence[Loosened] = ()  # parameters of the gate that are looser than what needs no mention

    @property
    def failed(self) -> list[Component]:
        """Components that do not hold or are inconclusive."""
        return [component for component in self.components if not component.holds]

    def also(self, components: list[Component]) -> "Verdict":
        """The verdict where these must hold too; one that does not comes first, as the rest means nothing then."""
        held = [component for component in components if component.holds]
        failed = [component for component in components if not component.holds]
        everything = [*failed, *self.components, *held]
        return self._replace(deploy=all(component.holds for component in everything), components=everything)

    @property
    def level(self) -> float | None:
        """The one-sided level of the bounds that decide; None where there are none."""
        return next((component.alpha for component in self.components if component.alpha is not None), None)

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


def judge(
    ours: Evidence,
    standing: Incumbent | None,
    second: Evidence | None = None,
    second_standing: Incumbent | None = None,
    *,
    strategy: Strategy,
    settings: Settings,
    market: "MarketData | None" = None,
) -> tuple[Verdict, Verdict | None]:
    """Judge the models of one attempt, the champion's tier and the second, which share `gate.alpha` by Holm's rule.

    Each is asked at half the level. Where one holds, the other is asked at the whole of it (Holm 1979: the probability
    that either is deployed without skill stays within alpha). Intervals are of the whole level all the same; the bound
    that decides stands beside them.
    """
    of: dict[str, Any] = {"strategy": strategy, "settings": settings}
    if second is None:
        return decide(ours, standing, market=market, **of), None
    half = at_level(settings, settings.gate.alpha / 2.0)
    first = decide(ours, standing, strategy=strategy, settings=half, market=market)
    other = decide_success(second, second_standing, strategy=strategy, settings=half)
    whole, beside = decide(ours, standing, market=market, **of), decide_success(second, second_standing, **of)
    return (
        whole if other.deploy else _with_intervals(first, whole),
        beside if first.deploy else _with_intervals(other, beside),
    )


def at_level(settings: Settings, alpha: float | None) -> Settings:
    """The settings with another level of the gate's bounds; the same ones for None."""
    if alpha is None:
        return settings
    return settings.model_copy(update={"gate": settings.gate.model_copy(update={"alpha": alpha})})


def _with_intervals(found: Verdict, of: Verdict) -> Verdict:
    """A verdict with the intervals of the same one at another level."""
    parts = []
    for mine, theirs in zip(found.components, of.components, strict=True):
        changes: dict[str, Any] = {"low": theirs.low, "high": theirs.high}
        if mine.alpha is not None:
            changes["bound"] = mine.low
        parts.append(mine if mine.low is None else mine.model_copy(update=changes))
    return found._replace(components=parts)


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
    pairs = earned.results(found.oos, strategy, settings, market)
    shown = earned.recipe(found.oos, pairs, strategy.value.name(settings), settings)
    shown += strategy.value.requirements(found.oos, settings, market)
    task = strategy.task(settings)
    return _judge(found, incumbent, pairs, shown, Tier.CHAMPION, task=task, settings=settings)


def decide_success(found: Evidence, incumbent: Incumbent | None, *, strategy: Strategy, settings: Settings) -> Verdict:
    """Judge a success-probability model against the deployed one, by what the policy earns when it ranks by it.

    They must earn more than nothing, and than all events do. Each out-of-sample event has the threshold that the
    training of its fold chose.
    """
    task, oos = strategy.success, found.oos
    if task is None:
        raise BadParameters(f"{strategy.name}: must have a second tier to be judged, but has none.")
    rule = strategy.value.earned(oos, "score", settings).rename({"value": "baseline"})
    ours = success_values(oos, task, settings).rename({"value": "model"})
    pairs = ours.join(rule, on="session", how="left", maintain_order="left")
    everything = strategy.value.earned(oos, None, settings).rename({"value": "everything"})
    pairs = pairs.join(everything, on="session", how="left", maintain_order="left")
    traded = policy.traded(oos, task.probability, settings.policy.k)
    columns = np.column_stack([pairs["model"].to_numpy(), earned.series(pairs)[Kind.OVER_ALL]])
    net, over = blocks(oos, settings, pairs["session"]).means(columns)
    sample: dict[str, Any] = {
        "baseline": pairs["everything"].mean(),
        "events": len(oos),
        "more": {"traded": int(traded.sum())},
    }
    shown = [
        bounds.bound(Kind.NET_OF_TRADES, net, 0.0, settings.gate, oos, **sample),
        earned.over_all(over, oos, pairs, settings, of=TRADES),
    ]
    found = found._replace(newest=_by_probability(found.newest, task))
    if incumbent is not None and incumbent.newest is not None:
        incumbent = incumbent._replace(newest=_by_probability(incumbent.newest, task))
    return _judge(found, incumbent, pairs, shown, Tier.SECOND, task=task, settings=settings)


def decide_weights(
    found: Evidence,
    incumbent: Incumbent | None,
    *,
    strategy: Strategy,
    settings: Settings,
    market: "MarketData | None" = None,
) -> Verdict:
    """Judge a policy of score weights, as a model, by what the score earns when its weights move.

    oos and newest of the evidence have the learnt score, which must rank as `expected` does. It is held against the
    score as it is, which trades as many events in each session.
    """
    oos = found.oos.sort("session", "event_id")
    pairs = learnt.earned(oos, strategy, settings)
    shown = earned.recipe(oos, pairs, strategy.value.name(settings), settings)
    shown += strategy.value.requirements(oos, settings, market)
    task = Task(outcome=strategy.task(settings).outcome)  # a score is no probability
    return _judge(found._replace(oos=oos), incumbent, pairs, shown, Tier.WEIGHTS, task=task, settings=settings)


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
    resampled = blocks(oos, settings, pairs["session"])
    span = round(resampled.block / HOLDINGS)
    components = [
        *_sample(oos, gate),
        *shown,
        *([] if changed is None else [_changed(oos, pairs, changed, settings)]),
        *_drawdown(pairs, gate, resampled),
        *deflation.components(pairs, found.trials, gate, beyond=BEYOND[tier], span=span),
        _artefact(found, incumbent, tier, settings, changed=changed is not None),
        *_calibration(oos, task, settings),
        _parity(found.parity),
    ]
    looser = floors.loosened(gate, classes=bool(task.classes))
    return Verdict(all(component.holds for component in components), tier, components, looser)


def _artefact(
    found: Evidence, incumbent: Incumbent | None, tier: Tier, settings: Settings, *, changed: bool
) -> Component:
    """`newest.artefact` against what must be beaten."""
    if incumbent is None:
        return artefact(found.newest, None, tier, settings, changed=changed)
    component = artefact(found.newest, incumbent.newest, incumbent.tier, settings, changed=changed)
    return component.model_copy(update={"more": component.more | incumbent.told})


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


def _drawdown(pairs: pl.DataFrame, settings: Gate, resampled: Blocks) -> list[Component]:
    """The drawdown must not be credibly larger than the rule score's.

    Refused is one above `gate.max_drawdown_ratio` times the rule score's that is larger than the rule score's (and than
    that, if less) in all but a share `gate.alpha` of resampled histories: of two series of one law the drawdowns often
    differ by half.
    """
    most = settings.max_drawdown_ratio
    if most is None:
        return []
    ours, rule = (drawdown.maximum_of_sum(pairs[name]) for name in ("model", "baseline"))
    small = ours <= most * rule
    beaten = min(most, 1.0) * pairs["baseline"]
    share = None if small else drawdown.share_no_larger(pairs["model"], beaten, resampled)
    facts: dict[str, Any] = {
        "value": ours,
        "threshold": most * rule,
        "baseline": rule,
        "against": Tier.RULE,
        "alpha": settings.alpha,
        "more": {"ratio": most, "no_larger": share},
    }
    holds = share is None or share >= settings.alpha
    return [Component.asked(Kind.DRAWDOWN, holds, Missing(by=ours - most * rule), **facts)]


def _calibration(oos: pl.DataFrame, task: Task, settings: Settings) -> list[Component]:
    """Probabilities must not be credibly worse calibrated than the training's class shares on the same sessions.

    Where win rates move from year to year, constants have an error above a tenth there, and so has the best model.
    Refused is an error above `gate.max_calibration_error` whose excess over that of the shares is above 0 by its lower
    bound; both are debiased (`bq.stats.calibration`). Inconclusive where the sample has no bound to tell.
    """
    gate = settings.gate
    most = gate.max_calibration_error
    if most is None or not task.classes:
        return []
    found = metrics.calibration_beside_prior(oos, task, blocks=blocks(oos, settings))
    facts: dict[str, Any] = {
        "value": found.error,
        "threshold": most,
        "baseline": found.reference,
        "events": len(oos),
        "blocks": found.blocks,
        "alpha": gate.alpha,
        "more": {"classes": list(task.classes), "excess": found.excess, "excess_low": found.low},
    }
    worse = None if np.isnan(found.low) else found.low > 0.0
    holds = True if found.error <= most else None if worse is None else not worse
    by = min(found.error - most, found.excess if worse is None else found.low)
    return [Component.asked(Kind.CALIBRATION, holds, Missing(by=by), **facts)]


def _parity(parity: Parity) -> Component:
    facts: dict[str, Any] = {"value": parity.largest_difference, "threshold": TOLERANCE}
    counts = {"flips": parity.flips, "rows": parity.rows} | ({"ties": parity.ties} if parity.ties else {})
    return Component.asked(Kind.PARITY, parity.holds, **facts, more=counts)
