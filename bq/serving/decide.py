"""The answer for an event: champion, success-probability model or rule score; the tier is always named."""

import datetime as dt
from typing import NamedTuple

import polars as pl

from bq.core.errors import BadData
from bq.core.log import log
from bq.core.namespace import Namespace, Tier
from bq.core.settings import Settings
from bq.serving import registry, support
from bq.serving.onnx import Session
from bq.serving.registry import Artefact
from bq.strategies.contract import Strategy

IN_SAMPLE = "in sample, no evidence"
OUTSIDE = "; outside the training support: "  # in a reason, before the features that do
_NO_CLASSES = {
    "predicted_class": pl.lit(None, pl.String),
    "class_probabilities": pl.lit(None, pl.List(pl.Float32)),
    "confidence": pl.lit(None, pl.Float64),
}
SHOWN = ("event_id", "symbol", "session", "source", "score")


class Champion(NamedTuple):
    """A deployed model ready to answer."""

    model_id: str
    bundle: dict
    session: Session


def champion(strategy: Strategy, namespace: Namespace) -> tuple[Champion | None, str]:
    """The deployed model of a namespace, or None and why it cannot answer."""
    try:
        artefact = registry.champion(namespace)
        if artefact is None:
            return None, "no model was deployed yet"
        return ready(artefact, strategy), ""
    except (BadData, OSError) as error:  # damaged or unreadable: the rule score answers
        log.error("%s", error)
        return None, str(error)


def ready(artefact: Artefact, strategy: Strategy) -> Champion:
    """Load an artefact's graph; BadData where its schema is not that of the strategy's features."""
    features = strategy.feature_set(artefact.bundle["features"])
    if features is None or features.schema_hash != artefact.bundle["schema_hash"]:
        known = set(features.columns) if features else set()
        theirs = set(artefact.bundle["columns"])
        raise BadData(
            f"model {artefact.model_id}: its features must be those of {artefact.bundle['features']}, but missing: "
            f"{sorted(theirs - known)}, unexpected: {sorted(known - theirs)} (or in another order). Retrain."
        )
    return Champion(artefact.model_id, artefact.bundle, Session(artefact.graph))


def predict(model: Champion, events: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    """The events with the model's columns: expected, and of a classifier predicted and p_<class>."""
    x = strategy.feature_set(model.bundle["features"]).matrix(events)
    answer = model.session.predict(x, *strategy.cells(events))
    answered = events.with_columns(pl.Series("expected", answer.expected))
    if not model.bundle["classes"]:
        return answered
    probabilities = {f"p_{name}": answer.probabilities[:, i] for i, name in enumerate(model.bundle["classes"])}
    return answered.with_columns(
        pl.Series("predicted", answer.probabilities.argmax(axis=1)),
        **{name: pl.Series(values) for name, values in probabilities.items()},
    )


def decide(events: pl.DataFrame, strategy: Strategy, settings: Settings) -> pl.DataFrame:
    """Decide on each event, by the first tier that can answer: champion, success-probability model, rule score.

    Returns the events' event_id, symbol, session, source, score and the answer: predicted_class, class_probabilities,
    expected_roi, confidence, should_trade, tier, reason, model, and the percentile of the event among those of its
    session by what decided (1 is best); best first. `reason` says why each tier before could not answer.
    """
    model, why = champion(strategy, settings.namespace) if settings.asks_model else (None, "not asked")
    if model is not None:
        least = model.bundle["trade_above"]
        trade = pl.col("expected") > least
        reason = pl.format("expected outcome {} against {}", pl.col("expected").round(3), pl.lit(least))
        return _by_model(model, events, strategy, by="expected", trade=trade, reason=reason, tier=Tier.CHAMPION)
    second, second_why = champion(strategy, settings.namespace.second)
    if second is not None:
        cut = second.bundle["threshold"]
        probability = pl.col(f"p_{second.bundle['classes'][-1]}")
        reason = pl.format(
            "P(success) {} against {}; champion: {}", probability.round(3), pl.lit(round(cut, 3)), pl.lit(why)
        )
        by = f"p_{second.bundle['classes'][-1]}"
        return _by_model(second, events, strategy, by=by, trade=probability >= cut, reason=reason, tier=Tier.SECOND)
    trade_at = strategy.baseline(settings)
    text, reasons = "rule score {} against {}; champion: {}", [why]
    if strategy.success:
        text, reasons = f"{text}; success model: {{}}", [why, second_why]
    reason = pl.format(text, pl.col("score").round(1), pl.lit(trade_at), *map(pl.lit, reasons))
    answer = events.select(
        *SHOWN,
        **_NO_CLASSES,
        expected_roi=pl.lit(None, pl.Float64),
        percentile=_percentile("score"),
        should_trade=pl.col("score") >= trade_at,
        tier=pl.lit(Tier.RULE.value),
        reason=reason,
        model=pl.lit("rule score"),
    )
    return answer.sort(["score", "event_id"], descending=[True, False])


def _by_model(
    model: Champion, events: pl.DataFrame, strategy: Strategy, *, by: str, trade: pl.Expr, reason: pl.Expr, tier: Tier
) -> pl.DataFrame:
    classes = dict(enumerate(model.bundle["classes"]))
    trained = dt.datetime.fromisoformat(model.bundle["trained_through"])
    seen = pl.lit(f"{IN_SAMPLE} (the model was trained on events up to {trained:%Y-%m-%d}): ")
    reason = pl.when(pl.col("t0") <= trained).then(pl.concat_str(seen, reason)).otherwise(reason)
    names = [f"p_{name}" for name in classes.values()]
    doubtful, reason = _outside(model, events, strategy, reason)
    ranked = doubtful.sort([by, "event_id"], descending=[True, False])
    chances = (
        {
            "predicted_class": pl.col("predicted").replace_strict(classes, return_dtype=pl.String),
            "class_probabilities": pl.concat_list(names),
            "confidence": pl.max_horizontal(names).cast(pl.Float64),
        }
        if classes
        else _NO_CLASSES
    )
    return ranked.select(
        *SHOWN,
        **chances,
        expected_roi=pl.col("expected").cast(pl.Float64),
        percentile=_percentile(by),
        should_trade=trade,
        tier=pl.lit(tier.value),
        reason=reason,
        model=pl.lit(model.model_id),
    )


def _outside(
    model: Champion, events: pl.DataFrame, strategy: Strategy, reason: pl.Expr
) -> tuple[pl.DataFrame, pl.Expr]:
    """The predicted events and their reasons, with the features named that lie outside the training support.

    Logs a warning where the share of such events is above `support.ALERT_ABOVE`.
    """
    features = strategy.feature_set(model.bundle["features"])
    outside = support.outside(model.bundle["support"], features, features.matrix(events))
    names = [", ".join(name for name, out in zip(features.columns, row, strict=True) if out) for row in outside]
    share = float(outside.any(axis=1).mean()) if len(outside) else 0.0
    if share > support.ALERT_ABOVE:
        log.warning("model %s: %.0f%% of the events lie outside its training support", model.model_id, 100 * share)
    answered = predict(model, events, strategy).with_columns(outside=pl.Series(names, dtype=pl.String))
    told = pl.concat_str(reason, pl.lit(OUTSIDE), "outside")
    return answered, pl.when(pl.col("outside") == "").then(reason).otherwise(told)


def _percentile(by: str) -> pl.Expr:
    """Share of the session's events that do not rank above, in (0, 1]."""
    return pl.col(by).rank("max").over("session") / pl.len().over("session")
