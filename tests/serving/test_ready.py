"""The one door: a model that is not what its place asks for answers nothing, and the next tier says why."""

import dataclasses
import json
import shutil
from types import SimpleNamespace

import numpy as np
import onnx as onnx_format
import polars as pl
import pytest
from toy_strategy import TOY, toy_settings

from bq import strategies
from bq.core import files, params, paths
from bq.core.errors import BadData
from bq.core.namespace import Namespace, Tier
from bq.jobs import housekeeping, request
from bq.learning.model import Prediction
from bq.serving import candidate, decide, quality, ready, registry
from bq.serving.decide import Loaded, Models
from bq.serving.ready import CannotAnswer, WhyNot
from bq.serving.registry import Artefact

SETTINGS = toy_settings()
HERE = SETTINGS.namespace


@pytest.fixture(scope="module")
def made(training, success, events) -> candidate.Candidate:
    return candidate.make(training, success, events, strategy=TOY, settings=SETTINGS)


def changed(artefact: Artefact, graph: bytes | None = None, **bundle: object) -> Artefact:
    return Artefact.of(graph or artefact.graph, artefact.bundle.model_copy(update=bundle), artefact.card)


def another_opset(artefact: Artefact) -> Artefact:
    """As a later runtime would write it."""
    graph = onnx_format.load_from_string(artefact.graph)
    graph.opset_import[0].version = 999
    return changed(artefact, graph.SerializeToString())


def invalid(artefact: Artefact) -> Artefact:
    graph = onnx_format.load_from_string(artefact.graph)
    graph.graph.node[0].op_type = "NoSuchOperator"
    return changed(artefact, graph.SerializeToString())


def renamed_output(artefact: Artefact) -> Artefact:
    graph = onnx_format.load_from_string(artefact.graph)
    graph.graph.output.pop()
    return changed(artefact, graph.SerializeToString())


def another_answer(artefact: Artefact) -> Artefact:
    """What is stored is off by a little more than is allowed, in one row."""
    probe = artefact.bundle.probe
    return changed(
        artefact, probe=probe.model_copy(update={"expected": [probe.expected[0] + 3e-5, *probe.expected[1:]]})
    )


FOREIGN = {
    "of-another-strategy": (lambda made: changed(made.artefact, strategy="butterfly"), WhyNot.OTHER_STRATEGY),
    "simulated-in-a-real-namespace": (lambda made: changed(made.artefact, source="simulated"), WhyNot.OTHER_SOURCE),
    "a-success-model": (lambda made: made.success, WhyNot.OTHER_TIER),
    "a-success-model-of-0.1": (lambda made: changed(made.success, tier=None, probe=None), WhyNot.OTHER_TIER),
    "of-another-opset": (lambda made: another_opset(made.artefact), WhyNot.NOT_LOADABLE),
    "an-invalid-graph": (lambda made: invalid(made.artefact), WhyNot.NOT_LOADABLE),
    "an-output-less": (lambda made: renamed_output(made.artefact), WhyNot.NOT_LOADABLE),
    "a-class-more": (lambda made: changed(made.artefact, classes=list("abcd"), edges=[0, 1, 2]), WhyNot.NOT_LOADABLE),
    "an-edge-less": (lambda made: changed(made.artefact, edges=[0.0]), WhyNot.INCOMPLETE),
    "without-a-range": (lambda made: changed(made.artefact, support={}), WhyNot.INCOMPLETE),
    "of-another-answer": (lambda made: another_answer(made.artefact), WhyNot.OTHER_ANSWER),
    "of-the-graph-of-another-model": (
        lambda made: changed(made.artefact, another_answer_graph(made.artefact)),
        WhyNot.OTHER_ANSWER,
    ),
}


def another_answer_graph(artefact: Artefact) -> bytes:
    """One number of the graph is another."""
    graph = onnx_format.load_from_string(artefact.graph)
    tensor = max(graph.graph.initializer, key=lambda one: len(one.raw_data) if one.data_type == 1 else 0)
    values = np.frombuffer(tensor.raw_data, np.float32).copy()
    values += 0.5
    tensor.raw_data = values.tobytes()
    return graph.SerializeToString()


