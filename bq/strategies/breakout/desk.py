"""How breakouts are traded: shares bought at the next open with a protective stop, left by the backtest's rule."""

import datetime as dt
import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bq.kernels import breakout as kernel
from bq.kernels.technical import CORRELATION
from bq.market import splits
from bq.strategies.breakout.backtest import REASONS, rules
from bq.strategies.breakout.prepare import Prepared, prepare
from bq.strategies.breakout.settings import BreakoutSettings
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
    PositionByPosition,
    Quote,
    Size,
)

if TYPE_CHECKING:
    from bq.market import MarketData


class BreakoutDesk(PositionByPosition):
    """The desk of one market. A unit is one share, after a split one of the new ones; prices are those of a session's
    shares, continuous through dividends from the price quoted at the signal on.
    """

    keeps = ("session", "symbol", "kind", "source")

    def __init__(self, market: "MarketData", settings: BreakoutSettings) -> None:
        self._market, self._settings, self._rules = market, settings, rules(settings)

    @functools.cached_property
    def _prepared(self) -> Prepared:
        return prepare(self._market, self._settings.universe)  # late: a day with nothing to do needs no measures

    @functools.cached_property
    def _average(self) -> np.ndarray:
        return self._prepared.average(self._settings.exit.exit_ma).level

    @functools.cached_property
    def _splits(self) -> dict[str, dict[dt.date, float]]:
        found: dict[str, dict[dt.date, float]] = {}
        for (symbol, session), new in splits.factors(self._market.bars).items():
            found.setdefault(symbol, {})[session] = new
        return found

    @functools.cached_property
    def _symbols(self) -> dict[str, int]:
        return {symbol: number for number, symbol in enumerate(self._prepared.symbols)}

    def legs(self, event: Event) -> tuple[Leg, ...]:
        """The stock."""
        return (Leg(event["symbol"]),)

    def entry(self, event: Event) -> Entry:
        """At the next open, the stop so far below it as its true ranges say."""
        t, i = self._place(event["session"]), self._symbols[event["symbol"]]
        distance = self._rules.stop_multiple * self._prepared.measures.atr[t, i] * self._unit(event, event["session"])
        return Entry(Kind.OPEN, float(distance))

    def size(self, event: Event, equity: float, risk_share: float, session: dt.date) -> Size:
        """By the backtest's rule: `risk.risk_per_trade` to the stop, at most the notional and the volume share."""
        t, i, m = self._place(event["session"]), self._symbols[event["symbol"]], self._prepared.measures
        unit = self._unit(event, event["session"])
        units = kernel.size_of(m, t, i, equity, kernel.scale_of(m.volatility, t, i), self._rules) / unit
        risk = self._rules.stop_multiple * m.atr[t, i] * unit
        return Size(int(units) if math.isfinite(units) else 0, float(risk))

    def crowded(self, event: Event, size: Size, held: Sequence[Position], part: Part, session: dt.date) -> str:
        """The backtest's limits beside the size: positions, exposure, correlation."""
        t, m = self._place(session), self._prepared.measures
        places = [(one, self._symbols[one.event["symbol"]]) for one in held if one.event["symbol"] in self._symbols]
        value = sum(one.quantity * self._unit(one.event, session) * m.close[t, i] for one, i in places)
        wanted = size.quantity * self._unit(event, session) * m.close[t, self._symbols[event["symbol"]]]
        if len(places) >= max(round(part.share * self._rules.max_positions), 1):
            return "slots"
        if value + wanted > self._rules.max_exposure * part.equity:
            return "exposure"
        numbers = np.array([i for _, i in places], np.int64)
        book = kernel.Book(numbers, numbers, np.array([len(numbers)]), np.full(1, np.nan), np.zeros(CORRELATION))
        crowded = kernel._crowded(m.returns, t, self._symbols[event["symbol"]], self._rules, book)
        return "guard" if crowded else ""

    def quote(self, event: Event, session: dt.date) -> Quote | None:
        """The close of a session; None without a bar. Costs are in the fills, not in a spread."""
        t, i = self._place(session), self._symbols.get(event["symbol"])
        if i is None or t < 0 or not self._prepared.measures.present[t, i]:
            return None
        price = self._price(event, self._prepared.measures.close[t, i], session)
        return Quote(price, 0.0, (price,), quoted=True)

    def spot(self, event: Event, session: dt.date, *, at_open: bool = False) -> float | None:
        """The close; there is no option to be settled by an open."""
        quote = self.quote(event, session)
        return quote and quote.mid

    def limits(self, event: Event, quote: Quote, *, buy: bool) -> Limits | None:
        """The close: orders are for the open or the close, and have no limit."""
        return Limits(quote.mid, quote.mid)

    def split(self, symbol: str, session: dt.date) -> float:
        """2 where two-for-one was split since the session before."""
        return self._splits.get(symbol, {}).get(session, 1.0)

    def mark(self, position: Position, session: dt.date) -> Mark | None:
        """The last close there is."""
        t, i = self._place(session), self._symbols.get(position.event["symbol"])
        if i is None or t < 0:
            return None
        price = self._price(position.event, self._prepared.measures.close[t, i], session)
        return Mark(price, bool(self._prepared.measures.present[t, i]), Greeks(1.0, 0.0, 0.0, 0.0))

    def exit(self, position: Position, mark: Mark | None, session: dt.date) -> Exit | None:
        """Average at the next open; holding limit and delisting at the next close. The stop is the broker's.

        What the backtest closes at the close of a session is asked for the session before.
        """
        event, m = position.event, self._prepared.measures
        t, i, signal = self._place(session), self._symbols[event["symbol"]], self._place(event["session"])
        entry, due = self._place(position.entered), signal + self._rules.max_holding
        stop = self._stop(position, entry, signal, i, session)
        found = kernel.held(m, self._average, i, stop, entry, due, t)
        if found.exit >= 0:
            return Exit(REASONS[found.reason], Kind.CLOSE)
        if found.leaving:
            return Exit(REASONS[kernel.AVERAGE], Kind.OPEN)
        return Exit(REASONS[kernel.HOLDING], Kind.CLOSE) if t + 1 >= due else None

    def levels(self, position: Position, session: dt.date) -> Levels:
        """The stop or the average, whichever is higher, and the session of the holding limit."""
        event, t = position.event, self._place(session)
        i, signal = self._symbols[event["symbol"]], self._place(event["session"])
        stop = self._stop(position, self._place(position.entered), signal, i, session)
        below = self._price(event, max(stop, float(self._average[t, i])), session)
        due = signal + self._rules.max_holding
        days = self._prepared.sessions
        return Levels(below=below, until=days[due].astype(dt.date) if due < len(days) else None)

    def fill(self, event: Event, asked: Asked, session: dt.date) -> Fill | None:
        """The backtest's fills: open, stop or close of the session's bar, with its slippage and its fee."""
        t, i, m = self._place(session), self._symbols[event["symbol"]], self._prepared.measures
        price = self._touched(t, i, asked, self._unit(event, session))
        if price is None:
            return None
        before, units = t - 1, abs(asked.quantity) * self._unit(event, session)
        lost = kernel.slippage_of(m, before, i, units * m.close[before, i], self._rules)
        paid = price * (1.0 + lost if asked.quantity > 0 else 1.0 - lost)
        fee = self._rules.fee * paid * units
        return Fill((self._price(event, paid, session),), float(fee), self._price(event, price, session))

    def _touched(self, t: int, i: int, asked: Asked, unit: float) -> float | None:
        """The price at which the bar fills the order, before costs; None: it does not."""
        m = self._prepared.measures
        if asked.kind == Kind.CLOSE:
            return float(m.close[t, i])
        if t < 0 or not m.present[t, i]:
            return None
        if asked.kind == Kind.OPEN:
            return float(m.open[t, i])
        if asked.kind != Kind.STOP or asked.stop is None:
            return None
        opened, stop = float(m.open[t, i]), asked.stop / unit
        return min(opened, stop) if m.low[t, i] <= stop or opened <= stop else None

    def _stop(self, position: Position, entry: int, signal: int, i: int, session: dt.date) -> float:
        """The protective stop, where there is one, in shares of the session; else where it should be."""
        if position.stop is not None:
            return position.stop / self._unit(position.event, session)
        m = self._prepared.measures
        return float(m.open[entry, i] - self._rules.stop_multiple * m.atr[signal, i])

    def _place(self, session: dt.date) -> int:
        """The session's place among the prepared ones; −1 for none of them."""
        t = int(np.searchsorted(self._prepared.sessions, np.datetime64(session)))
        known = t < len(self._prepared.sessions) and self._prepared.sessions[t] == np.datetime64(session)
        return t if known else -1

    def _unit(self, event: Event, session: dt.date) -> float:
        """What a share of a session is in units of the measures: quoted over continuous price at the signal, divided by
        the splits since.
        """
        begun, symbol = event["session"], event["symbol"]
        t, i = self._place(begun), self._symbols[symbol]
        since = (new for day, new in self._splits.get(symbol, {}).items() if begun < day <= session)
        return float(self._prepared.quoted[t, i] / self._prepared.measures.close[t, i]) / math.prod(since)

    def _price(self, event: Event, continuous: float, session: dt.date) -> float:
        return float(continuous * self._unit(event, session))
