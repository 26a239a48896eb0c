"""What many markets say of the gate: how often it deploys, what refused, and how far that is certain."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy.stats import binom, binomtest, chi2

from bq.audit.calibration import Judged, Measured, Watched
from bq.serving.refusals import refusals
from bq.stats import permutation
from bq.stats.year import DAYS_A_MONTH, DAYS_A_YEAR
from bq.strategies.component import Component, Kind

CONFIDENCE = 0.95
BAND = 0.99  # in which the number of intervals that hold is expected
LASTING = ("error_cusum", "error_eprocess")  # checks that never take an alarm back
WHO = ("champion", "second", "oracle")


class Share(NamedTuple):
    """A share of markets with its exact interval (Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404)."""

    number: int
    markets: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """The number over markets; NaN without any."""
        return self.number / self.markets if self.markets else np.nan


def share(count: int, markets: int) -> Share:
    """A count of markets as a share.

    >>> round(share(4, 200).high, 4)
    0.0504
    """
    if not markets:
        return Share(0, 0, 0.0, 1.0)
    found = binomtest(count, markets).proportion_ci(CONFIDENCE, method="exact")
    return Share(count, markets, float(found.low), float(found.high))


def deployed(markets: Sequence[Measured]) -> dict[str, Share]:
    """How often each tier was deployed, either of the two, and who knows the law; without those never asked."""
    found = {}
    for who in WHO:
        verdicts = [judged for market in markets if (judged := getattr(market, who)) is not None]
        if verdicts or who == "champion":
            asked = len(markets) if who != "oracle" else len(verdicts)  # no verdict deploys nothing
            found[who] = share(sum(judged.deploy for judged in verdicts), asked)
    found["either"] = share(sum(market.deployed for market in markets), len(markets))
    return found


def components(verdicts: Sequence[Judged]) -> pl.DataFrame:
    """`refusals` of verdicts of one tier: kind, verdicts, refused, inconclusive (of these), alone, without.

    without : verdicts that would deploy if it were not asked.
    """
    found = refusals({"": [judged.verdict for judged in verdicts]})
    alone = pl.col("refused_alone")
    return found.select(
        "verdicts", "refused", "inconclusive", kind="component", alone=alone, without=pl.col("deployed") + alone
    ).select("kind", "verdicts", "refused", "inconclusive", "alone", "without")


def figures(verdicts: Sequence[Judged]) -> pl.DataFrame:
    """Deciles of each component's figure over markets: kind, markets, p10, median, p90."""
    rows = [(part.kind.value, part.value) for judged in verdicts for part in judged.components]
    frame = pl.DataFrame(rows, schema={"kind": pl.String, "value": pl.Float64}, orient="row").drop_nulls()
    value = pl.col("value")
    return frame.group_by("kind", maintain_order=True).agg(
        markets=pl.len(), p10=value.quantile(0.1), median=value.median(), p90=value.quantile(0.9)
    )


def estimated(verdicts: Sequence[Judged]) -> list[Kind]:
    """The components whose figure has an interval, in their order."""
    parts = (part for judged in verdicts for part in judged.components)
    return list(dict.fromkeys(part.kind for part in parts if part.low is not None and part.high is not None))


class Coverage(NamedTuple):
    """How often the interval of a figure holds its true value, over markets that have both."""

    kind: Kind
    holds: Share
    above: int  # intervals that lie above the true value: the gate's low bound errs
    below: int
    least: int  # the band of the binomial in which as many intervals as are asked for hold
    most: int
    truth: float  # mean over the markets, as the next
    figure: float


def coverage(markets: Sequence[Measured]) -> list[Coverage]:
    """Of each figure of either tier whose expectation is known by the law. Each market has its own true value."""
    kinds = dict.fromkeys(kind for market in markets if market.truth for kind in market.truth.expected)
    return [found for kind in kinds if (found := _coverage(markets, kind)) is not None]


def _coverage(markets: Sequence[Measured], kind: Kind) -> Coverage | None:
    rows = [
        (part.low, part.high, part.value, market.truth.expected[kind])
        for market in markets
        if market.truth and kind in market.truth.expected
        if (part := _part(market, kind)) is not None and part.low is not None
    ]
    if not rows:
        return None
    low, high, figure, truth = np.array(rows, np.float64).T
    above, below, n = int((low > truth).sum()), int((high < truth).sum()), len(rows)
    least, most = binom.interval(BAND, n, CONFIDENCE)
    return Coverage(
        kind,
        share(n - above - below, n),
        above,
        below,
        int(least),
        int(most),
        float(truth.mean()),
        float(figure.mean()),
    )


