"""Scans and their decisions are kept as they were made, every one of them."""

import datetime as dt

import polars as pl
import pytest
import sqlalchemy as sa

from bq.core import db
from bq.core.namespace import Namespace
from bq.monitoring import records
from bq.monitoring.records import Scan

DAY = dt.date(2020, 1, 3)
T0 = dt.datetime(2020, 1, 3, 21, tzinfo=dt.UTC)
SCAN = Scan(Namespace("toy", simulated=True), DAY, T0, {"learning": {"folds": 3}}, "da7a", "c0de", "m1", "m2")
LEAST = {
    "event_id": ["e1", "e2"],
    "symbol": ["AAPL", "KO"],
    "session": [DAY, DAY],
    "tier": [1, 3],
    "model": ["m1", "rule score"],
    "score": [61.5, 40.0],
    "should_trade": [True, False],
}
KNOWN = {
    "t0": [T0, T0],
    "t1_due": [T0 + dt.timedelta(days=9)] * 2,
    "variant": ["v", "v"],
    "predicted_class": ["Good", None],
    "class_probabilities": [[0.25, 0.75], None],
    "expected_roi": [0.125, None],
    "confidence": [0.75, None],
    "weight": [1.0, 0.0],
    "rank": [1, 2],
    "in_sample": [False, None],
    "outside_support": [["vix"], []],
    "why_not_champion": [None, "not_asked"],
    "why_not_second": [None, "none_deployed"],
    "track": ["ml", "rule"],
    "champion_fault": ["model.onnx is damaged"] * 2,
    "second_fault": [None, None],
    "shown_elsewhere": ["x", "y"],
}


@pytest.fixture(params=["sqlite", "postgresql"])
def home(request, tmp_path, monkeypatch):
    """An empty database of either kind."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    if request.param == "postgresql":
        return request.getfixturevalue("database")
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    return tmp_path


def read(table: sa.Table) -> list[dict]:
    with db.engine().connect() as connection:
        query = sa.select(table).order_by(*table.primary_key.columns)
        return [dict(row) for row in connection.execute(query).mappings()]


def test_what_is_known_of_a_scan_and_its_decisions_is_kept(home):
    scan_id = records.enter(SCAN, pl.DataFrame({**LEAST, **KNOWN})).scan_id
    (scan,), (first, second) = read(records.scans), read(records.decisions)
    assert scan == {
        **SCAN._asdict(),
        "scan_id": scan_id,
        "namespace": "toy-simulated",
        "late": None,
        "champion_fault": "model.onnx is damaged",
        "second_fault": None,
    }
    assert first == {
        **{name: values[0] for name, values in {**LEAST, **KNOWN}.items() if name in records.decisions.c},
        "scan_id": scan_id,
        "model_id": "m1",
        "probabilities": [0.25, 0.75],
        "expected": 0.125,
        "remark": None,
    }
    assert (second["model_id"], second["probabilities"], second["outside_support"]) == (None, None, [])
    assert (second["why_not_champion"], second["why_not_second"]) == ("not_asked", "none_deployed")


def test_what_is_not_known_is_null(home):
    records.enter(SCAN, pl.DataFrame(LEAST))
    first = read(records.decisions)[0]
    unknown = set(first) - {*LEAST, "scan_id", "model_id"}
    assert len(unknown) == 15 and {first[name] for name in unknown} == {None}
    with db.engine().connect() as connection:  # SQL's null, not JSON's
        assert connection.execute(sa.text("select count(probabilities) from decisions")).scalar() == 0


def test_two_scans_at_one_moment_are_both_kept(home):
    ids = [records.enter(SCAN, pl.DataFrame(LEAST)).scan_id for _ in range(2)]
    assert ids[0] < ids[1]
    assert [scan["decided_utc"] for scan in read(records.scans)] == [SCAN.decided_utc] * 2
    assert [row["scan_id"] for row in read(records.decisions)] == [ids[0]] * 2 + [ids[1]] * 2


def test_a_scan_whose_decisions_cannot_be_kept_is_not_kept_either(home):
    twice = pl.DataFrame(LEAST).with_columns(event_id=pl.lit("e1"))
    with pytest.raises(sa.exc.IntegrityError):
        records.enter(SCAN, twice)
    assert read(records.scans) == []


def test_no_number_that_is_none_reaches_the_database(home):
    """PostgreSQL refuses NaN in JSON, and ranks it above every number elsewhere."""
    nan, inf = float("nan"), float("inf")
    odd = pl.DataFrame(LEAST).with_columns(
        expected=pl.lit(nan), confidence=pl.lit(inf), class_probabilities=pl.lit([nan, 0.5]), weight=pl.lit(-inf)
    )
    records.enter(SCAN._replace(parameters={"a": {"b": [nan, 1.0]}, "c": inf}), odd)
    assert read(records.scans)[0]["parameters"] == {"a": {"b": [None, 1.0]}, "c": None}
    row = read(records.decisions)[0]
    assert [row[name] for name in ("expected", "confidence", "weight")] == [None, None, None]
    assert row["probabilities"] == [None, 0.5]
