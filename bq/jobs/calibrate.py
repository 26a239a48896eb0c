"""`make calibrate`: how often the whole pipeline deploys where nothing is to be found, and where something is."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import polars as pl

from bq import strategies
from bq.audit import calibration_tables as tables
from bq.audit.calibration import Judged, Measured, Oracle, measure
from bq.audit.calibration_oracle import Learnt
from bq.audit.calibration_points import FIRST_SEED, ORACLE_SEED, PLANTED, Point, PointFacts, Results, point
from bq.core import files, paths
from bq.core.errors import BadParameters
from bq.core.log import log
from bq.core.parallel import parallel_map
from bq.core.settings import Settings
from bq.jobs.request import Request
from bq.strategies.component import Kind
from bq.strategies.contract import Strategy
from bq.workbench import plots, report, screen

WORKERS = "BQ_WORKERS"
NULLS = ("martingale", "clustered")
ORACLE_MARKETS = 6  # that who knows the law learns from
CURVE = (1.0, 0.5, 0.2)  # of the planted strength that ships
TITLE = "What the pipeline deploys where the law is known"


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

    FAMILY, STRENGTH : names and numbers with commas between them; MARKETS : of each. What was measured by the same code
    and parameters is not measured again.
    """
    plan, results = _plan(request), Results(paths.outputs() / "calibration")
    for one in plan.points:
        _measure(one, plan, results)
    facts = results.points()
    target = _page(facts, results)
    for one in plan.points:
        screen.show(_line(one.facts, results.of(one.facts)))
    screen.show(f"report      {screen.shown(target)}")


def _plan(request: Request) -> Plan:
    asked = [request.strategy] if _value("STRATEGY") else [strategies.get(name) for name in strategies.MODULES]
    points = [one for strategy in asked for one in _points(strategy, request)]
    return Plan(points, _markets(), request.quick)


def _points(strategy: Strategy, request: Request) -> list[Point]:
    own = Path(_value("PARAMS")) if _value("PARAMS") else None
    families = [own.stem] if own else _listed("FAMILY") or [*NULLS, PLANTED]
    strengths = [_number(text) for text in _listed("STRENGTH")]
    overrides = f"{strategy.quick if request.quick else ''} {_value('SET')}".strip()
    make = partial(point, strategy, path=own, overrides=overrides, quick=request.quick)
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
    seeds = [seed for seed in range(FIRST_SEED, FIRST_SEED + plan.count(one)) if seed not in done]
    named = f"{facts.strategy} {facts.family} {facts.strength:g}"
    log.info("%s: %d markets are known, %d are measured now", named, len(done), len(seeds))
    if not seeds:
        return
    oracle = None
    if one.strength:
        learnt_on = range(ORACLE_SEED, ORACLE_SEED + (2 if plan.quick else ORACLE_MARKETS))
        oracle = Learnt(one.strategy, one.settings, learnt_on)
    work = partial(
        _one, facts=facts, name=one.strategy.name, settings=one.settings, oracle=oracle, folder=results.folder
    )
    begun = time.monotonic()
    jobs = [(seed, place, len(seeds), begun) for place, seed in enumerate(seeds)]
    parallel_map(work, jobs, description=named)


def _one(
    job: tuple[int, int, int, float],
    *,
    facts: PointFacts,
    name: str,
    settings: Settings,
    oracle: Oracle | None,
    folder: Path,
) -> None:
    """Measure a market and keep its line; in a worker, whose own steps then stay in it."""
    seed, place, count, begun = job
    with _alone():
        Results(folder).add(facts, measure(seed, strategy=strategies.get(name), settings=settings, oracle=oracle))
    left = (time.monotonic() - begun) / (place + 1) * (count - place - 1)
    log.info("%s %s: %d of %d, about %.0f min left", facts.strategy, facts.family, place + 1, count, left / 60)


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


def _page(points: Sequence[PointFacts], results: Results) -> Path:
    known = [(facts, results.of(facts)) for facts in points]
    rates = pl.DataFrame([_rate(facts, markets) for facts, markets in known], infer_schema_length=None)
    files.write_text(results.folder / "points.csv", rates.write_csv())
    parts = [("How often it deploys", [_intro(), plots.table(rates), *_curves(rates)])]
    for facts, markets in known:
        parts.append((_heading(facts), _contents(markets)))
        each = tables.rows(markets)
        files.write_text(results.path(facts).with_suffix(".csv"), each.write_csv())
    target = results.folder / "report.html"
    report.page(target, title=TITLE, source="simulated", parts=parts)
    return target


