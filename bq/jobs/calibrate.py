"""`make calibrate`: how often the whole pipeline deploys where nothing is to be found, and where something is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from bq import strategies
from bq.audit import calibration_tables as tables
from bq.audit import calibration_truth
from bq.audit.calibration import Measured, Oracle, measure
from bq.audit.calibration_oracle import Learnt
from bq.audit.calibration_points import FIRST_SEED, ORACLE_SEED, PERMUTED, PLANTED, Point, Results, point
from bq.audit.permutation import IN_ORDER
from bq.core import files, paths
from bq.core.errors import BadParameters
from bq.core.log import log
from bq.core.numerals import significant
from bq.core.parallel import completed
from bq.jobs import calibrate_schedule
from bq.jobs.request import Request, value, whole
from bq.jobs.run import publish
from bq.monitoring import rehearsal
from bq.strategies import registered
from bq.strategies.contract import Strategy
from bq.workbench import calibrated, page, screen

WORKERS = "BQ_WORKERS"
NULLS = ("martingale", "clustered")
ORACLE_MARKETS = 64  # that who knows the law learns from, at most
CURVE = (1.0, 0.5, 0.2)  # of the planted strength that ships


class Plan(NamedTuple):
    """What is asked."""

    points: list[Point]
    markets: int | None  # of each point; None: as many as its kind needs
    quick: bool

    def count(self, one: Point) -> int:
        """Markets of a point."""
        if self.markets is not None:
            return self.markets
        return 6 if self.quick else 40 if one.strength else 200


def main(request: Request) -> None:
    """Measure the markets that are missing, then write the page and the tables over all that were measured.

    FAMILY, STRENGTH : names and numbers with commas between them; MARKETS : of each; TRIALS : ways of training tried on
    each market, in one ledger. FAMILY=permuted exchanges the days of the bars that PARAMS reads, FAMILY=drifting
    watches a model over a change, FAMILY=schedule replays a schedule of retrains. What was measured by the same code
    and parameters is not measured again.
    """
    if _listed("FAMILY") == [calibrate_schedule.FAMILY]:
        calibrate_schedule.main(request)
        return
    plan, results = _plan(request), Results(paths.outputs() / "calibration")
    for one in plan.points:
        _measure(one, plan, results)
    target = _page(results)
    publish.write_index()
    for one in plan.points:
        screen.show(calibrated.line(one.facts, results.of(one.facts)))
    screen.show(screen.where("report", target))


def _plan(request: Request) -> Plan:
    asked = [request.strategy] if value("STRATEGY") else [strategies.get(name) for name in strategies.MODULES]
    points = [one for strategy in asked for one in _points(strategy, request)]
    return Plan(points, whole("MARKETS"), request.quick)


def _points(strategy: Strategy, request: Request) -> list[Point]:
    own = Path(path) if (path := value("PARAMS")) else None
    families = _listed("FAMILY") or ([own.stem] if own else [*NULLS, PLANTED])
    strengths = [_number(text) for text in _listed("STRENGTH")]
    overrides = f"{strategy.quick if request.quick else ''} {value('SET') or ''}".strip()
    make = partial(point, strategy, path=own, overrides=overrides, quick=request.quick, attempts=whole("TRIALS") or 1)
    found = []
    for family in families:
        one = make(family)
        if not one.strength:
            found.append(one)
            continue
        wanted = strengths or [round(one.strength * share, 6) for share in CURVE[: 1 if request.quick else None]]
        found += [make(family, strength=strength) for strength in wanted]
    return found


def _measure(one: Point, plan: Plan, results: Results) -> None:
    """The markets of a point that are not known yet, several at a time."""
    facts = one.facts
    done = {market.seed for market in results.of(facts)}
    wanted = [*range(FIRST_SEED, FIRST_SEED + plan.count(one)), *([IN_ORDER] if one.family == PERMUTED else [])]
    seeds = [seed for seed in wanted if seed not in done]
    named = f"{facts.strategy} {facts.family} {significant(facts.strength, 6)}"
    log.info("%s: %d markets are known, %d are measured now", named, len(done), len(seeds))
    if not seeds:
        return
    oracle = None
    if one.strength:
        learnt_on = range(ORACLE_SEED, ORACLE_SEED + (2 if plan.quick else ORACLE_MARKETS))
        oracle = Learnt(one.strategy, one.settings, learnt_on)
    own = registered.digests(one.strategy.features(one.settings).columns)
    here = one.family == PERMUTED or bool(own)  # bars, or features, from files of this machine
    work = partial(_one, one=one, oracle=oracle)
    for _, found in completed(work, seeds, description=named, here=here):
        results.add(facts, found)


def _one(seed: int, *, one: Point, oracle: Oracle | None) -> Measured:
    """Measure a market; in a worker, whose own steps then stay in it."""
    with _alone():
        plan = one.settings.market.simulation
        truth = calibration_truth.of if calibration_truth.known(one.strategy, one.settings) else None
        watch = rehearsal.watch if plan is not None and plan.changes is not None else None
        of: dict[str, Any] = {"strategy": one.strategy, "settings": one.settings, "source": one.source}
        return measure(seed, **of, tweaks=one.tweaks, oracle=oracle, truth=truth, watch=watch)


@contextmanager
def _alone() -> Iterator[None]:
    """One process a market: the markets are what runs side by side."""
    before = os.environ.get(WORKERS)
    os.environ[WORKERS] = "1"
    try:
        yield
    finally:
        os.environ.pop(WORKERS)
        os.environ.update({} if before is None else {WORKERS: before})


def _page(results: Results) -> Path:
    """Write the page and the tables over every point that has results of today's code."""
    known = [(facts, results.of(facts)) for facts in results.points()]
    files.write_text(results.folder / "points.csv", calibrated.rates(known).write_csv())
    for facts, markets in known:
        files.write_text(results.path(facts).with_suffix(".csv"), tables.rows(markets).write_csv())
    target = results.folder / "report.html"
    page.write(target, title=calibrated.TITLE, source="simulated", parts=calibrated.parts(known))
    return target


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadParameters(f"STRENGTH must be numbers with commas between them, but got {text!r}.") from None


def _listed(name: str) -> list[str]:
    return [part.strip() for part in (value(name) or "").split(",") if part.strip()]
