"""What an event earned: from the price of the next session to the close of session T + horizon."""

from typing import NamedTuple

import numpy as np

from bq.market.matrix import Array, BarMatrix, Mask


class Outcomes(NamedTuple):
    """Matrices of shape (n_symbols, n_sessions), by the session T of t0."""

    known: Mask  # T + horizon is over
    enterable: Mask  # T+1 has a price, or is still to come
    value: Array  # exit / entry − 1, dividends included, without costs; NaN where not known or not enterable
    at_open: Mask  # whether the entry is the open of T+1; else its close
    stale_sessions: Array  # sessions from the exit price to T + horizon; 0: it is that session's own


def outcomes(p: BarMatrix, *, horizon: int) -> Outcomes:
    """Forward returns over the sessions T+1 to T + `horizon`.

    Entry is the open of T+1 where its bar has one, else its close. Exit is the close of T + `horizon`; for a symbol
    without a bar there, halted or delisted, the last close before it since the entry, and `stale_sessions` says how
    old that is. (To leave such events out would leave out what ends badly. Bars do not tell what holders got after the
    last price.) A symbol without a bar at T+1 could not be bought: no event.
    """
    symbols, sessions = p.close.shape
    entry_at = np.arange(1, sessions + 1)
    exit_at = np.arange(sessions) + horizon
    over, known = entry_at < sessions, exit_at < sessions
    entry = np.full((symbols, sessions), np.nan)
    opened = np.zeros((symbols, sessions), bool)
    opened[:, over] = np.isfinite(p.open[:, 1:])
    entry[:, over] = np.where(opened[:, over], p.open[:, 1:], p.close[:, 1:])
    last = np.maximum.accumulate(np.where(p.has_bar, np.arange(sessions), 0), axis=1)
    value, stale = (np.full((symbols, sessions), np.nan) for _ in range(2))
    newest = last[:, exit_at[known]]
    value[:, known] = np.take_along_axis(p.close, newest, axis=1) / entry[:, known] - 1.0
    stale[:, known] = np.where(np.isfinite(value[:, known]), exit_at[known] - newest, np.nan)
    return Outcomes(np.broadcast_to(known, entry.shape), np.isfinite(entry) | ~over, value, opened, stale)
