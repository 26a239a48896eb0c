"""Split rows into quotes that hold and findings about those that do not: nothing disappears without a finding."""

from dataclasses import dataclass

import polars as pl

from bq.market import calendars
from bq.market.chains.against import CLOSE, SNAPSHOT, held_against
from bq.market.chains.conventions import settled
from bq.market.chains.flags import flags
from bq.market.chains.quotes import KEY, SCHEMA, findings
from bq.market.chains.rules import NO_QUOTE, row_rules
from bq.market.copies import shares_key, without_copies

REPEAT_CONTRACTS = 10  # fewer can agree by chance from one session to the next
REPEAT_SHARE = 0.5  # of a snapshot's contracts that the previous one has too


@dataclass(frozen=True)
class Validated:
    """`quotes` that hold (`SCHEMA`, sorted), `findings` about the rest, `counts` of rows per (file, symbol)."""

    quotes: pl.DataFrame
    findings: pl.DataFrame
    counts: pl.DataFrame


def validate(rows: pl.DataFrame, *, calendar: str, close: pl.DataFrame | None = None) -> Validated:
    """Repair what can be repaired, set aside what cannot be used, flag what looks odd.

    rows : DataFrame with the columns of `quotes.ROWS`, in the order read. calendar : exchange_calendars name.
    close : `against.CLOSE`, the bars' closes as quoted, against which spots are held.

    Every row becomes a quote or has its share in one finding: `quarantined` (one each, with the first rule that it
    breaks), `dropped` (no bid or no ask: one finding a snapshot) or `repaired` (an exact copy). Of rows with one
    contract and session and different values, all are quarantined; so is a whole snapshot that repeats the one before
    it, as vendors write on holidays, and one whose spot or strikes are in another unit than the bars or each other.
    Findings `flagged` are about rows that are kept.

    A snapshot may be of a session that is not over yet: unlike a bar, a quote is complete when it is made.
    """
    completed, moved = settled(rows, calendar=calendar)
    unique, copies = _without_copies(completed.sort(KEY, maintain_order=True))
    judged = unique.with_columns(
        shares_key(KEY), is_session=pl.col("session").is_in(calendars.sessions(calendar)["session"].implode())
    )
    good, gone = _judged(judged, calendar=calendar)
    same_spot, spots = _one_spot(good)
    agreeing, against = held_against(same_spot, CLOSE.to_frame() if close is None else close)
    kept, repeats = _without_repeats(agreeing)
    found = pl.concat([moved, copies, *gone, against, repeats, spots, flags(kept)])
    return Validated(quotes=kept.select(SCHEMA.names()), findings=found, counts=_counts(rows, kept, found))


