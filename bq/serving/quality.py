"""Probabilities of a champion that are evidence: none of them is by a model that saw how the event ended.

After its training the champion itself is asked. Before, what the walk-forward models of its run said out of sample,
each trained on earlier events alone; for events that neither judged so there is no probability. The backtester takes
these as an argument and never looks for a model.
"""

import datetime as dt
from typing import NamedTuple

import polars as pl

from bq.core import files, paths
from bq.core.errors import BadParameters
from bq.core.log import log
from bq.core.namespace import Namespace, Tier
from bq.core.settings import Settings
from bq.market import MarketData
from bq.serving import decide as tiers
from bq.serving import ledger, registry
from bq.serving.decide import Champion
from bq.serving.registry import Artefact
from bq.strategies import store
from bq.strategies.contract import Strategy

CHAMPION, WALK_FORWARD = "champion", "walk-forward"  # who gave a probability
ANSWERS = {"event_id": pl.String, "probability": pl.Float32, "said_by": pl.String}


class Asked(NamedTuple):
    """A champion and what is known of its making."""

    model: Champion
    artefact: Artefact

    @property
    def trained_through(self) -> dt.datetime:
        """The latest end of an event that it was trained on."""
        return dt.datetime.fromisoformat(self.model.bundle["trained_through"])


def champion(strategy: Strategy, settings: Settings) -> Asked:
    """The settings' champion. Raises BadParameters where there is none, BadData where it cannot answer."""
    artefact = registry.champion(settings.namespace)
    if artefact is None:
        raise BadParameters(
            f"ML model does not exist: train first with `make retrain STRATEGY={strategy.name}` (and the same PARAMS)"
            + (", or set ml.enabled: false." if strategy.priority else ".")
            + _why_none(settings.namespace)
        )
    return Asked(tiers.ready(artefact, strategy), artefact)


def _why_none(namespace: Namespace) -> str:
    """What the newest attempt said, where it deployed nothing."""
    last = ledger.last_attempt(namespace)
    if last is None or last["decision"] != "kept":
        return ""
    return f" The newest run {last['run_id']} did train one: {last['verdict']['headline']}."


def probabilities(events: pl.DataFrame, strategy: Strategy, settings: Settings) -> pl.DataFrame:
    """P(last class) of each event out of sample, by the champion of the settings' namespace and its run.

    Returns event_id, symbol, session, probability (null where none is known) and said_by: CHAMPION where the event
    began after the champion's training ended, else WALK_FORWARD.
    """
    asked = champion(strategy, settings)
    name = f"p_{asked.model.bundle['classes'][-1]}"
    later = events.filter(pl.col("t0") > asked.trained_through)
    own = tiers.predict(asked.model, later, strategy).select(
        "event_id", pl.col(name).alias("probability"), said_by=pl.lit(CHAMPION)
    )
    earlier = _walk_forward(asked.artefact, name).filter(~pl.col("event_id").is_in(own["event_id"].implode()))
    said = pl.concat([own.cast(ANSWERS), earlier])
    return events.select("event_id", "symbol", "session").join(said, on="event_id", how="left", maintain_order="left")


def said_of(market: MarketData, strategy: Strategy, settings: Settings) -> pl.DataFrame | None:
    """The `probabilities` of all events of a market; None where the settings ask no model."""
    if not settings.asks_model:
        return None
    return probabilities(store.collect(strategy, settings, market).events, strategy, settings)


def _walk_forward(artefact: Artefact, name: str) -> pl.DataFrame:
    """What the recipe said out of sample in the run that made the model, as ANSWERS; nothing where the run is gone."""
    run_id = artefact.card.get("run_id", "")
    path = paths.outputs() / run_id / "oos.parquet"
    try:
        made = files.read_parquet(path).filter(pl.col("model") == artefact.bundle["model"])
        return made.select("event_id", pl.col(name).alias("probability"), said_by=pl.lit(WALK_FORWARD)).cast(ANSWERS)
    except (OSError, pl.exceptions.PolarsError) as error:
        log.warning("no probability before the champion's training ended: %s cannot be read (%s)", path, error)
        return pl.DataFrame(schema=ANSWERS)


def decide(events: pl.DataFrame, market: MarketData, strategy: Strategy, settings: Settings) -> pl.DataFrame:
    """`bq.serving.decide.decide`; where the strategy combines score and probability, by the backtester's priority.

    Then also probability and priority; by it events are ranked, and without it not traded. An event of the time that
    the champion was trained on has the walk-forward's probability, or none.
    """
    answer = tiers.decide(events, strategy, settings)
    if strategy.priority is None:
        return answer
    said = said_of(market, strategy, settings)
    if said is None:
        said = events.select("event_id", "symbol", "session").with_columns(
            probability=pl.lit(None, pl.Float32), said_by=pl.lit(None, pl.String)
        )
    priority = strategy.priority(market, settings, said)
    both = answer.join(said.drop("symbol", "session"), on="event_id", how="left", maintain_order="left").join(
        priority, on=["session", "symbol"], how="left", maintain_order="left"
    )
    return _by_priority(both, settings)


def _by_priority(answer: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Decide by `priority`; what a model said in sample is taken back."""
    own = pl.col("said_by") == CHAMPION
    in_sample = ("predicted_class", "class_probabilities", "expected_roi", "confidence")
    trade = pl.col("priority").is_not_null()
    judged = answer.with_columns(
        *(pl.when(own).then(name).alias(name) for name in in_sample),
        tier=pl.when(pl.col("said_by").is_null()).then(pl.lit(Tier.RULE.value)).otherwise(pl.lit(Tier.CHAMPION.value)),
        should_trade=trade,
        percentile=pl.col("priority").rank("max").over("session") / pl.len().over("session"),
        reason=_reason(settings),
    ).with_columns(model=pl.when(pl.col("said_by").is_null()).then(pl.lit("rule score")).otherwise("model"))
    return judged.sort(["priority", "event_id"], descending=[True, False], nulls_last=True)


def _reason(settings: Settings) -> pl.Expr:
    """What decided, in words."""
    score = pl.format("rule score {}", pl.col("score").round(3))
    if not settings.asks_model:
        return pl.concat_str(score, pl.lit("; ml.enabled is false: no model is asked"))
    ml = settings.ml
    chance = pl.col("probability").cast(pl.Float64).round(3)
    dropped = pl.format("P(R > 0) {} below {}: not traded ({})", chance, pl.lit(ml.confidence_threshold), "said_by")
    weighed = pl.format("P(R > 0) {} ({}), {}, by {}", chance, "said_by", score, pl.lit(ml.prediction_mode))
    alone = pl.concat_str(score, pl.lit(" alone: no probability is out of sample"))
    outside = pl.col("reason").str.extract(f"({tiers.OUTSIDE}.*)$").fill_null("")
    said = pl.when(pl.col("said_by").is_null()).then(alone).when(pl.col("priority").is_null()).then(dropped)
    return pl.concat_str(said.otherwise(weighed), outside)
