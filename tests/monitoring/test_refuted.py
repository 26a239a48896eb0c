"""A model that its own errors refute stops deciding, and events before the change neither train nor are evidence."""

import datetime as dt

import polars as pl
import pytest
from test_drift import turned
from toy_world import SETTINGS, SYMBOLS

from bq.core.errors import BadData
from bq.core.namespace import Namespace
from bq.learning import splits
from bq.monitoring import checks, drift, error_stream, outcomes, reference, refuted
from bq.runs.record import Cause
from bq.serving import registry
from bq.strategies import store
from bq.strategies.events import UTC
from tests import stored

HERE = Namespace("toy")
AT = 30  # week of the later ones from which labels are turned


def turned_at(events: pl.DataFrame, week: int = AT) -> pl.DataFrame:
    return pl.concat([events.head(week * SYMBOLS), turned(events.tail(len(events) - week * SYMBOLS))])


def watched(here) -> list[refuted.Refuted]:
    made = [check for one in drift.check(here.strategy, SETTINGS, here.market) for check in one.checks]
    checks.enter(made)
    return refuted.among(HERE, made)


def test_in_an_unchanged_world_nothing_is_refuted_and_everything_trains(world):
    assert watched(world()) == []
    assert registry.pointer(HERE) is not None
    assert refuted.since(HERE) is None and refuted.under_law(SETTINGS) == SETTINGS


def test_a_refuted_model_stops_deciding_and_the_change_is_dated_by_its_errors(world, later):
    (one,) = watched(world(turned_at))
    refuted.retire(one, statement="its errors")
    assert registry.pointer(HERE) is None
    newest = registry.history(HERE)[0]
    assert (newest["kind"], newest["previous"], newest["reason"]) == ("retired", one.check.model_id, "its errors")
    assert [alert.kind for alert in checks.opened(HERE)] == [refuted.ALERT]
    truth, change = later["session"][AT * SYMBOLS], refuted.since(HERE)
    assert abs((change - truth).days) <= 8 * 7  # weeks of two blocks, whose outcomes take four each
    assert refuted.among(HERE, [one.check]) == []
    own = SETTINGS.learning.model_copy(update={"since": dt.date(2001, 1, 1)})
    said = SETTINGS.model_copy(update={"learning": own})
    assert refuted.under_law(said) == said and refuted.in_force(said) is None  # who says since when knows better
    assert refuted.under_law(SETTINGS).learning.since == refuted.in_force(SETTINGS) == change


def test_the_alert_stands_until_a_model_is_deployed_and_the_retired_one_is_no_way_back(world, toy_model):
    refuted.retire(watched(world(turned_at))[0], statement="its errors")
    assert registry.rolled_back(HERE) is None  # it need not be beaten
    refuted.settle(HERE)
    assert checks.opened(HERE)
    registry.deploy(HERE, toy_model, reason="test")
    assert registry.before(HERE, toy_model.model_id) is None
    refuted.settle(HERE)
    assert checks.opened(HERE) == []


def daily(count: int, *, holding: int) -> pl.DataFrame:
    """One event a day whose outcome takes some days, all ended."""
    t0 = [dt.datetime(2020, 1, 1, 21, tzinfo=dt.UTC) + dt.timedelta(days=i) for i in range(count + holding)]
    ended = t0[count + holding - 1]
    rows = {
        "event_id": [str(i) for i in range(count + holding)],
        "session": [day.date() for day in t0],
        "t0": pl.Series(t0, dtype=UTC),
        "t1": pl.Series([day + dt.timedelta(days=holding) for day in t0], dtype=UTC),
    }
    events = pl.DataFrame(rows).with_columns(t1_due="t1", label=pl.lit(1))
    return events.filter(pl.col("t1") <= ended)


@pytest.mark.parametrize(
    ("days", "holding", "needed", "holds"),
    [(500, 1, 365.0, False), (530, 1, 365.0, True), (1000, 20, 600.0, True), (700, 20, 600.0, False)],
    ids=["a year", "a year is over", "20 blocks of 30 days", "too few blocks"],
)
def test_a_verdict_needs_a_year_and_twenty_blocks_out_of_sample(days, holding, needed, holds):
    since = dt.date(2020, 1, 1)
    settings = SETTINGS.model_copy(
        update={
            "learning": SETTINGS.learning.model_copy(update={"since": since}),
            "gate": SETTINGS.gate.model_copy(update={"min_oos_days": 365, "min_blocks": 20}),
        }
    )
    found = refuted.evidence(daily(days, holding=holding), settings)
    assert (found.kind, found.holds) == (Cause.EVIDENCE, holds)
    assert found.value == pytest.approx(0.7 * days, abs=2)
    assert found.threshold == pytest.approx(needed, rel=0.01)


def test_folds_since_a_change_span_seven_tenths_of_the_time_from_it_on():
    events = daily(600, holding=5)
    learning = SETTINGS.learning.model_copy(update={"folds": 4, "test_days": 365})
    with pytest.raises(BadData, match="4 folds of 365 days"):
        splits.purged_walk_forward(events, learning)
    folds = splits.purged_walk_forward(events, learning.model_copy(update={"since": dt.date(2020, 1, 1)}))
    assert [len(fold.test) for fold in folds] == [104] * 4  # 599 days × 0.7 / 4
    assert len(folds[0].train) == 600 - 4 * 104 - 5


def test_events_before_the_change_are_left_out():
    events = daily(100, holding=5)
    since = dt.date(2020, 2, 1)
    settings = SETTINGS.model_copy(update={"learning": SETTINGS.learning.model_copy(update={"since": since})})
    left = store.begun(events, settings)
    assert left["session"].min() == since and len(left) == 100 - 31
    assert store.begun(events, SETTINGS).equals(events)
    late = settings.learning.model_copy(update={"since": dt.date(2030, 1, 1)})
    with pytest.raises(BadData, match=r"learning\.since"):
        store.begun(events, settings.model_copy(update={"learning": late}))


def test_a_stream_goes_on_over_retrains_of_the_recipe(world):
    """The world turned while a model decided that a retrain has taken the place of: its errors count on."""
    world(turned_at)
    model = reference.of(HERE)
    counted = outcomes.counted(HERE)
    replaced = counted["session"].unique().sort()[AT + 6]
    mine = pl.col("session") >= replaced
    both = counted.with_columns(model_id=pl.when(mine).then("model_id").otherwise(pl.lit("before it")))
    usual = error_stream.usual_of(model)
    alone, whole = (
        error_stream.beside(usual, model, both, line=line).blocks
        for line in ([model.model_id], [model.model_id, "before it"])
    )
    assert whole.equals(error_stream.of(model, counted).blocks)
    assert alone["first"].min() >= replaced > whole["first"].min()


def test_a_line_of_models_ends_where_another_recipe_decided(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    made = [stored.artefact(f"graph {n}".encode(), recipe=recipe) for n, recipe in enumerate("xyyy")]
    for one in made[:3]:
        registry.deploy(HERE, one, reason="test")
    ids = [one.model_id for one in made]
    assert registry.line_of(HERE, ids[2]) == [ids[2], ids[1]]
    registry.retire(HERE, reason="test")
    registry.deploy(HERE, made[3], reason="test")
    assert registry.line_of(HERE, ids[3]) == [ids[3]]