def _without_copies(ordered: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows without exact duplicates, and a finding for each that goes."""
    rest, gone = without_copies(ordered, key=KEY, columns=SCHEMA.names())
    detail = "repeats an earlier row exactly; dropped"
    return rest, findings(gone, action="repaired", rule="exact_duplicate", detail=detail)


def _judged(rows: pl.DataFrame, *, calendar: str) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Rows that break no rule, and findings about those that do: dropped by snapshot, quarantined one by one."""
    rules = row_rules(calendar=calendar)
    breaks = pl.any_horizontal(rule.broken.fill_null(False) for rule in rules)
    good, broken = rows.filter(~breaks), rows.filter(breaks)
    broken = broken.with_columns(
        rule=pl.coalesce(pl.when(rule.broken).then(pl.lit(rule.name)) for rule in rules),
        detail=pl.coalesce(pl.when(rule.broken).then(rule.detail) for rule in rules),
    )
    unquoted = broken.filter(pl.col("rule") == NO_QUOTE)
    dropped = unquoted.group_by("file", *SNAPSHOT, maintain_order=True).agg(
        pl.col("row").first(), pl.col("rule", "detail").first(), rows=pl.len()
    )
    return good, [
        findings(broken.filter(pl.col("rule") != NO_QUOTE), action="quarantined"),
        findings(dropped, action="dropped"),
    ]


def _one_spot(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows whose snapshots have one spot, and a finding `flagged` for each that had several.

    A snapshot that takes minutes to write may carry several, and one of them may be a misprint: all its rows get the
    lower median over rows, a price that was written and that a few bad ones cannot move.
    """
    several = (
        rows.group_by(SNAPSHOT, maintain_order=True)
        .agg(
            pl.col("file", "row").first(),
            least=pl.col("spot").min(),
            most=pl.col("spot").max(),
            median=pl.col("spot").quantile(0.5, interpolation="lower"),
            rows=pl.len(),
        )
        .filter(pl.col("least") != pl.col("most"))
    )
    text = "a snapshot should have one spot, but has {} to {}; {} (the median) is taken"
    found = findings(several, action="flagged", rule="several_spots", detail=pl.format(text, "least", "most", "median"))
    if several.is_empty():
        return rows, found
    rows = rows.join(several.select(*SNAPSHOT, "median"), on=SNAPSHOT, how="left", maintain_order="left")
    return rows.with_columns(spot=pl.coalesce("median", "spot")).drop("median"), found


def _without_repeats(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows without snapshots equal to the one before them in spot and in every quote of the contracts both have."""
    snapshots = rows.group_by(SNAPSHOT, maintain_order=True).agg(pl.col("spot").first(), length=pl.len())
    before = {name: pl.col(name).shift().over("underlying") for name in ("session", "spot")}
    suspects = snapshots.with_columns(previous=before["session"]).filter(pl.col("spot") == before["spot"])
    if suspects.is_empty():
        return rows, findings(rows.clear(), action="quarantined")
    contract = [name for name in KEY if name != "session"]
    now = rows.join(suspects.select(*SNAPSHOT, "previous", "length"), on=SNAPSHOT)
    both = now.join(rows, left_on=[*contract, "previous"], right_on=[*contract, "session"], suffix="_before")
    same = (pl.col("bid") == pl.col("bid_before")) & (pl.col("ask") == pl.col("ask_before"))
    repeats = (
        both.group_by(SNAPSHOT)
        .agg(pl.col("previous", "length").first(), common=pl.len(), same=same.all())
        .filter("same", pl.col("common") >= pl.max_horizontal(REPEAT_CONTRACTS, pl.col("length") * REPEAT_SHARE))
    )
    gone = rows.join(repeats.select(*SNAPSHOT, "previous"), on=SNAPSHOT, maintain_order="left")
    detail = pl.format("a session must have quotes of its own, but all of this one's repeat those of {}", "previous")
    found = findings(gone, action="quarantined", rule="repeated_snapshot", detail=detail)
    return rows.join(repeats, on=SNAPSHOT, how="anti", maintain_order="left"), found


def _counts(rows: pl.DataFrame, kept: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """What became of the rows of each (file, symbol), and the first and last session kept."""
    by = ["file", "symbol"]
    of_kept = kept.group_by("file", symbol="underlying").agg(
        kept=pl.len(), first=pl.col("session").min(), last=pl.col("session").max()
    )
    of_gone = found.group_by(by).agg(
        no_quote=pl.col("rows").filter(pl.col("action") == "dropped").sum(),
        quarantined=pl.col("rows").filter(pl.col("action") == "quarantined").sum(),
        copies=pl.col("rows").filter(pl.col("rule") == "exact_duplicate").sum(),
    )
    counts = rows.group_by("file", symbol="underlying").agg(read=pl.len())
    for more in (of_kept, of_gone):
        counts = counts.join(more, on=by, how="left", nulls_equal=True)
    numbers = ("kept", "no_quote", "quarantined", "copies")
    return counts.with_columns(pl.col(numbers).fill_null(0)).select(*by, "read", *numbers, "first", "last").sort(by)
