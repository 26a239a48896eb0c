"""Performance as checks of a home: what is read of it, what is recorded, and what raises an alert."""

import polars as pl
import pytest
import sqlalchemy as sa

from bq.core import db, paths
from bq.jobs import drift as job
from bq.monitoring import checks, observed, performance_checks
from bq.monitoring.checks import What
from bq.monitoring.records import alerts
from bq.serving import registry
from bq.surface import params
from bq.workbench import drifted
from tests.season import PRIOR, model, record, season, subject


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Of an empty home."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    return params(
        "butterfly", str(paths.CHECKOUT / "parameters/simulated/butterfly.yaml"), "gate.draws=1000 policy.k=3"
    )


def decided(settings, *, missed: float = 0.0, **changes) -> str:
    """Deploy a model of 60 sessions whose decisions on the next 240 are recorded; the id of the model.

    missed : by how much outcomes are lower than promised.
    """
    whole = season(300, symbols=5, **changes)
    cut = whole["session"].unique().sort()[60]
    made = model(whole.filter(pl.col("session") < cut))
    registry.deploy(settings.namespace, made, reason="planted")
    later = whole.filter(pl.col("session") >= cut).with_columns(outcome=pl.col("outcome") - missed)
    record(later, made.model_id, settings.namespace)
    return made.model_id


def found(settings) -> list[checks.Check]:
    return performance_checks.of(observed.of(subject().strategy, settings))


def test_what_is_observed_is_what_was_recorded_and_promised(settings):
    model_id = decided(settings)
    seen = observed.of(subject().strategy, settings)
    assert seen.counted["model_id"].unique().to_list() == [model_id] and len(seen.counted) == 1200
    assert seen.reference is not None and seen.reference.model_id == model_id
    promise = seen.subject.promises[model_id]
    labels = season(300, symbols=5).head(300)["label"]
    assert promise.prior == pytest.approx([(labels == name).mean() for name in ("Loss", "Minor", "Good", "Excellent")])
    assert promise.prior == pytest.approx(PRIOR, abs=0.1) and (promise.k, promise.score_from) == (3, 55.0)


def test_each_figure_becomes_a_check_of_its_difference_to_the_baseline(settings):
    model_id = decided(settings)
    made = {check.what: check for check in found(settings)}
    assert set(made) == {What.ACCURACY, What.LOG_LOSS, What.RANK_IC, What.UPLIFT, What.PROMISE}
    hits = made[What.ACCURACY]
    assert (
        hits.value == pytest.approx(hits.details["figure"] - hits.details["baseline"])
        and hits.low < hits.value < hits.high
    )
    assert {check.model_id for check in made.values()} == {model_id} and not any(check.alarm for check in made.values())
    assert made[What.PROMISE].threshold == 0.2 and hits.n == 1200


def test_nothing_with_an_outcome_makes_no_check(settings):
    assert found(settings) == []
    decided(settings)
    with db.engine().begin() as connection:
        connection.execute(sa.text("delete from outcomes"))
    assert found(settings) == []


def test_a_model_whose_folder_is_gone_is_measured_without_its_promise(settings):
    model_id = decided(settings)
    registry.deploy(settings.namespace, model(season(60, seed=2)), reason="another")
    for path in (registry.folder(settings.namespace, model_id)).iterdir():
        path.unlink()
    seen = observed.of(subject().strategy, settings)
    assert model_id not in seen.subject.promises and seen.reference is not None
    assert {check.model_id for check in performance_checks.of(seen)} == {model_id}


def test_a_broken_promise_is_recorded_as_an_alarm_and_opens_an_alert_until_it_is_kept(settings):
    decided(settings, missed=0.5)
    made = found(settings)
    job.record(settings.namespace, made, kinds=performance_checks.ALARMS)
    (alert,) = checks.opened(settings.namespace)
    assert alert.kind == "drift.promise" and "realised − predicted" in alert.statement
    (entered,) = checks.history(settings.namespace, what=What.PROMISE, model_id=made[0].model_id)
    assert entered.alarm and entered.high < -0.2
    lines = drifted.performance(made)
    assert sum("ALARM" in line for line in lines) == 1 and len(lines) == len(made) + 1
    job.record(settings.namespace, [check.model_copy(update={"alarm": False}) for check in made], kinds=(What.PROMISE,))
    assert checks.opened(settings.namespace) == []
    with db.engine().connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(alerts)).scalar() == 1
