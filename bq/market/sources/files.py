"""CSV and Parquet files of daily bars that the user puts below data/raw/bars/."""

import datetime as dt
import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from bq.core import paths
from bq.core.errors import BadData
from bq.core.files import scan_csv, scan_parquet
from bq.core.settings import Market
from bq.market import calendars
from bq.market.bars import FINDINGS, ROWS, Rejected, findings
from bq.market.columns import match, typed
from bq.market.sources import wanted

ENDINGS = (".csv", ".csv.gz", ".parquet")
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
    if isinstance(error, UnicodeDecodeError):
        return "unreadable", "text must be UTF-8, but is not. Save it as UTF-8."
    reason = " ".join(str(error).replace(str(path), name).split("\n\n")[0].split())
    return "unreadable", f"a file must be whole and readable, but: {reason}"


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


def read(settings: Market) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows (`bars.ROWS`) of the symbols and sessions asked for, and findings, from all files of the folder.

    A file that is unfit as a whole gives no rows and one finding `rejected`. A file without a symbol column is about
    the symbol that its name says (`AAPL.csv`, `AAPL.csv.gz`, `AAPL.parquet`).

    Raises BadData if the folder holds no file of bars.
    """
    folder = paths.raw_bars()
    today = dt.datetime.now(ZoneInfo(calendars.time_zone(settings.calendar))).date()
    parts = [_read(path, folder, settings, today=today) for path in below(folder)]
    if not parts:
        raise BadData(
            "market.source: files needs CSV or Parquet files below data/raw/bars/, but there is none. "
            "data/raw/bars/README.md says what they hold."
        )
    all_rows, found = zip(*parts, strict=True)
    return pl.concat(all_rows), pl.concat(found)


def _read(path: Path, folder: Path, settings: Market, *, today: dt.date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows and findings of one file, whatever is wrong with it."""
    name = name_below(path, folder)
    try:
        return _rows(path, name, settings, today=today)
    except UNFIT as error:
        return ROWS.to_frame(), _about(name, "rejected", *refusal(error, path, name))


def _rows(path: Path, name: str, settings: Market, *, today: dt.date) -> tuple[pl.DataFrame, pl.DataFrame]:
    ending = readable(path)
    if ending is None:
        return ROWS.to_frame(), _about(name, "flagged", "not_read", NOT_READ)
    scan, decimal_comma = (scan_parquet(path), False) if ending == ".parquet" else _scan_csv(path)
    symbol = path.name[: -len(ending)]
    one_symbol = "symbol" not in match(scan.collect_schema().names())
    if one_symbol and settings.symbols is not None and symbol not in settings.symbols:
        return ROWS.to_frame(), FINDINGS.to_frame()
    rows, found = typed(
        scan, file=name, symbol=symbol, calendar=settings.calendar, today=today, decimal_comma=decimal_comma
    )
    return rows.filter(wanted(settings)).collect(engine="streaming"), found


def _scan_csv(path: Path) -> tuple[pl.LazyFrame, bool]:
    """All columns of a CSV file as text, and whether its numbers may have a decimal comma."""
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        header = file.readline(100_000).decode("utf-8-sig")
    separator = max(",;\t", key=header.count)
    return scan_csv(path, separator=separator, infer_schema=False), separator != ","


def _about(file: str, action: str, rule: str, detail: str) -> pl.DataFrame:
    return findings(pl.DataFrame({"file": [file]}), action=action, rule=rule, detail=detail)
