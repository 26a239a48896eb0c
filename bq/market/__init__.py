"""Bring market data in, refuse bad data.

>>> from bq import market
>>> from bq.core.settings import Market
>>> data = market.load(Market(symbols=["SPX"]))
>>> data.source, len(data.bars)
('real', 8313)
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import polars as pl

from bq.core.errors import BadData, BadParameters, did_you_mean
from bq.core.files import digest, sha256
from bq.core.settings import Market
from bq.market import calendars, chains, columns, quarantine, sources
from bq.market.bars import content_hash, findings, rejections, runs
from bq.market.chains import columns as chain_columns
from bq.market.closed_days import another_calendar
from bq.market.sources import bundled, files, rooted, simulated
from bq.market.validation import Validated, validate

Source = Callable[[Market], sources.Batch]

SOURCES: dict[str, Source] = {
    "bundled": bundled.read,
    "bundled_bars": bundled.read_bars,
    "simulated": simulated.read,
    "files": rooted.read,
}


NO_BARS = (
    "market.source: labelled has no bars, and what is asked for needs them: new events (scan), a portfolio, regimes. "
    "Give bars by market.source, under the same `name`, and the champion decides on them, if it learned features that "
    "bars give."
)
NOWHERE = (0, 0)
COUNTS = pl.Schema(
    {
        "file": pl.String(),
        "symbol": pl.String(),
        **dict.fromkeys(("read", "outside", "not_asked", "quarantined", "copies", "kept"), pl.UInt32()),
        "first": pl.Date(),  # session kept
        "last": pl.Date(),
    }
)


@dataclass(frozen=True)
class MarketData:
    """Validated bars and all that is known about them.

    bars : DataFrame with the columns of `bars.SCHEMA`, sorted by (symbol, session), one row per key.
    quotes : DataFrame with the columns of `chains.quotes.SCHEMA`, sorted; empty unless chains were asked for, in which
    case `chain_data` holds what was found about them.
    findings : DataFrame with the columns of `bars.FINDINGS`; `file` and `row` say where.
    counts : DataFrame of the columns `COUNTS`: of the rows read, those outside the dates, not asked for, quarantined,
    dropped as copies and kept, which add up.
    source : "simulated" bars are no evidence about a market. calendar : exchange_calendars name.
    data_hash : SHA-256 of the content of `bars`, `quotes` and `sectors`.
    sectors : of the symbols of which the source says it, by their newest row that does.
    """

    bars: pl.DataFrame
    quotes: pl.DataFrame
    findings: pl.DataFrame
    counts: pl.DataFrame
    source: Literal["real", "simulated"]
    calendar: str
    data_hash: str
    chain_data: chains.ChainData | None = None
    sectors: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _bars_of(self) -> Mapping[str, tuple[int, int]]:
        return runs(self.bars["symbol"])

    @cached_property
    def _quotes_of(self) -> Mapping[str, tuple[int, int]]:
        return runs(self.quotes["underlying"])

    def content(self, symbol: str, through: dt.date) -> str:
        """Digest of all that is known of a symbol up to and including a session."""
        known = pl.col("session") <= through
        parts = [content_hash(self.bars.slice(*self._bars_of.get(symbol, NOWHERE)).filter(known))]
        if len(self.quotes):
            quotes = self.quotes.slice(*self._quotes_of.get(symbol, NOWHERE)).filter(known)
            parts.append(chains.quotes.content_hash(quotes))
        if symbol in self.sectors:
            parts.append(self.sectors[symbol])
        return digest(parts)


def load(settings: Market) -> MarketData:
    """Read, validate and return the bars that `settings` ask for.

    Raises BadData if a file is rejected, if more than `settings.max_quarantine_share` of the rows are quarantined or
    if no bar is left, BadParameters for a symbol that the source does not have.
    """
    data = read(settings)
    reasons = refusals(data, settings)
    if reasons:
        raise BadData(f"{reasons}\n`make check-data` lists every finding.")
    return data


def refusals(data: MarketData, settings: Market) -> str:
    """Why no run may use what `read` returned, a reason a line; empty where it may."""
    rejected = rejections(data.findings, *([data.chain_data.findings] if data.chain_data else []))
    if rejected:
        return rejected
    asked = data.counts.filter(pl.col("read") > pl.col("not_asked") + pl.col("outside"))["symbol"].drop_nulls()
    lost = set(settings.symbols or asked) - set(data.bars["symbol"])
    if (settings.symbols and lost) or data.bars.is_empty():
        named = ", ".join(sorted(lost)) or "all"
        outside, read = (data.counts[name].sum() for name in ("outside", "read"))
        dates = f" ({outside:,} of {read:,} rows lie outside market.start and market.end.)" if outside else ""
        return f"market: each symbol asked for must have valid bars, but there are no valid bars for {named}.{dates}"
    constant = data.findings.filter(pl.col("rule") == "constant")["symbol"].n_unique()
    if constant == data.bars["symbol"].n_unique():
        return "market: prices must move, but the close of every symbol is the same in all its sessions."
    return ""


def read(settings: Market) -> MarketData:
    """Like `load`, but what is to be refused is a finding `rejected` instead of an error (for `make check-data`)."""
    if settings.table is not None:
        raise BadData(NO_BARS)
    _refuse_unknown_columns(settings)
    return judged(SOURCES[settings.source](settings), settings)


def judged(batch: sources.Batch, settings: Market) -> MarketData:
    """What became of the rows that a source gave."""
    rows, left_out = batch.rows, batch.left_out
    _refuse_unknown(rows, batch.findings, left_out, settings)
    checked = validate(rows, calendar=settings.calendar)
    other = another_calendar(rows, checked.findings, calendar=settings.calendar)
    advice = " ".join(other["detail"])
    too_many = _too_many(checked, len(rows), settings.max_quarantine_share, advice=advice)
    early = _before_calendar(left_out, settings.calendar)
    found = pl.concat([batch.findings, *early, other, checked.findings, too_many])
    chain_data = None
    if settings.chains:
        chain_data = chains.read_chains(settings, bars=checked.bars)
    quotes = chain_data.quotes if chain_data else chains.quotes.SCHEMA.to_frame()
    sectors = _sectors(rows)
    contents = content_hash(checked.bars) + chains.quotes.content_hash(quotes) + (digest(sectors) if sectors else "")
    return MarketData(
        bars=checked.bars,
        quotes=quotes,
        findings=found,
        counts=_all_counts(checked.counts, left_out),
        source="simulated" if settings.is_simulated else "real",
        calendar=settings.calendar,
        data_hash=sha256(contents.encode()),
        chain_data=chain_data,
        sectors=sectors,
    )


def _sectors(rows: pl.DataFrame) -> dict[str, str]:
    """Sector of each symbol by its newest row that names one, sorted by symbol."""
    named = rows.select("symbol", "session", "sector").drop_nulls()
    newest = named.group_by("symbol", maintain_order=True).agg(pl.col("sector").get(pl.col("session").arg_max()))
    return dict(newest.with_columns(pl.col("sector").cast(pl.String)).sort("symbol").rows())


def _refuse_unknown(rows: pl.DataFrame, found: pl.DataFrame, left_out: pl.DataFrame, settings: Market) -> None:
    """Raise if a symbol asked for is in no row. (While files are rejected it may be in one of those.)"""
    unknown = sorted(set(settings.symbols or []) - set(rows["symbol"]))
    if not unknown or len(found.filter(pl.col("action") == "rejected")):
        return
    known = {*rows["symbol"].drop_nulls(), *left_out["symbol"].drop_nulls()} - set(unknown)
    raise BadParameters(
        f"`market.symbols` (SYMBOLS) must be symbols of source {settings.source!r} with bars from "
        f"{settings.start or 'the first session'} to {settings.end or 'the newest'}, but {unknown[0]!r} has none; "
        f"{_meant(unknown[0], known)}"
    )


def _meant(symbol: str, known: set[str]) -> str:
    """What a symbol that is not there may have meant: several, or the one that is nearest."""
    several = symbol.split()
    if len(several) > 1 and known.issuperset(several):
        return f"commas stand between symbols: {','.join(several)}"
    return did_you_mean(symbol, known)


def _refuse_unknown_columns(settings: Market) -> None:
    """Raise for places in `market.columns` that neither bars nor quotes have."""
    known = {*columns.ALIASES, *chain_columns.ALIASES}
    for name in settings.columns:
        if name not in known:
            raise BadParameters(
                f"`market.columns` must name columns of bars or quotes, but got {name!r}; {did_you_mean(name, known)}"
            )


def _before_calendar(left_out: pl.DataFrame, calendar: str) -> list[pl.DataFrame]:
    """A finding where rows lie before the sessions that are known of a calendar."""
    early = left_out.filter(pl.col("before_calendar") > 0)
    if early.is_empty():
        return []
    detail = (
        f"{early['before_calendar'].sum():,} rows of {early['symbol'].n_unique():,} symbols lie before "
        f"{calendars.sessions(calendar)['session'][0]}, where the sessions of {calendar} begin here; not used"
    )
    return [files.about("all files", "flagged", "before_calendar", detail)]


def _all_counts(checked: pl.DataFrame, left_out: pl.DataFrame) -> pl.DataFrame:
    """`COUNTS` of rows that were judged and of those that were not."""
    gone = pl.sum_horizontal("not_asked", "before_calendar", "outside")
    left = left_out.select(
        "file", "symbol", "not_asked", outside=pl.col("before_calendar") + pl.col("outside"), read=gone
    )
    both = pl.concat([checked, left], how="diagonal_relaxed")
    numbers = [name for name, dtype in COUNTS.items() if dtype == pl.UInt32]
    summed = both.group_by("file", "symbol").agg(pl.col(numbers).sum(), pl.col("first").min(), pl.col("last").max())
    return summed.select(pl.col(name).cast(dtype) for name, dtype in COUNTS.items()).sort("file", "symbol")


def _too_many(checked: Validated, read: int, limit: float, *, advice: str) -> pl.DataFrame:
    """A finding `rejected` if the share of quarantined rows is above the limit. advice : what to try first."""
    quarantined = checked.findings.filter(pl.col("action") == "quarantined")
    of = {"of": "the rows", "setting": "market.max_quarantine_share", "symbols": "symbols"}
    detail = quarantine.excess(quarantined, read, limit=limit, advice=advice, **of)
    frame = pl.DataFrame({"file": ["all rows"] if detail else []}, schema={"file": pl.String})
    return findings(frame, action="rejected", rule="quarantine_share", detail=detail)
