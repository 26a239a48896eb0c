"""What `make collect FROM_FILE=events.parquet` does before it counts: a labelled table is read, kept, and told of."""

import datetime as dt
from pathlib import Path

import polars as pl

from bq.core.errors import BadParameters
from bq.core.scalars import count
from bq.jobs.request import Request
from bq.strategies.labelled import kept, table
from bq.strategies.labelled.kept import Kept
from bq.strategies.labelled.table import Read
from bq.workbench.phrases import counted


def read_and_keep(request: Request, path: Path) -> str:
    """Read a labelled table and keep it; what became of its rows and columns."""
    strategy, settings = request.strategy, request.settings
    if settings.market.table is None:
        raise BadParameters(
            f"FROM_FILE must be with market.source: labelled, but SET says {settings.market.source}. Take that out."
        )
    folder = kept.folder_of(settings)
    stays = kept.exists(folder) and not request.force
    before = kept.load(settings) if stays else None
    read = table.read(path, strategy, settings, now=dt.datetime.now(dt.UTC))
    kept.save(kept.added(before, read, file=str(path), calendar=settings.market.calendar), folder)
    return told(read, str(path), before)


def told(read: Read, file: str, before: Kept | None) -> str:
    """What became of a table, in lines: its rows, why some were refused, its columns, what was collected before."""
    rows, copies = (count(read.counts[name].sum()) for name in ("read", "copies"))
    refused = read.findings.filter(pl.col("action") == "quarantined")
    first = pl.col("row", "detail").first()
    reasons = refused.group_by("rule", maintain_order=True).agg(pl.len(), first)
    columns = read.columns.filter(pl.col("read_as").is_not_null())
    left = read.columns.filter(pl.col("read_as").is_null())
    flagged = read.findings.filter(pl.col("action") == "flagged").unique("rule", keep="first", maintain_order=True)
    lines = [
        f"{file}: {counted(rows, 'row')} read, {len(read.events):,} kept, {len(refused):,} refused, "
        f"{copies:,} dropped as copies of another row",
        *(f"refused     {n:,} {rule}: {detail} (first row {row})" for rule, n, row, detail in reasons.rows()),
        "columns     " + ", ".join(_as_read(*row) for row in columns.rows()),
        *(f"left out    {name}: {why}" for name, _, why in left.rows()),
        *(f"flagged     {rule}: {detail}" for rule, detail in flagged.select("rule", "detail").rows()),
        *_overlap(read, before),
    ]
    return "\n".join(lines)


def _as_read(name: str, place: str, note: str) -> str:
    return (place if name == place else f"{place} (from {name})") + (f" [{note}]" if note else "")


def _overlap(read: Read, before: Kept | None) -> list[str]:
    """How many of its events were collected before, and how many of those differ now."""
    if before is None:
        return []
    old = before.events
    shared = [name for name in read.events.columns if name in old.columns and name not in ("row", "file")]
    known = read.events.join(old, on="event_id", how="semi")
    same = read.events.select(shared).join(old.select(shared), on=shared, how="semi", nulls_equal=True)
    return [
        f"before      {len(old):,} events were collected before; {len(known):,} of these {len(read.events):,} are "
        f"among them, {len(known) - len(same):,} with other values: this file counts"
    ]
