"""What a structure costs, what it returns, and how sensitive it is, on modelled prices (Black–Scholes–Merton)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from bq.analysis.options import Greeks, bsm_greeks, bsm_price
from bq.strategies.butterfly.settings import Costs
from bq.strategies.butterfly.structure import IRON, QUANTITY, Structure

Array = NDArray[np.float64]

FLOOR = 0.10  # least debit, and least maximum loss, in price units
FRACTIONS = (0.0, 0.25, 0.5, 1.0)  # of the half-spread, shown side by side


class Quote(NamedTuple):
    """Mid value of each structure and the half-spread of its four legs together, both of shape (n_events,)."""

    mid: Array  # long the structure: > 0 for debit flies, < 0 for iron flies (a credit)
    half_spread: Array


class Terms(NamedTuple):
    """What one structure costs and can make at most, shape (n_events,)."""

    debit: Array  # paid; negative is a credit received
    risk: Array  # debit of a debit fly, maximum loss of an iron fly: the denominator of ROI
    max_profit: Array


def quote(structure: Structure, spot: Array, iv: Array, years: Array, *, rate: float, costs: Costs) -> Quote:
    """Value every structure at the given spot, implied volatility and time to expiry.

    Each leg's half-spread is a share of the premium of its out-of-the-money equivalent (put–call parity): a deep
    in-the-money leg is not dearer to trade than its twin.
    """
    strikes, column = structure.strikes, (slice(None), None)
    calls = bsm_price(spot[column], strikes, years[column], iv[column], rate=rate, is_call=True)
    puts = bsm_price(spot[column], strikes, years[column], iv[column], rate=rate, is_call=False)
    away = np.abs(strikes / spot[column] - 1.0)
    spread = np.select([away < 0.03, away < 0.08], [costs.spread_near, costs.spread_middle], default=costs.spread_far)
    mid = (QUANTITY * np.where(structure.is_call, calls, puts)).sum(axis=1)
    return Quote(mid, (0.5 * spread * np.minimum(calls, puts)).sum(axis=1))


def terms(structure: Structure, entry: Quote, *, paid: float) -> Terms:
    """Debit, risk and maximum profit when `paid` of the half-spread is lost on the way in."""
    debit = entry.mid + paid * entry.half_spread
    iron = structure.type == IRON
    debit = np.where(iron, debit, np.maximum(debit, FLOOR))
    risk = np.where(iron, np.maximum(structure.width + debit, FLOOR), debit)
    return Terms(debit, risk, np.where(iron, -debit, structure.width - debit))


def roi(structure: Structure, entry: Quote, leave: Quote, *, paid: float) -> Array:
    """Return on risk of opening at `entry` and closing at `leave`, `paid` of the half-spread lost each way.

    Never below −1: a debit fly loses at most its debit, an iron fly at most its maximum loss.
    """
    opened = terms(structure, entry, paid=paid)
    received = leave.mid - paid * leave.half_spread
    least = np.where(structure.type == IRON, -structure.width, 0.0)
    return (np.maximum(received, least) - opened.debit) / opened.risk


def legs(structure: Structure, spot: Array, iv: Array, years: Array, *, rate: float) -> Array:
    """Mid price of each of the four legs, shape (n_events, 4)."""
    column = (slice(None), None)
    terms = (spot[column], structure.strikes, years[column], iv[column])
    return bsm_price(*terms, rate=rate, is_call=structure.is_call)


def greeks(structure: Structure, spot: Array, iv: Array, years: Array, *, rate: float) -> Greeks:
    """Greeks of the long structure: the sum over its own four legs. Units as in `bsm_greeks`."""
    column = (slice(None), None)
    legs = bsm_greeks(spot[column], structure.strikes, years[column], iv[column], rate=rate, is_call=structure.is_call)
    return Greeks(*((QUANTITY * leg).sum(axis=1) for leg in legs))


def probability_of_profit(
    structure: Structure, opened: Terms, spot: Array, iv: Array, years: Array, *, rate: float
) -> Array:
    """Risk-neutral probability that the expiry price lies between the breakevens; 0 where there are none."""
    reach = np.maximum(opened.max_profit, 0.0)
    deviation = iv * np.sqrt(years)
    drift = (rate - 0.5 * iv**2) * years

    def below(level: Array) -> Array:
        return ndtr((np.log(level / spot) - drift) / deviation)

    return np.where(reach > 0, below(structure.body + reach) - below(np.maximum(structure.body - reach, 1e-9)), 0.0)
