"""Small targets: verify, rollback, report, check-data."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl

from bq import market, runs, strategies
from bq.core import db, files, hypertables, objects, partitions, paths
from bq.core.errors import BadData, BQError
from bq.core.log import printable, progress
from bq.core.namespace import Namespace
from bq.core.numerals import percent
from bq.core.objects import Place
from bq.jobs import ledger, missing
from bq.jobs.request import Format, Request
from bq.jobs.run import protocol, publish
from bq.market import MarketData
from bq.market.chains import ChainData, coverage
from bq.market.check import by_rule, gravest, summary
from bq.market.rules import shown
from bq.runs import folder as names
from bq.runs.folder import finished, unrecorded
from bq.runs.read import read
from bq.serving import ready, registry
from bq.strategies import event_set, store
from bq.strategies.labelled import kept
from bq.workbench import notebooks, printed, screen
from bq.workbench import report as html
from bq.workbench.phrases import counted

SHOWN_LINES = 12  # of files and symbols; of more, the gravest, and the rules that they broke


def verify(request: Request) -> None:
    """Check every model, pointer, event table and run record of all namespaces. Raises BadData with all faults."""
    models = [path for path in (paths.home() / "models").glob("*/*/") if not path.name.startswith(".")]
    unproven: list[str] = []
    stores = {path.parent for path in (paths.home() / "data" / "events").glob("*/*/[!.]*")}
    tables = [folder / name for folder in stores for name in _tables_of(folder)]
    checks: dict[str, list[Callable[[], object]]] = {
        "model": [partial(_model, path, unproven) for path in sorted(models)],
        "pointer": [partial(_pointer, namespace) for namespace in registry.namespaces()],
        "event table": [partial(_event_table, path) for path in sorted(tables)],
        "run": [partial(_run, folder) for folder in sorted({*finished(), *unrecorded()})],
    }
    if below := _below_root():
        checks["remote table set"] = below
    each = [*(check for kind in checks.values() for check in kind), _ledger]
    shown = progress(each, total=len(each), description="verify")
    faults = [fault for check in shown if (fault := _fault(check))]
    if faults:
        raise BadData("\n".join(faults))
    counts = ", ".join(counted(len(kind), name) for name, kind in checks.items())
    screen.show(f"verified    {counts}: all intact; {_now(request.settings.namespace)}")
    if entries := ledger.chained():
        screen.show(f"verified    {entries}")
    with db.engine().connect() as connection:
        if kind := hypertables.told(connection):
            screen.show(f"database    {kind}")
    if old := sum(run.record.tables is None for run in runs.every()):
        screen.show(f"unchecked   the tables of {counted(old, 'run')}, recorded without their hashes")
    if unproven:
        screen.show(f"unchecked   the answers of {counted(len(unproven), 'model')}: no probe stored")
    for sentence in missing.told(runs.every()):
        screen.show(f"missing     {sentence}")


def _fault(check: Callable[[], object]) -> str | None:
    try:
        check()
    except BQError as error:
        return str(error)
    except OSError as error:
        return files.explain(error)
    return None


def _model(path: Path, unproven: list[str]) -> None:
    """Raise BadData unless a stored model is whole, belongs where it lies, and answers as it did when it was made.

    It may be of other features than today's: then it is an old one. unproven : gets the ids of those without a probe.
    """
    namespace = Namespace.of_folder(path.parent.name)
    if namespace is None:
        raise BadData(f"{path}: a model must lie in the folder of a namespace, but {path.parent.name!r} is none.")
    if path.parent.is_symlink() or path.is_symlink():
        raise BadData(f"{path}: a model must lie in a folder of its own, but a link leads elsewhere.")
    artefact = registry.load(path)
    ready.belongs(artefact, strategies.get(namespace.strategy), namespace)
    ready.answering(artefact)
    if artefact.bundle.probe is None:
        unproven.append(artefact.model_id)


def _pointer(namespace: Namespace) -> None:
    """Raise BadData where the model that is pointed at cannot answer."""
    found = registry.champion(namespace)
    if found is not None:
        ready.ready(found, strategies.get(namespace.strategy), namespace)


def _tables_of(folder: Path) -> tuple[str, ...]:
    return kept.ALL if folder.name.startswith(event_set.LABELLED) else event_set.TABLES


def _event_table(path: Path) -> None:
    """Raise BadData where a table is not the one that was saved with the state beside it."""
    try:
        state = files.read_json(path.with_name(event_set.STATE))
        hashes = dict(zip(_tables_of(path.parent), [*state["tables"], *state.get("more", [])], strict=True))
        reason = "" if files.sha256(path) == hashes[path.name] else "its hash is another"
    except (OSError, ValueError, TypeError, LookupError) as error:
        reason = f"that cannot be read ({type(error).__name__}: {error})"
    if reason:
        raise BadData(
            f"{path}: must have the hash in {event_set.STATE}, but {reason}. Remove its folder: the next run builds it "
            "(a labelled table is to be collected again)."
        )


def _below_root() -> list[Callable[[], object]]:
    """A check of every set of tables below `BQ_DATA_ROOT`: events and the bars that were brought there."""
    try:
        bars = objects.raw_bars()
        return [partial(_set, place) for place in [*event_set.below_root(), *([bars] if bars else [])]]
    except BQError as error:
        return [partial(_refuse, error)]


def _refuse(error: BQError) -> None:
    raise error


def _set(place: Place) -> None:
    """Raise BadData where an object below a URL has not the hash that its pointer says. Nothing written is no fault."""
    if content := partitions.pointer(place):
        try:
            partitions.held(place, content).check()
        except BadData as error:
            raise BadData(
                f"{error} Remove {place}: the next run builds its events again (bars: `make upload`; a labelled table "
                "is to be collected again)."
            ) from None


def _run(folder: Path) -> None:
    """Raise BadData where a run's record or verdict cannot be read, or a table has not the hash that is recorded."""
    run = read(folder)
    _ = run.verdict
    for name, expected in sorted((run.record.tables or {}).items()):
        if Path(name).name != name:
            raise BadData(f"run {folder.name}: run.json must give hashes of the run's own files, but names {name!r}.")
        try:
            reason = "" if files.sha256(run.folder / name) == expected else "its hash is another"
        except OSError as error:
            reason = f"it cannot be read: {error.strerror}"
        if reason:
            raise BadData(
                f"run {folder.name}: {name} must have the hash in run.json, but {reason}. Do not rely on its figures: "
                "run it again, or bring the table back from a copy."
            )


