"""A structure as an order that can be typed in."""

from collections.abc import Mapping
from typing import Any

from bq.strategies.butterfly.payoff import legs
from bq.strategies.ticket import Leg, Options, Right


def ticket(event: Mapping[str, Any]) -> Options:
    """Legs, price and what can become of it, at t0; see `Options`.

    At expiry a fly earns its most at the body and loses a unit for each unit away from it.
    """
    most = event["max_profit"]
    iron = event["structure"] == "IRON"
    return Options(
        legs=[Leg(row["quantity"], Right(row["right"]), row["strike"]) for row in legs(event).iter_rows(named=True)],
        expiry=event["expiry"],
        days=(event["expiry"] - event["session"]).days,
        price=-most if iron else event["max_loss"],
        most_made=most,
        most_lost=event["max_loss"],
        breakevens=(event["body"] - most, event["body"] + most) if most > 0 else None,
        quoted=event["quoted"],
        reference=event["spot"],
    )
