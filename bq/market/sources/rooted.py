"""Bars of source `files`: from data/raw/bars/, or from below the URL of `BQ_DATA_ROOT` where that is set.

Below a URL `raw/bars/` holds what `bring` put there, or files as data/raw/bars/ does. Of what was brought, rows are as
they were read: they are judged anew whenever they are loaded, with the same findings as those of the files.
"""

import datetime as dt
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import polars as pl

from bq.core import objects, partitions, paths
from bq.core.errors import BadData
from bq.core.objects import Place
from bq.core.partitions import Held
from bq.core.settings import Market
from bq.market.bars import FINDINGS
from bq.market.sources import LEFT_OUT, Batch, files, selected

ROWS, FOUND, COUNTS, EARLY = "rows", "findings", "counts", "left_out"  # tables; the first is split
REMEDY = "`make upload` puts the bars of data/raw/bars/ there anew."


def read(settings: Market) -> Batch:
    """As `files.read`, from wherever the bars are."""
    place = objects.raw_bars()
    if place is None:
        return files.read(settings, paths.raw_bars())
    try:
        content = partitions.pointer(place)
        if content:
            return _brought(partitions.held(place, content), settings)
    except BadData as error:
        raise BadData(f"{error} {REMEDY}") from None
    with tempfile.TemporaryDirectory(prefix="bq-bars-") as folder:
        _copy(place, Path(folder), settings.wanted)
        return files.read(settings, Path(folder))


def stamp() -> frozenset[Any]:
    """What is another when bars below the URL are; empty without one."""
    place = objects.raw_bars()
    if place is None:
        return frozenset()
    return frozenset({partitions.pointer(place)} - {b""} or place.objects().items())


def bring(batch: Batch, place: Place, *, calendar: str) -> None:
    """Put all rows of files below a URL, in the place of what `bring` put there before. batch : from `files.read`."""
    by = ["file", "symbol", pl.col("session").dt.year().alias("year")]
    counts = batch.rows.group_by(by, maintain_order=True).len("rows")
    tables = {ROWS: batch.rows, FOUND: batch.findings, COUNTS: counts, EARLY: batch.left_out}
    partitions.write(place, ROWS, tables, {"calendar": calendar}, instead_of=None)


def _brought(held: Held, settings: Market) -> Batch:
    """Rows asked for of what was brought; the partitions of other symbols and years are not fetched."""
    known = held.pointer.about.get("calendar")
    if known != settings.calendar:
        raise BadData(
            f"{held.place}: the bars were brought there by the sessions of {known}, but market.calendar is "
            f"{settings.calendar}."
        )
    first, last, wanted = settings.start or dt.date.min, settings.end or dt.date.max, settings.wanted
    years = range(first.year, last.year + 1)
    rows, left_out = selected(held.table(ROWS, symbols=wanted, years=years).lazy(), settings)
    asked = pl.lit(True) if wanted is None else pl.col("symbol").is_in(list(wanted)).fill_null(False)
    counts, early = held.table(COUNTS), held.table(EARLY)
    return Batch(
        rows=rows,
        findings=_of_files(held.table(FOUND), counts, counts.filter(asked)),
        left_out=_together(left_out, _not_fetched(counts, asked, years), _before_calendar(early, asked)),
    )


def _not_fetched(counts: pl.DataFrame, asked: pl.Expr, years: Collection[int]) -> pl.DataFrame:
    """`LEFT_OUT` of rows of other symbols, and of those whose year is not asked for."""
    rows, outside = pl.col("rows"), ~pl.col("year").is_in(list(years)).fill_null(True)
    return counts.group_by("file", "symbol").agg(
        not_asked=rows.filter(~asked).sum(), before_calendar=pl.lit(0), outside=rows.filter(asked & outside).sum()
    )


def _before_calendar(early: pl.DataFrame, asked: pl.Expr) -> pl.DataFrame:
    """`LEFT_OUT` of rows that were not brought, as they lie before the sessions of the calendar."""
    rows = pl.col("before_calendar")
    return early.with_columns(not_asked=rows * ~asked, before_calendar=rows * asked)


def _together(*parts: pl.DataFrame) -> pl.DataFrame:
    """`LEFT_OUT` of several, one row a file and symbol of which any row is left out."""
    numbers = LEFT_OUT.names()[2:]
    both = pl.concat([part.select(pl.col(name).cast(kind) for name, kind in LEFT_OUT.items()) for part in parts])
    summed = both.group_by("file", "symbol").agg(pl.col(numbers).sum())
    return summed.filter(pl.sum_horizontal(numbers) > 0).sort("file", "symbol")


def _of_files(findings: pl.DataFrame, every: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    """The findings of files that have rows asked for, and of those that gave no rows at all."""
    others = set(every["file"]) - set(asked["file"])
    return findings.filter(~pl.col("file").is_in(list(others))).select(FINDINGS.names())


def _copy(place: Place, folder: Path, wanted: Collection[str] | None) -> None:
    """Copy the files below a URL into a folder; of those in folders `symbol=…` the symbols asked for alone."""
    names = [name for name in place.objects() if not partitions.of_a_writer(name)]
    for name in names:
        target, said = folder / name, files.symbol_of(name)
        if not paths.inside(target, folder):
            raise BadData(f"{place}: names must stay within the folder, but one is {name!r}. Rename that object.")
        if not name.lower().endswith(files.ENDINGS):  # is not read, which is then said of it
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        elif said is None or wanted is None or said in wanted:
            (place / name).copy_to(target)
    if not names:
        raise BadData(
            f"market.source: files with BQ_DATA_ROOT needs bars below {place}, but there are none. `make upload` puts "
            "those of data/raw/bars/ there."
        )
