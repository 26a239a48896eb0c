"""Split rows into bars that hold and findings about those that do not: nothing disappears without a finding."""

import datetime as dt
from dataclasses import dataclass

import polars as pl

from bq.market import calendars
from bq.market.bars import SCHEMA, findings, sorted_by
from bq.market.copies import shares_key, without_copies
from bq.market.flags import flags
from bq.market.rules import beside, row_rules, typical

KEY = ("symbol", "session")


@dataclass(frozen=True)
class Validated:
    """`bars` that hold (`SCHEMA`, sorted), `findings` about the rest, `counts` of rows per (file, symbol)."""

    bars: pl.DataFrame
    findings: pl.DataFrame
    counts: pl.DataFrame


def validate(rows: pl.DataFrame, *, calendar: str, now_utc: dt.datetime | None = None) -> Validated:
    """Repair what can be repaired, set aside what cannot be used, flag what looks odd.

    rows : DataFrame with the columns of `bars.ROWS`, in the order read. calendar : exchange_calendars name.
    now_utc : aware; a bar whose session is not over by then is set aside (default: the clock).

    Every row becomes a bar or has exactly one finding: `quarantined` with the first rule that it breaks, or `repaired`
    where it repeats another row exactly and is dropped. Of rows with one key and different values, all are
    quarantined. Findings `flagged` are about rows that are kept.
    """
    now_utc = now_utc or dt.datetime.now(dt.UTC)
    ordered, unsorted = _ordered(rows)
    unique, copies = _without_copies(ordered)
    kept, quarantined = _judged(unique, calendar=calendar, now_utc=now_utc)
    return Validated(
        bars=kept.select(SCHEMA.names()),
        findings=pl.concat([unsorted, copies, quarantined, flags(kept)]),
        counts=_counts(rows, kept, pl.concat([copies, quarantined])),
    )


def _ordered(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows sorted by symbol and session, and a finding for each symbol that was not in order in its file."""
    backwards = pl.col("session") < pl.col("session").shift().over("file", "symbol")
    unsorted = rows.filter(backwards).group_by("file", "symbol", maintain_order=True).len()
    detail = pl.format("sessions run backwards at {} rows; sorted", "len")
    return sorted_by(rows, KEY), findings(unsorted, action="repaired", rule="unsorted", detail=detail)


def _without_copies(ordered: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows without exact duplicates, and a finding for each that goes."""
    rest, gone = without_copies(ordered, key=KEY, columns=SCHEMA.names())
    detail = "repeats an earlier row exactly; dropped"
    return rest, findings(gone, action="repaired", rule="exact_duplicate", detail=detail)


def _judged(rows: pl.DataFrame, *, calendar: str, now_utc: dt.datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows that break no rule, with `day`, and a finding for each that breaks one."""
    rules, days = row_rules(calendar=calendar, now_utc=now_utc), calendars.sessions(calendar).with_row_index("day")
    own = [*rows.columns, "day"]
    rows = typical(beside(rows.with_columns(shares_key(KEY)))).join(
        days, on="session", how="left", maintain_order="left"
    )
    rows = rows.with_columns(rule=pl.coalesce(pl.when(rule.broken).then(pl.lit(rule.name)) for rule in rules))
    broken = rows.filter(pl.col("rule").is_not_null())
    detail = pl.coalesce(pl.when(rule.broken).then(rule.detail) for rule in rules)
    return rows.filter(pl.col("rule").is_null()).select(own), findings(broken, action="quarantined", detail=detail)


def _counts(rows: pl.DataFrame, kept: pl.DataFrame, gone: pl.DataFrame) -> pl.DataFrame:
    """Rows read, quarantined, dropped as copies and kept, first and last session kept, for each (file, symbol)."""
    by = ["file", "symbol"]
    spans = {"first": pl.col("session").min(), "last": pl.col("session").max()}
    of_kept = kept.lazy().group_by(by).agg(kept=pl.len(), **spans).collect(engine="streaming")
    of_gone = gone.group_by(by).agg(
        quarantined=(pl.col("action") == "quarantined").sum(), copies=(pl.col("action") == "repaired").sum()
    )
    counts = rows.lazy().group_by(by).agg(read=pl.len()).collect(engine="streaming")
    for more in (of_gone, of_kept):
        counts = counts.join(more, on=by, how="left", nulls_equal=True)
    return counts.with_columns(pl.col("quarantined", "copies", "kept").fill_null(0)).sort(by)