def _ledger() -> None:
    """Raise BadData where entries of the ledger were edited, deleted or moved, or are not those of the runs."""
    if faults := ledger.faults(runs.every()):
        raise BadData("\n".join(faults))


def rollback(request: Request) -> None:
    """Point at the model deployed before: of a damaged tier first, else of the champion, without one of the second.

    Where learnt weights are asked for (`USE_RL=1`): of these.
    """
    namespace = request.settings.namespace
    with protocol.lock(namespace):
        tier = namespace.weights if request.settings.asks_learnt else registry.to_roll_back(namespace)
        model_id = registry.rollback(tier)
        publish.write_index()
    what = tier.tier.label
    screen.show(f"{what} rolled back to {model_id}; {_now(namespace)}\n{screen.where('dashboard', names.index())}")


def _now(namespace: Namespace) -> str:
    """Who decides now."""
    return f"{namespace}: the {ready.decides(namespace)} decides"


def report(request: Request) -> None:
    """Render a run again (RUN=, default the newest) and rebuild the index.

    FORMAT=pdf prints it too; FORMAT=mail writes its first screen alone, which a mail can carry.
    """
    run = runs.load(request.run_id) if request.run_id else runs.latest(str(request.settings.namespace))
    html.render(run.notebooks, run.report, run=run.record, verdict=run.verdict)
    publish.write_index()
    findings = [] if run.verdict else [one for notebook in run.notebooks for one in notebooks.findings(notebook)]
    screen.show(screen.verdict(run.record, run.verdict, run.report, findings=findings))
    if request.format == Format.PDF:
        printed.pdf(run.report, run.folder / names.PDF)
        screen.show(screen.where("printed", run.folder / names.PDF))
    elif request.format == Format.MAIL:
        html.render([], run.folder / names.SUMMARY, run=run.record, verdict=run.verdict)
        screen.show(screen.where("for mail", run.folder / names.SUMMARY))


