"""Structures and prices where nothing is quoted: strikes on a grid, Black–Scholes–Merton, a modelled spread."""

from typing import NamedTuple

import numpy as np

from bq.strategies.butterfly import pricing
from bq.strategies.butterfly.history import Array, History, Index, in_units_of_t0
from bq.strategies.butterfly.settings import ButterflySettings
from bq.strategies.butterfly.structure import Reading, Structure, choose


class Modelled(NamedTuple):
    """Prices of one symbol's structures by the model."""

    h: History
    s: ButterflySettings

    def choose(self, at: Index, reading: Reading) -> Structure:
        """The structure of each event, on the strike grid of its price."""
        return choose(reading, quoted=self.h.quoted is not None, settings=self.s.structure)

    def roots(self, at: Index, structure: Structure) -> list[str | None]:
        """No contract is listed."""
        return [None] * len(at)

    def years(self, at: Index, structure: Structure, position: Index) -> Array:
        """Time to expiry at bar `position`, ACT/365, never below 0."""
        expiry = self.h.session[at] + structure.dte_days.astype("timedelta64[D]")
        return np.maximum((expiry - self.h.session[position]).astype(np.float64), 0.0) / 365.0

    def quote(self, at: Index, structure: Structure, position: Index) -> pricing.Quote:
        """Value at bar `position` of the structures chosen at bar `at`."""
        spot, years = in_units_of_t0(self.h, at, position), self.years(at, structure, position)
        rate, costs = self.s.structure.rate, self.s.costs
        return pricing.quote(structure, spot, self.h.iv[position], years, rate=rate, costs=costs)

    def legs(self, at: Index, structure: Structure, position: Index) -> Array:
        """Mid price of each leg at bar `position`."""
        spot, years = in_units_of_t0(self.h, at, position), self.years(at, structure, position)
        return pricing.legs(structure, spot, self.h.iv[position], years, rate=self.s.structure.rate)
