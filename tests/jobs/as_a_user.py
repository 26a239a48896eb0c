"""A target as a user runs it: a process of its own, a home, the variables of the Makefile."""

import os
import subprocess
import sys
from pathlib import Path

from bq.core import paths


def run(home: Path, target: str, **variables: str) -> subprocess.CompletedProcess:
    """What came of `python -m bq <target>`; of the caller's environment SET, PARAMS and FORCE are left out."""
    environment = {name: value for name, value in os.environ.items() if name not in ("SET", "PARAMS", "FORCE")}
    return subprocess.run(
        [sys.executable, "-m", "bq", target],
        cwd=paths.CHECKOUT,
        env={**environment, "BQ_HOME": str(home), **variables},
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )


def parameters(name: str) -> str:
    """A shipped parameter file of a simulated market."""
    return str(paths.CHECKOUT / "parameters" / "simulated" / f"{name}.yaml")
