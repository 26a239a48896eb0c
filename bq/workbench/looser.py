"""In what a gate was loosened, in words."""

from bq.core.numerals import significant
from bq.runs.verdict import Loosened, Verdict


def said(verdict: Verdict) -> str:
    """The parameters looser than their usual limit, or nothing."""
    return f"gate loosened: {', '.join(map(_said, verdict.loosened))}" if verdict.loosened else ""


def _said(one: Loosened) -> str:
    name = one.parameter.removeprefix("gate.")
    return f"{name} {significant(one.value, 6, missing='null')} (usual limit {significant(one.floor, 6)})"
