"""What to type in to trade a decision by hand, in words."""

from bq.core.numerals import decimal, percent, significant
from bq.strategies.ticket import Leg, Options, Shares, Ticket
from bq.workbench.phrases import counted, listed

CONTRACT = 100  # shares of an option contract


def lines(symbol: str, ticket: Ticket) -> list[str]:
    """The order, then what can become of it."""
    return _options(symbol, ticket) if isinstance(ticket, Options) else _shares(symbol, ticket)


def _options(symbol: str, t: Options) -> list[str]:
    unit, strikes = ("", "") if t.quoted else (" % of spot", " (strikes in % of spot)")
    legs = listed([_leg(leg) for leg in t.legs])
    nearest = ", on a weekend: take the nearest that is listed" if t.expiry.weekday() > 4 else ""
    order = f"{symbol}, expiry {t.expiry} ({counted(t.days, 'day')}{nearest}): {legs}{strikes}."
    side = "credit" if t.price < 0 else "debit"
    paid = f"{side.capitalize()} {decimal(abs(t.price), 2)}{unit} a share"
    if t.quoted:
        paid += f", {decimal(abs(t.price) * CONTRACT, 0)} a contract of {CONTRACT}"
    if t.breakevens is None:
        return [order, f"{paid}; cannot earn anything, loses at most {decimal(t.most_lost, 2)}{unit}."]
    low, high = t.breakevens
    return [
        order,
        f"{paid}; makes at most {decimal(t.most_made, 2)}, loses at most {decimal(t.most_lost, 2)}; "
        f"earns at expiry between {decimal(low, 2)} and {decimal(high, 2)}{unit}.",
    ]


def _leg(leg: Leg) -> str:
    side, count = "buy" if leg.quantity > 0 else "sell", abs(leg.quantity)
    return f"{side} {count} × {significant(leg.strike, 6)} {leg.right}{'s' * (count > 1)}"


def _shares(symbol: str, t: Shares) -> list[str]:
    capital = decimal(t.capital, 0)
    return [
        f"{symbol}: buy {decimal(t.quantity, 0)} shares at the next open (close {decimal(t.reference, 2)}).",
        f"Stop {decimal(t.distance, 2)} ({percent(t.stop_share, 1)}) below that open, at about "
        f"{decimal(t.reference - t.distance, 2)}; there it loses about {decimal(t.at_risk, 0)}, "
        f"{percent(t.at_risk / t.capital, 2)} of {capital}, before costs and gaps.",
    ]
