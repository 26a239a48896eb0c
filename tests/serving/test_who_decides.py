"""One function says who decides, from both tiers, and which of them a rollback is of."""

import pytest

from bq.core import paths
from bq.core.namespace import Namespace
from bq.serving import ready, registry
from tests import stored

NAMESPACE = Namespace.parse("toy")
SECOND = NAMESPACE.second


@pytest.fixture(autouse=True)
def whole_is_ready(monkeypatch):
    """Here a model whose files are whole may answer."""
    monkeypatch.setattr(ready.strategies, "get", lambda name: None)
    monkeypatch.setattr(ready, "ready", lambda artefact, strategy, namespace: artefact)


def deploy(namespace: str, name: str) -> str:
    return registry.deploy(namespace, stored.artefact(f"graph {name}".encode(), model=name), reason="test")


def damage(namespace: str, model_id: str) -> None:
    (paths.models(namespace) / model_id / "model.onnx").write_bytes(b"damaged")


def test_nothing_deployed_leaves_the_rule_score(home):
    assert str(ready.decides(NAMESPACE)) == "rule score"


@pytest.mark.parametrize("champion", [True, False], ids=["with-a-champion", "without"])
@pytest.mark.parametrize("second", [True, False], ids=["with-a-second-tier", "alone"])
@pytest.mark.parametrize("damaged", [(), (NAMESPACE,), (SECOND,), (NAMESPACE, SECOND)], ids=str)
def test_the_first_tier_that_is_whole_decides_and_a_damaged_one_is_rolled_back_first(home, champion, second, damaged):
    made = {
        namespace: deploy(namespace, str(namespace))
        for namespace, is_there in ((NAMESPACE, champion), (SECOND, second))
        if is_there
    }
    for namespace in set(damaged) & set(made):
        damage(namespace, made[namespace])
    whole = [namespace for namespace in made if namespace not in damaged]
    names = {NAMESPACE: "champion", SECOND: "success-probability model"}
    expected = f"{names[whole[0]]} {made[whole[0]]}" if whole else "rule score"
    assert str(ready.decides(NAMESPACE)) == expected
    broken = [namespace for namespace in made if namespace in damaged]
    assert registry.to_roll_back(NAMESPACE) == next(iter([*broken, *whole]), NAMESPACE)


def test_a_damaged_success_model_is_rolled_back_to_the_one_before_and_the_champion_stays(home):
    champion, earlier, broken = deploy(NAMESPACE, "c"), deploy(SECOND, "a"), deploy(SECOND, "b")
    damage(SECOND, broken)
    assert registry.rollback(registry.to_roll_back(NAMESPACE)) == earlier
    assert registry.pointer(NAMESPACE).model_id == champion
