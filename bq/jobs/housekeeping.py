"""Small targets: verify, rollback, report, check-data."""

import polars as pl

from bq import market
from bq.core import files, paths
from bq.core.errors import BadData, BQError
from bq.jobs import protocol
from bq.jobs.request import Request
from bq.market import chains
from bq.market.check import summary
from bq.serving import registry
from bq.workbench import report as html
from bq.workbench import runs, screen

REASON_WIDTH = 160


def verify(request: Request) -> None:
    """Check every model, pointer, event table and run record. Raises BadData with all faults."""
    checked, faults = 0, []
    for folder in sorted((paths.home() / "models").glob("*/*/")):
        if not folder.name.startswith("."):
            checked += _try(lambda folder=folder: registry.load(folder), faults)
    for folder in sorted((paths.home() / "models").glob("*/")):
        checked += _try(lambda folder=folder: registry.champion(folder.name), faults)
    for path in sorted(paths.events(request.strategy.name).glob("*/*.parquet")):
        checked += _try(lambda path=path: _read(path), faults)
    for path in sorted(paths.outputs().glob("[0-9]*/run.json")):
        checked += _try(lambda path=path: _read(path), faults)
    if faults:
        raise BadData("\n".join(faults))
    standing = registry.pointer(request.settings.shelf)
    champion = (
        f"champion {standing['model_id']}" if standing else "no champion (a normal state: the rule score decides)"
    )
    screen.show(
        f"verified    {checked} models, pointers, tables and runs are whole; {request.settings.shelf}: {champion}"
    )


def _try(check: object, faults: list[str]) -> int:
    try:
        check()  # type: ignore[operator]
    except BQError as error:
        faults.append(str(error))
    return 1


def _read(path: object) -> None:
    try:
        pl.read_parquet(path) if str(path).endswith(".parquet") else files.read_json(path)
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise BadData(f"{path}: must be readable, but {error}. Remove it; the next run makes it again.") from None


def rollback(request: Request) -> None:
    """Point the champion at the model deployed before it."""
    with protocol.lock(request.settings.shelf):
        model_id = registry.rollback(request.settings.shelf)
        protocol.write_index()
    screen.show(f"{request.settings.shelf}: the champion is now {model_id}")


def report(request: Request) -> None:
    """Render a run again (RUN=, default the newest) and rebuild the index."""
    run = runs.load(request.run_id) if request.run_id else runs.latest(request.settings.shelf)
    verdict = run.folder / "verdict.json"
    found = files.read_json(verdict) if verdict.is_file() else None
    html.render(run.notebooks, run.report, run=run.info, verdict=found)
    protocol.write_index()
    screen.show(f"report      {screen.shown(run.report)}")


def check_data(request: Request) -> None:
    """What became of every file, symbol and row. Raises BadData where a run would refuse the data."""
    settings = request.settings.market
    kinds = {"bars": market.read(settings)}
    if settings.chains:
        known = kinds["bars"].bars["symbol"].unique().to_list()
        kinds["chains"] = chains.read_chains(calendar=settings.calendar, underlyings=known)
    target = paths.outputs() / "check_data"
    for kind, data in kinds.items():
        path = target / f"{kind}_findings.csv"
        files.write_text(path, data.findings.write_csv())
        screen.show(f"{_table(summary(data))}\nevery finding about {kind} with its row: {screen.shown(path)}")
    market.load(settings)


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
