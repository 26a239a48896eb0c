"""Bring option quotes in, refuse bad ones. Implied volatility is solved from them in bq.analysis.chain."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from bq.market import quarantine
from bq.market.chains.quotes import content_hash, findings
from bq.market.chains.validation import Validated, validate
from bq.market.sources import chain_files

MAX_QUARANTINE_SHARE = 0.05  # a vendor that repeats a snapshot on each of nine holidays a year is at 3.5%


@dataclass(frozen=True)
class ChainData:
    """Validated quotes and all that is known about them.

    quotes : DataFrame with the columns of `quotes.SCHEMA`, sorted by `quotes.KEY`, one row per key.
    findings : DataFrame with the columns of `quotes.FINDINGS`; `file` and `row` say where.
    counts : DataFrame `file, symbol, read, kept, no_quote, quarantined, first, last`.
    data_hash : SHA-256 of the content of `quotes`.
    """

    quotes: pl.DataFrame
    findings: pl.DataFrame
    counts: pl.DataFrame
    data_hash: str


def read_chains(
    *,
    calendar: str = "XNYS",
    underlyings: Sequence[str] | None = None,
    max_quarantine_share: float = MAX_QUARANTINE_SHARE,
) -> ChainData:
    """Read and validate the quotes of all files below data/raw/chains/; no quotes where there is no file.

    calendar : exchange_calendars name. underlyings : None for all; one without quotes is no error.
    max_quarantine_share : of the rows that have a bid and an ask; those without (normal in a real chain, often more
    than 40% of it) are dropped, counted as `no_quote`, and neither fail a run nor dilute the share.

    What no run may use is a finding `rejected`: a file that cannot be read, or more quarantined than that share.
    """
    rows, found = chain_files.read(calendar=calendar, underlyings=underlyings)
    checked = validate(rows, calendar=calendar)
    return ChainData(
        quotes=checked.quotes,
        findings=pl.concat([found, checked.findings, _too_many(checked, max_quarantine_share)]),
        counts=checked.counts,
        data_hash=content_hash(checked.quotes),
    )


def _too_many(checked: Validated, limit: float) -> pl.DataFrame:
    """A finding `rejected` if the share of quarantined rows among those with a quote is above the limit."""
    quarantined = checked.findings.filter(pl.col("action") == "quarantined")
    quoted = checked.counts["read"].sum() - checked.counts["no_quote"].sum()
    of = {"of": "the rows with a bid and an ask", "setting": "max_quarantine_share", "symbols": "underlyings"}
    detail = quarantine.excess(quarantined, quoted, limit=limit, **of)
    frame = pl.DataFrame({"file": ["all rows"] if detail else []}, schema={"file": pl.String})
    return findings(frame.with_columns(rows=pl.lit(None)), action="rejected", rule="quarantine_share", detail=detail)
