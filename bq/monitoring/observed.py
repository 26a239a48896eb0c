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
from bq.monitoring import outcomes, reference
from bq.monitoring.predictions import Promise, Subject
from bq.monitoring.reference import Reference
from bq.serving import registry
from bq.serving.registry import Artefact
from bq.strategies.contract import Strategy


class Observed(NamedTuple):
    """The decisions of a namespace, and its models."""

    subject: Subject
    counted: pl.DataFrame  # of `outcomes.counted`
    references: Mapping[str, Reference]  # of each model that decided or is deployed, as far as it was stored with one
    deployed: Artefact | None  # the champion

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
    counted = outcomes.counted(namespace, through=through)
    deployed = registry.champion(namespace)
    known = {deployed.model_id: deployed} if deployed is not None else {}
    for model_id, tier in counted.select("model_id", "tier").drop_nulls().unique().sort("model_id").rows():
        if model_id not in known and (artefact := _stored(namespace, model_id, Tier(tier))) is not None:
            known[model_id] = artefact
    references = {model_id: kept for model_id, one in known.items() if (kept := _reference(one)) is not None}
    promises = {model_id: _promise(one, references.get(model_id)) for model_id, one in known.items()}
    return Observed(Subject(strategy, settings, promises), counted, references, deployed)


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
