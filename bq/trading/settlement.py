"""What an option delivers: shares, or cash by the price of an index.

Roots as in the contract specifications of Cboe and Nasdaq; one that is not here delivers shares.
"""

from bq.strategies.desk import Desk, Event, Leg, Right

BY_OPEN = frozenset({"SPX", "NDX", "RUT", "DJX", "VIX", "VIXW"})  # roots settled in cash by opening prices (AM)
BY_CLOSE = frozenset({"SPXW", "XSP", "NDXP", "XND", "RUTW", "MRUT", "OEX", "XEO"})  # … by the close of the day (PM)
EXERCISED_FROM = 0.01  # of value at expiry: by exception, OCC rule 805


def in_cash(leg: Leg) -> bool:
    """Whether cash is paid, and no share moves."""
    return leg.root in BY_OPEN | BY_CLOSE


def worth(desk: Desk, event: Event, leg: Leg) -> float | None:
    """What a contract is worth at its expiry, per share; None where the price that settles it is not known.

    Of an AM-settled index the open of the day stands for the special opening quotation, which is made of the opening
    prices of its members; of VIX for the one made of the opening prices of its options.
    """
    if leg.expiry is None or leg.strike is None:
        return None
    spot = desk.spot(event, leg.expiry, at_open=leg.root in BY_OPEN)
    return None if spot is None else intrinsic(leg, spot)


def intrinsic(leg: Leg, spot: float) -> float:
    """What exercising an option brings at a price of its underlying, per share."""
    assert leg.strike is not None
    return max(spot - leg.strike if leg.right == Right.CALL else leg.strike - spot, 0.0)
