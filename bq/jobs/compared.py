"""Where tracks that are compared come from: the ledger, a replay, or a list of trades."""

import datetime as dt

import polars as pl
import sqlalchemy as sa

from bq import market, runs, strategies
from bq.core import db, world
from bq.core.errors import BadData, BadParameters
from bq.core.log import only_errors
from bq.core.namespace import Namespace
from bq.core.settings import Settings
from bq.jobs.brokers import account_of
from bq.jobs.replay_history import History
from bq.jobs.trade_paper import desk_of, scanned
from bq.market import MarketData, announced
from bq.monitoring import compared, draws, outcomes
from bq.monitoring.compared import Compared, Origin, Shadows, Subject, Without
from bq.monitoring.records import decisions, scans
from bq.runs.folder import WORLD
from bq.runs.record import GOOD, Job
from bq.strategies.contract import Strategy
from bq.strategies.events import SOURCES, weakest_source
from bq.trading import shadow
from bq.trading.shadow import Shadow, Wanted


def of_ledger(strategy: Strategy, settings: Settings, base: str = "") -> Compared:
    """Compare by this home's ledger and scans; shadow books are traded anew, in memory."""
    data = market.load(settings.market)
    subject = Subject(strategy, settings, desk_of(strategy, settings, data), base)
    return _compared(Origin.LEDGER, "", subject, data)


def of_replay(run_id: str, base: str = "") -> Compared:
    """Compare by the world of a replay, with the parameters that it had."""
    run, strategy, settings = replayed(run_id)
    if not (run.folder / WORLD).is_dir():
        raise BadData(f"replay {run_id}: its world must lie in {run.folder / WORLD}, but does not. Replay again.")
    data = market.load(settings.market)
    subject = Subject(strategy, settings, desk_of(strategy, settings, data), base)
    with world.own(run.folder / WORLD):
        return _compared(Origin.REPLAY, run.folder.name, subject, data)


def _compared(origin: Origin, name: str, subject: Subject, data: MarketData) -> Compared:
    """Compare by the database of the world that is set."""
    with only_errors():
        shadows = _shadows(subject, data)
    made = _made(subject.settings) if shadows == Without.NO_SCAN else 0
    if made:
        shadows = Without.NONE_COUNTS
    decided = shadows if isinstance(shadows, Without) else compared.by_decisions(subject, shadows)
    executions, executed = compared.by_executions(subject, account_of(subject.settings))
    seen = compared.sources(subject) | ({shadows.source} if isinstance(shadows, Shadows) else set())
    source = weakest_source(pl.DataFrame({"source": list(seen)})) if seen else SOURCES[0]
    found = Compared(origin, name, source, decided, executions, executed, scans=made)
    return _with_split(found, subject)


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
    tested, made = draws.tested(drawn, subject.settings.trading), found.executions
    executions = made if isinstance(made, Without) else made._replace(split=tested.split)
    return found._replace(executions=executions, drawn=tested)


def _scans(settings: Settings) -> dict[dt.date, int]:
    """The scan of each session that counts; of a simulated market, which lies in no present, the newest."""
    own = scans.c.namespace == str(settings.namespace)
    counting = outcomes.first_counting(settings.namespace)
    if settings.market.is_simulated:
        counting = sa.select(sa.func.max(scans.c.scan_id)).where(own).group_by(scans.c.session)
    query = sa.select(scans.c.session, scans.c.scan_id).where(scans.c.scan_id.in_(counting)).order_by(scans.c.session)
    with db.engine().connect() as connection:
        return {row.session: row.scan_id for row in connection.execute(query)}


def _made(settings: Settings) -> int:
    """How many scans were made."""
    query = sa.select(sa.func.count()).where(scans.c.namespace == str(settings.namespace))
    with db.engine().connect() as connection:
        return connection.execute(query).scalar_one()


def _shadows(subject: Subject, data: MarketData) -> Shadows | Without:
    """Trade the shadow book of every track from the first session on that all of their deciders answer for."""
    settings, found = subject.settings, _scans(subject.settings)
    if len(subject.tracks) < 2:
        return Without.ONE_TRACK
    if not found:
        return Without.NO_SCAN
    history = History(subject.strategy, settings, data)
    history.build(_wanted(list(found.values())))
    events = history.decided_on(min(found))
    days = data.bars.filter(pl.col("session") >= min(found))["session"].unique().sort().to_list()
    books: dict[str, Shadow] = {}
    opportunities = 0
    for session, following in zip(days, [*days[1:], None], strict=True):
        asked = _asked(subject, found.get(session), session, events.get(session))
        if not books and any(one is None for one in asked.values()):
            continue
        if not books:
            books = {name: Shadow(subject.desk, settings.trading, announced.load()) for name in asked}
        opportunities += len(events[session]) if session in found and session in events else 0
        for name, one in asked.items():
            books[name].day(session, following, one)
        if session >= max(found) and not any(book.symbols() for book in books.values()):
            break  # nothing is decided or held any more: what follows would count as equal observations
    if not books:
        return Without.NO_CHAMPION
    return Shadows(
        *shadow.together(books),
        {name: int(one.made()["n_open"][-1]) for name, one in books.items()},
        opportunities,
        weakest_source(pl.concat(events.values())),
    )


def _asked(
    subject: Subject, scan_id: int | None, session: dt.date, events: pl.DataFrame | None
) -> dict[str, Wanted | None]:
    """What each track wants of a session; None where nothing was decided, or nobody answered for it."""
    if scan_id is None or events is None:
        return dict.fromkeys((track.name for track in subject.tracks), None)
    scan = scanned(scan_id, session, counts=True)
    return {
        track.name: shadow.wanted(subject.desk, subject.strategy, subject.settings, track, scan, lambda: events)
        for track in subject.tracks
    }


def _wanted(scan_ids: list[int]) -> dict[str, list[dt.date]]:
    """Symbols and sessions that scans decided on."""
    query = sa.select(decisions.c.symbol, decisions.c.session).where(decisions.c.scan_id.in_(scan_ids)).distinct()
    with db.engine().connect() as connection:
        rows = [tuple(row) for row in connection.execute(query)]
    frame = pl.DataFrame(rows, schema={"symbol": pl.String, "session": pl.Date}, orient="row")
    return dict(frame.group_by("symbol").agg(pl.col("session").sort()).sort("symbol").rows())
