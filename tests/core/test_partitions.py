"""Tables under a URL: a reader finds one writer's, whole, whenever a writer was stopped, and fetches no others."""

import datetime as dt
from uuid import uuid4

import fsspec
import polars as pl
import pytest

from bq.core import files, objects, partitions
from bq.core.errors import BadData
from bq.core.objects import Place
from tests import remote

ABOUT = {"through": "2020-12-31"}


def table(seed: int = 0, symbols: int = 120) -> pl.DataFrame:
    """Rows of many symbols over three years, in no order, with what Parquet could lose on the way."""
    names = [f"S{number:03}" for number in range(symbols)]
    days = [dt.date(2019, 5, 1), dt.date(2020, 5, 1), dt.date(2021, 5, 3), None]
    rows = pl.DataFrame({"symbol": names}).join(pl.DataFrame({"session": days}), how="cross")
    number = pl.int_range(pl.len()).cast(pl.Float32)
    return rows.with_columns(
        x=pl.when(pl.col("symbol") == "S003").then(float("nan")).otherwise(number),
        kind=pl.lit("b").cast(pl.Enum(["a", "b"])),
        sector=pl.col("symbol").str.tail(1).cast(pl.Categorical),
        t0=pl.lit(dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),
    ).sample(fraction=1, shuffle=True, seed=seed)


@pytest.fixture
def place() -> Place:
    """An empty place in memory."""
    return Place(f"memory://{uuid4().hex}") / "set"


def put(place: Place, main: pl.DataFrame, *, instead_of: bytes | None = None) -> bool:
    beside = pl.DataFrame({"symbol": ["S001"], "session": [None], "reason": ["too short"]})
    return partitions.write(place, "rows", {"rows": main, "refused": beside}, ABOUT, instead_of=instead_of)


def get(place: Place) -> partitions.Held:
    return partitions.held(place, partitions.pointer(place))


def test_a_table_comes_back_row_by_row_with_its_types(place):
    main = table()
    put(place, main)
    assert get(place).table("rows").equals(main) and get(place).table("rows").schema == main.schema
    assert get(place).table("refused")["reason"].to_list() == ["too short"]
    assert get(place).pointer.about == ABOUT and get(place).pointer.rows == {"rows": 480, "refused": 1}


def test_an_empty_table_keeps_its_columns(place):
    put(place, table().clear())
    assert get(place).table("rows").equals(table().clear())
    assert get(place).table("rows", symbols=["S001"], years={2020}).is_empty()


def test_the_prefix_is_a_dataset_in_hives_layout_for_any_other_reader(place):
    main = table()
    put(place, main)
    system, path = objects._system(place.root)
    names = [name for name in get(place).pointer.objects if name.startswith("rows/")]
    assert {name.split("/")[2] for name in names} == {f"year={y}" for y in (2019, 2020, 2021, partitions.NULL)}
    assert {name.split("/")[1] for name in names} == {"bucket=0", "bucket=1", "bucket=2"}
    import pyarrow.dataset

    dataset = pyarrow.dataset.dataset(
        f"{path}/set/{get(place).pointer.prefix}/rows", filesystem=system, partitioning="hive"
    )
    assert dataset.count_rows(filter=pyarrow.dataset.field("year") == 2020) == 120


def test_a_subset_fetches_the_partitions_that_may_hold_it_and_no_others(place, monkeypatch):
    main = table()
    put(place, main)
    held, asked = get(place), []
    read = Place.read_each
    monkeypatch.setattr(Place, "read_each", lambda self, names: asked.extend(names) or read(self, names))
    some = held.table("rows", symbols=["S003", "none such"], years={2020})
    assert some.filter(pl.col("session").dt.year() == 2020)["symbol"].to_list() == ["S003"]
    buckets = {partitions.bucket_of(symbol, 3) for symbol in ("S003", "none such")}
    assert {name.split("/")[1] for name in asked} == {f"bucket={one}" for one in buckets} and len(buckets) < 3
    assert {name.split("/")[2] for name in asked} == {"year=2020", f"year={partitions.NULL}"}


class Stopped(BaseException):
    """A process that ends here."""