@pytest.mark.parametrize(("make", "why"), FOREIGN.values(), ids=FOREIGN)
def test_a_model_that_is_not_what_its_place_asks_for_leaves_the_decision_to_the_next_tier(
    home, made, events, make, why
):
    registry.deploy(HERE, make(made), reason="test")
    answer = decide.decide(events, TOY, SETTINGS)
    assert set(answer["tier"]) == {Tier.RULE}
    assert set(answer["why_not_champion"]) == {why}
    assert answer["champion_fault"].str.starts_with("model ").all()
    assert ready.decides(HERE).tier == Tier.RULE


def test_what_is_what_its_place_asks_for_answers_in_its_tier(home, made, events, monkeypatch):
    monkeypatch.setattr(ready.strategies, "get", lambda name: TOY)
    first = registry.deploy(HERE, made.artefact, reason="test")
    second = registry.deploy(HERE.second, made.success, reason="test")
    assert set(decide.decide(events, TOY, SETTINGS)["model"]) == {first}
    assert ready.decides(HERE).model_id == first
    assert ready.ready(registry.champion(HERE.second), TOY, HERE.second).model_id == second
    with pytest.raises(CannotAnswer, match="must be a success-probability model, but is a champion"):
        ready.ready(made.artefact, TOY, HERE.second)


def test_a_probe_holds_rows_with_missing_values_and_the_answers_of_the_fitted_model(made, training):
    probe = made.artefact.bundle.probe
    x = np.array(probe.features, np.float32)
    assert x.shape == (candidate.PROBES, 3) and np.isnan(x[-1]).all() and 0 < np.isnan(x[-2]).sum() < 3
    theirs = training.artefact.predict(x, np.array(probe.category), np.array(probe.size, np.float32))
    assert theirs.expected.tolist() == probe.expected and theirs.probabilities.tolist() == probe.probabilities
    assert made.artefact.bundle.tier == Tier.CHAMPION and made.success.bundle.tier == Tier.SECOND


@pytest.mark.parametrize(
    "model_id", ["../butterfly-simulated/83913860c8be18e9", "/etc", "0" * 15, "0" * 16 + "\n", "A" * 16]
)
def test_a_path_in_place_of_an_id_is_not_followed(home, made, events, model_id):
    registry.deploy(HERE, made.artefact, reason="test")
    path = paths.models(HERE) / registry.POINTER
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_id": model_id}))
    answer = decide.decide(events, TOY, SETTINGS)
    assert set(answer["tier"]) == {Tier.RULE} and set(answer["why_not_champion"]) == {WhyNot.DAMAGED}
    with pytest.raises(BadData, match="16 hex digits"):
        registry.folder(HERE, model_id)


def test_a_path_in_place_of_a_run_is_not_followed(home, made):
    card = made.artefact.card.model_copy(update={"run_id": "../../elsewhere"})
    with pytest.raises(CannotAnswer, match="must name a run of outputs/"):
        ready.ready(dataclasses.replace(made.artefact, card=card), TOY, HERE)


class Spoilt:
    """A session whose answer to some rows is no number."""

    def __init__(self, session, value: float, every: int = 3) -> None:
        self.session, self.value, self.every = session, value, every

    def predict(self, *rows) -> Prediction:
        answer = self.session.predict(*rows)
        expected = answer.expected.copy()
        expected[:: self.every] = self.value
        return answer._replace(expected=expected)


class Failing:
    def predict(self, *rows) -> Prediction:
        raise BadData("model.onnx: must answer, but: RuntimeException: no memory. Retrain.")


def models(made: candidate.Candidate, session) -> Models:
    champion = ready.ready(made.artefact, TOY, HERE)
    return Models(Loaded(champion._replace(session=session(champion.session))), None)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("second", [True, False], ids=["with-a-second-tier", "alone"])
def test_an_answer_that_is_no_number_falls_to_the_next_tier_for_its_row(home, made, events, value, second):
    if second:
        registry.deploy(HERE.second, made.success, reason="test")
    answer = decide.decide(events, TOY, SETTINGS, models(made, lambda session: Spoilt(session, value)))
    fallen = set(events["event_id"][::3])
    below = answer.filter(pl.col("event_id").is_in(fallen))
    assert len(answer) == len(events) and set(below["tier"]) == {Tier.SECOND if second else Tier.RULE}
    assert set(below["why_not_champion"]) == {WhyNot.NON_FINITE}
    assert below["champion_fault"].str.contains(f"did not for {len(fallen)} of {len(events)} events").all()
    above = answer.filter(~pl.col("event_id").is_in(fallen))
    assert set(above["tier"]) == {Tier.CHAMPION} and above["why_not_champion"].is_null().all()
    assert set(answer.head(len(above))["event_id"]) == set(above["event_id"]), "none of the others ranks before"
    assert answer.select(pl.col("expected", "percentile").drop_nulls().is_finite().all()).row(0) == (True, True)


