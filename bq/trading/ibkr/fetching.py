"""Daily bars and option quotes from IBKR, as rows of the file contracts; paced, and taken up where they ended.

Closes come adjusted for the splits before the day on which they are asked for. A bar is marked as quoted (`quoted`)
where it was fetched on the day of its session, as no split lies between. Where a split turns up between two fetches,
the whole symbol is fetched anew.
"""

import datetime as dt
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import polars as pl

from bq.strategies.desk import Leg, Right
from bq.trading.broker import NoAnswer
from bq.trading.ibkr.contracts import contract_of
from bq.trading.ibkr.listing import Chain
from bq.trading.ibkr.pace import Pace
from bq.trading.ibkr.reading import number
from bq.trading.ibkr.wire import Refused, Wire

BARS = pl.Schema(
    {
        "symbol": pl.String(),
        "session": pl.Date(),
        **dict.fromkeys(("open", "high", "low", "close", "volume", "adj_close"), pl.Float64()),
        "quoted": pl.Boolean(),
    }
)
QUOTES = pl.Schema(
    {
        "underlying": pl.String(),
        "root": pl.String(),
        "session": pl.Date(),
        "expiry": pl.Date(),
        "right": pl.String(),
        "strike": pl.Float64(),
        **dict.fromkeys(("bid", "ask", "spot", "volume"), pl.Float64()),
    }
)
YEAR, OVERLAP = 365, 10  # days of a request; how far it reaches back into what is known
TOLERANCE = 1e-3  # of a close that is asked for again: beyond it there was a split
FARTHEST_DAYS, FARTHEST_SHARE = 90, 0.25  # of expiries; of strikes, from the price of the underlying
LINES = 50  # quotes asked for at a time
TRIES, PACING = 4, (162, 420)  # 162 says that there is no data, too
SECONDS = 90.0  # for bars
DELAYED = 4  # market data type: as it was last, delayed where there is no subscription


class Asked(NamedTuple):
    """One request for bars: a span of days up to a date."""

    days: int
    end: dt.date


def plan(known: pl.DataFrame, start: dt.date, today: dt.date) -> list[Asked]:
    """Requests for the bars that are missing, oldest first, each of a year at most.

    >>> plan(BARS.to_frame(), dt.date(2018, 6, 1), dt.date(2019, 6, 10))
    [Asked(days=365, end=datetime.date(2019, 6, 1)), Asked(days=10, end=datetime.date(2019, 6, 10))]
    """
    newest: dt.date | None = known["session"].max()  # type: ignore[assignment]
    if newest is not None and newest >= today:
        return []
    begins = start if newest is None else max(start, newest - dt.timedelta(days=OVERLAP))
    found = []
    while begins < today:
        end = min(begins + dt.timedelta(days=YEAR), today)
        found.append(Asked(max((end - begins).days, OVERLAP), end))
        begins = end
    return found


def merged(known: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame | None:
    """Bars with those that were fetched now; None where the two contradict: there was a split.

    What is known stays: it was as quoted, or nearer to it.
    """
    both = known.join(new, on="session", suffix="_new").filter(
        (pl.col("close_new") / pl.col("close") - 1.0).abs() > TOLERANCE
    )
    if len(both):
        return None
    return pl.concat([known, new.join(known, on="session", how="anti")]).sort("session")


class Fetcher:
    """Asks for bars and quotes. now : the time at the exchange. clock, sleep : seconds, for the pace."""

    def __init__(
        self,
        wire: Wire,
        *,
        now: Callable[[], dt.datetime],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._wire, self._now, self._clock, self._sleep = wire, now, clock, sleep or wire.sleep
        self._pace = Pace()

    def bars(self, symbol: str, asked: Asked) -> pl.DataFrame:
        """Bars of a span, without `adj_close`; none where there are none. Raises NoAnswer."""
        rows = self._history(symbol, asked.end, f"{asked.days} D", "TRADES")
        fetched = self._now().date()
        return pl.DataFrame(
            [
                {
                    "symbol": symbol,
                    "session": bar.date,
                    **{name: getattr(bar, name) for name in ("open", "high", "low", "close")},
                    "volume": bar.volume if bar.volume >= 0 else None,
                    "adj_close": None,
                    "quoted": bar.date == fetched,
                }
                for bar in rows
            ],
            schema=BARS,
        )

    def adjusted(self, symbol: str, start: dt.date) -> dict[dt.date, float]:
        """Closes adjusted for splits and dividends, as of now. Raises NoAnswer."""
        years = (self._now().date() - start).days // YEAR + 1
        return {bar.date: bar.close for bar in self._history(symbol, None, f"{years} Y", "ADJUSTED_LAST")}

    def _history(self, symbol: str, end: dt.date | None, span: str, what: str) -> Sequence[Any]:
        request = f"{what} {span} to {end}"
        for _ in range(TRIES):
            self._sleep(self._pace.wait(symbol, request, now=self._clock()))
            self._pace.sent(symbol, request, now=self._clock())
            try:
                return self._wire.ask(
                    f"bars of {symbol}",
                    lambda client: client.reqHistoricalDataAsync(
                        contract_of(Leg(symbol)), end or "", span, "1 day", what, True, 1, False, [], 0
                    ),
                    seconds=SECONDS,
                )
            except Refused as error:
                if error.code not in PACING:
                    raise
                if "pacing" not in error.text.lower():
                    return []
        raise NoAnswer(f"IBKR: too many requests, although they were paced: {request} of {symbol}")

    def quotes(self, symbol: str, chains: Sequence[Chain], *, spot: float, session: dt.date) -> pl.DataFrame:
        """Bid and ask of the options near the price and near in time, as they were last. Raises NoAnswer."""
        legs = wanted(symbol, chains, spot=spot, session=session)
        rows: list[dict[str, Any]] = []
        for first in range(0, len(legs), LINES):
            part = legs[first : first + LINES]
            rows += [_quote(leg, told, spot, session) for leg, told in zip(part, self._quoted(part), strict=True)]
        return pl.DataFrame(rows, schema=QUOTES)

    def _quoted(self, legs: Sequence[Leg]) -> Sequence[Any]:
        self._wire.client().reqMarketDataType(DELAYED)
        contracts = [contract_of(leg) for leg in legs]
        return self._wire.ask("quotes", lambda client: client.reqTickersAsync(*contracts), seconds=SECONDS)


def wanted(symbol: str, chains: Sequence[Chain], *, spot: float, session: dt.date) -> list[Leg]:
    """The contracts of which quotes are asked for."""
    last = session + dt.timedelta(days=FARTHEST_DAYS)
    return [
        Leg(symbol, 1, chain.root, expiry, strike, right, chain.multiplier)
        for chain in chains
        for expiry in chain.expiries
        if session < expiry <= last
        for strike in chain.strikes
        if abs(strike / spot - 1.0) <= FARTHEST_SHARE
        for right in Right
    ]


def _quote(leg: Leg, told: Any, spot: float, session: dt.date) -> dict[str, Any]:
    words = {Right.CALL: "call", Right.PUT: "put"}
    assert leg.right is not None
    return {
        "underlying": leg.symbol,
        "root": leg.root,
        "session": session,
        "expiry": leg.expiry,
        "right": words[leg.right],
        "strike": leg.strike,
        **{name: _positive(getattr(told, name)) for name in ("bid", "ask", "volume")},
        "spot": spot,
    }


def _positive(value: Any) -> float | None:
    """A price or volume; None where there is none, which the gateway says by -1, 0 or nan."""
    known = number(value)
    return known if known is not None and known > 0 else None
