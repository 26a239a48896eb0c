"""`make status`: where things stand. Imports little, so that it answers at once."""

import datetime as dt
import itertools
from pathlib import Path

import polars as pl

from bq import runs
from bq.core import files, partitions, paths
from bq.core.errors import BadData, BQError
from bq.core.namespace import Namespace
from bq.core.objects import Place
from bq.jobs import missing, schedule
from bq.jobs.request import Request
from bq.monitoring import kept
from bq.runs import folder
from bq.serving import ready, registry
from bq.strategies import event_set
from bq.strategies.events import matured
from bq.workbench import screen
from bq.workbench.phrases import counted, looked, overdue, undone

RUNS = 5
SYMBOLS = 8  # named
KEY = 8  # characters that tell event sets of one rule set apart: their folder's name goes on behind them
COLUMNS = ["variant", "source", "symbol", "session", "taken", "t1", "t1_due", "outcome"]


OVERDUE = 11  # exit code


def main(request: Request) -> int:
    """Where things stand on every namespace: champions, alerts, distances of triggers, stored events, newest runs.

    With DATE who decided then. OVERDUE where a run is expected (`run.expected_every_days`) and did not come.
    """
    if request.date is not None:
        from bq.jobs import decided

        screen.show(decided.told(request.date))
        return 0
    made = runs.every()
    lost = [f"missing     {sentence}" for sentence in missing.told(made)]
    late = _overdue(request, made)
    screen.show(
        "\n".join(
            [
                *late,
                *_namespaces(request, made),
                *(_alerts() if made or registry.namespaces() else []),
                *_events(request),
                *_runs(made),
                *lost,
                *([screen.where("dashboard", page)] if (page := folder.index()).is_file() else []),
            ]
        )
    )
    return OVERDUE if late else 0


def _known(request: Request, made: list[runs.Run]) -> list[Namespace]:
    """The namespace asked about, and every other that has a run or a champion."""
    with_runs = {found for run in made if (found := Namespace.of_folder(run.record.namespace))}
    return sorted({*registry.namespaces(), *with_runs, request.settings.namespace})


def _overdue(request: Request, made: list[runs.Run]) -> list[str]:
    """A line for each namespace whose run did not come: by the parameters given, of others by their newest run's."""
    lines, now = [], dt.datetime.now(dt.UTC)
    for namespace in sorted({namespace.champion for namespace in _known(request, made)}):
        asked = request.settings if namespace == request.settings.namespace else None
        if text := overdue(schedule.of(namespace, made, settings=asked), now):
            lines.append(f"{screen.RED}overdue     {namespace}: {text}{screen.PLAIN}")
    return lines


def _alerts() -> list[str]:
    """A line for each open alert; none where the database cannot be asked, which is said with what is missing."""
    from bq.monitoring import checks

    try:
        found = checks.opened()
    except BQError:
        return []
    return [f"{screen.RED}alert       {one.severity}: {one.statement}{screen.PLAIN}" for one in found]


def _triggers(namespace: Namespace) -> list[str]:
    """How far each trigger of a retrain was when the newest one looked."""
    found = kept.distances(namespace)
    if found is None:
        return []
    told = "; ".join(one.text for one in found.triggers)
    return [f"triggers    {namespace}: {told} (as of {found.at_utc:%Y-%m-%d %H:%M} UTC)"]


def _namespaces(request: Request, made: list[runs.Run]) -> list[str]:
    """A line for the namespace asked about and for every other that has a run or a champion."""
    lines, namespaces = [], _known(request, made)
    deciders = {champion: ready.decides(champion) for champion in {namespace.champion for namespace in namespaces}}
    for namespace in namespaces:
        try:
            lines.append(f"champion    {namespace}: {_standing(namespace, deciders[namespace.champion])}")
        except BadData as error:
            lines.append(f"champion    {namespace}: {error}")
        except OSError as error:
            lines.append(f"champion    {namespace}: {files.explain(error)}")
    told = [line for namespace in namespaces for line in _triggers(namespace)]
    return [*lines, *_looks(namespaces), *told]


def _looks(namespaces: list[Namespace]) -> list[str]:
    """How many looks at out-of-sample results each strategy has had."""
    from bq.serving import ledger

    whose = {(namespace.strategy, namespace.simulated): namespace for namespace in namespaces}
    try:
        held = {key: ledger.held(namespace) for key, namespace in whose.items()}
    except BQError:
        return []  # said with what is missing
    return [
        f"ledger      {Namespace(strategy, simulated=simulated)}: {looked(*held[strategy, simulated])}"
        for strategy, simulated in sorted(held)
        if held[strategy, simulated].looks
    ]


