"""What a retrain says of who decides after it is what then decides."""

from types import SimpleNamespace

import pytest

from bq.core import params, paths
from bq.core.namespace import Namespace, Tier
from bq.jobs import presentation
from bq.jobs.run import publish
from bq.jobs.run.protocol import Run
from bq.runs import verdict as runs_verdict
from bq.runs.record import Job, Status
from bq.runs.verdict import Table
from bq.serving import ready, registry
from bq.serving.gates import Verdict
from bq.strategies.butterfly import STRATEGY
from bq.strategies.component import Component, Kind
from tests import stored

NAMESPACE = Namespace.parse("butterfly")
FAILED = Component.asked(Kind.CALIBRATION, False, value=0.2, threshold=0.1, events=9, more={"classes": ["a", "b"]})
KEPT, DEPLOYED = (Verdict(deploy, Tier.SECOND, [] if deploy else [FAILED]) for deploy in (False, True))
WHY = "not proven: calibration"
NEW = stored.artefact(b"new", model="new")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    monkeypatch.setattr(presentation, "_table", lambda made, request: Table())
    monkeypatch.setattr(ready, "ready", lambda found, strategy, namespace: found)  # a graph that no one asks
    return tmp_path


def presented(second: Verdict | None, *, quick: bool = False) -> runs_verdict.Verdict:
    request = SimpleNamespace(quick=quick, settings=SimpleNamespace(namespace=NAMESPACE))
    return presentation.present(KEPT, second, SimpleNamespace(success=NEW), request)


def deployed(monkeypatch, tier: Tier) -> str:
    """Let a model of a tier decide; its id."""
    monkeypatch.setattr(presentation.ready, "decides", lambda namespace: registry.Decider(tier, "b1f0"))
    return "b1f0"


def test_without_any_model_the_rule_score_goes_on_deciding(home):
    assert presented(KEPT).headline == f"Not deployed; the rule score stays in use ({WHY})"


def test_a_success_model_deployed_without_a_champion_is_said_to_decide(home):
    found = presented(DEPLOYED)
    told = f"Champion not deployed; the success-probability model {NEW.model_id} decides instead ({WHY})"
    assert found.headline == told
    assert found.second_tier == [
        "success-probability model deployed: its trades earn more than their costs and than all events out of sample, "
        "and not worse than chance on the newest window"
    ]


def test_a_deployed_success_model_stays_in_use(home, monkeypatch):
    known = deployed(monkeypatch, Tier.SECOND)
    assert f"the success-probability model {known} stays in use" in presented(KEPT).headline


def test_beside_a_champion_the_second_tier_does_not_decide(home, monkeypatch):
    known = deployed(monkeypatch, Tier.CHAMPION)
    assert presented(DEPLOYED).headline == f"Kept the champion {known} ({WHY})"


def test_a_quick_look_says_what_would_become_of_the_second_tier(home):
    assert presented(DEPLOYED, quick=True).second_tier[0].startswith("success-probability model would be deployed")


@pytest.mark.parametrize(("deployed", "event"), [(["m2"], "deployed"), ([], "kept")], ids=["second-tier", "nothing"])
def test_the_users_command_hears_of_a_deployment_of_either_tier(home, monkeypatch, deployed, event):
    told = []
    monkeypatch.setattr(publish, "tell", lambda what, record: told.append(what))
    run = Run(params.load(paths.parameters(NAMESPACE.strategy), STRATEGY.settings), job=Job.RETRAIN)
    run.record.status, run.record.deployed = Status.KEPT, deployed
    run._settle()
    assert told == ([event] if deployed else [])
