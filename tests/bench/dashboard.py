"""The dashboard over many runs: what every job pays at its end."""

import datetime as dt
import time
from pathlib import Path

import numpy as np

from bq.core import files
from bq.core.namespace import Namespace
from bq.jobs.run import publish
from bq.runs.verdict import Running, Verdict
from bq.surface import params
from tests.bench import samples
from tests.bench.measure import Plan
from tests.bench.row import Goal, Row
from tests.season import MODEL, record, season
from tests.stored import run_record

SESSIONS = 750  # of a verdict's running sums: three years


def many_runs(plan: Plan) -> Row:
    """outputs/index.html rebuilt over runs with whole verdicts, beside decisions whose overview is kept."""
    runs, decided = plan.n(full=500, quick=100, tiny=3), plan.n(full=250, quick=60, tiny=15)
    with samples.home() as home:
        _write(home, runs)
        record(season(decided), MODEL, Namespace("butterfly"))
        first = _seconds()
        seen = np.array([_seconds() for _ in range(plan.n(full=11, quick=5, tiny=1))])
        size = (home / "outputs" / "index.html").stat().st_size
    seconds = float(np.median(seen))
    return Row(
        of="a page",
        n=f"{runs} runs, {decided * 8:,} decisions",
        ours_seconds=seconds,
        goals=(Goal("rebuilt", seconds, "≤", 1.0, " s"), Goal("size", size / 1e6, "≤", 1.0, " MB")),
        repeats=len(seen),
        spread=(float(seen.min()), float(seen.max())),
        notes=(f"in a running job; {first:.2f} s once, while nothing is kept of these runs and decisions",),
    )


def _seconds() -> float:
    start = time.perf_counter()
    publish.write_index()
    return time.perf_counter() - start


def _write(home: Path, runs: int) -> None:
    random, begin = np.random.default_rng(31), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    days = [(begin + dt.timedelta(days=day)).date() for day in range(SESSIONS)]
    names = [name for name in Running.model_fields if name not in ("of", "over", "names", "sessions")]
    lines = {name: random.standard_normal(SESSIONS).cumsum().tolist() for name in names}
    figure = {"name": "net", "value": 0.1, "low": -0.1, "high": 0.3, "baseline": 0.0, "baseline_is": "rule score"}
    verdict = Verdict(decision="kept", headline="kept", figure=figure, running={"of": "net", "sessions": days, **lines})
    parameters = params("butterfly", overrides="gate.draws=1000 policy.k=3").model_dump(mode="json")
    for number in range(runs):
        at = begin + dt.timedelta(hours=number)
        name = f"{at:%Y%m%dT%H%M%SZ}_butterfly"
        known = {"namespace": "butterfly", "started_utc": at, "parameters": parameters, "sequence": number + 1}
        files.write_json(home / "outputs" / name / "run.json", run_record(name, **known, headline="kept").plain())
        files.write_json(home / "outputs" / name / "verdict.json", verdict.plain())
