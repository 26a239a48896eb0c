"""A process with a study of its own: `study_child.py NAME TRIALS [DIES_AT]`; at that trial it kills itself."""

import os
import signal
import sys

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

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


def begin(name: str | None, seed: int = 1) -> study.Study:
    return study.begin(name, RANGES, seed=seed, first=FIRST)


def main() -> None:
    name, trials = sys.argv[1], int(sys.argv[2])
    dies_at = int(sys.argv[3]) if len(sys.argv) > 3 else None

    def evaluate_or_die(number: int, values: dict) -> tuple[float, dict]:
        if number == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return evaluate(number, values)

    study.run(begin(name), evaluate_or_die, trials=trials)


if __name__ == "__main__":
    main()
