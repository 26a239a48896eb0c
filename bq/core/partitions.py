"""Tables that are replaced together below a URL: partitioned Parquet under a new prefix, then one pointer to it.

A writer puts every table under a prefix that nobody knows yet, and replaces the pointer last: whoever reads finds the
tables of one writer, all of them, whenever a writer was killed. One table is split into hive partitions, by the hash of
the symbol and by the year of the session; a reader fetches those that hold what it asks for, and no others. The pointer
holds the hash of every object; bytes that have another are refused.
"""

import datetime as dt
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from secrets import token_hex
from typing import Any, NamedTuple

import polars as pl

from bq.core import files
from bq.core.errors import BadData
from bq.core.log import log, progress
from bq.core.objects import Place
from bq.core.records import Moment, Record

POINTER, PART = "current.json", "part.parquet"
SYMBOLS = 50  # in a bucket, about: with 252 sessions a year, 12,000 rows in a partition of daily bars
AT_ONCE = 32  # objects fetched, or written, together
ORDER = "row_order"  # column that restores the order in which a split table was written
NULL = "__HIVE_DEFAULT_PARTITION__"  # hive's name for a missing key
STAMP = "%Y%m%dT%H%M%SZ"
KEPT_HOURS = 24  # a prefix that nobody points to any more, or yet: its readers and its writer come to their end
FORGOTTEN_DAYS = 30  # tables of other code, which other machines may still run


class Pointer(Record):
    """What the pointer says: the prefix, the hash of each object in it, and what the tables are about."""

    schema_version: int = 1
    prefix: str
    written_utc: Moment
    buckets: int
    objects: dict[str, str]  # name below the prefix: SHA-256
    rows: dict[str, int]  # of each table
    replaced: dict[str, Moment] = {}  # prefixes pointed at before, and until when
    about: dict[str, Any] = {}


class Held(NamedTuple):
    """Tables as one writer left them."""

    place: Place
    pointer: Pointer

    def table(
        self, name: str, *, symbols: Collection[str] | None = None, years: Collection[int] | None = None
    ) -> pl.DataFrame:
        """The rows of a table, in the order in which they were written. Raises BadData for an object that is not whole.

        symbols : only these rows. years : of a split table, no partition of other years is fetched (one without a year
        is); rows of other years may be among those returned.
        """
        names = [one for one in self.pointer.objects if one.partition("/")[0] == name]
        if not names:
            raise BadData(f"{self.place / POINTER} must name a table {name}, but names none.")
        wanted = [one for one in names if self._may_hold(one, symbols, years)]
        keep = pl.lit(True) if symbols is None else pl.col("symbol").is_in(list(symbols))
        parts = [files.read_parquet(content).filter(keep) for _, content in self._contents(wanted or names[:1])]
        found = pl.concat(parts)
        found = found if wanted else found.clear()
        return found.sort(ORDER).drop(ORDER) if ORDER in found.columns else found

    def check(self) -> int:
        """The number of objects, each fetched and held against its hash. Raises BadData as `table`."""
        return sum(1 for _ in self._contents(list(self.pointer.objects)))

    def _may_hold(self, name: str, symbols: Collection[str] | None, years: Collection[int] | None) -> bool:
        keys = dict(part.split("=") for part in name.split("/")[1:-1])
        bucket, year = keys.get("bucket"), keys.get("year", NULL)
        if bucket and symbols is not None and bucket not in {bucket_of(one, self.pointer.buckets) for one in symbols}:
            return False
        return years is None or year == NULL or int(year) in years

    def _contents(self, names: list[str]) -> Iterator[tuple[str, bytes]]:
        folder = self.place / self.pointer.prefix
        for first in range(0, len(names), AT_ONCE):
            some = names[first : first + AT_ONCE]
            try:
                contents = folder.read_each(some)
            except FileNotFoundError:
                raise BadData(
                    f"{self.place / POINTER}: every object that it names must be there, but one of {folder} is not: "
                    "the prefix was removed, or was never whole."
                ) from None
            for name, content in zip(some, contents, strict=True):
                if files.sha256(content) != self.pointer.objects[name]:
                    raise BadData(f"{folder / name}: must have the hash in {POINTER}, but its hash is another.")
                yield name, content


def bucket_of(symbol: str, buckets: int) -> str:
    """The bucket of a symbol, the same on every machine.

    >>> bucket_of("AAPL", 60)
    '12'
    """
    return str(zlib.crc32(symbol.encode()) % buckets)


def pointer(place: Place) -> bytes:
    """The pointer as it stands; empty where there is none."""
    with suppress(FileNotFoundError):
        return (place / POINTER).read()
    return b""


