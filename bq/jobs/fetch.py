"""`make fetch SYMBOLS= FROM=`: daily bars, and option quotes where `market.chains` is on, from IBKR into data/raw/."""

import datetime as dt
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

import polars as pl

from bq.core import files, objects, paths
from bq.core.errors import BadParameters
from bq.core.log import log, progress
from bq.jobs import brokers
from bq.jobs.request import Request, date
from bq.market import calendars
from bq.trading.ibkr import fetching, pace
from bq.trading.ibkr.catalogue import Catalogue
from bq.trading.ibkr.fetching import BARS, Asked, Fetcher
from bq.workbench import screen
from bq.workbench.phrases import counted

START = dt.date(2010, 1, 1)
FOLDER = "ibkr"


def main(request: Request) -> None:
    """Fetch what is missing; a run that is stopped is taken up where it ended."""
    market, start = request.settings.market, date("FROM") or START
    if not market.symbols:
        raise BadParameters("SYMBOLS must say what is fetched, such as SYMBOLS=AAPL,SPX, but it was not given.")
    newest = ended(market.calendar, dt.datetime.now(dt.UTC))
    plans = [(symbol, fetching.plan(known(symbol, start), start, newest)) for symbol in market.symbols]
    with brokers.line(request.settings) as wire:
        zone = ZoneInfo(calendars.time_zone(market.calendar))
        fetcher = Fetcher(wire, now=lambda: dt.datetime.now(zone))
        for done, (symbol, asked) in enumerate(plans, start=1):
            bars = fetched(fetcher, symbol, asked, start=start, newest=newest)
            left = sum(len(other) + 1 for _, other in plans[done:])
            log.info("fetch: %s", said(symbol, bars, done, len(plans), left))
            if market.chains and len(bars):
                quotes(fetcher, Catalogue(wire), symbol, bars)
    screen.show(f"{counted(len(plans), 'symbol')} to {newest}: {screen.shown(folder('bars'))}")
    below = objects.root()
    screen.show(f'check them by: {"BQ_DATA_ROOT= " if below else ""}make check-data SET="market.source=files"')
    if below:
        screen.show(f"bring them to {below} by: make upload")


def said(symbol: str, bars: pl.DataFrame, done: int, symbols: int, left: int) -> str:
    """Where a fetch stands."""
    last = f"to {bars['session'].max()}" if len(bars) else "(IBKR has none)"
    minutes = round(pace.seconds_for(left) / 60.0)
    return (
        f"{symbol}: {counted(len(bars), 'bar')} {last} · {done} of {symbols} · about {counted(minutes, 'minute')} left"
    )


def ended(calendar: str, now: dt.datetime) -> dt.date:
    """The newest session that is over."""
    closed = calendars.sessions(calendar).filter(pl.col("close_utc") <= now)
    return closed.row(-1)[0]


def folder(kind: str) -> Path:
    """Where what was fetched is: below data/raw/bars/ or data/raw/chains/."""
    return paths.home() / "data" / "raw" / kind / FOLDER


def file_of(symbol: str) -> Path:
    """The bars of a symbol."""
    return folder("bars") / f"{escaped(symbol)}.parquet"


def escaped(symbol: str) -> str:
    """A symbol as part of a file's name: no sign of it leads elsewhere.

    >>> escaped("BRK B"), escaped("../x")
    ('BRK%20B', '..%2Fx')
    """
    return quote(symbol, safe="")


def known(symbol: str, start: dt.date) -> pl.DataFrame:
    """What was fetched of a symbol before; nothing where that began later."""
    path = file_of(symbol)
    if not (path.is_file() and _began(path).is_file()):
        return BARS.to_frame()
    began = dt.date.fromisoformat(files.read_json(_began(path))["from"])
    return files.read_parquet(path) if began <= start else BARS.to_frame()


def fetched(fetcher: Fetcher, symbol: str, asked: list[Asked], *, start: dt.date, newest: dt.date) -> pl.DataFrame:
    """The bars of a symbol, with those of these requests; written after each of them."""
    bars = known(symbol, start)
    for one in progress(asked, total=len(asked), description=symbol):
        new = fetcher.bars(symbol, one).filter(pl.col("session").is_between(start, newest))
        both = fetching.merged(bars, new)
        if both is None:
            log.info("fetch: %s was split since it was fetched: all of it is fetched anew", symbol)
            whole = fetching.plan(BARS.to_frame(), start, newest)
            _write(symbol, BARS.to_frame(), start)
            return fetched(fetcher, symbol, whole, start=start, newest=newest)
        bars = both
        _write(symbol, bars, start)
    adjusted = fetcher.adjusted(symbol, start) if asked else {}
    if adjusted:
        close = pl.col("session").replace_strict(adjusted, default=None, return_dtype=pl.Float64)
        bars = bars.with_columns(adj_close=close.fill_null(pl.col("adj_close")))
        _write(symbol, bars, start)
    return bars


def quotes(fetcher: Fetcher, catalogue: Catalogue, symbol: str, bars: pl.DataFrame) -> None:
    """The option quotes of the newest session, once."""
    session, spot = bars.select("session", "close").row(-1)
    path = folder("chains") / f"{escaped(symbol)}_{session}.parquet"
    if not path.is_file():
        found = fetcher.quotes(symbol, catalogue.chains(symbol), spot=spot, session=session)
        log.info("fetch: %s: %s of %s", symbol, counted(len(found), "option quote"), session)
        files.write_parquet(path, found)


def _write(symbol: str, bars: pl.DataFrame, start: dt.date) -> None:
    path = file_of(symbol)
    files.write_parquet(path, bars)
    files.write_json(_began(path), {"from": start.isoformat()})


def _began(path: Path) -> Path:
    return path.with_name(f".{path.stem}.json")
