"""What one waits for before anything happens: imports and the smallest target."""

import numpy as np

from tests.bench.measure import Plan, cost, in_turn, pair, version
from tests.bench.row import Goal, Row
from tests.bench.workbench import command

STATUS_SECONDS = 0.6


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


def import_bq(plan: Plan) -> Row:
    """`import bq` against importing the two libraries that any such program needs."""
    repeats = plan.n(full=11, quick=5, tiny=1)
    times = pair(lambda: command("-c", "import numpy, polars"), lambda: command("-c", "import bq"), repeats=repeats)
    (verb,) = in_turn(lambda: command("-c", "import bq; bq.events"), repeats=repeats)
    return times.row(
        of="a process",
        n="1 process",
        peer=f"{version('numpy')}, {version('polars')}",
        goal=cost(2),
        goals=(Goal("with the first verb", float(np.median(verb) / np.median(times.peer)), "≤", 2, "×"),),
        notes=("`import bq` alone loads almost nothing; the first verb (`bq.events`) loads what it needs",),
    )
