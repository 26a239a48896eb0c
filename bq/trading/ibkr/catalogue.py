"""What contracts there are: their ids and ticks, and the option chains of an underlying; asked for once."""

import datetime as dt
from typing import Any

from bq.strategies.desk import Leg
from bq.trading.broker import NoAnswer
from bq.trading.ibkr.contracts import combined, contract_of
from bq.trading.ibkr.listing import Chain
from bq.trading.ibkr.wire import Wire

EXCHANGE = "SMART"  # of the chains that are looked at: every exchange lists the same
CENT = 0.01


class Catalogue:
    """Contracts as one connection knows them."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._details: dict[str, tuple[int, float]] = {}  # contract: its id and tick
        self._chains: dict[str, list[Chain]] = {}

    def contract(self, legs: tuple[Leg, ...]) -> tuple[Any, float]:
        """What is ordered, and its tick. Raises NoAnswer."""
        known = [self.detail(leg) for leg in legs]
        tick = max(one[1] for one in known)
        if len(legs) > 1:
            return combined(legs, [one[0] for one in known]), tick
        contract = contract_of(legs[0])
        contract.conId = known[0][0]
        return contract, tick

    def detail(self, leg: Leg) -> tuple[int, float]:
        """Id and tick of a contract. Raises NoAnswer unless exactly one is like it."""
        if leg.contract not in self._details:
            asked = contract_of(leg)
            found = self._wire.ask(leg.contract, lambda client: client.reqContractDetailsAsync(asked))
            numbers = {one.contract.conId for one in found}
            if len(numbers) != 1:
                raise NoAnswer(f"IBKR: {leg.contract} must be one contract, but {len(numbers)} are like it")
            self._details[leg.contract] = numbers.pop(), float(found[0].minTick)
        return self._details[leg.contract]

    def tick_of(self, contract: Any) -> float:
        """The tick of a contract of the client library; a cent where it is not known."""
        numbers = {leg.conId for leg in contract.comboLegs or []} or {contract.conId}
        return max((tick for number, tick in self._details.values() if number in numbers), default=CENT)

    def chains(self, symbol: str) -> list[Chain]:
        """What options are listed of an underlying. Raises NoAnswer."""
        if symbol not in self._chains:
            number, _ = self.detail(Leg(symbol))
            kind = contract_of(Leg(symbol)).secType
            found = self._wire.ask(
                f"option chains of {symbol}", lambda client: client.reqSecDefOptParamsAsync(symbol, "", kind, number)
            )
            self._chains[symbol] = [_chain(one) for one in found if one.exchange == EXCHANGE]
        return self._chains[symbol]


def _chain(told: Any) -> Chain:
    expiries = sorted(dt.datetime.strptime(day, "%Y%m%d").date() for day in told.expirations)
    return Chain(told.tradingClass, int(float(told.multiplier)), tuple(expiries), tuple(sorted(told.strikes)))
