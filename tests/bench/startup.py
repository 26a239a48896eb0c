"""What one waits for before anything happens: imports and the smallest target."""

import datetime as dt
import os
from unittest import mock

import numpy as np
import polars as pl

from bq.core import paths
from bq.core.namespace import Namespace
from bq.monitoring import records
from bq.monitoring.records import Scan
from tests.bench import samples
from tests.bench.measure import Pair, Plan, cost, in_turn, pair, version
from tests.bench.row import Goal, Row
from tests.bench.workbench import command

STATUS_SECONDS, SCAN_SECONDS, LARGE_SCAN_SECONDS = 0.6, 3.0, 6.0
LIBRARIES = "import numpy, polars"
VERBS = ('bq.params("butterfly")', 'bq.params("breakout")', 'bq.champion("butterfly")', "bq.runs.table()")
VERB_COST = 4  # times what the libraries take


def status(plan: Plan) -> Row:
    """`python -m bq status` from start to end, on the models and runs that are here."""
    ours, bare = in_turn(
        lambda: command("-m", "bq", "status"), lambda: command("-c", "pass"), repeats=plan.n(full=11, quick=5, tiny=1)
    )
    seconds = float(np.median(ours))
    return Row(
        of="a call",
        n="1 process",
        ours_seconds=seconds,
        goals=(Goal("start to end", seconds, "≤", STATUS_SECONDS, " s"),),
        repeats=len(ours),
        spread=(float(ours.min()), float(ours.max())),
        notes=(f"of which Python itself {np.median(bare):.3f} s",),
    )


def status_of_decisions(plan: Plan) -> Row:
    """The same in a home in which many decisions were recorded: it reads none of them."""
    scans, each = plan.n(full=500, quick=100, tiny=2), 200
    with samples.home():
        for number in range(scans):
            _decide(dt.date(2015, 1, 1) + dt.timedelta(days=number), each)
        (seconds,) = in_turn(lambda: command("-m", "bq", "status"), repeats=plan.n(full=11, quick=5, tiny=1))
    return Row(
        of="a call",
        n=f"{scans * each:,} decisions",
        ours_seconds=float(seconds.min()),
        goals=(Goal("start to end, at best", float(seconds.min()), "≤", STATUS_SECONDS, " s"),),
        repeats=len(seconds),
        spread=(float(seconds.min()), float(seconds.max())),
    )


def _decide(session: dt.date, count: int) -> None:
    at = dt.datetime.combine(session, dt.time(22), dt.UTC)
    names = [f"{session}_{number}" for number in range(count)]
    rows = pl.DataFrame({"event_id": names, "symbol": names}).with_columns(
        session=pl.lit(session), tier=1, model=pl.lit("m"), score=0.5, should_trade=True
    )
    records.enter(Scan(Namespace("butterfly"), session, at, {}, "data", "code", None, None, late=False), rows)


def scan(plan: Plan) -> Row:
    """`python -m bq scan` from start to end: the bundled prices, and a simulated market of 500 symbols."""
    names = plan.n(full=500, quick=500, tiny=5)
    large = {
        "PARAMS": str(paths.parameters("butterfly").parent / "simulated" / "butterfly.yaml"),
        "SET": f"market.simulation.symbols={names}",
    }

    def of_many() -> None:
        with mock.patch.dict(os.environ, large):
            command("-m", "bq", "scan")

    with samples.home():
        few, many = in_turn(lambda: command("-m", "bq", "scan"), of_many, repeats=plan.n(full=5, quick=3, tiny=1))
    return Row(
        of="a scan",
        n=f"{samples.bars().bars['symbol'].n_unique()} and {names} symbols",
        ours_seconds=float(np.median(few)),
        goals=(
            Goal("start to end", float(np.median(few)), "≤", SCAN_SECONDS, " s"),
            Goal(f"of {names} symbols", float(np.median(many)), "≤", LARGE_SCAN_SECONDS, " s"),
        ),
        repeats=len(few),
        spread=(float(few.min()), float(few.max())),
        notes=("butterfly, no champion deployed: the rule score decides", "compiled kernels are there"),
    )


def import_bq(plan: Plan) -> Row:
    """`import bq` against importing the two libraries that any such program needs."""
    times = pair(
        lambda: command("-c", LIBRARIES),
        lambda: command("-c", "import bq"),
        repeats=plan.n(full=11, quick=5, tiny=1),
    )
    return times.row(
        of="a process",
        n="1 process",
        peer=f"{version('numpy')}, {version('polars')}",
        goal=cost(2),
        notes=("alone it loads almost nothing; the first verb loads what it needs",),
    )


def first_verb(plan: Plan) -> Row:
    """The first verb of a session: parameters, and beside them a champion and the table of runs."""
    peer, *verbs = in_turn(
        lambda: command("-c", LIBRARIES),
        *(lambda verb=verb: command("-c", f"import bq; {verb}") for verb in VERBS),
        repeats=plan.n(full=11, quick=5, tiny=1),
    )
    others = zip(VERBS[1:], verbs[1:], strict=True)
    return Pair(peer, verbs[0]).row(
        of="a process",
        n="1 process",
        peer=f"{version('numpy')}, {version('polars')}",
        goal=cost(VERB_COST),
        goals=tuple(
            Goal(verb, float(np.median(seconds) / np.median(peer)), "≤", VERB_COST, "×") for verb, seconds in others
        ),
        notes=(f"`{VERBS[0]}` in a new process",),
    )
