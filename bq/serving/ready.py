"""Checks that every stored model must pass before it predicts anything.

`registry.load` checks that its files are undamaged. Checked here: strategy, market and tier of the model, its features,
inputs and outputs, that the graph can be loaded, and that it still predicts the rows stored with it (`Probe`) as it did
after its training.
"""

import datetime as dt
import math
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bq import strategies
from bq.core.errors import BadData, BQError
from bq.core.namespace import Namespace, Tier
from bq.runs import folder as runs
from bq.serving import registry
from bq.serving.model_records import Bundle, Probe
from bq.serving.registry import Artefact
from bq.serving.session import TOLERANCE, Cells, Session
from bq.strategies import registered
from bq.strategies.contract import Strategy
from bq.strategies.events import FeatureSet

SIMULATED = "simulated"
REMEDY = "`make rollback` or retrain."


class WhyNot(StrEnum):
    """Why a tier did not answer."""

    NOT_ASKED = "not_asked"
    NOT_DEPLOYED = "not_deployed"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"
    OTHER_STRATEGY = "other_strategy"
    OTHER_SOURCE = "other_source"  # trained on a simulated market and asked on a real one, or the other way
    OTHER_TIER = "other_tier"
    INCOMPLETE = "incomplete"  # its description contradicts itself
    OTHER_SCHEMA = "other_schema"
    FEATURE_CHANGED = "feature_changed"  # the file that registers a feature of the user's own
    NOT_LOADABLE = "not_loadable"  # by the runtime of today, or with other inputs and outputs than its description
    OTHER_ANSWER = "other_answer"  # to the rows stored with it
    FAILED = "failed"  # the runtime, when it was asked
    NON_FINITE = "non_finite"  # for this event
    IN_SAMPLE = "in_sample"
    NO_SECOND_TIER = "no_second_tier"


class CannotAnswer(BadData):
    """A model whose files are whole and that must not answer."""

    def __init__(self, why: WhyNot, message: str) -> None:
        super().__init__(message)
        self.why = why


class Champion(NamedTuple):
    """A deployed model ready to answer."""

    model_id: str
    bundle: Bundle
    session: Session
    features: FeatureSet  # what it asks of an event
    run_id: str = ""  # of the run that made it

    @property
    def trained_through(self) -> dt.datetime:
        """The latest end of an event that it was trained on."""
        return self.bundle.trained_through

    @property
    def probability(self) -> str:
        """Column of its predictions with the probability of the last class."""
        return f"p_{self.bundle.classes[-1]}"


def ready(artefact: Artefact, strategy: Strategy, namespace: Namespace) -> Champion:
    """The model as one that may answer in this namespace. Raises CannotAnswer."""
    belongs(artefact, strategy, namespace)
    features = _same_schema(artefact, strategy)
    return Champion(artefact.model_id, artefact.bundle, answering(artefact), features, artefact.card.run_id)


def belongs(artefact: Artefact, strategy: Strategy, namespace: Namespace) -> None:
    """Raise CannotAnswer unless the model is one of this strategy, market and tier, and its description is complete."""
    bundle, where = artefact.bundle, f"model {artefact.model_id} in {namespace}"
    if not bundle.strategy == namespace.strategy == strategy.name:
        raise CannotAnswer(
            WhyNot.OTHER_STRATEGY,
            f"{where}: must be of strategy {namespace.strategy}, but is of {bundle.strategy}. {REMEDY}",
        )
    if (bundle.source == SIMULATED) != namespace.simulated:
        kind = "a simulated market" if namespace.simulated else "real prices"
        raise CannotAnswer(
            WhyNot.OTHER_SOURCE, f"{where}: must be trained on {kind}, but its source is {bundle.source}. {REMEDY}"
        )
    if (tier := _tier(bundle, strategy)) != namespace.tier:
        raise CannotAnswer(
            WhyNot.OTHER_TIER, f"{where}: must be a {namespace.tier.label}, but is a {tier.label}. {REMEDY}"
        )
    if fault := _incomplete(artefact):
        raise CannotAnswer(WhyNot.INCOMPLETE, f"{where}: {fault}. {REMEDY}")


def _tier(bundle: Bundle, strategy: Strategy) -> Tier:
    """Which tier a model is of; one stored without is known by its classes."""
    if bundle.tier is not None:
        return bundle.tier
    second = strategy.success
    alike = second is not None and (*second.classes, *second.edges) == (*bundle.classes, *bundle.edges)
    return Tier.SECOND if alike else Tier.CHAMPION


def _incomplete(artefact: Artefact) -> str:
    """What contradicts itself in the description of a model, empty where nothing does."""
    bundle, run_id = artefact.bundle, artefact.card.run_id
    if len(bundle.edges) != max(len(bundle.classes) - 1, 0) or len(bundle.classes) == 1:
        return f"must have one edge less than classes, but has {len(bundle.edges)} and {len(bundle.classes)}"
    if bundle.tier == Tier.SECOND and bundle.threshold is None:
        return "must have a threshold, but has none"
    if run_id and runs.final(run_id).parent != runs.final("a_run").parent:
        return f"must name a run of outputs/, but its card names {run_id!r}"
    for name in bundle.columns:
        ends = [bundle.support.get(name, {}).get(end, "nothing") for end in ("low", "high")]
        if not all(end is None or (isinstance(end, int | float) and math.isfinite(end)) for end in ends):
            return f"must hold the range of feature {name}, but has {ends}"
    return ""


