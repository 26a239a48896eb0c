"""`make tune`: search parameters with Optuna, judge the best, write it as a parameter file; nothing is deployed."""

import os
from pathlib import Path

from bq.core.errors import BadParameters, did_you_mean
from bq.jobs.request import Request, whole
from bq.jobs.retrain import describe_events, describe_market
from bq.jobs.run import protocol
from bq.jobs.run.protocol import Run
from bq.jobs.tuned import first_screen
from bq.market import MarketData
from bq.runs.folder import REPORT
from bq.runs.record import Download, Job
from bq.runs.verdict import Decision, Verdict
from bq.strategies import store
from bq.tuning import model, results, strategy
from bq.tuning.results import Tuned
from bq.workbench import screen

NOTEBOOK = "06_strategy_tuning"
TARGETS = (strategy.KIND, model.KIND)


def main(request: Request) -> None:
    """Resume the study with the same data and parameters, or begin one; then report.

    Raises BadParameters for a target that there is not, or not for this strategy.
    """
    target = _target(request)
    with protocol.lock(request.settings.namespace):
        run = Run(request.settings, job=Job.TUNE)
        folder = protocol.perform(run, lambda under_way: _work(under_way, request, target))
    screen.show(screen.verdict(run.record, run.verdict, folder / REPORT))
    _show_next(run, folder)


def _target(request: Request) -> str:
    rules = request.strategy.backtester is not None
    asked = request.target or (strategy.KIND if rules else model.KIND)
    if asked not in TARGETS:
        raise BadParameters(f"TARGET must name what is tuned, but got {asked!r}; {did_you_mean(asked, TARGETS)}")
    if asked == strategy.KIND and not rules:
        raise BadParameters(
            "TARGET=strategy must have a strategy whose rules are backtested as a portfolio, but those of "
            f"{request.strategy.name} are not. Use TARGET=model for its model, or another STRATEGY."
        )
    return asked


def _work(run: Run, request: Request, target: str) -> None:
    with run.phase("market data"):
        data = store.market_data(request.settings)
    describe_market(run, data)
    tuned = _strategy(run, request, data) if target == strategy.KIND else _model(run, request, data)
    found, trials = tuned.results, len(tuned.results["trials"])
    of = "return" if target == strategy.KIND else request.strategy.value.name(request.settings)
    run.verdict = first_screen(Verdict.of(found["verdict"], what="the verdict of a tuning"), tuned, of)
    run.record.headline = run.verdict.headline
    run.record.title = f"{run.record.namespace} · tuning of the {target} · {trials} trials · {found['objective']}"
    run.record.seed = found["seed"]
    source, settings = request.parameters, request.strategy.settings
    files = results.save(tuned, run.folder, source=source, model=settings)
    run.record.downloads += [Download(**file) for file in files]
    run.notebook(NOTEBOOK)


def _strategy(run: Run, request: Request, data: MarketData) -> Tuned:
    run.record.source = data.source
    with run.phase("tuning"):
        return strategy.tune(request.strategy, request.settings, data, keep=True, workers=_workers())


def _model(run: Run, request: Request, data: MarketData) -> Tuned:
    with run.phase("events"):
        collection = store.collect(request.strategy, request.settings, data)
    describe_events(run, collection)
    with run.phase("tuning"):
        return model.tune(collection.events, request.strategy, request.settings, keep=True, workers=_workers())


def _workers() -> int:
    return whole("WORKERS") or 1


def _show_next(run: Run, folder: Path) -> None:
    name = run.settings.strategy
    optimised = screen.shown(folder / f"{name}_optimised.yaml")
    reasons = run.verdict.reasons if run.verdict else []
    lines = [*(f"{'':<12}{reason}" for reason in reasons), f"parameters  {optimised}"]
    given = os.environ.get("SET", "").strip()
    again = f' SET="{given}"' if given else ""  # the file has what was searched, not what SET said
    command = f"make retrain STRATEGY={name} PARAMS={optimised}{again}"
    if run.verdict and run.verdict.decision == Decision.REJECTED:
        lines.append("next        not proven: keep the parameters as they are")
        lines.append(f"{'anyway':<12}{command}")
    else:
        lines.append(f"next        {command}")
    screen.show("\n".join(lines))
