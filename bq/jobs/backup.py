"""`make backup ARCHIVE=x.tar.gz` and `make restore ARCHIVE=x.tar.gz`: what cannot be made again, in one file.

Models, the SQLite database, parameters, and of the runs their records and tables. Event tables, notebooks and pages are
made again from them. The last member, `backup.json`, holds the hash of every other.
"""

import contextlib
import datetime as dt
import io
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

import sqlalchemy as sa

from bq.core import db, files, objects, paths, secrets
from bq.core.errors import BadData, BadParameters, BQError
from bq.core.log import progress, progress_of
from bq.core.namespace import Namespace
from bq.core.records import Record
from bq.jobs.request import Request
from bq.jobs.run import protocol, publish
from bq.runs import folder as names
from bq.serving import registry
from bq.workbench import screen
from bq.workbench.phrases import counted

MANIFEST, DATABASE, PARAMETERS = "backup.json", "data/bq.db", "parameters"
KEPT = (".json", ".parquet", ".csv", ".yaml")  # files of a run
CHUNK = 1 << 20


class Manifest(Record):
    """What an archive holds."""

    schema_version: int = 1
    hashes: dict[str, str]  # name of a member: SHA-256


def backup(request: Request) -> None:
    """Write the archive that ARCHIVE names, whole or not at all."""
    target, hashes = _archive(request), {}
    with files.replacing(target) as temporary, tarfile.open(temporary, "w:gz") as archive:
        members = list(_members())
        for name, path in progress(members, total=len(members), description="backup"):
            hashes[name] = _add(archive, name, files.read_bytes(path))
        for name, text in _parameters().items():
            hashes[name] = _add(archive, name, text.encode())
        if content := _database():  # last: it then knows of every deployment that a pointer is of
            hashes[DATABASE] = _add(archive, DATABASE, content)
        _add(archive, MANIFEST, Manifest(hashes=hashes).text().encode())
    screen.show(f"backup      {counted(len(hashes), 'file')}, {target.stat().st_size:,} bytes: {screen.shown(target)}")
    if _sqlite() is None:
        screen.show("missing     the database: it is in PostgreSQL, back it up with `pg_dump`")
    if given := os.environ.get(objects.VARIABLE):
        screen.show(f"missing     bars and events below {given}: let that storage keep its versions")


def restore(request: Request) -> None:
    """Put an archive's content into the home; with FORCE=1 also over models and runs, which are then kept beside.

    Every member is checked before anything changes. Raises BadData for an archive that is not whole, BadParameters
    where the home holds models or runs.
    """
    source, home = _archive(request), paths.home()
    if not source.is_file():
        raise BadParameters(f"ARCHIVE must name a file that `make backup` wrote, but {source} is none.")
    held = [*(home / "models").glob("[!.]*/"), *names.finished()]
    if held and not request.force:
        raise BadParameters(
            f"restore: {home} must hold no models and no runs, but holds {held[0].relative_to(home)}. Set BQ_HOME to "
            "another place, or FORCE=1: then what is there is kept beside."
        )
    home.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".restore-", dir=home))
    try:
        found = _unpack(source, staging)
        for folder in sorted(staging.glob("models/*/*/")):
            registry.load(folder)
        with _alone(held):
            beside = _put(staging, home)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    db.close()
    publish.write_index()
    screen.show(f"restored    {counted(found, 'file')} from {screen.shown(source)}")
    if beside.exists():
        screen.show(f"kept        what was there before: {screen.shown(beside)}")
    if _sqlite() is None:
        screen.show("missing     the database: it is in PostgreSQL, bring it back with `pg_restore`")


def _archive(request: Request) -> Path:
    if request.archive is None:
        raise BadParameters("ARCHIVE must name a file such as backup.tar.gz, but is not given.")
    return Path(request.archive).resolve()


def _sqlite() -> Path | None:
    """The file of the database; None where it is none."""
    given = os.environ.get("BQ_DATABASE_URL")
    if not given:
        return paths.home() / DATABASE
    url = sa.make_url(given)
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def _members() -> Iterator[tuple[str, Path]]:
    """Pointers before the models, which are never changed, and these before the runs."""
    home, outputs = paths.home(), paths.outputs()
    models = sorted((home / "models").glob("[!.]*/[!.]*/*"))
    found = [*sorted((home / "models").glob(f"[!.]*/{registry.POINTER}")), *models]
    for folder in (*names.finished(), outputs / "scans"):
        found += sorted(path for path in folder.glob("[!.]*") if path.suffix in KEPT)
    for path in found:
        if path.is_file() and not path.is_symlink() and paths.inside(path, home):
            yield path.relative_to(home).as_posix(), path


def _parameters() -> dict[str, str]:
    """Parameter files, of the checkout and of the home, without secrets."""
    found = {}
    for root in (paths.CHECKOUT / PARAMETERS, paths.home() / PARAMETERS):
        for path in sorted(root.rglob("*.yaml")):
            text = secrets.redact(files.read_bytes(path).decode("utf-8", "replace"))
            found[f"{PARAMETERS}/{path.relative_to(root).as_posix()}"] = text
    return found


