"""What decisions came to: their events are built again once these were due, with the parameters of their scan.

Repeatable at any point: what is recorded stays as it is, and what history changed since is added as a revision.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from pydantic import ValidationError

from bq import market as markets
from bq import strategies
from bq.core import files, paths
from bq.core.errors import BadData, BadParameters
from bq.core.namespace import Namespace
from bq.core.scalars import day
from bq.core.section import Affects, part
from bq.core.settings import Market, Settings
from bq.market import MarketData, calendars
from bq.monitoring import outcomes, recorded
from bq.strategies import event_set
from bq.strategies.contract import Strategy

Load = Callable[[Market], MarketData]
STATE = "matured"  # folder in data/: which bars the recorded outcomes were compared with; it may be lost


class Fault(NamedTuple):
    """Decisions that cannot be matured, and the error's sentence."""

    events: int
    sentence: str


class Matured(NamedTuple):
    """What one pass over a namespace recorded, and what is left."""

    namespace: Namespace
    new: int  # outcomes of events that had none
    revised: int  # outcomes that history changed since they were recorded
    open: int  # events decided on that have no outcome
    came_to_nothing: int  # of these, due and built again to no event that ended: not entered, or by other rules
    next_due: dt.date | None  # of the open ones that are not due
    faults: tuple[Fault, ...]


class Group(NamedTuple):
    """Scans whose events are built alike."""

    key: str
    strategy: Strategy
    settings: Settings  # to the newest bar there is


class Found(NamedTuple):
    """What came of the due events of one group."""

    rows: pl.DataFrame  # as `outcomes.enter` takes them
    nothing: list[str]  # events that came to none


def mature(namespace: Namespace, *, load: Load = markets.load, now: dt.datetime | None = None) -> Matured:
    """Record the outcome of each event decided on in this namespace that is due by the bars there are.

    An event counts only when its latest possible end has passed, whether or not it closed early. load : the market that
    settings ask for; a replay gives one that is cut. now : when it is recorded, None for this moment.

    Parameters, bars or a build that fail concern the scans that have them, and are among the faults.
    """
    outcomes.settle(namespace)
    decided = recorded.decided(namespace)
    if decided.is_empty():
        return Matured(namespace, 0, 0, 0, 0, None, ())
    groups, faults = _groups(namespace, decided)
    read, new, revised, nothing = _once(load), 0, 0, 0
    for group, rows in groups:
        state, whole = _state(namespace, group), True
        try:
            market = read(group.settings.market)
            found = _found(group, rows, market, state)
        except (BadData, BadParameters) as error:
            faults.append(Fault(rows["outcome"].null_count(), str(error)))
            continue
        if len(found.rows):
            entered = outcomes.enter(namespace, found.rows, data_hash=market.data_hash, now=now)
            new, revised, whole = new + entered.new, revised + entered.revised, entered.whole
        nothing += len(found.nothing)
        if whole:
            _remember(namespace, group, market, found.nothing, state)
    left = decided["outcome"].null_count() - new
    return Matured(namespace, new, revised, left, nothing, _next_due(decided, now), tuple(faults))


def _once(load: Load) -> Load:
    """The same, each market read once."""
    held: dict[str, MarketData] = {}

    def read(asked: Market) -> MarketData:
        key = asked.model_dump_json()
        if key not in held:
            held[key] = load(asked)
        return held[key]

    return read


def _next_due(decided: pl.DataFrame, now: dt.datetime | None) -> dt.date | None:
    ahead = decided.filter(pl.col("outcome").is_null(), pl.col("t1_due") > (now or dt.datetime.now(dt.UTC)))["t1_due"]
    return None if ahead.is_empty() else ahead.dt.date().min()  # type: ignore[return-value]


def _groups(namespace: Namespace, decided: pl.DataFrame) -> tuple[list[tuple[Group, pl.DataFrame]], list[Fault]]:
    """The decided events by how they are built, each by the first scan that holds it."""
    groups: dict[str, Group] = {}
    faults: dict[str, int] = {}
    of_scan: dict[int, str] = {}
    counts = dict(decided.filter(pl.col("outcome").is_null()).group_by("scan_id").len().rows())
    for known in recorded.parameters(namespace):
        try:
            group = _group(known.parameters)
        except (BadParameters, ValidationError) as error:
            sentence = str(error).splitlines()[0]
            faults[sentence] = faults.get(sentence, 0) + sum(counts.get(scan, 0) for scan in known.scan_ids)
            continue
        groups[group.key] = group
        of_scan |= dict.fromkeys(known.scan_ids, group.key)
    keyed = decided.with_columns(key=pl.col("scan_id").replace_strict(of_scan, default=None, return_dtype=pl.String))
    parts = keyed.drop_nulls("key").partition_by("key", as_dict=True, include_key=False)
    return [(groups[str(key)], rows) for (key,), rows in parts.items()], [
        Fault(n, said) for said, n in faults.items() if n
    ]


