"""The labelled tables of a namespace as they are kept: every file that was collected, and the events they come to.

Of a decision that several files hold, the row of the file collected last counts. A file collected again takes the place
of what was collected of it before.
"""

from pathlib import Path
from typing import NamedTuple

import polars as pl

from bq.core import files, objects, partitions
from bq.core.errors import BadData
from bq.core.objects import Place
from bq.core.scalars import day
from bq.core.settings import Settings
from bq.market import COUNTS, MarketData
from bq.market.bars import FINDINGS, SCHEMA
from bq.market.chains.quotes import SCHEMA as QUOTES
from bq.strategies.event_set import LABELLED, STATE, TABLES
from bq.strategies.labelled.table import Read

ROWS, FINDING, COUNT, COLUMN = "rows.parquet", "findings.parquet", "counts.parquet", "columns.parquet"
ALL = (*TABLES, ROWS, FINDING, COUNT, COLUMN)
STEMS = tuple(Path(name).stem for name in ALL)  # in a pointer


class Kept(NamedTuple):
    """`tables` : those of all files, one behind the other as they were collected, each row with its `file`."""

    tables: Read
    calendar: str
    data_hash: str = ""

    @property
    def events(self) -> pl.DataFrame:
        """The events that all files come to."""
        return self.tables.events.unique("event_id", keep="last", maintain_order=True)


def folder_of(settings: Settings) -> Path | Place:
    """Where the tables of the settings' namespace are kept."""
    return objects.events(settings.strategy) / f"{LABELLED}{settings.namespace}"


def load(settings: Settings) -> Kept:
    """What was collected. Raises BadData where nothing was, or it is damaged, or of another calendar."""
    folder = folder_of(settings)
    if not exists(folder):
        raise BadData(
            f"market.source: labelled needs a table, but none was collected for {settings.namespace}: "
            "`make collect FROM_FILE=events.parquet` with the same STRATEGY and PARAMS does it."
        )
    found = _found(folder)
    if found.calendar != settings.market.calendar:
        raise BadData(
            f"{folder}: the table was collected by the sessions of {found.calendar}, but market.calendar is "
            f"{settings.market.calendar}. Collect it again."
        )
    return found


def exists(folder: Path | Place) -> bool:
    """Whether tables are kept there."""
    return bool(partitions.pointer(folder)) if isinstance(folder, Place) else (folder / STATE).exists()


def _found(folder: Path | Place) -> Kept:
    try:
        if isinstance(folder, Place):
            held = partitions.held(folder, partitions.pointer(folder))
            about = held.pointer.about
            return Kept(Read(*map(held.table, STEMS[len(TABLES) :])), about["calendar"], about["data_hash"])
        state = files.read_json(folder / STATE)
        contents = [files.read_bytes(folder / name) for name in ALL]
        if [files.sha256(content) for content in contents] != [*state["tables"], *state["more"]]:
            raise ValueError("a table has another hash than was recorded")
        tables = Read(*(files.read_parquet(content) for content in contents[len(TABLES) :]))
        return Kept(tables, state["calendar"], state["data_hash"])
    except (BadData, OSError, ValueError, TypeError, LookupError, pl.exceptions.PolarsError) as error:
        raise BadData(
            f"{folder}: what was collected must be whole, but: {error}. Remove the folder and collect the files again."
        ) from None


def added(before: Kept | None, read: Read, *, file: str, calendar: str) -> Kept:
    """What is kept once a file was read. before : None where nothing is, or nothing of it is to stay."""
    named = pl.lit(file).alias("file")
    own = Read(*(table.with_columns(named) for table in read))
    if before is None:
        return Kept(own, calendar)
    old = Read(*(table.filter(pl.col("file") != file) for table in before.tables))
    return Kept(Read(*(pl.concat(pair, how="diagonal_relaxed") for pair in zip(old, own, strict=True))), calendar)


def save(kept: Kept, folder: Path | Place) -> None:
    """Write what is kept; state last, with the hashes of what was written."""
    events = kept.events.sort("t0", "symbol", "event_id")
    refused = kept.tables.findings.filter(pl.col("action") == "quarantined").select(
        "symbol", "session", reason="detail"
    )
    tables = (events, refused, *kept.tables)
    contents = [files.parquet(table) for table in tables]
    hashes = [files.sha256(content) for content in contents]
    about = {
        "through": day(events["session"].max()),
        "calendar": kept.calendar,
        "data_hash": files.sha256("".join(hashes[: len(TABLES)]).encode()),
        "symbols": {},
    }
    if isinstance(folder, Place):
        partitions.write(folder, STEMS[0], dict(zip(STEMS, tables, strict=True)), about, instead_of=None)
        return
    for name, content in zip(ALL, contents, strict=True):
        files.write_bytes(folder / name, content)
    files.write_json(folder / STATE, about | {"tables": hashes[: len(TABLES)], "more": hashes[len(TABLES) :]})


def market_data(kept: Kept, settings: Settings) -> MarketData:
    """What is known of the tables, as of bars: findings, and what became of every row. There are no bars."""
    market = settings.market
    return MarketData(
        bars=SCHEMA.to_frame(),
        quotes=QUOTES.to_frame(),
        findings=kept.tables.findings.select(pl.col(name).cast(dtype) for name, dtype in FINDINGS.items()),
        counts=_counts(kept, settings),
        source="simulated" if market.is_simulated else "real",
        calendar=market.calendar,
        data_hash=kept.data_hash,
    )


def asked(settings: Settings) -> tuple[pl.Expr, pl.Expr]:
    """Which events are of other symbols than asked for, and which of the others lie outside the dates."""
    market, session = settings.market, pl.col("session")
    not_asked = pl.lit(False) if market.symbols is None else ~pl.col("symbol").is_in(market.symbols)
    early = pl.lit(False) if market.start is None else session < market.start
    late = pl.lit(False) if market.end is None else session > market.end
    return not_asked, ~not_asked & (early | late)


def _counts(kept: Kept, settings: Settings) -> pl.DataFrame:
    """`market.COUNTS`: of each file and symbol, what became of every row; a row of which another file has the decision
    too, and was collected later, is a copy.
    """
    by = ["file", "symbol"]
    not_asked, outside = asked(settings)
    events = kept.events.with_columns(not_asked=not_asked, outside=outside)
    used = ~pl.col("not_asked") & ~pl.col("outside")
    parts = [
        events.group_by(by).agg(
            pl.col("not_asked", "outside").sum(),
            kept=used.sum(),
            first=pl.col("session").filter(used).min(),
            last=pl.col("session").filter(used).max(),
        ),
        kept.tables.findings.filter(pl.col("action") == "quarantined").group_by(by).len("quarantined"),
        kept.tables.events.join(events, on=[*by, "row"], how="anti").group_by(by).len("older"),
    ]
    found = kept.tables.counts
    for part in parts:
        found = found.join(part, on=by, how="left", nulls_equal=True)
    found = found.with_columns(copies=pl.col("copies") + pl.col("older").fill_null(0))
    numbers = [name for name, dtype in COUNTS.items() if dtype == pl.UInt32]
    filled = found.with_columns(pl.col(numbers).fill_null(0))
    return filled.select(pl.col(name).cast(dtype) for name, dtype in COUNTS.items()).sort(by)
