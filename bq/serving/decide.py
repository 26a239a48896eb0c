"""The answer for an event: by the champion, else by the rule score; the tier that answered is always named."""

from typing import NamedTuple

import polars as pl

from bq.core.errors import BadData
from bq.core.log import log
from bq.core.settings import Settings
from bq.learning.metrics import TRADE_ABOVE
from bq.serving import registry
from bq.serving.onnx import Session
from bq.serving.registry import Artefact
from bq.strategies.contract import Strategy

CHAMPION, RULE = 1, 3  # tier 2, the success-probability model, is not there yet


class Champion(NamedTuple):
    """A deployed model ready to answer."""

    model_id: str
    bundle: dict
    session: Session


def champion(strategy: Strategy, settings: Settings) -> tuple[Champion | None, str]:
    """The champion, or None and why it cannot answer."""
    try:
        artefact = registry.champion(settings.shelf)
        if artefact is None:
            return None, "no model was deployed yet"
        return ready(artefact, strategy), ""
    except (BadData, OSError) as error:  # damaged or unreadable: the rule score answers
        log.error("%s", error)
        return None, str(error)


def ready(artefact: Artefact, strategy: Strategy) -> Champion:
    """Load an artefact's graph; BadData where its schema is not that of the strategy's features."""
    features = strategy.feature_sets.get(artefact.bundle["features"])
    if features is None or features.schema_hash != artefact.bundle["schema_hash"]:
        known = set(features.columns) if features else set()
        theirs = set(artefact.bundle["columns"])
        raise BadData(
            f"model {artefact.model_id}: its features must be those of {artefact.bundle['features']}, but missing: "
            f"{sorted(theirs - known)}, unexpected: {sorted(known - theirs)} (or in another order). Retrain."
        )
    return Champion(artefact.model_id, artefact.bundle, Session(artefact.graph))


def predict(model: Champion, events: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    """The events with the model's columns: expected, predicted, p_<class>."""
    x = strategy.feature_sets[model.bundle["features"]].matrix(events)
    answer = model.session.predict(x, *strategy.cells(events))
    probabilities = {f"p_{name}": answer.probabilities[:, i] for i, name in enumerate(model.bundle["classes"])}
    return events.with_columns(
        pl.Series("expected", answer.expected),
        pl.Series("predicted", answer.probabilities.argmax(axis=1)),
        **{name: pl.Series(values) for name, values in probabilities.items()},
    )


def decide(events: pl.DataFrame, strategy: Strategy, settings: Settings) -> pl.DataFrame:
    """Decide on each event.

    Returns the events' event_id, symbol, session, source, score and the answer: predicted_class, class_probabilities,
    expected_roi, confidence, should_trade, tier, reason, model; best first.
    """
    model, why = champion(strategy, settings)
    shown = ["event_id", "symbol", "session", "source", "score"]
    if model is None:
        trade_at = strategy.baseline(settings)
        answer = events.select(
            *shown,
            predicted_class=pl.lit(None, pl.String),
            class_probabilities=pl.lit(None, pl.List(pl.Float32)),
            expected_roi=pl.lit(None, pl.Float64),
            confidence=pl.lit(None, pl.Float64),
            should_trade=pl.col("score") >= trade_at,
            tier=pl.lit(RULE),
            reason=pl.format(
                "rule score {} against {}; champion: {}", pl.col("score").round(1), pl.lit(trade_at), pl.lit(why)
            ),
            model=pl.lit("rule score"),
        )
        return answer.sort(["score", "event_id"], descending=[True, False])
    classes = model.bundle["classes"]
    names = [f"p_{name}" for name in classes]
    answer = predict(model, events, strategy).select(
        *shown,
        predicted_class=pl.col("predicted").replace_strict(dict(enumerate(classes)), return_dtype=pl.String),
        class_probabilities=pl.concat_list(names),
        expected_roi=pl.col("expected").cast(pl.Float64),
        confidence=pl.max_horizontal(names).cast(pl.Float64),
        should_trade=pl.col("expected") > TRADE_ABOVE,
        tier=pl.lit(CHAMPION),
        reason=pl.format("expected ROI {} against {}", pl.col("expected").round(3), pl.lit(TRADE_ABOVE)),
        model=pl.lit(model.model_id),
    )
    return answer.sort(["expected_roi", "event_id"], descending=[True, False])
