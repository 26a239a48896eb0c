"""Structures and prices from listed quotes: the chain's own strikes and expiries, bought at ask, sold at bid."""

import datetime as dt
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.analysis import chain
from bq.market.chains.coverage import SERIES, adjusted, pairs
from bq.strategies.butterfly import pricing
from bq.strategies.butterfly.history import Array, History, Index, split_between
from bq.strategies.butterfly.settings import ButterflySettings
from bq.strategies.butterfly.structure import IS_CALL, QUANTITY, Reading, Structure, choose, least_wing

WIDTH_REACH = 2.0  # a listed wing may be up to so many times wider or narrower than the one wanted


class Board(NamedTuple):
    """Two-sided quotes of one underlying."""

    strikes: dict[dt.date, dict[dt.date, Array]]  # session → expiry → strikes with both rights, of the root there
    root: dict[tuple[dt.date, dt.date], str]  # session, expiry: the root that is traded
    prices: dict[tuple[dt.date, str, dt.date, bool, float], tuple[float, float]]  # bid, ask by contract; bool: call
    morning: set[tuple[str, dt.date]]  # root, expiry: settles at the open


def board(quotes: pl.DataFrame) -> Board:
    """Arrange the quotes of one underlying (the quote contract).

    Where several roots share an expiry one is traded from entry to exit, since their contracts are not the same: one
    that settles at the close, if there is one. Contracts adjusted for a corporate action (AAPL1) deliver something else
    than the shares that the bars are about and are left out.
    """
    plain = quotes.filter(~adjusted())
    by_series = pairs(quotes).group_by(SERIES).agg(pl.col("strike").sort(), count=pl.len())
    order = ["session", "expiry", pl.col("settlement") == "PM", "count", "root"]
    best = by_series.sort(order, descending=[False, False, True, True, False])
    strikes: dict[dt.date, dict[dt.date, Array]] = {}
    root: dict[tuple[dt.date, dt.date], str] = {}
    listed = best.unique(["session", "expiry"], keep="first", maintain_order=True)
    for session, expiry, name, values in listed.select("session", "expiry", "root", "strike").iter_rows():
        strikes.setdefault(session, {})[expiry] = np.array(values)
        root[(session, expiry)] = name
    columns = plain.select("session", "root", "expiry", pl.col("right") == "call", "strike", "bid", "ask")
    prices = {row[:5]: row[5:] for row in columns.iter_rows()}
    morning = plain.filter(pl.col("settlement") == "AM").select("root", "expiry").unique()
    return Board(strikes, root, prices, set(morning.iter_rows()))


def surface(quotes: pl.DataFrame, *, rate: float) -> pl.DataFrame:
    """Thirty-day at-the-money IV and skew of each session, re-solved from its quotes: session, iv, skew.

    Skew is the IV at 0.96 less that at 1.04 of the forward. Null where the expiries do not reach around 30 days.
    """
    points = chain.constant_maturity(chain.smile(chain.solve_iv(quotes.filter(~adjusted()), rate)))
    wide = points.pivot("moneyness", index="session", values="iv")
    return wide.select("session", iv="1.0", skew=pl.col("0.96") - pl.col("1.04")).sort("session")