def test_a_writer_stopped_before_any_of_its_writes_leaves_what_was_there(place, monkeypatch):
    old, new = table(0), table(1)
    put(place, old)
    monkeypatch.setattr(partitions, "AT_ONCE", 2)
    real, left = objects._put, []

    def stopping(system, contents):
        if left[0] == 0:
            raise Stopped
        left[0] -= 1
        real(system, contents)

    monkeypatch.setattr(objects, "_put", stopping)
    for number in range(50):
        left[:] = [number]
        try:
            put(place, new)
            break
        except Stopped:
            assert get(place).table("rows").equals(old), f"stopped at write {number}"
            assert get(place).check() == len(get(place).pointer.objects)
    assert number > 6 and get(place).table("rows").equals(new)


def test_kill_9_between_the_tables_and_the_pointer_leaves_the_old_state_readable(tmp_path):
    place = Place(f"file://{tmp_path}") / "set"
    put(place, table())
    assert remote.killed_before_the_pointer(place)
    assert len(place.folders()) == 2, "the new prefix is there, and nothing points at it"
    assert get(place).table("rows").equals(table())


def test_of_two_writers_at_once_the_first_stays_and_the_other_leaves_nothing(place):
    put(place, table(0))
    before = partitions.pointer(place)
    assert put(place, table(1), instead_of=before)
    assert not put(place, table(2), instead_of=before)
    assert get(place).table("rows").equals(table(1)) and len(place.folders()) == 2
    assert put(place, table(2), instead_of=partitions.pointer(place))


def test_a_prefix_goes_when_nobody_has_pointed_at_it_for_a_day_and_no_sooner(place, monkeypatch):
    (place / "20200101T000000Z-abcd" / "rows/part.parquet").write(b"of a writer that was killed")
    (place / "notes" / "x.txt").write(b"somebody's own")
    put(place, table(0))
    first = get(place).pointer.prefix
    put(place, table(1))
    assert place.folders() == sorted(["notes", first, get(place).pointer.prefix]), "a reader of the first may go on"
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=partitions.KEPT_HOURS, minutes=1)

    class Clock(dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return later

    monkeypatch.setattr(partitions.dt, "datetime", Clock)
    put(place, table(2))
    monkeypatch.undo()
    assert first not in place.folders() and "notes" in place.folders() and len(place.folders()) == 3
    assert get(place).table("rows").equals(table(2))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda place, prefix: prefix.remove(), "is not: the prefix was removed"),
        (
            lambda place, prefix: (place / partitions.POINTER).write(
                partitions.pointer(place).replace(prefix.name.encode(), b"../../raw")
            ),
            r"in a prefix beside it, but names '../../raw'",
        ),
        (lambda place, prefix: (prefix / "refused/part.parquet").remove(), "every object that it names must be there"),
        (lambda place, prefix: (prefix / "refused/part.parquet").write(b"other"), "its hash is another"),
        (lambda place, prefix: (place / partitions.POINTER).write(b'{"prefix": "x"'), "must hold a JSON object"),
        (lambda place, prefix: (place / partitions.POINTER).write(b"{}"), "must name prefix, written_utc"),
        (lambda place, prefix: (place / partitions.POINTER).write(b'{"schema_version": 9}'), "Update the program"),
    ],
    ids=["no prefix", "elsewhere", "half a prefix", "other bytes", "half a pointer", "no pointer", "later version"],
)
def test_what_is_not_whole_is_refused_in_a_sentence_and_can_be_replaced(place, fault, said):
    put(place, table())
    before = partitions.pointer(place)
    fault(place, place / get(place).pointer.prefix)
    with pytest.raises(BadData, match=said):
        get(place).check()
    assert put(place, table(1), instead_of=partitions.pointer(place)) and before != partitions.pointer(place)
    assert get(place).table("rows").equals(table(1))


def test_tables_of_other_code_are_forgotten_after_a_month_only(place):
    (place / "20200101T000000Z-abcd" / "rows/part.parquet").write(b"x")
    put(place, table())
    partitions.forget(place)
    assert get(place).check()
    alone = place.parent / "other"
    (alone / "20200101T000000Z-abcd" / "rows/part.parquet").write(b"x")
    partitions.forget(alone)
    assert alone.folders() == [] and get(place).check()


def test_a_folder_of_this_machine_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    """fsspec writes a local file in its place."""
    place = Place(f"file://{tmp_path}")
    (place / "a").write(b"old")
    written = []
    monkeypatch.setattr(files, "write_bytes", lambda path, content: written.append(path.name))
    (place / "a").write(b"new")
    assert written == ["a"] and fsspec.filesystem("file").cat_file(f"{tmp_path}/a") == b"old"
