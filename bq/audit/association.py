"""How a feature goes with outcomes: within sessions, between them, and when it is shifted into the future.

All correlations are of ranks over the whole table (heavy tails count as their order), those within a session of what is
left after its mean. Standard errors allow for labels that overlap: Newey and West 1987, doi:10.2307/1913610, over twice
the sessions that a label spans.
"""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]
FEWEST_SESSIONS = 30  # with a pair of different values; with fewer there is no figure


class Association(NamedTuple):
    """A correlation with its standard error; NaN where there is no figure."""

    value: float = np.nan
    error: float = np.nan
    sessions: int = 0

    @property
    def surely(self) -> float:
        """What its size is beyond doubt: four standard errors below; NaN where there is no figure."""
        return abs(self.value) - SURE * self.error


class Shift(NamedTuple):
    """The same feature later, on the pairs where both are known."""

    value: float = np.nan
    fall: float = np.nan  # by which the size of the correlation is smaller than that of the feature itself
    error: float = np.nan  # of the fall

    @property
    def worse(self) -> bool:
        """Whether the later value surely knows less of the outcome; a feature that only looks back knows more."""
        return bool(self.fall > SURE * self.error)

    @property
    def known(self) -> bool:
        """Whether there is a figure."""
        return bool(np.isfinite(self.value))


SURE = 4.0  # standard errors: one figure in 16,000 of a normal law is farther from its mean


class Outcomes(NamedTuple):
    """What features are held against: arrays of shape (n_events,), in order of session."""

    session: Index  # number of the session among those of the events, from 0
    outcome: Array
    span: int  # sessions of the events that a label spans


def within(x: Array, known: Outcomes) -> Association:
    """Correlation within sessions, of events whose session has more than one."""
    parts = _within(x, known.outcome, known.session)
    return _figure(parts, known.span)


def between(x: Array, known: Outcomes) -> Association:
    """Correlation of the session's mean of a feature with its mean outcome."""
    parts = _between(x, known.outcome, known.session)
    return _figure(parts, known.span)


def shuffled(x: Array, known: Outcomes, *, seed: int) -> Association:
    """Correlation over all events with outcomes permuted within sessions: what the feature knows of whole sessions."""
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(x)), known.session))
    mixed = np.empty_like(known.outcome)
    mixed[np.lexsort((np.arange(len(x)), known.session))] = known.outcome[order]
    good = np.isfinite(x) & np.isfinite(mixed)
    if not good.any():
        return Association()
    a, b = _ranks(x[good]), _ranks(mixed[good])
    return _figure(_sums(a - a.mean(), b - b.mean(), known.session[good]), known.span)


def shifted(x: Array, later: Array, known: Outcomes, *, groups: bool) -> Shift:
    """The feature of some sessions later against the same outcomes; groups : between sessions, else within."""
    both = np.isfinite(x) & np.isfinite(later)
    outcome = np.where(both, known.outcome, np.nan)
    of = _between if groups else _within
    now, then = (of(np.where(both, values, np.nan), outcome, known.session) for values in (x, later))
    if now is None or then is None:
        return Shift()
    a, b = now.correlation, then.correlation
    size = max(len(now.products), len(then.products))
    change = np.zeros(size)
    change[: len(now.products)] += np.sign(a) * now.products / now.norm
    change[: len(then.products)] -= np.sign(b) * then.products / then.norm
    return Shift(b, abs(a) - abs(b), _error(change, known.span))


class _Parts(NamedTuple):
    products: Array  # by session
    norm: float

    @property
    def correlation(self) -> float:
        return float(self.products.sum() / self.norm)


def _ranks(values: Array) -> Array:
    return pl.Series(values).rank("average").to_numpy() / len(values)


def _sums(a: Array, b: Array, session: Index) -> _Parts | None:
    norm = float(np.sqrt((a @ a) * (b @ b)))
    varied = np.unique(session[(np.abs(a) > 1e-12) & (np.abs(b) > 1e-12)])
    if len(varied) < FEWEST_SESSIONS or not norm > 1e-9:
        return None
    return _Parts(np.bincount(session, a * b).astype(np.float64), norm)


def _within(x: Array, y: Array, session: Index) -> _Parts | None:
    good = np.isfinite(x) & np.isfinite(y)
    if not good.any():
        return None
    s = session[good]
    return _sums(_less_mean(_ranks(x[good]), s), _less_mean(_ranks(y[good]), s), s)


def _between(x: Array, y: Array, session: Index) -> _Parts | None:
    good = np.isfinite(x) & np.isfinite(y)
    if not good.any():
        return None
    s, count = session[good], np.bincount(session[good])
    there = count > 0
    a, b = (np.bincount(s, _ranks(values[good]))[there] / count[there] for values in (x, y))
    return _sums(a - a.mean(), b - b.mean(), np.flatnonzero(there))


def _less_mean(values: Array, session: Index) -> Array:
    mean = np.bincount(session, values) / np.maximum(np.bincount(session), 1)
    return values - mean[session]


def _figure(parts: _Parts | None, span: int) -> Association:
    if parts is None:
        return Association()
    value = parts.correlation
    scaled = parts.products / parts.norm
    return Association(value, _error(scaled, span), int(np.count_nonzero(scaled)))


def _error(contributions: Array, span: int) -> float:
    """Standard error of a sum of contributions by session, by their autocovariances up to twice the span."""
    centred = contributions - contributions.mean()
    reach = min(2 * span, len(centred) - 1)
    total = float(centred @ centred)
    for lag in range(1, reach + 1):
        total += 2.0 * (1.0 - lag / (reach + 1)) * float(centred[lag:] @ centred[:-lag])
    return float(np.sqrt(max(total, 0.0)))