def _database() -> bytes:
    """The database as of one moment, also while others write to it; nothing where there is none."""
    path = _sqlite()
    if path is None or not path.is_file():
        return b""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "bq.db"
        try:
            with (
                contextlib.closing(sqlite3.connect(path, timeout=db.BUSY_SECONDS)) as whole,
                contextlib.closing(sqlite3.connect(copy)) as taken,
            ):
                whole.backup(taken)
        except sqlite3.Error as error:
            raise BQError(f"{path}: must be a database that can be read, but: {error}. Nothing was written.") from None
        return copy.read_bytes()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> str:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), 0o644, int(dt.datetime.now(dt.UTC).timestamp())
    archive.addfile(member, io.BytesIO(content))
    return files.sha256(content)


def _unpack(source: Path, target: Path) -> int:
    """Write the members below `target`, each with the hash of the manifest; how many. Raises BadData."""
    room = shutil.disk_usage(target).free
    hashes: dict[str, str] = {}
    try:
        with (
            files.regular(source) as file,
            progress_of(file, description="restore") as shown,
            tarfile.open(fileobj=shown, mode="r|gz") as archive,
        ):
            for member in archive:
                path = target / _checked(member, hashes)
                room -= member.size
                content = archive.extractfile(member)
                if room < 0 or content is None:
                    raise BadData(f"{source}: must fit on the disk, but {member.name!r} does not. Free some space.")
                path.parent.mkdir(parents=True, exist_ok=True)
                _copy(content, path)
                hashes[member.name] = files.sha256(path)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise _broken(source, f"it cannot be read: {error}") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise _broken(source, f"it cannot be read: {error}") from None  # not gzip
    except BadData as error:
        raise _broken(source, str(error)) from None
    hashes.pop(MANIFEST, None)
    known = Manifest.read(target / MANIFEST, what=f"{source}: {MANIFEST}") if (target / MANIFEST).is_file() else None
    if known is None or known.hashes != hashes:
        different = sorted(dict(known.hashes.items() ^ hashes.items())) if known else [MANIFEST]
        raise _broken(source, f"{different[0]} is missing or has other content")
    (target / MANIFEST).unlink()
    return len(hashes)


def _broken(source: Path, why: str) -> BadData:
    return BadData(
        f"{source}: must be an archive that `make backup` wrote, but {why.rstrip('.')}. Nothing was changed."
    )


def _checked(member: tarfile.TarInfo, before: dict[str, str]) -> str:
    """The name of a member. Raises BadData for one that a backup never holds."""
    parts = PurePosixPath(member.name).parts
    plain = member.name == "/".join(parts) and not {"..", "/", "."} & set(parts) and "\\" not in member.name
    own = member.name in (MANIFEST, DATABASE) or (len(parts) > 1 and parts[0] in ("models", "outputs", PARAMETERS))
    if not (member.isreg() and plain and own) or member.name in before:
        raise BadData(f"it holds {member.name[:80]!r}, which no backup does")
    return member.name


def _copy(content: IO[bytes], path: Path) -> None:
    with path.open("xb") as file:
        shutil.copyfileobj(content, file, CHUNK)
    files.sync(path)


@contextlib.contextmanager
def _alone(held: list[Path]) -> Iterator[None]:
    """Hold the locks of all namespaces that are there."""
    found = {Namespace.of_folder(path.name) for path in held if path.parent.name == "models"}
    with contextlib.ExitStack() as stack:
        for namespace in sorted({one.champion for one in found if one}):
            stack.enter_context(protocol.lock(namespace))
        yield


def _put(staging: Path, home: Path) -> Path:
    """Move what was unpacked into the home; where something is in its place, that is kept in the folder returned.

    A parameter file that is another than the one there is put beside it, as `<name>.restored`.
    """
    beside, database = home / f"before_restore_{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S%f}Z", _sqlite()
    moves = [(path, beside / path.relative_to(home)) for path in [*(home / "models").glob("[!.]*"), *names.finished()]]
    for path in [*staging.glob("models/*"), *staging.glob("outputs/*")]:
        target = home / path.relative_to(staging)
        moves += [(target, beside / target.relative_to(home)), (path, target)]
    if database is not None and (staging / DATABASE).is_file():
        old = [database.with_name(database.name + end) for end in ("", "-wal", "-shm")]
        moves += [*((path, beside / "data" / path.name) for path in old), (staging / DATABASE, database)]
    made: list[tuple[Path, Path]] = []
    try:
        for source, target in moves:
            if os.path.lexists(source):
                target.parent.mkdir(parents=True, exist_ok=True)
                source.rename(target)
                made.append((source, target))
    except OSError:
        for source, target in reversed(made):
            target.rename(source)
        raise
    root = paths.CHECKOUT if home == paths.CHECKOUT else home
    for path in sorted((staging / PARAMETERS).rglob("*.yaml")):
        _put_parameters(path, root / path.relative_to(staging))
    return beside


def _put_parameters(path: Path, target: Path) -> None:
    content = path.read_bytes()
    if target.exists() and files.read_bytes(target) != content:
        target = target.with_name(f"{target.name}.restored")
    files.write_bytes(target, content)
