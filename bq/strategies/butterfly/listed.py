"""Structures and prices from listed quotes: the chain's own strikes and expiries, bought at ask, sold at bid."""

import datetime as dt
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.analysis import chain
from bq.strategies.butterfly import pricing
from bq.strategies.butterfly.history import Array, History, Index
from bq.strategies.butterfly.settings import ButterflySettings
from bq.strategies.butterfly.structure import IS_CALL, QUANTITY, Reading, Structure, choose

DTE_REACH = 0.4  # a listed expiry may differ from the wanted one by this share of it


class Board(NamedTuple):
    """Two-sided quotes of one underlying: session → expiry → strikes quoted on both sides, and bid, ask by contract."""

    strikes: dict[dt.date, dict[dt.date, Array]]
    prices: dict[tuple[dt.date, dt.date, bool, float], tuple[float, float]]  # session, expiry, is call, strike
    morning: set[dt.date]  # expiries that settle at the open


def board(quotes: pl.DataFrame) -> Board:
    """Arrange the quotes of one underlying (the quote contract).

    Where two roots share an expiry the one that settles at the close is taken: one contract, one settlement.
    """
    late = pl.col("settlement") == "PM"
    one = quotes.filter(late | ~late.any().over("session", "expiry"))
    both = one.group_by("session", "expiry", "strike").agg(pl.col("right").n_unique().alias("rights"))
    strikes: dict[dt.date, dict[dt.date, Array]] = {}
    listed = both.filter(pl.col("rights") == 2).sort("strike").group_by("session", "expiry", maintain_order=True)
    for (session, expiry), group in listed:
        strikes.setdefault(session, {})[expiry] = group["strike"].to_numpy()
    columns = one.select("session", "expiry", pl.col("right") == "call", "strike", "bid", "ask")
    prices = {row[:4]: row[4:] for row in columns.iter_rows()}
    return Board(strikes, prices, set(one.filter(~late)["expiry"]))


def surface(quotes: pl.DataFrame, *, rate: float) -> pl.DataFrame:
    """Thirty-day at-the-money IV and skew of each session, re-solved from its quotes: session, iv, skew.

    Skew is the IV at 0.96 less that at 1.04 of the forward. Null where the expiries do not reach around 30 days.
    """
    points = chain.constant_maturity(chain.smile(chain.solve_iv(quotes, rate)))
    wide = points.pivot("moneyness", index="session", values="iv")
    return wide.select("session", iv="1.0", skew=pl.col("0.96") - pl.col("1.04")).sort("session")


class Listed(NamedTuple):
    """Prices of one symbol's structures by its quotes."""

    h: History
    s: ButterflySettings
    board: Board

    def covers(self, at: Index) -> NDArray[np.bool_]:
        """Whether there are quotes at each position."""
        return np.array([day in self.board.strikes for day in self.h.session[at].tolist()], bool)

    def choose(self, at: Index, reading: Reading) -> Structure:
        """The listed structure nearest to the one the rules want; NaN strikes where there is none."""
        wanted = choose(reading, quoted=True, settings=self.s.structure)
        days = self.h.session[at].tolist()
        rows = [
            self._nearest(day, forecast, width, dte)
            for day, forecast, width, dte in zip(days, reading.forecast, wanted.width, wanted.dte_days, strict=True)
        ]
        body, width, dte = (np.array(part) for part in zip(*rows, strict=True)) if rows else (np.zeros(0),) * 3
        return Structure(wanted.type, body - width, body, body + width, dte.astype(np.int64))

    def _nearest(self, day: dt.date, forecast: float, width: float, dte: int) -> tuple[float, float, int]:
        """Body, wing width and days to expiry."""
        expiries = self.board.strikes.get(day, {})
        expiry = min(expiries, key=lambda e: (abs((e - day).days - dte), e), default=None)
        if expiry is None or abs((expiry - day).days - dte) > DTE_REACH * dte or not np.isfinite(forecast):
            return np.nan, np.nan, int(dte)
        strikes = expiries[expiry]
        body = strikes[np.argmin(np.abs(strikes - forecast))]
        above = strikes[strikes > body] - body
        widths = above[np.isin(body - above, strikes)]
        if not len(widths):
            return np.nan, np.nan, int(dte)
        return float(body), float(widths[np.argmin(np.abs(widths - width))]), (expiry - day).days

    def quote(self, at: Index, structure: Structure, position: Index) -> pricing.Quote:
        """Mid and half-spread at bar `position`; NaN where a leg has no quote; settled from the expiry on."""
        mid, half = np.full(len(at), np.nan), np.full(len(at), np.nan)
        days, starts = self.h.session[position].tolist(), self.h.session[at].tolist()
        for i, (day, start) in enumerate(zip(days, starts, strict=True)):
            expiry = start + dt.timedelta(days=int(structure.dte_days[i]))
            strikes, calls = structure.strikes[i], IS_CALL[structure.type[i]]
            if day >= expiry:
                mid[i], half[i] = self._settled(expiry, strikes, calls), 0.0
                continue
            found = [
                self.board.prices.get((day, expiry, bool(c), float(k))) for c, k in zip(calls, strikes, strict=True)
            ]
            if all(found):
                bid, ask = np.array(found).T
                mid[i], half[i] = float(QUANTITY @ (bid + ask)) / 2.0, float((ask - bid).sum()) / 2.0
        return pricing.Quote(mid, half)

    def _settled(self, expiry: dt.date, strikes: Array, calls: NDArray[np.bool_]) -> float:
        """Intrinsic value at the settlement price: the open where the expiry settles in the morning, else the close."""
        place = int(np.searchsorted(self.h.session, np.datetime64(expiry)))
        if place >= len(self.h.session) or self.h.session[place] != np.datetime64(expiry):
            return np.nan
        price = self.h.opens[place] if expiry in self.board.morning else self.h.quoted[place]
        return float(QUANTITY @ np.maximum(np.where(calls, price - strikes, strikes - price), 0.0))
