"""`make explore`, `train`, `stack` and `drift`: one notebook, rendered; nothing is judged or deployed."""

from bq.jobs.request import Request
from bq.jobs.retrain import describe_events, describe_market
from bq.jobs.run import protocol
from bq.jobs.run.protocol import Run
from bq.learning import layers, walkforward
from bq.runs.folder import REPORT
from bq.runs.record import Job, Seen
from bq.strategies import store
from bq.workbench import notebooks, screen

DRIFT = "04_drift_analysis"


def explore(request: Request) -> None:
    """Notebook 01: what the events and features look like."""
    _run(request, Job.EXPLORE, "01_feature_exploration")


def train(request: Request) -> None:
    """Notebook 02: walk-forward training."""
    _run(request, Job.TRAIN, "02_walk_forward_training")


def stack(request: Request) -> None:
    """Notebook 03: what each of the three layers is worth, also where the parameters choose another model."""
    chosen = request.settings.learning
    learning = chosen.model_copy(update={"model": layers.STACK, "compare": []})
    stacked = request._replace(settings=request.settings.model_copy(update={"learning": learning}))
    notice = f"the parameters choose {chosen.model}; this is what learning.model=stack would be"
    _run(stacked, Job.STACK, "03_stacking", *([notice] if chosen.model != layers.STACK else []))


def drift(request: Request) -> None:
    """Notebook 04: is the world still the one the model was trained in, and the model as good as was promised?"""
    _run(request, Job.DRIFT, DRIFT)


def _run(request: Request, job: Job, notebook: str, *notices: str) -> None:
    """Run one notebook on the request's events and publish its report."""
    strategy, settings = request.strategy, request.settings
    layers.check(settings.learning, layers.kind_of(len(strategy.task(settings).classes)))
    with protocol.lock(settings.namespace):
        told = once(request, job, notebook, *notices)
    screen.show(told)


def once(request: Request, job: Job, notebook: str, *notices: str, seen: Seen | None = None) -> str:
    """Run one notebook; what became of it, in words. The lock of the namespace must be held.

    seen : what of the decisions is known already, for the run's record.
    """
    strategy, settings = request.strategy, request.settings
    run = Run(settings, job=job)
    run.record.seen = seen or run.record.seen

    def work(run: Run) -> None:
        with run.phase("events"):
            data = store.market_data(settings)
            describe_market(run, data)
            events = store.collect(strategy, settings, data)
        describe_events(run, events)
        run.record.warnings += notices
        if job in (Job.TRAIN, Job.STACK):
            walkforward.check(events.events, strategy, settings)
        del data, events  # the notebook, a process of its own, has their memory
        run.notebook(notebook)
        run.record.headline = f"{job}: {run.record.title}"

    folder = protocol.perform(run, work)
    shows = notebooks.findings(folder / f"{notebook}.ipynb")
    return screen.verdict(run.record, None, folder / REPORT, findings=shows)
