"""The features of a table of events measured against its outcomes."""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.audit.association import Association, Outcomes, Shift, between, shifted, shuffled, within
from bq.learning.sample import overlap
from bq.market import MarketData
from bq.market.bars import continuous
from bq.market.calendars import sessions

SHIFTS = (1, 5)  # sessions into the future
MOST_EVENTS = 40_000  # that are measured; of more, those of every n-th session
PAST_SESSIONS = 10  # of the return behind an event, shown beside what lies ahead of it
Array = NDArray[np.float64]


class Figures(NamedTuple):
    """How a feature goes with outcomes."""

    within: Association
    between: Association
    shifts: dict[int, Shift]  # within sessions, by sessions into the future; empty where they were not asked for
    group_shifts: dict[int, Shift]  # the same between sessions
    shuffled: Association = Association()  # this and the next are for people: none where they are not shown
    past: Association = Association()  # within sessions, with the return of the sessions before


class Measured:
    """What the features of matured events are measured against.

    matured : the events, sorted by session and symbol; their features need not be among its columns.
    registered : values of the user's own features on every bar; of others only the values of events are known.
    """

    def __init__(self, matured: pl.DataFrame, market: MarketData, registered: dict[str, pl.DataFrame]) -> None:
        calendar = sessions(market.calendar)["session"]
        self._registered = registered
        self._events = matured.with_columns(number=pl.Series(calendar.search_sorted(matured["session"])).cast(pl.Int64))
        self._calendar = pl.DataFrame({"session": calendar}).with_row_index("number").cast({"number": pl.Int64})
        self._market = market
        self._rows = _thinned(matured["session"])
        kept = matured[self._rows]
        self._known = Outcomes(_numbered(kept["session"]), kept["outcome"].to_numpy(), overlap(kept))

    def figures(self, feature: pl.Series, *, above: float, shown: bool, seed: int) -> Figures:
        """Of one feature, a value an event. above : the association from which shifts are measured; shown : all is."""
        x, known = numbers(feature)[self._rows], self._known
        inside, outside = within(x, known), between(x, known)
        asked = shown or np.nanmax([inside.surely, outside.surely, 0.0]) > above
        moved = {ahead: self._later(feature, ahead)[self._rows] for ahead in (SHIFTS if asked else ())}
        of_events, of_sessions = (
            {ahead: shifted(x, after, known, groups=groups) for ahead, after in moved.items()}
            for groups in (False, True)
        )
        found = Figures(inside, outside, of_events, of_sessions)
        if not shown:
            return found
        before = known._replace(outcome=self._past()[self._rows])
        return found._replace(shuffled=shuffled(x, known, seed=seed), past=within(x, before))

    def _later(self, feature: pl.Series, ahead: int) -> Array:
        """One value an event; NaN where the symbol has none so many sessions later."""
        name = feature.name
        if name in self._registered:
            source = self._registered[name].join(self._calendar, on="session").select("symbol", "number", name)
        else:
            source = self._events.select("symbol", "number", feature).unique(["symbol", "number"], keep="first")
        moved = source.with_columns(pl.col("number") - ahead)
        keys = self._events.select("symbol", "number")
        return numbers(keys.join(moved, on=["symbol", "number"], how="left", maintain_order="left")[name])

    def _past(self) -> Array:
        """Return of the sessions up to each event."""
        move = (continuous() / continuous().shift(PAST_SESSIONS) - 1.0).over("symbol")
        moves = self._market.bars.select("symbol", "session", past=move)
        keys = self._events.select("symbol", "session")
        return numbers(keys.join(moves, on=["symbol", "session"], how="left", maintain_order="left")["past"])


def numbers(column: pl.Series) -> Array:
    """A column with NaN where it is missing."""
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _numbered(session: pl.Series) -> NDArray[np.int64]:
    return session.rank("dense").cast(pl.Int64).to_numpy() - 1


def _thinned(session: pl.Series) -> NDArray[np.int64]:
    """Rows of every n-th session, so that they are not more than are measured."""
    return np.flatnonzero(_numbered(session) % -(-len(session) // MOST_EVENTS) == 0)
