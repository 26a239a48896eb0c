"""The gate's verdict as the report and the terminal show it."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from bq.core.namespace import Namespace, Tier
from bq.core.numerals import bounds, percent, with_sign
from bq.jobs.request import Request
from bq.learning import metrics
from bq.runs.verdict import Decision, Figure, Part, Running, Table, Verdict, Without
from bq.serving import gates, ready, verdict_text
from bq.serving.candidate import Candidate
from bq.strategies.component import EARNINGS, Kind

DRAWN = 300  # sessions of a running sum: more than a line of a screen can show


def present(
    ours: gates.Verdict,
    second: gates.Verdict | None,
    made: Candidate,
    request: Request,
    *,
    without: Sequence[Without] = (),
) -> Verdict:
    """The verdict as the report and the terminal show it.

    without : what the figures hang on (`bq.serving.contributors.of`).
    """
    why, decision = verdict_text.headline(ours), Decision.DEPLOYED if ours.deploy else Decision.KEPT
    if request.quick:
        would = "would deploy" if ours.deploy else "would deploy nothing"
        decision = Decision.QUICK_LOOK
        headline = f"Quick look: nothing is deployed, and it counts as a look; the gate {would} ({why})"
    elif ours.deploy:
        headline = f"Deployed {made.artefact.model_id}: {why}"
    else:
        headline = _kept(ours, second, made, request.settings.namespace)
    seconds = [verdict_text.part(component) for component in second.components] if second else []
    return Verdict(
        decision=decision,
        headline=headline,
        components=[verdict_text.part(component) for component in ours.components],
        second_tier=_second_tier(second, seconds, request),
        second_components=seconds,
        table=_table(made, request),
        figure=_figure(ours),
        running=_running(ours, made, request),
        loosened=list(ours.loosened),
        without=list(without),
    )


def _kept(ours: gates.Verdict, second: gates.Verdict | None, made: Candidate, namespace: Namespace) -> str:
    """What decides instead; what would be needed where a bound on what the candidate earns keeps the champion."""
    now, why = ready.decides(namespace), verdict_text.headline(ours)
    if now.tier != Tier.CHAMPION and second and second.deploy and made.success:
        return f"Champion not deployed; the {Tier.SECOND.label} {made.success.model_id} decides instead ({why})"
    if now.tier != Tier.CHAMPION:
        return f"Not deployed; the {now} stays in use ({why})"
    below = [verdict_text.part(component) for component in ours.failed if component.kind in EARNINGS]
    if not below:
        return f"Kept the champion {now.model_id} ({why})"
    needed = f"; needed: {below[0].needed}" if below[0].needed else ""
    return f"Kept current model: improvement below threshold ({now}; {why}{needed})"


def _second_tier(second: gates.Verdict | None, parts: list[Part], request: Request) -> list[str]:
    if second is None:
        return []
    done = ("would be " if request.quick else "") + ("deployed" if second.deploy else "refused")
    decided = f"{Tier.SECOND.label} {done}: {verdict_text.headline(second)}"
    return [decided, *(f"{part.mark} · {part.name}: {part.statement}" for part in parts)]


def _figure(ours: gates.Verdict) -> Figure | None:
    """What the candidate earns beside the rule score."""
    net, uplift = ours.part(Kind.NET), ours.part(Kind.UPLIFT)
    if net is None or uplift is None:
        return None
    found = Figure(name=net.of, value=net.value, low=net.low, high=net.high)
    return found.model_copy(update={"baseline": uplift.baseline, "baseline_is": Tier.RULE.label})


def _running(ours: gates.Verdict, made: Candidate, request: Request) -> Running | None:
    """Running sums of what the gate compares, at most DRAWN sessions of them."""
    net = ours.part(Kind.NET)
    if net is None:
        return None
    pairs = metrics.versus(made.own_oos, request.strategy, request.settings)
    names = ("model", "baseline", "everything")
    sums = pairs.select("session", pl.int_range(1, pl.len() + 1).alias("n"), pl.col(names).fill_null(0.0).cum_sum())
    shown = thinned(sums)
    return Running(
        of=net.of,
        sessions=shown["session"].to_list(),
        model=shown["model"].to_list(),
        rule=shown["baseline"].to_list(),
        everything=shown["everything"].to_list(),
        low=[] if net.low is None else (shown["n"] * net.low).to_list(),
        high=[] if net.high is None else (shown["n"] * net.high).to_list(),
    )


def thinned(sums: pl.DataFrame) -> pl.DataFrame:
    """At most DRAWN sessions of running sums, and the last."""
    shown = sums.gather_every(max(-(-len(sums) // DRAWN), 1))
    return pl.concat([shown, sums.tail(1)]).unique("session", maintain_order=True)


def _table(made: Candidate, request: Request) -> Table:
    """The out-of-sample figures of each model beside their baseline, as text: one row a figure."""
    gate, own = request.settings.gate, made.artefact.bundle.model
    models = made.metrics["model"].unique(maintain_order=True).to_list()
    cells = {(row["model"], row["metric"], row["baseline_is"]): row for row in made.metrics.iter_rows(named=True)}
    rows = []
    for _, metric, against in [key for key in cells if key[0] == own]:
        mine = cells[own, metric, against]
        baseline = "" if mine["baseline"] is None else f"{with_sign(mine['baseline'])} {against}"
        figures = [_with_interval(cells[model, metric, against]) for model in models]
        rows.append([f"{metric} ({mine['convention']})", figures[0], baseline, *figures[1:]])
    own_oos = made.own_oos
    note = (
        f"Out of sample: {len(own_oos):,} events, {own_oos['session'].n_unique():,} sessions, each weighing the same; "
        f"{percent(1 - 2 * gate.alpha)} intervals by stationary bootstrap over sessions, {gate.draws:,} draws, "
        f"{metrics.BLOCKS}."
    )
    return Table(columns=["figure", f"{own} (candidate)", "baseline", *models[1:]], rows=rows, note=note)


def _with_interval(row: dict[str, Any]) -> str:
    return f"{with_sign(row['value'])} {bounds(row['low'], row['high'])}"
