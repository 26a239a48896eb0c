"""Drift of a model's errors: one value a block of outcomes that do not overlap, against its walk-forward errors.

Overlapping outcomes of 20 sessions make every detector alarm, so most decisions are left out: that is the price of a
verdict, and how long it takes is stated beside it.
"""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from bq.core.scalars import day, number
from bq.monitoring.checks import Check, What
from bq.monitoring.reference import Reference
from bq.monitoring.windows import ALPHA, DRAWS, SEED, About
from bq.stats import limits, streams
from bq.stats.bootstrap import bootstrap_mean
from bq.stats.limits import Detector, Found, Stream
from bq.stats.year import DAYS_A_MONTH, DAYS_A_YEAR
from bq.strategies.events import UTC

BLOCKS = pl.Schema(  # of a stream, in order of time
    {"first": pl.Date(), "last": pl.Date(), "until": UTC, "n": pl.UInt32(), "error": pl.Float64()}
)
SPANS = (0.0, 0.25, 0.5, 1.0)  # in which a block's decisions are made, in holding times; 0: one session
YEARS = 5  # in which a tenth of streams may alarm without a change, where blocks are too slow for limits.HORIZON
OF_PATHS = ("llr_cusum", "llr_limit", "e_process", "e_limit")
PATHS = pl.Schema([*BLOCKS.items(), *((name, pl.Float64()) for name in OF_PATHS)])  # how far each detector is


class Errors(NamedTuple):
    """A model's stream beside its reference's."""

    stream: Stream  # of the reference
    found: tuple[Found, ...]  # the detectors that decide, with their limits
    blocks: pl.DataFrame  # BLOCKS of decisions
    days: float  # calendar days from one block to the next

    @property
    def horizon(self) -> int:
        """Blocks in which false alarms are counted."""
        return horizon_of(self.days)


def errors(rows: pl.DataFrame, *, usual: tuple[float, float]) -> pl.DataFrame:
    """The rows with `error`, 1 where expected outcome and outcome lie on different sides of what is usual.

    What a decision rests on is which events are expected to do better. (The likeliest class is often the commonest,
    whatever a model has learnt: it stays as often right where the signal has turned.) Rows without either are left out.

    usual : expected outcome and outcome; in a session of several events the means of these take their place.
    """
    known = rows.filter(pl.col("outcome").is_not_null(), pl.col("expected").is_not_null())
    alone = pl.len().over("session") == 1
    expected, outcome = (
        pl.col(name) - pl.when(alone).then(middle).otherwise(pl.col(name).mean().over("session"))
        for name, middle in zip(("expected", "outcome"), usual, strict=True)
    )
    return known.with_columns(error=(expected * outcome < 0).cast(pl.Float64))


def blocks_of(rows: pl.DataFrame, *, span: dt.timedelta, known: dt.datetime | None = None) -> pl.DataFrame:
    """Mean error of each block of outcomes that do not overlap, as BLOCKS. rows : as from `errors`, with t0, t1_due.

    span : from a block's first decision in which its others are made. known : through when outcomes are known; a block
    that is open then does not count, so that a value never changes for what closes late.
    """
    rows = rows.sort("t0", "t1_due")
    if rows.is_empty():
        return pl.DataFrame(schema=BLOCKS)
    start, end = (rows[name].dt.epoch("us").to_numpy() for name in ("t0", "t1_due"))
    number = streams.non_overlapping(start, end, span=span / dt.timedelta(microseconds=1))
    made = (
        rows.with_columns(block=pl.Series(number))
        .filter(pl.col("block") >= 0)
        .group_by("block", maintain_order=True)
        .agg(
            first=pl.col("session").min(),
            last=pl.col("session").max(),
            until=pl.col("t1_due").max(),
            n=pl.len(),
            error=pl.col("error").mean(),
        )
    )
    closed = made if known is None else made.filter(pl.col("until") <= known)
    return closed.select(list(BLOCKS)).cast(BLOCKS)


class Usual(NamedTuple):
    """What a model's errors are like by its reference, whatever it decides later."""

    middle: tuple[float, float]  # expected outcome and outcome: what is usual
    span: dt.timedelta  # of a block
    stream: Stream
    found: tuple[Found, ...]  # the detectors that decide, with their limits
    days: float  # calendar days from one block to the next


def usual_of(reference: Reference) -> Usual | None:
    """What is usual of a model's errors; None where its reference has too few blocks."""
    rows = reference.promised
    if rows.is_empty():
        return None
    middle = number(rows["expected"].median()), number(rows["outcome"].median())
    span, before = _most_informative(errors(rows, usual=middle))
    if len(before) < limits.LEAST_BLOCKS:
        return None
    stream = Stream(before["error"].to_numpy())
    days = (day(before["first"].max()) - day(before["first"].min())).days / (len(before) - 1)
    deciding = (Detector.LLR_CUSUM, Detector.E_PROCESS)
    found = tuple(limits.limit_of(one, stream, seed=SEED, horizon=horizon_of(days)) for one in deciding)
    return Usual(middle, span, stream, found, days)


def of(reference: Reference, counted: pl.DataFrame) -> Errors | None:
    """The stream of a model's matured decisions out of sample; None where its reference has too few blocks.

    counted : as from `outcomes.counted`.
    """
    usual = usual_of(reference)
    return None if usual is None else beside(usual, reference, counted, line=[reference.model_id])


