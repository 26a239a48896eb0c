"""How the forecast is traded: a book of shares, rebalanced at the end of each period from what it holds."""

import datetime as dt
import functools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from bq.market import splits
from bq.strategies.desk import (
    Asked,
    Entry,
    Event,
    Exit,
    Fill,
    Greeks,
    Kind,
    Leg,
    Levels,
    Limits,
    Mark,
    Part,
    Position,
    Quote,
    Size,
    unweighted,
)
from bq.strategies.forecast.portfolio import rebalanced
from bq.strategies.forecast.settings import ForecastSettings

if TYPE_CHECKING:
    from bq.market import MarketData


class ForecastDesk:
    """The desk of one market. A unit is one share, prices are as quoted. One book, without tranches."""

    keeps = ("session", "symbol", "source", "t1_due")
    whole_book = True

    def relisted(self, event: Event, legs: tuple[Leg, ...]) -> Event:
        """As it is: shares are always listed."""
        return event

    def __init__(self, market: "MarketData", settings: ForecastSettings) -> None:
        from bq.market.calendars import sessions

        self._settings = settings
        self._close_utc = dict(sessions(market.calendar).select("session", "close_utc").rows())
        self._bars_of = market.bars
        columns = ("session", "open", "close")
        self._bars = {
            symbol: [bars[name].to_numpy() for name in columns]
            for (symbol,), bars in market.bars.sort("session").group_by("symbol")
        }

    @functools.cached_property
    def _splits(self) -> dict[tuple[str, dt.date], float]:
        return splits.factors(self._bars_of)

    def legs(self, event: Event) -> tuple[Leg, ...]:
        """The stock."""
        return (Leg(event["symbol"]),)

    def entry(self, event: Event) -> Entry:
        """At the next open, as its outcome begins there."""
        return Entry(Kind.OPEN)

    def size(self, event: Event, equity: float, risk_share: float, session: dt.date) -> Size:
        """Nothing: a name has no size by itself, see `targets`."""
        return Size(0, math.nan)

    def crowded(self, event: Event, size: Size, held: Sequence[Position], part: Part, session: dt.date) -> str:
        """Nothing: the book keeps its limits."""
        return ""

    def quote(self, event: Event, session: dt.date) -> Quote | None:
        """The last close, as a name that has gone is sold too; None before the first bar."""
        price = self._last(event["symbol"], session)
        return None if price is None else Quote(price, 0.0, (price,), quoted=True)

    def spot(self, event: Event, session: dt.date, *, at_open: bool = False) -> float | None:
        """The last close; there is no option to be settled by an open."""
        return self._last(event["symbol"], session)

    def split(self, symbol: str, session: dt.date) -> float:
        """As prices are those that were quoted: 2 where two-for-one was split since the session before."""
        return self._splits.get((symbol, session), 1.0)

    def limits(self, event: Event, quote: Quote, *, buy: bool) -> Limits | None:
        """The close: orders are for the open and have no limit."""
        return Limits(quote.mid, quote.mid)

    def mark(self, position: Position, session: dt.date) -> Mark | None:
        """The last close there is."""
        price = self._last(position.event["symbol"], session)
        return None if price is None else Mark(price, True, Greeks(1.0, 0.0, 0.0, 0.0))

    def greeks(self, event: Event, leg: Leg, session: dt.date) -> Greeks | None:
        """There is no option."""
        return None

    def exit(self, position: Position, mark: Mark | None, session: dt.date) -> Exit | None:
        """Never by itself: names leave at a rebalance."""
        return None

    def levels(self, position: Position, session: dt.date) -> Levels:
        """The end of the period that the book was formed for."""
        return Levels(until=position.event["t1_due"].date())

    def fill(self, event: Event, asked: Asked, session: dt.date) -> Fill | None:
        """The open, or the close where there is none, as the outcome has it; sold without a bar: the last close."""
        sessions, opens, _ = self._bars[event["symbol"]]
        place = int(np.searchsorted(sessions, np.datetime64(session)))
        here = place < len(sessions) and sessions[place] == np.datetime64(session)
        if not here and asked.opening:
            return None
        price = opens[place] if here and np.isfinite(opens[place]) else self._last(event["symbol"], session)
        if price is None:
            return None
        fee = abs(asked.quantity) * float(price) * self._settings.portfolio.cost_bps / 1e4
        return Fill((float(price),), fee, float(price))

    def scored(self, events: pl.DataFrame, weights: Mapping[str, float]) -> pl.Series:
        """No other weights."""
        raise unweighted()

    def due(self, last: dt.datetime | None, session: dt.date) -> bool:
        """At the first session that does not close before the outcomes of the book's names are known."""
        return last is None or self._close_utc[session] >= last

    def targets(
        self, decisions: pl.DataFrame, by: str, held: Mapping[str, int], equity: float, session: dt.date
    ) -> Mapping[str, int]:
        """Shares of each name: the portfolio of the backtest, its turnover counted from what is held."""
        prices = {name: self._last(name, session) for name in {*decisions["symbol"], *held}}
        weights = {name: units * (prices[name] or 0.0) / equity for name, units in held.items() if units}
        wanted = rebalanced(decisions, by, weights, self._settings)
        if not any(wanted.values()):
            return {}
        return {name: int(weight * equity / price) for name, weight in wanted.items() if (price := prices[name])}

    def _last(self, symbol: str, session: dt.date) -> float | None:
        if symbol not in self._bars:
            return None
        sessions, _, closes = self._bars[symbol]
        place = int(np.searchsorted(sessions, np.datetime64(session), side="right")) - 1
        return None if place < 0 else float(closes[place])
