"""CSV and Parquet files of daily bars that the user puts below data/raw/bars/."""

import datetime as dt
import gzip
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import polars as pl

from bq.core.errors import BadData
from bq.core.files import scan_csv, scan_parquet
from bq.core.log import progress
from bq.core.parallel import workers
from bq.core.settings import Market
from bq.market import calendars, recognisers
from bq.market.bars import FINDINGS, ROWS, Rejected, findings
from bq.market.columns import ALIASES, match, typed
from bq.market.recognisers import recognised
from bq.market.sources import Batch, not_asked, selected
from bq.market.tables import DateOrder, Table, bare

ENDINGS = (".csv", ".csv.gz", ".txt", ".txt.gz", ".parquet")
AT_ONCE = 10_000_000  # bytes: a smaller file is read once; a larger one streams by for each thing that is asked of it
NOT_READ = f"only files {', '.join(ENDINGS)} are read, and no folder from within itself"
DAMAGED = (  # what reading a damaged file raises; polars panics on some damage inside Parquet files
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    OSError,
    EOFError,
    zlib.error,
)

UNFIT = (Rejected, UnicodeDecodeError, *DAMAGED)  # what reading a file may raise that is the file's fault


def refusal(error: BaseException, path: Path, name: str) -> tuple[str, str]:
    """Rule and detail of the finding about a file that is unfit as a whole."""
    if isinstance(error, Rejected):
        return error.rule, error.detail
    if isinstance(error, UnicodeDecodeError) or (isinstance(error, pl.exceptions.PolarsError) and _other_text(path)):
        return "unreadable", "text must be UTF-8, but is not. Save it as UTF-8."
    reason = " ".join(str(error).replace(str(path), name).split("\n\n")[0].split())
    return "unreadable", f"a file must be whole and readable, but: {reason}"


def _other_text(path: Path) -> bool:
    """Whether a file of text is none in UTF-8; False for one that cannot be read to its end."""
    if path.name.lower().endswith(".parquet"):
        return False
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8") as file:
            while file.read(1 << 20):
                pass
    except UnicodeDecodeError:
        return True
    except (OSError, EOFError, zlib.error):
        pass
    return False


def below(folder: Path, *, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """All that is to be read or to be said of a folder, in order: what lies in it and in the folders below it.

    Links are followed. A folder that cannot be entered, or that leads back to one above it, is itself what is to be
    said. Hidden files and README.md are left out.
    """
    here = folder.resolve()
    try:
        found = sorted(folder.iterdir())
    except FileNotFoundError:
        return
    except OSError:
        yield folder
        return
    for path in found:
        if path.is_dir() and path.resolve() not in (*above, here):
            yield from below(path, above=(*above, here))
        elif path.is_dir() or not (path.name.startswith(".") or path.name == "README.md"):
            yield path


def name_below(path: Path, folder: Path) -> str:
    """What findings call a file: its path within the folder, as text also where that is none."""
    return os.fsencode(path.relative_to(folder)).decode("utf-8", "replace")


def readable(path: Path) -> str | None:
    """The ending of a file that is read; None where nothing is.

    Raises Rejected for a link that leads nowhere and a name that is no text, OSError for a folder that cannot be
    entered.
    """
    if os.fsencode(path) != str(path).encode("utf-8", "replace"):
        raise Rejected("unreadable", "a file's name must be UTF-8 text, but is not. Rename it.")
    if not path.exists():
        raise Rejected(
            "unreadable", f"a link must lead to a file or folder, but leads to {path.readlink()}, where there is none."
        )
    if path.is_dir():
        os.scandir(path).close()
    if not path.is_file():
        return None
    return next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), None)


class Part(NamedTuple):
    """What became of one file. `named` : the symbol that its name alone says; None where a column does."""

    file: str
    batch: Batch
    named: str | None = None


