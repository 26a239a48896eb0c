"""Drift of a deployed model: found where the world changed, silent where it did not, and said where it is not known."""

import datetime as dt
import math
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from toy_world import SETTINGS, SYMBOLS

from bq.core.namespace import Namespace, Tier
from bq.monitoring import drift, error_stream, outcomes, reference, windows
from bq.monitoring.checks import What
from bq.monitoring.drift import Monitored, Without
from bq.serving import frozen, registry

HERE = Namespace("toy")


def turned(events: pl.DataFrame) -> pl.DataFrame:
    """Labels flipped: what the model expects to do well does badly."""
    return events.with_columns(outcome=pl.when(pl.col("outcome").is_not_null()).then(-pl.col("outcome") + 0.05))


def moved(events: pl.DataFrame) -> pl.DataFrame:
    """A feature that carries nothing has another mean."""
    return events.with_columns(pl.col("noise") + 1.0)


def only(found: list[Monitored]) -> dict[What, object]:
    assert [one.without for one in found] == [None]
    return {check.what: check for check in found[0].checks}


def test_an_unchanged_world_raises_no_alarm(world):
    here = world()
    found = drift.check(here.strategy, SETTINGS, here.market)
    checks = only(found)
    assert set(checks) == set(drift.KINDS)
    assert [check.what for check in checks.values() if check.alarm] == []
    assert found[0].false_alarms_a_year == pytest.approx(
        sum(check.details.get("false_alarms_a_year", 0.0) for check in checks.values())
    )
    assert all(check.model_id == here.model_id and check.namespace == "toy" for check in checks.values())


def test_a_feature_that_moved_is_named_and_errors_are_not_accused(world):
    here = world(moved)
    checks = only(drift.check(here.strategy, SETTINGS, here.market))
    assert checks[What.INPUT].alarm
    assert checks[What.INPUT].details["drifted"] == ["noise"]
    assert checks[What.INPUT].p <= checks[What.INPUT].details["level"]
    assert not checks[What.ERROR_CUSUM].alarm and not checks[What.ERROR_EPROCESS].alarm


def test_labels_that_turned_are_found_in_errors_and_not_in_features(world):
    here = world(turned)
    checks = only(drift.check(here.strategy, SETTINGS, here.market))
    assert checks[What.ERROR_CUSUM].alarm and checks[What.ERROR_EPROCESS].alarm
    assert not checks[What.INPUT].alarm
    facts = checks[What.ERROR_CUSUM].details
    assert facts["error"] > facts["harmful_error"] > facts["reference_error"]
    assert facts["alarm_at"] is not None and math.isfinite(facts["delay_months"])


def test_a_confirmed_harm_stays_confirmed(world):
    here = world(lambda events: pl.concat([turned(events.head(400)), events.tail(len(events) - 400)]))
    check = only(drift.check(here.strategy, SETTINGS, here.market))[What.ERROR_CUSUM]
    assert check.alarm


def test_windows_share_no_session_and_stand_until_the_next_is_whole(world):
    here = world()
    counted = outcomes.counted(HERE)
    sessions = counted["session"].unique().sort()
    found = [windows.newest(counted.filter(pl.col("session") <= day), here.model_id) for day in sessions]
    assert found[: windows.SESSIONS - 1] == [None] * (windows.SESSIONS - 1)
    spans = list(dict.fromkeys((one.first, one.last) for one in found if one))
    assert spans == [(sessions[i], sessions[i + 20]) for i in range(0, 84, 21)]


def test_before_the_first_window_it_is_said_how_much_is_missing(world):
    here = world(weeks=12)
    checks = only(drift.check(here.strategy, SETTINGS, here.market))
    assert checks[What.INPUT].value is None
    assert checks[What.INPUT].details == {"sessions": 12, "needed": windows.SESSIONS}