def _same_schema(artefact: Artefact, strategy: Strategy) -> FeatureSet:
    bundle = artefact.bundle
    features = _features(bundle, strategy)
    if features and features.schema_hash == bundle.schema_hash and list(features.columns) == bundle.columns:
        _same_files(artefact)
        return features
    known, theirs = set(features.columns) if features else set(), set(bundle.columns)
    raise CannotAnswer(
        WhyNot.OTHER_SCHEMA,
        f"model {artefact.model_id}: its features must be those of {bundle.features}, but missing: "
        f"{sorted(theirs - known)}, unexpected: {sorted(known - theirs)} (or in another order). Retrain.",
    )


def _features(bundle: Bundle, strategy: Strategy) -> FeatureSet | None:
    """The features of today by the name that a model has them under; of a policy, what it sees."""
    if bundle.tier == Tier.WEIGHTS:
        return strategy.weighing.state if strategy.weighing else None
    return strategy.feature_set(bundle.features)


def _same_files(artefact: Artefact) -> None:
    """Raise CannotAnswer where a file of the user's own features is another than the model was trained with."""
    bundle = artefact.bundle
    today = registered.digests(bundle.columns)
    changed = [name for name, digest in bundle.registered.items() if today.get(name) != digest]
    if changed:
        raise CannotAnswer(
            WhyNot.FEATURE_CHANGED,
            f"model {artefact.model_id}: the files of its features must be those it was trained with, but these were "
            f"changed: {', '.join(changed)}. Bring the file back or retrain.",
        )


def answering(artefact: Artefact) -> Session:
    """The graph, loaded, with the inputs and outputs of its description, and answering its probe. Raises CannotAnswer.

    A model stored without a probe (by version 0.1) is believed without one.
    """
    bundle, what = artefact.bundle, f"model {artefact.model_id}"
    try:
        session = Session(artefact.graph)
    except BadData as error:
        raise CannotAnswer(WhyNot.NOT_LOADABLE, f"{what}: {error}") from None
    needed = _cells(bundle)
    if session.cells != needed:
        raise CannotAnswer(
            WhyNot.NOT_LOADABLE,
            f"{what}: its graph must have the inputs and outputs {needed}, but has {session.cells}. {REMEDY}",
        )
    if bundle.probe is not None and not _reproduces(session, bundle.probe, what):
        raise CannotAnswer(
            WhyNot.OTHER_ANSWER,
            f"{what}: must answer the rows stored with it as it did when it was made, within {TOLERANCE:g}, but does "
            f"not; were packages changed? {REMEDY}",
        )
    return session


def _cells(bundle: Bundle) -> Cells:
    """Name, kind and width of what a graph takes and gives; see `bq.serving.session`."""
    features, classes = len(bundle.columns), len(bundle.classes)
    takes, gives = {"features": ("tensor(float)", features)}, {"expected": ("tensor(float)", 1)}
    if bundle.tier == Tier.WEIGHTS:
        actions = len(bundle.probe.probabilities[0]) if bundle.probe and bundle.probe.probabilities else 0
        return takes | {"values": ("tensor(float)", actions), "action": ("tensor(int64)", 1)}
    if classes:
        takes |= {"category": ("tensor(int64)", 1), "size": ("tensor(float)", 1)}
        gives |= {"probabilities": ("tensor(float)", classes)}
    return takes | gives


def _reproduces(session: Session, probe: Probe, what: str) -> bool:
    rows = _float32(probe.features)
    shapes = rows.ndim == 2 and len(rows) == len(probe.category) == len(probe.size) == len(probe.expected)
    if not shapes:
        return False
    try:
        if session.is_policy:
            values, actions = session.predict_policy(rows)
            found = [values, actions.astype(np.float32)]
        else:
            found = list(session.predict(rows, np.array(probe.category, np.int64), _float32(probe.size)))
    except BadData as error:
        raise CannotAnswer(WhyNot.NOT_LOADABLE, f"{what}: {error}") from None
    stored = (_float32(probe.probabilities).reshape(len(rows), -1), _float32(probe.expected))  # as it answers
    return all(
        known.shape == own.shape and bool((np.abs(known - own) <= TOLERANCE).all())  # of NaN it is false
        for known, own in zip(stored, found, strict=True)
    )


def _float32(values: list) -> NDArray[np.float32]:
    """NaN where JSON has null; an array of no shape where rows differ in length."""
    try:
        return np.array(values, dtype=np.float32)
    except ValueError:
        return np.zeros((), np.float32)


def decides(namespace: Namespace) -> registry.Decider:
    """What decides by the pointers: the first of the two tiers whose model may answer, else the rule score."""
    for tier in (namespace.champion, namespace.second):
        try:
            found = registry.champion(tier)
            if found is not None:
                return registry.Decider(tier.tier, ready(found, strategies.get(tier.strategy), tier).model_id)
        except (BQError, OSError):
            continue
    return registry.Decider(Tier.RULE)
