"""Writing a run: its record while it runs, then the folder under its final name."""

import os
import shutil
from pathlib import Path

from bq.core import files, paths
from bq.core.log import log
from bq.runs import folder as names
from bq.runs.record import RunRecord, Status
from bq.runs.verdict import Verdict


def note(folder: Path, record: RunRecord, *, during: str) -> None:
    """Write the record as it must read if the process is killed in this phase."""
    record.model_copy(update={"status": Status.RUNNING, "during": during}).write(folder / names.RECORD)


def verdict(folder: Path, found: Verdict) -> None:
    """Write the verdict."""
    found.write(folder / names.VERDICT)


def into_place(folder: Path, record: RunRecord) -> Path:
    """Write the record with each table's hash, remove half-written files, rename the folder; return it."""
    tables = {path.name: files.sha256(path) for path in names.tables(folder)}
    record.model_copy(update={"tables": tables}).write(folder / names.RECORD)
    for hidden in folder.glob(".*"):
        shutil.rmtree(hidden) if hidden.is_dir() else hidden.unlink()
    files.sync(folder)
    final = names.published(folder)
    folder.rename(final)
    files.sync(paths.outputs())
    return final


def move_latest(folder: Path) -> None:
    """Let the link `latest` point at a run."""
    if os.path.lexists(names.latest()) and not names.latest().is_symlink():
        log.warning("%s must be a link to the newest run, but is a file or a folder: move it away", names.latest())
        return
    temporary = paths.outputs() / f".latest.{os.getpid()}.link.tmp"  # a name that `files.clean` knows
    temporary.symlink_to(folder.name)
    temporary.replace(names.latest())