def read(settings: Market, folder: Path) -> Batch:
    """Rows of the symbols and sessions asked for, findings, and what is left out, from all files of a folder.

    A file that is unfit as a whole gives no rows and one finding `rejected`. A file without a symbol column is about
    the symbol that its folder says (`symbol=AAPL/part-0.parquet`), else about the one that its name says (`AAPL.csv`,
    `AAPL.csv.gz`, `AAPL.parquet`), and about no other file's.

    Raises BadData if the folder holds no file of bars, BadParameters for a place in `market.columns` that bars do not
    have.
    """
    today = dt.datetime.now(ZoneInfo(calendars.time_zone(settings.calendar))).date()
    found = list(below(folder))
    with ThreadPoolExecutor(workers()) as pool:  # large files one after the other: each takes its memory and all cores
        work = partial(_read, folder=folder, settings=settings, today=today)
        small = {path: pool.submit(work, path) for path in found if _at_once(path)}
        shown = progress(found, total=len(found), description="files of bars")
        parts = [small[path].result() if path in small else work(path) for path in shown]
    if not parts:
        raise BadData(
            "market.source: files needs CSV or Parquet files below data/raw/bars/, but there is none. "
            "data/raw/bars/README.md says what they hold."
        )
    shared = shared_names([(part.file, part.named) for part in parts])
    batches = [
        _unfit(part.file, *not_unique(part.named, shared)) if part.named in shared else part.batch for part in parts
    ]
    own = {part.named: part.file for part in reversed(parts) if part.named is not None and part.named not in shared}
    said = [about("all files", "flagged", "symbol_from_name", names_said(own))] if own else []
    return Batch(
        rows=pl.concat(batch.rows for batch in batches),
        findings=pl.concat([*(batch.findings for batch in batches), *said]),
        left_out=pl.concat(batch.left_out for batch in batches),
    )


def _at_once(path: Path) -> bool:
    """Whether a file is small enough to be held whole; so is one that cannot be looked at."""
    try:
        return path.stat().st_size <= AT_ONCE
    except OSError:
        return True


def shared_names(parts: Sequence[tuple[str, str | None]]) -> dict[str, list[str]]:
    """The symbols that several files have from their names alone, each with those files.

    parts : (file, symbol from its name or None). `2019/AAPL.csv` and `2020/AAPL.csv` are one symbol: folders of digits
    alone are dates.
    """
    files: dict[str, list[str]] = {}
    for file, named in parts:
        if named is not None:
            files.setdefault(named, []).append(file)
    return {symbol: names for symbol, names in files.items() if len({_home(name) for name in names}) > 1}


def not_unique(symbol: str, shared: Mapping[str, Sequence[str]]) -> tuple[str, str]:
    """Rule and detail of the refusal of a file whose name says another file's symbol too."""
    detail = (
        f"a symbol from a file's name must be one file's alone, but {symbol!r} would be that of "
        f"{', '.join(shared[symbol][:3])}. Name each file after its symbol, or give it a column `symbol`."
    )
    return "symbol_not_unique", detail


def _home(file: str) -> tuple[str, ...]:
    """The folders of a file that are not dates."""
    return tuple(part for part in Path(file).parts[:-1] if not re.fullmatch(r"[\d._-]+", part))


def names_said(own: Mapping[str, str]) -> str:
    """What is said of symbols from the names of files. own : `{symbol: file}`."""
    cases = [f"{symbol} from {own[symbol]}" for symbol in sorted(own)]
    shown = ", ".join(cases[:3]) + (", …" if len(own) > 3 else "")
    return f"symbols taken from the names of files without a symbol column: {len(own):,} ({shown})"


def _read(path: Path, folder: Path, settings: Market, *, today: dt.date) -> Part:
    """What became of one file, whatever is wrong with it."""
    name = name_below(path, folder)
    try:
        return _part(path, name, settings, today=today)
    except UNFIT as error:
        return Part(name, _unfit(name, *refusal(error, path, name)))


def _unfit(name: str, rule: str, detail: str) -> Batch:
    return Batch(ROWS.to_frame(), about(name, "rejected", rule, detail))


