"""Decisions on events, by champion, success-probability model or rule score; facts in columns, no text.

Models are loaded once, with every hash checked (`load`), and then decide as often as they are asked.
"""

from typing import NamedTuple

import numpy as np
import polars as pl

from bq.core.errors import BadData
from bq.core.log import log
from bq.core.namespace import Namespace, Tier
from bq.core.settings import Settings
from bq.serving import registry, support
from bq.serving.ready import CannotAnswer, Champion, WhyNot, ready
from bq.strategies import policy
from bq.strategies.contract import Strategy
from bq.strategies.events import OWN, UTC
from bq.strategies.policy import ABOVE, EXPECTED, FROM, PROBABILITY_FROM, SCORE
from bq.strategies.weighing import LEARNT, LEARNT_WEIGHTS

SHOWN = ("event_id", "symbol", "session", "source", "score")
ANSWER = {  # columns of a decision after those; null where a tier does not know them
    "predicted_class": pl.String(),
    "class_probabilities": pl.List(pl.Float32()),
    "confidence": pl.Float64(),
    "expected": pl.Float64(),
    "percentile": pl.Float64(),
    "should_trade": pl.Boolean(),
    "threshold": pl.Float64(),  # of the expected outcome, of the probability of success, or of the rule score
    "most_a_session": pl.Int32(),  # of all that are beyond the threshold, the best so many are traded; null: all
    "tier": pl.Int32(),
    "model": pl.String(),
    "trained_through": UTC,  # latest end of an event that the model was trained on
    "in_sample": pl.Boolean(),
    "outside_support": pl.List(pl.String()),  # features that lie outside the range of the model's training
    "why_not_champion": pl.String(),
    "champion_fault": pl.String(),
    "why_not_second": pl.String(),
    "second_fault": pl.String(),
}
BY_LEARNT = {  # behind them, where learnt weights are asked for; null where none are deployed
    LEARNT: pl.Float64(),  # the rule score by them: the rules choose as many by it as by the score
    LEARNT_WEIGHTS: pl.List(pl.Float64()),  # by component
}


class Loaded(NamedTuple):
    """A tier that was asked for: its model, or why there is none and, where there is one, the error's sentence."""

    model: Champion | None
    why_not: WhyNot | None = None
    fault: str | None = None


class Models(NamedTuple):
    """Both tiers, ready to decide; the second is None, and asked when it is needed, where the champion answers."""

    champion: Loaded
    second: Loaded | None

    @property
    def first(self) -> tuple[Tier, Champion | None]:
        """The first tier that has a model, and that; of the rule score none."""
        if self.champion.model is not None:
            return Tier.CHAMPION, self.champion.model
        if self.second is not None and self.second.model is not None:
            return Tier.SECOND, self.second.model
        return Tier.RULE, None


def load(strategy: Strategy, settings: Settings) -> Models:
    """Load the models that decide by these settings."""
    asked = settings.asks_model
    champion = load_tier(strategy, settings.namespace) if asked else Loaded(None, WhyNot.NOT_ASKED)
    if champion.model is not None:
        return Models(champion, None)
    return Models(champion, _second(strategy, settings))


def _second(strategy: Strategy, settings: Settings) -> Loaded:
    if strategy.success is None:
        return Loaded(None, WhyNot.NO_SECOND_TIER)
    return load_tier(strategy, settings.namespace.second) if settings.asks_model else Loaded(None, WhyNot.NOT_ASKED)


def load_tier(strategy: Strategy, namespace: Namespace) -> Loaded:
    """The deployed model of a namespace, or why it cannot answer: then the next tier does."""
    why, fault = WhyNot.DAMAGED, ""
    try:
        artefact = registry.champion(namespace)
        if artefact is None:
            return Loaded(None, WhyNot.NOT_DEPLOYED)
        return Loaded(ready(artefact, strategy, namespace))
    except CannotAnswer as error:
        why, fault = error.why, str(error)
    except BadData as error:
        fault = str(error)
    except OSError as error:
        why, fault = WhyNot.UNREADABLE, str(error)
    log.error("%s", fault)
    return Loaded(None, why, fault)


