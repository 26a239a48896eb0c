"""Decisions that count as predictions: what was said of each event beside what came, one tier at a time."""

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from bq.core.namespace import Tier
from bq.core.settings import Settings
from bq.strategies import policy
from bq.strategies.contract import Strategy
from bq.strategies.policy import FROM, SCORE
from bq.strategies.task import Task

DECIDED = "decided"  # 1 where an event was traded, else null: what `policy.chosen` then chooses


class Promise(NamedTuple):
    """What was known of a model before it decided."""

    prior: tuple[float, ...] | None = None  # shares of its classes among the events that it was made from
    k: int | None = None  # most trades a session
    score_from: float | None = None  # rule score that makes about as many trades


class Subject(NamedTuple):
    """Whose decisions are measured, and by what.

    promises : by model id. A model without one is measured against the shares of classes in hindsight, and the rule
    score against its own threshold.
    """

    strategy: Strategy
    settings: Settings
    promises: Mapping[str, Promise]

    def task(self, tier: Tier) -> Task:
        """What a tier predicts; of the rule score nothing, but what it is held against is the strategy's own."""
        second = self.strategy.success
        return second if tier == Tier.SECOND and second is not None else self.strategy.task(self.settings)

    @property
    def is_portfolio(self) -> bool:
        """Whether decisions have weights of a portfolio instead of equal slots."""
        return self.strategy.value.sizes is not None


def tiers(counted: pl.DataFrame) -> list[Tier]:
    """Who decided, the champion first."""
    return [Tier(tier) for tier in counted["tier"].unique().sort().to_list()]


def matured(counted: pl.DataFrame, tier: Tier, subject: Subject) -> pl.DataFrame:
    """What a tier said of events that have an outcome, in the shape of `bq.learning.walkforward` predictions.

    counted : of `bq.monitoring.outcomes.counted`. Decisions in sample are left out: they show what a model remembers.

    Adds to the columns: `label` as index of its class (of a regression the z-score, null where that takes features),
    `predicted` the same of the likeliest class, p_<class> and prior_<class> (of a tier with classes, null where it gave
    none), `in_hindsight` (whether the prior is of the very events it is held against), `held`, `rule_held` and
    `even`: the share of the session's capital that decision, rule score and taking every event gave to the event.
    `rule_held` is null of a portfolio, whose weights by the rule score are not recorded. The rule score chooses among
    the decisions of the session that have an outcome.
    """
    known = pl.col("outcome").is_not_null() & ~pl.col("in_sample").fill_null(False)
    own = counted.filter(known & (pl.col("tier") == tier.value)).sort("session", "event_id")
    task = subject.task(tier)
    said = _classes(own, task, subject, tier) if task.classes else own.with_columns(label=_z_score(own, task))
    return _held(said, subject)


def _z_score(rows: pl.DataFrame, task: Task) -> pl.Expr:
    """Label of a regression; null where it is freed of what records do not hold (`Task.beta`, `Task.volatility`)."""
    needed = [name for name in (task.beta, task.volatility) if name is not None]
    return task.label(pl.col("outcome")) if set(needed) <= set(rows.columns) else pl.lit(None, pl.Float64)


def _classes(rows: pl.DataFrame, task: Task, subject: Subject, tier: Tier) -> pl.DataFrame:
    """Label, predicted class, probabilities and priors; a class that the record does not name by the outcome."""
    index = {name: place for place, name in enumerate(task.classes)}
    named = pl.col("label").replace_strict(index, default=None, return_dtype=pl.Int64)
    fits = pl.col("probabilities").list.len() == len(task.classes)
    rows = rows.with_columns(
        label=pl.coalesce(named, task.label(pl.col("outcome"))),
        probabilities=pl.when(fits & (tier != Tier.RULE)).then("probabilities"),
    )
    chances = {f"p_{name}": pl.col("probabilities").list.get(place) for name, place in index.items()}
    rows = rows.with_columns(predicted=pl.col("probabilities").list.arg_max().cast(pl.Int64), **chances)
    shares = [rows["label"].eq(place).mean() for place in index.values()]
    known = {model: promise.prior for model, promise in subject.promises.items() if promise.prior is not None}
    priors = {
        f"prior_{name}": pl.col("model_id").replace_strict(
            {model: prior[place] for model, prior in known.items()}, default=shares[place], return_dtype=pl.Float64
        )
        for name, place in index.items()
    }
    return rows.with_columns(in_hindsight=~pl.col("model_id").is_in(list(known)).fill_null(False), **priors)


def _held(rows: pl.DataFrame, subject: Subject) -> pl.DataFrame:
    """The weight of each event by decision, rule score and without choosing."""
    even = 1.0 / pl.len().over("session")
    if subject.is_portfolio:
        weight = pl.col("weight").fill_null(0.0)
        return rows.with_columns(held=weight, rule_held=pl.lit(None, pl.Float64), even=even)
    parts = [_slots(group, subject) for group in rows.partition_by("model_id", maintain_order=True)]
    held = pl.concat(parts) if parts else pl.DataFrame(schema={"event_id": pl.String, **_WEIGHTS})
    return rows.with_columns(even=even).join(held, on="event_id", how="left", maintain_order="left")


_WEIGHTS = {"held": pl.Float64, "rule_held": pl.Float64}


def _slots(rows: pl.DataFrame, subject: Subject) -> pl.DataFrame:
    """Of one model's decisions: event_id, held, rule_held, slots of equal size as `policy.chosen` makes them."""
    promise = subject.promises.get(rows["model_id"][0] or "")
    least = subject.strategy.task(subject.settings).trade_score if promise is None else promise.score_from
    k = subject.settings.policy.k if promise is None else promise.k
    made = rows.with_columns(pl.when("should_trade").then(1.0).alias(DECIDED), pl.lit(least, pl.Float64).alias(FROM))
    found = rows.select("event_id")
    for name, by in (("held", DECIDED), ("rule_held", SCORE)):
        weight = policy.chosen(made, by, k).select("event_id", pl.col("weight").alias(name))
        found = found.join(weight, on="event_id", how="left", maintain_order="left")
    return found.with_columns(pl.col(*_WEIGHTS).fill_null(0.0).cast(pl.Float64))
