"""`make explore`, `make train` and `make stack`: one notebook, rendered; nothing is judged or deployed."""

from bq import market
from bq.jobs import protocol
from bq.jobs.protocol import Run
from bq.jobs.request import Request
from bq.jobs.retrain import describe_events, describe_market
from bq.strategies import store
from bq.workbench import screen


def explore(request: Request) -> None:
    """Notebook 01: what the events and features look like."""
    _run(request, "explore", "01_feature_exploration")


def train(request: Request) -> None:
    """Notebook 02: walk-forward training."""
    _run(request, "train", "02_walk_forward_training")


def stack(request: Request) -> None:
    """Notebook 03: what each of the three layers is worth."""
    _run(request, "stack", "03_stacking")


def _run(request: Request, job: str, notebook: str) -> None:
    """Run one notebook on the request's events and publish its report."""
    strategy, settings = request.strategy, request.settings
    with protocol.lock(settings.shelf):
        run = Run(settings, job=job)

        def work(run: Run) -> None:
            with run.phase("events"):
                data = market.load(settings.market)
                describe_market(run, data)
                describe_events(run, store.collect(strategy, settings, data))
            run.notebook(notebook)
            run.info["headline"] = f"{job}: {run.info['title']}"

        folder = protocol.perform(run, work)
    screen.show(screen.verdict(run.info, None, folder / "report.html"))
