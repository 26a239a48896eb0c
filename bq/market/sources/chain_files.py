"""CSV and Parquet files of option quotes that the user puts below data/raw/chains/."""

import datetime as dt
import gzip
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from bq.core import paths
from bq.core.files import scan_csv, scan_parquet
from bq.market import calendars
from bq.market.chains.columns import typed
from bq.market.chains.quotes import FINDINGS, ROWS, findings
from bq.market.sources.files import NOT_READ, UNFIT, below, name_below, readable, refusal


def read(*, calendar: str, underlyings: Sequence[str] | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows (`quotes.ROWS`) of the underlyings asked for, and findings, from all files of the folder; none where empty.

    A file that is unfit as a whole gives no rows and one finding `rejected`. Files are read lazily: columns that are
    not of the contract and rows of other underlyings never come into memory.
    """
    folder = paths.raw_chains()
    today = dt.datetime.now(ZoneInfo(calendars.time_zone(calendar))).date()
    parts = [_read(path, folder, calendar, underlyings, today=today) for path in below(folder)]
    all_rows, found = zip((ROWS.to_frame(), FINDINGS.to_frame()), *parts, strict=True)
    return pl.concat(all_rows), pl.concat(found)


def _read(
    path: Path, folder: Path, calendar: str, underlyings: Sequence[str] | None, *, today: dt.date
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows and findings of one file, whatever is wrong with it."""
    name = name_below(path, folder)
    try:
        return _rows(path, name, calendar, underlyings, today=today)
    except UNFIT as error:
        return ROWS.to_frame(), _about(name, "rejected", *refusal(error, path, name))


def _rows(
    path: Path, name: str, calendar: str, underlyings: Sequence[str] | None, *, today: dt.date
) -> tuple[pl.DataFrame, pl.DataFrame]:
    ending = readable(path)
    if ending is None:
        return ROWS.to_frame(), _about(name, "flagged", "not_read", NOT_READ)
    scan = scan_parquet(path) if ending == ".parquet" else _scan_csv(path)
    rows, found = typed(scan, file=name, stem=path.name[: -len(ending)], calendar=calendar, today=today)
    if underlyings is not None:
        rows = rows.filter(pl.col("underlying").is_in(list(underlyings)))
    return rows.collect(engine="streaming"), found


def _scan_csv(path: Path) -> pl.LazyFrame:
    """All columns of a CSV file as text."""
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        header = file.readline(100_000).decode("utf-8-sig")
    return scan_csv(path, separator=max(",;\t", key=header.count), infer_schema=False)


def _about(file: str, action: str, rule: str, detail: str) -> pl.DataFrame:
    frame = pl.DataFrame({"file": [file]}).with_columns(rows=pl.lit(None))
    return findings(frame, action=action, rule=rule, detail=detail)
