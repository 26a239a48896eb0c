"""Writing a run: its record while it runs, then the folder under its final name."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from bq.core import files, paths
from bq.core.log import log
from bq.runs import folder as names
from bq.runs.record import RunRecord, Status
from bq.runs.verdict import Verdict

WAIT_SECONDS = 60  # for another process that moves a link


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
    with _links() as temporary:
        temporary.symlink_to(folder.name)
        temporary.replace(names.latest())


def remove_links() -> None:
    """Remove the links that killed runs were about to move to `latest`."""
    with _links():
        pass


@contextmanager
def _links() -> Iterator[Path]:
    """Where a link may be made that is to be moved; it is locked here, as a link itself cannot be."""
    with FileLock(paths.home() / "data" / ".latest.lock", timeout=WAIT_SECONDS):
        for left in paths.outputs().glob(".latest.*.tmp"):
            left.unlink()
        yield paths.outputs() / ".latest.link.tmp"
