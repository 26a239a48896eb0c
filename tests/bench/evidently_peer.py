"""Runs in the bench's own environment, where evidently is and bq is not: answers each JSON line with one."""

import importlib.metadata
import json
import sys

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset


def main() -> None:
    """Tasks: `samples` to keep, from two .npy files of shape (n_rows, n_features), and `drift` by KS and by PSI."""
    before, now = None, None
    for line in sys.stdin:
        asked = json.loads(line)
        answer = None
        if asked["task"] == "samples":
            before, now = (_kept(np.load(asked[name])) for name in ("before", "now"))
            answer = importlib.metadata.version("evidently")
        elif asked["task"] == "drift":
            for method in ("ks", "psi"):
                Report([DataDriftPreset(num_method=method)]).run(now, before).dict()
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _kept(values):
    names = [f"feature_{number}" for number in range(values.shape[1])]
    return Dataset.from_pandas(
        pd.DataFrame(values, columns=names), data_definition=DataDefinition(numerical_columns=names)
    )


if __name__ == "__main__":
    main()
