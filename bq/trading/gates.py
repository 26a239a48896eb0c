"""What keeps an order from being written. Each is one fact against one limit; what is not known refuses."""

import datetime as dt
import math
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from bq.core import paths
from bq.market.announced import Announced, Kind
from bq.strategies.desk import Desk, Limits, Position, Quote, Right

MOST = 20  # orders that work on one contract and side of an account: IBKR takes no more, stops among them


class Refusal(StrEnum):
    """Why nothing was sent."""

    STOPPED = "stopped"  # the kill switch
    NOT_RECONCILED = "not_reconciled"
    SIMULATED = "simulated"  # a simulated market's decision, at a broker that is real
    NOT_PAPER = "not_paper"  # the account is not known to be a paper account
    TOO_LATE = "too_late"
    NOT_COUNTED = "not_counted"  # no scan of the session was made in time
    NO_NEXT_SESSION = "no_next_session"
    NOT_ALLOWED = "not_allowed"  # of another symbol than `trading.symbols`
    ALREADY_HELD = "already_held"
    TOO_MANY_POSITIONS = "too_many_positions"
    TRACK_LOSS = "track_loss"
    ACCOUNT_LOSS = "account_loss"
    TRACK_ORDERS = "track_orders"
    ACCOUNT_ORDERS = "account_orders"
    CONTRACT_ORDERS = "contract_orders"  # as many work on the contract and side as a broker takes
    NO_QUOTE = "no_quote"
    OLD_QUOTE = "old_quote"
    OUTSIDE_COLLAR = "outside_collar"
    TOO_SMALL = "too_small"  # not one unit fits the risk
    NEAR_EXPIRY = "near_expiry"
    EARNINGS = "earnings"  # announced for a day on which it would be held
    EX_DIVIDEND = "ex_dividend"  # the same, with a call in the money that is sold
    NOT_LISTED = "not_listed"  # no contracts like those of the decision, or the broker did not say
    MARGIN = "margin"


class Facts(NamedTuple):
    """What is known before an order is written; money in currency, losses positive, None: not known."""

    stopped: bool
    reconciled: bool
    counts: bool  # whether the scan does
    simulated: bool
    real: bool
    paper: bool | None
    now: dt.datetime
    until: dt.datetime | None  # the latest time at which it may be sent; None: there is no next session
    closes: bool  # whether it makes a position smaller, as rebalancing a whole book does too
    allowed: bool
    held: bool
    positions: int
    track_loss: float | None
    account_loss: float | None
    track_orders: int
    account_orders: int
    contract_orders: int  # that would work on a contract and side with it, stops among them
    quote: Quote | None
    quote_session: dt.date | None
    session: dt.date
    limits: Limits | None
    quantity: int
    days_to_expiry: int | None  # calendar days from the session in which it is filled; None: it does not expire
    earnings: bool  # whether any is announced for the time it would be held
    ex_dividend: bool  # the same, where it would hold a short call in the money
    listed: bool  # whether there are contracts like those of the decision; false where that is not known
    margin: float | None  # that it binds; negative: what it sets free
    available: float | None


class Rules(NamedTuple):
    """The limits, those of a track its share of the account's."""

    track_loss: float
    account_loss: float
    track_orders: int
    account_orders: int
    positions: int
    close_before_expiry_days: int


def _exceeds(value: float | None, limit: float | None) -> bool:
    """Whether a value is beyond a limit; what is not known is."""
    return value is None or limit is None or not (math.isfinite(value) and math.isfinite(limit) and value <= limit)


def _unfunded(facts: Facts) -> bool:
    """Whether it binds more than there is. What binds nothing is sent without funds too."""
    frees = facts.margin is not None and math.isfinite(facts.margin) and facts.margin <= 0
    return not frees and _exceeds(facts.margin, facts.available)


def _outside(facts: Facts) -> bool:
    """Whether there is no price at which it may be worked."""
    known = facts.limits
    return known is None or not all(map(math.isfinite, known))


