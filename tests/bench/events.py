"""Butterfly events: one against the reference libraries, how many a second, and how their cost grows."""

import datetime as dt
from typing import Any

import numpy as np

from bq.core import parallel
from bq.strategies.butterfly.settings import ButterflySettings
from tests.bench import samples
from tests.bench.measure import Plan, growth, in_turn, pair, speed_up, version
from tests.bench.row import Goal, Row

RATE = 2000  # events a second


def one_event(plan: Plan) -> Row:
    """An event in full, features, structure and label included, with either engine, one process."""
    ours = samples.settings()
    peers = ours.model_copy(update={"analysis": ours.analysis.model_copy(update={"engine": "reference"})})
    (symbol, days), *_ = samples.wanted(1, every_weeks=plan.n(full=1, quick=2, tiny=52)).items()
    few = days[:: -(-len(days) // plan.n(full=6, quick=3, tiny=1))]

    def build(settings: ButterflySettings, sessions: list[dt.date]) -> None:
        samples.strategy().table.build(samples.bars(), settings, {symbol: sessions})  # one symbol: no worker processes

    times = pair(
        lambda: build(peers, few),
        lambda: build(ours, days),
        peer_n=len(few),
        ours_n=len(days),
        repeats=plan.n(full=5, quick=2, tiny=1),
    )
    return times.row(
        of="an event",
        n=f"{len(days)} dates of {symbol} (peer: {len(few)} of them)",
        peer=f"{version('arch')}, {version('statsmodels')}",
        goal=speed_up(100),
        notes=(
            "the peer is engine: reference, one process as ours; it fits GARCH twice, the second time around the "
            "fitted mean, and has fewer dates to share the symbol's volatility proxy, a few ms in all",
        ),
    )


def events_rate(plan: Plan) -> Row:
    """Events a second of a whole build, on all workers."""
    symbols, weeks = plan.n(full=16, quick=8, tiny=2), plan.n(full=1, quick=2, tiny=26)
    wanted = samples.wanted(symbols, every_weeks=weeks)
    made: list[Any] = []

    def build() -> None:
        made[:] = [samples.strategy().table.build(samples.bars(), samples.settings(), wanted)]

    seconds = in_turn(build, repeats=plan.n(full=5, quick=3, tiny=1))[0]
    n = len(made[0].events)
    return Row(
        of="an event",
        n=f"{n:,} events of {symbols} symbols on {parallel.workers()} worker processes",
        ours_seconds=float(np.median(seconds)) / n,
        goals=(Goal("events", n / float(np.median(seconds)), "≥", RATE, "/s"),),
        repeats=len(seconds),
        spread=(n / float(seconds.max()), n / float(seconds.min())),
        notes=("bars already loaded, worker processes already started", f"the goal is for two cores, as {RATE:,}/s"),
    )


def events_growth(plan: Plan) -> Row:
    """Time for n, 2n and 4n events: the same dates of four, eight and sixteen symbols."""
    first, weeks = plan.n(full=4, quick=4, tiny=1), plan.n(full=2, quick=8, tiny=52)
    sizes = [samples.wanted(first * times, every_weeks=weeks) for times in (1, 2, 4)]

    def build(wanted: Any) -> Any:
        return lambda: samples.strategy().table.build(samples.bars(), samples.settings(), wanted)

    seconds = in_turn(*map(build, sizes), repeats=plan.n(full=5, quick=3, tiny=1))
    counts = [sum(map(len, wanted.values())) for wanted in sizes]
    return growth(
        of="a date",
        n=counts,
        seconds=seconds,
        notes=(f"{first}, {2 * first} and {4 * first} symbols on {parallel.workers()} workers",),
    )
