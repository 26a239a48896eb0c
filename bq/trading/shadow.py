"""A shadow book: what a track's decisions would have made, were every opportunity its own and every order filled.

No ledger and no broker: positions in memory, by the same desk, gates and prices as on an account whose broker never
fails. Two shadow books over the same sessions are paired: they differ by what was decided alone.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from bq.core.settings import Settings, Track, Trading
from bq.market.announced import NOTHING, Announced
from bq.strategies.contract import Strategy
from bq.strategies.desk import Asked, Desk, Event, Fill, Kind, Mark, Part, Position
from bq.strategies.policy import EXPECTED, SCORE
from bq.trading import book, gates, split, tracks
from bq.trading.admission import rules
from bq.trading.dry_run import ROUNDING
from bq.trading.entering import Events, Scanned
from bq.trading.gates import Facts
from bq.trading.life import ladder
from bq.trading.money import PARTS, parts
from bq.trading.risk import worst_loss

DAILY = pl.Schema({"session": pl.Date, "pnl": pl.Float64, "equity": pl.Float64, "n_open": pl.Int64})
CLOSED = pl.Schema(
    {
        "position": pl.String,
        "symbol": pl.String,
        "entered": pl.Date,
        "left": pl.Date,
        "pnl": pl.Float64,
        "risk": pl.Float64,
        "turnover": pl.Float64,
        "fees": pl.Float64,
    }
)
AT_THE_OPEN = ((Kind.OPEN, True), (Kind.STOP, False), (Kind.OPEN, False))  # kind and whether it opens, in turn


class Wanted(NamedTuple):
    """What a track decided at a close. rows : the events to open, best first; of a whole book all of the session."""

    rows: pl.DataFrame
    by: str  # the column that a whole book is decided by


def wanted(
    desk: Desk, strategy: Strategy, settings: Settings, track: Track, scan: Scanned, events: Events
) -> Wanted | None:
    """What a track would do with a scan, were every symbol its own; None where nobody answers for it."""
    decisions = tracks.weighed(desk, track, scan.decisions, events)
    made = tracks.decided(track, decisions, strategy, settings)
    if made["should_trade"].is_null().all():
        return None
    by = EXPECTED if track.decides == "champion" else SCORE
    if desk.whole_book:
        return Wanted(book.rows_of(events(), decisions), by)
    chosen = made.filter("should_trade").sort("rank", "event_id")
    return Wanted(chosen.select("event_id").join(events(), on="event_id", maintain_order="left"), by)


def together(books: "Mapping[str, Shadow]") -> tuple[pl.DataFrame, pl.DataFrame]:
    """What shadow books made and closed, by track: `track` and `DAILY`, `track` and `CLOSED`."""
    daily = [_named(name, one.made()) for name, one in books.items()]
    return pl.concat(daily), pl.concat([_named(name, one.closed()) for name, one in books.items()])


def _named(track: str, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(pl.lit(track).alias("track"), pl.all())


class Waiting(NamedTuple):
    """An order for the next session. limit : of a unit, in parts, where it begins. stop_distance : for its stop."""

    position: str
    event: Event
    kind: Kind
    quantity: int
    opening: bool
    limit: int | None = None
    stop_distance: int | None = None


@dataclass
class Lot:
    """A position, money in parts. spent : on what is held, without fees. value : at the newest mark, else spent."""

    event: Event
    entered: dt.date
    units: int = 0
    spent: int = 0
    fees: int = 0
    value: int = 0
    trigger: int | None = None  # of its protective stop
    turnover: int = 0  # money that changed hands, without fees
    risk: float = 0.0  # the most that it could lose as it was opened, to its stop where it has one; in currency

    def position(self, multiplier: int) -> Position:
        """As a desk takes it."""
        price = round(self.spent / (self.units * multiplier)) / PARTS
        return Position(self.event, self.units, price, self.entered, self.trigger and self.trigger / PARTS)


class Shadow:
    """The book of one track with the whole capital, session by session."""

    def __init__(self, desk: Desk, trading: Trading, dates: Announced = NOTHING) -> None:
        self._desk, self._trading, self._dates = desk, trading, dates
        self._lots: dict[str, Lot] = {}
        self._waiting: list[Waiting] = []
        self._cash = 0  # moved since the begin, in parts
        self._made = 0  # P&L at the last close
        self._period_end: dt.datetime | None = None
        self._days: list[tuple[dt.date, float, float, int]] = []
        self._closed: list[tuple[str, str, dt.date, dt.date, float, float, float, float]] = []
        self._last: dict[str, int] = {}  # price of the newest fill of what is held, in parts

    def day(self, session: dt.date, following: dt.date | None, asked: Wanted | None) -> None:
        """What is filled in a session, and what is ordered at its close for the following one."""
        self._fill(session)
        marks = {position: self._mark(lot, session) for position, lot in sorted(self._lots.items())}
        made = self._cash + sum(lot.value for lot in self._lots.values())
        lost, self._made = (self._made - made) / PARTS, made
        self._days.append((session, -lost, self._trading.capital + made / PARTS, len(self._lots)))
        if following is None:
            self._waiting = []
            return
        self._waiting = self._leave(session, marks)
        if asked is not None:
            room = _Room(self, session, following, lost)
            self._rebalance(asked, room) if self._desk.whole_book else self._open(asked, room)

    def made(self) -> pl.DataFrame:
        """P&L of each session in currency, the equity at its close and the positions held then: rows of `DAILY`."""
        return pl.DataFrame(self._days, schema=DAILY, orient="row")

    def closed(self) -> pl.DataFrame:
        """Every position that was closed, and what it risked, moved and made in currency: rows of `CLOSED`."""
        return pl.DataFrame(self._closed, schema=CLOSED, orient="row")

    # ---- the session

    def _fill(self, session: dt.date) -> None:
        """In the order of a session: splits, the open, stops, limits, the close."""
        for owned in self._lots.values():
            if (factor := self._desk.split(owned.event["symbol"], session)) != 1.0:
                owned.units = split.of(owned.units, factor)
                owned.trigger = owned.trigger and parts(owned.trigger / PARTS / factor)
        for kind, opening in (*AT_THE_OPEN, (Kind.LIMIT, True), (Kind.LIMIT, False), (Kind.CLOSE, False)):
            orders = self._stops() if kind == Kind.STOP else self._waiting
            for one in [one for one in orders if (one.kind, one.opening) == (kind, opening)]:
                lot = self._lots.get(one.position)
                if not one.opening and lot is None:
                    continue  # its stop has closed it
                stop = lot.trigger / PARTS if kind == Kind.STOP and lot and lot.trigger else None
                fill = self._desk.fill(one.event, Asked(kind, one.quantity, opening, stop), session)
                if fill is not None and self._reached(one, fill, session):
                    self._book(one, fill, session)

    def _stops(self) -> list[Waiting]:
        lots = sorted(self._lots.items())
        return [Waiting(at, lot.event, Kind.STOP, -lot.units, False) for at, lot in lots if lot.trigger is not None]

    def _reached(self, one: Waiting, fill: Fill, session: dt.date) -> bool:
        """Whether a limit comes as far as the price, from where it begins to the collar of the session."""
        if one.limit is None:
            return True
        side, quote = 1 if one.quantity > 0 else -1, self._desk.quote(one.event, session)
        known, steps = quote and self._desk.limits(one.event, quote, buy=side > 0), self._trading.reprice_steps
        best = max(side * limit for limit in (one.limit, ladder(known, steps, steps) if known else one.limit))
        net = sum(leg.ratio * parts(price) for leg, price in zip(self._desk.legs(one.event), fill.legs, strict=True))
        return side * net - best <= ROUNDING

    def _book(self, one: Waiting, fill: Fill, session: dt.date) -> None:
        lot, legs = self._lots.setdefault(one.position, Lot(one.event, session)), self._desk.legs(one.event)
        for leg, price in zip(legs, fill.legs, strict=True):
            moved = one.quantity * leg.ratio * parts(price) * leg.multiplier
            lot.spent, self._cash, lot.turnover = lot.spent + moved, self._cash - moved, lot.turnover + abs(moved)
            self._last[leg.contract] = parts(price)
        lot.units, lot.fees, lot.value = lot.units + one.quantity, lot.fees + parts(fill.fee), lot.spent
        self._cash -= parts(fill.fee)
        if one.opening:
            paid = sum(leg.ratio * price for leg, price in zip(legs, fill.legs, strict=True))
            loss = worst_loss(legs, paid) if one.stop_distance is None else one.stop_distance / PARTS
            lot.risk += abs(one.quantity) * loss
        if one.stop_distance is not None:
            lot.trigger = parts(fill.reference) - one.stop_distance
        if not lot.units:
            del self._lots[one.position]
            pnl = -(lot.spent + lot.fees) / PARTS
            facts = (pnl, lot.risk, lot.turnover / PARTS, lot.fees / PARTS)
            self._closed.append((one.position, one.event["symbol"], lot.entered, session, *facts))

    def _mark(self, lot: Lot, session: dt.date) -> Mark | None:
        multiplier = self._desk.legs(lot.event)[0].multiplier
        mark = self._desk.mark(lot.position(multiplier), session)
        if mark is not None:
            lot.value = lot.units * parts(mark.value) * multiplier
        return mark

    # ---- orders for the next one

    def _leave(self, session: dt.date, marks: dict[str, Mark | None]) -> list[Waiting]:
        made = []
        for position, lot in sorted(self._lots.items()):
            multiplier = self._desk.legs(lot.event)[0].multiplier
            exit = self._desk.exit(lot.position(multiplier), marks[position], session)
            if exit is None:
                continue
            limit = None
            if exit.kind == Kind.LIMIT and (limit := self._limit(lot.event, session, buy=lot.units < 0)) is None:
                continue
            made.append(Waiting(position, lot.event, exit.kind, -lot.units, False, limit))
        return made

    def _limit(self, event: Event, session: dt.date, *, buy: bool) -> int | None:
        """Where a limit begins; None where there is no price."""
        quote = self._desk.quote(event, session)
        known = quote and self._desk.limits(event, quote, buy=buy)
        return ladder(known, 0, self._trading.reprice_steps) if known else None

    def _open(self, asked: Wanted, room: "_Room") -> None:
        part = Part(1.0, self._equity)
        for row in asked.rows.to_dicts():
            event = {name: row[name] for name in self._desk.keeps}
            size = self._desk.size(row, part.equity, self._trading.risk_per_trade, room.session)
            entry = self._desk.entry(event)
            if not size.quantity or room.refused(event, size.quantity):
                continue
            waiting = [Position(one.event, one.quantity, 0.0, room.following) for one in self._waiting if one.opening]
            held = [self._lots[at].position(self._desk.legs(event)[0].multiplier) for at in sorted(self._lots)]
            if self._desk.crowded(event, size, held + waiting, part, room.session):
                continue
            stop = None if entry.stop_distance is None else parts(entry.stop_distance)
            limit = self._limit(event, room.session, buy=True) if entry.kind == Kind.LIMIT else None
            room.take(event, size.quantity, orders=2 if stop else 1)
            self._waiting.append(Waiting(row["event_id"], event, entry.kind, size.quantity, True, limit, stop))

    def _rebalance(self, asked: Wanted, room: "_Room") -> None:
        if not self._desk.due(self._period_end, room.session):
            return
        now = {symbol: lot.units for symbol, lot in self._lots.items()}
        targets = self._desk.targets(asked.rows, asked.by, now, self._equity, room.session)
        rows = {row["symbol"]: row for row in asked.rows.to_dicts()}
        for symbol, change in book.changes(targets, now):
            row, before = rows.get(symbol), now.get(symbol, 0)
            event = self._lots[symbol].event if row is None else {name: row[name] for name in self._desk.keeps}
            opening = abs(before + change) > abs(before)
            if room.refused(event, change, opening=opening):
                continue
            room.take(event, change, orders=1, opening=opening)
            self._waiting.append(Waiting(symbol, event, self._desk.entry(event).kind, change, opening))
            self._period_end = row["t1_due"] if row is not None else self._period_end

    @property
    def _equity(self) -> float:
        return self._trading.capital + self._made / PARTS

    def symbols(self) -> set[str]:
        """What is held or ordered."""
        return {lot.event["symbol"] for lot in self._lots.values()} | {
            one.event["symbol"] for one in self._waiting if one.opening
        }

    def available(self) -> float:
        """Funds for new positions, in currency: cash, less what is to be bought back."""
        short = sum(
            -lot.units * self._last[lot.event["symbol"]]
            for lot in self._lots.values()
            if lot.units < 0 and self._desk.legs(lot.event)[0].multiplier == 1
        )
        return self._trading.capital + (self._cash - short) / PARTS


class _Room:
    """What may still be opened at one close: the gates, as far as they are not those of a broker."""

    def __init__(self, shadow: Shadow, session: dt.date, following: dt.date, lost: float) -> None:
        self.session, self.following = session, following
        self._shadow, self._lost = shadow, lost
        self._orders, self._bound = len(shadow._waiting), 0.0
        self._rules = rules(shadow._trading, Track(name="shadow", share=1.0, decides="rule"))

    def refused(self, event: Event, quantity: int, *, opening: bool = True) -> bool:
        """Whether a gate refuses an order."""
        desk, trading = self._shadow._desk, self._shadow._trading
        quote = desk.quote(event, self.session)
        expiries = [leg.expiry for leg in desk.legs(event) if leg.expiry is not None]
        symbols = self._shadow.symbols()
        earnings = dividend = False
        if quote is not None and not desk.whole_book:
            position = Position(event, quantity, quote.mid, self.following)
            earnings, dividend = gates.announced(self._shadow._dates, desk, position, self.session)
        now = dt.datetime.combine(self.session, dt.time(), dt.UTC)
        facts = Facts(
            stopped=False,
            reconciled=True,
            counts=True,
            simulated=False,
            real=False,
            paper=True,
            now=now,
            until=now,
            closes=not opening,
            allowed=trading.symbols is None or event["symbol"] in trading.symbols,
            held=not desk.whole_book and event["symbol"] in symbols,
            positions=0 if desk.whole_book else len(symbols),
            track_loss=self._lost,
            account_loss=self._lost,
            track_orders=self._orders,
            account_orders=self._orders,
            contract_orders=0,
            quote=quote,
            quote_session=self.session,
            session=self.session,
            limits=quote and desk.limits(event, quote, buy=quantity > 0),
            quantity=quantity,
            days_to_expiry=(min(expiries) - self.following).days if expiries else None,
            earnings=earnings,
            ex_dividend=dividend,
            listed=True,
            margin=self._margin(event, quantity, opening=opening),
            available=self._shadow.available() - self._bound,
        )
        return gates.refusal(facts, self._rules) is not None

    def _margin(self, event: Event, quantity: int, *, opening: bool) -> float | None:
        desk = self._shadow._desk
        if not opening:
            return gates.freed(quantity, desk.quote(event, self.session))
        quote = desk.quote(event, event["session"])
        return None if quote is None else abs(quantity) * worst_loss(desk.legs(event), quote.mid)

    def take(self, event: Event, quantity: int, *, orders: int, opening: bool = True) -> None:
        """Count an order that is written."""
        self._orders += orders
        self._bound += self._margin(event, quantity, opening=opening) or 0.0
