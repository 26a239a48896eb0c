"""A day of trading: reconcile, manage open orders, exits, entries of the newest scan, marks. Safe to run twice."""

import datetime as dt
import functools
from typing import NamedTuple

from bq.market.calendars import sessions
from bq.trading import (
    assignment,
    gates,
    leaving,
    life,
    positions,
    protection,
    reconcile,
    settlement,
    split,
    tracks,
)
from bq.trading.admission import Results, State
from bq.trading.assignment import Gone
from bq.trading.book import rebalance
from bq.trading.broker import Look
from bq.trading.entering import Events, Opened, Scanned, follow, open_positions
from bq.trading.intents import Intent
from bq.trading.leaving import Marked
from bq.trading.reconcile import Reconciled
from bq.trading.split import Split
from bq.trading.trader import Trader, look

SPLIT_DAYS = 10  # sessions in which a split is looked for that explains a difference


class Day(NamedTuple):
    """What a day of trading did."""

    session: dt.date
    stopped: bool
    reconciled: Reconciled
    scan: Scanned | None  # None: there is none of this session, or it is too late for it
    left: tuple[Intent, ...]
    entered: tuple[Opened, ...]
    held: tuple[Marked, ...]
    gone: tuple[Gone, ...]  # legs that were assigned, exercised or expired since the last time: an incident each
    split: tuple[Split, ...] = ()  # shares that came or went by splits


def trade(trader: Trader, scan: Scanned | None, events: Events) -> Day:
    """Trade one day. scan : the newest of the namespace. events : of its session, asked for when they are needed.

    Whatever a run before this one was killed at is taken up first; nothing new is written while anything is unclear.
    """
    names = [track.name for track in trader.settings.trading.tracks]
    tracks.refuse_taken(names, account=trader.broker.account, namespace=trader.namespace)
    seen = taken_up(trader)
    found, gone, split_ones = _compared(trader, seen)
    if split_ones:  # their stops are of old shares
        seen = life.fit(trader, seen)
        found = compared(trader, seen)
    if found.holds:
        life.resend(trader)
    book = positions.held(trader.broker.account, trader.namespace, moved=trader.orders.recount())
    renewed = protection.renew(trader, book) if found.holds else []
    follow(trader, renewed)
    held = leaving.marked(trader, book)
    left = [*leaving.leave(trader, held, reconciled=found.holds), *leaving.close_odd(trader, held, found.holds)]
    entered: list[Opened] = []
    fresh = scan if scan is not None and scan.session == trader.clock.session else None
    if fresh is not None:
        state = State(found.holds, seen, held, functools.cache(functools.partial(results, trader)), fresh.counts)
        entered = _enter(trader, fresh, events, state)
    if found.holds and (left or entered or renewed):  # a call that was lost just now may still be made in time
        life.clear_up(trader)
        life.resend(trader)
    return Day(
        trader.clock.session,
        gates.stopped(),
        found,
        fresh,
        tuple(left),
        tuple(entered),
        tuple(held),
        tuple(gone),
        tuple(split_ones),
    )


def taken_up(trader: Trader) -> Look | None:
    """Write down what the broker did since the last time, and look after working orders; the last look."""
    life.fit(trader, look(trader, trader.stamp, tries=life.TRIES))
    life.manage(trader)
    return life.fit(trader, life.clear_up(trader))


def _compared(trader: Trader, seen: Look | None) -> tuple[Reconciled, list[Gone], list[Split]]:
    """The comparison with the account, once what happened to legs and shares overnight is booked."""
    account = trader.broker.account
    found = compared(trader, seen)
    if not found.differences:
        return found, [], []
    held = functools.partial(positions.held, account, trader.namespace, moved=trader.orders.recount())
    days = sessions_before(trader, SPLIT_DAYS + 1)
    split_ones = split.explained(found.differences, lambda day: held(through=day), trader.desk, days)
    gone = assignment.explained(
        found.differences,
        held(),
        trader.clock.session,
        lambda one, leg: settlement.worth(trader.desk, one.event, leg),
    )
    for one in gone:
        assignment.book(one, trader.orders, trader.stamp)
    for each in split_ones:
        split.book(each, trader.orders, trader.stamp)
    if gone or split_ones:
        found = compared(trader, seen)
    return found, gone, split_ones


def compared(trader: Trader, seen: Look | None) -> Reconciled:
    """The comparison of the ledger with a look at the account; nothing is booked or sent."""
    account = trader.broker.account
    return reconcile.compare(seen, trader.orders.on_account(), account, trader.orders.recount())


def results(trader: Trader) -> Results:
    """What each track has made up to the session, and up to the one before."""
    days = (trader.clock.session, session_before(trader))
    of, moved = (trader.broker.account, trader.namespace), trader.orders.recount()
    found = [positions.accounts(*of, through=day, moved=moved) for day in days]
    return Results(*({one.owner.track: one.pnl for one in accounts} for accounts in found))


def session_before(trader: Trader) -> dt.date:
    """The session before the clock's."""
    return sessions_before(trader, 2)[0]


def sessions_before(trader: Trader, n: int) -> list[dt.date]:
    """The last sessions, that of the clock among them."""
    known = sessions(trader.settings.market.calendar)["session"]
    place = known.search_sorted(trader.clock.session)
    return known[max(place - n + 1, 0) : place + 1].to_list() or [trader.clock.session]


def _enter(trader: Trader, scan: Scanned, events: Events, state: State) -> list[Opened]:
    """Follow a scan's decisions, each track its own; also written down is what every track would have done."""
    chosen, settings = trader.settings.trading.tracks, trader.settings
    events = functools.cache(events)
    made = {}
    for track in chosen:
        decisions = tracks.weighed(trader.desk, track, scan.decisions, events)
        made[track.name] = tracks.decided(track, decisions, trader.strategy, settings)
    pairs = scan.decisions.select("event_id", "symbol").rows()
    whose = {event_id: _whose(trader, symbol, scan.session) for event_id, symbol in pairs}
    tracks.enter(scan.scan_id, made, whose)
    found = []
    for track in chosen:
        mine = made[track.name]
        if mine["should_trade"].is_null().all():
            found.append(Opened(track.name, answered=False))
        elif trader.desk.whole_book:
            found.append(rebalance(trader, track, scan, events, state))
        else:
            wanted = mine.filter("should_trade").join(scan.decisions.select("event_id", "model_id"), on="event_id")
            rows = wanted.sort("rank", "event_id").to_dicts()
            mine_only = [row for row in rows if whose[row["event_id"]] == track.name]
            opened = open_positions(trader, track, mine_only, events, state)
            found.append(opened._replace(wanted=len(rows), own=len(mine_only)))
    return found


def _whose(trader: Trader, symbol: str, session: dt.date) -> str | None:
    trading = trader.settings.trading
    return tracks.assigned(trading.tracks, seed=trading.seed, symbol=symbol, day=session)
