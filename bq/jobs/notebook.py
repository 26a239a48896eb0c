"""`make explore` and `make train`: one notebook, rendered; nothing is judged or deployed."""

from bq import market
from bq.jobs import protocol
from bq.jobs.protocol import Run
from bq.jobs.request import Request
from bq.jobs.retrain import describe_events, describe_market
from bq.strategies import store
from bq.workbench import screen

NOTEBOOKS = {"explore": "01_feature_exploration", "train": "02_walk_forward_training"}


def main(request: Request, job: str) -> None:
    """Run the notebook of `job` on the request's events and publish its report."""
    strategy, settings = request.strategy, request.settings
    with protocol.lock(settings.shelf):
        protocol.sweep(settings.shelf)
        run = Run(settings, job=job)

        def work(run: Run) -> None:
            with run.phase("events"):
                data = market.load(settings.market)
                describe_market(run, data)
                describe_events(run, store.collect(strategy, settings, data))
            run.notebook(NOTEBOOKS[job])
            run.info["headline"] = f"{job}: {run.info['title']}"

        folder = protocol.perform(run, work)
    screen.show(screen.verdict(run.info, None, folder / "report.html"))
