"""What came of the bars, stage by stage, and why the rest did not: nothing is trimmed without a reason."""

from enum import StrEnum
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from bq.strategies.forecast.settings import ForecastSettings

STAGES = ("bars", "with history", "events", "matured")


class Refusal(StrEnum):
    """Why a wanted (symbol, session) gave no event."""

    INDEX = "index"
    YOUNG = "young"
    NO_ENTRY = "no_entry"
    FEW = "few"

    def sentence(self, settings: "ForecastSettings") -> str:
        """For people."""
        return {
            Refusal.INDEX: "an index is not traded",
            Refusal.YOUNG: f"fewer than {settings.temporal.max_lookback_days} sessions of history",
            Refusal.NO_ENTRY: "no price in the session after t0",
            Refusal.FEW: f"fewer than {settings.events.min_names} names in the session",
        }[self]


def alignment(wanted: int, events: pl.DataFrame, refused: pl.DataFrame) -> pl.DataFrame:
    """Rows that came through each stage and what was left out on the way to the next.

    wanted : scheduled (symbol, session) with a bar. events, refused : as the event store returns them, with `refusal`.
    Returns stage, rows, coverage (share of the stage before), left_out and why: each reason with its number of rows,
    symbols and sessions. Open events are not lost: they wait for their outcome and can be predicted.

    >>> alignment(len(events) + len(refused), events, refused)  # doctest: +SKIP
    """
    without_history = pl.col("refusal").is_in([Refusal.INDEX.value, Refusal.YOUNG.value])
    young, rest = refused.filter(without_history), refused.filter(~without_history)
    waiting = events.filter(pl.col("outcome").is_null()).with_columns(reason=pl.lit("outcome not due yet"))
    lost = [None, young, rest, waiting]
    rows, table, before = wanted, [], wanted
    for stage, part in zip(STAGES, lost, strict=True):
        rows -= 0 if part is None else len(part)
        share = rows / before if before else 0.0
        why = "" if part is None else explained(part)
        table.append(
            {"stage": stage, "rows": rows, "coverage": share, "left_out": before - rows, "why": why},
        )
        before = rows
    return pl.DataFrame(table)


def explained(rows: pl.DataFrame) -> str:
    """Each reason of `rows` (symbol, session, reason) with how many rows, of which symbols and sessions.

    >>> import datetime as dt
    >>> lost = pl.DataFrame({"symbol": ["A"] * 10, "session": pl.date_range(dt.date(2020, 1, 1), dt.date(2020, 1, 10),
    ...     eager=True), "reason": "outcome not due yet"})
    >>> explained(lost)
    'outcome not due yet: 10 rows of A, 2020-01-01 to 2020-01-10'
    """
    by_reason = rows.group_by("reason").agg(
        rows=pl.len(),
        symbols=pl.col("symbol").n_unique(),
        one=pl.col("symbol").first(),
        first=pl.col("session").min(),
        last=pl.col("session").max(),
    )
    return "; ".join(
        f"{row['reason']}: {row['rows']:,} rows of {row['one'] if row['symbols'] == 1 else row['symbols']}"
        f"{'' if row['symbols'] == 1 else ' symbols'}, {row['first']} to {row['last']}"
        for row in by_reason.sort("rows", descending=True).iter_rows(named=True)
    )


def coverage(events: pl.DataFrame, factors: tuple[str, ...]) -> pl.DataFrame:
    """Share of the events that have each factor: factor, coverage, first (session with it); least first."""
    known = {name: events[name].is_not_null() & events[name].is_not_nan() for name in factors}
    rows = [
        {"factor": name, "coverage": mask.mean() or 0.0, "first": events.filter(mask)["session"].min()}
        for name, mask in known.items()
    ]
    return pl.DataFrame(rows, schema={"factor": pl.String, "coverage": pl.Float64, "first": pl.Date}).sort("coverage")
