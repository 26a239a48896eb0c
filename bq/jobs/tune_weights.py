"""`make tune-weights`: learn the weights of the rule score beside everything simpler; deploy what passes the gate.

What is deployed (ButterRL) decides only where it is asked for: `USE_RL=1`, or a track with `weights: learnt`.
"""

from dataclasses import replace

from bq.jobs.request import Request
from bq.jobs.retrain import describe_events, describe_market
from bq.jobs.run import protocol
from bq.jobs.run.protocol import Run
from bq.learning.weighing import weighing_of
from bq.runs.folder import REPORT
from bq.runs.record import Download, Job, Status
from bq.runs.verdict import Decision, Table, Verdict
from bq.serving import registry, verdict_text
from bq.strategies import store
from bq.tuning.weights import results, study, tune
from bq.tuning.weights.judging import Judged
from bq.tuning.weights.results import Studied
from bq.tuning.weights.study import Ask
from bq.workbench import screen
from bq.workbench.reading import learnt as reading
from bq.workbench.tell.learnt import weights_table

NOTEBOOK = "07_weight_tuning"
QUICK_STEPS, QUICK_SEEDS = 1_000, 2  # of QUICK=1, which deploys nothing


def main(request: Request) -> None:
    """Learn, or take up what an interrupted run has learnt of the same; report, and deploy what passes the gate.

    Raises BadParameters for a strategy whose score has no components.
    """
    weighing_of(request.strategy)
    with protocol.lock(request.settings.namespace):
        run = Run(request.settings, job=Job.WEIGHTS)
        folder = protocol.perform(run, lambda under_way: _work(under_way, request))
    screen.show(screen.verdict(run.record, run.verdict, folder / REPORT))
    if run.verdict:
        screen.show("\n".join(f"{'':<12}{reason}" for reason in run.verdict.reasons))
    if run.record.deployed:
        screen.show("next        make scan USE_RL=1, or a track with `weights: learnt` (docs/weights.md)")


def asked(request: Request) -> Ask:
    """What is learnt: small and not kept for a quick look."""
    if not request.quick:
        return Ask(request.strategy, request.settings, keep=True)
    return Ask(request.strategy, request.settings, study.PLAN._replace(steps=QUICK_STEPS), QUICK_SEEDS)


def _work(run: Run, request: Request) -> None:
    with run.phase("market data"):
        data = store.market_data(request.settings)
    describe_market(run, data)
    with run.phase("events"):
        events = store.collect(request.strategy, request.settings, data)
    describe_events(run, events)
    with run.phase("learning"):
        ask = asked(request)
        studied, judged = tune.tune(events.events, ask, data, run_id=run.run_id, asks_gate=not request.quick)
    results.save(studied, run.folder)
    run.record.title = f"{run.record.namespace} · learnt weights · {studied.record.trials} policies"
    run.record.seed = request.settings.tuning.seed
    run.record.downloads += [Download(label="All results (JSON)", file=results.RECORD)]
    run.verdict = told(studied, judged, quick=request.quick)
    run.record.headline = run.verdict.headline
    run.notebook(NOTEBOOK)
    if not request.quick:
        with run.phase("deployment", stoppable=False):
            _deploy(run, judged)


def _deploy(run: Run, judged: Judged) -> None:
    run.record.status = Status.DEPLOYED if judged.verdict.deploy else Status.KEPT
    if not judged.verdict.deploy:
        return
    headline = verdict_text.headline(judged.verdict)
    made_by = {name: getattr(run.record, name) for name in ("run_id", "packages", "git", "data_hash")}
    said = {
        "verdict": headline,
        "components": [verdict_text.part(component) for component in judged.verdict.components],
    }
    whole = replace(judged.artefact, card=judged.artefact.card.model_copy(update={**made_by, **said}))
    namespace = run.settings.namespace.weights
    run.record.deployed.append(registry.deploy(namespace, whole, reason=headline, run_id=run.run_id))


def told(studied: Studied, judged: Judged, *, quick: bool) -> Verdict:
    """The verdict as report and terminal show it."""
    found, why = studied.record, verdict_text.headline(judged.verdict)
    decision = Decision.DEPLOYED if judged.verdict.deploy else Decision.KEPT
    headline = f"Deployed {found.model_id}: {why}" if judged.verdict.deploy else f"The given weights stay ({why})"
    if quick:
        would = "would deploy" if judged.verdict.deploy else "would deploy nothing"
        decision = Decision.QUICK_LOOK
        headline = f"Quick look: nothing is deployed, and it counts as a look; the gate {would} ({why})"
    parts = [verdict_text.part(component) for component in judged.verdict.components]
    table = weights_table(studied).table
    return Verdict(
        decision=decision,
        headline=headline,
        reasons=[reading.held_out(found), reading.walked(found), reading.beside(found), reading.seeds(found)],
        needed=[f"{part.name}: {part.needed}" for part in parts if part.needed],
        components=parts,
        table=Table(columns=table.columns, rows=[list(row) for row in table.rows()], note=_note(found)),
        loosened=list(judged.verdict.loosened),
    )


def _note(found: results.WeightsRecord) -> str:
    part = found.parts[0]
    return (
        f"Mean over {part.sessions} sessions of the walk-forward, {part.first} to {part.last}; every row makes "
        f"{part.trades:,} trades. Intervals by stationary bootstrap over sessions."
    )
