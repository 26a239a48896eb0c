"""Breakouts in a rising market: one event is a signal, taken or not, and its outcome the R of the trade after costs."""

import math
from collections.abc import Mapping
from typing import Any

import polars as pl

from bq.core.scalars import number
from bq.strategies import policy
from bq.strategies.backtester import Backtester
from bq.strategies.breakout.build import NAME, build, schedule
from bq.strategies.breakout.comparison import evaluation
from bq.strategies.breakout.desk import BreakoutDesk
from bq.strategies.breakout.evidence import exhibits
from bq.strategies.breakout.features import BREAKOUT_V1
from bq.strategies.breakout.layout import LAYOUT
from bq.strategies.breakout.quality import backtested, priority, reason
from bq.strategies.breakout.search import RANGES, scorer
from bq.strategies.breakout.settings import BreakoutSettings
from bq.strategies.breakout.trend import hedge
from bq.strategies.contract import Cells, Columns, Strategy, Table, Value, Views, kinds_and_sizes
from bq.strategies.task import Task
from bq.strategies.ticket import Shares


def task(settings: BreakoutSettings) -> Task:
    """Whether a trade earns anything, net of costs: P(Win) is P(R > 0)."""
    return Task(("Loss", "Win"), (1e-12,), outcome="R")  # the rules trade every signal that fits


def cells(events: Columns) -> Cells:
    """Fast or slow breakout, and the distance of the stop: where class means are kept apart."""
    return kinds_and_sizes(events["kind"], ("fast", "slow"), events["stop_share"])


def notices(events: pl.DataFrame, settings: BreakoutSettings) -> list[str]:
    """What took the place of a benchmark without bars, and what is missing for lack of volume."""
    found: list[str] = []
    named = settings.universe.benchmark
    if "benchmark" not in events.columns:
        return found  # of a labelled table
    if named is not None and events["benchmark"].null_count():
        found.append(
            f"benchmark {named} has no bars here: the benchmark is the mean return of all that is traded "
            "(universe.benchmark names another)"
        )
    missing = (
        events.group_by("symbol")
        .agg(none=pl.col("volume_ratio").fill_nan(None).is_null().all())
        .filter("none")["symbol"]
        .sort()
    )
    if len(missing):
        names = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        found.append(
            f"{len(missing)} of {events['symbol'].n_unique()} symbols have no volume ({names}): their feature "
            "volume_ratio is missing, and neither eligibility.min_dollar_volume nor risk.max_adv_share limits them"
        )
    return found


def ticket(event: Mapping[str, Any], settings: BreakoutSettings) -> Shares | None:
    """Entry, stop and size, as if the portfolio were new; nothing where a labelled table lacks one of them."""
    facts = [event.get(name) for name in ("quantity", "close", "stop_share")]
    if any(fact is None or not math.isfinite(fact) for fact in facts):
        return None
    quantity, close, stop_share = map(number, facts)
    return Shares(quantity, close, stop_share, settings.risk.capital)


def before_costs(settings: BreakoutSettings) -> BreakoutSettings:
    """Without fee and slippage."""
    return settings.model_copy(
        update={"costs": settings.costs.model_copy(update={"fee_bps": 0.0, "slippage_bps": 0.0})}
    )


STRATEGY = Strategy(
    name=NAME,
    settings=BreakoutSettings,
    table=Table(
        build=build,
        feature_sets=(BREAKOUT_V1,),
        schedule=schedule,
        cells=cells,
        cells_from=("kind", "stop_share"),
        cross_sectional=True,
        kind="kind",
        carried=("stop_share",),
        detail=(
            *("kind", "decision", "entry_session", "exit_session", "exit_reason"),
            *("entry_price", "exit_price", "quantity", "stop_share"),
        ),
    ),
    task=task,
    value=Value(name=lambda settings: policy.name(settings.policy, "net R"), hedge=hedge, before_costs=before_costs),
    views=Views(exhibits=exhibits, notices=notices, ticket=ticket),
    backtester=Backtester(
        run=backtested,
        priority=priority,
        evaluation=evaluation,
        scorer=scorer,
        ranges=RANGES,
        reason=reason,
        without_model="ml.enabled: false",
    ),
    layout=LAYOUT,
    desk=BreakoutDesk,
    quick="learning.folds=3 gate.draws=2000",
)
