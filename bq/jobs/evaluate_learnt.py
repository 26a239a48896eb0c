"""`make evaluate USE_RL=1`: what the deployed learnt weights are worth on the time that they never saw."""

import numpy as np
import polars as pl

from bq.core import files, paths
from bq.core.errors import BadParameters
from bq.core.numerals import decimal
from bq.jobs.request import Request
from bq.jobs.run import publish
from bq.serving import gates, learnt, ledger
from bq.serving.basis import events_digest
from bq.serving.ready import Champion
from bq.strategies import store
from bq.strategies.contract import Exhibit
from bq.strategies.events import NOTICES, matured, weakest_source
from bq.workbench import exhibits, page, plots, screen
from bq.workbench.phrases import interval

ROWS = {  # column of `learnt.earned`: for people
    "model": "by learnt weights",
    "baseline": "by the given weights",
    "everything": "all events",
    "uplift": "gain of learnt over given weights",
}


def main(request: Request) -> None:
    """Score the deployed policy since its training, print it beside the given weights, and write a page.

    Raises BadParameters where none is deployed, or none can answer.
    """
    strategy, settings = request.strategy, request.settings
    loaded = learnt.load(strategy, settings)
    if loaded.model is None:
        why = loaded.fault or "none is deployed. `make tune-weights` learns them, and deploys what passes its gate."
        raise BadParameters(f"USE_RL=1 must find learnt weights of {settings.namespace}, but {why}")
    data = store.market_data(settings)
    events = matured(store.collect(strategy, settings, data).events)
    window = untouched(learnt.attached(events, data, strategy, settings, loaded), loaded.model)
    found = exhibit(window, loaded.model, request)
    target = paths.outputs() / "evaluations" / f"{settings.namespace.weights}_{loaded.model.model_id}.html"
    title = f"{settings.namespace} · learnt weights {loaded.model.model_id} since their training"
    source = weakest_source(window)
    parts = [(found.title, [found.text, *exhibits.contents(found)])]
    page.write(target, title=title, source=source, bars=settings.market.source, parts=parts)
    publish.write_index()
    notice = f"\n{screen.RED}{NOTICES[source]}{screen.PLAIN}" if source in NOTICES else ""
    screen.show(f"{screen.BOLD}{title}{screen.PLAIN}{notice}\n{found.text}\n{plots.table(found.table)!r}")
    screen.show(f"\n{screen.where('report', target)}")


def untouched(events: pl.DataFrame, model: Champion) -> pl.DataFrame:
    """The events that began after the last end of an event that the policy was trained on."""
    found = events.filter(pl.col("t0") > model.trained_through)
    if found.is_empty():
        raise BadParameters(
            f"at least one event must have begun after the training ended ({model.trained_through:%Y-%m-%d}) and "
            "matured, but none has. Bring later bars, or `make tune-weights` again."
        )
    return found


def exhibit(window: pl.DataFrame, model: Champion, request: Request) -> Exhibit:
    """What learnt weights earned beside the given ones; entered in the ledger as a look."""
    strategy, settings = request.strategy, request.settings
    pairs = learnt.earned(window, strategy, settings)
    series = pairs.rename({"model": "value"}).select("session", *ledger.SERIES)
    told = [str(settings.namespace.weights), model.model_id, events_digest(window)]
    study, parameters = f"evaluation {files.digest(told)}", {"model_id": model.model_id}
    look = ledger.Look(ledger.LOOK, study, 0, parameters, series, window["symbol"].unique(), model.bundle.recipe)
    ledger.record(settings.namespace.weights, [look])
    columns = np.column_stack([pairs[name].to_numpy() for name in ROWS])
    means = gates.blocks(window, settings, pairs["session"]).means(columns)
    rows = [(name, one.mean, interval(one.low, one.high)) for name, one in zip(ROWS.values(), means, strict=True)]
    named = strategy.value.name(settings)
    table = pl.DataFrame(rows, schema=["weights", f"{named}, a session", "interval"], orient="row")
    trades = int(learnt.traded(window, strategy, settings).sum())
    text = (
        f"{len(pairs)} sessions, {window['session'].min()} to {window['session'].max()}, about "
        f"{decimal(means[0].blocks, 0)} independent blocks; {trades:,} trades by either weights."
    )
    return Exhibit("Learnt weights on their untouched window", text, table)
