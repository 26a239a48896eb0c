"""Whether what a track means to open may be sent: the facts that the gates ask for, gathered."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import sqlalchemy as sa

from bq.core import db
from bq.core.settings import Track, Trading
from bq.strategies.desk import Position, Quote
from bq.trading import active, gates, tracks
from bq.trading.broker import Look, NoAnswer, Ticket
from bq.trading.gates import Facts, Rules
from bq.trading.intents import Action, Intent, Order
from bq.trading.leaving import Marked
from bq.trading.ledger import intents, orders
from bq.trading.money import PARTS
from bq.trading.trader import Trader

Meant = list[tuple[Intent, Order]]


class Results(NamedTuple):
    """What each track has made, in parts: up to the session, and up to the one before."""

    now: Mapping[str, int]
    before: Mapping[str, int]

    @property
    def losses(self) -> dict[str, float]:
        """Since the session before, in currency; negative: it gained."""
        return {name: (self.before.get(name, 0) - pnl) / PARTS for name, pnl in self.now.items()}


class State(NamedTuple):
    """What is known when a scan's decisions are followed."""

    reconciled: bool
    look: Look | None
    held: list[Marked]
    results: Callable[[], Results]
    counts: bool = True  # whether the scan does


class Admission:
    """The gates of one track in one run; it counts what it has let pass."""

    def __init__(self, trader: Trader, track: Track, state: State) -> None:
        self._trader, self._track, self._state, self._rules = (
            trader,
            track,
            state,
            rules(trader.settings.trading, track),
        )
        self._held = [one.held for one in state.held if one.held.owner.track == track.name]
        waiting = [one for one in trader.mine() if one.owner.track == track.name and one.action == Action.OPEN]
        self._ordered = {one.symbol for one in waiting if not one.standing.ended}
        self._by_track, self._by_account = _orders_of(trader)
        self._sides = active.sides(trader.orders.on_account())
        self._losses = state.results().losses
        self._bound = 0.0

    def refusal(self, intent: Intent, meant: Meant, *, crowded: str = "", listed: bool = True) -> str:
        """The first gate that refuses, or the strategy's own limit; empty where it may be sent.

        meant : its orders, empty where there are none. crowded : what the strategy's own limits say. listed : whether
        the broker has such contracts.
        """
        margin = self._margin(intent, meant)
        working = active.with_them(self._sides, meant)
        why = gates.refusal(self._facts(intent, margin, listed, working), self._rules) or crowded
        if not why:
            self._sides.update((one.legs, order.quantity > 0) for one, order in meant)
            self._bound += margin or 0.0
            self._by_account += len(meant)
            self._by_track[self._track.name] = self._by_track.get(self._track.name, 0) + len(meant)
            self._ordered.add(intent.symbol)
        return why

    def _facts(self, intent: Intent, margin: float | None, listed: bool, working: int) -> Facts:
        trading, clock, desk = self._trader.settings.trading, self._trader.clock, self._trader.desk
        quote = desk.quote(intent.event, clock.session)
        expiries = [leg.expiry for leg in intent.legs if leg.expiry is not None]
        symbols = {one.symbol for one in self._held} | self._ordered
        look = self._state.look
        earnings, dividend = self._announced(intent, quote)
        return Facts(
            stopped=gates.stopped(),
            reconciled=self._state.reconciled,
            counts=self._state.counts,
            simulated=intent.source == "simulated",
            real=self._trader.broker.real,
            paper=self._trader.broker.paper,
            now=clock.now,
            until=self._trader.until,
            closes=intent.action == Action.CLOSE,
            allowed=trading.symbols is None or intent.symbol in trading.symbols,
            held=not desk.whole_book and intent.symbol in symbols,
            positions=0 if desk.whole_book else len(symbols),
            track_loss=self._losses.get(self._track.name, 0.0),
            account_loss=sum(self._losses.values()),
            track_orders=self._by_track.get(self._track.name, 0),
            account_orders=self._by_account,
            contract_orders=working,
            quote=quote,
            quote_session=clock.session,
            session=clock.session,
            limits=quote and desk.limits(intent.event, quote, buy=intent.quantity > 0),
            quantity=intent.quantity,
            days_to_expiry=(min(expiries) - (clock.next_session or clock.session)).days if expiries else None,
            earnings=earnings,
            ex_dividend=dividend,
            listed=listed,
            margin=margin,
            available=None if look is None else look.available / PARTS - self._bound,
        )

    def _announced(self, intent: Intent, quote: Quote | None) -> tuple[bool, bool]:
        clock, desk = self._trader.clock, self._trader.desk
        if desk.whole_book or not self._trader.dates.days or quote is None or clock.next_session is None:
            return False, False
        position = Position(intent.event, intent.quantity, quote.mid, clock.next_session)
        return gates.announced(self._trader.dates, desk, position, clock.session)

    def _margin(self, intent: Intent, meant: Meant) -> float | None:
        """Funds that an order binds; negative: sets free, which of a real account its broker alone knows.

        None where the broker does not say.
        """
        if intent.action == Action.CLOSE:
            if self._trader.broker.real:
                return 0.0
            return gates.freed(intent.quantity, self._trader.desk.quote(intent.event, self._trader.clock.session))
        if not meant:
            return 0.0
        try:
            return self._trader.broker.margin(Ticket(meant[0][1], intent.legs, True, intent.event)) / PARTS
        except NoAnswer:
            return None


def rules(trading: Trading, track: Track) -> Rules:
    """The limits of a track and its account."""
    return Rules(
        track_loss=trading.max_daily_loss * trading.capital * track.share,
        account_loss=trading.max_daily_loss * trading.capital,
        track_orders=tracks.limit_of(track, trading.max_daily_orders),
        account_orders=trading.max_daily_orders,
        positions=tracks.limit_of(track, trading.max_positions),
        close_before_expiry_days=trading.close_before_expiry_days,
    )


def _orders_of(trader: Trader) -> tuple[dict[str, int], int]:
    """Orders for the next session: of each track of the namespace, and of the whole account."""
    query = sa.select(intents.c.namespace, intents.c.track, sa.func.count()).join(
        orders, orders.c.intent_id == intents.c.intent_id
    )
    mine = query.where(intents.c.account == trader.broker.account, orders.c.session == trader.clock.next_session)
    with db.engine().connect() as connection:
        rows = connection.execute(mine.group_by(intents.c.namespace, intents.c.track)).all()
    return {track: n for name, track, n in rows if name == trader.namespace}, sum(n for *_, n in rows)