def test_a_runtime_that_fails_on_the_rows_leaves_all_of_them_to_the_next_tier(home, made, events):
    answer = decide.decide(events, TOY, SETTINGS, models(made, lambda session: Failing()))
    assert set(answer["tier"]) == {Tier.RULE} and set(answer["why_not_champion"]) == {WhyNot.FAILED}


def test_a_rule_score_that_is_no_number_ranks_last_and_does_not_trade(home, events):
    spoilt = events.with_columns(score=pl.when(pl.col("symbol") == "S00").then(float("nan")).otherwise("score"))
    answer = decide.decide(spoilt, TOY, SETTINGS)
    odd = answer.filter(pl.col("symbol") == "S00")
    assert not odd["should_trade"].any() and odd["percentile"].is_null().all()
    assert set(answer.tail(len(odd))["symbol"]) == {"S00"}


def test_no_probability_that_is_no_number_reaches_the_backtester(home, made, events, monkeypatch):
    model = models(made, lambda session: Spoilt(session, np.nan)).champion.model
    monkeypatch.setattr(quality, "_walk_forward", lambda model: pl.DataFrame(schema=quality.ANSWERS))
    said = quality.probabilities(events, TOY, SETTINGS, model)
    assert said["probability"].drop_nulls().is_finite().all() and said["probability"].null_count()
    assert (said["probability"].is_null() == said["predicted_by"].is_null()).all()


MADE_BY_0_1 = paths.CHECKOUT / "tests" / "made_by_0_1"
SIMULATED = Namespace.parse("butterfly-simulated")
PLACES = {
    "in-a-real-namespace": ("butterfly", "must be trained on real prices, but its source is simulated"),
    "in-the-other-tier": ("butterfly-simulated-success", "must be a success-probability model, but is a champion"),
    "of-another-strategy": ("breakout-simulated", "must be of strategy breakout, but is of butterfly"),
    "in-no-namespace": ("No Namespace", "must lie in the folder of a namespace"),
}


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A home of version 0.1."""
    copy = shutil.copytree(MADE_BY_0_1, tmp_path / "old")
    monkeypatch.setenv("BQ_HOME", str(copy))
    for name in ("BQ_DATABASE_URL", "STRATEGY", "SET", "RUN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PARAMS", str(copy / "parameters.yaml"))
    return copy


@pytest.mark.parametrize(("place", "why"), PLACES.values(), ids=PLACES)
def test_verify_goes_through_the_door_for_every_stored_model(old, place, why):
    shutil.copytree(old / "models" / str(SIMULATED), old / "models" / place, dirs_exist_ok=True)
    with pytest.raises(BadData, match=why):
        housekeeping.verify(request.read())


def test_models_of_0_1_have_no_probe_and_answer_all_the_same(old):
    settings = params.load(old / "parameters.yaml", strategies.get("butterfly").settings)
    found = decide.load(strategies.get("butterfly"), settings)
    assert found.champion.model.bundle.probe is None and found.champion.why_not is None


def test_verify_runs_the_probe(home, made, monkeypatch):
    monkeypatch.setattr(housekeeping.strategies, "get", lambda name: TOY)
    registry.store(made.artefact, paths.models(HERE))
    asked = SimpleNamespace(settings=SETTINGS)
    housekeeping.verify(asked)
    registry.store(another_answer(made.artefact), paths.models(HERE))
    with pytest.raises(BadData, match="must answer the rows stored with it as it did when it was made"):
        housekeeping.verify(asked)


def test_a_manifest_that_names_files_elsewhere_is_refused(home, made):
    path = registry.store(made.artefact, paths.models(HERE))
    manifest = files.read_json(path / "manifest.json") | {"../outside": "0" * 64}
    files.write_json(path / "manifest.json", manifest)
    with pytest.raises(BadData, match=r"hashes of its own files, but names '\.\./outside'"):
        registry.load(path)
