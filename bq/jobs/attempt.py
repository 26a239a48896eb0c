"""An attempt: enter it into the ledger, ask the gate, deploy. Without notebooks, pages or a run's record."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import polars as pl

from bq.audit import sound_features
from bq.core.errors import BadData
from bq.core.namespace import Namespace, Tier
from bq.core.settings import Settings
from bq.market import MarketData
from bq.serving import comparable, decide, gates, ledger, looks, ready, registry, verdict_text
from bq.serving.candidate import Candidate
from bq.serving.gates import Evidence, Incumbent, Verdict
from bq.serving.onnx import Parity
from bq.serving.registry import Artefact
from bq.strategies import registered
from bq.strategies.component import Component, Kind
from bq.strategies.contract import Strategy


class Attempt(NamedTuple):
    """A candidate as it comes before the gate.

    force : what was rolled back is wanted again.
    """

    made: Candidate
    events: pl.DataFrame  # that it was trained on
    market: MarketData
    strategy: Strategy
    settings: Settings
    run_id: str
    force: bool = False


class Answer(NamedTuple):
    """What the gate says of the candidate, and of the success-probability model beside it, where there is one."""

    ours: Verdict
    second: Verdict | None
    warnings: list[str]


def enter(asked: Attempt, *, quick: bool = False) -> None:
    """Enter an attempt and the models beside it into the ledger before it is judged, whatever becomes of it."""
    made, said = asked.made, dict[str, Any](run_id=asked.run_id, quick=quick)
    looks.enter_attempt(made.oos, asked.strategy, asked.settings, **said)
    if made.success_oos is not None:
        looks.enter_attempt(made.success_oos, asked.strategy, asked.settings, task=asked.strategy.success, **said)


def judge(asked: Attempt) -> Answer:
    """What the gate says of both tiers. The ledger has the attempt already (`enter`)."""
    made, settings, namespace = asked.made, asked.settings, asked.settings.namespace
    warnings: list[str] = []
    of: dict[str, Any] = {"strategy": asked.strategy, "settings": settings, "market": asked.market}
    sound = sound_features.components(made.artefact.bundle, asked.events, asked.market, asked.strategy, settings)
    own, standing = _evidence(asked, namespace, made.own_oos, made.newest, made.parity, warnings)
    oos, newest, parity = made.success_oos, made.success_newest, made.success_parity
    beside: tuple[Evidence | None, Incumbent | None] = (None, None)
    if oos is not None and newest is not None and parity is not None:
        beside = _evidence(asked, namespace.second, oos, newest, parity, warnings)
    ours, second = gates.judge(own, standing, *beside, **of)
    ours = _again(ours, own.recipe, standing, force=asked.force).also(sound)
    return Answer(ours, second and _again(second, own.recipe, beside[1], force=asked.force).also(sound), warnings)


def deploy(asked: Attempt, answer: Answer, made_by: Mapping[str, Any]) -> list[str]:
    """Deploy what the gate lets pass, the second tier first; return the ids. made_by : fields of the models' cards."""
    made, namespace, deployed = asked.made, asked.settings.namespace, []
    tiers = ((made.success, namespace.second, answer.second), (made.artefact, namespace, answer.ours))
    for artefact, whose, why in tiers:
        if artefact is None or why is None or not why.deploy:
            continue
        said = {
            "verdict": verdict_text.headline(why),
            "components": [verdict_text.part(component) for component in why.components],
        }
        whole = replace(artefact, card=artefact.card.model_copy(update={**made_by, **said}))
        deployed.append(registry.deploy(whose, whole, reason=verdict_text.headline(why), run_id=asked.run_id))
    return deployed


def _evidence(
    asked: Attempt,
    namespace: Namespace,
    oos: pl.DataFrame,
    newest: pl.DataFrame,
    parity: Parity,
    warnings: list[str],
) -> tuple[Evidence, Incumbent | None]:
    """What the gate reads of one tier, and what it holds it against."""
    standing = _standing(asked, namespace, oos, newest, warnings)
    recipe = comparable.way(asked.settings, asked.made.artefact.bundle.registered)
    earlier = ledger.on(namespace, oos["session"], oos["symbol"].unique(), without=asked.run_id)
    return Evidence(oos, newest, parity, recipe, earlier), standing


def _standing(
    asked: Attempt, namespace: Namespace, oos: pl.DataFrame, newest: pl.DataFrame, warnings: list[str]
) -> Incumbent | None:
    """The champion, or the second tier's, as the gate asks it; None where there is none, or it is damaged.

    A disk that fails to read it is no statement about it: that OSError ends the run, and the champion stays.
    """
    strategy, settings, tier = asked.strategy, asked.settings, namespace.tier
    name = verdict_text.AGAINST[tier]
    try:
        artefact, undone = _to_beat(namespace, warnings)
        if artefact is None:
            return None
        ready.belongs(artefact, strategy, namespace)
    except BadData as error:
        warnings.append(f"the {name} cannot be read and is judged as absent: {error}")
        return None
    own = registered.digests(strategy.features(settings).columns)
    recipe, values = comparable.incumbent_way(artefact, strategy, settings, own), None
    if recipe != comparable.way(settings, own):
        task = strategy.success if tier == Tier.SECOND else None
        values, told = comparable.incumbent_values(
            artefact, oos, asked.events, task=task, strategy=strategy, settings=settings
        )
        warnings += [f"the {name}'s recipe: {told}"] if told else []
    known = Incumbent(recipe, None, values, tier, undone)
    try:
        window = asked.events.join(newest.select("event_id"), on="event_id", how="semi")
        model = ready.ready(artefact, strategy, namespace)
        return known._replace(newest=decide.predict(model, window, strategy))
    except BadData as error:  # of another schema, say: its recipe can still be compared
        warnings.append(f"the {name} cannot answer on the newest window: {error}")
        return known


def _to_beat(namespace: Namespace, warnings: list[str]) -> tuple[Artefact | None, dt.datetime | None]:
    """The model that a candidate must beat, and when it was rolled back: the newest deployment, else what decides."""
    undone = registry.rolled_back(namespace)
    if undone is None:
        return registry.champion(namespace), None
    told = f"{undone.model_id}, deployed then rolled back {undone.at_utc:%Y-%m-%d %H:%M} UTC"
    try:
        artefact = registry.load(registry.folder(namespace, undone.model_id))
    except BadData as error:
        warnings.append(f"{told}, would have to be beaten, but cannot be read: {error}")
        return registry.champion(namespace), None
    warnings.append(f"{told}, must still be beaten")
    return artefact, undone.at_utc


def _again(found: Verdict, recipe: str, standing: Incumbent | None, *, force: bool) -> Verdict:
    """The verdict with what is asked of the way of training that was rolled back: to be wanted again, by FORCE=1."""
    if standing is None or standing.rolled_back is None or standing.recipe != recipe:
        return found
    more = {"rolled_back": standing.rolled_back.isoformat()}
    asked = Component.asked(Kind.ROLLED_BACK, force, against=standing.tier, more=more)
    return found._replace(deploy=found.deploy and force, components=[*found.components, asked])
