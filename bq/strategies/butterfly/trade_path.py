"""What happened to each event after t0: entry, exit, and the outcome at every fill."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bq.strategies.butterfly import exits, pricing
from bq.strategies.butterfly.history import History, in_units_of_t0
from bq.strategies.butterfly.settings import ButterflySettings
from bq.strategies.butterfly.structure import IRON, Reading, Structure

Array = NDArray[np.float64]
Index = NDArray[np.int64]

ROUNDING = 1e-9  # of a price


class Pricer(Protocol):
    """Where structures and their prices come from: a model, or listed quotes."""

    def choose(self, at: Index, reading: Reading) -> Structure:
        """The structure of each event; NaN strikes where none can be had."""
        ...

    def quote(self, at: Index, structure: Structure, position: Index) -> pricing.Quote:
        """Value at bar `position` of the structures chosen at bar `at`; NaN where there is no quote."""
        ...

    def legs(self, at: Index, structure: Structure, position: Index) -> Array:
        """Mid price of each leg at bar `position`, shape (n_events, 4); NaN where there is no quote."""
        ...

    def roots(self, at: Index, structure: Structure) -> list[str | None]:
        """The option root of each structure; None where it is of no listed contract."""
        ...


class TradePath(NamedTuple):
    """Positions are −1 and values NaN while they are not known; all arrays of shape (n_events,)."""

    due: NDArray[np.datetime64]  # latest session at which it can end
    entry: Index
    exit: Index
    known: NDArray[np.datetime64]  # session at which the outcome was known; NaT while open
    exit_reason: NDArray[np.str_]


def trade_path(h: History, at: Index, structure: Structure, pricer: Pricer, s: ButterflySettings) -> TradePath:
    """Follow each trade from the next session to its exit.

    The exit is where the rule of `exits` says so, else the first priced bar on or after the holding horizon. Where none
    comes within `carry_sessions`, the position is closed at its last price before: leaving it out would keep only the
    positions whose market stayed open. That this is the outcome is known when the waiting is over, not before.
    """
    carry = s.label.carry_sessions
    planned, due = exits.span(h.session[at], structure.dte_days, h.calendar, s.label)
    last_entry = h.calendar[np.searchsorted(h.calendar, h.session[at]) + 1 + carry]
    entry = _first_priced(h, at, structure, pricer, start=at + 1, until=last_entry, tries=carry + 1)
    horizon = np.searchsorted(h.session, planned, side="left")
    on_time = _first_priced(h, at, structure, pricer, start=horizon, until=due, tries=carry + 1)
    before = np.minimum(np.searchsorted(h.session, due, side="right") - 1, horizon - 1)
    early, why = _early(h, at, structure, pricer, s, entry=entry, last=before)
    stranded = (entry >= 0) & (early < 0) & (on_time < 0) & (due <= h.last)
    last_price = _last_priced(h, at, structure, pricer, start=np.where(stranded, before, -1), entry=entry)
    leave = np.where(early >= 0, early, np.where(on_time >= 0, on_time, last_price))
    leave = np.where(entry >= 0, leave, -1)
    closed = leave >= 0
    known = np.where(closed, np.where(last_price >= 0, due, h.session[leave]), np.datetime64("NaT"))
    expired = h.session[leave] >= h.session[at] + structure.dte_days.astype("timedelta64[D]")
    late = exits.late(last_price=last_price >= 0, expired=expired)
    reason = np.where(~closed, "", np.where(early >= 0, np.array(exits.REASONS)[why], late))
    return TradePath(due, entry, leave, known, reason)


def possible(mid: Array, structure: Structure) -> Array:
    """Mid prices; NaN where one is outside its no-arbitrage bounds: nobody trades there."""
    least = np.where(structure.type == IRON, -structure.width, 0.0)
    inside = (mid >= least - ROUNDING) & (mid <= least + structure.width + ROUNDING)
    return np.where(inside, mid, np.nan)


def _mid(pricer: Pricer, at: Index, structure: Structure, position: Index) -> Array:
    """Possible mid price; NaN where there is none."""
    return possible(pricer.quote(at, structure, position).mid, structure)


def _first_priced(
    h: History, at: Index, structure: Structure, pricer: Pricer, *, start: Index, until: NDArray, tries: int
) -> Index:
    """First bar from `start` that is not after the session `until` and has a price; −1 where there is none."""
    found = np.full(len(at), -1)
    for step in range(tries):
        position = start + step
        inside = (position >= 0) & (position < len(h.session))
        safe = np.where(inside, position, 0)
        open_ = inside & (found < 0) & (h.session[safe] <= until)
        if open_.any():
            priced = np.isfinite(_mid(pricer, at, structure, safe))
            found = np.where(open_ & priced, position, found)
    return found


def _last_priced(h: History, at: Index, structure: Structure, pricer: Pricer, *, start: Index, entry: Index) -> Index:
    """Last priced bar not after `start` and not before the entry; −1 where `start` is −1."""
    found, position = np.full(len(at), -1), start.copy()
    while (searching := (found < 0) & (position >= entry) & (position >= 0)).any():
        priced = np.isfinite(_mid(pricer, at, structure, np.maximum(position, 0)))
        found = np.where(searching & priced, position, found)
        position = position - 1
    return found


def _early(
    h: History, at: Index, structure: Structure, pricer: Pricer, s: ButterflySettings, *, entry: Index, last: Index
) -> tuple[Index, Index]:
    """First bar after the entry and not after `last` at which the exit rule closes the position, and why."""
    deal = pricing.terms(structure, pricer.quote(at, structure, np.maximum(entry, 0)), paid=s.costs.half_spread_paid)
    found, why = np.full(len(at), -1), np.full(len(at), exits.HOLD)
    if s.label.take_profit is None and s.label.stop_loss is None:
        return found, why
    position = entry + 1
    while (held := (entry >= 0) & (found < 0) & (position <= last) & (position < len(h.session))).any():
        mark = _mid(pricer, at, structure, np.where(held, position, 0))
        signal = np.where(held, exits.triggered(mark - deal.debit, deal.max_profit, deal.risk, s.label), exits.HOLD)
        found, why = np.where(signal != exits.HOLD, position, found), np.where(signal != exits.HOLD, signal, why)
        position = position + 1
    return found, why


def outcomes(
    h: History, at: Index, structure: Structure, path: TradePath, pricer: Pricer, s: ButterflySettings
) -> dict[str, NDArray]:
    """ROI at the exit for each fraction of the half-spread, ROI after 7 sessions, and whether it ended in the zone."""
    paid = s.costs.half_spread_paid
    opened = pricer.quote(at, structure, path.entry)
    deal = pricing.terms(structure, opened, paid=paid)
    leave, week = pricer.quote(at, structure, path.exit), np.minimum(at + 7, path.exit)
    exit_spot = in_units_of_t0(h, at, path.exit)
    values = {
        "outcome": pricing.roi(structure, opened, leave, paid=paid),
        **{f"roi_{share:.0%}": pricing.roi(structure, opened, leave, paid=share) for share in pricing.FRACTIONS},
        "lead_7d": pricing.roi(structure, opened, pricer.quote(at, structure, week), paid=paid),
        "debit": deal.debit,
        "risk": deal.risk,
        "exit_spot": exit_spot,
        "in_zone": (np.abs(exit_spot - structure.body) < structure.width).astype(np.float64),
    }
    return {name: np.where(path.exit >= 0, value, np.nan) for name, value in values.items()}
