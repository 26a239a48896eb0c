"""What the gate's figures hang on: each once more without one symbol, one kind of event or one year.

It informs and decides nothing. A figure that one group alone makes is no statement about the others.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import polars as pl

from bq.core.scalars import number_or_none
from bq.core.settings import Settings
from bq.runs.verdict import Split, Without
from bq.serving import earned
from bq.strategies.contract import Strategy

if TYPE_CHECKING:
    from bq.market import MarketData

Contributions = Callable[[pl.DataFrame, str, Any], pl.DataFrame]  # see `Value.contributions`
LISTED = 30  # groups of a split that are judged again: those that contribute most to either figure


def of(oos: pl.DataFrame, strategy: Strategy, settings: Settings, market: "MarketData | None" = None) -> list[Without]:
    """Uplift and net result without each group that matters, by split, the largest contribution to the uplift first.

    oos : predictions of one model out of sample, with the column `kind`.

    Without a symbol or a kind the choice is made again among the other events, by the same rules and as many a session.
    A strategy whose value states `contributions` holds cash in the place of what is left out: forming it anew for each
    symbol would take too long. Without a year its sessions are left out. A split of one group alone is none.
    """
    rows = oos.with_columns(pl.col("session").dt.year().alias("year"))
    whole = earned.results(oos, strategy, settings, market)
    found = []
    for split in Split:
        groups = rows[split.value].drop_nulls().unique().sort().to_list()
        if len(groups) > 1:
            found += _split(rows, whole, split, groups, strategy, settings, market)
    return found


def _split(
    rows: pl.DataFrame,
    whole: pl.DataFrame,
    split: Split,
    groups: list,
    strategy: Strategy,
    settings: Settings,
    market: "MarketData | None",
) -> list[Without]:
    of = strategy.value.contributions
    held = _held(rows, of, settings) if of is not None and split != Split.YEAR else pl.DataFrame()
    parts = held.partition_by(split.value, as_dict=True) if len(held) else {}
    pairs = {}
    for group in groups:
        if split == Split.YEAR:
            pairs[group] = whole.filter(pl.col("session").dt.year() != group)
        elif len(held):
            pairs[group] = _less(whole, parts.get((group,), held.clear()))
        else:
            pairs[group] = earned.results(rows.filter(pl.col(split.value) != group), strategy, settings, market)
    uplift, net = (_by_mean(pairs, name) for name in ("uplift", "model"))
    largest = {*uplift[:LISTED], *net[:LISTED]}
    name, found = strategy.value.name(settings), []
    called = strategy.table.kind if split == Split.KIND else split.value
    for group in (group for group in uplift if group in largest):
        left = rows.filter(pl.col(split.value) != group)
        figures = earned.recipe(left, pairs[group], name, settings)
        gone = len(rows) - len(left)
        found.append(Without(split=split, called=called, group=str(group), events=gone, figures=figures))
    return found


def _by_mean(pairs: dict[Any, pl.DataFrame], column: str) -> list:
    """The groups, the smallest mean without one of them first."""
    return sorted(pairs, key=lambda group: number_or_none(pairs[group][column].mean()) or 0.0)


def _held(rows: pl.DataFrame, of: Contributions, settings: Settings) -> pl.DataFrame:
    """What each event added to its session: session, symbol, kind, model, baseline."""
    by = {"model": "expected", "baseline": "score"}
    model, rule = (of(rows, column, settings).rename({"value": name}) for name, column in by.items())
    both = model.join(rule, on=["session", "symbol"], how="full", coalesce=True)
    kinds = rows.select("session", "symbol", "kind")
    return both.join(kinds, on=["session", "symbol"], how="left").with_columns(pl.col("model", "baseline").fill_null(0))


def _less(whole: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """What is earned in each session, less what some of it added."""
    gone = held.group_by("session").agg(pl.col("model", "baseline").sum())
    both = whole.join(gone, on="session", how="left", suffix="_gone").sort("session")
    left = both.with_columns(pl.col(name) - pl.col(f"{name}_gone").fill_null(0.0) for name in ("model", "baseline"))
    return left.with_columns(uplift=pl.col("model") - pl.col("baseline")).select(whole.columns)
