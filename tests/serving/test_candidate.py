"""What a training leaves in its run folder is what the gate reads."""

import json
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from toy_strategy import FEATURES, SUCCESS, TASK, TOY, toy_events, toy_settings

from bq.core import files
from bq.core.errors import BadData
from bq.learning import walkforward
from bq.serving import candidate, gates, onnx, registry
from bq.serving.candidate import Candidate


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def saved(folder, training, success, events) -> Candidate:
    return candidate.save(training, success, events, folder, strategy=TOY, settings=toy_settings())


def test_what_is_saved_is_loaded(saved, folder, training):
    loaded = candidate.load(folder)
    assert loaded.artefact.graph == saved.artefact.graph == onnx.export(training.artefact)
    assert loaded.artefact.bundle == saved.artefact.bundle
    assert loaded.parity == saved.parity
    assert_frame_equal(loaded.oos, training.oos, check_exact=True)
    assert_frame_equal(loaded.newest, training.newest, check_exact=True)
    assert_frame_equal(loaded.metrics, saved.metrics)


def test_the_bundle_holds_what_a_decision_needs(saved, training, events):
    bundle = saved.artefact.bundle
    assert bundle.schema_hash == FEATURES.schema_hash
    assert bundle.columns == list(FEATURES.columns)
    assert bundle.classes == list(TASK.classes)
    assert bundle.source == "real"
    assert bundle.trained_through == training.trained_through
    trained = events.filter(pl.col("t1_due") <= training.trained_through, pl.col("outcome").is_not_null())
    assert bundle.trained_events == len(trained)


def test_the_id_does_not_depend_on_when_or_where_it_was_made(saved, training, success, events, tmp_path):
    again = candidate.save(training, success, events, tmp_path / "elsewhere", strategy=TOY, settings=toy_settings())
    assert again.artefact.model_id == saved.artefact.model_id


def test_own_oos_is_that_of_the_candidate_not_of_the_models_beside_it(saved):
    beside = saved.oos.with_columns(model=pl.lit("lightgbm"))
    both = saved._replace(oos=pl.concat([saved.oos, beside]))
    assert_frame_equal(both.own_oos, saved.oos)
    figures = candidate.tables(both.oos, TOY, toy_settings())
    assert figures["model"].unique(maintain_order=True).to_list() == ["elastic_net", "lightgbm"]


def test_the_success_model_is_judged_on_its_own_predictions_alone(training, success, events, tmp_path):
    beside = success._replace(oos=pl.concat([success.oos, success.oos.with_columns(model=pl.lit("lightgbm"))]))
    made = candidate.save(training, beside, events, tmp_path, strategy=TOY, settings=toy_settings())
    assert_frame_equal(made.success_oos, success.oos)


def test_a_damaged_artefact_is_refused(training, success, events, tmp_path):
    made = candidate.save(training, success, events, tmp_path, strategy=TOY, settings=toy_settings())
    (tmp_path / candidate.MODELS / made.artefact.model_id / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(BadData, match=r"model\.onnx must have the hash of its manifest"):
        candidate.load(tmp_path)


@pytest.mark.parametrize("name", ["oos", "newest", "success_oos"])
def test_a_table_that_the_training_did_not_write_is_refused(training, success, events, tmp_path, name):
    candidate.save(training, success, events, tmp_path, strategy=TOY, settings=toy_settings())
    path = tmp_path / f"{name}.parquet"
    files.write_parquet(path, files.read_parquet(path).reverse())
    with pytest.raises(BadData, match=rf"{name}\.parquet: must have the hash that candidate"):
        candidate.load(tmp_path)


def test_a_candidate_saved_without_hashes_is_read(training, success, events, tmp_path):
    made = candidate.save(training, success, events, tmp_path, strategy=TOY, settings=toy_settings())
    known = files.read_json(tmp_path / candidate.RECORD)
    files.write_json(tmp_path / candidate.RECORD, {name: known[name] for name in known if name != "tables"})
    assert_frame_equal(candidate.load(tmp_path).oos, made.oos)


def test_a_market_of_two_symbols_has_no_rank_ic_and_is_saved_all_the_same(tmp_path):
    events = toy_events(symbols=2, sessions=120)
    training = walkforward.train(events, TOY, toy_settings())
    success = walkforward.train(events, TOY, toy_settings(), task=SUCCESS)
    made = candidate.save(training, success, events, tmp_path, strategy=TOY, settings=toy_settings())
    stored = json.loads((tmp_path / "metrics.json").read_text())
    ic = next(row for row in stored if row["metric"] == "rank IC")
    assert (ic["value"], ic["low"], ic["sessions"]) == (None, None, 0)
    assert registry.load(tmp_path / candidate.MODELS / made.artefact.model_id).card.metrics_oos


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        pytest.param({"gate": {"margin": 0.01}}, True, id="gate"),
        pytest.param({"learning": {"compare": ["lightgbm"]}}, True, id="models-shown-beside"),
        pytest.param({"learning": {"model": "lightgbm"}}, False, id="model"),
        pytest.param({"learning": {"features": "toy_v2"}}, False, id="features"),
        pytest.param({"learning": {"seed": 8}}, False, id="seed"),
        pytest.param({"learning": {"gap_days": 30}}, False, id="gap"),
    ],
)
def test_a_recipe_is_the_way_of_training_and_nothing_else(changes, same):
    ours = candidate.recipe_digest(toy_settings(), {})
    assert (candidate.recipe_digest(toy_settings(**changes), {}) == ours) is same


def test_the_same_inputs_give_the_same_digest_figures_and_decision_on_one_and_on_two_workers(events, monkeypatch):
    made = []
    for workers in ("1", "2", "2"):
        monkeypatch.setenv("BQ_WORKERS", workers)
        training = walkforward.train(events, TOY, toy_settings(learning={"model": "lightgbm"}))
        found = candidate.make(training, None, events, strategy=TOY, settings=toy_settings())
        trials = found.own_oos.select("session").unique().sort("session")
        evidence = gates.Evidence(found.own_oos, found.newest, found.parity, "ours", trials)
        verdict = gates.decide(evidence, None, strategy=TOY, settings=toy_settings())
        made.append((found.artefact.model_id, found.metrics, verdict))
    assert len({model_id for model_id, *_ in made}) == 1
    assert_frame_equal(made[0][1], made[1][1], check_exact=True)
    assert_frame_equal(made[1][1], made[2][1], check_exact=True)
    assert made[0][2] == made[1][2] == made[2][2]
