"""The registry: what is stored is whole or refused, and the pointer moves or stays."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bq.core import files, paths
from bq.core.errors import BadData, BQError
from bq.core.namespace import Namespace
from bq.serving import registry
from bq.serving.registry import Artefact
from tests import stored

NAMESPACE = Namespace.parse("toy")
FILES = ("model.onnx", "bundle.json", "card.json", "manifest.json")


def artefact(name: str = "a", **card: object) -> Artefact:
    return stored.artefact(f"graph {name}".encode(), model=name, card={"verdict": "made by a test", **card})


def deploy(name: str) -> str:
    return registry.deploy(NAMESPACE, artefact(name), reason=f"test {name}")


def champion_id() -> str | None:
    found = registry.champion(NAMESPACE)
    return found.model_id if found else None


def folder(model_id: str) -> Path:
    return paths.models(NAMESPACE) / model_id


def test_the_id_is_of_graph_and_bundle_only():
    plain = artefact().model_id
    assert artefact(run_id="20261121T001829Z", data_hash="d").model_id == plain
    assert artefact("b").model_id != plain
    assert stored.artefact(b"graph a ", model="a").model_id != plain
    assert stored.artefact(artefact().graph, model="a").model_id == plain
    assert stored.artefact(artefact().graph, model="a", seed=1).model_id != plain
    assert len(plain) == 16 and int(plain, 16) >= 0


def test_what_is_stored_is_read_back(home):
    path = registry.store(artefact(), paths.models(NAMESPACE))
    assert path.name == artefact().model_id
    assert registry.load(path) == artefact()
    assert {p.name for p in path.iterdir()} == set(FILES)
    assert path.stat().st_mode & 0o777 == 0o755, "others may read a model, not only who trained it"


def test_a_model_that_is_there_is_not_written_again(home):
    path = registry.store(artefact(), paths.models(NAMESPACE))
    before = {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in path.iterdir()}
    assert registry.store(artefact(run_id="another"), paths.models(NAMESPACE)) == path
    assert {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in path.iterdir()} == before


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_model_is_replaced_when_trained_again(home, name):
    path = registry.store(artefact(), paths.models(NAMESPACE))
    (path / name).write_bytes(b"damaged")
    registry.store(artefact(), paths.models(NAMESPACE))
    assert registry.load(path) == artefact()


@pytest.mark.parametrize("name", ["model.onnx", "bundle.json", "card.json"])
def test_a_flipped_byte_is_refused_before_anything_is_loaded(home, name):
    path = registry.store(artefact(), paths.models(NAMESPACE))
    content = bytearray((path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (path / name).write_bytes(content)
    with pytest.raises(BadData, match=rf"{path.name}: {name} must have the hash of its manifest, but was changed"):
        registry.load(path)


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_in_the_manifest_is_refused(tmp_path_factory, position, bit):
    path = registry.store(artefact(), tmp_path_factory.mktemp("models"))
    manifest = path / "manifest.json"
    content = bytearray(manifest.read_bytes())
    before = json.loads(content)
    content[position % len(content)] ^= 1 << bit
    manifest.write_bytes(content)
    try:
        same = json.loads(content) == before  # white space, or the same text escaped otherwise
    except ValueError:
        same = False
    if not same:
        with pytest.raises(BadData, match=path.name):
            registry.load(path)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(home, name):
    path = registry.store(artefact(), paths.models(NAMESPACE))
    (path / name).unlink()
    with pytest.raises(BadData, match=rf"{path.name}.*{name}"):
        registry.load(path)


def test_a_file_that_the_manifest_does_not_name_is_refused(home):
    path = registry.store(artefact(), paths.models(NAMESPACE))
    hashes = files.read_json(path / "manifest.json")
    files.write_json(path / "manifest.json", {name: hashes[name] for name in hashes if name != "model.onnx"})
    with pytest.raises(BadData, match=r"must hold model.onnx as its manifest says"):
        registry.load(path)


def test_what_is_loaded_are_the_bytes_that_were_checked(home, monkeypatch):
    path = registry.store(artefact(), paths.models(NAMESPACE))
    sha256, taken = files.sha256, []

    def swapped(content):
        taken.append(sha256(content))
        if len(taken) == len(FILES) - 1:  # the manifest has no hash of its own: all were taken
            (path / "card.json").write_text('{"note": "put there by another process"}')
        return taken[-1]

    monkeypatch.setattr(files, "sha256", swapped)
    assert registry.load(path) == artefact()


def test_content_and_manifest_changed_together_do_not_pass_as_the_same_model(home):
    path = registry.store(artefact(), paths.models(NAMESPACE))
    (path / "model.onnx").write_bytes(b"another graph")
    manifest = files.read_json(path / "manifest.json") | {"model.onnx": files.sha256(b"another graph")}
    files.write_json(path / "manifest.json", manifest)
    with pytest.raises(BadData, match=r"must lie in the folder of its id"):
        registry.load(path)


def test_no_champion_is_a_normal_state(home):
    assert registry.pointer(NAMESPACE) is None
    assert registry.champion(NAMESPACE) is None
    assert registry.history(NAMESPACE) == []


def test_deploying_points_at_the_model_and_keeps_the_journal(home):
    first, second = deploy("a"), deploy("b")
    pointer = registry.pointer(NAMESPACE)
    assert (pointer.model_id, pointer.previous, pointer.reason) == (second, first, "test b")
    assert champion_id() == second
    rows = registry.history(NAMESPACE)
    assert [(row["model_id"], row["previous"]) for row in rows] == [
        (second, first),
        (first, None),
    ]


def test_namespaces_do_not_see_each_other(home):
    deploy("a")
    assert registry.champion(Namespace.parse("toy-simulated")) is None
    assert registry.history(Namespace.parse("toy-simulated")) == []


def test_rollback_goes_back_one_model_at_a_time_and_then_to_the_rule_score(home):
    a, b, c = deploy("a"), deploy("b"), deploy("c")
    assert [registry.rollback(NAMESPACE), champion_id()] == [b, b]
    assert [registry.rollback(NAMESPACE), champion_id()] == [a, a]
    assert registry.history(NAMESPACE)[0]["reason"] == f"rollback from {b}"
    d = deploy("d")
    assert d != c
    assert registry.rollback(NAMESPACE) == a, "back to what decided before, not to what was rolled back"
    assert [registry.rollback(NAMESPACE), champion_id(), registry.pointer(NAMESPACE)] == [registry.NONE, None, None]
    newest = registry.history(NAMESPACE)[0]
    assert (newest["model_id"], newest["previous"], newest["reason"]) == (registry.NONE, a, f"rollback from {a}")
    with pytest.raises(BQError, match="a model must be deployed to roll back from"):
        registry.rollback(NAMESPACE)
    assert [deploy("d"), registry.pointer(NAMESPACE).previous] == [d, None]
    assert registry.rollback(NAMESPACE) == registry.NONE, "the rule score decided before"


def test_rollback_without_any_deployment_changes_nothing(home):
    with pytest.raises(BQError, match="toy: a model must be deployed to roll back from"):
        registry.rollback(NAMESPACE)
    assert registry.pointer(NAMESPACE) is None


def test_the_same_model_deployed_twice_is_no_earlier_model(home):
    a = deploy("a")
    deploy("a")
    b = deploy("b")
    deploy("b")
    assert champion_id() == b
    assert registry.rollback(NAMESPACE) == a
    assert registry.rollback(NAMESPACE) == registry.NONE


def test_rollback_never_points_at_a_damaged_model(home):
    a, b = deploy("a"), deploy("b")
    (folder(a) / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(BadData, match=f"model {a}: model.onnx must have the hash"):
        registry.rollback(NAMESPACE)
    assert champion_id() == b


FAULTS = {
    "pointer-write": (files, "write_json"),
    "replace": (Path, "replace"),
    "sync": (files, "sync"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["full-disk", "disk-error"])
def test_a_deployment_that_cannot_be_written_leaves_the_champion_whole(home, monkeypatch, fault, code):
    a, b = deploy("a"), deploy("b")
    pointer = (paths.models(NAMESPACE) / "champion.json").read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(*FAULTS[fault], fail)
        with pytest.raises(OSError, match=os.strerror(code)):
            deploy("c")
    assert (paths.models(NAMESPACE) / "champion.json").read_bytes() == pointer
    assert champion_id() == b
    assert not list(paths.models(NAMESPACE).glob(".*")), "nothing half-written is left"
    assert registry.rollback(NAMESPACE) == a, "an attempt that failed is not what comes before"
    c = deploy("c")
    assert champion_id() == c


@pytest.mark.parametrize("step", range(1, 9))
def test_a_kill_at_any_sync_leaves_the_old_champion_or_the_new_one(home, monkeypatch, step):
    deploy("a")
    known = {champion_id(), artefact("b").model_id}
    count = 0

    class Killed(BaseException):
        pass

    real = files.sync

    def sync(path: Path) -> None:
        nonlocal count
        count += 1
        if count == step:
            raise Killed
        real(path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "sync", sync)
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # a killed process cleans nothing
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(Killed):
            deploy("b")
    assert champion_id() in known
    registry.clean(NAMESPACE)
    assert not list(paths.models(NAMESPACE).glob(".*"))
    assert deploy("b") == champion_id()


def test_leftovers_of_a_kill_are_removed_and_models_stay(home):
    a = deploy("a")
    for name in (".tmp-abc", ".tmp-def"):
        (paths.models(NAMESPACE) / name).mkdir()
        (paths.models(NAMESPACE) / name / "model.onnx").write_bytes(b"half")
    (paths.models(NAMESPACE) / ".champion.json.x1y2.tmp").write_text("{")
    registry.clean(NAMESPACE)
    assert sorted(p.name for p in paths.models(NAMESPACE).iterdir()) == sorted([a, "champion.json"])
    registry.clean("never-used")


GARBAGE = {
    "empty": b"",
    "half": b'{"model_id": "abc", ',
    "binary": b"\xff\xfe\x00",
    "a-list": b'["abc"]',
    "no-id": b'{"previous": null, "since_utc": "", "reason": ""}',
    "id-is-no-text": b'{"model_id": 3, "previous": null, "since_utc": "", "reason": ""}',
}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_a_garbage_pointer_is_bad_data_and_rollback_still_works(home, content):
    a, _ = deploy("a"), deploy("b")
    (paths.models(NAMESPACE) / "champion.json").write_bytes(content)
    with pytest.raises(BadData, match=r"champion.json.*`make rollback` or retrain"):
        registry.champion(NAMESPACE)
    assert registry.pointer_or_none(NAMESPACE) is None
    assert registry.rollback(NAMESPACE) == a
    assert champion_id() == a


@pytest.mark.parametrize("damage", [lambda p: p.write_bytes(b"{"), Path.unlink], ids=["garbage", "gone"])
def test_deploying_over_a_damaged_pointer_keeps_the_way_back(home, damage):
    a = deploy("a")
    damage(paths.models(NAMESPACE) / "champion.json")
    deploy("b")
    assert registry.rollback(NAMESPACE) == a


def test_a_pointer_to_a_model_that_is_gone_says_what_to_do(home):
    a = deploy("a")
    shutil.rmtree(folder(a))
    with pytest.raises(BadData, match=rf"model {a}: must have a manifest.json.*`make rollback` or retrain"):
        registry.champion(NAMESPACE)
