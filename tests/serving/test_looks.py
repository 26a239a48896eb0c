"""What a training earned, as the ledger keeps it."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from toy_strategy import SUCCESS, TOY, toy_settings

from bq.learning import metrics
from bq.runs import folder
from bq.serving import candidate, gates, ledger, looks
from bq.serving.ledger import GATE, LOOK

SETTINGS = toy_settings()
NAMESPACE = SETTINGS.namespace


def two_models(training) -> pl.DataFrame:
    beside = training.oos.with_columns(model=pl.lit("lightgbm"), expected=-pl.col("expected"))
    return pl.concat([beside, training.oos])


def test_each_model_is_a_look_with_its_own_recipe_and_the_series_that_the_gate_judges(training):
    own, beside = looks.looks(two_models(training), TOY, SETTINGS, "run")
    assert [one.parameters["model"] for one in (own, beside)] == ["elastic_net", "lightgbm"]
    assert own.recipe == candidate.recipe_digest(SETTINGS, {})
    assert beside.recipe == candidate.recipe_digest(toy_settings(learning={"model": "lightgbm"}), {})
    assert own.events == beside.events
    pairs = metrics.versus(training.oos, TOY, SETTINGS)
    named = pairs.select("session", value="model", baseline="baseline", everything="everything")
    assert_frame_equal(own.series, named)
    assert own.shown["value"] == pytest.approx(pairs["model"].mean()) and own.shown["sessions"] == len(pairs)


def test_other_outcomes_are_other_events_and_another_order_is_not(training):
    oos = training.oos
    digests = {
        name: looks.events_digest(of)
        for name, of in {
            "given": oos,
            "turned": oos.reverse(),
            "costs": oos.with_columns(pl.col("outcome") - 0.01),
            "fewer": oos.head(len(oos) - 1),
        }.items()
    }
    assert digests["given"] == digests["turned"]
    assert len(set(digests.values())) == 3


def test_the_second_tier_is_judged_by_its_own_looks(home, training, success):
    looks.enter(training.oos, TOY, SETTINGS)
    looks.enter(success.oos, TOY, SETTINGS, task=SUCCESS)
    first, second = ledger.listed()
    assert (first["tier"], second["tier"]) == (1, 2)
    seen = ledger.on(NAMESPACE.second, success.oos["session"], success.oos["symbol"].unique())
    assert len(seen.columns) == 2
    expected = gates.success_values(success.oos, SUCCESS, SETTINGS)["value"]
    assert seen[seen.columns[1]].equals(expected.rename(seen.columns[1]), null_equal=True)


def test_what_is_shown_in_a_run_and_asked_of_its_gate_is_one_look(home, training, monkeypatch):
    monkeypatch.setenv(folder.MARK, "/somewhere/outputs/.20260101T000000Z_toy")
    looks.enter(two_models(training), TOY, SETTINGS)
    assert {row["kind"] for row in ledger.listed()} == {LOOK}
    for _ in range(2):  # a run that is taken up again enters nothing twice
        looks.enter_attempt(two_models(training), TOY, SETTINGS, "20260101T000000Z_toy", quick=False)
    assert [(row["kind"], row["parameters"]["model"]) for row in ledger.listed()] == [
        (LOOK, "lightgbm"),
        (GATE, "elastic_net"),
    ]
    assert ledger.standing().entries == 3