def test_what_was_decided_later_changes_no_earlier_check(world):
    here = world()
    day = outcomes.counted(HERE)["session"].unique().sort()[70]
    early = drift.check(here.strategy, SETTINGS, here.market, through=day)
    assert early[0].day == day
    only_early = outcomes.counted(HERE, through=day)
    model = reference.of(HERE)
    again = error_stream.checks(error_stream.of(model, only_early), windows.About("toy", day, here.model_id))
    assert [check.value for check in early[0].checks if check.what == What.ERROR_CUSUM] == [again[0].value]


def test_no_model_no_reference_and_no_decision_are_said(world, toy_model, tmp_path):
    here = world(weeks=2)
    shutil.rmtree(tmp_path / "models")
    assert [one.without for one in drift.check(here.strategy, SETTINGS, here.market)] == [Without.NO_MODEL]
    from dataclasses import replace

    registry.deploy(HERE, replace(toy_model, reference=None), reason="as 0.1 stored it")
    assert [one.without for one in drift.check(here.strategy, SETTINGS, here.market)] == [Without.NO_REFERENCE]
    shutil.rmtree(tmp_path / "models")
    other = replace(toy_model, graph=toy_model.graph + b" ")
    registry.deploy(HERE, other, reason="another model, which decided nothing")
    assert [one.without for one in drift.check(here.strategy, SETTINGS, here.market)] == [Without.NO_DECISIONS]


def test_a_share_outside_the_support_above_three_in_ten_is_an_alarm(world):
    here = world()
    counted = outcomes.counted(HERE)
    window = windows.newest(counted, here.model_id)
    about = windows.About("toy", window.last, here.model_id)
    for share, alarm in ((0.25, False), (0.5, True)):
        outside = (np.arange(len(window.decisions)) % SYMBOLS) < share * SYMBOLS
        column = pl.Series([["noise"] if one else [] for one in outside], dtype=pl.List(pl.String))
        changed = window._replace(decisions=window.decisions.with_columns(outside_support=column))
        support, tier = windows.shares(changed, about, tiers=True)
        assert (support.value, support.alarm, support.threshold) == (share, alarm, 0.3)
        assert (tier.value, tier.alarm) == (0.0, False)


def test_decisions_of_another_tier_are_counted(world):
    here = world()
    counted = outcomes.counted(HERE).with_columns(
        model_id=pl.when(pl.col("symbol") < "S04").then("model_id"),
        tier=pl.when(pl.col("symbol") < "S04").then("tier").otherwise(Tier.RULE.value),
    )
    window = windows.newest(counted, here.model_id)
    *_, tier = windows.shares(window, windows.About("toy", window.last, here.model_id), tiers=True)
    assert (tier.what, tier.value, tier.alarm) == (What.TIER, 0.5, True)


def test_what_is_shown_is_of_the_same_decisions(world):
    here = world(moved)
    (shown,) = drift.of(here.strategy, SETTINGS, here.market)
    (checked,) = drift.check(here.strategy, SETTINGS, here.market)
    assert shown.checks == checked.checks
    assert set(shown.weekly["feature"].unique()) == {"signal", "noise", "gappy"}
    assert shown.weekly["week"].n_unique() == 90
    noise = shown.distributions.filter(pl.col("feature") == "noise")
    assert noise["before"].sum() == pytest.approx(1.0) and noise["now"].sum() == pytest.approx(1.0)
    assert noise["now"].tail(3).sum() > 0.3 > noise["before"].tail(3).sum()
    assert shown.paths["llr_cusum"].max() == next(c.value for c in shown.checks if c.what == What.ERROR_CUSUM)
    assert [str(one.detector) for one in shown.detectors] == ["llr_cusum", "e_process", "cusum", "ewma", "dummy"]


def test_errors_are_of_which_events_do_better():
    rows = pl.DataFrame(
        {
            "session": [1, 1, 1, 2, 3],
            "expected": [0.3, 0.1, 0.25, 0.2, None],
            "outcome": [0.5, -0.5, -0.3, 0.1, 0.4],
        }
    )
    # around the means .217 and -.1: right, right, wrong; alone, around (.1, .2): wrong; unknown
    found = error_stream.errors(rows, usual=(0.1, 0.2))
    assert found["error"].to_list() == [0.0, 0.0, 1.0, 1.0]


