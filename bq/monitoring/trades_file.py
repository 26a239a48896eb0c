"""A list of trades that others made, as a comparison takes it: columns in docs/comparison.md."""

from pathlib import Path

import polars as pl

from bq.core import files
from bq.core.errors import BadData, did_you_mean
from bq.core.scalars import day, number
from bq.core.settings import Settings
from bq.market.calendars import sessions
from bq.monitoring.compared import Compared, Origin, Without, known
from bq.stats import paired
from bq.trading import comparison, unpaired
from bq.trading.comparison import Material, Question
from bq.trading.trades import TRADES

NEEDED = ("track", "symbol", "opened", "closed", "pnl")
NUMBERS = ("pnl", "risk", "capital", "score", "predicted", "turnover", "fees")
DATES = ("opened", "closed")
COLUMNS = (*NEEDED, *NUMBERS[1:])
SOURCE = "real"


def compared(path: Path, settings: Settings, base: str = "") -> Compared:
    """Compare the tracks of a list of trades, by executions alone. Raises BadData where it cannot be read as one."""
    rows = read(path)
    names = rows["track"].unique(maintain_order=True).to_list()
    if len(names) < 2:
        raise BadData(f"{path}: `track` must name two tracks or more, but names {len(names)}: {', '.join(names)}.")
    rules = [track.name for track in settings.trading.tracks if track.name in names and track.decides == "rule"]
    base = known(names, base) if base else (rules or sorted(names)[-1:])[0]
    found = comparison.compare(Question.EXECUTIONS, material(rows, names, settings), base)
    units = rows.filter(pl.col("score").is_not_null() & (pl.col("closed").is_not_null() | pl.col("opened").is_null()))
    capital = pl.col("track").replace_strict(_capital(rows, names, settings), return_dtype=pl.Float64)
    drawn = units.select("track", "symbol", value=pl.col("pnl").fill_null(0.0) / capital, score="score")
    trades = _trades(rows)
    executed = [unpaired.executed(trades, drawn, name, base) for name in names if name != base]
    return Compared(Origin.FILE, path.name, SOURCE, Without.TRADES_ALONE, found, executed)


def read(path: Path) -> pl.DataFrame:
    """The rows of a file, with all `COLUMNS`; null what is not given."""
    if not path.is_file():
        raise BadData(f"FROM_FILE must be a CSV file, but there is none at {path}.")
    try:
        raw = files.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        why = str(error).splitlines()[0]
        raise BadData(f"{path}: must be a CSV file with a header, but cannot be read as one: {why}") from None
    unknown = [name for name in raw.columns if name not in COLUMNS]
    missing = [name for name in NEEDED if name not in raw.columns]
    if missing or unknown:
        hint = did_you_mean(unknown[0], COLUMNS) if unknown else f"columns are {', '.join(raw.columns)}"
        what = f"must have the columns {', '.join(NEEDED)}" if missing else "must have known columns alone"
        raise BadData(f"{path}: {what}, but {(missing or unknown)[0]!r} is {'missing' if missing else 'none'}; {hint}")
    filled = raw.with_columns(pl.col(pl.String).str.strip_chars().replace("", None))
    given = filled.with_columns(pl.lit(None, pl.String).alias(name) for name in COLUMNS if name not in raw.columns)
    kinds = {**dict.fromkeys(NUMBERS, pl.Float64()), **dict.fromkeys(DATES, pl.Date())}
    rows = given.with_columns(
        pl.col(name).str.to_date("%Y-%m-%d", strict=False) if name in DATES else pl.col(name).cast(kind, strict=False)
        for name, kind in kinds.items()
    )
    _refuse(path, given, rows, list(kinds))
    return rows.select(COLUMNS)