def beside(usual: Usual, reference: Reference, counted: pl.DataFrame, *, line: Sequence[str]) -> Errors:
    """`of` for one who knows what is usual.

    line : the model and those before it of the same recipe, whose decisions are part of the stream: else each retrain
    would begin it anew, and what builds up over the lives of several models would never be found.
    """
    own = counted.filter(pl.col("model_id").is_in(list(line)), ~pl.col("in_sample").fill_null(False))
    due = own.filter(pl.col("outcome").is_not_null())["t1_due"]
    made = errors(reference.thinned(own), usual=usual.middle)
    blocks = blocks_of(made, span=usual.span, known=due.max())  # type: ignore[arg-type]
    return Errors(usual.stream, usual.found, blocks, usual.days)


def horizon_of(days: float) -> int:
    """Blocks of so many calendar days each in YEARS, and limits.HORIZON of them at most."""
    return min(limits.HORIZON, max(round(YEARS * DAYS_A_YEAR / days), 1))


def _most_informative(promised: pl.DataFrame) -> tuple[dt.timedelta, pl.DataFrame]:
    """The span whose blocks are worth the most independent errors in the reference, and these blocks.

    Where every session decides on all symbols that is one session; where few events come a day, a longer one. Nothing
    that is watched later takes part in the choice. Of spans that give LEAST_BLOCKS, where any does.
    """
    held = number((promised["t1_due"] - promised["t0"]).dt.total_seconds().quantile(0.9))
    made = [(span, blocks_of(promised, span=span)) for span in (dt.timedelta(seconds=held * share) for share in SPANS)]
    enough = [one for one in made if len(one[1]) >= limits.LEAST_BLOCKS] or made
    return max(enough, key=lambda one: len(one[1]) * Stream(one[1]["error"].to_numpy()).size)


def paths(of: Errors) -> pl.DataFrame:
    """How far each detector is at each block, as PATHS."""
    values, p0 = of.blocks["error"].to_numpy()[None], np.array([of.stream.p0])
    columns: dict[str, np.ndarray] = {}
    for name, found in zip(("llr", "e"), of.found, strict=True):
        path = limits.path(found.detector, values, p0, of.stream)[0] if len(of.blocks) else np.zeros(0)
        columns |= {str(found.detector): path, f"{name}_limit": np.full(len(path), found.limit)}
    return of.blocks.with_columns(**{name: pl.Series(name, column) for name, column in columns.items()}).select(
        list(PATHS)
    )


def checks(of: Errors, about: About) -> list[Check]:
    """Whether errors are more than the reference's. An alarm stays one: what was confirmed is not taken back."""
    walked = paths(of)
    made = []
    for what, found in zip((What.ERROR_CUSUM, What.ERROR_EPROCESS), of.found, strict=True):
        path = walked[str(found.detector)].to_numpy()
        first = int(streams.first_alarm(path[None], found.limit)[0]) if len(path) else 0
        highest = float(path.max()) if len(path) else 0.0
        made.append(
            about.check(
                what,
                int(walked["n"].sum()),
                blocks=len(walked),
                value=highest,
                threshold=found.limit,
                p=min(1.0, float(np.exp(-highest))) if what == What.ERROR_EPROCESS else None,
                alarm=first > 0,
                details=_details(of, found, walked, first),
            )
        )
    return made


def without(about: About, counted: pl.DataFrame) -> Check:
    """In the place of the checks where the reference has too few blocks to say what is usual."""
    own = counted.filter(pl.col("model_id") == about.model_id, pl.col("outcome").is_not_null())
    return about.check(What.ERROR_CUSUM, len(own), details={"reference_blocks_needed": limits.LEAST_BLOCKS})


def _changed(walked: pl.DataFrame, alarm: int) -> str | None:
    """From which session on errors are more, as the CUSUM estimates it: since it last stood at 0 before its alarm.

    The maximum-likelihood estimate of the change: Hinkley 1971, doi:10.1093/biomet/58.3.509. alarm : number of the
    block, from 1; 0: none was raised.
    """
    if not alarm:
        return None
    at_zero = np.flatnonzero(walked[str(Detector.LLR_CUSUM)].to_numpy()[:alarm] <= 0.0)
    return str(walked["first"][int(at_zero[-1]) + 1 if len(at_zero) else 0])


def _details(of: Errors, found: Found, walked: pl.DataFrame, first: int) -> dict[str, object]:
    """Rates of the detector as measured, and how long a verdict takes at the pace of these blocks."""
    months = of.days / DAYS_A_MONTH
    mean = bootstrap_mean(walked["error"].to_numpy(), block=1.0, alpha=ALPHA, draws=DRAWS, seed=SEED)
    return {
        "error": mean.mean,
        "error_low": mean.low,
        "error_high": mean.high,
        "reference_error": of.stream.p0,
        "harmful_error": float(streams.harmed(of.stream.p0)),
        "reference_blocks": len(of.stream.values),
        "errors_a_block": of.stream.size,
        "alarm_at": str(walked["until"][first - 1].date()) if first else None,
        "changed": _changed(walked, first),
        "false_alarms": found.false_alarms,
        "false_alarms_a_year": DAYS_A_YEAR / of.days / found.run_length,
        "run_length": found.run_length,
        "horizon_blocks": found.horizon,
        "found": found.found,
        "within_months": found.within * months,
        "delay_months": found.delay * months,
        "months_a_block": months,
    }
