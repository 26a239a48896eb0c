"""`make bench`: ours against its peers, measured in turn in one run; a record and a page in outputs/bench.

A bench is not a test: a missed goal is said and changes nothing.
"""

import datetime as dt
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bq.core.errors import BadParameters, BQError
from bq.core.log import log, progress
from bq.jobs.request import Request, value
from bq.jobs.run import protocol
from bq.workbench import screen
from bq.workbench.phrases import counted
from tests.bench import (
    analysis,
    backtest,
    dashboard,
    events,
    features,
    learning,
    measure,
    monitoring,
    options,
    page,
    serving,
    startup,
    trading,
    tuning,
    workbench,
)
from tests.bench.measure import Plan
from tests.bench.row import Row

ROWS: dict[str, Callable[[Plan], Row]] = {
    "GARCH(1,1), rolling daily refit": analysis.garch_refit,
    "ARIMA, best of five orders": analysis.arima_orders,
    "price + 5 Greeks, py_vollib": options.greeks_vollib,
    "price + 5 Greeks, numpy + ndtr": options.greeks_numpy,
    "implied volatility, py_vollib": options.implied_vol,
    "one butterfly event in full": events.one_event,
    "butterfly events a second": events.events_rate,
    "growth: butterfly events": events.events_growth,
    "growth: walk-forward training": learning.training_growth,
    "training: forecast, three layers": learning.forecast_training,
    "purged combinatorial splits": learning.purged_splits,
    "stationary bootstrap of means": learning.bootstrap,
    "ONNX, single row": serving.onnx_row,
    "ONNX, single row of a stack": serving.stack_row,
    "breakout portfolio, backtesting.py": backtest.whole,
    "breakout portfolio, plain loop": backtest.loop,
    "growth: breakout portfolio": backtest.backtest_growth,
    "tuning: a study that is kept": tuning.kept_study,
    "tuning: a hundred trials": tuning.hundred_trials,
    "empty notebook": workbench.empty_notebook,
    "report of a run": workbench.report_render,
    "report of a run, first paint": workbench.first_paint,
    "rolling factors, polars": features.rolling_polars,
    "rolling factors, pandas": features.rolling_pandas,
    "cross-section rank": features.cross_section_rank,
    "forecast events of a panel": features.panel_events,
    "growth: forecast events": features.panel_growth,
    "selection of features": features.selection,
    "drift of 50 features": monitoring.drift,
    "drift of 50 features, evidently": monitoring.drift_evidently,
    "dashboard of 500 runs": dashboard.many_runs,
    "positions and P&L of a ledger": trading.book,
    "a day of a replay": trading.replayed_day,
    "python -m bq status": startup.status,
    "status with 100,000 decisions": startup.status_of_decisions,
    "python -m bq scan": startup.scan,
    "import bq": startup.import_bq,
    "the first verb of bq": startup.first_verb,
}
EXPECTED = (BQError, OSError, ImportError, subprocess.SubprocessError)  # what is no fault of the bench


def main(request: Request) -> None:
    """Measure (ROWS=: these rows, by parts of their names; QUICK=1: smaller), and show the table.

    Record and page are written with each row: whatever interrupts the bench leaves what was measured.
    """
    rows: list[Row] = []
    for row, found in run(Plan("quick" if request.quick else "full"), chosen(value("ROWS") or "")):
        rows.append(row)
        path = page.save(found)
        log.info("%s", page.line(row))
    screen.show(page.table(rows, found["machine"]))
    short = sum(row.verdict == "short" for row in rows)
    screen.show(f"{counted(len(rows), 'row')}, {short} short of a goal; {found['seconds']:.0f} s")
    screen.show(f"report      {screen.shown(path)}")


def chosen(names: str) -> dict[str, Callable[[Plan], Row]]:
    """The rows whose names hold one of these parts, between commas; all without any. Raises BadParameters."""
    parts = [part.strip().lower() for part in names.split(",") if part.strip()]
    if strange := [part for part in parts if not any(part in name.lower() for name in ROWS)]:
        raise BadParameters(f"ROWS must be parts of the names of rows, but got {strange[0]!r}; there are {list(ROWS)}.")
    return {name: one for name, one in ROWS.items() if not parts or any(part in name.lower() for part in parts)}


def run(plan: Plan, measurements: Mapping[str, Callable[[Plan], Row]]) -> Iterator[tuple[Row, dict[str, Any]]]:
    """Measure one after the other; yields each row with the record of all so far."""
    started, begin = dt.datetime.now(dt.UTC), time.perf_counter()
    found = {
        "stamp": f"{started:%Y%m%dT%H%M%SZ}",
        "started_utc": started.isoformat(timespec="seconds"),
        "size": plan.size,
        "machine": measure.machine(),
        "git": protocol.git_state(),
        "asked": list(measurements),
        "rows": [],
    }
    for name, measurement in progress(measurements.items(), total=len(measurements), description="bench"):
        row = _row(name, measurement, plan)
        found["rows"].append(row.as_json())
        found["seconds"] = round(time.perf_counter() - begin, 1)
        yield row, found


def _row(name: str, measurement: Callable[[Plan], Row], plan: Plan) -> Row:
    """One row; what cannot be measured here is left out by name."""
    try:
        return measurement(plan)._replace(name=name)
    except EXPECTED as error:
        log.warning("bench: %s is left out: %s", name, error)
        reason = str(error)
    except Exception as error:  # noqa: BLE001  a fault in one row must not lose the others
        log.exception("bench: %s failed and is left out", name)
        reason = f"{type(error).__name__}: {error}"
    return Row(of="", n="", left_out=reason, name=name)
