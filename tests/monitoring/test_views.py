"""The views that outsiders are promised: columns as documented, figures by hand, on both databases."""

import datetime as dt
import re

import polars as pl
import pytest
import sqlalchemy as sa

from bq.core import db, paths
from bq.core.namespace import Namespace
from bq.monitoring import outcomes, records
from bq.monitoring.records import Scan

TOY = Namespace("toy")
DOCS = (paths.CHECKOUT / "docs" / "records.md").read_text()
VIEWS = ("v_decisions", "v_outcomes", "v_performance_weekly", "v_alerts")


@pytest.fixture(params=["sqlite", "postgresql"])
def home(request, tmp_path, monkeypatch):
    """An empty database of either kind."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    if request.param == "postgresql":
        return request.getfixturevalue("database")
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    return tmp_path


def decide(day: dt.date, rows: list[tuple], *, late=False, model="m1", tier=1) -> None:
    """rows : event, should_trade, predicted class, expected."""
    close = dt.datetime.combine(day, dt.time(21), dt.UTC)
    frame = pl.DataFrame(rows, schema=["event_id", "should_trade", "predicted_class", "expected"], orient="row")
    known = {"symbol": "S", "session": day, "tier": tier, "model": model, "score": 1.0, "t1_due": close}
    scan = Scan(TOY, day, close, {}, "d", "c", "m1", None, late)
    records.enter(scan, frame.with_columns(**{k: pl.lit(v) for k, v in known.items()}))


def end(came_to: dict[str, tuple[float, str | None]], *, revision: int | None = None) -> None:
    now = dt.datetime(2020, 3, 1, tzinfo=dt.UTC)
    rows = [
        {"event_id": event, "t1_now": now, "outcome_now": value, "label_now": label, "source": "bars"}
        for event, (value, label) in came_to.items()
    ]
    found = pl.DataFrame(rows, schema_overrides={"label_now": pl.String})
    outcomes.enter(TOY, found.with_columns(revision=pl.lit(revision, pl.Int64)), data_hash="d")


def asked(query: str) -> list[dict]:
    with db.engine().connect() as connection:
        return [dict(row) for row in connection.execute(sa.text(query)).mappings()]


def documented(view: str) -> set[str]:
    """Names in the first cells of the view's table, or of its sentence."""
    own = DOCS.split(f"**{view}**", 1)[1].split("\n**v_")[0].split("\n###")[0]
    cells = [line.split("|")[1] for line in own.splitlines() if line.startswith("| ")][1:]
    text = re.sub(r"\([^)]*\)", "", own.split(":", 1)[1].split(".")[0]) if not cells else ",".join(cells)
    return set(re.findall(r"[a-z][a-z0-9_]+", text))


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_has_the_columns_that_are_documented(home, view):
    with db.engine().connect() as connection:
        found = set(connection.execute(sa.text(f"select * from {view}")).keys())
    whole = documented(view) | ({"namespace", "week", "tier", "model_id", "track"} if "weekly" in view else set())
    assert found == whole


def test_a_decision_stands_once_with_its_newest_outcome_whether_or_not_it_counts(home):
    decide(dt.date(2020, 1, 3), [("a", True, "Good", 0.2)])
    decide(dt.date(2020, 1, 3), [("a", True, "Good", 0.3)], late=True)
    end({"a": (0.5, "Good")})
    end({"a": (0.25, "Loss")}, revision=0)
    found = asked("select scan_id, counts, expected, outcome, label, revision from v_decisions order by scan_id")
    assert [tuple(row.values()) for row in found] == [(1, 1, 0.2, 0.25, "Loss", 1), (2, 0, 0.3, 0.25, "Loss", 1)]
    both = asked("select revision, newest, outcome from v_outcomes order by revision")
    assert [tuple(row.values()) for row in both] == [(0, 0, 0.5), (1, 1, 0.25)]


def test_a_week_is_what_is_counted_by_hand(home):
    """A Monday and a Friday of one week, the next Monday, a late scan, an open event, and a rule score beside."""
    decide(dt.date(2020, 1, 6), [("a", True, "Good", 0.5), ("b", False, "Loss", -0.1)])
    decide(dt.date(2020, 1, 10), [("c", True, "Good", 0.3), ("open", True, "Good", 9.0)])
    decide(dt.date(2020, 1, 10), [("late", True, "Good", 9.0)], late=True)
    decide(dt.date(2020, 1, 13), [("d", False, None, None)], tier=3)
    end({"a": (1.0, "Good"), "b": (-0.5, "Loss"), "c": (-0.25, "Loss"), "d": (0.125, "Good"), "late": (9.0, "Good")})
    first, second = asked("select * from v_performance_weekly order by week")
    assert str(first["week"]) == "2020-01-06" and (first["tier"], first["model_id"]) == (1, "m1")
    exact = {"matured": 3, "traded": 2, "classified": 3, "traded_mean_outcome": 0.375, "traded_win_rate": 0.5}
    assert {name: float(first[name]) for name in exact} == exact
    near = {"mean_outcome": 0.25 / 3, "win_rate": 1 / 3, "accuracy": 2 / 3, "majority": 2 / 3}
    near |= {"mean_expected": 0.7 / 3, "bias": (0.5 - 0.4 - 0.55) / 3}
    assert {name: float(first[name]) for name in near} == pytest.approx(near)
    assert str(second["week"]) == "2020-01-13" and (second["tier"], second["model_id"], second["matured"]) == (
        3,
        None,
        1,
    )
    assert (second["traded"], second["accuracy"], second["majority"], second["bias"]) == (0, None, None, None)


def test_an_alert_is_open_until_it_is_closed(home):
    now = dt.datetime(2020, 1, 3, tzinfo=dt.UTC)
    row = {"namespace": "toy", "opened_utc": now, "kind": "k", "severity": "s", "statement": "said", "check_ids": [1]}
    with db.engine().begin() as connection:
        connection.execute(records.alerts.insert(), [{**row, "closed_utc": None}, {**row, "closed_utc": now}])
    assert [row["is_open"] for row in asked("select is_open from v_alerts order by id")] == [1, 0]


def test_the_queries_of_the_documentation_work(home):
    queries = DOCS.split("### Grafana")[1].split("```sql\n")[1].split("```")[0].split("\n\n")
    assert len(queries) == 2
    for query in queries:
        asked(query)