def _group(parameters: dict[str, Any] | None) -> Group:
    """How events of a scan with these parameters are built, today."""
    if parameters is None:
        raise BadParameters("a scan of version 0.1 needs a model or run of its namespace that has parameters")
    strategy = strategies.get(parameters["strategy"])
    settings = strategy.settings.recorded(parameters)
    whole = settings.model_copy(update={"market": settings.market.model_copy(update={"end": None})})
    strategy = strategies.of(whole)
    asked = [part(whole, Affects.EVENTS), whole.market.model_dump(mode="json"), strategy.task(whole)]
    return Group(files.digest(asked), strategy, whole)


def _found(group: Group, rows: pl.DataFrame, market: MarketData, state: Mapping[str, Any]) -> Found:
    """The outcomes that are not recorded as they are now."""
    last = day(market.bars["session"].max())
    closes = calendars.sessions(market.calendar)
    cut = closes.row(by_predicate=pl.col("session") == last, named=True)["close_utc"]
    there = pl.col("symbol").is_in(market.bars["symbol"].unique().implode())
    due = rows.filter(there, pl.col("t1_due").is_null() | (pl.col("t1_due") <= cut))
    same = state.get("data_hash") == market.data_hash and state.get("code") == event_set.code_digest()
    tried = state.get("nothing", []) if same else []
    compared = [] if same else _changed(market, state, due["symbol"].unique().to_list())
    is_open = pl.col("outcome").is_null() & ~pl.col("event_id").is_in(tried)
    asked = due.filter(is_open | (pl.col("outcome").is_not_null() & pl.col("symbol").is_in(compared)))
    if asked.is_empty():
        return Found(asked, tried)
    wanted = dict(asked.group_by("symbol").agg(pl.col("session").unique().sort()).rows())
    built = group.strategy.table.build(market, group.settings, wanted).events
    built = _by_their_ids(built, asked)
    known_ends = ended(built, group, cut, quoted=not market.quotes.is_empty())
    both = asked.join(known_ends, on="event_id", maintain_order="left")
    known = pl.concat([known_ends["event_id"], built.filter(pl.col("t1_due") > cut)["event_id"]])
    lapsed = asked.filter(pl.col("outcome").is_null(), ~pl.col("event_id").is_in(known.implode()))
    return Found(both.filter(outcomes.differs()), [*tried, *lapsed["event_id"]])


def _by_their_ids(built: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    """Built events under the ids that they were decided on by.

    An id holds the digest of the rules, which a later version writes differently where it has one parameter more. An
    event of the same symbol, session and rule score is the same decision.
    """
    other = asked.join(built, on="event_id", how="anti").select("symbol", "session", was="event_id", old="score")
    known = built.join(other, on=["symbol", "session"], how="left", maintain_order="left")
    same = (pl.col("score") - pl.col("old")).abs() <= outcomes.ROUNDING * pl.max_horizontal(1.0, pl.col("old").abs())
    return known.with_columns(event_id=pl.when(same).then("was").otherwise("event_id")).drop("was", "old")


def ended(built: pl.DataFrame, group: Group, cut: dt.datetime, *, quoted: bool) -> pl.DataFrame:
    """Events that may count at `cut`, with what they came to."""
    task = group.strategy.task(group.settings)
    names = dict(enumerate(task.classes))
    label = task.label(pl.col("outcome")).replace_strict(names, return_dtype=pl.String) if names else pl.lit(None)
    by_chain = pl.lit(quoted and group.strategy.table.quoted) & (pl.col("source").cast(pl.String) == "real")
    over = built.filter(pl.col("t1_due") <= cut, pl.col("t1").is_not_null(), pl.col("outcome").is_finite())
    source = pl.when(by_chain).then(pl.lit("chain")).otherwise(pl.lit("bars"))
    now = (pl.col(name).alias(f"{name}_now") for name in ("t1", "outcome"))
    return over.select("event_id", *now, label_now=label.cast(pl.String), source=source)


def _changed(market: MarketData, state: Mapping[str, Any], symbols: list[str]) -> list[str]:
    """Symbols whose history is not the one that their recorded outcomes were last compared with."""
    known = state.get("symbols", {})
    through = dt.date.fromisoformat(state["through"]) if known else None
    return [one for one in symbols if through is None or market.content(one, through) != known.get(one)]


def _file(namespace: Namespace, group: Group) -> Path:
    return paths.home() / "data" / STATE / f"{namespace}-{group.key}.json"


def _state(namespace: Namespace, group: Group) -> dict[str, Any]:
    """What was remembered; nothing where it is lost or damaged."""
    try:
        found = files.read_json(_file(namespace, group))
        dt.date.fromisoformat(found["through"])
        return found if isinstance(found["symbols"], dict) and isinstance(found["nothing"], list) else {}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _remember(
    namespace: Namespace, group: Group, market: MarketData, nothing: list[str], before: Mapping[str, Any]
) -> None:
    """Keep with which bars the outcomes agree, after they were recorded: a kill in between only repeats work."""
    last, known = day(market.bars["session"].max()), before.get("symbols", {})
    if before.get("data_hash") != market.data_hash:
        known = {symbol: market.content(symbol, last) for symbol in market.bars["symbol"].unique().sort()}
    now = {
        "through": str(last),
        "data_hash": market.data_hash,
        "code": event_set.code_digest(),
        "symbols": known,
        "nothing": sorted(nothing),
    }
    if now != before:
        files.write_json(_file(namespace, group), now)
