"""What `make calibrate` shows: rates with their intervals, power beside who knows the law, and what refused."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from bq.audit import calibration_tables as tables
from bq.audit.calibration import Judged, Measured
from bq.audit.calibration_points import PointFacts
from bq.audit.permutation import IN_ORDER
from bq.core.numerals import decimal, percent, significant
from bq.monitoring.windows import ALARMS_A_YEAR
from bq.strategies.component import Kind
from bq.tuning.verdict import MOST_OVERFITTING
from bq.workbench import plots

TITLE = "What the pipeline deploys on simulated markets"
INTRO = (
    "Each market is simulated with or without a signal and goes through the whole pipeline: events, walk-forward "
    "training, candidate, gate. `deployed` counts the markets on which either tier was deployed; `low` and `high` are "
    "the exact 95% interval of its share (Clopper–Pearson). Without a planted signal nothing can be earned before "
    "costs, and each deployment is a mistake. `oracle` is the same gate on predictions that use the signal itself, "
    "calibrated on other markets: no learner can be expected to do better."
)
OF_COMPONENTS = (
    "Number of markets that each component refused (and of these inconclusive), that it alone refused, and that would "
    "be deployed without it; then the 10th, 50th and 90th percentile of its figure over the markets."
)
COVERAGE = (
    "Number of markets whose 95% interval of a figure contains the true value. Prices are martingales, so the true "
    "value of a result is minus what the trades of the market's model cost. `low`, `high`: the exact 95% interval of "
    "the share. The band is where 99 of 100 such counts lie if 95% of intervals contain it. The gate uses the lower "
    "bounds: it errs where an interval lies above the true value."
)
DRIFT = (
    "A model is deployed two years before the market changes and decides on every event from then on; every window of "
    "its decisions is checked. An alarm before the change is false; `low` and `high` are the exact 95% interval of "
    "false alarms a year, of which each kind of check may raise {most}. `found` counts the markets with an alarm after "
    "the change, `months` is the median time to the first."
)
MOST_MISTAKES = 0.02  # share of null markets
TIERS = (("champion", "The candidate"), ("second", "The second tier"), ("oracle", "The oracle"))
MOST_SEEDS = 40

Known = Sequence[tuple[PointFacts, Sequence[Measured]]]


def rates(known: Known) -> pl.DataFrame:
    """One row a point: how often each tier was deployed, with the interval of either, and what it cost.

    The real order of days of a permuted market is none of its points' markets.
    """
    return pl.DataFrame([_rate(facts, _by_chance(markets)) for facts, markets in known], infer_schema_length=None)


def _by_chance(markets: Sequence[Measured]) -> list[Measured]:
    return [market for market in markets if market.seed != IN_ORDER]


def parts(known: Known) -> list[tuple[str, list[Any]]]:
    """Headings and contents of the page."""
    whole = rates(known)
    shown = ["strategy", "family", "strength", "markets", "deployed", "share", "low", "high", "oracle", "oracle share"]
    cost = [
        "strategy",
        "family",
        "strength",
        "champion",
        "second tier",
        "no verdict",
        "p10 [s]",
        "median [s]",
        "p90 [s]",
    ]
    tops = [INTRO, plots.table(whole.select(shown)), *_dots(whole), *_curves(whole)]
    tops += ["By tier, and what a market takes of one process", plots.table(whole.select(cost))]
    return [("How often it deploys", tops), *((heading(facts), _contents(facts, markets)) for facts, markets in known)]


def heading(facts: PointFacts) -> str:
    """What a point is called."""
    planted = f", strength {significant(facts.strength, 6)}" if facts.strength else ", nothing planted"
    tried = f", {facts.attempts} ways of training tried on each" if facts.attempts > 1 else ""
    return f"{facts.strategy}: {facts.family}{planted}{tried}{' (quick)' if facts.quick else ''}"


def line(facts: PointFacts, markets: Sequence[Measured]) -> str:
    """A point in one line."""
    found = tables.deployed(_by_chance(markets))
    either, oracle = found["either"], found.get("oracle")
    beside = f", oracle {oracle.number}" if oracle else ""
    return (
        f"{heading(facts)}: deployed {either.number} of {either.markets} ({percent(either.low, 1)} to "
        f"{percent(either.high, 1)}){beside}, {decimal(tables.seconds(markets)[1], 0)} s a market"
    )


def _rate(facts: PointFacts, markets: Sequence[Measured]) -> dict[str, Any]:
    found = tables.deployed(markets)
    either, oracle, second = found["either"], found.get("oracle"), found.get("second")
    first, middle, last = tables.seconds(markets)
    return {
        **facts.model_dump(include={"strategy", "family", "strength", "attempts", "quick"}),
        "markets": either.markets,
        "deployed": either.number,
        "share": either.share,
        "low": either.low,
        "high": either.high,
        "oracle": oracle.number if oracle else None,
        "oracle share": oracle.share if oracle else None,
        "champion": found["champion"].number,
        "second tier": second.number if second else None,
        "no verdict": sum(bool(market.error) for market in markets),
        "p10 [s]": first,
        "median [s]": middle,
        "p90 [s]": last,
    }


def _dots(whole: pl.DataFrame) -> list[Any]:
    named = whole.with_columns(point=pl.format("{} {} {}", "strategy", "family", "strength"))
    if named.is_empty():
        return []
    axis = {"label": "point", "value": "share", "low": "low", "high": "high"}
    title, x_title = (
        "Share of markets deployed",
        f"share; dashed: {percent(MOST_MISTAKES)}, most where nothing is planted",
    )
    return [plots.interval_dots(named, **axis, baseline=MOST_MISTAKES, title=title, x_title=x_title)]


def _curves(whole: pl.DataFrame) -> list[Any]:
    """Power over strength, of families with two strengths or more."""
    found = []
    planted = whole.filter(pl.col("strength") > 0)
    for (strategy, family), points in planted.group_by("strategy", "family", maintain_order=True):
        curve = points.sort("strength").select("strength", pipeline="share", oracle="oracle share")
        if curve["strength"].n_unique() > 1:
            titles = {"x_title": "strength of what is planted", "y_title": "share of markets deployed"}
            found.append(
                plots.lines(curve, "strength", ["pipeline", "oracle"], title=f"Power: {strategy} {family}", **titles)
            )
    return found


def _contents(facts: PointFacts, markets: Sequence[Measured]) -> list[Any]:
    """What stands on the page of one point."""
    parts: list[Any] = [*_beside_chance(markets), OF_COMPONENTS]
    markets = _by_chance(markets)
    for who, name in TIERS:
        verdicts = [judged for market in markets if (judged := getattr(market, who)) is not None]
        if verdicts:
            parts += [f"**{name}**", plots.table(_components(verdicts))]
    parts += [*_covered(markets), *_overfitting(markets), *_drift(markets)]
    if errors := [f"seed {market.seed}: {market.error}" for market in markets if market.error]:
        parts.append("No verdict came of " + "; ".join(errors[:5]))
    if seeds := [str(market.seed) for market in markets if market.deployed]:
        more = " …" if len(seeds) > MOST_SEEDS else ""
        parts.append(f"Deployed with the seeds {', '.join(seeds[:MOST_SEEDS])}{more}.")
    return parts


def _beside_chance(markets: Sequence[Measured]) -> list[Any]:
    """Where the real order of days stands among permuted ones."""
    real = next((market.champion for market in markets if market.seed == IN_ORDER), None)
    if real is None:
        return []
    others = [market.champion for market in _by_chance(markets) if market.champion is not None]
    values = {kind: tables.p_value(real, others, kind) for kind in tables.estimated([real])}
    said = ", ".join(f"{_name(kind)} p = {decimal(value)}" for kind, value in values.items())
    return [
        f"The bars as they are against {len(others)} orders of their days, in which nothing can be found: {said} "
        f"(never below {decimal(1 / (len(others) + 1))}). As they are they would {'' if real.deploy else 'not '}be "
        f"deployed."
    ]


def _components(verdicts: Sequence[Judged]) -> pl.DataFrame:
    whole = tables.components(verdicts).join(
        tables.figures(verdicts).drop("markets"), on="kind", how="left", maintain_order="left"
    )
    component = pl.col("kind").str.replace_all("_", " ")
    return whole.select(
        component=component,
        verdicts="verdicts",
        refused="refused",
        inconclusive="inconclusive",
        **{"refused alone": "alone", "deployed without": "without"},
        p10="p10",
        median="median",
        p90="p90",
    )


def _name(kind: Kind) -> str:
    return kind.value.replace("_", " ")


def _covered(markets: Sequence[Measured]) -> list[Any]:
    """How often intervals hold what the law says, where it does."""
    found = tables.coverage(markets)
    if not found:
        return []
    rows = [
        {
            "figure": _name(one.kind),
            "markets": one.holds.markets,
            "hold": one.holds.number,
            "share": one.holds.share,
            "low": one.holds.low,
            "high": one.holds.high,
            "99% band": f"{one.least} to {one.most}",
            "above the truth": one.above,
            "below": one.below,
            "mean truth": one.truth,
            "mean figure": one.figure,
        }
        for one in found
    ]
    looked = tables.apart(markets)
    wrong = (
        f"The bounds that may be looked at every day ever excluded the true difference of model and rule score on "
        f"{looked.number} of {looked.markets} markets ({percent(looked.low, 1)} to {percent(looked.high, 1)}; 5% are "
        "allowed)."
    )
    return [COVERAGE, plots.table(pl.DataFrame(rows)), wrong]


def _overfitting(markets: Sequence[Measured]) -> list[Any]:
    """How the probability of overfitting spreads over markets on which several ways of training were tried."""
    known = pl.Series([market.overfitting for market in markets if market.overfitting is not None], dtype=pl.Float64)
    if known.is_empty():
        return []
    low, middle, high = (decimal(known.quantile(at)) for at in (0.1, 0.5, 0.9))
    passing = int((known < MOST_OVERFITTING).sum())
    return [
        f"Probability of backtest overfitting of the ways tried on a market (CSCV; about .5 by chance): tenth "
        f"percentile {low}, median {middle}, ninetieth {high}; below {decimal(MOST_OVERFITTING)} on {passing} of "
        f"{len(known)} markets."
    ]


def _drift(markets: Sequence[Measured]) -> list[Any]:
    """False alarms and delay of each kind of check, on a market that changes."""
    found = tables.alarms(markets)
    if not found:
        return []
    rows = [
        {
            "check": one.kind.replace("_", " "),
            "markets": one.markets,
            "years before": one.years,
            "false alarms": one.false,
            "a year": one.false / one.years,
            "low": one.low,
            "high": one.high,
            "found": one.found.number,
            "of": one.found.markets,
            "months": one.months,
        }
        for one in found
    ]
    return [DRIFT.format(most=decimal(ALARMS_A_YEAR)), plots.table(pl.DataFrame(rows))]
