"""Where tracks that are compared come from: the ledger, a replay, or a list of trades."""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import polars as pl
import sqlalchemy as sa

from bq import market, runs, strategies
from bq.core import db, world
from bq.core.errors import BadData, BadParameters
from bq.core.log import only_errors
from bq.core.namespace import Namespace
from bq.core.settings import Settings
from bq.jobs.replay_history import History
from bq.jobs.replay_trading import Book, alone
from bq.jobs.trade_paper import account_of, desk_of, scanned
from bq.market import MarketData
from bq.monitoring import compared, draws, outcomes
from bq.monitoring.compared import Compared, Origin, Subject, Without
from bq.monitoring.records import decisions, scans
from bq.runs.record import GOOD, Job
from bq.strategies.contract import Strategy
from bq.strategies.events import weakest_source

WORLD = "world"  # folder in that of a replay


def of_ledger(strategy: Strategy, settings: Settings, base: str = "") -> Compared:
    """Compare by this home's ledger and scans. Shadow books are traded anew, in a world of their own."""
    data = market.load(settings.market)
    subject = Subject(strategy, settings, desk_of(strategy, settings, data), base)
    own, seen = _scans(settings), compared.sources(subject)
    executions, executed = compared.by_executions(subject, account_of(settings))
    found = _with_split(Compared(Origin.LEDGER, "", "", Without.NO_SCAN, executions, executed), subject)
    if own:
        kept = _kept(list(own.values()))
        with world.own(), only_errors():
            _walk(subject, data, own, kept)
            found = found._replace(decisions=compared.by_decisions(subject), opportunities=compared.decided(subject))
            seen |= compared.sources(subject)
    return found._replace(source=weakest_source(pl.DataFrame({"source": list(seen)})) if seen else "real")


def of_replay(run_id: str, base: str = "") -> Compared:
    """Compare by the world of a replay, with the parameters that it had."""
    run, strategy, settings = replayed(run_id)
    if not (run.folder / WORLD).is_dir():
        raise BadData(f"replay {run_id}: its world must lie in {run.folder / WORLD}, but does not. Replay again.")
    data = market.load(settings.market)
    subject = Subject(strategy, settings, desk_of(strategy, settings, data), base)
    with world.own(run.folder / WORLD):
        decided = compared.by_decisions(subject)
        executions, executed = compared.by_executions(subject, account_of(settings))
        found = Compared(Origin.REPLAY, run_id, run.record.source, decided, executions, executed)
        return _with_split(found, subject)._replace(opportunities=compared.decided(subject))


def replayed(run_id: str) -> tuple[runs.Run, Strategy, Settings]:
    """A replay with the strategy and the parameters that it had. Raises BadParameters where the run is none."""
    run = runs.load(run_id)
    if run.record.job != Job.REPLAY or run.record.status not in GOOD:
        raise BadParameters(
            f"RUN must be a replay that came to its end, but {run_id} is a {run.record.job} that ended as "
            f"{run.record.status}. `make replay` makes one, `make history` lists them."
        )
    strategy = strategies.get(Namespace.parse(run.record.namespace).strategy)
    settings = strategy.settings.recorded(run.record.parameters)
    return run, strategies.of(settings), settings


def _with_split(found: Compared, subject: Subject) -> Compared:
    """With the split of symbols and weeks; where each track trades a whole book nothing is drawn."""
    drawn = draws.drawn(subject.settings.namespace)
    if subject.desk.whole_book or drawn.is_empty():
        return found
    counts = dict(drawn.group_by("track").len().rows())
    total = sum(track.share for track in subject.tracks)
    split, made = draws.split(drawn, subject.settings.trading), found.executions
    return found._replace(
        executions=made if isinstance(made, Without) else made._replace(split=split),
        split=split,
        drawn={track.name: counts.get(track.name, 0) for track in subject.tracks},
        planned={track.name: track.share / total for track in subject.tracks},
    )


def _scans(settings: Settings) -> dict[dt.date, int]:
    """The scan of each session that counts; of a simulated market, which lies in no present, the newest."""
    own = scans.c.namespace == str(settings.namespace)
    counting = outcomes.first_counting(settings.namespace)
    if settings.market.is_simulated:
        counting = sa.select(sa.func.max(scans.c.scan_id)).where(own).group_by(scans.c.session)
    query = sa.select(scans.c.session, scans.c.scan_id).where(scans.c.scan_id.in_(counting)).order_by(scans.c.session)
    with db.engine().connect() as connection:
        return {row.session: row.scan_id for row in connection.execute(query)}


def _kept(scan_ids: list[int]) -> list[tuple[sa.Table, list[dict[str, Any]]]]:
    """Rows of scans and of their decisions, to be put into another database."""
    found = []
    with db.engine().connect() as connection:
        for table in (scans, decisions):
            rows = connection.execute(table.select().where(table.c.scan_id.in_(scan_ids))).mappings()
            found.append((table, [dict(row) for row in rows]))
    return found


def _walk(subject: Subject, data: MarketData, own: Mapping[dt.date, int], kept: list) -> None:
    """Trade the shadow book of every track from the first scan to the market's last session."""
    strategy, settings = subject.strategy, subject.settings
    with db.engine().begin() as connection:
        for table, rows in kept:
            connection.execute(table.insert(), rows)
    history = History(strategy, settings, data)
    wanted: dict[str, list[dt.date]] = defaultdict(list)
    for row in kept[1][1]:
        wanted[row["symbol"]].append(row["session"])
    history.build({symbol: sorted(set(days)) for symbol, days in wanted.items()})
    events = history.decided_on(min(own))
    books = [
        Book(history, subject.desk, alone(settings, track), compared.shadow_of(track, settings))
        for track in subject.tracks
    ]
    for session in data.bars.filter(pl.col("session") >= min(own))["session"].unique().sort():
        scan = scanned(own[session], session, counts=True) if session in own and session in events else None
        for book in books:
            book.day(session, scan, events.get(session))
