"""Event sets below a URL: who was first stays, other code's sets stay a month, what cannot be saved is not lost."""

from types import SimpleNamespace
from uuid import uuid4

import polars as pl
import pytest
from event_samples import walk

from bq.core import partitions
from bq.core.errors import BQError
from bq.core.objects import Place
from bq.strategies import event_set
from bq.strategies.event_set import Stored
from bq.strategies.events import Built

BARS = pl.concat([walk("ONE", 30, seed=1), walk("TWO", 30, seed=2)])
MARKET = SimpleNamespace(bars=BARS, content=lambda symbol, last: f"{symbol} to {last}")
NOTHING = Stored(b"")


def built(x: float) -> Built:
    """Events of two symbols whose feature is `x`."""
    return Built(BARS.select("symbol", "session", x=pl.lit(x)), BARS.select("symbol", "session", reason=pl.lit("late")))


@pytest.fixture
def folder(monkeypatch) -> Place:
    return Place(f"memory://{uuid4().hex}") / "events" / "toy" / f"{'a' * 16}-{'b' * 16}"


@pytest.fixture
def said(monkeypatch):
    """What is logged."""
    found = []
    for level in ("info", "warning"):
        monkeypatch.setattr(event_set.log, level, lambda text, *values: found.append(text % values))
    return found


def test_a_set_is_read_as_it_was_saved_for_the_symbols_asked_for(folder):
    event_set.save(folder, built(1), MARKET, instead_of=NOTHING)
    found = event_set.read(folder)
    assert found.through == BARS["session"].max() and found.symbols["ONE"] == f"ONE to {found.through}"
    for table, whole in zip(found.tables, built(1), strict=True):
        assert table(["ONE", "TWO"]).equals(whole) and table(["TWO"]).equals(whole.filter(pl.col("symbol") == "TWO"))


def test_of_two_machines_that_build_at_once_the_first_stays_and_the_other_says_so(folder, said):
    event_set.save(folder, built(1), MARKET, instead_of=NOTHING)
    event_set.save(folder, built(2), MARKET, instead_of=NOTHING)
    assert event_set.read(folder).tables[0](["ONE"])["x"].unique().to_list() == [1]
    assert said == ["the events computed now are not saved: another process saved this event set first"]
    event_set.save(folder, built(2), MARKET, instead_of=event_set.read(folder))
    assert event_set.read(folder).tables[0](["ONE"])["x"].unique().to_list() == [2]


@pytest.mark.parametrize("content", [b"", b"{", b'{"about": {}}', b'{"prefix": "../..", "about": 1}'])
def test_a_pointer_that_is_none_counts_as_nothing_stored_and_is_replaced(folder, content, said):
    event_set.save(folder, built(1), MARKET, instead_of=NOTHING)
    (folder / partitions.POINTER).write(content)
    found = event_set.read(folder)
    assert found.through is None and len(said) == bool(content)
    event_set.save(folder, built(2), MARKET, instead_of=found)
    assert event_set.read(folder).through is not None


def test_sets_of_other_code_stay_while_other_machines_may_run_it(folder):
    new, old = (folder.parent / f"{letter * 16}-{'b' * 16}" for letter in "cd")
    event_set.save(new, built(1), MARKET, instead_of=NOTHING)
    (old / "20200101T000000Z-abcd" / "events/part.parquet").write(b"x")
    (folder.parent / "labelled.toy" / "20200101T000000Z-abcd" / "rows/part.parquet").write(b"x")
    event_set.save(folder, built(1), MARKET, instead_of=NOTHING)
    assert folder.parent.folders() == sorted([folder.name, new.name, "labelled.toy"])


def test_what_the_storage_does_not_take_is_said_and_the_run_goes_on(folder, said, monkeypatch):
    def refusing(*_):
        raise BQError("memory://x must be allowed to be written")

    monkeypatch.setattr(Place, "write_each", refusing)
    event_set.save(folder, built(1), MARKET, instead_of=NOTHING)
    assert said == ["the events computed now are not saved: memory://x must be allowed to be written"]
