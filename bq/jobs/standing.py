"""How each namespace stands, as the dashboard shows it: from records, computed again where these have changed."""

import datetime as dt
from collections.abc import Mapping, Sequence
from itertools import chain

import polars as pl
from pydantic import ValidationError

from bq import strategies
from bq.core import files, params, paths
from bq.core.errors import BadParameters, BQError
from bq.core.log import log
from bq.core.namespace import Namespace
from bq.core.settings import Settings
from bq.jobs import schedule, trading_shown
from bq.monitoring import checks, heat, kept, overviews, recorded
from bq.runs.read import Run
from bq.serving import ready, registry
from bq.workbench import judged
from bq.workbench.judged import Judged
from bq.workbench.standing import Deployed, Evidence, Standing

FAULTS = (BQError, OSError, ValueError, LookupError, pl.exceptions.PolarsError)  # of one namespace: others are shown


def namespaces(made: Sequence[Run]) -> list[Namespace]:
    """Every namespace that has a run, a champion or, as far as the database can be asked, decisions."""
    with_runs = {found.champion for run in made if (found := Namespace.of_folder(run.record.namespace))}
    deployed = {namespace.champion for namespace in registry.namespaces()}
    try:
        decided = set(recorded.namespaces())
    except BQError:
        decided = set()
    every = with_runs | deployed | decided
    return sorted(namespace for namespace in every if namespace.strategy in strategies.MODULES)


def every(made: Sequence[Run], *, now: dt.datetime) -> list[Standing]:
    """How each namespace stands, those with a model or decisions first. made : all runs, newest first."""
    known = judged.of(made)
    found = [_of(namespace, made, known, now) for namespace in namespaces(made)]
    return sorted(found, key=lambda one: one.deployed is None and not (one.overview and one.overview.counted))


def _of(namespace: Namespace, made: Sequence[Run], known: Mapping[str, Judged], now: dt.datetime) -> Standing:
    own = [run for run in made if run.record.namespace == str(namespace)]
    decider = ready.decides(namespace)
    found = Standing(
        namespace,
        now,
        schedule.of(namespace, made),
        decider,
        _deployed(decider, namespace, made, known),
        _silent(namespace, decider),
        next((run.record.source for run in own if run.record.source), ""),
        _newest(own, known),
        heat=heat.of(namespace),
        distances=kept.distances(namespace),
        trading=_traded(namespace),
    )
    try:
        found = found._replace(alerts=tuple(checks.opened(namespace)))
        return found._replace(overview=overviews.current(namespace, _settings(namespace, own)))
    except FAULTS as error:
        log.warning("%s: its decisions are not shown: %s", namespace, _first_line(error))
        return found._replace(fault=_first_line(error))


def _traded(namespace: Namespace) -> str:
    page = trading_shown.page(str(namespace))
    return page.relative_to(paths.outputs()).as_posix() if page.is_file() else ""


def _first_line(error: BaseException) -> str:
    text = files.explain(error) if isinstance(error, OSError) else str(error)
    return text.partition("\n")[0]


def _settings(namespace: Namespace, own: Sequence[Run]) -> Settings:
    """Those of the newest run, else of the newest scan; without any that today's classes know, the strategy's file."""
    kind = strategies.get(namespace.strategy).settings
    of_runs = ((f"run {run.record.run_id}", run.record.parameters) for run in own[:1])
    of_scans = (("its newest scan", found) for found in [recorded.newest_parameters(namespace)] if found)
    for which, parameters in chain(of_runs, of_scans):
        try:
            return kind.recorded(parameters)
        except (ValidationError, BQError):
            log.warning("%s: parameters of %s are of another version", namespace, which)
    shipped = params.load(paths.parameters(namespace.strategy), kind)
    if shipped.namespace != namespace and namespace in recorded.namespaces():
        raise BadParameters(
            f"neither a run nor a scan of {namespace} says by which parameters it decided, and "
            f"parameters/{namespace.strategy}.yaml decides in {shipped.namespace}; "
            f"PARAMS=<its file> make scan records them."
        )
    return shipped


def _deployed(
    decider: registry.Decider, namespace: Namespace, made: Sequence[Run], known: Mapping[str, Judged]
) -> Deployed | None:
    """The model that decides: since when, and the evidence it was deployed on. None where the rule score decides."""
    if not decider.model_id:
        return None
    tier = namespace.champion if decider.tier == namespace.champion.tier else namespace.second
    try:
        pointer = registry.pointer(tier)
        artefact = registry.champion(tier)
    except (BQError, OSError):
        return None
    if pointer is None or artefact is None:
        return None
    by = next((run for run in made if pointer.model_id in run.record.deployed), None)
    return Deployed(pointer, artefact.bundle.trained_through.date(), artefact.bundle.source, _evidence(by, known))


def _silent(namespace: Namespace, decider: registry.Decider) -> str:
    """The id of a champion that does not decide; empty where it does, or none is deployed."""
    pointer = registry.pointer_or_none(namespace)
    return pointer.model_id if pointer and pointer.model_id != decider.model_id else ""


def _newest(own: Sequence[Run], known: Mapping[str, Judged]) -> Evidence | None:
    """Of the newest run that a gate judged."""
    return next((found for run in own if (found := _evidence(run, known))), None)


def _evidence(run: Run | None, known: Mapping[str, Judged]) -> Evidence | None:
    found = known.get(run.folder.name) if run else None
    if run is None or found is None or found.figure is None:
        return None
    return Evidence(run.folder.name, run.record.source, found.figure, run.report.is_file())
