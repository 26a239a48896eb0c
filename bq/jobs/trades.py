"""The decisions behind the figures: who would have traded what, and what came of it at which fill."""

from pathlib import Path

import polars as pl

from bq.core import files
from bq.serving.candidate import Candidate

DETAIL = (
    *("structure", "lower", "body", "upper", "dte_days", "expiry", "spot", "level"),
    *("entry_session", "exit_session", "exit_reason", "debit", "exit_spot", "in_zone", "lead_7d"),
    *("roi_0%", "roi_25%", "roi_50%", "roi_100%"),
)


def picks(made: Candidate, events: pl.DataFrame, *, k: int) -> pl.DataFrame:
    """The top `k` of each out-of-sample session by the candidate and by the rule score, with the strategy's detail."""
    own = made.own_oos
    parts = [
        own.sort(["session", by, "event_id"], descending=[False, True, False])
        .group_by("session", maintain_order=True)
        .head(k)
        .with_columns(by=pl.lit(name))
        for name, by in (("candidate", "expected"), ("rule score", "score"))
    ]
    detail = events.select("event_id", *(name for name in DETAIL if name in events.columns))
    shown = ["by", "session", "symbol", "expected", "score", "outcome", "event_id"]
    return pl.concat(parts).select(shown).join(detail, on="event_id", maintain_order="left")


def save(made: Candidate, events: pl.DataFrame, folder: Path, *, k: int) -> None:
    """Write trades.csv. Text that a spreadsheet would read as a formula is kept as text."""
    table = picks(made, events, k=k)
    guarded = table.with_columns(
        pl.when(pl.col(pl.String).str.contains(r"^[=+\-@\t\r]"))
        .then(pl.lit("'") + pl.col(pl.String))
        .otherwise(pl.col(pl.String))
        .name.keep()
    )
    files.write_text(folder / "trades.csv", guarded.write_csv(float_precision=6))
