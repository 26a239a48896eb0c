"""One check a kind, model and day, whatever is run twice; one open alert a kind."""

import datetime as dt

import pytest
import sqlalchemy as sa

from bq.core import db
from bq.core.namespace import Namespace
from bq.monitoring import checks
from bq.monitoring.checks import Check, Severity, What
from bq.monitoring.records import checks as table

HERE, OTHER = Namespace("toy"), Namespace("toy", simulated=True)
MONDAY, TUESDAY = dt.date(2020, 1, 6), dt.date(2020, 1, 7)


@pytest.fixture(params=["sqlite", "postgresql"], autouse=True)
def home(request, tmp_path, monkeypatch):
    """An empty database of either kind."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    if request.param == "postgresql":
        return request.getfixturevalue("database")
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    return tmp_path


def check(day: dt.date = MONDAY, *, what: What = What.INPUT, model_id: str | None = "m1", **more: object) -> Check:
    return Check(namespace=more.pop("namespace", "toy"), day=day, what=what, model_id=model_id, n=500, **more)


def test_a_check_is_read_as_it_was_entered():
    whole = check(blocks=25, value=0.2, low=0.1, high=0.3, threshold=0.15, p=0.01, alarm=True, details={"a": [1.5]})
    checks.enter([whole])
    assert checks.newest(HERE) == [whole]


def test_what_json_cannot_hold_is_null():
    checks.enter([check(value=float("nan"), high=float("inf"), details={"x": float("nan")})])
    assert [(c.value, c.high, c.details) for c in checks.newest(HERE)] == [(None, None, {"x": None})]


@pytest.mark.parametrize("model_id", ["m1", None], ids=["of a model", "of the rule score"])
def test_twice_on_one_day_is_one_check_with_the_later_figure(model_id):
    first = checks.enter([check(value=0.1, model_id=model_id), check(what=What.OUTPUT, model_id=model_id)])
    again = checks.enter([check(value=0.4, alarm=True, model_id=model_id), check(what=What.OUTPUT, model_id=model_id)])
    assert first == again
    assert [(c.value, c.alarm) for c in checks.newest(HERE)] == [(0.4, True), (None, False)]


def test_days_models_and_kinds_are_kept_apart():
    checks.enter([check(), check(TUESDAY), check(TUESDAY, model_id="m2"), check(TUESDAY, namespace=str(OTHER))])
    assert [c.model_id for c in checks.newest(HERE)] == ["m1", "m2"]
    assert [c.day for c in checks.history(HERE, what=What.INPUT, model_id="m1")] == [MONDAY, TUESDAY]
    assert checks.history(HERE, what=What.OUTPUT, model_id="m1") == []
    assert len(checks.newest(OTHER)) == 1


def test_none_is_recorded_where_one_cannot_be():
    with pytest.raises(sa.exc.IntegrityError):
        checks.enter([check(), check().model_copy(update={"n": None})])
    assert checks.newest(HERE) == []


def test_a_kind_that_a_later_version_entered_is_left_out():
    checks.enter([check()])
    with db.engine().begin() as connection:
        connection.execute(table.insert().values(check().plain() | {"day": MONDAY, "what": "of_tomorrow"}))
    assert [c.what for c in checks.newest(HERE)] == [What.INPUT]


def alert(statement: str, *ids: int, kind: str = "drift") -> int:
    return checks.open_alert(HERE, kind=kind, severity=Severity.WARNING, statement=statement, check_ids=ids)


def test_an_alert_stays_one_until_it_is_closed():
    first = alert("an alarm", 1)
    assert alert("a later alarm", 1, 2) == first
    assert [(a.statement, a.check_ids, a.closed_utc) for a in checks.opened(HERE)] == [("a later alarm", [1, 2], None)]
    assert alert("another", kind="support") != first
    assert checks.close(HERE, kind="drift")
    assert [a.kind for a in checks.opened()] == ["support"]
    assert not checks.close(HERE, kind="drift")
    assert alert("again", 3) not in (first, None)
    assert checks.opened(OTHER) == []