def _intro() -> str:
    return (
        "Each market is drawn anew from a law that is known and goes through the whole pipeline: events, walk-forward "
        "training, candidate, gate. *Deployed* counts markets where either tier was. The interval is the exact one of "
        "95% (Clopper–Pearson). On a null market nothing can be earned before costs: there each deployment is a "
        "mistake. *Oracle* is the same gate on the predictions of who knows the law, learnt on other markets: no "
        "learner can be expected to do better."
    )


def _rate(facts: PointFacts, markets: Sequence[Measured]) -> dict[str, object]:
    found = tables.deployed(markets)
    either, oracle = found["either"], found.get("oracle")
    first, middle, last = tables.seconds(markets)
    return {
        "strategy": facts.strategy,
        "family": facts.family,
        "strength": facts.strength,
        "quick": facts.quick,
        "markets": either.markets,
        "deployed": either.number,
        "share": either.share,
        "low": either.low,
        "high": either.high,
        "champion": found["champion"].number,
        "second tier": found["second"].number if "second" in found else None,
        "oracle": oracle.number if oracle else None,
        "oracle share": oracle.share if oracle else None,
        "no verdict": sum(bool(market.error) for market in markets),
        "seconds p10": first,
        "seconds median": middle,
        "seconds p90": last,
    }


def _curves(rates: pl.DataFrame) -> list[object]:
    found: list[object] = []
    for (strategy,), rows in rates.filter(pl.col("strength") > 0).group_by("strategy", maintain_order=True):
        frame = rows.sort("strength").select("strength", pipeline="share", oracle="oracle share")
        titles = {"x_title": "strength of what is planted", "y_title": "share of markets deployed"}
        found.append(plots.lines(frame, "strength", ["pipeline", "oracle"], title=f"Power: {strategy}", **titles))
    return found


def _heading(facts: PointFacts) -> str:
    planted = f", strength {facts.strength:g}" if facts.strength else ", nothing planted"
    return f"{facts.strategy}: {facts.family}{planted}{' (quick)' if facts.quick else ''}"


def _contents(markets: Sequence[Measured]) -> list[object]:
    """What stands on the page of one point."""
    parts: list[object] = []
    for who, name in (("champion", "The candidate"), ("second", "The second tier"), ("oracle", "Who knows the law")):
        verdicts = [judged for market in markets if (judged := getattr(market, who)) is not None]
        if verdicts:
            parts += [f"**{name}**, by component, in markets", plots.table(tables.components(verdicts))]
            parts += ["Its figures over the markets", plots.table(tables.figures(verdicts))]
    parts.append(_covered([market.champion for market in markets if market.champion is not None]))
    if errors := [f"seed {market.seed}: {market.error}" for market in markets if market.error]:
        parts.append("No verdict came of " + "; ".join(errors[:5]))
    if seeds := [str(market.seed) for market in markets if market.deployed]:
        parts.append(f"Deployed with the seeds {', '.join(seeds[:40])}{' …' if len(seeds) > 40 else ''}.")
    return parts


def _covered(verdicts: Sequence[Judged]) -> str:
    said = []
    for kind in (Kind.UPLIFT, Kind.NET):
        found = tables.coverage(verdicts, kind)
        if found["covers"].markets:
            counts = ", ".join(f"{name} {one.number}" for name, one in found.items())
            said.append(f"{kind.value}: {counts} of {found['covers'].markets}")
    return (
        f"Intervals against 0, which is the true value where nothing is planted and nothing costs: {'; '.join(said)}."
    )


def _line(facts: PointFacts, markets: Sequence[Measured]) -> str:
    found = tables.deployed(markets)
    either, oracle = found["either"], found.get("oracle")
    beside = f", oracle {oracle.number}" if oracle else ""
    return (
        f"{_heading(facts)}: deployed {either.number} of {either.markets} "
        f"({either.low:.1%} to {either.high:.1%}){beside}, {tables.seconds(markets)[1]:.0f} s a market"
    )


def _markets() -> int | None:
    text = _value("MARKETS")
    if text and not (text.isdecimal() and int(text)):
        raise BadParameters(f"MARKETS must be a whole number above 0, but got {text!r}.")
    return int(text) if text else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadParameters(f"STRENGTH must be numbers with commas between them, but got {text!r}.") from None


def _listed(name: str) -> list[str]:
    return [part.strip() for part in _value(name).split(",") if part.strip()]


def _value(name: str) -> str:
    return os.environ.get(name, "").strip()
