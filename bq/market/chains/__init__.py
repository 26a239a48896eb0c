"""Bring option quotes in, refuse bad ones. Implied volatility is solved from them in bq.analysis.chain."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from bq.core.errors import did_you_mean
from bq.core.scalars import count
from bq.core.settings import Market
from bq.market import quarantine
from bq.market.chains.against import CLOSE, closes, with_spots
from bq.market.chains.quotes import FINDINGS, content_hash, findings
from bq.market.chains.validation import Validated, validate
from bq.market.sources import chain_files

MAX_QUARANTINE_SHARE = 0.05  # a vendor that repeats a snapshot on each of nine holidays a year is at 3.5%


COUNTS = pl.Schema(
    {
        "file": pl.String(),
        "symbol": pl.String(),
        **dict.fromkeys(("read", "kept", "no_quote", "quarantined", "copies", "outside", "not_asked"), pl.UInt32()),
        "first": pl.Date(),  # session kept
        "last": pl.Date(),
    }
)


@dataclass(frozen=True)
class ChainData:
    """Validated quotes and all that is known about them.

    quotes : DataFrame with the columns of `quotes.SCHEMA`, sorted by `quotes.KEY`, one row per key.
    findings : DataFrame with the columns of `quotes.FINDINGS`; `file` and `row` say where.
    counts : DataFrame of the columns `COUNTS`: of the rows read, those kept, without a quote, quarantined, dropped as
    copies, outside the dates, and of underlyings not asked for or without bars, which add up.
    data_hash : SHA-256 of the content of `quotes`.
    """

    quotes: pl.DataFrame
    findings: pl.DataFrame
    counts: pl.DataFrame
    data_hash: str


def read_chains(
    settings: Market | None = None,
    *,
    bars: pl.DataFrame | None = None,
    underlyings: Sequence[str] | None = None,
    max_quarantine_share: float = MAX_QUARANTINE_SHARE,
) -> ChainData:
    """Read and validate the quotes of all files below data/raw/chains/; no quotes where there is no file.

    settings : calendar, dates and columns (the default's where None). bars : of the underlyings, with which spots are
    compared, and whose closes stand in for them where a file has none. underlyings : None for those of the bars, or
    all; one without quotes is no error.
    max_quarantine_share : of the rows that have a bid and an ask; those without (normal in a real chain, often more
    than 40% of it) are dropped, counted as `no_quote`, and neither fail a run nor dilute the share.

    What no run may use is a finding `rejected`: a file that cannot be read, more quarantined than that share, or
    underlyings of which none has bars.
    """
    settings = settings or Market()
    if underlyings is None and bars is not None:
        underlyings = bars["symbol"].unique().sort().to_list()
    batch = chain_files.read(settings, underlyings=underlyings, spot=bars is None)
    close = CLOSE.to_frame() if bars is None else closes(bars)
    rows = with_spots(batch.rows, close, list(batch.without_spot))
    checked = validate(rows, calendar=settings.calendar, close=close)
    without_bars = _without_bars(batch, bars, settings)
    too_many = _too_many(checked, max_quarantine_share)
    return ChainData(
        quotes=checked.quotes,
        findings=pl.concat([batch.findings, without_bars, checked.findings, too_many]),
        counts=_all_counts(checked.counts, batch.left_out),
        data_hash=content_hash(checked.quotes),
    )


def _without_bars(batch: chain_files.Batch, bars: pl.DataFrame | None, settings: Market) -> pl.DataFrame:
    """A finding about each file none of whose underlyings has bars: `rejected` where no file has one that does.

    Where symbols are asked for by name, an underlying without bars is merely not one of them.
    """
    alone = batch.left_out.filter(~pl.col("file").is_in(batch.rows["file"].unique().implode()))
    alone = alone.filter((pl.col("not_asked") > 0).all().over("file"))
    if bars is None or settings.symbols is not None or alone.is_empty():
        return FINDINGS.to_frame()
    known = bars["symbol"].unique().sort().to_list()
    details = [
        f"underlyings must have bars, but {', '.join(names[:5])} {'has' if len(names) == 1 else 'have'} none; "
        f"{did_you_mean(names[0].upper(), known[:20])}"
        for names in alone.group_by("file", maintain_order=True)
        .agg(pl.col("symbol").fill_null("?"))["symbol"]
        .to_list()
    ]
    frame = pl.DataFrame({"file": alone["file"].unique(maintain_order=True), "detail": details})
    action = "rejected" if batch.rows.is_empty() else "flagged"
    return findings(frame.with_columns(rows=pl.lit(None)), action=action, rule="no_bars")


def _all_counts(checked: pl.DataFrame, left_out: pl.DataFrame) -> pl.DataFrame:
    """Counts of rows that were judged and of those that were not."""
    left = left_out.with_columns(read=pl.col("not_asked") + pl.col("outside"))
    summed = (
        pl.concat([checked, left], how="diagonal_relaxed")
        .group_by("file", "symbol")
        .agg(
            pl.col(name).min() if name == "first" else pl.col(name).max() if name == "last" else pl.col(name).sum()
            for name in COUNTS.names()[2:]
        )
    )
    return summed.select(pl.col(name).cast(dtype) for name, dtype in COUNTS.items()).sort("file", "symbol")


def _too_many(checked: Validated, limit: float) -> pl.DataFrame:
    """A finding `rejected` if the share of quarantined rows among those with a quote is above the limit."""
    quarantined = checked.findings.filter(pl.col("action") == "quarantined")
    quoted = count(checked.counts["read"].sum()) - count(checked.counts["no_quote"].sum())
    of = {"of": "the rows with a bid and an ask", "setting": "max_quarantine_share", "symbols": "underlyings"}
    detail = quarantine.excess(quarantined, quoted, limit=limit, **of)
    frame = pl.DataFrame({"file": ["all rows"] if detail else []}, schema={"file": pl.String})
    return findings(frame.with_columns(rows=pl.lit(None)), action="rejected", rule="quarantine_share", detail=detail)
