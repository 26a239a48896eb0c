"""What a candidate truly earns where prices are martingales: the value that the interval of its result should hold.

There nothing earns or loses before costs, whatever is chosen by whatever was known: a decision's expected outcome is
what its own costs take away. That is its outcome less the one it would have had without costs, so that the luck of the
market is in neither.
"""

import numpy as np
import polars as pl

from bq.audit.calibration import Known, Trained, collected
from bq.core.settings import Settings
from bq.serving import bounds, earned, gates
from bq.simulate.families import STRENGTH
from bq.stats import paired
from bq.stats.blocks import HOLDINGS
from bq.strategies.component import Kind
from bq.strategies.contract import Strategy

FAIR = ("martingale", "clustered", "breakouts", "panel")  # kinds of markets, where nothing is planted
FAIR_OPTIONS = ("martingale",)  # where options are priced by the very law that prices follow
KEY = ("session", "symbol")  # of an event, whatever its costs


def known(strategy: Strategy, settings: Settings) -> bool:
    """Whether the expected outcome before costs is 0 by the law of the settings' market."""
    plan = settings.market.simulation
    if plan is None or plan.drift:
        return False
    planted = plan.kind in STRENGTH and getattr(plan, STRENGTH[plan.kind])
    return not planted and plan.kind in (FAIR_OPTIONS if strategy.table.quoted else FAIR)


def of(trained: Trained, strategy: Strategy, settings: Settings) -> Known:
    """The true values of what the gate asks of a candidate and of its second tier; for markets that are `known`."""
    expected = _values(trained, strategy, settings)
    return Known(expected=expected, apart=_apart(trained, strategy, settings, expected[Kind.UPLIFT]))


def _values(trained: Trained, strategy: Strategy, settings: Settings) -> dict[Kind, float]:
    oos, data = trained.made.own_oos, trained.place.data
    free = collected(strategy, strategy.value.before_costs(settings), data).select(*KEY, free="outcome")
    expected = earned.results(_expected(oos, free), strategy, settings)
    rule, everything = (_beyond(trained, strategy, settings, expected, name) for name in ("baseline", "everything"))
    found = {
        Kind.UPLIFT: _mean(expected, "uplift"),
        Kind.ALPHA: rule,
        Kind.OVER_ALL: everything,
        Kind.NET: _mean(expected, "model"),
        Kind.OVER_LONG: _mean(expected, "model"),  # being long has no expectation here
    }
    if trained.made.success_oos is not None and strategy.success is not None:
        beside = gates.success_values(_expected(trained.made.success_oos, free), strategy.success, settings)
        found[Kind.NET_OF_TRADES] = _mean(beside, "value")
    return found


def _apart(trained: Trained, strategy: Strategy, settings: Settings, uplift: float) -> int | None:
    """See `Known.apart`. Results are booked on the session of their decision, so a block spans two holding times."""
    oos = trained.made.own_oos
    pairs = earned.results(oos, strategy, settings)
    held = bounds.blocks(oos, settings, pairs["session"]).block / HOLDINGS
    daily = np.nan_to_num(earned.column(pairs, "uplift") - uplift)
    return paired.first_apart(daily, sessions=max(round(2.0 * held), 1), alpha=2.0 * settings.gate.alpha)


def _expected(oos: pl.DataFrame, free: pl.DataFrame) -> pl.DataFrame:
    """Predictions with the expected outcome in the outcome's place. free : outcomes without costs."""
    beside = oos.join(free, on=KEY, how="left", maintain_order="left", validate="m:1")
    return beside.with_columns(outcome=pl.col("outcome") - pl.col("free")).drop("free")


def _beyond(trained: Trained, strategy: Strategy, settings: Settings, expected: pl.DataFrame, other: str) -> float:
    """The expected intercept of the candidate's results on another's; being long has no expectation here."""
    pairs = earned.results(trained.made.own_oos, strategy, settings, trained.place.data)
    columns = [earned.column(pairs, other), *earned.hedges(pairs, "model", other), np.ones(len(pairs))]
    values = np.nan_to_num(np.column_stack([earned.column(pairs, "model"), *columns]))
    slopes = np.linalg.lstsq(values[:, 1:], values[:, 0], rcond=None)[0]
    return _mean(expected, "model") - float(slopes[0]) * _mean(expected, other)


def _mean(results: pl.DataFrame, name: str) -> float:
    return float(np.nanmean(earned.column(results, name)))
