"""Out-of-sample probabilities for any event: none is by a model that was trained on the event's outcome.

Events after the champion's training are predicted by the champion itself, earlier ones by the walk-forward models of
its run, each trained on earlier events alone; events that neither predicts out of sample have no probability. A
backtester takes these probabilities as an argument and never loads a model.
"""

from enum import StrEnum
from typing import NamedTuple

import polars as pl

from bq.core import files, paths
from bq.core.errors import BadParameters
from bq.core.log import log
from bq.core.namespace import Namespace, Tier
from bq.core.settings import Settings
from bq.market import MarketData
from bq.serving import decide as tiers
from bq.serving import learnt, ledger, registry
from bq.serving.decide import Loaded, Models
from bq.serving.ready import Champion, WhyNot, ready
from bq.strategies import policy, store
from bq.strategies.contract import Strategy
from bq.strategies.policy import EXPECTED


class Predictor(StrEnum):
    """Who predicted a probability."""

    CHAMPION = "champion"
    WALK_FORWARD = "walk-forward"


ANSWERS = pl.Schema({"event_id": pl.String, "probability": pl.Float32, "traded": pl.Boolean, "predicted_by": pl.String})
NOTHING_KNOWN = pl.DataFrame(schema={"symbol": pl.String, "session": pl.Date, **ANSWERS})
IN_SAMPLE = (
    "predicted_class",
    "class_probabilities",
    "expected",
    "confidence",
)  # columns of a champion's prediction, removed where it is in sample


def load(strategy: Strategy, settings: Settings) -> Models:
    """`bq.serving.decide.load`; raises like `champion` where a backtester needs a model and there is none."""
    if strategy.backtester and settings.asks_model:
        return Models(Loaded(champion(strategy, settings)), None)
    return tiers.load(strategy, settings)


def champion(strategy: Strategy, settings: Settings) -> Champion:
    """The settings' champion. Raises BadParameters where there is none, BadData where it cannot answer."""
    artefact = registry.champion(settings.namespace)
    if artefact is None:
        without = f", or set {strategy.backtester.without_model}" if strategy.backtester else ""
        raise BadParameters(
            f"ML model does not exist: train first with `make retrain STRATEGY={strategy.name}` (and the same PARAMS)"
            f"{without}.{_why_none(settings.namespace)}"
        )
    return ready(artefact, strategy, settings.namespace)


def _why_none(namespace: Namespace) -> str:
    """The verdict on the newest attempt, where it deployed nothing."""
    last = ledger.last_attempt(namespace)
    if last is None or last["decision"] != "kept":
        return ""
    return f" The newest run {last['run_id']} trained a model that was not deployed: {last['verdict']['headline']}."


def probabilities(
    events: pl.DataFrame, strategy: Strategy, settings: Settings, model: Champion | None = None
) -> pl.DataFrame:
    """P(last class) of each event out of sample, by the champion of the settings' namespace and its run.

    Returns event_id, symbol, session, probability (null where none is known), traded (whether the policy of the model
    trades the event; null where there is no probability, and for a model stored without a policy) and predicted_by:
    CHAMPION where the event began after the champion's training ended, else WALK_FORWARD. model : the champion, None
    loads it. Of a session all events must be here.
    """
    model = model or champion(strategy, settings)
    later = events.filter(pl.col("t0") > model.trained_through)
    own = _answers(tiers.predict(model, later, strategy), model, Predictor.CHAMPION)
    earlier = _walk_forward(model).filter(~pl.col("event_id").is_in(own["event_id"].implode()))
    known = pl.concat([own, earlier])
    return events.select("event_id", "symbol", "session").join(known, on="event_id", how="left", maintain_order="left")


def _answers(predicted: pl.DataFrame, model: Champion, by: Predictor) -> pl.DataFrame:
    """Predictions as ANSWERS."""
    chosen = model.bundle.policy
    traded = pl.lit(None, pl.Boolean) if chosen is None else policy.traded(predicted, EXPECTED, chosen.k)
    columns = predicted.select("event_id", probability=model.probability, traded=traded, predicted_by=pl.lit(by.value))
    return columns.cast(ANSWERS)


def of_market(
    market: MarketData, strategy: Strategy, settings: Settings, model: Champion | None = None
) -> pl.DataFrame | None:
    """The `probabilities` of all events of a market; None where the settings use no model."""
    if not settings.asks_model:
        return None
    return probabilities(store.collect(strategy, settings, market).events, strategy, settings, model)


