"""A day of trading: reconcile, manage open orders, exits, entries of the newest scan, marks. Safe to run twice."""

import datetime as dt
from typing import NamedTuple

from bq.market.calendars import sessions
from bq.trading import entering, gates, leaving, ledger, life, positions, reconcile, tracks
from bq.trading.entering import Events, Opened, Scanned
from bq.trading.intents import Intent
from bq.trading.leaving import Marked
from bq.trading.money import PARTS
from bq.trading.reconcile import Reconciled
from bq.trading.trader import Trader, look


class Day(NamedTuple):
    """What a day of trading did."""

    session: dt.date
    stopped: bool
    reconciled: Reconciled
    scan: Scanned | None  # None: there is none of this session, or it is too late for it
    left: tuple[Intent, ...]
    entered: tuple[Opened, ...]
    held: tuple[Marked, ...]


def trade(trader: Trader, scan: Scanned | None, events: Events) -> Day:
    """Trade one day. scan : the newest of the namespace. events : of its session, asked for when they are needed.

    Whatever a run before this one was killed at is taken up first; nothing new is written while anything is unclear.
    """
    names = [track.name for track in trader.settings.trading.tracks]
    tracks.refuse_taken(names, account=trader.broker.account, namespace=trader.namespace)
    look(trader, trader.stamp, tries=life.TRIES)
    life.manage(trader)
    seen = life.clear_up(trader)
    found = reconcile.compare(seen, ledger.opened(trader.broker.account), trader.broker.account)
    if found.holds:
        life.resend(trader)
    held = leaving.marked(trader, positions.held(trader.broker.account, trader.namespace))
    left = leaving.leave(trader, held, reconciled=found.holds)
    entered: list[Opened] = []
    fresh = scan if scan is not None and scan.session == trader.clock.session else None
    if fresh is not None:
        state = entering.State(found.holds, seen, held, losses(trader))
        entered = entering.enter(trader, fresh, events, state)
    return Day(trader.clock.session, gates.stopped(), found, fresh, tuple(left), tuple(entered), tuple(held))


def losses(trader: Trader) -> dict[str, float]:
    """What each track lost since the session before, in currency; negative: it gained."""
    known = sessions(trader.settings.market.calendar)["session"]
    place = known.search_sorted(trader.clock.session)
    before = known[place - 1] if place else trader.clock.session
    now, then = (
        {one.owner.track: one.pnl for one in positions.accounts(trader.broker.account, trader.namespace, through=day)}
        for day in (trader.clock.session, before)
    )
    return {name: (then.get(name, 0) - pnl) / PARTS for name, pnl in now.items()}