class Listed(NamedTuple):
    """Prices of one symbol's structures by its quotes."""

    h: History
    s: ButterflySettings
    board: Board

    def choose(self, at: Index, reading: Reading) -> Structure:
        """The listed structure nearest to the one the rules want; NaN strikes where there is none."""
        wanted = choose(reading, quoted=True, settings=self.s.structure)
        least = least_wing(reading, wanted.dte_days, self.s.structure)
        days = self.h.session[at].tolist()
        asked = zip(days, reading.forecast, wanted.width, least, wanted.dte_days, strict=True)
        rows = [self._nearest(*one) for one in asked]
        body, width, dte = (np.array(part) for part in zip(*rows, strict=True)) if rows else (np.zeros(0),) * 3
        return Structure(wanted.type, body - width, body, body + width, dte.astype(np.int64))

    def _nearest(self, day: dt.date, forecast: float, width: float, least: float, dte: int) -> tuple[float, float, int]:
        """Body, wing width (of `least` or more) and days to expiry."""
        expiries = self.board.strikes.get(day, {})
        expiry = min(expiries, key=lambda e: (abs((e - day).days - dte), e), default=None)
        reach = self.s.structure.listed_dte_reach * dte
        if expiry is None or abs((expiry - day).days - dte) > reach or not np.isfinite(forecast):
            return np.nan, np.nan, int(dte)
        strikes = expiries[expiry]
        body = strikes[np.argmin(np.abs(strikes - forecast))]
        above = strikes[strikes > body] - body
        widths = above[np.isin(body - above, strikes)]
        widths = widths[(widths >= max(width / WIDTH_REACH, least)) & (widths <= width * WIDTH_REACH)]
        if not len(widths) or abs(body - forecast) > width:
            return np.nan, np.nan, int(dte)
        return float(body), float(widths[np.argmin(np.abs(widths - width))]), (expiry - day).days

    def roots(self, at: Index, structure: Structure) -> list[str | None]:
        """The root that is traded from entry to exit."""
        days = self.h.session[at].tolist()
        expiries = [day + dt.timedelta(days=int(dte)) for day, dte in zip(days, structure.dte_days, strict=True)]
        return [self.board.root[pair] for pair in zip(days, expiries, strict=True)]

    def quote(self, at: Index, structure: Structure, position: Index) -> pricing.Quote:
        """Mid and half-spread at bar `position`; NaN where a leg has no quote; settled from the expiry on.

        NaN also after a split: the exchange has then replaced the contracts by others with other strikes.
        """
        bid, ask = self._bids_and_asks(at, structure, position)
        return pricing.Quote((QUANTITY * (bid + ask)).sum(axis=1) / 2.0, (ask - bid).sum(axis=1) / 2.0)

    def legs(self, at: Index, structure: Structure, position: Index) -> Array:
        """Mid price of each leg at bar `position`, where all of them have one."""
        bid, ask = self._bids_and_asks(at, structure, position)
        return (bid + ask) / 2.0

    def _bids_and_asks(self, at: Index, structure: Structure, position: Index) -> tuple[Array, Array]:
        """Of each leg, shape (n_events, 4); both the settlement value from the expiry on."""
        bid, ask = np.full((len(at), 4), np.nan), np.full((len(at), 4), np.nan)
        days, starts = self.h.session[position].tolist(), self.h.session[at].tolist()
        same = ~split_between(self.h, self._quoted, at, position)
        for i in np.flatnonzero(same & np.isfinite(structure.body)):
            expiry = starts[i] + dt.timedelta(days=int(structure.dte_days[i]))
            strikes, calls = structure.strikes[i], IS_CALL[structure.type[i]]
            root = self.board.root[(starts[i], expiry)]
            if days[i] >= expiry:
                bid[i] = ask[i] = self._settled(root, expiry, strikes, calls)
                continue
            contracts = [(days[i], root, expiry, bool(c), float(k)) for c, k in zip(calls, strikes, strict=True)]
            found = [self.board.prices.get(contract) for contract in contracts]
            if all(found):
                bid[i], ask[i] = np.array(found).T
        return bid, ask

    @property
    def _quoted(self) -> Array:
        """Closes as quoted; without them no session is listed."""
        if self.h.quoted is None:
            raise ValueError("listed structures must be priced from bars with quoted closes, but these have none")
        return self.h.quoted

    def _settled(self, root: str, expiry: dt.date, strikes: Array, calls: NDArray[np.bool_]) -> Array:
        """Intrinsic value of each leg at the settlement price: the open where the root settles in the morning."""
        place = int(np.searchsorted(self.h.session, np.datetime64(expiry)))
        if place >= len(self.h.session) or self.h.session[place] != np.datetime64(expiry):
            return np.full(len(strikes), np.nan)
        price = self.h.opens[place] if (root, expiry) in self.board.morning else self._quoted[place]
        return np.maximum(np.where(calls, price - strikes, strikes - price), 0.0)
