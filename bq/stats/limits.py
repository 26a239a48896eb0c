"""Limits of the detectors of `streams` for a stated rate of false alarms, from blocks of a reference's own errors."""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bq.stats import streams

Array = NDArray[np.float64]
RATE = 0.10  # of streams without a change, the share that raises an alarm within the horizon
HORIZON = 1000  # values, of a stream that is fast enough
WITHIN = 150  # values in which a harm should be found, where the horizon is not shorter
LEAST_BLOCKS = 20  # of a reference; with fewer its own error rate is too little known
DRAWS = 2000


class Detector(StrEnum):
    """Ways to find a change; only the first two decide, the others stand beside them."""

    LLR_CUSUM = "llr_cusum"
    E_PROCESS = "e_process"
    CUSUM = "cusum"
    EWMA = "ewma"
    DUMMY = "dummy"  # alarms at random at the same rate: one that cannot beat it is no evidence


class Stream(NamedTuple):
    """What a stream is like without a change."""

    values: Array  # mean error of each block of the reference in order of time, shape (n_blocks,)

    @property
    def p0(self) -> float:
        """Error rate."""
        return float(_inside(self.values.mean(), len(self.values)))

    @property
    def spread(self) -> float:
        """Standard deviation of a block; that of one error where all blocks are alike."""
        found = float(self.values.std(ddof=1)) if len(self.values) > 1 else 0.0
        return found if found > 0.0 else float(np.sqrt(self.p0 * (1.0 - self.p0)))

    @property
    def size(self) -> float:
        """Independent errors that a block is worth: the mean of so many would vary as blocks do."""
        return max(1.0, self.p0 * (1.0 - self.p0) / self.spread**2)


class Found(NamedTuple):
    """A detector with its limit, and what that means; shares of simulated streams."""

    detector: Detector
    limit: float
    horizon: int  # values
    within: int  # values in which a harm is looked for
    false_alarms: float  # share with an alarm within the horizon without a change
    run_length: float  # mean number of values to an alarm without a change
    found: float  # share with an alarm within so many of the errors of `streams.harmed`
    delay: float  # mean number of values to these alarms


def path(detector: Detector, errors: Array, p0: Array, stream: Stream) -> Array:
    """The path of a detector. errors : shape (n_streams, n). p0 : error rate that each stream is held to."""
    if detector == Detector.LLR_CUSUM:
        return streams.llr_cusum(errors, p0, size=stream.size)
    if detector == Detector.E_PROCESS:
        return streams.e_process(errors, _upper(p0, stream))
    z = (errors - p0[:, None]) / stream.spread
    return streams.two_sided_cusum(z, k=0.5) if detector == Detector.CUSUM else streams.ewma(z, weight=0.1)


def _upper(p0: Array, stream: Stream) -> Array:
    """Upper bound of an error rate at RATE / 2, as the reference's own blocks leave it uncertain."""
    from scipy.special import stdtrit

    n = len(stream.values)
    reach = stdtrit(n - 1, 1.0 - RATE / 2) * stream.spread / np.sqrt(n)
    return _inside(p0 + reach, n)


def limit_of(detector: Detector, stream: Stream, *, seed: int, horizon: int = HORIZON) -> Found:
    """A detector's limit at RATE, then measured on streams that it was not set on.

    The e-process has no limit to choose: RATE / 2 is what its wealth may err by, the rest what p0 may.
    stream : of at least LEAST_BLOCKS values.
    """
    rng, within = np.random.default_rng(seed), min(WITHIN, horizon)

    def of(errors: Array, p0: Array) -> Array:
        return path(detector, errors, p0, stream)

    limit = float(np.log(2.0 / RATE)) if detector == Detector.E_PROCESS else _limit(of, stream, horizon, rng)
    errors, p0 = _unchanged(stream, horizon, rng)
    first = streams.first_alarm(of(errors, p0), limit)
    worse, p0 = _unchanged(stream, within, rng)
    after = streams.first_alarm(of(_harmed(worse, stream, rng), p0), limit)
    alarms, delays = int((first > 0).sum()), after[after > 0]
    watched = float(np.where(first > 0, first, horizon).sum())
    return Found(
        detector,
        limit,
        horizon,
        within,
        false_alarms=alarms / DRAWS,
        run_length=watched / alarms if alarms else np.inf,
        found=len(delays) / DRAWS,
        delay=float(delays.mean()) if len(delays) else np.nan,
    )


def dummy(horizon: int = HORIZON) -> Found:
    """Alarms at random at RATE, whatever the stream is like."""
    chance, within = 1.0 - (1.0 - RATE) ** (1.0 / horizon), min(WITHIN, horizon)
    at = np.arange(1, within + 1)
    weight = chance * (1.0 - chance) ** (at - 1)
    delay = float((weight * at).sum() / weight.sum())
    return Found(Detector.DUMMY, np.nan, horizon, within, RATE, 1.0 / chance, float(weight.sum()), delay)


def compared(stream: Stream, *, seed: int, horizon: int = HORIZON) -> list[Found]:
    """Every detector on one stream at one rate of false alarms, the dummy last."""
    found = (limit_of(one, stream, seed=seed, horizon=horizon) for one in Detector if one != Detector.DUMMY)
    return [*found, dummy(horizon)]


def _limit(of: Callable[[Array, Array], Array], stream: Stream, horizon: int, rng: np.random.Generator) -> float:
    """The limit that at most RATE of streams reach, with 97.5 % confidence over the draws."""
    errors, p0 = _unchanged(stream, horizon, rng)
    sure = 1.0 - RATE + 1.96 * np.sqrt(RATE * (1.0 - RATE) / DRAWS)
    return float(np.quantile(of(errors, p0).max(axis=-1), sure))


def _unchanged(stream: Stream, length: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Streams in which nothing changes, shape (DRAWS, length), and the error rate that each is held to.

    The rate comes from as many resampled blocks as the reference has: what is not known of it is part of the limit.
    """
    errors = _resampled(stream.values, length, rng)
    return errors, _inside(_resampled(stream.values, len(stream.values), rng).mean(axis=1), len(stream.values))


def _resampled(values: Array, length: int, rng: np.random.Generator) -> Array:
    """DRAWS streams of circular blocks of n^(1/3) values: Hall, Horowitz & Jing 1995, doi:10.1093/biomet/82.3.561."""
    block = max(1, round(len(values) ** (1 / 3)))
    begins = rng.integers(0, len(values), (DRAWS, -(-length // block)))
    rows = (begins[:, :, None] + np.arange(block)) % len(values)
    return values[rows.reshape(DRAWS, -1)[:, :length]]


def _harmed(errors: Array, stream: Stream, rng: np.random.Generator) -> Array:
    """The streams with as many right answers turned wrong as `streams.harmed` has more errors."""
    turned = (streams.harmed(stream.p0) - stream.p0) / (1.0 - stream.p0)
    size = max(1, round(stream.size))
    return errors + (1.0 - errors) * rng.binomial(size, turned, errors.shape) / size


def _inside(p: NDArray | float, blocks: int) -> Array:
    """Rates that no log-likelihood is infinite of: half an error away from 0 and 1."""
    edge = 0.5 / max(blocks, 1)
    return np.clip(p, edge, 1.0 - edge)
