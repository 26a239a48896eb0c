"""Small targets: verify, rollback, report, check-data."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl

from bq import market
from bq.core import files, paths
from bq.core.errors import BadData, BQError
from bq.jobs import protocol, record
from bq.jobs.request import Request
from bq.market.check import summary
from bq.serving import registry
from bq.workbench import report as html
from bq.workbench import runs, screen

REASON_WIDTH = 160


def verify(request: Request) -> None:
    """Check every model, pointer, event table and run record of all shelves. Raises BadData with all faults."""
    models = [path for path in (paths.home() / "models").glob("*/*/") if not path.name.startswith(".")]
    pointers = (paths.home() / "models").glob("*/champion.json")
    tables = (paths.home() / "data" / "events").glob("*/*/*.parquet")
    checks = {
        "model": [partial(registry.load, path) for path in sorted(models)],
        "pointer": [partial(registry.champion, path.parent.name) for path in sorted(pointers)],
        "event table": [partial(_read_table, path) for path in sorted(tables)],
        "run": [partial(runs.load, path.parent.name) for path in sorted(paths.outputs().glob("[0-9]*/run.json"))],
    }
    faults = [fault for kind in checks.values() for check in kind if (fault := _fault(check))]
    if faults:
        raise BadData("\n".join(faults))
    standing = registry.pointer(request.settings.shelf)
    champion = (
        f"champion {standing['model_id']}" if standing else "no champion (a normal state: the rule score decides)"
    )
    counts = ", ".join(screen.count(len(kind), name) for name, kind in checks.items())
    screen.show(f"verified    {counts}: all whole; {request.settings.shelf}: {champion}")


def _fault(check: Callable[[], object]) -> str | None:
    try:
        check()
    except BQError as error:
        return str(error)
    return None


def _read_table(path: Path) -> None:
    try:
        pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadData(f"{path}: must be readable, but {error}. Remove it; the next run makes it again.") from None


def rollback(request: Request) -> None:
    """Point the champion at the model deployed before it."""
    with protocol.lock(request.settings.shelf):
        model_id = registry.rollback(request.settings.shelf)
        record.write_index()
    now = "no model, the rule score decides" if model_id == registry.NONE else f"the champion is now {model_id}"
    screen.show(f"{request.settings.shelf}: {now}")


def report(request: Request) -> None:
    """Render a run again (RUN=, default the newest) and rebuild the index."""
    run = runs.load(request.run_id) if request.run_id else runs.latest(request.settings.shelf)
    html.render(run.notebooks, run.report, run=run.info, verdict=run.verdict)
    record.write_index()
    screen.show(f"report      {screen.shown(run.report)}")


def check_data(request: Request) -> None:
    """What became of every file, symbol and row. Raises BadData where a run would refuse the data."""
    settings = request.settings.market
    found = market.read(settings)
    kinds = {"bars": found, **({"chains": found.chain_data} if found.chain_data else {})}
    target = paths.outputs() / "check_data"
    for kind, data in kinds.items():
        path = target / f"{kind}_findings.csv"
        files.write_text(path, data.findings.write_csv())
        screen.show(f"{_table(summary(data))}\nevery finding about {kind} with its row: {screen.shown(path)}")
    reasons = market.refusals(found, settings)
    if reasons:
        raise BadData(reasons)


def _table(found: pl.DataFrame) -> str:
    lines = [
        f"{'file':<28}{'symbol':<10}{'read':>8}{'kept':>8}{'quar.':>7}{'rep.':>6}{'flag.':>6}"
        f"  {'first':<11}{'last':<11} reasons"
    ]
    for row in found.iter_rows(named=True):
        lines.append(
            f"{row['file'][-27:]:<28}{row['symbol'] or '':<10}{row['read']:>8,}{row['kept']:>8,}{row['quarantined']:>7}"
            f"{row['repaired']:>6}{row['flagged']:>6}  {row['first'] or ''!s:<11}{row['last'] or ''!s:<11} "
            f"{row['reasons'][:REASON_WIDTH]}"
        )
    return "\n".join(lines)
