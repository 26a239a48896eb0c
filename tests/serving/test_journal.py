"""The journal of deployments, and the way back on a home that version 0.1 left."""

import shutil

import pytest

from bq.core import paths
from bq.core.errors import BQError
from bq.core.namespace import Namespace
from bq.jobs import history
from bq.serving import journal, registry
from tests import stored

OLD = paths.CHECKOUT / "tests" / "made_by_0_1"
BUTTERFLY = Namespace("butterfly", simulated=True)
FIRST, SECOND = "83913860c8be18e9", "429ca1fa915f992b"


@pytest.fixture
def old(home):
    """What 0.1 left, in a home of its own."""
    for name in ("data", "models", "outputs"):
        shutil.copytree(OLD / name, home / name)
    return home


def test_a_champion_of_0_1_is_rolled_back_to_the_one_before_it(old):
    assert registry.pointer(BUTTERFLY).model_id == SECOND
    assert registry.rollback(BUTTERFLY) == FIRST
    assert registry.champion(BUTTERFLY).model_id == FIRST
    newest = journal.changes(BUTTERFLY)[0]
    assert (newest["kind"], newest["run_id"], newest["previous"]) == (registry.Change.ROLLED_BACK, None, SECOND)
    entry = history.entries()[0]
    assert (entry.namespace, entry.what) == (str(BUTTERFLY), "champion")
    assert entry.text == f"{FIRST} instead of {SECOND}: rollback from {SECOND}"
    assert registry.rollback(BUTTERFLY) == registry.NONE
    with pytest.raises(BQError, match="a model must be deployed to roll back from"):
        registry.rollback(BUTTERFLY)


def test_what_a_run_of_0_1_deployed_is_found_by_its_id(old):
    made = journal.changes(run_id="20261129T053209Z_butterfly-simulated")
    assert [(row["namespace"], row["model_id"]) for row in made] == [
        (str(BUTTERFLY), SECOND),
        (str(BUTTERFLY.second), "349944e8bccaa728"),
    ]
    assert [entry.what for entry in history.entries()].count("champion") == 4


def test_a_deployment_whose_reason_begins_like_a_rollback_is_one_that_can_be_rolled_back(home):
    artefacts = [stored.artefact(name.encode()) for name in ("a", "b")]
    first, _ = (registry.deploy(BUTTERFLY, one, reason="rollback from x is over") for one in artefacts)
    assert registry.rollback(BUTTERFLY) == first