def _part(path: Path, name: str, settings: Market, *, today: dt.date) -> Part:
    ending = readable(path)
    if ending is None:
        return Part(name, Batch(ROWS.to_frame(), about(name, "flagged", "not_read", NOT_READ)))
    table = recognised(_with_symbol(opened(path, ending, settings.columns, settings.dates), name), recognisers.BARS)
    found = match(table.names, table.columns)
    named = None if "symbol" in found else table.stem
    if named is not None and settings.wanted is not None and named not in settings.wanted:
        return Part(name, _not_asked(table, path, name))
    if _at_once(path):
        table = replace(table, scan=table.scan.collect().lazy())
    rows, findings = typed(table, found, file=name, calendar=settings.calendar, today=today, quoted=settings.quoted)
    wanted, left_out = selected(rows, settings)
    return Part(name, Batch(wanted, pl.concat([*_layout(table, name), findings]), left_out), named)


def symbol_of(name: str) -> str | None:
    """The symbol that the innermost folder `symbol=…` of a file says, as partitioned datasets write it; else None.

    >>> symbol_of("symbol=BRK%20B/year=2019/part-0.parquet"), symbol_of("2019/AAPL.csv")
    ('BRK B', None)
    """
    keys = [part.split("=", 1) for part in reversed(name.split("/")[:-1]) if "=" in part]
    return next((unquote(value) for key, value in keys if bare(key) in ALIASES["symbol"]), None)


def _with_symbol(table: Table, name: str) -> Table:
    """The file with the symbol of its folder as a column, where it has no such column."""
    symbol = symbol_of(name)
    if symbol is None or any(bare(column) in ALIASES["symbol"] for column in table.names):
        return table
    return replace(table, scan=table.scan.with_columns(symbol=pl.lit(symbol)))


def _not_asked(table: Table, path: Path, name: str) -> Batch:
    """Of a file about a symbol that is not asked for: how many rows it has, and no refusal whatever they are."""
    try:
        rows = table.scan.select(pl.len()).collect(engine="streaming").item()
    except UNFIT as error:
        rule, detail = refusal(error, path, name)
        return Batch(ROWS.to_frame(), about(name, "flagged", rule, f"not asked for, and {detail}"))
    return Batch(ROWS.to_frame(), FINDINGS.to_frame(), not_asked(name, table.stem, rows))


def _layout(table: Table, file: str) -> list[pl.DataFrame]:
    """A finding that says which vendor's layout a file has, where it has one."""
    return [about(file, "repaired", "layout", layout_of(table))] if table.layout else []


def layout_of(table: Table) -> str:
    """What is said of a recognised layout."""
    return f"read as {table.layout}" + (f": {table.said}" if table.said else "")


def opened(path: Path, ending: str, columns: Mapping[str, str], dates: DateOrder | None) -> Table:
    """The file, columns as found: as text in CSV. columns, dates : as the user states them."""
    stem = path.name[: -len(ending)]
    if ending == ".parquet":
        return Table(scan_parquet(path), stem=stem, columns=columns, dates=dates)
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        header = file.readline(100_000).decode("utf-8-sig")
    if not header:
        raise Rejected("empty", "a file must hold rows, but this one is empty.")
    if "\r" in header.rstrip("\r\n"):
        raise Rejected(
            "unreadable",
            "lines must end as Unix or Windows ends them, but this file's end with carriage returns alone. Save it "
            "again as CSV (UTF-8).",
        )
    separator = max(",;\t|", key=header.count)
    scan = scan_csv(path, separator=separator, infer_schema=False)
    return Table(scan, stem=stem, columns=columns, dates=dates, decimal_comma=separator in ";\t")


def about(file: str, action: str, rule: str, detail: str) -> pl.DataFrame:
    """A finding about a whole file."""
    return findings(pl.DataFrame({"file": [file]}), action=action, rule=rule, detail=detail)
