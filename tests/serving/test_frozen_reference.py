"""A model keeps what it was trained on and what it promised; one of before has nothing, and decides all the same."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from toy_strategy import FEATURES, TASK, TOY, toy_events, toy_settings

from bq.core import files, paths
from bq.core.errors import BadData
from bq.core.namespace import Namespace
from bq.jobs import backup
from bq.monitoring import reference
from bq.serving import candidate, frozen, registry
from bq.strategies.events import FeatureSet, matured

HERE = Namespace("toy")
OF_0_1 = Path(__file__).parents[1] / "made_by_0_1"


@pytest.fixture(scope="module")
def made(training, success, events):
    return candidate.make(training, success, events, strategy=TOY, settings=toy_settings())


def test_the_reference_holds_the_training_events_with_their_features(made, training, events):
    held = reference.of_model(made.artefact)
    trained = matured(events, cut=training.trained_through).sort("t0", "symbol")
    assert held.trained["event_id"].to_list() == trained["event_id"].to_list()
    np.testing.assert_array_equal(held.matrix(held.trained), FEATURES.matrix(trained))
    assert held.share == 1.0


def test_the_reference_holds_the_promises_of_the_recipe(made):
    held, oos = reference.of_model(made.artefact), made.own_oos.sort("t0", "symbol")
    promised = held.promised.sort("t0", "symbol")
    assert promised["event_id"].to_list() == oos["event_id"].to_list()
    assert promised["predicted_class"].to_list() == [TASK.classes[i] for i in oos["predicted"]]
    assert promised["label"].to_list() == [TASK.classes[i] for i in oos["label"]]
    np.testing.assert_allclose(promised["outcome"], oos["outcome"], rtol=1e-6)
    stacked = np.array(promised["probabilities"].to_list())
    np.testing.assert_array_equal(stacked, oos.select(f"p_{name}" for name in TASK.classes).to_numpy())


def test_the_reference_holds_what_the_model_itself_answered_before_it_was_deployed(made, training):
    held, newest = reference.of_model(made.artefact).answered, training.newest.sort("t0", "symbol")
    np.testing.assert_array_equal(held["expected"], newest["expected"])
    assert held["predicted_class"].to_list() == [TASK.classes[i] for i in newest["predicted"]]
    assert (held["t0"] > training.trained_through).all()


def test_the_second_tier_keeps_its_own(made):
    held = reference.of_model(made.success)
    assert set(held.promised["label"].unique()) == {"Failure", "Success"}
    won = held.promised.select((pl.col("outcome") > 0) == (pl.col("label") == "Success")).to_series()
    assert won.all()


def test_the_reference_is_no_part_of_the_id(made, home):
    bare = replace(made.artefact, reference=None)
    assert bare.model_id == made.artefact.model_id
    assert bare.stored == made.artefact.stored


def test_a_deployed_model_brings_its_reference(made, home):
    assert reference.of(HERE) is None
    registry.deploy(HERE, made.artefact, reason="test")
    assert_frame_equal(reference.of(HERE).rows, reference.of_model(made.artefact).rows)
    manifest = files.read_json(registry.folder(HERE, made.artefact.model_id) / "manifest.json")
    assert manifest["reference.parquet"] == files.sha256(made.artefact.reference)


def test_the_same_model_stored_without_gets_it(made, home):
    path = registry.store(replace(made.artefact, reference=None), paths.models(HERE))
    assert registry.load(path).reference is None
    assert registry.store(made.artefact, paths.models(HERE)) == path
    assert registry.load(path) == made.artefact


def test_a_kill_before_the_manifest_leaves_a_whole_model(made, home, monkeypatch):
    path = registry.store(replace(made.artefact, reference=None), paths.models(HERE))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            registry.store(made.artefact, paths.models(HERE))
    assert registry.load(path).graph == made.artefact.graph
    registry.store(made.artefact, paths.models(HERE))
    assert registry.load(path) == made.artefact


def test_a_changed_reference_is_refused(made, home):
    registry.deploy(HERE, made.artefact, reason="test")
    path = registry.folder(HERE, made.artefact.model_id) / "reference.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(BadData, match=r"reference\.parquet must have the hash of its manifest"):
        reference.of(HERE)


def test_a_backup_holds_the_reference(made, home):
    registry.deploy(HERE, made.artefact, reason="test")
    names = [name for name, _ in backup._members()]
    assert f"models/toy/{made.artefact.model_id}/reference.parquet" in names


def test_a_model_of_0_1_has_none(home):
    shutil.copytree(OF_0_1 / "models", home / "models")
    namespace = Namespace.parse("butterfly-simulated")
    assert registry.champion(namespace) is not None
    assert reference.of(namespace) is None


def test_a_large_table_is_thinned_to_its_bound_session_by_session():
    rng = np.random.default_rng(5)
    features = FeatureSet("wide", tuple(f"f{i}" for i in range(60)))
    known = toy_events(sessions=600, symbols=60)
    known = known.with_columns(
        pl.Series(name, rng.standard_normal(len(known)), dtype=pl.Float32) for name in features.columns
    ).with_columns(label=TASK.label(pl.col("outcome")))
    known = matured(known)
    oos = known.with_columns(expected=0.1, predicted=1, **{f"p_{name}": 1 / 3 for name in TASK.classes})
    content = frozen.freeze(known, oos, oos.tail(50), features, TASK)
    rows = files.read_parquet(content)
    share = rows["share"][0]
    assert len(content) <= frozen.MOST_BYTES
    assert share == pytest.approx(3_000_000 / (len(known) * (80 + 240)))
    assert len(rows) == pytest.approx(share * len(known), rel=0.05)
    assert rows["session"].n_unique() > 0.99 * known["session"].n_unique()
    assert rows["event_id"].to_list() == frozen.thinned(known, share)["event_id"].to_list()
    assert frozen.freeze(known, oos, oos.tail(50), features, TASK) == content
