"""What a retrain says of who decides after it is what then decides."""

from types import SimpleNamespace

import pytest

from bq.core import params, paths
from bq.core.namespace import Namespace
from bq.jobs import presentation
from bq.jobs.run.protocol import Run
from bq.serving import registry
from bq.serving.gates import Verdict
from bq.serving.registry import Artefact
from bq.strategies.butterfly import STRATEGY

NAMESPACE = Namespace.parse("butterfly")
KEPT, DEPLOYED = Verdict(False, "not shown: calibration", []), Verdict(True, "its trades earn", [])
NEW = Artefact(b"new", {"model": "new"}, {})


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    monkeypatch.setattr(presentation, "_table", lambda made, request: {})
    return tmp_path


def presented(second: Verdict | None, *, quick: bool = False) -> dict:
    request = SimpleNamespace(quick=quick, settings=SimpleNamespace(namespace=NAMESPACE))
    return presentation.present(KEPT, second, SimpleNamespace(success=NEW), request)


def standing(namespace: Namespace) -> str:
    name = str(namespace)
    return registry.deploy(namespace, Artefact(name.encode(), {"model": name}, {}), reason="test")


def test_without_any_model_the_rule_score_goes_on_deciding(home):
    assert presented(KEPT)["headline"] == "Nothing deployed, the rule score goes on deciding (not shown: calibration)"


def test_a_success_model_deployed_without_a_champion_is_said_to_decide(home):
    found = presented(DEPLOYED)
    told = f"No champion deployed, the success-probability model {NEW.model_id} decides (not shown: calibration)"
    assert found["headline"] == told
    assert found["second_tier"] == ["success-probability model deployed: its trades earn"]


def test_a_standing_success_model_goes_on_deciding(home):
    known = standing(NAMESPACE.second)
    assert f"the success-probability model {known} goes on deciding" in presented(KEPT)["headline"]


def test_beside_a_champion_the_second_tier_does_not_decide(home):
    known = standing(NAMESPACE)
    assert presented(DEPLOYED)["headline"] == f"Kept the champion {known} (not shown: calibration)"


def test_a_quick_look_says_what_would_become_of_the_second_tier(home):
    assert presented(DEPLOYED, quick=True)["second_tier"][0].startswith("success-probability model would be deployed")


@pytest.mark.parametrize(("deployed", "event"), [(["m2"], "deployed"), ([], "kept")], ids=["second-tier", "nothing"])
def test_the_users_command_hears_of_a_deployment_of_either_tier(home, monkeypatch, deployed, event):
    from bq.jobs.run import record

    told = []
    monkeypatch.setattr(record, "tell", lambda what, info: told.append(what))
    run = Run(params.load(paths.parameters(NAMESPACE.strategy), STRATEGY.settings), job="retrain")
    run.info |= {"status": "kept", "deployed": deployed}
    run._settle()
    assert told == ([event] if deployed else [])