def _walk_forward(model: Champion) -> pl.DataFrame:
    """Out-of-sample predictions of the run that made the model, as ANSWERS; no row where the run is gone."""
    path = paths.outputs() / model.run_id / "oos.parquet"
    try:
        made = files.read_parquet(path).filter(pl.col("model") == model.bundle.model)
        return _answers(made, model, Predictor.WALK_FORWARD).filter(pl.col("probability").is_finite())
    except (OSError, pl.exceptions.PolarsError) as error:
        log.warning(
            "events before the end of the champion's training have no probability: %s cannot be read (%s)", path, error
        )
        return pl.DataFrame(schema=ANSWERS)


class Ranking(NamedTuple):
    """By what a backtested portfolio ranks events: their probabilities, see `of_market`, and the priorities."""

    known: pl.DataFrame | None  # None where the settings use no model
    priority: pl.DataFrame  # session, symbol, priority


def ranking(
    market: MarketData, strategy: Strategy, settings: Settings, models: Models, events: pl.DataFrame | None = None
) -> Ranking | None:
    """How the backtester ranks every event of a market; None for a strategy that has none.

    events : all of the market, None collects them. No rank depends on a later session. Where models have no champion,
    as `bq.serving.decide.load` gives them, no probability is known.
    """
    if strategy.backtester is None:
        return None
    if settings.asks_model and models.champion.model is None:
        known = None
    elif events is None or not settings.asks_model:
        known = of_market(market, strategy, settings, models.champion.model)
    else:
        known = probabilities(events, strategy, settings, models.champion.model)
    asked = NOTHING_KNOWN if known is None else known
    return Ranking(known, strategy.backtester.priority(market, settings, asked))


def decide(
    events: pl.DataFrame,
    market: MarketData,
    strategy: Strategy,
    settings: Settings,
    models: Models | None = None,
    ranked: Ranking | None = None,
) -> pl.DataFrame:
    """`bq.serving.decide.decide`; for a strategy that is backtested as a portfolio, by the backtester's priority.

    Then with probability, traded, predicted_by (a Predictor) and priority, by which events are ranked; one without
    priority is not traded. An event from the champion's training time has the probability of the walk-forward, or none.

    ranked : as from `ranking`, for one who decides on many sessions; None ranks the market's events.
    """
    models = models or load(strategy, settings)
    if settings.asks_learnt:
        events = learnt.attached(events, market, strategy, settings)
    answer = tiers.decide(events, strategy, settings, models)
    ranked = ranked or ranking(market, strategy, settings, models)
    if ranked is None:
        return answer
    known = ranked.known
    if known is None:
        known = events.select("event_id", "symbol", "session").with_columns(
            *(pl.lit(None, kind).alias(name) for name, kind in list(ANSWERS.items())[1:])
        )
    both = answer.join(known.drop("symbol", "session"), on="event_id", how="left", maintain_order="left").join(
        ranked.priority.with_columns(pl.when(pl.col("priority").is_finite()).then("priority").alias("priority")),
        on=["session", "symbol"],
        how="left",
        maintain_order="left",
    )
    return _by_priority(both)


def _by_priority(answer: pl.DataFrame) -> pl.DataFrame:
    """Decide by `priority`; in-sample predictions of the champion are removed."""
    by = pl.col("predicted_by")
    own, none = by == Predictor.CHAMPION.value, by.is_null()
    rule = {"tier": Tier.RULE.value, "model": Tier.RULE.label}
    judged = answer.with_columns(
        *(pl.when(own).then(name).alias(name) for name in IN_SAMPLE),
        *(pl.when(none).then(pl.lit(value)).otherwise(name).alias(name) for name, value in rule.items()),
        why_not_champion=pl.when(none).then(pl.coalesce("why_not_champion", pl.lit(WhyNot.IN_SAMPLE.value))),
        in_sample=pl.lit(False),
        threshold=pl.lit(None, pl.Float64),
        most_a_session=pl.lit(None, pl.Int32),
        should_trade=pl.col("priority").is_not_null(),
        percentile=pl.col("priority").rank("max").over("session") / pl.len().over("session"),
    )
    return judged.sort(["priority", "event_id"], descending=[True, False], nulls_last=True)