ASKED: dict[Refusal, Callable[[Facts, Rules], bool]] = {
    Refusal.STOPPED: lambda f, r: f.stopped,
    Refusal.NOT_RECONCILED: lambda f, r: not f.reconciled,
    Refusal.SIMULATED: lambda f, r: f.simulated and f.real,
    Refusal.NOT_PAPER: lambda f, r: f.real and f.paper is not True,
    Refusal.NO_NEXT_SESSION: lambda f, r: f.until is None,
    Refusal.TOO_LATE: lambda f, r: f.until is not None and f.now > f.until,
    Refusal.NOT_COUNTED: lambda f, r: not f.counts,
    Refusal.NOT_ALLOWED: lambda f, r: not f.allowed,
    Refusal.ALREADY_HELD: lambda f, r: f.held,
    Refusal.TOO_MANY_POSITIONS: lambda f, r: f.positions >= r.positions,
    Refusal.TRACK_LOSS: lambda f, r: _exceeds(f.track_loss, r.track_loss),
    Refusal.ACCOUNT_LOSS: lambda f, r: _exceeds(f.account_loss, r.account_loss),
    Refusal.TRACK_ORDERS: lambda f, r: f.track_orders >= r.track_orders,
    Refusal.ACCOUNT_ORDERS: lambda f, r: f.account_orders >= r.account_orders,
    Refusal.CONTRACT_ORDERS: lambda f, r: f.contract_orders > MOST,
    Refusal.NO_QUOTE: lambda f, r: f.quote is None or not math.isfinite(f.quote.mid),
    Refusal.OLD_QUOTE: lambda f, r: f.quote_session != f.session,
    Refusal.OUTSIDE_COLLAR: lambda f, r: _outside(f),
    Refusal.TOO_SMALL: lambda f, r: f.quantity == 0,
    Refusal.NEAR_EXPIRY: lambda f, r: f.days_to_expiry is not None and f.days_to_expiry < r.close_before_expiry_days,
    Refusal.EARNINGS: lambda f, r: f.earnings,
    Refusal.EX_DIVIDEND: lambda f, r: f.ex_dividend,
    Refusal.NOT_LISTED: lambda f, r: not f.listed,
    Refusal.MARGIN: lambda f, r: _unfunded(f),
}
OF_OPENING = (Refusal.NOT_ALLOWED, Refusal.TRACK_LOSS, Refusal.ACCOUNT_LOSS)  # what makes a position smaller passes


def announced(dates: Announced, desk: Desk, position: Position, session: dt.date) -> tuple[bool, bool]:
    """Whether earnings, and an ex-dividend day of a short call in the money, lie in the time it would be held.

    position : as it would be opened after a session. A short call whose price is not known is taken to be in the money.
    """
    event, legs = position.event, desk.legs(position.event)
    expiries = [leg.expiry for leg in legs if leg.expiry is not None]
    ends = [desk.levels(position, session).until, min(expiries, default=None)]
    until = min((day for day in ends if day is not None), default=session)
    spot = desk.spot(event, session)
    called = [leg for leg in legs if leg.right == Right.CALL and leg.ratio * position.quantity < 0]
    inside = any(spot is None or leg.strike is None or leg.strike < spot for leg in called)
    earnings, dividend = (dates.holds(event["symbol"], kind, after=session, until=until) for kind in Kind)
    return earnings, inside and dividend


def freed(quantity: int, quote: Quote | None) -> float:
    """What closing shares binds: less than 0 where some are sold, whose price pays for what is bought at the same open.

    Covering a short sale costs what was kept back for it.
    """
    return 0.0 if quote is None else min(quantity, 0) * quote.mid


def refusal(facts: Facts, rules: Rules) -> Refusal | None:
    """The first gate that refuses an order of the scan, in the order of `ASKED`; None where all let it pass."""
    skipped = OF_OPENING if facts.closes else ()
    return next((why for why, refuses in ASKED.items() if why not in skipped and refuses(facts, rules)), None)


def switch() -> Path:
    """The kill switch: while this file is there nothing is sent. Cancellations go on."""
    return paths.home() / "data" / "STOP"


def stopped() -> bool:
    """Whether the kill switch is on; where that cannot be told, it is."""
    try:
        switch().lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True
