"""Looks at out-of-sample results, made of predictions for the ledger: of a run, or of someone at a prompt."""

from typing import Any

import polars as pl

from bq.core import files
from bq.core.namespace import Namespace
from bq.core.scalars import number_or_none
from bq.core.section import Affects, part
from bq.core.settings import Settings
from bq.learning import metrics
from bq.runs import folder
from bq.serving import gates, ledger
from bq.serving.basis import events_digest
from bq.serving.candidate import recipe_digest
from bq.serving.ledger import GATE, LOOK, Look
from bq.serving.ready import Champion
from bq.strategies import registered
from bq.strategies.contract import Strategy
from bq.strategies.task import Task


def enter(oos: pl.DataFrame, strategy: Strategy, settings: Settings, *, task: Task | None = None) -> None:
    """Enter the models of a training into the ledger, before anyone sees what they earned.

    oos : as of a Training. task : of the models, default the strategy's own. In a run they are looks of the run; by
    hand the same training on the same events, looked at again, is one look.
    """
    namespace = _whose(strategy, settings, task)
    study = folder.under_way_id() or _by_hand(oos, namespace, strategy, settings)
    ledger.record(namespace, looks(oos, strategy, settings, study, task=task))


def enter_attempt(
    oos: pl.DataFrame, strategy: Strategy, settings: Settings, run_id: str, *, quick: bool, task: Task | None = None
) -> None:
    """Enter what a retrain asks the gate about, and the models shown beside it. quick : the gate deploys nothing."""
    namespace = _whose(strategy, settings, task)
    made = looks(oos, strategy, settings, run_id, task=task)
    asked = made[0] if quick else made[0]._replace(kind=GATE)
    ledger.record(namespace, [*made[1:], asked])


def enter_paths(paths: pl.DataFrame, strategy: Strategy, settings: Settings) -> None:
    """Enter a combinatorial cross-validation: the mean over its paths is one look. paths : with `path`."""
    each = [_series(own, strategy, settings, None) for _, own in paths.group_by("path", maintain_order=True)]
    series = pl.concat(each).group_by("session").agg(pl.col(ledger.SERIES).mean()).sort("session")
    own = paths.filter(pl.col("path") == paths["path"][0])
    study = _by_hand(own, settings.namespace, strategy, settings, "paths")
    ledger.record(settings.namespace, [_look(study, 0, series, own, settings, recipe=recipe_of(settings, strategy))])


def enter_evaluation(said: pl.DataFrame, champion: Champion, strategy: Strategy, settings: Settings) -> None:
    """Enter what a champion earned on the time that it was not trained on. said : its predictions."""
    told = [str(settings.namespace), champion.model_id, events_digest(said), part(settings, Affects.JUDGING)]
    study = f"evaluation {files.digest(told)}"
    look = _look(
        study, 0, _series(said, strategy, settings, None), said, settings, recipe=recipe_of(settings, strategy)
    )
    parameters = {"recipe": champion.bundle.recipe, "model": champion.bundle.model, "model_id": champion.model_id}
    ledger.record(settings.namespace, [look._replace(parameters=parameters, recipe=champion.bundle.recipe)])


def looks(
    oos: pl.DataFrame, strategy: Strategy, settings: Settings, study: str, *, task: Task | None = None
) -> list[Look]:
    """One look for each model, the candidate first."""
    learning = settings.learning
    parts = {str(model): own for (model,), own in oos.group_by("model", maintain_order=True)}
    found = []
    for number, model in enumerate(sorted(parts, key=lambda name: name != learning.model)):
        own = settings.model_copy(update={"learning": learning.model_copy(update={"model": model})})
        series = _series(parts[model], strategy, settings, task)
        found.append(_look(study, number, series, parts[model], own, recipe=recipe_of(own, strategy)))
    return found


def recipe_of(settings: Settings, strategy: Strategy) -> str:
    """Digest of a recipe, see `candidate.recipe_digest`, with the user's own features as their files are now."""
    return recipe_digest(settings, registered.digests(strategy.features(settings).columns))


def _look(study: str, number: int, series: pl.DataFrame, oos: pl.DataFrame, settings: Settings, *, recipe: str) -> Look:
    """A look at one model's result. settings : with that model as the candidate."""
    shown = {name: number_or_none(series[name].mean()) for name in ledger.SERIES} | {"sessions": len(series)}
    return Look(
        kind=LOOK,
        study=study,
        number=number,
        parameters={"recipe": recipe, "model": settings.learning.model},
        series=series,
        symbols=oos["symbol"].unique(),
        recipe=recipe,
        events=events_digest(oos),
        shown=shown,
    )


def _series(oos: pl.DataFrame, strategy: Strategy, settings: Settings, task: Task | None) -> pl.DataFrame:
    """What one model's decisions earned in each session, the rule score's, and taking every event."""
    pairs = metrics.versus(oos, strategy, settings).rename({"model": "value"})
    if task is None:
        return pairs.select("session", *ledger.SERIES)
    own = gates.success_values(oos, task, settings)
    return own.join(pairs.drop("value"), on="session", how="left").select("session", *ledger.SERIES)


def _whose(strategy: Strategy, settings: Settings, task: Task | None) -> Namespace:
    """The namespace of the tier that the task is learned for."""
    return settings.namespace.second if task and task == strategy.success else settings.namespace


def _by_hand(oos: pl.DataFrame, namespace: Namespace, strategy: Strategy, settings: Settings, how: str = "") -> str:
    """Name of what is looked at: it changes with the way of training, the events, and what decisions are worth."""
    told: list[Any] = [str(namespace), how, oos["model"].unique().sort().to_list(), recipe_of(settings, strategy)]
    return f"by hand {files.digest([*told, events_digest(oos), part(settings, Affects.JUDGING)])}"