def test_a_block_counts_when_all_of_it_is_due():
    t0 = [dt.datetime(2020, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=day) for day in range(0, 60, 5)]
    rows = pl.DataFrame({"t0": t0, "t1_due": [one + dt.timedelta(days=10) for one in t0]}).with_columns(
        session=pl.col("t0").dt.date(), error=pl.lit(1.0)
    )
    every = error_stream.blocks_of(rows, span=dt.timedelta(0))
    assert every["first"].dt.ordinal_day().to_list() == [1, 11, 21, 31, 41, 51]
    known = error_stream.blocks_of(rows, span=dt.timedelta(0), known=t0[0] + dt.timedelta(days=39))
    assert len(known) == 3
    wide = error_stream.blocks_of(rows, span=dt.timedelta(days=10))
    assert wide["n"].to_list() == [2, 2, 2, 2] and wide["first"].dt.ordinal_day().to_list() == [1, 16, 31, 46]


def test_a_thinned_reference_thins_decisions_alike(world, monkeypatch):
    here = world()
    whole = reference.of(HERE)
    thin = whole._replace(share=0.5, rows=frozen.thinned(whole.rows, 0.5))
    monkeypatch.setattr("bq.monitoring.reference.of", lambda namespace: thin)
    checks = only(drift.check(here.strategy, SETTINGS, here.market))
    decided = outcomes.counted(HERE)
    window = windows.newest(decided, here.model_id)
    assert checks[What.INPUT].n == len(frozen.thinned(window.decisions, 0.5)) < 0.7 * len(window.decisions)


def test_home_of_0_1_is_monitored_by_saying_that_it_cannot_be(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    for part in ("models", "data"):
        shutil.copytree(Path(__file__).parents[1] / "made_by_0_1" / part, tmp_path / part)
    namespace = Namespace.parse("butterfly-simulated")
    found = drift._subject(namespace, outcomes.counted(namespace), drift.Kept.nothing())
    assert (found.without, found.model_id is not None) == (Without.NO_REFERENCE, True)


def answered(held: reference.Reference, *, sessions: int) -> reference.Reference:
    """The same as if the model itself had been asked on the last sessions before it was deployed."""
    asked = held.rows["session"].unique().sort().tail(sessions)
    own = pl.when(pl.col("session").is_in(asked.implode()))
    rows = held.rows.with_columns(
        answered=own.then((pl.col("feature:signal") * 0.2).cast(pl.Float32)),
        answered_class=own.then(pl.when(pl.col("feature:signal") > 0).then(pl.lit("Good")).otherwise(pl.lit("Loss"))),
    )
    return held._replace(rows=rows)


@pytest.mark.parametrize(
    ("by", "alarm"), [pytest.param(0.0, False, id="the same levels"), pytest.param(0.2, True, id="higher levels")]
)
def test_levels_and_classes_are_held_against_what_the_model_itself_predicted(world, by, alarm):
    here = world()
    counted = outcomes.counted(HERE)
    signal = here.strategy.table.build(None, None, wanted_of(counted)).events.select("event_id", "signal")
    decided = counted.join(signal, on="event_id").with_columns(
        expected=pl.col("signal") * 0.2 + by,
        predicted_class=pl.when(pl.col("signal") * 0.2 + by > 0).then(pl.lit("Good")).otherwise(pl.lit("Loss")),
    )
    window = windows.newest(decided, here.model_id)
    held = answered(reference.of(HERE), sessions=130)
    checks = windows.predictions(held, window, windows.About("toy", window.last, here.model_id))
    assert {check.what: check.alarm for check in checks} == {What.LEVEL: alarm, What.OUTPUT: alarm}
    few = windows.predictions(answered(held, sessions=60), window, windows.About("toy", window.last, here.model_id))
    assert [(check.value, check.alarm) for check in few] == [(None, False)] * 2


def wanted_of(counted: pl.DataFrame) -> dict[str, list[dt.date]]:
    return dict(counted.group_by("symbol").agg(pl.col("session").unique()).rows())
