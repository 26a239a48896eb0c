"""Legs as contracts of the client library, and contracts by the names that the ledger has for them."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from bq.strategies.desk import Leg, Right
from bq.trading import settlement
from bq.trading.ibkr.library import ib

BAG = "BAG"  # a combination, and what its executions as one are called
EXCHANGES = {"NDX": "NASDAQ", "XND": "NASDAQ", "RUT": "RUSSELL", "MRUT": "RUSSELL"}  # of indices; the others: CBOE


def contract_of(leg: Leg) -> Any:
    """The contract of a leg, as one asks for it.

    >>> contract_of(Leg("SPX", -2, "SPXW", dt.date(2019, 6, 21), 2900.0, Right.CALL, 100)).tradingClass
    'SPXW'
    """
    if leg.strike is None or leg.expiry is None or leg.right is None:
        index = leg.symbol in settlement.BY_OPEN | settlement.BY_CLOSE
        kind, exchange = ("IND", EXCHANGES.get(leg.symbol, "CBOE")) if index else ("STK", leg.exchange)
        return ib.Contract(secType=kind, symbol=leg.symbol, exchange=exchange, currency=leg.currency)
    return ib.Contract(
        secType="OPT",
        symbol=leg.symbol,
        lastTradeDateOrContractMonth=f"{leg.expiry:%Y%m%d}",
        strike=leg.strike,
        right=str(leg.right),
        multiplier=str(leg.multiplier),
        exchange=leg.exchange,
        currency=leg.currency,
        tradingClass=leg.root or "",
    )


def combined(legs: Sequence[Leg], numbers: Sequence[int]) -> Any:
    """Legs as one combination. numbers : the contract id of each."""
    parts = [
        ib.ComboLeg(
            conId=number, ratio=abs(leg.ratio), action="BUY" if leg.ratio > 0 else "SELL", exchange=leg.exchange
        )
        for leg, number in zip(legs, numbers, strict=True)
    ]
    first = legs[0]
    return ib.Contract(
        secType=BAG, symbol=first.symbol, exchange=first.exchange, currency=first.currency, comboLegs=parts
    )


def name_of(contract: Any) -> str:
    """What the ledger calls a contract, see `Leg.contract`."""
    if contract.secType == BAG:
        return BAG
    if not contract.strike or not contract.lastTradeDateOrContractMonth:
        return str(contract.symbol)
    expiry = dt.datetime.strptime(contract.lastTradeDateOrContractMonth.split()[0], "%Y%m%d").date()
    right = Right(contract.right[:1])
    return Leg(contract.symbol, 1, contract.tradingClass or None, expiry, float(contract.strike), right).contract