def predict(model: Champion, events: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    """The events with the model's columns: expected, and of a classifier predicted and p_<class>.

    And with its thresholds (`bq.strategies.policy`), so that a choice among them is that of `decide`.

    An event for which an answer is not finite is left out: NaN ranks above every number, and would be traded first.
    Raises CannotAnswer where the runtime fails, or the events lack a feature that a labelled table had; BadData where
    they lack one of the strategy's.
    """
    lacking = [name for name in model.features.columns if name not in events.columns]
    if lacking and model.features.name.startswith(OWN):
        raise CannotAnswer(
            WhyNot.OTHER_SCHEMA,
            f"model {model.model_id}: events must have the features of the table that it learned from, but lack "
            f"{', '.join(lacking)}. Collect a table that has them, or retrain on what bars give.",
        )
    x = model.features.matrix(events)
    try:
        answer = model.session.predict(x, *strategy.table.cells(events))
    except BadData as error:
        raise CannotAnswer(WhyNot.FAILED, f"model {model.model_id}: {error}") from None
    score_from = model.bundle.policy.score_from if model.bundle.policy else None
    answered = events.with_columns(
        pl.Series(EXPECTED, answer.expected),
        pl.lit(model.bundle.trade_above).alias(ABOVE),
        pl.lit(model.bundle.threshold, pl.Float64).alias(PROBABILITY_FROM),
        pl.lit(score_from, pl.Float64).alias(FROM),
    )
    if model.bundle.classes:
        probabilities = {f"p_{name}": answer.probabilities[:, i] for i, name in enumerate(model.bundle.classes)}
        answered = answered.with_columns(
            pl.Series("predicted", answer.probabilities.argmax(axis=1)),
            **{name: pl.Series(values) for name, values in probabilities.items()},
        )
    finite = np.isfinite(answer.expected) & np.isfinite(answer.probabilities).all(axis=1)
    return answered.filter(pl.Series(finite))


def decide(events: pl.DataFrame, strategy: Strategy, settings: Settings, models: Models | None = None) -> pl.DataFrame:
    """Decide on each event, by the first tier that can answer: champion, success-probability model, rule score.

    Traded is what `bq.strategies.policy.traded` chooses of all the events of a session, which must be here together.

    models : as from `load`, for one who decides more than once; None loads them.

    Returns the events' event_id, symbol, session, source and score, then the columns of ANSWER, best first; behind them
    what a later tier decided, where the one before had no finite answer. `percentile` is the event's among those of its
    session that the same tier decided (1 is best). `why_not_champion` and `why_not_second` hold a WhyNot where that
    tier was needed and did not answer, `champion_fault` and `second_fault` the error's sentence where there is one.
    """
    champion, second = models or load(strategy, settings)
    parts: list[pl.DataFrame] = []
    refusals: dict[str, WhyNot | str | None] = {}
    left = events
    for tier, name, loaded in ((Tier.CHAMPION, "champion", champion), (Tier.SECOND, "second", second)):
        known = loaded or _second(strategy, settings)
        made, why_not, fault = _asked(known, left, strategy, tier)
        if made is not None:
            parts.append(_refused(made, refusals))
            left = left.join(made, on="event_id", how="anti", maintain_order="left")
            if left.is_empty():
                return _within(pl.concat(parts))
        refusals |= {f"why_not_{name}": why_not, f"{name}_fault": fault}
    rule = _by_rule(left, strategy.task(settings).trade_score, settings.policy.k)
    return _within(pl.concat([*parts, _refused(rule, refusals)]))


def _within(answer: pl.DataFrame) -> pl.DataFrame:
    """The answers of several tiers, which together trade no more of a session than each may alone."""
    place = pl.col("should_trade").cum_sum().over("session")
    fits = pl.col("most_a_session").is_null() | (place <= pl.col("most_a_session"))
    return answer.with_columns(should_trade=pl.col("should_trade") & fits)


def as_deployed(settings: Settings, model: Champion) -> Settings:
    """The settings with as many trades a session as a deployed model was judged by, whatever they say now."""
    k = model.bundle.policy.k if model.bundle.policy else None
    return settings.model_copy(update={"policy": settings.policy.model_copy(update={"k": k})})


Asked = tuple[pl.DataFrame | None, WhyNot | None, str | None]  # an answer, and why it leaves events out


def _asked(loaded: Loaded, events: pl.DataFrame, strategy: Strategy, tier: Tier) -> Asked:
    """What a tier decides, and why it does not decide on the rest."""
    if loaded.model is None:
        return None, loaded.why_not, loaded.fault
    try:
        made = _by_model(loaded.model, events, strategy, tier=tier)
    except CannotAnswer as error:
        log.error("%s", error)
        return None, error.why, str(error)
    fault = None
    if missing := len(events) - len(made):
        counts = f"{missing} of {len(events)} events"
        fault = f"model {loaded.model.model_id}: must answer with finite numbers, but did not for {counts}"
        log.error("%s", fault)
    return made, WhyNot.NON_FINITE, fault


def _refused(answer: pl.DataFrame, refusals: dict[str, str | None]) -> pl.DataFrame:
    return answer.with_columns(**{name: pl.lit(value, pl.String) for name, value in refusals.items()})


def _by_rule(events: pl.DataFrame, threshold: float, k: int | None) -> pl.DataFrame:
    known = events.with_columns(pl.col(SCORE).fill_nan(None), pl.lit(threshold).alias(FROM))
    taken, by = policy.traded(known, SCORE, k), SCORE
    if LEARNT in known.columns and known[LEARNT].is_not_null().any():
        taken, by = policy.as_many(known, LEARNT, taken), LEARNT
    return _answer(
        known.with_columns(taken).sort([by, "event_id"], descending=[True, False], nulls_last=True),
        percentile=_percentile(by),
        should_trade=pl.col("traded"),
        threshold=pl.lit(threshold),
        most_a_session=pl.lit(k),
        tier=pl.lit(Tier.RULE.value),
        model=pl.lit(Tier.RULE.label),
        in_sample=pl.lit(False),
        outside_support=pl.lit([], pl.List(pl.String)),
    )


def _by_model(model: Champion, events: pl.DataFrame, strategy: Strategy, *, tier: Tier) -> pl.DataFrame:
    """The first tier decides by what is expected, the second by the probability of success."""
    by, threshold = (EXPECTED, ABOVE) if tier == Tier.CHAMPION else (model.probability, PROBABILITY_FROM)
    k = model.bundle.policy.k if model.bundle.policy else None
    classes = dict(enumerate(model.bundle.classes))
    answered = predict(model, events, strategy)
    answered = answered.with_columns(policy.traded(answered, by, k), outside_support=_outside(model, answered))
    return _answer(
        answered.sort([by, "event_id"], descending=[True, False]),
        **(_chances(classes) if classes else {}),
        expected=pl.col(EXPECTED),
        percentile=_percentile(by),
        should_trade=pl.col("traded"),
        threshold=pl.col(threshold),
        most_a_session=pl.lit(k),
        tier=pl.lit(tier.value),
        model=pl.lit(model.model_id),
        trained_through=pl.lit(model.trained_through),
        in_sample=pl.col("t0") <= model.trained_through,
        outside_support=pl.col("outside_support"),
    )


def _chances(classes: dict[int, str]) -> dict[str, pl.Expr]:
    names = [f"p_{name}" for name in classes.values()]
    return {
        "predicted_class": pl.col("predicted").replace_strict(classes, return_dtype=pl.String),
        "class_probabilities": pl.concat_list(names),
        "confidence": pl.max_horizontal(names),
    }


def _answer(events: pl.DataFrame, **known: pl.Expr) -> pl.DataFrame:
    """The columns of a decision: those known, null for the rest."""
    columns = {name: known.get(name, pl.lit(None)).cast(kind) for name, kind in ANSWER.items()}
    return events.select(*SHOWN, **columns, **{name: name for name in BY_LEARNT if name in events.columns})


def _outside(model: Champion, events: pl.DataFrame) -> pl.Series:
    """Features of each event that lie outside the training support.

    Logs a warning where the share of such events is above `support.ALERT_ABOVE`.
    """
    outside = support.outside(model.bundle.support, model.features, model.features.matrix(events))
    names = [[name for name, out in zip(model.features.columns, row, strict=True) if out] for row in outside]
    share = float(outside.any(axis=1).mean()) if len(outside) else 0.0
    if share > support.ALERT_ABOVE:
        log.warning("model %s: %.0f%% of the events lie outside its training support", model.model_id, 100 * share)
    return pl.Series("outside_support", names, dtype=pl.List(pl.String))


def _percentile(by: str) -> pl.Expr:
    """Share of the session's events that do not rank above, in (0, 1]."""
    return pl.col(by).rank("max").over("session") / pl.len().over("session")
