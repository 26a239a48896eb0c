"""What is in the ledger stays there: an entry that was edited, deleted or moved is found."""

import datetime as dt
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from bq.core import db, paths
from bq.core.namespace import Namespace
from bq.serving import ledger
from bq.serving.ledger import GATE, LOOK, Look

TOY = Namespace("toy")
OLD = paths.CHECKOUT / "tests" / "made_by_0_1" / "data" / "bq.db"
ENTRIES = 5


def look(number: int, *, kind: str = GATE, value: float = 0.1) -> Look:
    days = [dt.date(2020, 1, 3) + dt.timedelta(weeks=i) for i in range(4)]
    series = pl.DataFrame({"session": days, "value": [value, -value, float(number), 0.0]})
    shown = {"value": value, "sessions": 4}
    return Look(kind, f"run{number}", 0, {"model": "m"}, series, ["KO", "AAPL"], f"recipe{number}", "events", shown)


def filled(home: Path) -> None:
    """A ledger of ENTRIES looks, written in two goes."""
    ledger.record(TOY, [look(number) for number in range(2)])
    ledger.record(TOY, [look(number) for number in range(2, ENTRIES)])


def change(statement: str) -> None:
    with db.engine().begin() as connection:
        for one in statement.split("; "):
            connection.execute(sa.text(one))


def test_a_ledger_that_was_only_added_to_has_no_fault_and_every_entry_a_digest(home):
    filled(home)
    assert ledger.faults() == []
    assert len(set(ledger.digests())) == ledger.standing().entries == ENTRIES
    assert ledger.standing().digest == ledger.digests()[-1]


def test_a_look_entered_again_by_a_resumed_run_is_no_further_entry(home):
    filled(home)
    before = ledger.digests()
    ledger.record(TOY, [look(number) for number in range(ENTRIES)])
    assert ledger.digests() == before and ledger.faults() == []


def test_a_correction_is_a_further_entry_and_counts_instead(home):
    filled(home)
    ledger.record(TOY, [look(1, value=0.5)])
    assert ledger.standing().entries == ENTRIES + 1 and ledger.faults() == []
    days = look(0).series["session"]
    seen = ledger.on(TOY, days, ["KO"])
    assert len(seen.columns) == 1 + ENTRIES
    assert seen["gate/run1/0"].to_list() == [0.5, -0.5, 1.0, 0.0]


def test_what_a_run_showed_and_then_asked_the_gate_about_is_one_look(home):
    ledger.record(TOY, [look(1, kind=LOOK), look(2, kind=LOOK)])
    ledger.record(TOY, [look(1, kind=GATE)])
    assert [(row["kind"], row["study"]) for row in ledger.listed()] == [(LOOK, "run2"), (GATE, "run1")]
    assert ledger.held(TOY).looks == 2 and ledger.standing().entries == 3


EDITS = {
    "the result": "update looks set series = (select series from looks where id = 1) where id = 3",
    "a figure": 'update looks set shown = \'{"value": 9.0, "sessions": 4}\' where id = 3',
    "the recipe": "update looks set recipe = 'another' where id = 3",
    "the time": "update looks set at_utc = '2020-01-01 00:00:00.000000' where id = 3",
    "the symbols": "update looks set symbols = '[\"MSFT\"]' where id = 3",
    "the tier": "update looks set tier = 2 where id = 3",
    "the market": "update looks set simulated = 1 where id = 3",
    "the digest": "update looks set digest = 'ff' where id = 3",
    "no digest any more": "update looks set digest = null where id = 3",
    "the order": "update looks set id = 100 where id = 3; update looks set id = 3 where id = 4; "
    "update looks set id = 4 where id = 100",
    "gone, the head put right": "delete from looks where id = 3; update chain_head set entries = entries - 1",
    "the head": "update chain_head set entries = 4",
    "the head's digest": "update chain_head set digest = 'ff'",
    "no head": "delete from chain_head",
}


@pytest.mark.parametrize("statement", EDITS.values(), ids=EDITS)
def test_what_is_edited_or_moved_is_said(home, statement):
    filled(home)
    change(statement)
    assert ledger.faults()


@examples(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gone=st.sets(st.integers(1, ENTRIES), min_size=1))
def test_whatever_rows_are_deleted_it_is_said(tmp_path_factory, gone):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BQ_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("BQ_DATABASE_URL", raising=False)
        filled(paths.home())
        change(f"delete from looks where id in ({', '.join(map(str, gone))})")
        assert ledger.faults()
        db.close()


def test_entries_of_0_1_are_before_the_chain_and_bound_by_the_first_in_it(home):
    (home / "data").mkdir()
    file = Path(shutil.copyfile(OLD, home / "data" / "bq.db"))
    old = ledger.count()
    assert old > 0 and ledger.digests() == [] and ledger.faults() == []
    ledger.record(TOY, [look(1)])
    assert (ledger.count(), ledger.standing().entries) == (old + 1, 1)
    assert ledger.faults() == []
    with sqlite3.connect(file) as connection:
        connection.execute("delete from looks where id = 1")
    assert any("entries before the chain" in sentence for sentence in ledger.faults())


def add_side_by_side() -> None:
    """Four writers at once, two looks each."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: ledger.record(TOY, [look(2 * n), look(2 * n + 1)]), range(4)))


def test_writers_side_by_side_make_one_chain(home):
    add_side_by_side()
    assert ledger.faults() == [] and ledger.standing().entries == 8


def test_in_postgresql_writers_side_by_side_make_one_chain(home, database):
    add_side_by_side()
    assert ledger.faults() == [] and ledger.standing().entries == 8


def test_in_postgresql_the_chain_holds_and_a_deleted_entry_is_said(home, database):
    filled(home)
    assert ledger.faults() == [] and ledger.standing().entries == ENTRIES
    change("delete from looks where study = 'run2'")
    assert len(ledger.faults()) == 2, "the entry behind it, and the number of them"
