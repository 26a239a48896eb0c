"""Files that are whole or absent: everything is written beside its place, synced, then moved over it."""

import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

WAYS_OUT = {
    errno.ENOSPC: "Free some space on this disk. ",
    errno.EDQUOT: "Free some of your quota. ",
    errno.EIO: "The disk or its connection fails: look into the system's log. ",
    errno.EROFS: "The disk is mounted read-only: mount it writable, or set BQ_HOME to another place. ",
    errno.EACCES: "Give this user the right to it, or set BQ_HOME to another place. ",
    errno.EPERM: "Give this user the right to it, or set BQ_HOME to another place. ",
    errno.EMFILE: "Too many files are open: raise `ulimit -n`. ",
}
LEFTOVER = re.compile(r"\.(\d{1,9})\.\w+\.tmp$")  # process, then what mkstemp drew


def explain(error: OSError) -> str:
    """What the operating system refused, where, and what to do."""
    where = f"{error.filename}: " if error.filename else ""
    reason = error.strerror or str(error) or type(error).__name__
    todo = WAYS_OUT.get(error.errno or 0, "")
    return f"{where}must be readable and writable, but: {reason}. {todo}Nothing is half-written: run it again."


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path; on success it replaces `path` atomically, on failure `path` stays as it was.

    A full disk or a kill in between leaves the old file whole. What a kill leaves beside it names its process: `clean`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.{os.getpid()}.", suffix=".tmp", dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        error.filename = path  # a write to a full disk does not say where
        raise
    finally:
        temporary.unlink(missing_ok=True)


def clean(folder: Path) -> None:
    """Remove the temporary files in a folder whose process was killed while it wrote them."""
    for path in folder.glob(".*.tmp"):
        if (named := LEFTOVER.search(path.name)) and not _lives(int(named[1])):
            path.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, content.encode("utf-8"))


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, so that equal content gives equal bytes. NaN and infinities are refused."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False, default=str) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write canonical JSON atomically."""
    write_text(path, canonical_json(value))


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text("utf-8"))


def write_parquet(path: Path, frame: "pl.DataFrame") -> None:
    """Write a frame as Parquet atomically."""
    from polars.exceptions import ComputeError

    with replacing(path) as temporary:
        try:
            frame.write_parquet(temporary, compression="zstd")
        except ComputeError as error:  # what polars makes of a full disk
            if found := re.search(r"os error (\d+)", str(error)):
                raise OSError(int(found[1]), os.strerror(int(found[1])), path) from None
            raise


def sha256(content: bytes | Path) -> str:
    """SHA-256 in hex of bytes or of a file's content."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any, length: int = 16) -> str:
    """Short stable digest of any JSON-like value.

    >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    True
    """
    return sha256(canonical_json(value).encode())[:length]