def check_data(request: Request) -> None:
    """What became of every file, symbol and row. Raises BadData where a run would refuse the data."""
    settings = request.settings.market
    found = market.read(settings) if settings.table is None else store.market_data(request.settings)
    kinds: dict[str, MarketData | ChainData] = {"bars" if settings.table is None else "labelled": found}
    if found.chain_data:
        kinds["chains"] = found.chain_data
    target = paths.outputs() / "check_data"
    for kind, data in kinds.items():
        lines = summary(data)
        tables = {"findings": data.findings, "summary": lines.with_columns(pl.col("reasons").list.join("; "))}
        paths_of = {name: target / f"{kind}_{name}.csv" for name in tables}
        for name, path in paths_of.items():
            files.write_text(path, tables[name].with_columns(shown(pl.col(pl.String))).write_csv())
        screen.show(_table(gravest(lines, SHOWN_LINES)))
        if (more := len(lines) - SHOWN_LINES) > 0:
            screen.show(f"… and {more:,} more lines: {screen.shown(paths_of['summary'])}\n\n{_rules(by_rule(data))}")
        screen.show(f"{kind:<12}{_totals(data)}")
        if len(data.findings):
            screen.show(f"every finding about {kind} with its row: {screen.shown(paths_of['findings'])}")
    if found.chain_data:
        screen.show(_coverage(found, target / "chains_coverage.csv"))
    reasons = "" if settings.table else market.refusals(found, settings)
    if reasons:
        raise BadData(reasons)


def _table(found: pl.DataFrame) -> str:
    lines = [
        f"{'file':<24}{'symbol':<8}{'read':>8}{'outside':>9}{'not asked':>11}{'kept':>8}{'quarantined':>13}"
        f"{'repaired':>10}{'flagged':>9}  {'first':<11}last"
    ]
    for row in found.iter_rows(named=True):
        reasons = [f"    {printable(reason, keep='')}" for reason in row["reasons"]]
        row |= {name: printable(text, keep="") for name, text in row.items() if isinstance(text, str)}
        lines.append(
            f"{row['file'][-23:]:<24}{row['symbol'] or '':<8}{row['read']:>8,}{row['outside']:>9,}"
            f"{row['not_asked']:>11,}{row['kept']:>8,}{row['quarantined']:>13,}{row['repaired']:>10,}"
            f"{row['flagged']:>9,}  {row['first'] or ''!s:<11}{row['last'] or ''!s}".rstrip()
        )
        lines += reasons
    return "\n".join(lines)


def _coverage(found: MarketData, path: Path) -> str:
    """How many sessions with a bar have quotes to price structures from, and why the others have not."""
    rows = coverage.unlisted(found.bars, found.quotes)
    by_symbol = rows.group_by("symbol", "unlisted").agg(sessions=pl.len()).sort("symbol", "unlisted")
    files.write_text(path, by_symbol.with_columns(shown(pl.col("symbol"))).write_csv())
    lines = [
        f"{'':<12}{number:>10,} {percent(share):>5}  "
        f"{coverage.Unlisted(reason).text if reason else 'with listed prices'}"
        for reason, number, share in coverage.counted(rows).rows()
    ]
    head = f"listed      of {counted(len(rows), 'session')} with a bar (by symbol: {screen.shown(path)})"
    return "\n".join([head, *lines])


def _rules(found: pl.DataFrame) -> str:
    lines = [f"{'action':<13}{'rule':<23}{'times':>9}{'symbols':>9}{'files':>8}  first case"]
    for row in found.iter_rows(named=True):
        case = printable(row["case"], keep="")
        lines.append(
            f"{row['action']:<13}{row['rule']:<23}{row['times']:>9,}{row['symbols']:>9,}{row['files']:>8,}  {case}"
        )
    return "\n".join(lines)


def _totals(data: MarketData | ChainData) -> str:
    """What became of all rows."""
    names = {
        "outside": "outside the dates",
        "not_asked": "not asked for or without bars",
        "no_quote": "without a quote",
        "quarantined": "quarantined",
        "copies": "dropped as copies",
        "kept": "kept",
    }
    totals = data.counts.select(pl.col(pl.UInt32).sum()).row(0, named=True)
    parts = ", ".join(
        f"{totals[name]:,} {words}" for name, words in names.items() if totals.get(name) or name == "kept"
    )
    return f"{counted(data.counts['file'].n_unique(), 'file')}, {totals['read']:,} rows read: {parts}"
