"""A gate that is looser than usual is allowed, and its verdict says so."""

import pytest

from bq.core.settings import Gate
from bq.runs.verdict import Decision, Loosened, Verdict
from bq.serving import floors
from bq.workbench import looser

LOOSE = {
    "alpha": (0.49, 0.1),
    "min_blocks": (5, 10),
    "margin": (-0.01, 0.0),
    "min_oos_days": (30, 180),
    "min_events": (20, 100),
    "artefact_margin": (1.0, 0.1),
    "max_drawdown_ratio": (None, 3.0),
    "max_calibration_error": (1.0, 0.2),
    "min_deflated_probability": (None, 0.9),
}


def test_the_usual_gate_is_not_loose():
    assert floors.loosened(Gate(), classes=True) == []


def test_a_regression_has_no_calibration_to_ask_for():
    gate = Gate(max_calibration_error=None)
    assert floors.loosened(gate, classes=False) == []
    assert [one.parameter for one in floors.loosened(gate, classes=True)] == ["gate.max_calibration_error"]


@pytest.mark.parametrize("name", LOOSE)
def test_each_parameter_beyond_its_limit_is_stated_with_it(name):
    value, floor = LOOSE[name]
    wanted = [Loosened(parameter=f"gate.{name}", value=value, floor=floor)]
    assert floors.loosened(Gate(**{name: value}), classes=True) == wanted


def test_every_parameter_with_a_limit_is_among_the_cases():
    assert set(LOOSE) == set(floors.FLOORS)


def test_it_is_said_in_words():
    loose = floors.loosened(Gate(alpha=0.49, max_drawdown_ratio=None), classes=True)
    said = looser.said(Verdict(decision=Decision.KEPT, headline="", loosened=loose))
    assert said == "gate loosened: alpha 0.49 (usual limit 0.1), max_drawdown_ratio null (usual limit 3)"
    assert looser.said(Verdict(decision=Decision.KEPT, headline="")) == ""