def apart(markets: Sequence[Measured]) -> Share:
    """On how many markets whose law is known daily looks ever told model and rule score apart from their true
    difference."""
    known = [market.truth for market in markets if market.truth is not None]
    return share(sum(one.apart is not None for one in known), len(known))


def _part(market: Measured, kind: Kind) -> Component | None:
    """The component of the candidate, or else of the second tier."""
    parts = (part for judged in (market.champion, market.second) if judged for part in judged.components)
    return next((part for part in parts if part.kind == kind), None)


class Alarms(NamedTuple):
    """What one kind of check raised over markets that change at a known date."""

    kind: str
    markets: int
    years: float  # watched before the change, of all markets
    false: int  # alarms in that time; of a check whose alarm stays, one a market
    low: float  # exact 95% interval of false alarms a year (Garwood 1936, doi:10.1093/biomet/28.3-4.437)
    high: float
    found: Share  # markets with an alarm after the change, of those that had no lasting one before
    months: float  # from the change to the first alarm, median of the markets where it was found; NaN of none


def alarms(markets: Sequence[Measured]) -> list[Alarms]:
    """By kind of check, of the markets that were watched."""
    watched = [market.watched for market in markets if market.watched is not None]
    kinds = dict.fromkeys(kind for one in watched for kind in one.alarms)
    return [_alarms([one for one in watched if kind in one.alarms], kind) for kind in kinds]


def _alarms(watched: Sequence[Watched], kind: str) -> Alarms:
    years = sum((one.changes - one.first).days for one in watched) / DAYS_A_YEAR
    false, asked, delays = 0, 0, []
    for one in watched:
        early = [day for day in one.alarms[kind] if day < one.changes]
        lasting = kind in LASTING
        false += min(len(early), 1) if lasting else len(early)
        if lasting and early:
            continue
        asked += 1
        delays += [(day - one.changes).days / DAYS_A_MONTH for day in one.alarms[kind] if day >= one.changes][:1]
    low = chi2.ppf((1.0 - CONFIDENCE) / 2.0, 2 * false) / 2.0 if false else 0.0
    high = chi2.ppf((1.0 + CONFIDENCE) / 2.0, 2 * false + 2) / 2.0
    middle = float(np.median(delays)) if delays else np.nan
    return Alarms(kind, len(watched), years, false, low / years, high / years, share(len(delays), asked), middle)


def p_value(real: Judged, others: Sequence[Judged], kind: Kind) -> float:
    """How likely a figure of at least the real one is where it is found by chance, see `bq.stats.permutation`.

    NaN where the real market has no such figure.
    """
    (found,), chance = ([_figure(one, kind) for one in who] for who in ([real], others))
    if found is None:
        return np.nan
    return permutation.p_value(found, [value for value in chance if value is not None])


def _figure(judged: Judged, kind: Kind) -> float | None:
    return next((part.value for part in judged.components if part.kind == kind), None)


def seconds(markets: Sequence[Measured]) -> tuple[float, float, float]:
    """First decile, median and last decile of the seconds that a market took; NaN without any."""
    if not markets:
        return np.nan, np.nan, np.nan
    first, middle, last = np.quantile([market.seconds for market in markets], [0.1, 0.5, 0.9])
    return float(first), float(middle), float(last)


def rows(markets: Sequence[Measured]) -> pl.DataFrame:
    """One row a market: its seed, cost and size, each verdict and what refused it."""
    plain = [
        {
            **market.model_dump(
                include={"seed", "seconds", "peak_mib", "events", "sessions", "attempts", "deploying", "error"}
            ),
            **{f"{who}_deploys": _deploys(getattr(market, who)) for who in WHO},
            **{f"{who}_refused_by": _refused(getattr(market, who)) for who in WHO},
        }
        for market in markets
    ]
    return pl.DataFrame(plain, infer_schema_length=None)


def _deploys(judged: Judged | None) -> bool | None:
    return None if judged is None else judged.deploy


def _refused(judged: Judged | None) -> str | None:
    return None if judged is None else " ".join(judged.refused_by)
