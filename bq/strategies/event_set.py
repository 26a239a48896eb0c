"""An event set as it lies on the disk: two tables, and a state that says of which bars they are."""

import datetime as dt
import fnmatch
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl
from filelock import FileLock, Timeout

from bq.core import files, objects, partitions, paths
from bq.core.errors import BadData, BQError
from bq.core.log import log
from bq.core.objects import Place
from bq.core.scalars import day
from bq.core.section import Affects, part
from bq.core.settings import Settings
from bq.strategies.contract import Strategy
from bq.strategies.events import Built

if TYPE_CHECKING:
    from bq.market import MarketData

STATE, LOCK = "state.json", ".lock"
LOCK_SECONDS = 60.0  # another's reading or writing of the tables is waited for
LABELLED = "labelled."  # before the namespace: the folder of events that no code computed; see `labelled.kept`
TABLES = ("events.parquet", "refused.parquet")  # of a `Built`
STEMS = tuple(Path(name).stem for name in TABLES)  # what they are called in a pointer
ANOTHER = "the events computed now are not saved: another process saved this event set first"
BUILDERS = ("kernels", "stats", "market", "analysis", "strategies")  # code whose change makes stored events stale


@cache
def code_digest() -> str:
    """Digest of the source code that computes events, as this process found it: later changes are not what it runs."""
    package = paths.CHECKOUT / "bq"
    sources = sorted(path for folder in BUILDERS for path in (package / folder).rglob("*.py"))
    return files.digest_of_files(sources, package)


def folder_of(strategy: Strategy, settings: Settings) -> Path | Place:
    """Where one event set is: by the code that computes it, and by everything but the bars that it depends on."""
    key = files.digest(part(settings, Affects.EVENTS))
    return objects.events(strategy.name) / f"{code_digest()}-{key}"


def below_root() -> list[Place]:
    """Every event set, and every labelled table that was collected, below `BQ_DATA_ROOT`; none without it."""
    root = objects.root()
    if root is None:
        return []
    folders = [root / "events" / name for name in (root / "events").folders()]
    return [folder / name for folder in folders for name in folder.folders()]


class Stored(NamedTuple):
    """An event set as it is stored."""

    state: bytes  # as it stands; empty where there is none
    through: dt.date | None = None  # None where the tables are not those that were saved with the state
    symbols: dict[str, str] = {}  # digest of each one's bars up to `through`
    tables: tuple[Callable[[Sequence[str]], pl.DataFrame], ...] = ()  # the rows of some symbols in each of `TABLES`


def read(folder: Path | Place) -> Stored:
    """What is stored, as one save left it."""
    if isinstance(folder, Place):
        return _below(folder)
    if not (folder / STATE).exists():
        return Stored(b"")
    with _locked(folder):  # also without: bytes of two saves do not fit together, and count as damaged
        return _whole(folder)


def _whole(folder: Path) -> Stored:
    content = b""
    try:
        content = files.read_bytes(folder / STATE)
        state, tables = files.parse_json(content), tuple(files.read_bytes(folder / name) for name in TABLES)
        if [files.sha256(table) for table in tables] == state["tables"]:
            rows = tuple(partial(_of_symbols, table) for table in tables)
            return Stored(content, dt.date.fromisoformat(state["through"]), dict(state["symbols"]), rows)
    except (OSError, ValueError, TypeError, LookupError):
        pass
    log.warning("the stored events in %s are damaged: they are computed again", folder)
    return Stored(content)


def _of_symbols(table: bytes, symbols: Sequence[str]) -> pl.DataFrame:
    rows = files.read_parquet(table)
    asked = rows["symbol"].is_in(symbols)
    return rows if asked.all() else rows.filter(asked)  # which would copy them


def _below(place: Place) -> Stored:
    """What is stored below a URL; the partitions of symbols that are not asked for are not fetched."""
    content = partitions.pointer(place)
    if not content:
        return Stored(b"")
    try:
        held = partitions.held(place, content)
        through, symbols = dt.date.fromisoformat(held.pointer.about["through"]), held.pointer.about["symbols"]
    except (BadData, ValueError, TypeError, LookupError) as error:
        log.warning("the stored events in %s are damaged, and computed again: %s", place, error)
        return Stored(content)
    rows = (lambda some, name=name: held.table(name, symbols=some) for name in STEMS)
    return Stored(content, through, dict(symbols), tuple(rows))


@contextmanager
def _locked(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of an event set; False where it cannot be had. Universes of other names share an event set.

    It is held while files are read or written, not while events are built.
    """
    lock = FileLock(folder / LOCK, timeout=LOCK_SECONDS if wait else 0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (Timeout, OSError, NotImplementedError) as error:  # held, not ours to write, a disk without locks
        log.debug("%s cannot be locked: %s", folder, error)
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def save(folder: Path | Place, stored: Built, market: "MarketData", *, instead_of: Stored) -> None:
    """Save what was built, unless another process saved since `instead_of` was read: that stays, and this in memory."""
    last = day(market.bars["session"].max())
    symbols = {symbol: market.content(symbol, last) for symbol in market.bars["symbol"].unique().sort()}
    about = {"through": last, "symbols": symbols}
    if isinstance(folder, Place):
        try:
            _save_below(folder, stored, about, instead_of)
        except BQError as error:  # what was built for hours is not thrown away
            log.warning("the events computed now are not saved: %s", error)
    elif _save_in(folder, stored, about, instead_of):
        _forget_other_code(folder)


def _save_in(folder: Path, stored: Built, about: dict[str, Any], instead_of: Stored) -> bool:
    """State last, with the hashes of what was written: tables that it does not fit are built again by the next run.

    False where nothing was saved.
    """
    with _locked(folder) as alone:
        if not alone:
            log.warning(
                "the events computed now are not saved: %s is locked by another process, or cannot be locked", folder
            )
            return False
        if _state_of(folder) != instead_of.state:
            log.info(ANOTHER)
            return False
        hashes = [files.write_parquet(folder / name, table) for name, table in zip(TABLES, stored, strict=True)]
        files.write_json(folder / STATE, about | {"tables": hashes})
    return True


def _forget_other_code(folder: Path) -> None:
    """Remove the sets beside one that other code made: they are never read again."""
    for other in folder.parent.glob(_beside(folder)):
        if not _same_code(other, folder):
            with _locked(other, wait=False) as alone:
                if alone:
                    shutil.rmtree(other, ignore_errors=True)


def _save_below(folder: Place, stored: Built, about: dict[str, Any], instead_of: Stored) -> None:
    """Pointer last; sets beside it that other code made are removed when they are old: other machines may run it."""
    tables = dict(zip(STEMS, stored, strict=True))
    if not partitions.write(folder, STEMS[0], tables, about, instead_of=instead_of.state):
        log.info(ANOTHER)
    for name in fnmatch.filter(folder.parent.folders(), _beside(folder)):
        if not _same_code(other := folder.parent / name, folder):
            partitions.forget(other)


def _beside(folder: Path | Place) -> str:
    """The pattern of names of event sets, by one of them."""
    return "-".join("?" * len(part) for part in folder.name.split("-"))


def _same_code(one: Path | Place, other: Path | Place) -> bool:
    return one.name.partition("-")[0] == other.name.partition("-")[0]


def _state_of(folder: Path) -> bytes:
    """The state as it stands; empty where there is none."""
    with suppress(FileNotFoundError):
        return files.read_bytes(folder / STATE)
    return b""
