"""One function says who decides, from both tiers, and which of them a rollback is of."""

import pytest

from bq.core import paths
from bq.serving import registry
from bq.serving.registry import Artefact

SHELF = "toy"
SECOND = registry.second(SHELF)


def deploy(shelf: str, name: str) -> str:
    made = Artefact(f"graph {name}".encode(), {"strategy": SHELF, "model": name}, {})
    return registry.deploy(shelf, made, reason="test")


def damage(shelf: str, model_id: str) -> None:
    (paths.models(shelf) / model_id / "model.onnx").write_bytes(b"damaged")


def test_nothing_deployed_leaves_the_rule_score(home):
    assert str(registry.decides(SHELF)) == "rule score"


@pytest.mark.parametrize("champion", [True, False], ids=["with-a-champion", "without"])
@pytest.mark.parametrize("second", [True, False], ids=["with-a-second-tier", "alone"])
@pytest.mark.parametrize("damaged", [(), (SHELF,), (SECOND,), (SHELF, SECOND)], ids=str)
def test_the_first_tier_that_is_whole_decides_and_a_damaged_one_is_rolled_back_first(home, champion, second, damaged):
    made = {shelf: deploy(shelf, shelf) for shelf, is_there in ((SHELF, champion), (SECOND, second)) if is_there}
    for shelf in set(damaged) & set(made):
        damage(shelf, made[shelf])
    whole = [shelf for shelf in made if shelf not in damaged]
    names = {SHELF: "champion", SECOND: "success-probability model"}
    expected = f"{names[whole[0]]} {made[whole[0]]}" if whole else "rule score"
    assert str(registry.decides(SHELF)) == expected
    broken = [shelf for shelf in made if shelf in damaged]
    assert registry.to_roll_back(SHELF) == next(iter([*broken, *whole]), SHELF)


def test_a_damaged_success_model_is_rolled_back_to_the_one_before_and_the_champion_stays(home):
    champion, earlier, broken = deploy(SHELF, "c"), deploy(SECOND, "a"), deploy(SECOND, "b")
    damage(SECOND, broken)
    assert registry.rollback(registry.to_roll_back(SHELF)) == earlier
    assert registry.pointer(SHELF)["model_id"] == champion