def _refuse(path: Path, given: pl.DataFrame, rows: pl.DataFrame, names: list[str]) -> None:
    """Raise BadData for the first cell that is not what its column holds."""
    for name in ("track", "symbol"):
        if rows[name].null_count():
            raise BadData(f"{path}: every row must have a {name}, but row {_first(rows[name].is_null())} has none.")
    for name in names:
        bad = given[name].is_not_null() & rows[name].is_null()
        if rows[name].dtype.is_float():
            bad |= ~rows[name].is_finite().fill_null(True)
        if bad.any():
            kind = "a date such as 2019-05-31" if name in DATES else "a finite number"
            row = _first(bad)
            raise BadData(f"{path}: `{name}` must be {kind}, but row {row} has {given[name][row - 2]!r}.")
    for what, bad in {
        "close after it was opened": rows["closed"] < rows["opened"],
        "have a pnl where it is closed": rows["closed"].is_not_null() & rows["pnl"].is_null(),
        "be closed where it has a pnl": rows["closed"].is_null() & rows["pnl"].is_not_null(),
        "be opened where it is closed": rows["closed"].is_not_null() & rows["opened"].is_null(),
        "risk more than nothing": rows["risk"] <= 0.0,
        "have a capital above 0": rows["capital"] <= 0.0,
    }.items():
        if bad.any():
            raise BadData(f"{path}: a trade must {what}, but that of row {_first(bad)} does not.")


def _first(bad: pl.Series) -> int:
    """The row of the file, with its header as the first."""
    place = bad.fill_null(False).arg_true()
    return int(place[0]) + 2


def material(rows: pl.DataFrame, names: list[str], settings: Settings) -> Material:
    """What a comparison takes. P&L is booked in the session in which a trade ends, as a list has no marks."""
    closed = rows.filter(pl.col("closed").is_not_null())
    if closed.is_empty():
        raise BadData("FROM_FILE must hold a closed trade, but every row is open.")
    calendar = sessions(settings.market.calendar)["session"]
    first, last = day(closed["opened"].min()), day(closed["closed"].max())
    days = calendar.filter(calendar.is_between(first, calendar.filter(calendar >= last).min() or last)).to_frame(
        "session"
    )
    made = closed.sort("closed").join_asof(days, left_on="closed", right_on="session", strategy="forward")
    sums = made.group_by("track", "session").agg(pl.col("pnl").sum())
    daily = [
        days.select(pl.lit(name).alias("track"), "session")
        .join(sums.filter(pl.col("track") == name).select("session", "pnl"), on="session", how="left")
        .with_columns(pl.col("pnl").fill_null(0.0))
        .sort("session")
        for name in names
    ]
    held = number((pl.Series(_sessions(days, closed["closed"])) - pl.Series(_sessions(days, closed["opened"]))).max())
    return Material(
        daily=pl.concat(daily),
        trades=_trades(rows),
        capital=_capital(rows, names, settings),
        given=dict.fromkeys(names, 1.0),
        shortest=max(paired.SESSIONS, 2 * int(held)),
    )


def _sessions(days: pl.DataFrame, dates: pl.Series) -> list[int]:
    return [int(place) for place in days["session"].search_sorted(dates)]


def _trades(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows that were traded, as the ledger has them."""
    traded = rows.filter(pl.col("opened").is_not_null())
    named = traded.with_columns(
        event_id=pl.lit(None, pl.String),
        decided="opened",
        turnover=pl.col("turnover").fill_null(0.0),
        fees=pl.col("fees").fill_null(0.0),
        source=pl.lit(SOURCE),
    )
    return named.select(*TRADES.names(), "predicted").cast(TRADES | {"predicted": pl.Float64()})


def _capital(rows: pl.DataFrame, names: list[str], settings: Settings) -> dict[str, float]:
    """Of each track: as the file says, as the settings' track of that name has it, else the whole."""
    shares = {track.name: track.share for track in settings.trading.tracks}
    given = dict(rows.drop_nulls("capital").group_by("track").agg(pl.col("capital").first()).rows())
    return {name: given.get(name, shares.get(name, 1.0) * settings.trading.capital) for name in names}
