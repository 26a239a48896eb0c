"""Every event gets an answer, and the answer says who gave it and why."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from toy_strategy import FEATURES, TASK, TOY, toy_settings

from bq.core import paths
from bq.core.errors import BadData
from bq.core.namespace import Tier
from bq.learning import walkforward
from bq.serving import candidate, decide, onnx, ready, registry
from bq.serving.decide import WhyNot
from bq.serving.registry import Artefact
from bq.strategies.contract import Strategy
from bq.strategies.events import FeatureSet
from bq.strategies.task import Task

SETTINGS = toy_settings(policy={"k": None, "above": 0.15})
COLUMNS = [
    *("event_id", "symbol", "session", "source", "score", "predicted_class", "class_probabilities", "confidence"),
    *(
        "expected",
        "percentile",
        "should_trade",
        "threshold",
        "most_a_session",
        "tier",
        "model",
        "trained_through",
        "in_sample",
    ),
    *("outside_support", "why_not_champion", "champion_fault", "why_not_second", "second_fault"),
]
WHY_NOT = ("why_not_champion", "champion_fault", "why_not_second", "second_fault")


@pytest.fixture(scope="module")
def made(training, success, events, tmp_path_factory) -> candidate.Candidate:
    folder = tmp_path_factory.mktemp("run")
    return candidate.save(training, success, events, folder, strategy=TOY, settings=SETTINGS)


@pytest.fixture(scope="module")
def artefact(made) -> Artefact:
    return made.artefact


@pytest.fixture
def deployed(home, artefact) -> str:
    return registry.deploy(SETTINGS.namespace, artefact, reason="test")


def today(events: pl.DataFrame) -> pl.DataFrame:
    return events.filter(pl.col("session") == events["session"].max())


def facts(answer: pl.DataFrame) -> set[tuple]:
    """Why the tiers before did not answer, and their faults."""
    return set(answer.select(WHY_NOT).rows())


def with_features(*features: FeatureSet) -> Strategy:
    return dataclasses.replace(TOY, table=dataclasses.replace(TOY.table, feature_sets=features))


def test_the_champion_answers_where_there_is_one(deployed, events, training):
    answer = decide.decide(events, TOY, SETTINGS)
    assert answer.columns == COLUMNS
    assert set(answer["event_id"]) == set(events["event_id"])
    assert answer["tier"].unique().to_list() == [Tier.CHAMPION]
    assert answer["model"].unique().to_list() == [deployed]
    expected = training.artefact.predict(FEATURES.matrix(events), *TOY.table.cells(events))
    theirs = dict(zip(events["event_id"], expected.expected.tolist(), strict=True))
    for row in answer.iter_rows(named=True):
        assert row["expected"] == pytest.approx(theirs[row["event_id"]], abs=1e-5)
        assert row["should_trade"] is (row["expected"] > SETTINGS.policy.above)
        assert row["predicted_class"] == TASK.classes[int(np.argmax(row["class_probabilities"]))]
        assert row["confidence"] == pytest.approx(max(row["class_probabilities"]))
        assert row["threshold"] == SETTINGS.policy.above
    assert answer["should_trade"].any() and not answer["should_trade"].all()
    assert answer["expected"].is_sorted(descending=True), "best first"
    assert all(answer[name].is_null().all() for name in WHY_NOT)


def test_the_rule_score_answers_where_nothing_was_deployed(home, events):
    answer = decide.decide(events, TOY, SETTINGS)
    assert answer.columns == COLUMNS
    assert answer["tier"].unique().to_list() == [Tier.RULE]
    assert answer["model"].unique().to_list() == ["rule score"]
    assert facts(answer) == {("not_deployed", None, "not_deployed", None)}
    assert set(answer["threshold"]) == {60.0}
    assert (answer["should_trade"] == (answer["score"] >= 60.0)).all()
    assert answer["score"].is_sorted(descending=True)
    for name in ("predicted_class", "class_probabilities", "expected", "confidence"):
        assert answer[name].is_null().all(), "the rule score claims no probabilities"


@pytest.fixture
def second(home, made) -> str:
    return registry.deploy(SETTINGS.namespace.second, made.success, reason="test")


FAULTS = {
    "deleted": WhyNot.DAMAGED,
    "corrupted": WhyNot.DAMAGED,
    "of another schema": WhyNot.OTHER_SCHEMA,
    "never deployed": WhyNot.NOT_DEPLOYED,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_success_model_answers_where_the_champion_cannot(second, made, events, fault, success):
    strategy = TOY
    if fault != "never deployed":
        model_id = registry.deploy(SETTINGS.namespace, made.artefact, reason="test")
        graph = paths.models(SETTINGS.namespace) / model_id / "model.onnx"
        if fault == "deleted":
            graph.unlink()
        elif fault == "corrupted":
            graph.write_bytes(b"damaged")
        else:
            bundle = made.artefact.bundle.model_copy(update={"schema_hash": "another"})
            other = Artefact.of(made.artefact.graph, bundle, made.artefact.card)
            registry.deploy(SETTINGS.namespace, other, reason="test")
    answer = decide.decide(events, strategy, SETTINGS)
    assert answer.columns == COLUMNS
    assert answer["tier"].unique().to_list() == [Tier.SECOND]
    assert answer["model"].unique().to_list() == [second]
    assert set(answer["why_not_champion"]) == {FAULTS[fault]}
    assert answer["champion_fault"].is_null().all() == (fault == "never deployed")
    assert answer["why_not_second"].is_null().all()
    threshold = success.artefact.threshold
    assert answer["threshold"].to_list() == [pytest.approx(threshold)] * len(answer)
    probability = answer["class_probabilities"].list.last()
    assert (answer["should_trade"] == (probability >= threshold)).all()
    assert probability.is_sorted(descending=True), "best first"


def test_a_damaged_success_model_hides_neither_its_own_fault_nor_the_champions(second, events):
    (paths.models(SETTINGS.namespace.second) / second / "model.onnx").write_bytes(b"damaged")
    answer = decide.decide(today(events), TOY, SETTINGS)
    assert answer["tier"].unique().to_list() == [Tier.RULE]
    assert set(answer["why_not_champion"]) == {WhyNot.NOT_DEPLOYED} and set(answer["why_not_second"]) == {
        WhyNot.DAMAGED
    }
    assert answer["second_fault"].str.contains("model.onnx must have the hash of its manifest").all()


def test_the_percentile_ranks_the_events_of_a_session(deployed, events):
    answer = decide.decide(today(events), TOY, SETTINGS)
    assert answer["percentile"][0] == 1.0 and answer["percentile"].is_sorted(descending=True)
    assert answer["percentile"].min() > 0


def test_both_tiers_answer_in_the_same_columns(home, artefact, events):
    rule = decide.decide(today(events), TOY, SETTINGS)
    registry.deploy(SETTINGS.namespace, artefact, reason="test")
    champion = decide.decide(today(events), TOY, SETTINGS)
    assert rule.schema == champion.schema


def test_the_order_of_events_changes_no_answer(deployed, events):
    rows = np.random.default_rng(0).permutation(len(events))
    ours, theirs = decide.decide(events, TOY, SETTINGS), decide.decide(events[rows], TOY, SETTINGS)
    assert_frame_equal(ours, theirs, abs_tol=1e-6)


def test_no_event_gets_no_answer(deployed, events):
    assert decide.decide(events.clear(), TOY, SETTINGS).is_empty()


def test_an_event_with_missing_and_infinite_features_is_answered(deployed, events):
    odd = today(events).with_columns(signal=pl.lit(None, pl.Float32), noise=pl.lit(float("inf"), pl.Float32))
    answer = decide.decide(odd, TOY, SETTINGS)
    assert answer["tier"].unique().to_list() == [Tier.CHAMPION]
    assert answer["expected"].is_finite().all()


def test_a_structure_the_champion_never_saw_is_answered(deployed, events):
    answer = decide.decide(today(events).with_columns(kind=pl.lit(7, pl.Int64)), TOY, SETTINGS)
    assert answer["tier"].unique().to_list() == [Tier.CHAMPION]
    assert answer["expected"].is_finite().all()


DAMAGE = {
    "graph-changed": ("model.onnx", b"damaged", "model.onnx must have the hash of its manifest, but was changed"),
    "bundle-changed": ("bundle.json", b"{}", "bundle.json must have the hash of its manifest, but was changed"),
    "card-changed": ("card.json", b"{}", "card.json must have the hash of its manifest, but was changed"),
    "manifest-garbage": ("manifest.json", b"{", "manifest.json: must hold a JSON object, but cannot be read"),
    "graph-gone": ("model.onnx", None, "must hold model.onnx as its manifest says, but it is missing"),
    "manifest-gone": ("manifest.json", None, "must have a manifest.json"),
}


@pytest.mark.parametrize(("name", "content", "why"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_champion_leaves_the_decision_to_the_rule_score_and_says_why(deployed, events, name, content, why):
    path = paths.models(SETTINGS.namespace) / deployed / name
    path.write_bytes(content) if content is not None else path.unlink()
    answer = decide.decide(today(events), TOY, SETTINGS)
    assert answer["tier"].unique().to_list() == [Tier.RULE]
    assert set(answer["why_not_champion"]) == {WhyNot.DAMAGED}
    assert answer["champion_fault"].str.contains(why, literal=True).all()


def test_a_garbage_pointer_leaves_the_decision_to_the_rule_score(deployed, events):
    (paths.models(SETTINGS.namespace) / "champion.json").write_text("garbage")
    answer = decide.decide(today(events), TOY, SETTINGS)
    assert answer["tier"].unique().to_list() == [Tier.RULE]
    assert answer["champion_fault"].str.contains("champion.json: must hold a JSON object").all()


def test_an_unreadable_disk_leaves_the_decision_to_the_rule_score(deployed, events, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(registry, "load", fail)
    answer = decide.decide(today(events), TOY, SETTINGS)
    assert answer["tier"].unique().to_list() == [Tier.RULE]
    assert set(answer["why_not_champion"]) == {WhyNot.UNREADABLE}
    assert answer["champion_fault"].str.contains("Input/output error").all()


SCHEMAS = {
    "more-features": (("signal", "noise", "gappy", "width"), r"missing: \[\], unexpected: \['width'\]"),
    "fewer-features": (("signal", "noise"), r"missing: \['gappy'\], unexpected: \[\]"),
    "another-order": (("noise", "signal", "gappy"), r"missing: \[\], unexpected: \[\] \(or in another order\)"),
}


@pytest.mark.parametrize(("columns", "why"), SCHEMAS.values(), ids=SCHEMAS)
def test_a_champion_of_other_features_does_not_answer_and_the_difference_is_named(deployed, events, columns, why):
    other = with_features(FeatureSet("toy_v1", columns))
    answer = decide.decide(today(events), other, SETTINGS)
    assert answer["tier"].unique().to_list() == [Tier.RULE]
    assert set(answer["why_not_champion"]) == {WhyNot.OTHER_SCHEMA}
    assert answer["champion_fault"].str.contains(why).all()
    assert answer["champion_fault"].str.contains("Retrain").all()


def test_a_feature_set_that_is_gone_is_named(deployed, events):
    other = with_features()
    answer = decide.decide(today(events), other, SETTINGS)
    assert answer["tier"].unique().to_list() == [Tier.RULE]
    assert answer["champion_fault"].str.contains("its features must be those of toy_v1", literal=True).all()


def test_events_without_a_feature_are_refused_with_its_name(deployed, events):
    with pytest.raises(BadData, match="missing: gappy"):
        decide.decide(today(events).drop("gappy"), TOY, SETTINGS)


def test_a_decision_on_what_the_model_was_trained_on_is_marked(deployed, events, training):
    answer = decide.decide(events, TOY, SETTINGS).join(events.select("event_id", "t0"), on="event_id")
    seen = answer["t0"] <= training.trained_through
    assert (answer["in_sample"] == seen).all()
    assert set(answer["trained_through"]) == {training.trained_through}
    assert seen.any() and not seen.all()


def test_features_outside_the_training_support_are_named_and_many_of_them_warned_about(deployed, events, caplog):
    usual = events.filter(pl.col("signal").abs() < 1.0, pl.col("noise").abs() < 1.0)
    with caplog.at_level("WARNING"):
        answer = decide.decide(usual, TOY, SETTINGS)
    assert (answer["outside_support"].list.len() == 0).all() and not caplog.records
    strange = usual.with_columns(noise=pl.lit(99.0, pl.Float32))
    with caplog.at_level("WARNING"):
        answer = decide.decide(strange, TOY, SETTINGS)
    assert answer["outside_support"].to_list() == [["noise"]] * len(answer)
    assert "100% of the events lie outside its training support" in caplog.text


def test_parameters_that_ask_no_model_leave_the_decision_to_the_rule_score(deployed, second, events):
    class Unasked(type(SETTINGS)):
        @property
        def asks_model(self) -> bool:
            return False

    answer = decide.decide(today(events), TOY, Unasked.model_validate(SETTINGS.model_dump()))
    assert facts(answer) == {("not_asked", None, "not_asked", None)}
    assert answer["tier"].unique().to_list() == [Tier.RULE]


def test_a_strategy_without_a_second_tier_is_no_fault_of_it(home, events):
    answer = decide.decide(today(events), dataclasses.replace(TOY, success=None), SETTINGS)
    assert facts(answer) == {("not_deployed", None, "no_second_tier", None)}


def test_models_are_loaded_once_and_a_damage_is_noticed_at_the_next_load(deployed, events, monkeypatch):
    parsed = []
    monkeypatch.setattr(ready, "Session", lambda graph: parsed.append(1) or onnx.Session(graph))
    models = decide.load(TOY, SETTINGS)
    first, again = (decide.decide(today(events), TOY, SETTINGS, models) for _ in range(2))
    assert first.equals(again) and len(parsed) == 1
    (paths.models(SETTINGS.namespace) / deployed / "model.onnx").write_bytes(b"damaged")
    assert decide.load(TOY, SETTINGS).champion.why_not == WhyNot.DAMAGED


def test_a_regression_answers_in_the_same_columns_without_classes(home, events):
    strategy = dataclasses.replace(TOY, task=lambda settings: Task(outcome="return"), success=None)
    labelled = events.with_columns(label=Task().label(pl.col("outcome")))
    training = walkforward.train(labelled, strategy, SETTINGS)
    made = candidate.make(training, None, labelled, strategy=strategy, settings=SETTINGS).artefact
    registry.deploy(SETTINGS.namespace, made, reason="test")
    answer = decide.decide(today(labelled), strategy, SETTINGS)
    assert answer.columns == COLUMNS and answer["tier"].unique().to_list() == [Tier.CHAMPION]
    assert answer["expected"].is_sorted(descending=True) and answer["expected"].is_finite().all()
    assert (answer["should_trade"] == (answer["expected"] > 0.0)).all()
    for name in ("predicted_class", "class_probabilities", "confidence"):
        assert answer[name].is_null().all()
