"""`make replay FROM= TO=`: what would have been deployed when, and what came of it, day by day over history."""

import datetime as dt

import polars as pl

from bq.core import files, world
from bq.core.errors import BadParameters
from bq.core.numerals import with_sign
from bq.core.scalars import day
from bq.jobs import replay_against, replay_page, replaying
from bq.jobs.replaying import Replayed
from bq.jobs.request import Request, date
from bq.jobs.run import protocol
from bq.jobs.run.protocol import Run
from bq.runs import folder as names
from bq.runs.record import Job
from bq.strategies import store
from bq.strategies.events import weakest_source
from bq.workbench import screen
from bq.workbench.phrases import counted

YEARS = 3  # replayed where FROM is not given


def main(request: Request) -> None:
    """Replay, and show what became of it."""
    settings = request.settings
    with protocol.lock(settings.namespace):
        run = Run(settings, job=Job.REPLAY)
        folder = protocol.perform(run, lambda under_way: _work(under_way, request))
    screen.show(f"{run.record.title}\n{run.record.headline}")
    screen.show(f"report      {screen.shown(folder / names.REPORT)}")


def _work(run: Run, request: Request) -> None:
    strategy, settings = request.strategy, request.settings
    with run.phase("market data"):
        data = store.market_data(settings)
    newest = day(data.bars["session"].max())
    theirs = replay_against.booked(settings) if replay_against.asked() else None
    known = None if theirs is None else replay_against.window(theirs)
    last = min(date("TO") or (known[1] if known else newest), newest)
    first = date("FROM") or (known[0] if known else last - dt.timedelta(days=365 * YEARS))
    if first > last:
        raise BadParameters(f"FROM must not be after the last session with bars, {newest}, but is {first}.")
    with run.phase("replay"), world.own(run.folder / names.WORLD):
        made = replaying.replay(strategy, settings, data, first, last)
    run.record.data_hash = data.data_hash
    run.record.source = weakest_source(made.events)
    run.record.title = f"{settings.namespace} · replay of {made.days:,} sessions, {first} to {last}"
    run.record.headline = _headline(made)
    for name in ("decided", "earned", "hindsight"):
        files.write_parquet(names.table(run.folder, name), getattr(made, name))
    for name in () if made.traded is None else ("tracks", "shadows", "closed"):
        files.write_parquet(names.table(run.folder, name), getattr(made.traded, name))
    run.page = replay_page.parts(made, strategy, settings)
    if theirs is not None and made.traded is not None:
        compared = replay_against.compare(made.traded, theirs)
        run.record.headline = f"{run.record.headline}; {replay_against.headline(compared)}"
        run.page.insert(1, replay_against.part(compared))


def _headline(made: Replayed) -> str:
    deployed = sum(bool(one.deployed) for one in made.trained)
    total = made.earned.select(pl.col("system", "rule", "everything").sum()).row(0)
    return (
        f"{counted(len(made.trained), 'attempt')}, {deployed} deployed; sum of net outcomes: system "
        f"{with_sign(total[0], 2)}, rule score {with_sign(total[1], 2)}, every event {with_sign(total[2], 2)}, over "
        f"{counted(len(made.earned), 'session')}"
    )