def _standing(namespace: Namespace, now: registry.Decider) -> str:
    """The model of a namespace; where it does not decide, what does."""
    standing = registry.pointer(namespace)
    if not standing:
        return f"none, decisions come from the {now}"
    told = f"{standing.model_id} since {standing.since_utc:%Y-%m-%d %H:%M} UTC: {standing.reason}"
    return told if now.model_id == standing.model_id else f"{told}; decisions come from the {now}"


def _events(request: Request) -> list[str]:
    """A line for each stored set of events: whose it is, how many, how many have ended, and whether it is in use."""
    found = sorted((paths.home() / "data" / "events").glob("*/*/events.parquet"))
    try:
        below = [(place, partitions.pointer(place)) for place in event_set.below_root()]
        asked, told = (event_set.folder_of(request.strategy, request.settings) if found or below else None), []
    except BQError as error:
        below, asked, told = [], None, [f"events      {error}"]
    lines = [_store(path, asked) for path in found] + [_set(*one, asked) for one in below if one[1]] + told
    return lines or ["events      none yet: `make retrain` builds them"]


def _set(place: Place, content: bytes, asked: Path | Place | None) -> str:
    """A set below `BQ_DATA_ROOT`, by what its pointer says: no table is fetched."""
    try:
        pointer = partitions.held(place, content).pointer
    except BadData as error:
        return f"events      {error} The next run builds it again."
    labelled = place.name.startswith(event_set.LABELLED)
    own = labelled or place.name.partition("-")[0] == event_set.code_digest()
    read = "of labelled tables" if labelled else f"bars to {pointer.about.get('through')}"
    return (
        f"events      {place}{' (of these parameters)' if place == asked else ''}: "
        f"{counted(pointer.rows.get('events', 0), 'event')}, {read}, written {pointer.written_utc:%Y-%m-%d %H:%M} UTC"
        f"{'' if own else '; made by other code, built again when next asked for'}"
    )


def _store(path: Path, asked: Path | Place | None) -> str:
    """asked : the folder of the events of these parameters. Sets of one rule set may differ in market and dates."""
    try:
        through = dt.date.fromisoformat(files.read_json(path.with_name(event_set.STATE))["through"])
        events = files.read_parquet(path, columns=COLUMNS).rename({"outcome": "label"})  # known together
    except (OSError, ValueError, LookupError, TypeError, pl.exceptions.PolarsError) as error:
        why = str(error).partition("\n")[0]
        return f"events      {path.parent.name}: cannot be read ({why}); the next run builds it again"
    (made_by, _, key), read = path.parent.name.partition("-"), f"bars to {through}"
    code = event_set.code_digest()
    used = "" if made_by == code else "; made by other code, built again when next asked for"
    which = f" ({key[:KEY]}{', of these parameters' if path.parent == asked else ''})"
    if path.parent.name.startswith(event_set.LABELLED):
        used, read, which = "", "of labelled tables", ""
    shadow = len(events) - events["taken"].sum()
    said = (
        f"{counted(len(events), 'event')} of {counted(events['symbol'].n_unique(), 'symbol')} on "
        f"{counted(events['session'].n_unique(), 'session')}, "
        f"{len(matured(events)):,} matured{f', {shadow:,} not taken' if shadow else ''}; {events['session'].min()} to "
        f"{events['session'].max()}, {read}; {' + '.join(events['source'].cast(pl.String).unique().sort())}"
    )
    variants = " + ".join(events["variant"].unique().sort())
    return f"events      {variants}{which}: {said}{used}\n            matured/all: {_by_symbol(events)}"


def _by_symbol(events: pl.DataFrame) -> str:
    known = dict(matured(events)["symbol"].value_counts().rows())
    each = events["symbol"].value_counts().sort("count", "symbol", descending=[True, False]).rows()
    named = ", ".join(f"{symbol} {known.get(symbol, 0):,}/{count:,}" for symbol, count in each[:SYMBOLS])
    return named + (f", … and {len(each) - SYMBOLS} more" if len(each) > SYMBOLS else "")


def _runs(made: list[runs.Run]) -> list[str]:
    """The newest runs that did not fail, then those that failed since."""
    rolled_back = registry.undone()
    good = [run.record for run in made if run.record.good][:RUNS]
    failed = [run.record for run in itertools.takewhile(lambda run: not run.record.good, made)][:RUNS]
    shown = [(one.run_id, f"{undone(one.status, rolled_back.get(one.run_id)):<9}", one.headline) for one in good]
    lines = [f"run         {'  '.join(parts)}" for parts in shown]
    lines += [f"{one.status:<12}{one.run_id}  {_first_line(one.error or one.headline)}" for one in failed]
    more = len(made) - len(lines)
    return [*lines, *([f"            and {more} more: make history"] if more > 0 else [])] or ["run         none yet"]


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
