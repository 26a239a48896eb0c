"""How loose the gate's own parameters may be before a verdict says so.

A looser value is allowed: who sets it may know why. But a verdict under it proves less than one reads into it.
"""

import operator
from typing import NamedTuple

from bq.core.settings import Gate
from bq.runs.verdict import Loosened


class Floor(NamedTuple):
    """The loosest value of a parameter that needs no mention."""

    value: float
    at_most: bool = False  # a larger one is looser


FLOORS = {
    "alpha": Floor(0.1, at_most=True),
    "min_blocks": Floor(10),
    "min_oos_days": Floor(180),
    "min_events": Floor(100),
    "margin": Floor(0.0),
    "artefact_margin": Floor(0.1, at_most=True),
    "max_drawdown_ratio": Floor(3.0, at_most=True),
    "max_calibration_error": Floor(0.2, at_most=True),
    "min_deflated_probability": Floor(0.9),
}


def loosened(gate: Gate, *, classes: bool) -> list[Loosened]:
    """The parameters that are looser than their floor, or ask for nothing.

    classes : whether there are probabilities whose calibration can be asked for.
    """
    found = []
    for name, floor in FLOORS.items():
        value = getattr(gate, name)
        if value is None and name == "max_calibration_error" and not classes:
            continue
        looser = operator.gt if floor.at_most else operator.lt
        if value is None or looser(value, floor.value):
            found.append(Loosened(parameter=f"gate.{name}", value=value, floor=floor.value))
    return found
