"""A process with a study of its own: `study_child.py NAME TRIALS [DIES_AT | waits AT]`.

At DIES_AT it kills itself; at AT it says so and waits for a line.
"""

import datetime as dt
import os
import signal
import sys

import polars as pl
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from bq.core.namespace import Namespace
from bq.serving import ledger
from bq.tuning import study
from bq.tuning.study import Infeasible

RANGES = {
    "a.x": FloatDistribution(0.0, 1.0, step=0.05),
    "a.k": IntDistribution(4, 12),
    "b": CategoricalDistribution((20, 50)),
}
FIRST = {"a.x": 0.5, "a.k": 8, "b": 20}


def evaluate(number: int, values: dict) -> tuple[float, dict]:
    """A bowl with its bottom at (.35, 7), a little higher where b is 50; some trials cannot be chosen."""
    if values["a.k"] == 12:
        raise Infeasible("k is 12")
    value = -((values["a.x"] - 0.35) ** 2) - (values["a.k"] - 7) ** 2 / 100 + values["b"] / 1000
    return value, {"folds": [value]}


def look_at(number: int, values: dict, made: tuple[float, dict]) -> tuple[float, dict]:
    """Enter a trial into the ledger, as the searches do."""
    series = pl.DataFrame({"session": [dt.date(2020, 1, 2)], "value": [made[0]]})
    ledger.record(Namespace("toy"), [ledger.Look("strategy", "a study", number, values, series, ["A"])])
    return made


def begin(name: str | None, seed: int = 1) -> study.Study:
    return study.begin(name, RANGES, seed=seed, first=FIRST)


def main() -> None:
    name, trials, *rest = sys.argv[1:]
    keep = look_at if rest[:1] == ["waits"] else None

    def evaluate_or_not(number: int, values: dict) -> tuple[float, dict]:
        if rest == [str(number)]:
            os.kill(os.getpid(), signal.SIGKILL)
        if rest == ["waits", str(number)]:
            print("at", number, flush=True)
            sys.stdin.readline()
        return evaluate(number, values)

    study.run(begin(name), evaluate_or_not, trials=int(trials), keep=keep)


if __name__ == "__main__":
    from bq.__main__ import guarded
    from bq.core import db

    db.BUSY_SECONDS = 1  # a server that was killed stays so
    sys.exit(guarded(main))
