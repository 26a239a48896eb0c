"""The runs that were made, for reading: `bq.runs.latest()`, `bq.runs.load(run_id)`, `bq.runs.table()`."""

from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from bq.core import files, paths
from bq.core.errors import BadParameters, did_you_mean


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
        return pl.read_parquet(path)


def load(run_id: str) -> Run:
    """A run by its id (the name of its folder)."""
    folders = {path.parent.name: path.parent for path in paths.outputs().glob("*/run.json")}
    if run_id not in folders:
        raise BadParameters(f"RUN must name a folder of outputs/, but got {run_id!r}; {did_you_mean(run_id, folders)}")
    return Run(folders[run_id], files.read_json(folders[run_id] / "run.json"))


def every(strategy: str | None = None) -> list[Run]:
    """All finished runs, newest first."""
    names = sorted((path.parent.name for path in paths.outputs().glob("*/run.json")), reverse=True)
    found = [load(name) for name in names if not name.startswith(".") and name != "latest"]
    return [run for run in found if strategy in (None, run.info["strategy"])]


def latest(strategy: str | None = None, *, job: str | None = None) -> Run:
    """The newest finished run, of one strategy or job if given. Raises BadParameters where there is none."""
    found = [run for run in every(strategy) if job in (None, run.info["job"])]
    if not found:
        raise BadParameters("a run must exist, but outputs/ holds none yet. Start one with `make retrain`.")
    return found[0]


def table() -> pl.DataFrame:
    """All runs, newest first: run_id, strategy, job, status, started_utc, title, headline."""
    names = ("run_id", "strategy", "job", "status", "started_utc", "title", "headline")
    return pl.DataFrame(
        [{name: run.info.get(name) for name in names} for run in every()], schema=dict.fromkeys(names, pl.String)
    )
