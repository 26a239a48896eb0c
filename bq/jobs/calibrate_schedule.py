"""`make calibrate FAMILY=schedule`: years of scheduled retrains on markets where nothing is to be found.

One gate that errs rarely is asked again and again by a schedule. Each market is replayed day by day for its last YEARS
(`bq.jobs.replaying`), with the retrains that its triggers ask for: how many of them deploy anything?
"""

import datetime as dt
import time
from functools import cache, partial
from pathlib import Path
from typing import Any

import polars as pl

from bq import market, strategies
from bq.audit.calibration_points import code_digest, file_of
from bq.audit.calibration_tables import share
from bq.core import files, params, paths, world
from bq.core.errors import BadParameters
from bq.core.log import log
from bq.core.numerals import percent
from bq.core.parallel import completed
from bq.core.records import Record
from bq.core.scalars import day
from bq.core.settings import Settings
from bq.jobs import attempt, replay_history, replaying
from bq.jobs.request import Request, value, whole
from bq.jobs.run import publish
from bq.strategies import registered
from bq.strategies.contract import Strategy
from bq.workbench import page, screen
from bq.workbench.phrases import counted
from bq.workbench.table import table

FAMILY = "schedule"
MARKETS, QUICK_MARKETS, YEARS = 60, 6, 3
FIRST_SEED = 5_000
NULL = "martingale"  # the family of the markets
WALKED = (attempt, replay_history, replaying)  # modules of this folder that change what comes of it
MOST = 0.05  # share of markets with any deployment
TITLE = "Scheduled retrains where nothing is to be found"


class Came(Record):
    """What a schedule came to on one market."""

    seed: int
    sessions: int
    attempts: int
    deployed: int  # attempts that deployed a model of either tier
    retired: int
    seconds: float


def main(request: Request) -> None:
    """Replay the markets that are missing, then write the page over all of them.

    MARKETS : of each strategy. What was replayed by the same code and parameters is not replayed again.
    """
    asked = [request.strategy] if value("STRATEGY") else [strategies.get(name) for name in strategies.MODULES]
    count = whole("MARKETS") or (QUICK_MARKETS if request.quick else MARKETS)
    rows: list[dict[str, Any]] = []
    for strategy in asked:
        overrides = f"{strategy.quick if request.quick else ''} {value('SET') or ''}".strip()
        settings = params.load(file_of(strategy, NULL), strategy.settings, overrides=overrides)
        rows.append(_row(strategy, measured(settings, range(FIRST_SEED, FIRST_SEED + count))))
    shown = pl.DataFrame(rows)
    target = paths.outputs() / "calibration" / f"{FAMILY}.html"
    text = (
        f"Each market is replayed for its last {YEARS} years, day by day, with the retrains that its triggers ask for. "
        f"A deployment is chance. At most {percent(MOST)} of markets may have any; the interval is Clopper and "
        "Pearson's, at 95%."
    )
    page.write(target, title=TITLE, source="simulated", parts=[("Deployments", [text, table(shown)])])
    publish.write_index()
    for row in rows:
        screen.show(
            f"{row['strategy']}: any deployment in {row['with a deployment']} of {counted(row['markets'], 'market')} "
            f"({row['interval']}), {counted(row['attempts'], 'attempt')}"
        )
    screen.show(screen.where("report", target))


def measured(settings: Settings, seeds: range) -> list[Came]:
    """What the schedule came to on each market, replayed now where it is not known."""
    whole = settings.model_dump(mode="json")
    whole["market"]["simulation"].pop("seed")
    key = files.digest([whole, code_digest(), _walked()], 8)
    folder = paths.outputs() / "calibration" / FAMILY
    places = {seed: folder / f"{settings.strategy}_{key}_{seed}.json" for seed in seeds}
    missing = [seed for seed, path in places.items() if not path.is_file()]
    log.info(
        "%s: %d markets are known, %d are replayed now", settings.strategy, len(seeds) - len(missing), len(missing)
    )
    if missing:
        here = bool(registered.digests(strategies.of(settings).features(settings).columns))  # files of this machine
        work, named = partial(replay, settings), f"{settings.strategy} {FAMILY}"
        for place, came in completed(work, missing, description=named, here=here):
            came.write(places[missing[place]])
    return [Came.read(path, what=f"{path.name}:", remedy="Delete it.") for path in places.values()]


@cache
def _walked() -> str:
    """Digest of the code of this folder that changes what comes of a replay, as this process found it."""
    return files.digest_of_files([Path(str(module.__file__)) for module in WALKED], paths.CHECKOUT)


def replay(settings: Settings, seed: int) -> Came:
    """The last YEARS of the market with a seed, in a world of their own."""
    simulation = settings.market.simulation
    if simulation is None:
        raise BadParameters("`market.simulation` must say which market is replayed, but is null.")
    own = simulation.model_copy(update={"seed": seed})
    settings = settings.model_copy(update={"market": settings.market.model_copy(update={"simulation": own})})
    data, begun = market.load(settings.market), time.monotonic()
    last = day(data.bars["session"].max())
    with world.own():
        first = last - dt.timedelta(days=round(365.25 * YEARS))
        made = replaying.replay(strategies.of(settings), settings, data, first, last)
    return Came(
        seed=seed,
        sessions=made.days,
        attempts=len(made.trained),
        deployed=sum(bool(one.deployed) for one in made.trained),
        retired=len(made.retired),
        seconds=time.monotonic() - begun,
    )


def _row(strategy: Strategy, came: list[Came]) -> dict[str, Any]:
    deploying = sum(bool(one.deployed) for one in came)
    found = share(deploying, len(came))
    return {
        "strategy": strategy.name,
        "markets": len(came),
        "attempts": sum(one.attempts for one in came),
        "with a deployment": deploying,
        "interval": f"{percent(found.low, 1)} to {percent(found.high, 1)}",
        "sessions": sum(one.sessions for one in came),
        "seconds a market": sum(one.seconds for one in came) / len(came),
    }
