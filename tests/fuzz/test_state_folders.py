"""Whatever lies in models/, outputs/ and data/, a user gets an answer or a sentence, at once, and no wrong "whole"."""

import json
import os
import random
import shutil
import signal
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bq.core import db, files
from bq.core.errors import BQError
from bq.jobs import diff, history, housekeeping, request, status
from bq.runs import read
from bq.strategies import event_set

MADE_BY_0_1 = Path(__file__).parents[1] / "made_by_0_1"
MUTATIONS = 500 if os.environ.get("BQ_FULL") else 60
SECONDS = 5
ODD = (None, True, -1, 0, 1e308, float("nan"), "", "../../etc/passwd", "x" * 5000, [], {}, [[]], {"a": {}}, 10**400)
Random = random.Random


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A home with models, runs whose tables have their hashes, an event store and a database."""
    home = Path(shutil.copytree(MADE_BY_0_1, tmp_path_factory.mktemp("base") / "home"))
    for path in home.glob("outputs/*/run.json"):
        record = json.loads(path.read_text())
        record["tables"] = {table.name: files.sha256(table) for table in path.parent.glob("*.parquet")}
        path.write_text(json.dumps(record))
    events = home / "data" / "events" / "butterfly" / "code-key"
    events.mkdir(parents=True)
    table = next(home.glob("outputs/*/oos.parquet"))
    for name in event_set.TABLES:
        shutil.copy(table, events / name)
    hashes = [files.sha256(events / name) for name in event_set.TABLES]
    (events / "state.json").write_text(json.dumps({"through": "2020-01-02", "tables": hashes, "symbols": {}}))
    return home


def flip(path: Path, rng: Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 1, 8])):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def cut(path: Path, rng: Random) -> None:
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def insert(path: Path, rng: Random) -> None:
    content, at = path.read_bytes(), rng.randrange(path.stat().st_size)
    path.write_bytes(content[:at] + rng.randbytes(rng.choice([1, 40])) + content[at:])


def nest(path: Path, rng: Random) -> None:
    depth = rng.choice([200, 900, 100_000])
    path.write_text('{"a":' * depth + "1" + "}" * depth)


def swap(path: Path, rng: Random) -> None:
    """Another value somewhere in a file of JSON."""
    try:
        whole = json.loads(path.read_text())
    except ValueError:
        return flip(path, rng)
    inside = whole
    while isinstance(inside, dict | list) and inside:
        key = rng.choice(list(inside) if isinstance(inside, dict) else range(len(inside)))
        if not isinstance(inside[key], dict | list) or not inside[key] or rng.random() < 0.4:
            inside[key] = rng.choice(ODD)
            break
        inside = inside[key]
    path.write_text(json.dumps(whole))


def elsewhere(path: Path, rng: Random) -> None:
    """A name with `../` in a file of JSON: as a key, or as an id."""
    try:
        whole = json.loads(path.read_text())
    except ValueError:
        return cut(path, rng)
    if isinstance(whole, dict):
        for name in ("model_id", "run_id", "previous"):
            if name in whole:
                whole[name] = "../../models/butterfly-simulated/" + str(whole[name])
        whole["../outside"] = "0" * 64
        if isinstance(whole.get("tables"), dict):
            whole["tables"]["../../outside.parquet"] = "0" * 64
    path.write_text(json.dumps(whole))


def folder(path: Path, rng: Random) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path, rng: Random) -> None:
    path.unlink()
    os.mkfifo(path)


def link(path: Path, rng: Random) -> None:
    path.unlink()
    path.symlink_to(rng.choice([path.name, "/dev/zero", "/nowhere", "..", "/etc/hostname"]))


def gone(path: Path, rng: Random) -> None:
    path.unlink()


KINDS: tuple[Callable, ...] = (flip, cut, insert, nest, swap, swap, elsewhere, folder, pipe, link, gone)


@contextmanager
def within(seconds: int):
    """Raise TimeoutError where what is in here takes longer."""

    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def said(work: Callable, *arguments: object) -> bool:
    """Whether it came to its end; else it said why in one sentence. Anything else it raises goes on."""
    try:
        with within(SECONDS):
            work(*arguments)
    except (BQError, OSError) as error:
        assert not isinstance(error, TimeoutError), f"{work.__name__} hangs"
        return False
    return True


def content(path: Path) -> bytes | None:
    """What a file holds as a reader of it finds it; None where it is none."""
    with suppress(OSError):
        return files.read_bytes(path)
    return None


def hashed(path: Path) -> bool:
    """Whether another file holds the hash of this one."""
    table = path.suffix == ".parquet" and "scans" not in path.parts
    return table or path.name in ("model.onnx", "bundle.json", "card.json")


@pytest.mark.parametrize("seed", range(MUTATIONS))
def test_no_mutation_of_a_state_folder_ends_in_a_traceback_hangs_or_passes_as_whole(base, tmp_path, monkeypatch, seed):
    rng, home = random.Random(seed), Path(shutil.copytree(base, tmp_path / "home"))
    monkeypatch.setenv("BQ_HOME", str(home))
    for name in ("BQ_DATABASE_URL", "STRATEGY", "PARAMS", "SET", "RUN", "A", "B", "NOTIFY_CMD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PARAMS", str(home / "parameters.yaml"))
    asked = request.read()
    top = home / rng.choice(["models", "outputs", "data"])
    path = rng.choice([path for path in sorted(top.rglob("*")) if path.is_file()])
    before, mutate = path.read_bytes(), rng.choice(KINDS)
    mutate(path, rng)
    try:
        for work in (status.main, history.main, diff.main, read.table):
            said(work, *([] if work is read.table else [asked]))
        whole = said(housekeeping.verify, asked)
        left = content(path)
        wrong = whole and ((hashed(path) and left != before) or (path.name == "run.json" and left is None))
        assert not wrong, f"{mutate.__name__} of {path} passed as whole"
        said(housekeeping.rollback, asked)
        said(history.main, asked)
    finally:
        db.close()


def test_what_is_not_changed_is_whole(base, tmp_path, monkeypatch, capsys):
    home = Path(shutil.copytree(base, tmp_path / "home"))
    monkeypatch.setenv("BQ_HOME", str(home))
    monkeypatch.setenv("PARAMS", str(home / "parameters.yaml"))
    housekeeping.verify(request.read())
    assert "4 models, 2 pointers, 2 event tables, 4 runs: all whole" in capsys.readouterr().out
