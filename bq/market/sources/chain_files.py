"""CSV, text and Parquet files of option quotes that the user puts below data/raw/chains/."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from bq.core import paths
from bq.core.log import progress
from bq.core.settings import Market
from bq.market import calendars, recognisers
from bq.market.bars import folded
from bq.market.chains.columns import match, typed
from bq.market.chains.quotes import FINDINGS, ROWS, findings
from bq.market.recognisers import recognised
from bq.market.sources.files import (
    NOT_READ,
    UNFIT,
    below,
    layout_of,
    name_below,
    names_said,
    not_unique,
    opened,
    readable,
    refusal,
    shared_names,
)

LEFT_OUT = pl.Schema(
    {"file": pl.String(), "symbol": pl.String(), "not_asked": pl.UInt32(), "outside": pl.UInt32()}
)  # rows of underlyings that are not asked for or have no bars; and of the others, those outside start and end


class Batch(NamedTuple):
    """`rows` (`quotes.ROWS`), `findings`, `left_out` (`LEFT_OUT`) and the files `without_spot`."""

    rows: pl.DataFrame
    findings: pl.DataFrame
    left_out: pl.DataFrame = LEFT_OUT.to_frame()
    without_spot: Sequence[str] = ()


class _Part(NamedTuple):
    """What became of one file. `named` : the underlying that its name alone says; None where a column does."""

    file: str
    batch: Batch
    named: str | None = None


def read(settings: Market, *, underlyings: Sequence[str] | None = None, spot: bool = True) -> Batch:
    """Rows of the underlyings and sessions asked for, findings, and what is left out, from all files of the folder.

    A file that is unfit as a whole gives no rows and one finding `rejected`. Files are read lazily: columns that are
    not of the contract and rows of other underlyings never come into memory. underlyings : None for all; one that a
    file spells in other letters, or with or without `^`, is taken for it. spot : whether files must have one.
    """
    folder = paths.raw_chains()
    today = dt.datetime.now(ZoneInfo(calendars.time_zone(settings.calendar))).date()
    found = list(below(folder))
    shown = progress(found, total=len(found), description="files of quotes")
    parts = [_read(path, folder, settings, underlyings, spot=spot, today=today) for path in shown]
    shared = shared_names([(part.file, part.named) for part in parts])
    batches = [
        _unfit(part.file, *not_unique(part.named, shared)) if part.named in shared else part.batch for part in parts
    ]
    own = {part.named: part.file for part in reversed(parts) if part.named is not None and part.named not in shared}
    said = [_about("all files", "flagged", "symbol_from_name", names_said(own))] if own else []
    return Batch(
        rows=pl.concat([ROWS.to_frame(), *(batch.rows for batch in batches)]),
        findings=pl.concat([FINDINGS.to_frame(), *(batch.findings for batch in batches), *said]),
        left_out=pl.concat([LEFT_OUT.to_frame(), *(batch.left_out for batch in batches)]),
        without_spot=[file for batch in batches for file in batch.without_spot],
    )


def _read(
    path: Path, folder: Path, settings: Market, underlyings: Sequence[str] | None, *, spot: bool, today: dt.date
) -> _Part:
    """What became of one file, whatever is wrong with it."""
    name = name_below(path, folder)
    try:
        return _part(path, name, settings, underlyings, spot=spot, today=today)
    except UNFIT as error:
        return _Part(name, _unfit(name, *refusal(error, path, name)))


def _unfit(name: str, rule: str, detail: str) -> Batch:
    return Batch(ROWS.to_frame(), _about(name, "rejected", rule, detail))


def _part(
    path: Path, name: str, settings: Market, underlyings: Sequence[str] | None, *, spot: bool, today: dt.date
) -> _Part:
    ending = readable(path)
    if ending is None:
        return _Part(name, Batch(ROWS.to_frame(), _about(name, "flagged", "not_read", NOT_READ)))
    as_it_lies = opened(path, ending, settings.columns, settings.dates)
    table = recognised(as_it_lies, recognisers.CHAINS)
    found = match(table.names, table.columns, spot=spot)
    rows, said = typed(table, found, file=name, calendar=settings.calendar, today=today)
    notes = [_about(name, "repaired", "layout", layout_of(table))] if table.layout else []
    without_spot = []
    if "spot" not in found:
        without_spot = [name]
        detail = "no column says the spot: the bar's close is taken, which is right for quotes of the close alone"
        notes.append(_about(name, "flagged", "spot_from_bars", detail))
    wanted, left_out, taken = _selected(rows, settings, underlyings)
    said_inside = bool({"underlying", "root", "contract"} & set(found)) or table.stem != as_it_lies.stem
    named = None if said_inside or wanted.is_empty() else table.stem
    batch = Batch(wanted, pl.concat([*notes, said, _taken(taken, name)]), left_out, without_spot)
    return _Part(name, batch, named)


def _selected(
    rows: pl.LazyFrame, settings: Market, underlyings: Sequence[str] | None
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The rows asked for, `LEFT_OUT` of the others, and the spellings that were `taken` for an underlying's."""
    said, session = pl.col("underlying"), pl.col("session")
    rows = rows.with_columns(said=said)
    reasons = {}
    if underlyings is not None:
        rows = rows.with_columns(underlying=_spelt(said, underlyings))
        reasons["not_asked"] = ~said.is_in(list(underlyings)).fill_null(False)
    outside = pl.lit(False)
    outside = outside | (session < settings.start) if settings.start else outside
    reasons["outside"] = outside | (session > settings.end) if settings.end else outside
    why = pl.coalesce(*(pl.when(holds).then(pl.lit(name)) for name, holds in reasons.items()), pl.lit("kept"))
    marked = rows.with_columns(why=why)
    kept = marked.filter(pl.col("why") == "kept").drop("why", "said")
    wanted = kept.collect(engine="streaming")
    counts = marked.group_by("file", "underlying", "said", "why").len().collect(engine="streaming")
    left_out = (
        counts.filter(pl.col("why") != "kept")
        .group_by("file", symbol="underlying")
        .agg(pl.col("len").filter(pl.col("why") == name).sum().alias(name) for name in LEFT_OUT.names()[2:])
    )
    taken = counts.filter(pl.col("why") == "kept", pl.col("said") != pl.col("underlying")).sort("said")
    return wanted, left_out.select(pl.col(name).cast(kind) for name, kind in LEFT_OUT.items()).sort("symbol"), taken


def _spelt(said: pl.Expr, underlyings: Sequence[str]) -> pl.Expr:
    """Underlyings as they are spelt in `underlyings`, where only case or `^` differs and one alone is meant."""
    spelt: dict[str, list[str]] = {}
    for name in underlyings:
        spelt.setdefault(folded(name), []).append(name)
    one = {key: names[0] for key, names in spelt.items() if len(names) == 1}
    meant = said.str.strip_chars_start("^").str.to_lowercase().replace_strict(one, default=None, return_dtype=pl.String)
    return pl.when(said.is_in(list(underlyings))).then(said).otherwise(pl.coalesce(meant, said))


def _taken(taken: pl.DataFrame, file: str) -> pl.DataFrame:
    rows = taken.with_columns(rows=pl.col("len"), file=pl.lit(file))
    detail = pl.format("{} is taken for {} of the bars", "said", "underlying")
    return findings(rows, action="repaired", rule="spelling", detail=detail)


def _about(file: str, action: str, rule: str, detail: str) -> pl.DataFrame:
    frame = pl.DataFrame({"file": [file]}).with_columns(rows=pl.lit(None))
    return findings(frame, action=action, rule=rule, detail=detail)
