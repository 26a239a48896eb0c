"""The decisions behind the figures: what the candidate and the rule score would have traded, and what it earned."""

from pathlib import Path

import polars as pl

from bq.core import files
from bq.core.settings import Settings
from bq.runs.folder import TRADES
from bq.serving.candidate import Candidate
from bq.strategies.contract import Strategy
from bq.strategies.policy import EXPECTED, SCORE
from bq.strategies.regime import LABEL as REGIME


def picks(made: Candidate, events: pl.DataFrame, *, strategy: Strategy, settings: Settings) -> pl.DataFrame:
    """What the candidate and the rule score trade out of sample, with the strategy's detail of each event.

    weight : share of the session's capital; negative: sold short.
    """
    parts = [
        strategy.value.chosen(made.own_oos, by, settings).with_columns(by=pl.lit(name))
        for name, by in (("candidate", EXPECTED), ("rule score", SCORE))
    ]
    detail = events.select("event_id", *(name for name in (*strategy.table.detail, REGIME) if name in events.columns))
    shown = ["by", "session", "symbol", "expected", "score", "outcome", "weight", "event_id"]
    return pl.concat(parts).select(shown).join(detail, on="event_id", maintain_order="left")


def save(made: Candidate, events: pl.DataFrame, folder: Path, *, strategy: Strategy, settings: Settings) -> None:
    """Write trades.csv. Text that a spreadsheet would read as a formula is kept as text."""
    table = picks(made, events, strategy=strategy, settings=settings)
    guarded = table.with_columns(
        pl.when(pl.col(pl.String).str.contains(r"^[=+\-@\t\r]"))
        .then(pl.lit("'") + pl.col(pl.String))
        .otherwise(pl.col(pl.String))
        .name.keep()
    )
    files.write_text(folder / TRADES, guarded.write_csv(float_precision=6))
