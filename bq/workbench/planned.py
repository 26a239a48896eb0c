"""The power of a comparison before it begins: how much evidence a difference takes, in words."""

import math
from typing import NamedTuple

import polars as pl

from bq.core.numerals import decimal, percent
from bq.stats import paired, power
from bq.stats.year import TRADING_DAYS
from bq.trading.comparison import ALPHA, Difference
from bq.workbench.reading.comparison import wait

POWER = 0.8
A_YEAR = (0.01, 0.02, 0.05, 0.10, 0.20)  # differences that are planned for, shares of capital a year


class Assumed(NamedTuple):
    """What a plan assumes. deviation : of the difference over five sessions, a share of capital; None: not known."""

    base: float = 0.25  # win rate
    better: float = 0.35
    share: float = 0.7  # of trades that are the better track's
    difference: float = 0.05  # mean, a share of capital a year
    deviation: float | None = None
    sharpe: float = 1.0  # difference of annual Sharpe ratios
    correlation: float = 0.9
    trades_a_month: float | None = None  # closed ones of both


def measured(found: Difference) -> float | None:
    """Today's deviation of the difference over five sessions."""
    values = found.look.values
    if len(values) < 2:
        return None
    return float(values.std(ddof=1)) * math.sqrt(paired.SESSIONS / found.look.sessions) or None


def table(deviation: float) -> pl.DataFrame:
    """difference [% a year], observations, sessions, years: at a deviation of five sessions."""
    rows = []
    for one in A_YEAR:
        count = _observations(one, deviation)
        sessions = None if count is None else count * paired.SESSIONS
        rows.append((100 * one, count, sessions, None if sessions is None else sessions / TRADING_DAYS))
    names = {"difference [% of capital a year]": pl.Float64, "observations": pl.Int64}
    return pl.DataFrame(rows, schema={**names, "sessions": pl.Int64, "years": pl.Float64}, orient="row")


def _observations(a_year: float, deviation: float) -> int | None:
    effect = a_year * paired.SESSIONS / TRADING_DAYS / deviation
    return power.observations(effect, alpha=ALPHA, sharpest_at=paired.sharpest(paired.SESSIONS), power=POWER)


def lines(assumed: Assumed, *, told: str) -> list[str]:
    """What `make ab PLAN=` prints. told : where the deviation comes from."""
    found = [f"Power {percent(POWER)}, two-sided α {percent(ALPHA)}.", *_decisions(assumed, told)]
    ahead = power.years(assumed.sharpe, correlation=assumed.correlation, alpha=ALPHA, power=POWER)
    alone = power.years(assumed.sharpe, alpha=ALPHA, power=POWER)
    found.append(
        f"decisions   Sharpe ratios {decimal(assumed.sharpe, 1)} apart, at one look: {decimal(ahead, 1)} years paired "
        f"at correlation {decimal(assumed.correlation, 2)}, {decimal(alone, 1)} years unpaired"
    )
    return [*found, *_executions(assumed)]


def _decisions(assumed: Assumed, told: str) -> list[str]:
    if assumed.deviation is None:
        return [f'decisions   {told}; state one, as PLAN="deviation=0.01" (of the difference over five sessions)']
    count, apart = _observations(assumed.difference, assumed.deviation), percent(assumed.difference, 1)
    what = f"decisions   {apart} of capital a year apart, deviation {percent(assumed.deviation, 2)} in five sessions"
    what = f"{what} ({told})"
    if count is None:
        return [f"{what}: never"]
    years = wait(count * paired.SESSIONS)
    return [f"{what}, at every look: {count:,} observations, {count * paired.SESSIONS:,} sessions, {years}"]


def _executions(assumed: Assumed) -> list[str]:
    rates = f"win rate {percent(assumed.base)} → {percent(assumed.better)}"
    found = []
    for share in dict.fromkeys((0.5, assumed.share)):
        arms = power.trades(assumed.base, assumed.better, share=share, alpha=ALPHA, power=POWER)
        split = f"{percent(share)} of trades the better one's"
        time = ""
        if assumed.trades_a_month:
            months = (arms.better + arms.base) / assumed.trades_a_month
            time = f", {wait(months * TRADING_DAYS / 12)} at {decimal(assumed.trades_a_month, 1)} trades a month"
        found.append(f"executions  {rates}, {split}, at one look: {arms.better:,} + {arms.base:,} trades{time}")
    return found
