"""What a day of trading did, in words."""

from typing import Any

from bq.core.numerals import significant
from bq.trading import gates, money, odd
from bq.trading.assignment import Gone
from bq.trading.daily import Day
from bq.trading.entering import Opened
from bq.trading.gates import Refusal
from bq.trading.intents import Intent
from bq.trading.positions import Account, Held
from bq.trading.reconcile import Reconciled
from bq.trading.split import Split
from bq.trading.trader import Trader
from bq.workbench import screen
from bq.workbench.phrases import counted

WHY = {
    Refusal.STOPPED: "the kill switch is on (make resume)",
    Refusal.NOT_RECONCILED: "the account does not agree with the ledger",
    Refusal.SIMULATED: "a decision on a simulated market never leaves the dry-run broker",
    Refusal.NOT_PAPER: "the account is not known to be a paper account",
    Refusal.TOO_LATE: "later than the entry window of the next session",
    Refusal.NOT_COUNTED: "no scan of the session is known to have been made between its close and the next open",
    Refusal.NO_NEXT_SESSION: "the calendar knows no next session",
    Refusal.NOT_ALLOWED: "not one of trading.symbols",
    Refusal.ALREADY_HELD: "the track holds the symbol, or has ordered it",
    Refusal.TOO_MANY_POSITIONS: "the track holds as many positions as it may",
    Refusal.TRACK_LOSS: "the track lost more than it may in a session",
    Refusal.ACCOUNT_LOSS: "the account lost more than it may in a session",
    Refusal.TRACK_ORDERS: "the track has as many orders as it may in a session",
    Refusal.ACCOUNT_ORDERS: "the account has as many orders as it may in a session",
    Refusal.CONTRACT_ORDERS: f"as many orders work on the contract and side as a broker takes ({gates.MOST})",
    Refusal.NO_QUOTE: "no price at the session's close",
    Refusal.OLD_QUOTE: "the price is of an earlier session",
    Refusal.OUTSIDE_COLLAR: "no price within the collar at which it makes sense",
    Refusal.TOO_SMALL: "one unit risks more than a trade may",
    Refusal.NEAR_EXPIRY: "too near to its expiry",
    Refusal.EARNINGS: "earnings are announced for the time it would be held",
    Refusal.EX_DIVIDEND: "a call in the money would be short over an ex-dividend day: it may be assigned",
    Refusal.MARGIN: "the account does not have the funds",
    Refusal.NOT_LISTED: "no contracts like those of the decision are listed, or the broker did not say which are",
}


def summary(day: Day, trader: Trader) -> str:
    """The end of `make trade-paper`."""
    title = f"{trader.namespace} · {day.session} · {trader.broker.account}"
    lines = [f"{screen.BOLD}{title}{screen.PLAIN}", *_warnings(day), *_scan(day)]
    lines += [track_line(one) for one in day.entered]
    lines += [f"split       {split_text(one)}" for one in day.split]
    lines += [f"closing     {one.owner.track} {_closed(one)}" for one in day.left]
    lines.append(f"held        {counted(len(day.held), 'position')}")
    return "\n".join(lines)


def _closed(intent: Intent) -> str:
    what = intent.legs[0].contract if intent.reason == odd.REASON else intent.symbol
    return f"{what} {intent.quantity:+d}: {intent.reason}"


def track_line(one: Opened) -> str:
    """What a track did with the scan."""
    if not one.answered:
        return f"{one.track:<15}opens nothing: no champion answered"
    if not one.made and not one.refused:
        return f"{one.track:<15}opens nothing: {_why_nothing(one)}"
    made = ", ".join(f"{intent.symbol} {intent.quantity:+d}" for intent in one.made) or "nothing"
    reasons: dict[str, list[str]] = {}
    for intent, why in one.refused:
        reasons.setdefault(why_text(why), []).append(intent.symbol)
    refused = "; ".join(f"{', '.join(symbols)}: {why}" for why, symbols in reasons.items())
    return f"{one.track:<15}opens {made}{f'; refused {refused}' if refused else ''}"


def _why_nothing(one: Opened) -> str:
    if one.wanted is None:
        return "its book is not due for a rebalance"
    if one.wanted == 0:
        return "no decision of the scan is to be traded"
    if one.own == 0:
        whose = "none is in a symbol that was drawn for this track this week"
        return f"of {counted(one.wanted, 'decision')} to be traded {whose}"
    return "what is to be traded was handled before"


def why_text(refusal: str) -> str:
    """A refusal in words; a strategy's own limit by its name."""
    return WHY[Refusal(refusal)] if refusal in set(Refusal) else f"the strategy's own limit: {refusal}"


def gone_text(one: Gone) -> str:
    """What became of a leg overnight."""
    paid = f" at {significant(one.price, 6)}" if one.price else ""
    came = f", {one.shares:+d} shares at {significant(one.leg.strike, 6)}" if one.shares else ""
    return f"{one.held.owner.track} {one.leg.contract} {one.contracts:+d}: {one.what}{paid}{came}"


def split_text(one: Split) -> str:
    """What a split did to a position."""
    ratio = significant(one.factor, 3)
    return f"{one.held.owner.track} {one.held.symbol} {one.shares:+d} shares: {ratio} new for an old one"


def odd_text(held: Held) -> str:
    """What a position holds beside whole units."""
    parts = ", ".join(f"{contract} {n:+d}" for contract, n in held.odd.items())
    return f"{held.owner.track} {held.symbol} holds parts of a unit: {parts}"


def _warnings(day: Day) -> list[str]:
    lines, incident = [], f"{screen.RED}incident{screen.PLAIN}    "
    if day.stopped:
        lines.append(f"{screen.RED}The kill switch is on: nothing is sent (make resume).{screen.PLAIN}")
    lines += [f"{incident}{gone_text(one)}" for one in day.gone]
    lines += [f"{incident}{odd_text(one.held)}" for one in day.held if one.held.odd]
    if not day.reconciled.holds:
        lines.append(f"{screen.RED}Not reconciled: nothing new is sent.{screen.PLAIN}")
        lines += differences(day.reconciled)
    return lines


def differences(found: Reconciled) -> list[str]:
    """What a comparison found, a line each."""
    if not found.answered:
        return ["reconcile   the broker does not answer"]
    lines = [f"differs     {one.contract}: ledger {one.ours:+d}, broker {one.theirs:+d}" for one in found.differences]
    lines += [f"stranger    execution {name} is of no order of the ledger" for name in found.strangers]
    lines += [f"contradicts order {name}: its executions do not fit it" for name in found.contradictory]
    lines += [f"unknown     order {name}: the broker has not said whether it has it" for name in found.unknown]
    return lines + [f"too large   stop {name} may sell more than is held" for name in found.excessive]


def _scan(day: Day) -> list[str]:
    if day.scan is None:
        return [f"scan        none of {day.session}: nothing opens (make scan)"]
    return [f"scan        {counted(len(day.scan.decisions), 'decision')} of {day.scan.session}"]


def made(one: Account, share: float | None, capital: float) -> dict[str, Any]:
    """What a track made, a row of a table. share : of the capital; None: it is no track of the settings any more."""
    base = None if share is None else share * capital
    return {
        "track": one.owner.track,
        "P&L": float(money.cents(one.pnl)),
        "return on its capital [%]": None if base is None else 100.0 * float(money.amount(one.pnl)) / base,
        "cash flows": float(money.cents(one.cash)),
        "commissions": float(money.cents(one.commissions)),
        "other cash": float(money.cents(one.events)),
        "open at mark": float(money.cents(one.value)),
    }
