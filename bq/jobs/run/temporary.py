"""Where the processes of a run put what is temporary: folders of its own, so that nothing of it outlives a kill.

A file in the run's folder names them before they are made; whoever clears up after a killed run finds them by it.
"""

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bq.core import files
from bq.core.log import log

NAMES = ".temporary"  # in the folder of a run under way: the paths, one a line
NAME = re.compile(r"bq-run-[0-9a-f]{8}")
SHARED_MEMORY, LEAST_BYTES = Path("/dev/shm"), 2e9  # where joblib would keep arrays for workers, if so much is free
SHORT = Path("/tmp")
SOCKET_BYTES = 103  # of the path of a socket, on macOS; 107 on Linux
LONGEST = SOCKET_BYTES - len("/bq-run-01234567/bq-01234567/k-1")  # of the folder below which a kernel's sockets lie


@contextmanager
def of(run_folder: Path) -> Iterator[None]:
    """Let this process, and those it starts, keep temporary files in folders of their own; remove these at the end."""
    roots = {"TMPDIR": _root(), "JOBLIB_TEMP_FOLDER": _shared()}
    name = f"bq-run-{secrets.token_hex(4)}"
    folders = {variable: root / name for variable, root in roots.items() if root}
    files.write_text(run_folder / NAMES, "".join(f"{folder}\n" for folder in folders.values()))
    before = {variable: os.environ.get(variable) for variable in folders}
    kept = tempfile.tempdir
    try:
        for variable, folder in folders.items():
            folder.mkdir(mode=0o700, parents=True)
            os.environ[variable] = str(folder)
        tempfile.tempdir = os.environ["TMPDIR"]
        yield
    finally:
        tempfile.tempdir = kept
        for variable, value in before.items():
            os.environ.pop(variable, None) if value is None else os.environ.update({variable: value})
        remove(run_folder)


def remove(run_folder: Path) -> None:
    """Remove the temporary folders of a run that is over."""
    with suppress(OSError, ValueError):
        for line in (run_folder / NAMES).read_text("utf-8").splitlines():
            if NAME.fullmatch(Path(line).name):
                shutil.rmtree(line, ignore_errors=True)


def _root() -> Path:
    root = Path(tempfile.gettempdir())
    if len(os.fsencode(root)) <= LONGEST:
        return root
    log.warning(
        "TMPDIR must be at most %d bytes long for the sockets of a notebook's kernel, but is %s (%d bytes): this run "
        "keeps its temporary files in %s. Set a shorter one.",
        *(LONGEST, root, len(os.fsencode(root)), SHORT),
    )
    return SHORT


def _shared() -> Path | None:
    """Where joblib keeps arrays for workers; None where that is the temporary folder."""
    if given := os.environ.get("JOBLIB_TEMP_FOLDER"):
        return Path(given).expanduser().absolute()
    usable = os.access(SHARED_MEMORY, os.W_OK) and shutil.disk_usage(SHARED_MEMORY).free > LEAST_BYTES
    return SHARED_MEMORY if usable else None
