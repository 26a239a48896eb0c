"""The decisions of a scan as people read them, on a page and on a terminal: what all rows share is said once."""

from typing import NamedTuple

import polars as pl

from bq.core.namespace import Tier
from bq.core.numerals import percent
from bq.core.settings import Settings
from bq.strategies.contract import Strategy
from bq.strategies.weighing import LEARNT
from bq.workbench import decisions, plots
from bq.workbench.cards import ID


class View(NamedTuple):
    """Sentences about all decisions, and a row a decision."""

    said: list[str]
    table: pl.DataFrame
    own: list[str]  # what is left to say of each decision


def of(answer: pl.DataFrame, strategy: Strategy, settings: Settings) -> View:
    """What `make scan` shows of its decisions; columns that say nothing are left out."""
    portfolio, task = "weight" in answer.columns, strategy.task(settings)
    shared, reasons = decisions.reasons(answer, strategy, settings, numbers=not portfolio)
    deciders = answer.select("model", "tier").unique(maintain_order=True).rows()
    by = " or ".join(f"{model} (tier {tier})" for model, tier in deciders)
    said = [f"Decided by {by}{''.join(f'; {clause}' for clause in shared)}."]
    if told := decisions.learnt(answer, strategy, settings):
        said.append(told)
    if portfolio:
        said.append(_portfolio(answer["weight"]))
    every: dict[str, str | pl.Expr | pl.Series | None] = {
        "event": pl.col("event_id").str.slice(0, ID),
        "symbol": "symbol",
        "rank": "rank",
        "side": side() if portfolio else None,
        "weight [%]": 100 * pl.col("weight") if portfolio else None,
        "trade": None if portfolio else pl.when("should_trade").then(pl.lit("yes")).otherwise(pl.lit("no")),
        "priority": "priority",
        "score": "score",
        "learnt score": LEARNT,
        f"P({task.classes[-1]})" if task.classes else "": "probability",
        **_success(answer, strategy),
        "class": "predicted_class",
        f"expected {task.expected}": "expected",
        "confidence": "confidence",
        "tier": "tier" if len(deciders) > 1 else None,
        "reason": pl.Series(reasons, dtype=pl.String),
    }
    known = {
        name: pl.col(what) if isinstance(what, str) else what
        for name, what in every.items()
        if what is not None and (not isinstance(what, str) or what in answer.columns)
    }
    table = answer.select(**known).with_columns(pl.col(pl.String).replace("", None))
    return View(said, table.select(column for column in table if column.null_count() < len(table)), reasons)


def _success(answer: pl.DataFrame, strategy: Strategy) -> dict[str, pl.Expr]:
    """The probability by which the second tier decides, where it decides on all."""
    if strategy.success is None or set(answer["tier"]) != {Tier.SECOND}:
        return {}
    return {f"P({strategy.success.classes[-1]})": pl.col("class_probabilities").list.get(-1)}


def side() -> pl.Expr:
    """What a weight holds."""
    weight = pl.col("weight")
    return pl.when(weight > 0).then(pl.lit("long")).when(weight < 0).then(pl.lit("short")).otherwise(pl.lit("none"))


def ends(table: pl.DataFrame, first: int, last: int) -> list[str]:
    """Lines of a table: its first rows and its last, and how many lie between them or are left."""
    lines = repr(plots.table(table)).splitlines()
    between = len(table) - first - last
    if between <= 0:
        return lines
    tail = [f"… {between:,} between", *lines[len(lines) - last :]] if last else [f"… and {between:,} more"]
    return [*lines[: 1 + first], *tail]


def opportunities(count: int) -> str:
    """A number of them.

    >>> opportunities(1), opportunities(21)
    ('1 opportunity', '21 opportunities')
    """
    return f"{count:,} {'opportunity' if count == 1 else 'opportunities'}"


def _portfolio(weight: pl.Series) -> str:
    held, long, short = (weight != 0).sum(), weight.clip(0, None).sum(), -weight.clip(None, 0).sum()
    return f"Portfolio bought from cash: {held} of {len(weight)} names, {percent(long)} long, {percent(short)} short."
