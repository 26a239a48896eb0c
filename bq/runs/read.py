"""Finished runs, for reading: `bq.runs.latest()`, `bq.runs.load(run_id)`, `bq.runs.table()`."""

from pathlib import Path
from typing import NamedTuple

import polars as pl

from bq.core.errors import BadData, BadParameters, did_you_mean
from bq.core.files import explain, read_parquet
from bq.core.log import log
from bq.runs import folder as names
from bq.runs.record import RunRecord
from bq.runs.verdict import Verdict

NONE_YET = "must exist, but outputs/ has none. Start one with `make retrain`."
REMEDY = "Remove the folder."


class Run(NamedTuple):
    """One run folder."""

    folder: Path
    record: RunRecord

    @property
    def report(self) -> Path:
        """The rendered report."""
        return self.folder / names.REPORT

    @property
    def notebooks(self) -> list[Path]:
        """The executed notebooks in reading order."""
        return names.notebooks(self.folder)

    def frame(self, name: str) -> pl.DataFrame:
        """A table of the run by name, such as `oos`, `newest`, `folds`, `metrics`."""
        path = names.table(self.folder, name)
        if not path.is_file():
            known = [found.stem for found in names.tables(self.folder)]
            raise BadParameters(
                f"run {self.folder.name}: must have a table {name!r}, but does not; {did_you_mean(name, known)}"
            )
        try:
            return read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise BadData(f"run {self.folder.name}: {path.name} must be readable, but {error}.") from None

    @property
    def verdict(self) -> Verdict | None:
        """Decision of the gate and its reasons; None for a run without a gate (it failed, or is no retrain)."""
        path = self.folder / names.VERDICT
        if not path.is_file():
            return None
        return Verdict.read(path, what=f"run {self.folder.name}: {path.name}", remedy=REMEDY)


def load(run_id: str, *, variable: str = "RUN") -> Run:
    """A run by its id, by the beginning of one, or `latest` (the newest that did not fail).

    variable : named in the error message. Raises BadParameters unless exactly one run matches, BadData where its
    run.json cannot be read. Only names of folders in outputs/ are compared, so a path matches nothing.
    """
    if run_id == names.LATEST and names.latest().is_symlink():
        run_id = names.latest().readlink().name
    known = [folder.name for folder in names.finished()]
    if not known:
        raise BadParameters(f"{variable}: a run {NONE_YET}")
    meant = [name for name in known if name == run_id] or [name for name in known if name.startswith(run_id or "/")]
    if len(meant) == 1:
        return read(names.final(meant[0]))
    newest = ", ".join(known[:3])
    hint = did_you_mean(run_id, known) if not meant and len(known) < 10 else f"the newest are {newest}"
    raise BadParameters(
        f"{variable} must be `latest` or the beginning of one run's id (a folder of outputs/), but {run_id!r} "
        f"matches {len(meant)}; {hint}"
    )


def every(namespace: str | None = None, *, job: str | None = None) -> list[Run]:
    """All finished runs, newest first, of one namespace or job if given; unreadable runs are logged and left out."""
    found = []
    for _, run in each():
        if isinstance(run, BadData):
            log.warning("%s", run)
        else:
            found.append(run)
    return [run for run in found if namespace in (None, run.record.namespace) and job in (None, run.record.job)]


def each() -> list[tuple[Path, Run | BadData]]:
    """Every folder of a finished run with what is in it, newest first; a fault in place of an unreadable one.

    By the runs' sequence, whatever the clock said. What was recorded without one is older, in the order of the ids.
    """
    return sorted(map(_looked_into, names.finished()), key=_sequence, reverse=True)


def _looked_into(folder: Path) -> tuple[Path, Run | BadData]:
    try:
        return folder, read(folder)
    except BadData as error:
        return folder, error


def _sequence(found: tuple[Path, Run | BadData]) -> tuple[int, str]:
    folder, run = found
    return (run.record.sequence if isinstance(run, Run) else 0), folder.name


def begun() -> list[RunRecord]:
    """The records of all runs, also of those under way and of those that were killed; unreadable ones are left out."""
    found = (_looked_into(folder)[1] for folder in (*names.finished(), *names.hidden_ones()))
    return [run.record for run in found if isinstance(run, Run)]


def read(folder: Path) -> Run:
    """The run in a folder, hidden or not. Raises BadData in one sentence."""
    what = f"run {folder.name}: {names.RECORD}"
    try:
        return Run(folder, RunRecord.read(folder / names.RECORD, what=what, remedy=REMEDY))
    except OSError as error:
        raise BadData(f"{what} must be readable, but {explain(error)}") from None


def latest(namespace: str | None = None, *, job: str | None = None) -> Run:
    """The newest run that did not fail, of one namespace or job if given. Raises BadParameters where there is none."""
    found = next((run for run in every(namespace, job=job) if run.record.good), None)
    if found is None:
        raise BadParameters(f"a run{f' of {namespace}' if namespace else ''} that did not fail {NONE_YET}")
    return found


def table() -> pl.DataFrame:
    """All runs, newest first: run_id, namespace, job, status, started_utc, title, headline."""
    names = ("run_id", "namespace", "job", "status", "started_utc", "title", "headline")
    schema = dict.fromkeys(names, pl.String) | {"started_utc": pl.Datetime("us", "UTC")}
    rows = [{name: getattr(run.record, name) for name in names} for run in every()]
    return pl.DataFrame(rows, schema=schema)
