"""In what a gate was loosened, in words."""

from bq.runs.verdict import Loosened, Verdict


def said(verdict: Verdict) -> str:
    """The parameters looser than their usual limit, or nothing."""
    return f"gate loosened: {', '.join(map(_said, verdict.loosened))}" if verdict.loosened else ""


def _said(one: Loosened) -> str:
    name = one.parameter.removeprefix("gate.")
    return f"{name} {'null' if one.value is None else f'{one.value:g}'} (usual limit {one.floor:g})"
