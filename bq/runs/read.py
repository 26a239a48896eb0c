"""The runs that were made, for reading: `bq.runs.latest()`, `bq.runs.load(run_id)`, `bq.runs.table()`."""

from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from bq.core import files, paths
from bq.core.errors import BadData, BadParameters, did_you_mean
from bq.core.log import log

NONE_YET = "a run must exist, but outputs/ holds none yet. Start one with `make retrain`."
NEEDED = ("run_id", "strategy", "job", "status")


class Run(NamedTuple):
    """One run folder."""

    folder: Path
    info: dict[str, Any]  # run.json

    @property
    def report(self) -> Path:
        """The rendered report."""
        return self.folder / "report.html"

    @property
    def notebooks(self) -> list[Path]:
        """The executed notebooks in reading order."""
        return sorted(self.folder.glob("[0-9]*.ipynb"))

    def frame(self, name: str) -> pl.DataFrame:
        """A table of the run by name, such as `oos`, `newest`, `folds`, `metrics`."""
        path = self.folder / f"{name}.parquet"
        if not path.is_file():
            known = [found.stem for found in self.folder.glob("*.parquet")]
            raise BadParameters(
                f"run {self.folder.name}: must hold a table {name!r}, but does not; {did_you_mean(name, known)}"
            )
        try:
            return files.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise BadData(f"run {self.folder.name}: {path.name} must be readable, but {error}.") from None

    @property
    def verdict(self) -> dict[str, Any] | None:
        """What the gate decided and why; None where no gate was asked (a run that failed, or is no retrain)."""
        path = self.folder / "verdict.json"
        return _object(path) if path.is_file() else None


def load(run_id: str, *, variable: str = "RUN") -> Run:
    """A run by its id, by the beginning of one, or `latest` (the newest that did not fail).

    variable : what the message names. Raises BadParameters unless exactly one run is meant, BadData where its run.json
    cannot be read. Only names of folders in outputs/ are compared: a path leads nowhere.
    """
    link = paths.outputs() / "latest"
    if run_id == "latest" and link.is_symlink():
        run_id = link.readlink().name
    names = [folder.name for folder in _folders()]
    if not names:
        raise BadParameters(NONE_YET)
    meant = [name for name in names if name == run_id] or [name for name in names if name.startswith(run_id or "/")]
    if len(meant) == 1:
        return _read(paths.outputs() / meant[0])
    newest = ", ".join(names[:3])
    hint = did_you_mean(run_id, names) if not meant and len(names) < 10 else f"the newest are {newest}"
    raise BadParameters(
        f"{variable} must be `latest` or the beginning of one run's id (a folder of outputs/), but {run_id!r} is that "
        f"of {len(meant)}; {hint}"
    )


def every(strategy: str | None = None, *, job: str | None = None) -> list[Run]:
    """All finished runs, newest first, of one strategy or job if given; an unreadable one is logged and left out."""
    found = []
    for folder in _folders():
        try:
            found.append(_read(folder))
        except BadData as error:
            log.warning("%s", error)
    return [run for run in found if strategy in (None, run.info["strategy"]) and job in (None, run.info["job"])]


def _folders() -> list[Path]:
    """Folders of finished runs, newest first: runs under way are hidden, `latest` is a link."""
    found = [path.parent for path in paths.outputs().glob("[!.]*/run.json") if not path.parent.is_symlink()]
    return sorted(found, reverse=True)


def _read(folder: Path) -> Run:
    info = _object(folder / "run.json")
    absent = [name for name in NEEDED if name not in info]
    if absent:
        raise BadData(f"run {folder.name}: run.json must name {', '.join(absent)}, but does not. Remove the folder.")
    return Run(folder, info)


def _object(path: Path) -> dict[str, Any]:
    """A JSON object of a run, or BadData."""
    reason = "it is no object"
    try:
        found = files.read_json(path)
        if isinstance(found, dict):
            return found
    except (OSError, ValueError) as error:
        reason = str(error)
    raise BadData(f"run {path.parent.name}: {path.name} must be a JSON object, but {reason}. Remove the folder.")


def latest(strategy: str | None = None, *, job: str | None = None) -> Run:
    """The newest finished run, of one strategy or job if given. Raises BadParameters where there is none."""
    found = every(strategy, job=job)
    if not found:
        raise BadParameters(NONE_YET)
    return found[0]


def table() -> pl.DataFrame:
    """All runs, newest first: run_id, strategy, job, status, started_utc, title, headline."""
    names = ("run_id", "strategy", "job", "status", "started_utc", "title", "headline")
    return pl.DataFrame(
        [{name: run.info.get(name) for name in names} for run in every()], schema=dict.fromkeys(names, pl.String)
    )
