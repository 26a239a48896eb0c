"""A recipe is compared with the incumbent's on the same events, costs, labels and policy, or not at all."""

from dataclasses import replace

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from toy_strategy import SUCCESS, TOY, toy_events, toy_settings

from bq.core.namespace import Tier
from bq.learning import metrics, walkforward
from bq.serving import candidate, comparable, gates
from bq.serving.basis import basis_of
from bq.serving.registry import Artefact
from bq.strategies.component import Kind

CHEAPER = 0.098  # a trade earns so much more where half of the spread is not paid


@pytest.fixture(scope="module")
def incumbent(training, success, events) -> Artefact:
    return candidate.make(training, success, events, strategy=TOY, settings=toy_settings()).artefact


CHANGED = toy_settings(learning={"half_life_days": 300.0})  # another way of training


def trained(events: pl.DataFrame, settings=CHANGED) -> pl.DataFrame:
    return walkforward.train(events, TOY, settings).oos


def asked(incumbent: Artefact, events: pl.DataFrame, settings=CHANGED) -> comparable.Values:
    return comparable.incumbent_values(incumbent, trained(events, settings), events, strategy=TOY, settings=settings)


def fresh(events: pl.DataFrame, settings=None) -> pl.DataFrame:
    """What the incumbent's way of training earns on these events."""
    settings = settings or toy_settings()
    return TOY.value.earned(trained(events, settings), "expected", settings)


def test_on_the_same_basis_the_result_is_that_of_the_card_and_nothing_is_trained(incumbent, events, monkeypatch):
    oos = trained(events)
    monkeypatch.setattr(walkforward, "train", None)
    found = comparable.incumbent_values(incumbent, oos, events, strategy=TOY, settings=CHANGED)
    assert_frame_equal(found.values, candidate.values_of(incumbent))
    assert found.told == ""


def cheaper(events: pl.DataFrame) -> pl.DataFrame:
    return events.with_columns(outcome=pl.col("outcome") + CHEAPER)


def fewer(events: pl.DataFrame) -> pl.DataFrame:
    return events.filter(pl.col("symbol") != events["symbol"][0])


OTHERS = {
    "other costs": (cheaper, {}),
    "other symbols": (fewer, {}),
    "other events": (lambda events: toy_events(seed=3), {}),
    "another policy": (lambda events: events, {"k": 2}),
}


@pytest.mark.parametrize(("changed", "policy"), OTHERS.values(), ids=OTHERS)
def test_on_another_basis_the_incumbents_way_of_training_is_walked_forward_again(incumbent, events, changed, policy):
    others = changed(events)
    found = asked(incumbent, others, toy_settings(learning={"half_life_days": 300.0}, policy=policy))
    assert_frame_equal(found.values, fresh(others, toy_settings(policy=policy)))
    assert not found.values.equals(candidate.values_of(incumbent))
    assert "walked forward again" in found.told


def test_other_labels_are_another_basis(training):
    relabelled = training.oos.with_columns(label=2 - pl.col("label"))
    ours, others = (basis_of(oos, toy_settings()).sessions for oos in (training.oos, relabelled))
    assert ours.keys() == others.keys() and not set(ours.items()) & set(others.items())


def test_costs_that_are_not_paid_beat_no_recipe(incumbent, events):
    """Beside what the incumbent's recipe earned with costs, the same picks without them look better by these costs."""
    others = cheaper(events)
    oos, unpaid = trained(others), asked(incumbent, others)
    pairs = metrics.versus(oos, TOY, CHANGED)
    by_card = gates.Incumbent("other", None, candidate.values_of(incumbent))
    mean = {
        name: gates._changed(oos, pairs, standing, CHANGED).value
        for name, standing in {"card": by_card, "same": by_card._replace(values=unpaid.values)}.items()
    }
    assert CHEAPER / 2 < mean["card"] - mean["same"] < CHEAPER, "of more than half of the slots of a session"
    assert abs(mean["same"]) < CHEAPER / 2


def test_later_sessions_leave_the_earlier_ones_comparable(incumbent):
    """Of the sessions that had matured when the incumbent was trained not one differs."""
    longer = toy_events(sessions=70)
    found = asked(incumbent, _continued(toy_events(), longer))
    assert found.told == ""
    stored = candidate.values_of(incumbent)
    assert 0 < len(found.values) <= len(stored)
    assert_frame_equal(found.values, stored.join(found.values.select("session"), on="session", how="semi"))


def _continued(events: pl.DataFrame, longer: pl.DataFrame) -> pl.DataFrame:
    """The same events, with the sessions that came after them."""
    later = longer.filter(pl.col("session") > events["session"].max())
    return pl.concat([events, later.with_columns(event_id="later" + pl.col("event_id"))], how="diagonal_relaxed")


def test_a_card_without_its_basis_is_not_believed(incumbent, events):
    old = replace(incumbent, card=incumbent.card.model_copy(update={"basis": None}))
    found = asked(old, events)
    assert_frame_equal(found.values, fresh(events))


def test_what_cannot_be_trained_today_is_inconclusive_and_says_why(incumbent, events):
    gone = {"learning": {**incumbent.card.parameters["learning"], "features": "toy_v1"}, "gone": 1}
    unknown = replace(incumbent, card=incumbent.card.model_copy(update={"parameters": gone, "basis": None}))
    found = asked(unknown, events)
    assert found == (None, "its parameters are not those of today")
    oos = trained(events)
    standing = gates.Incumbent("other", None, found.values, Tier.CHAMPION)
    component = gates._changed(oos, metrics.versus(oos, TOY, CHANGED), standing, CHANGED)
    assert (component.kind, component.holds, component.sessions) == (Kind.CHANGED_RECIPE, None, 0)


def test_events_without_its_features_are_said(incumbent, events):
    old = replace(incumbent, card=incumbent.card.model_copy(update={"basis": None}))
    kept = events.drop("gappy")
    found = comparable.incumbent_values(old, trained(events), kept, strategy=TOY, settings=CHANGED)
    assert found == (None, "the events of this run have none of its features ['gappy']")


def test_the_second_tier_is_walked_forward_for_its_own_task(training, success, events):
    second = candidate.make(training, success, events, strategy=TOY, settings=toy_settings()).success
    others = cheaper(events)
    oos = walkforward.train(others, TOY, CHANGED, task=SUCCESS).oos
    found = comparable.incumbent_values(second, oos, others, strategy=TOY, settings=CHANGED, task=SUCCESS)
    own = walkforward.train(others, TOY, toy_settings(), task=SUCCESS).oos
    assert_frame_equal(found.values, gates.success_values(own, SUCCESS, CHANGED))
