"""What the verbs of `import bq` give back."""

import pytest

import bq
from bq.core.errors import BadParameters
from bq.core.namespace import Namespace
from bq.serving import registry
from tests import stored


def test_a_champion_is_its_id_its_deployment_its_bundle_and_its_card(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    artefact = stored.artefact(card={"run_id": "r1"})
    registry.deploy(Namespace.parse("butterfly-simulated"), artefact, reason="better")
    found = bq.champion("butterfly-simulated")
    assert (found.model_id, found.reason) == (artefact.model_id, "better")
    assert found.bundle == artefact.bundle and found.card.run_id == "r1" and found.since_utc
    assert bq.champion("butterfly") is None


def test_a_backtest_of_another_strategy_is_refused():
    with pytest.raises(
        BadParameters, match="must have settings of a strategy with a backtester, but forecast has none"
    ):
        bq.backtest("forecast")
