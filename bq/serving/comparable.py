"""A recipe beside the incumbent's: on the same events, costs, labels and policy, or not at all.

Two recipes are the same where they train in the same way, whatever events they train on. Where the way differs, what
the incumbent's earned is taken from its card if it was made on the same basis; else its way of training is walked
forward once more, on the events, costs and policy of the candidate.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import polars as pl
from pydantic import ValidationError

from bq.core import files
from bq.core.errors import BQError
from bq.core.section import Affects, part
from bq.core.settings import Settings
from bq.learning import walkforward
from bq.serving import gates
from bq.serving.basis import basis_of
from bq.serving.candidate import recipe_digest, values_of
from bq.serving.model_records import Basis
from bq.serving.registry import Artefact
from bq.strategies.contract import Strategy
from bq.strategies.task import Task

BESIDE = Affects.EVENTS | Affects.EARNING  # what a comparison holds the same


class Values(NamedTuple):
    """What the incumbent's recipe earned on the basis of a candidate."""

    values: pl.DataFrame | None  # session, value; None where it cannot be known
    told: str = ""  # how they came about, or why they did not, where they are not those of its card


def way(settings: Settings, of_files: Mapping[str, str | None]) -> str:
    """Digest of the way of training alone: features, model and parameters, whatever events it is applied to.

    of_files : digest of the file of each of the user's own features.
    """
    parameters = part(settings, Affects.RECIPE, but=BESIDE)
    return files.digest([parameters, dict(of_files)] if of_files else parameters)


def incumbent_way(
    artefact: Artefact, strategy: Strategy, settings: Settings, of_files: Mapping[str, str | None]
) -> str:
    """`way` of a stored model, as today's code computes it from the parameters on its card.

    So neither a change of the computation nor a new parameter with a default makes it a changed one. Where today's code
    does not know the parameters, it is the same only if the digest of the whole recipe is. settings and of_files : of
    the candidate.
    """
    theirs = _parameters(artefact, strategy)
    if theirs is not None:
        return way(theirs, artefact.bundle.registered)
    stored = artefact.bundle.recipe
    return way(settings, of_files) if stored == recipe_digest(settings, of_files) else stored


def _parameters(artefact: Artefact, strategy: Strategy) -> Settings | None:
    try:
        return strategy.settings.recorded(artefact.card.parameters)
    except (ValidationError, BQError):
        return None


def incumbent_values(
    artefact: Artefact,
    oos: pl.DataFrame,
    events: pl.DataFrame,
    *,
    strategy: Strategy,
    settings: Settings,
    task: Task | None = None,
) -> Values:
    """What the incumbent's recipe earned on the events, costs, labels and policy of a candidate.

    oos : the candidate's own predictions. events : what it was trained on. task : of a second tier.
    """
    stored, made_on = values_of(artefact), artefact.card.basis
    if stored is not None and made_on is not None:
        alike = _alike(made_on, basis_of(oos, settings), through=str(artefact.bundle.trained_through.date()))
        if alike:
            return Values(stored.filter(pl.col("session").cast(pl.String).is_in(alike)))
    theirs = _parameters(artefact, strategy)
    if theirs is None:
        return Values(None, "its parameters are not those of today")
    return _walked_forward(theirs, events, strategy, settings, task)


def _alike(theirs: Basis, ours: Basis, *, through: str) -> list[str]:
    """The sessions with the same events; none where the policy differs, or where a session does of those that had
    matured when the incumbent was trained.
    """
    common = [day for day in theirs.sessions if day in ours.sessions]
    alike = [day for day in common if theirs.sessions[day] == ours.sessions[day]]
    settled = all(day in alike for day in common if day <= through)
    return alike if settled and theirs.policy == ours.policy else []


def _walked_forward(
    theirs: Settings, events: pl.DataFrame, strategy: Strategy, settings: Settings, task: Task | None
) -> Values:
    """The incumbent's way of training on the candidate's basis."""
    try:
        own = _mixed(theirs, settings)
        absent = set(strategy.features(own).columns) - set(events.columns)
        if absent:
            return Values(None, f"the events of this run have none of its features {sorted(absent)}")
        oos = walkforward.train(events, strategy, own, task=task).oos
    except (ValidationError, BQError) as error:
        return Values(None, f"it cannot be trained on the events of this run: {error}")
    values = gates.success_values(oos, task, own) if task else strategy.value.earned(oos, "expected", own)
    return Values(values, "it was walked forward again, on the events, costs and policy of this run")


def _mixed(theirs: Settings, settings: Settings) -> Settings:
    """The settings with the way of training of others, alone."""
    whole = _over(settings.model_dump(mode="json"), part(theirs, Affects.RECIPE, but=BESIDE))
    whole["learning"]["compare"] = []
    return type(settings).model_validate_json(files.canonical_json(whole))


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """One mapping laid over another, section by section; a value that is no section is taken whole."""
    return below | {
        name: _over(below[name], value) if _sections(below.get(name), value) else value for name, value in above.items()
    }


def _sections(*values: Any) -> bool:
    return all(isinstance(value, dict) for value in values)
