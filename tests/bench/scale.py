"""Peak memory and time of the forecast's retrain at n, 2n and 4n names, and their growth a doubling.

    python -m tests.bench.scale --symbols 125 --years 10
    python -m tests.bench.scale --symbols 1000 --years 20 --sizes 1
    python -m tests.bench.scale --symbols 3000 --years 20 --sizes 1 --target collect

Each size is a `make retrain` of a simulated panel in a home of its own, thrown away afterwards, with the workers that
`BQ_WORKERS` says; or a `make collect`, which reads the bars and makes the events. Memory is what all processes of a
retrain hold together, and of a collect its own; processor time, unlike time on the wall, hardly depends on what else
the machine does.
"""

import argparse
import datetime as dt
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from bq.core import files, paths
from bq.runs.record import Phase
from bq.stats.year import TRADING_DAYS

FILE = paths.CHECKOUT / "parameters" / "simulated" / "forecast.yaml"
HOURS = 10 * 3600  # no limit of a run's time
YEAR = dt.timedelta(days=366)


class Size(NamedTuple):
    """What one retrain took."""

    symbols: int
    bars: int
    events: int
    wall_seconds: float
    cpu_seconds: float
    peak_mib: int
    phases: list[Phase]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scale", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--symbols", type=int, default=125, help="n")
    parser.add_argument("--years", type=int, default=10)
    parser.add_argument("--every", type=int, default=5, help="sessions from one cross-section to the next")
    parser.add_argument("--target", choices=["retrain", "collect"], default="retrain")
    parser.add_argument("--sizes", type=int, default=3, help="3: n, 2n and 4n")
    given = parser.parse_args()
    before = None
    for doubling in range(given.sizes):
        found = measured(given.target, given.symbols * 2**doubling, years=given.years, every=given.every)
        print(told(found, before), flush=True)
        before = found


def measured(target: str, symbols: int, *, years: int, every: int) -> Size:
    """One run. Exits with its words where it fails."""
    sessions = years * TRADING_DAYS
    first = dt.date.today() - (years + 1) * YEAR
    command = [sys.executable, "-m", "bq", target]
    overrides = (
        f"market.simulation.symbols={symbols} market.simulation.sessions={sessions} market.simulation.first={first} "
        f"events.every_sessions={every} events.first={first + YEAR} "
        f"run.run_timeout_seconds={HOURS} run.cell_timeout_seconds={HOURS}"
    )
    with tempfile.TemporaryDirectory() as home:
        asked = {"BQ_HOME": home, "STRATEGY": "forecast", "PARAMS": str(FILE), "SET": overrides}
        begun, spent = time.perf_counter(), _cpu_seconds()
        done = subprocess.run(command, env=os.environ | asked, cwd=paths.CHECKOUT, capture_output=True, text=True)
        wall, cpu = time.perf_counter() - begun, _cpu_seconds() - spent
        if done.returncode:
            sys.exit(done.stderr)
        records = [files.read_json(path) for path in Path(home).glob("outputs/2*/run.json")]
    phases = [Phase.model_validate(phase) for record in records for phase in record["phases"]]
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024  # of one process, where there is no record
    peak = max((phase.peak_rss_mib for phase in phases), default=largest)
    events = int(re.search(r"([\d,]+) events", done.stdout)[1].replace(",", ""))
    return Size(symbols, (symbols + 1) * sessions, events, wall, cpu, peak, phases)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def told(found: Size, before: Size | None) -> str:
    """One size in words: in all, by phase, and against half of it."""
    lines = [
        f"{found.symbols:,} names, {found.bars:,} bars, {found.events:,} events: peak {found.peak_mib / 1024:.2f} GiB, "
        f"{found.cpu_seconds:.0f} s of processors, {found.wall_seconds:.0f} s on the wall",
        *(
            f"  {phase.name:28} {phase.seconds:8.1f} s {phase.peak_rss_mib:7,} MiB"
            for phase in found.phases
            if phase.seconds >= 1.0
        ),
    ]
    if before:
        more = (found.events - before.events) / 1e6
        lines.append(
            f"  a doubling: processor time × {found.cpu_seconds / before.cpu_seconds:.2f} (goal ≤ 2.2), memory × "
            f"{found.peak_mib / before.peak_mib:.2f}; a million events more: "
            f"{(found.peak_mib - before.peak_mib) / 1024 / more:.1f} GiB, "
            f"{(found.cpu_seconds - before.cpu_seconds) / more:.0f} s of processors"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
