"""The gate's verdict as the report and the terminal show it."""

from typing import Any

from bq.core.namespace import Namespace, Tier
from bq.jobs.request import Request
from bq.learning import metrics
from bq.serving import registry
from bq.serving.candidate import Candidate
from bq.serving.gates import Verdict

IMPROVEMENT = ("uplift", "above 0", "newest window")  # in the names of the gate's bounds on what a model earns


def present(ours: Verdict, second: Verdict | None, made: Candidate, request: Request) -> dict[str, Any]:
    """The verdict as the report and the terminal show it."""
    if request.quick:
        would = "would deploy" if ours.deploy else "would deploy nothing"
        headline = f"Quick look, nothing is deployed or recorded; the gate {would} ({ours.headline})"
    elif ours.deploy:
        headline = f"Deployed {made.artefact.model_id}: {ours.headline}"
    else:
        headline = _kept(ours, second, made, request.settings.namespace)
    return {
        "decision": "quick look" if request.quick else "deployed" if ours.deploy else "kept",
        "headline": headline,
        "components": [component._asdict() for component in ours.components],
        "second_tier": _second_tier(second, request),
        "table": _table(made, request),
    }


def _kept(ours: Verdict, second: Verdict | None, made: Candidate, namespace: Namespace) -> str:
    """What decides instead; what would be needed where a bound on what the candidate earns keeps the champion."""
    now = registry.decides(namespace)
    if now.tier != Tier.CHAMPION and second and second.deploy:
        return f"No champion deployed, the {Tier.SECOND.label} {made.success.model_id} decides ({ours.headline})"
    if now.tier != Tier.CHAMPION:
        return f"Nothing deployed, the {now} goes on deciding ({ours.headline})"
    below = [c for c in ours.components if not c.holds and any(name in c.name for name in IMPROVEMENT)]
    if not below:
        return f"Kept the champion {now.model_id} ({ours.headline})"
    needed = f"; needed: {below[0].needed}" if below[0].needed else ""
    return f"Kept current model: improvement below threshold ({now}; {ours.headline}{needed})"


def _second_tier(second: Verdict | None, request: Request) -> list[str]:
    if second is None:
        return []
    done = ("would be " if request.quick else "") + ("deployed" if second.deploy else "refused")
    decided = f"{Tier.SECOND.label} {done}: {second.headline}"
    marks = {True: "holds", False: "fails", None: "inconclusive"}
    return [decided, *(f"{marks[part.holds]} · {part.name}: {part.statement}" for part in second.components)]


def _table(made: Candidate, request: Request) -> dict[str, Any]:
    """The out-of-sample figures of each model beside their baseline, as text: one row a figure."""
    gate, own = request.settings.gate, made.artefact.bundle["model"]
    models = made.metrics["model"].unique(maintain_order=True).to_list()
    cells = {(row["model"], row["metric"], row["baseline_is"]): row for row in made.metrics.iter_rows(named=True)}
    rows = []
    for _, metric, against in [key for key in cells if key[0] == own]:
        mine = cells[own, metric, against]
        baseline = "" if mine["baseline"] is None else f"{mine['baseline']:+.3f} {against}"
        figures = [_with_interval(cells[model, metric, against]) for model in models]
        rows.append([f"{metric} ({mine['convention']})", figures[0], baseline, *figures[1:]])
    own_oos = made.own_oos
    note = (
        f"Out of sample: {len(own_oos):,} events, {own_oos['session'].n_unique():,} sessions, each weighing the same; "
        f"{1 - 2 * gate.alpha:.0%} intervals by stationary bootstrap over sessions, {gate.draws:,} draws, "
        f"{metrics.BLOCKS}."
    )
    return {"columns": ["figure", f"{own} (candidate)", "baseline", *models[1:]], "rows": rows, "note": note}


def _with_interval(row: dict[str, Any]) -> str:
    value, low, high = (row[name] for name in ("value", "low", "high"))
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]" if low <= high else f"{value:+.3f} [no interval]"
