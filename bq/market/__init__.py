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
from typing import Literal

import polars as pl

from bq.core.errors import BadData, BadParameters, did_you_mean
from bq.core.files import digest, sha256
from bq.core.settings import Market
from bq.market import chains, quarantine, sources
from bq.market.bars import content_hash, findings, rejections
from bq.market.sources import bundled, files, simulated
from bq.market.validation import Validated, validate

Source = Callable[[Market], tuple[pl.DataFrame, pl.DataFrame]]  # rows (`bars.ROWS`) and findings (`bars.FINDINGS`)

SOURCES: dict[str, Source] = {
    "bundled": bundled.read,
    "bundled_bars": bundled.read_bars,
    "simulated": simulated.read,
    "files": files.read,
}


@dataclass(frozen=True)
class MarketData:
    """Validated bars and all that is known about them.

    bars : DataFrame with the columns of `bars.SCHEMA`, sorted by (symbol, session), one row per key.
    quotes : DataFrame with the columns of `chains.quotes.SCHEMA`, sorted; empty unless chains were asked for, in which
    case `chain_data` holds what was found about them.
    findings : DataFrame with the columns of `bars.FINDINGS`; `file` and `row` say where.
    counts : DataFrame `file, symbol, read, kept, first, last`: rows read and kept.
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

    def content(self, symbol: str, through: dt.date) -> str:
        """Digest of all that is known of a symbol up to and including a session."""
        known = pl.col("session") <= through
        parts = [content_hash(self.bars.filter(known, pl.col("symbol") == symbol))]
        if len(self.quotes):
            parts.append(chains.quotes.content_hash(self.quotes.filter(known, pl.col("underlying") == symbol)))
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
    lost = set(settings.symbols or data.counts["symbol"].drop_nulls()) - set(data.bars["symbol"])
    if (settings.symbols and lost) or data.bars.is_empty():
        named = ", ".join(sorted(lost)) or "all"
        return f"market: each symbol asked for must have a bar that holds, but these have none: {named}."
    return ""


def read(settings: Market) -> MarketData:
    """Like `load`, but what is to be refused is a finding `rejected` instead of an error (for `make check-data`)."""
    rows, found = SOURCES[settings.source](settings)
    rows = rows.filter(sources.wanted(settings))
    _refuse_unknown(rows, found, settings)
    checked = validate(rows, calendar=settings.calendar)
    found = pl.concat([found, checked.findings, _too_many(checked, len(rows), settings.max_quarantine_share)])
    chain_data = None
    if settings.chains:
        underlyings = checked.bars["symbol"].unique().to_list()
        chain_data = chains.read_chains(calendar=settings.calendar, underlyings=underlyings)
    quotes = chain_data.quotes if chain_data else chains.quotes.SCHEMA.to_frame()
    sectors = _sectors(rows)
    contents = content_hash(checked.bars) + chains.quotes.content_hash(quotes) + (digest(sectors) if sectors else "")
    return MarketData(
        bars=checked.bars,
        quotes=quotes,
        findings=found,
        counts=checked.counts,
        source="simulated" if settings.source == "simulated" else "real",
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


def _refuse_unknown(rows: pl.DataFrame, found: pl.DataFrame, settings: Market) -> None:
    """Raise if a symbol asked for is in no row. (While files are rejected it may be in one of those.)"""
    unknown = sorted(set(settings.symbols or []) - set(rows["symbol"]))
    if not unknown or len(found.filter(pl.col("action") == "rejected")):
        return
    everything, _ = SOURCES[settings.source](settings.model_copy(update={"symbols": None}))
    known = everything.filter(sources.wanted(settings.model_copy(update={"symbols": None})))["symbol"].unique()
    raise BadParameters(
        f"`market.symbols` must be symbols of source {settings.source!r} with bars between "
        f"{settings.start or 'the first session'} and {settings.end or 'the last'}, but {unknown[0]!r} has none; "
        f"{did_you_mean(unknown[0], known.drop_nulls())}"
    )


def _too_many(checked: Validated, read: int, limit: float) -> pl.DataFrame:
    """A finding `rejected` if the share of quarantined rows is above the limit."""
    quarantined = checked.findings.filter(pl.col("action") == "quarantined")
    of = {"of": "the rows", "setting": "market.max_quarantine_share", "symbols": "symbols"}
    detail = quarantine.excess(quarantined, read, limit=limit, **of)
    frame = pl.DataFrame({"file": ["all rows"] if detail else []}, schema={"file": pl.String})
    return findings(frame, action="rejected", rule="quarantine_share", detail=detail)
