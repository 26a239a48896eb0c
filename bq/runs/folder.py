"""Paths of a run: one folder of outputs/, hidden while the run is under way, and the names of its files."""

import os
from pathlib import Path

from bq.core import paths
from bq.core.namespace import Namespace

RECORD, VERDICT, REPORT = "run.json", "verdict.json", "report.html"
PARAMETERS, TRADES = "parameters.yaml", "trades.csv"
TEARSHEET = "tearsheet.html"
PDF, SUMMARY = "report.pdf", "summary.html"
WORLD = "world"  # folder in that of a replay: a home of its own
LATEST = "latest"  # link to the newest run that did not fail
MARK = "BQ_RUN_FOLDER"  # in the environment of every process that a run starts


def final(run_id: str) -> Path:
    """The folder of a finished run."""
    return paths.outputs() / run_id


def hidden(run_id: str) -> Path:
    """The folder of a run under way."""
    return paths.outputs() / f".{run_id}"


def under_way_id() -> str:
    """The id of the run that this process works for; empty where it was started by hand."""
    return Path(os.environ.get(MARK, "")).name.removeprefix(".")


def published(hidden_folder: Path) -> Path:
    """The folder that a hidden one becomes; by its own name, so that no record can lead elsewhere."""
    return final(hidden_folder.name.removeprefix("."))


def report(run_id: str) -> Path:
    """The rendered report of a finished run."""
    return final(run_id) / REPORT


def index() -> Path:
    """The dashboard over all runs."""
    return paths.outputs() / "index.html"


def latest() -> Path:
    """The link to the newest run that did not fail."""
    return paths.outputs() / LATEST


def table(folder: Path, name: str) -> Path:
    """A table of a run by name, such as `oos`."""
    return folder / f"{name}.parquet"


def tables(folder: Path) -> list[Path]:
    """All tables of a run."""
    return sorted(folder.glob("[!.]*.parquet"))


def notebooks(folder: Path) -> list[Path]:
    """The executed notebooks of a run in reading order."""
    return sorted(folder.glob("[0-9]*.ipynb"))


def finished() -> list[Path]:
    """Folders of finished runs, newest first: runs under way are hidden, `latest` is a link."""
    found = [path.parent for path in paths.outputs().glob(f"[!.]*/{RECORD}") if not path.parent.is_symlink()]
    return sorted((folder for folder in found if folder.name != LATEST), reverse=True)


def unrecorded() -> list[Path]:
    """Folders of finished runs, by their names, that hold no record any more."""
    found = [path for path in paths.outputs().glob("[0-9]*Z_*/") if not path.is_symlink()]
    return [path for path in found if not (path / RECORD).exists()]


def hidden_ones() -> list[Path]:
    """Folders of runs under way, and of those that were killed."""
    return [path.parent for path in paths.outputs().glob(f".*/{RECORD}")]


def under_way(namespace: Namespace) -> list[Path]:
    """Hidden folders of a namespace's runs; with its lock held, leftovers of killed runs."""
    return [*paths.outputs().glob(f".*Z_{namespace}"), *paths.outputs().glob(f".*Z_{namespace}__*")]


def name(stamp: str, namespace: Namespace, job: str) -> str:
    """The id of a run: its time, its namespace, and its job unless that is a retrain."""
    return f"{stamp}_{namespace}{'' if job == 'retrain' else f'__{job}'}"
