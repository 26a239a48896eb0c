import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bq import runs
from bq.core import files, paths
from bq.core.errors import BadParameters
from bq.tuning import results as tuning_results

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


WRITERS = {
    "bytes": lambda path: files.write_bytes(path, b"new"),
    "text": lambda path: files.write_text(path, "new"),
    "json": lambda path: files.write_json(path, {"new": 1}),
    "parquet": lambda path: files.write_parquet(path, pl.DataFrame({"new": [1]})),
}
writers = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())


@writers
@pytest.mark.parametrize("step", ["create", "write", "fsync", "replace"])
def test_a_failing_write_leaves_the_old_file_whole_and_nothing_beside_it(tmp_path, monkeypatch, write, step):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    owner, name = {
        "write": (Path, "write_bytes"),
        "fsync": (os, "fsync"),
        "create": (os, "open"),
        "replace": (Path, "replace"),
    }[step]
    monkeypatch.setattr(owner, name, full_disk)
    if step == "write":
        monkeypatch.setattr(pl.DataFrame, "write_parquet", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write(path)
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_failing_first_write_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        files.write_text(tmp_path / "folder" / "file", "new")
    assert names(tmp_path / "folder") == []


def test_an_error_inside_replacing_keeps_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


@writers
def test_a_written_file_is_whole_synced_and_readable_by_all(tmp_path, monkeypatch, write):
    synced = []
    monkeypatch.setattr(files, "sync", lambda synced_path: synced.append(synced_path.name))
    path = tmp_path / "folder" / "file"
    write(path)
    assert path.stat().st_mode & 0o777 == 0o644
    assert names(path.parent) == ["file"]
    assert len(synced) == 2 and synced[0].startswith(".file.") and synced[1] == "folder"  # the content, then its name


def test_parquet_survives_being_written_and_read(tmp_path):
    frame = pl.DataFrame(
        {
            "text": ["a", None],
            "day": [None, 1],
            "value": np.array([np.nan, 1e-300]),
            "single": pl.Series([np.pi, None], dtype=pl.Float32),
            "time": pl.Series([0, None], dtype=pl.Datetime("us", "UTC")),
            "kind": pl.Series(["x", "y"], dtype=pl.Enum(["x", "y"])),
        }
    ).with_columns(pl.col("day").cast(pl.Date))
    files.write_parquet(tmp_path / "frame.parquet", frame)
    read = pl.read_parquet(tmp_path / "frame.parquet")
    assert read.equals(frame) and read.schema == frame.schema


PATTERNS = {"x[1]": "x1", "x?": "x1", "*": "x1", "[a-z]1": "x1", "{x,y}1": "x1"}  # a name, and what it would match
READERS = {
    "read_parquet": files.read_parquet,
    "scan_parquet": lambda path: files.scan_parquet(path).collect(),
    "read_csv": files.read_csv,
    "scan_csv": lambda path: files.scan_csv(path).collect(),
    "run": lambda path: runs.Run(path.parent, {}).frame(path.stem),
    "tuning": lambda path: tuning_results.load(path.parent).curves,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", PATTERNS)
def test_a_folder_whose_name_is_a_pattern_is_read_and_no_other(tmp_path, name, reader):
    for folder in (name, PATTERNS[name]):
        (tmp_path / folder).mkdir()
        frame = pl.DataFrame({"from": [folder]})
        files.write_parquet(tmp_path / folder / "curves.parquet", frame)
        files.write_text(tmp_path / folder / "curves.csv", frame.write_csv())
        files.write_json(tmp_path / folder / "tuning.json", {})
    path = tmp_path / name / f"curves.{'csv' if 'csv' in reader else 'parquet'}"
    assert READERS[reader](path)["from"].to_list() == [name]
    path.unlink()
    with pytest.raises((OSError, BadParameters)):
        READERS[reader](path)


def test_a_folder_in_the_place_of_a_table_is_no_table(tmp_path):
    files.write_parquet(tmp_path / "table.parquet" / "part.parquet", pl.DataFrame({"a": [1]}))
    with pytest.raises(IsADirectoryError):
        files.read_parquet(tmp_path / "table.parquet")


def test_a_table_is_read_from_the_bytes_whose_hash_was_checked():
    frame = pl.DataFrame({"a": [1], "b": [2.0]})
    assert files.read_parquet(files.parquet(frame)).equals(frame)
    assert files.read_parquet(files.parquet(frame), columns=["b"]).columns == ["b"]


@given(JSON)
@settings(max_examples=50)
def test_json_survives_being_written_and_read(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.json"
    files.write_json(path, value)
    assert files.read_json(path) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}], ids=str)
def test_numbers_that_json_has_not_are_refused(value):
    with pytest.raises(ValueError, match="JSON"):
        files.canonical_json(value)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_a_digest_does_not_depend_on_the_order_of_names(value):
    assert files.digest(dict(reversed(value.items()))) == files.digest(value)


def test_a_digest_is_the_same_in_every_process():
    value = {"b": [1, 2.5, None], "a": "é", "c": {"x": True}}
    code = f"from bq.core import files; print(files.digest({value!r}))"
    other = subprocess.run([sys.executable, "-c", code], cwd=paths.CHECKOUT, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == files.digest(value) == "182ff66ce8e91b6f"


@pytest.mark.parametrize(
    ("one", "other"), [(1, "1"), (1, 1.5), (None, "None"), ([1, [2]], [[1], 2]), ({}, [])], ids=str
)
def test_different_values_have_different_digests(one, other):
    assert files.digest(one) != files.digest(other)


def test_a_file_and_its_content_have_one_hash(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert files.sha256(b"abc") == files.sha256(tmp_path / "file") == known
