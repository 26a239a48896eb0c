"""Files that are whole or absent: everything is written beside its place, synced, then moved over it."""

import errno
import fcntl
import hashlib
import io
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from bq.core import secrets
from bq.core.log import log

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
LEFTOVER = re.compile(r"\.\d{1,9}\.\w+\.tmp$")  # process, then what was drawn
DEEPEST = 100  # levels of nesting in JSON: a record of ours has a dozen
OS_ERROR = re.compile(r"\(os error (\d+)\)")  # in what polars says
NO_FILE = "it is no regular file (a folder, a pipe or a device)"
NO_FILES = (errno.EINVAL, errno.ELOOP, errno.ENOTDIR, errno.ENXIO)  # as reading what is no file fails, for good


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

    A full disk or a kill in between leaves the old file whole; what a kill leaves beside it, `clean` removes.
    Others may read the file unless the user's umask says no.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, held = _begun(path)
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        error.filename = path  # a write to a full disk does not say where
        raise
    finally:
        temporary.unlink(missing_ok=True)
        os.close(held)


def _begun(path: Path) -> tuple[Path, int]:
    """A new file beside a path, and its descriptor, which holds its lock: that ends with the process, however it ends.

    The number of a process would not do: it is given anew, the dead seem to live where nobody reaps them, and another
    container does not know it.
    """
    while True:
        temporary = path.parent / f".{path.name}.{os.getpid()}.{token_hex(4)}.tmp"
        held = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        with suppress(OSError):  # a disk without locks, on which `clean` removes nothing
            fcntl.flock(held, fcntl.LOCK_EX)
        if temporary.exists():
            return temporary, held
        os.close(held)  # `clean` was there first


def clean(folder: Path) -> None:
    """Remove the temporary files in a folder whose process was killed while it wrote them."""
    for path in folder.glob(".*.tmp"):
        if LEFTOVER.search(path.name):
            with suppress(OSError):  # locked, so it is being written; or moved to its place by now
                _remove(path)


def _remove(temporary: Path) -> None:
    opened = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        temporary.unlink()
    finally:
        os.close(opened)


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text atomically, secrets redacted."""
    content, count = secrets.redact_and_count(content)
    warn_of_redacted(path, count)
    write_bytes(path, content.encode("utf-8"))


def warn_of_redacted(path: Path, count: int) -> None:
    """Log how many secrets a file would have held: how many, never which."""
    if count:
        log.warning("%s: secrets of the environment were redacted in %d places", path.name, count)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, so that equal content gives equal bytes. NaN and infinities are refused."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False, default=str) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write canonical JSON atomically, secrets redacted of its texts."""
    content = canonical_json(value)
    if secrets.redact_and_count(content)[1]:  # by text, so that it stays JSON
        value, count = secrets.redacted(json.loads(content))
        warn_of_redacted(path, count)
        content = canonical_json(value)
    write_bytes(path, content.encode("utf-8"))


def regular(path: Path) -> io.BufferedReader:
    """Open a file of our own for reading; whatever lies in its place does not block.

    Raises OSError where it cannot be read, also for a folder, a pipe, a socket or a device.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, NO_FILE, str(path))
    return file


def read_bytes(path: Path) -> bytes:
    """What a file of our own holds. Raises OSError as `regular`."""
    with regular(path) as file:
        return file.read()


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError, also for one that is nested too deeply to be one of ours."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep") from None
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in _inside(outer)]
        if not level:
            return value
    raise ValueError(f"it is nested more than {DEEPEST} levels deep")


def _inside(outer: dict[str, Any] | list[Any]) -> list[Any]:
    return list(outer.values()) if isinstance(outer, dict) else outer


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises OSError as `regular`, ValueError as `parse_json`."""
    return parse_json(read_bytes(path))


def parquet(frame: "pl.DataFrame") -> bytes:
    """A frame as the bytes of a Parquet file: for whoever keeps their hash beside the file."""
    target = io.BytesIO()
    frame.write_parquet(target, compression="zstd")
    return target.getvalue()


def write_parquet(path: Path, frame: "pl.DataFrame") -> str:
    """Write a frame as Parquet atomically; the SHA-256 of what was written."""
    import polars as pl

    with replacing(path) as temporary:
        try:
            with temporary.open("wb") as file:
                frame.write_parquet(file, compression="zstd")
        except pl.exceptions.ComputeError as error:  # how polars tells that the disk is full
            if number := OS_ERROR.search(str(error)):
                raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
            raise
        return sha256(temporary)


def read_parquet(source: Path | bytes, *, columns: list[str] | None = None) -> "pl.DataFrame":
    """Read one Parquet file, or the bytes of one whose hash was checked.

    The file is opened here: polars takes a path for a pattern, `x[1]` for `x1`, and a folder for all files in it.
    """
    import polars as pl

    if isinstance(source, bytes):
        return pl.read_parquet(io.BytesIO(source), columns=columns)
    with regular(source) as file:
        return pl.read_parquet(file, columns=columns)


def scan_parquet(path: Path) -> "pl.LazyFrame":
    """Read one Parquet file lazily, its path taken as it stands."""
    import polars as pl

    regular(path).close()
    return pl.scan_parquet(path, glob=False)


def read_csv(path: Path, **options: Any) -> "pl.DataFrame":
    """Read one CSV file (also packed with gzip), its path taken as it stands. options : those of polars."""
    import polars as pl

    regular(path).close()
    return pl.read_csv(path, glob=False, **options)


def scan_csv(path: Path, **options: Any) -> "pl.LazyFrame":
    """Read one CSV file lazily, its path taken as it stands. options : those of polars."""
    import polars as pl

    regular(path).close()
    return pl.scan_csv(path, glob=False, **options)


def sha256(content: bytes | Path) -> str:
    """SHA-256 in hex of bytes or of a file's content."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with regular(content) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_files(found: Iterable[Path], root: Path) -> str:
    """Digest of files, by their contents and their names below a folder, in the order given."""
    return digest([[str(path.relative_to(root)), sha256(path)] for path in found])


def digest(value: Any, length: int = 16) -> str:
    """Short stable digest of any JSON-like value.

    >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    True
    """
    return sha256(canonical_json(value).encode())[:length]