def held(place: Place, content: bytes) -> Held:
    """What the content of a pointer points at. Raises BadData where it is no such thing."""
    found = Pointer.parse(content, what=str(place / POINTER))
    strange = [name for name in (found.prefix, *found.objects) if ".." in name]
    if strange or _begun(found.prefix) is None:
        raise BadData(
            f"{place / POINTER} must name objects in a prefix beside it, but names {(strange or [found.prefix])[0]!r}."
        )
    return Held(place, found)


def write(
    place: Place, split: str, tables: Mapping[str, pl.DataFrame], about: Mapping[str, Any], *, instead_of: bytes | None
) -> bool:
    """Put tables in the place of those that the pointer `instead_of` points at; None: of whatever is there.

    split : the table that is split, with columns `symbol` and `session`. False where another writer was first: its
    tables stay, and nothing of these.
    """
    now = dt.datetime.now(dt.UTC)
    buckets = max(1, -(-tables[split]["symbol"].n_unique() // SYMBOLS))
    prefix = f"{now:{STAMP}}-{token_hex(4)}"
    objects: dict[str, str] = {}
    some: dict[str, bytes] = {}
    parts = list(_parts(split, tables, buckets))
    for name, frame in progress(parts, total=len(parts), description=f"to {place}"):
        some[name] = files.parquet(frame)
        objects[name] = files.sha256(some[name])
        if len(some) == AT_ONCE:
            (place / prefix).write_each(some)
            some = {}
    (place / prefix).write_each(some)
    before = pointer(place)
    if instead_of not in (None, before):
        (place / prefix).remove()
        return False
    replaced = _replaced(place, before, now)
    rows = {name: len(frame) for name, frame in tables.items()}
    new = Pointer(
        prefix=prefix, written_utc=now, buckets=buckets, objects=objects, rows=rows, replaced=replaced, about={**about}
    )
    (place / POINTER).write(new.text().encode())
    _clean(place, new, now)
    return True


def _parts(split: str, tables: Mapping[str, pl.DataFrame], buckets: int) -> Iterator[tuple[str, pl.DataFrame]]:
    """Name below the prefix and rows of each object."""
    for name, frame in tables.items():
        if name != split or frame.is_empty():
            yield f"{name}/{PART}", frame
            continue
        known = frame["symbol"].unique().drop_nulls().to_list()
        bucket = pl.col("symbol").replace_strict(
            known, [bucket_of(symbol, buckets) for symbol in known], default=NULL, return_dtype=pl.String
        )
        year = pl.col("session").dt.year().cast(pl.String).fill_null(NULL)
        keyed = frame.with_row_index(ORDER).with_columns(bucket.alias("#bucket"), year.alias("#year"))
        groups = keyed.partition_by("#bucket", "#year", include_key=False, as_dict=True)
        for (of_bucket, of_year), rows in sorted(groups.items()):
            yield f"{name}/bucket={of_bucket}/year={of_year}/{PART}", rows


def _replaced(place: Place, before: bytes, now: dt.datetime) -> dict[str, dt.datetime]:
    """Prefixes that were pointed at of late, and until when."""
    try:
        old = held(place, before).pointer
    except BadData:
        return {}  # none, or damaged: its prefix is as old as its name says
    known = {**old.replaced, old.prefix: now}
    return {name: until for name, until in known.items() if now - until <= dt.timedelta(hours=KEPT_HOURS)}


def _clean(place: Place, new: Pointer, now: dt.datetime) -> None:
    """Remove the prefixes that nobody has pointed to for `KEPT_HOURS`; of those that nobody ever did, since begun."""
    for name in place.folders():
        since = new.replaced.get(name) or _begun(name)
        if name != new.prefix and since and now - since > dt.timedelta(hours=KEPT_HOURS):
            log.debug("removing %s, to which nothing points", place / name)
            (place / name).remove()


def _begun(prefix: str) -> dt.datetime | None:
    """When a writer began a prefix; None for a folder that is none."""
    with suppress(ValueError):
        return dt.datetime.strptime(prefix.partition("-")[0], STAMP).replace(tzinfo=dt.UTC)
    return None


def of_a_writer(name: str) -> bool:
    """Whether an object of this name below a place is a part of tables, also of some that never became whole."""
    return name == POINTER or _begun(name.partition("/")[0]) is not None


def forget(place: Place) -> None:
    """Remove tables that nobody has written for `FORGOTTEN_DAYS`."""
    begun = [moment for name in place.folders() if (moment := _begun(name))]
    if begun and dt.datetime.now(dt.UTC) - max(begun) > dt.timedelta(days=FORGOTTEN_DAYS):
        place.remove()
