"""What monitoring looks at, read once: the decisions that count, who made them, and what was promised of them."""

import datetime as dt
from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from bq.core.errors import BadData
from bq.core.log import log
from bq.core.namespace import Namespace, Tier
from bq.core.scalars import number
from bq.core.settings import Settings
from bq.market import MarketData
from bq.monitoring import checks, outcomes, reference
from bq.monitoring.checks import Alert, Check, What
from bq.monitoring.predictions import Promise, Subject
from bq.monitoring.reference import Reference
from bq.serving import registry
from bq.serving.registry import Artefact
from bq.strategies import store
from bq.strategies.contract import Strategy


class Observed(NamedTuple):
    """The decisions of a namespace, and its models."""

    subject: Subject
    counted: pl.DataFrame  # of `outcomes.counted`
    references: Mapping[str, Reference]  # of each model that decided or is deployed, as far as it was stored with one
    deployed: Artefact | None  # the champion
    checks: tuple[Check, ...] = ()  # recorded of the deployed model, oldest first
    alerts: tuple[Alert, ...] = ()  # open ones
    events: pl.DataFrame | None = None  # that were decided on, with their features; None where they are not asked for

    @property
    def reference(self) -> Reference | None:
        """That of the deployed model."""
        return None if self.deployed is None else self.references.get(self.deployed.model_id)


def of(strategy: Strategy, settings: Settings, *, through: dt.date | None = None) -> Observed:
    """Read what monitoring looks at. through : what stood at the end of that day, None for all that is known.

    A model whose folder is gone or damaged is measured as one without a promise; a warning says which.
    Raises BadData where the deployed model is damaged.
    """
    namespace = settings.namespace
    found = among(strategy, settings, outcomes.counted(namespace, through=through))
    return found._replace(checks=_recorded(namespace, found.deployed), alerts=tuple(checks.opened(namespace)))


def among(strategy: Strategy, settings: Settings, counted: pl.DataFrame) -> Observed:
    """`of` for one who has the decisions, without checks and alerts. counted : as from `outcomes.counted`."""
    namespace = settings.namespace
    deployed = registry.champion(namespace)
    known = {deployed.model_id: deployed} if deployed is not None else {}
    for model_id, tier in counted.select("model_id", "tier").drop_nulls().unique().sort("model_id").rows():
        if model_id not in known and (artefact := _stored(namespace, model_id, Tier(tier))) is not None:
            known[model_id] = artefact
    references = {model_id: kept for model_id, one in known.items() if (kept := _reference(one)) is not None}
    promises = {model_id: _promise(one, references.get(model_id)) for model_id, one in known.items()}
    return Observed(Subject(strategy, settings, promises), counted, references, deployed)


def with_events(observed: Observed, market: MarketData) -> Observed:
    """The same with the events that were decided on, as far as today's bars and rules build them."""
    subject = observed.subject
    wanted = dict(observed.counted.group_by("symbol").agg(pl.col("session").unique().sort()).rows())
    built = store.on(subject.strategy, subject.settings, market, wanted)
    if built.is_empty():
        return observed
    return observed._replace(events=built.join(observed.counted.select("event_id"), on="event_id", how="semi"))


def _recorded(namespace: Namespace, deployed: Artefact | None) -> tuple[Check, ...]:
    if deployed is None:
        return ()
    of_kind = (checks.history(namespace, what=what, model_id=deployed.model_id) for what in What)
    return tuple(check for found in of_kind for check in found)


def _stored(namespace: Namespace, model_id: str, tier: Tier) -> Artefact | None:
    try:
        return registry.load(registry.folder(namespace.second if tier == Tier.SECOND else namespace, model_id))
    except (BadData, OSError) as error:
        log.warning("model %s decided, but what it promised is not known: %s", model_id, error)
        return None


def _reference(artefact: Artefact) -> Reference | None:
    try:
        return reference.of_model(artefact)
    except BadData as error:
        log.warning("%s", error)
        return None


def _promise(artefact: Artefact, kept: Reference | None) -> Promise:
    """Shares of the classes among the events of its reference, and its policy."""
    chosen, prior = artefact.bundle.policy, None
    if kept is not None and kept.classes and not (known := kept.rows["label"].drop_nulls()).is_empty():
        prior = tuple(number((known == name).mean()) for name in kept.classes)
    return Promise(prior, chosen.k if chosen else None, chosen.score_from if chosen else None)
