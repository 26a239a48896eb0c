"""Parameters of the butterfly strategy; defaults and their reasons are in parameters/butterfly.yaml."""

import datetime as dt
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from bq.core.params import Section
from bq.core.settings import Settings, Share

Positive = Annotated[float, Field(gt=0)]
Dte = Annotated[int, Field(ge=2, le=180)]  # long enough to be entered and left, short enough for the known calendar
Order = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=3, max_length=3)]


class Events(Section):
    """On which dates an opportunity is looked at."""

    first: dt.date  # first t0
    every_weeks: Annotated[int, Field(ge=1)] = 1  # the last session of every n-th ISO week
    vix_strata: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=3, max_length=3)] | None = None
    # instead of weeks: how many sessions with the index's IV below 15%, from 15 to 25%, above


class Analysis(Section):
    """How a price history is measured."""

    history_sessions: Annotated[int, Field(ge=60)] = 504
    trend_threshold: Positive = 0.10  # % of price per bar; below it the trend is FLAT
    arima_sessions: Annotated[int, Field(ge=60)] = 120
    arima_orders: Annotated[list[Order], Field(min_length=1)] = [[1, 1, 1], [2, 1, 2], [1, 1, 2], [2, 1, 1], [3, 1, 2]]
    engine: Literal["compiled", "reference"] = "compiled"

    @model_validator(mode="after")
    def _differenced_once(self) -> Self:
        if any(d != 1 for _, d, _ in self.arima_orders):
            raise ValueError(f"hold arima_orders [p, 1, q], differenced once, but got {self.arima_orders}")
        return self


class Structure(Section):
    """Strikes, wings, expiry."""

    wing: Literal["interval", "volatility"] = "interval"
    width_cuts: Annotated[list[Positive], Field(min_length=2, max_length=2)] = [8.0, 12.0]  # ARIMA width %, 1/2/3 steps
    dte_days: Annotated[list[Dte], Field(min_length=3, max_length=3)] = [21, 30, 45]
    listed_dte_reach: Share = 0.4  # share of the wanted days to expiry by which a listed one may differ
    rate: float = 0.045  # 13-week Treasury bill, continuous
    index_symbols: list[str] = ["SPX", "IXIC"]
    vix_to_atm: Positive = 0.88  # at-the-money IV / volatility index: the index also holds the skew
    iv_premium_index: Positive = 1.13  # at-the-money IV / forecast volatility
    iv_premium_stock: Positive = 0.99


class Costs(Section):
    """What is lost between the mid price and a fill."""

    spread_near: Share = 0.05  # of a leg's out-of-the-money premium, |moneyness - 1| < 3%
    spread_middle: Share = 0.07  # < 8%
    spread_far: Share = 0.10
    half_spread_paid: Share = 1.0  # fraction of the half-spread paid on each leg, in and out


class Score(Section):
    """Weights of the rule score's four components."""

    rule: Literal["score_v1", "score_v2"] = "score_v1"
    price_match: Share = 0.35
    vol_mispricing: Share = 0.30
    stability: Share = 0.20
    fourier: Share = 0.15
    trade_at: Annotated[float, Field(ge=0, le=100)] = 60.0


class Label(Section):
    """When a position is closed, and how its outcome is classed."""

    take_profit: Share | None = 0.70  # of the most that can be made, at mid prices; null: never before the horizon
    stop_loss: Share | None = 0.50  # of what can be lost
    carry_sessions: Annotated[int, Field(ge=0, le=20)] = 5  # how long a missing exit price is waited for
    edges: Annotated[list[float], Field(min_length=3, max_length=3)] = [-0.10, 0.05, 0.15]

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if sorted(set(self.edges)) != self.edges:
            raise ValueError(f"hold edges in ascending order, but got {self.edges}")
        return self


class ButterflySettings(Settings):
    """parameters/butterfly.yaml."""

    strategy: Literal["butterfly"]
    events: Events
    analysis: Analysis = Analysis()
    structure: Structure = Structure()
    costs: Costs = Costs()
    score: Score = Score()
    label: Label = Label()

    @property
    def max_holding_days(self) -> int:
        """Longest holding time plus the sessions an exit price is waited for, in calendar days.

        Counted on the calendar: closures of a week have happened (September 2001), so no rule of thumb holds.
        """
        from bq.market.calendars import sessions

        days = sessions(self.market.calendar)["session"].to_numpy()
        reach = 1.0 + self.structure.listed_dte_reach if self.market.chains else 1.0  # a listed expiry may lie beyond
        longest = max(holding_days(int(dte * reach)) for dte in self.structure.dte_days)
        due = np.searchsorted(days, days + np.timedelta64(longest, "D")) + self.label.carry_sessions
        known = due < len(days)
        return int((days[due[known]] - days[known]).max().astype(int))


def holding_days(dte_days: int) -> int:
    """Calendar days from t0 to the planned exit.

    >>> [holding_days(d) for d in (21, 30, 45)]
    [18, 25, 40]
    """
    return dte_days - 5 if dte_days >= 30 else max(dte_days - 3, int(0.8 * dte_days))
