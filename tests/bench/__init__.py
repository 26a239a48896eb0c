"""`make bench`: ours against its peers, measured in turn in one run; a record and a page in outputs/bench.

A bench is not a test: a missed goal is said and changes nothing.
"""

import datetime as dt
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

from bq.core.errors import BQError
from bq.core.log import log
from bq.jobs.request import Request
from bq.jobs.run import protocol
from bq.workbench import screen
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
    "python -m bq status": startup.status,
    "status with 100,000 decisions": startup.status_of_decisions,
    "import bq": startup.import_bq,
    "the first verb of bq": startup.first_verb,
}
EXPECTED = (BQError, OSError, ImportError, subprocess.SubprocessError)  # what is no fault of the bench


def main(request: Request) -> None:
    """Measure every row (QUICK=1: smaller), show the table, write the record and the page."""
    found, rows = run(Plan("quick" if request.quick else "full"), ROWS)
    path = page.save(found)
    screen.show(page.table(rows, found["machine"]))
    short = sum(row.verdict == "short" for row in rows)
    screen.show(f"{len(rows)} rows, {short} short of a goal; {found['seconds']:.0f} s")
    screen.show(f"report      {screen.shown(path)}")


def run(plan: Plan, measurements: Mapping[str, Callable[[Plan], Row]]) -> tuple[dict[str, Any], list[Row]]:
    """Measure one after the other; return the record and the rows."""
    started, machine, begin = dt.datetime.now(dt.UTC), measure.machine(), time.perf_counter()
    rows = [_row(name, measurement, plan) for name, measurement in measurements.items()]
    found = {
        "stamp": f"{started:%Y%m%dT%H%M%SZ}",
        "started_utc": started.isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - begin, 1),
        "size": plan.size,
        "machine": machine,
        "git": protocol.git_state(),
        "rows": [row.as_json() for row in rows],
    }
    return found, rows


def _row(name: str, measurement: Callable[[Plan], Row], plan: Plan) -> Row:
    """One row; what cannot be measured here is left out by name."""
    log.info("bench: %s …", name)
    try:
        return measurement(plan)._replace(name=name)
    except EXPECTED as error:
        log.warning("bench: %s is left out: %s", name, error)
        reason = str(error)
    except Exception as error:  # noqa: BLE001  a fault in one row must not lose the others
        log.exception("bench: %s failed and is left out", name)
        reason = f"{type(error).__name__}: {error}"
    return Row(of="", n="", left_out=reason, name=name)
