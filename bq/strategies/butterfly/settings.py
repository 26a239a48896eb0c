"""Parameters of the butterfly strategy. parameters/butterfly.yaml is written from them."""

import datetime as dt
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from bq.core.section import Affects, Section
from bq.core.settings import Learning, Market, NotNegative, Policy, Positive, Settings, Share, Stack

TRAINED_ON = Affects.EVENTS | Affects.RECIPE
Dte = Annotated[int, Field(ge=2, le=180)]  # long enough to be entered and left, short enough for the known calendar
Order = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=3, max_length=3)]
Three = Field(min_length=3, max_length=3)


class Events(Section):
    """On which dates an opportunity is looked at."""

    affects: ClassVar = TRAINED_ON
    first: dt.date = Field(default=dt.date(2010, 1, 1), description="first decision date")
    every_weeks: int = Field(default=1, ge=1, description="the last session of every n-th ISO week")
    vix_strata: Annotated[list[Annotated[int, Field(ge=0)]], Three] | None = Field(
        default=None,
        description="[40, 60, 40]: instead, so many sessions with the index's IV below 15%, up to 25%, above",
    )


class Analysis(Section):
    """How a price history is measured."""

    affects: ClassVar = TRAINED_ON
    history_sessions: int = Field(
        default=504, ge=60, description="sessions of prices for the cycles and the volatility"
    )
    trend_threshold: Positive = Field(
        default=0.10, description="% of price per bar; |trend| below it is FLAT (a third of events)"
    )
    arima_sessions: int = Field(default=120, ge=60, description="sessions of prices for ARIMA")
    arima_orders: Annotated[list[Order], Field(min_length=1)] = Field(
        default=[[1, 1, 1], [2, 1, 2], [1, 1, 2], [2, 1, 1], [3, 1, 2]],
        description="orders that are tried, differenced once",
    )
    engine: Annotated[Literal["compiled", "reference"], Affects.EVENTS] = Field(
        default="compiled", description="reference: arch and statsmodels, slower by two orders of magnitude"
    )

    @model_validator(mode="after")
    def _differenced_once(self) -> Self:
        if any(d != 1 for _, d, _ in self.arima_orders):
            raise ValueError(f"hold arima_orders [p, 1, q], differenced once, but got {self.arima_orders}")
        return self


class Structure(Section):
    """Strikes, wings, expiry."""

    affects: ClassVar = TRAINED_ON
    wing: Literal["interval", "volatility"] = Field(
        default="interval",
        description="interval: 1/2/3 strike steps by ARIMA width; volatility: width / (spot·IV·√T) near 1",
    )
    min_wing_sigmas: NotNegative = Field(default=0.25, description="least wing, in spot·IV·√T")
    width_cuts: Annotated[list[Positive], Field(min_length=2, max_length=2)] = Field(
        default=[8.0, 12.0], description="ARIMA interval width, % of the forecast, between 1, 2 and 3 steps"
    )
    dte_days: Annotated[list[Dte], Three] = Field(
        default=[21, 30, 45], description="for dominant periods < 20, < 40, longer"
    )
    listed_dte_reach: Share = Field(
        default=0.4, description="with market.chains: share by which a listed expiry may differ from the one wanted"
    )
    rate: float = Field(default=0.045, description="13-week Treasury bill, continuous")
    index_symbols: list[str] = Field(
        default=["SPX", "IXIC"], description="symbols with the strikes and the IV premium of an index"
    )
    vix_to_atm: Positive = Field(
        default=0.88, description="at-the-money IV / VIX, which also holds the skew; 33 days of SPX quotes of 2019"
    )
    iv_premium_index: Positive = Field(
        default=1.13,
        description="at-the-money IV / forecast volatility: 0.88 × VIX / forecast (1.29), S&P 500 1991-2022",
    )
    iv_premium_stock: Positive = Field(
        default=0.99, description="at-the-money IV / forecast volatility of 20 large US stocks 2010-2022"
    )


class Costs(Section):
    """Modelled bid-ask spread, share of a leg's out-of-the-money premium."""

    affects: ClassVar = TRAINED_ON
    spread_near: Share = Field(default=0.05, description="|strike / spot - 1| < 3%")
    spread_middle: Share = Field(default=0.07, description="< 8%")
    spread_far: Share = Field(default=0.10, description="farther")
    half_spread_paid: Share = Field(
        default=1.0, description="share of the half-spread lost on each leg, at entry and at exit"
    )
    max_cost_share: Share = Field(
        default=0.4, description="share of the risk; a structure whose entry and exit cost more is refused, and counted"
    )


class Score(Section):
    """The rule score, the baseline that a model must beat: weights of its components."""

    affects: ClassVar = TRAINED_ON
    rule: Literal["score_v1", "score_v2"] = Field(
        default="score_v1", description="score_v2: price match by distance from spot instead of from the strike"
    )
    price_match: Share = Field(default=0.35, description="weight of: forecast price near the strike")
    vol_mispricing: Share = Field(default=0.30, description="weight of: implied above forecast volatility")
    stability: Share = Field(default=0.20, description="weight of: narrow ARIMA interval")
    fourier: Share = Field(default=0.15, description="weight of: trend and cycle agree with the structure")
    trade_at: float = Field(default=60.0, ge=0, le=100, description="score from which the rules trade")
    weights: Annotated[Literal["static", "learnt"], Affects.RUNNING] = Field(
        default="static", description="learnt: the rules choose by deployed weights (USE_RL=1); `score` stays"
    )


class Label(Section):
    """When a position is closed, and how its outcome is classed."""

    affects: ClassVar = TRAINED_ON
    take_profit: Share | None = Field(
        default=0.70, description="close when mid prices show this share of the largest possible gain; null: never"
    )
    stop_loss: Share | None = Field(
        default=0.50, description="close when mid prices show a loss of this share of the risk; null: never"
    )
    carry_sessions: int = Field(
        default=5, ge=0, le=20, description="sessions for which a missing exit price is waited for"
    )
    edges: Annotated[list[float], Three] = Field(
        default=[-0.10, 0.05, 0.15], description="ROI between the classes Loss | Minor | Good | Excellent"
    )

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if sorted(set(self.edges)) != self.edges:
            raise ValueError(f"hold edges in ascending order, but got {self.edges}")
        return self


class ButterflySettings(Settings):
    """The butterfly strategy: how an opportunity is found and valued, how a model is trained and deployed."""

    comments: ClassVar = {
        "market.source": "bundled: prices that ship with skfolio and arch; files: yours, in data/raw/bars/",
        "market.chains": "true: option quotes in data/raw/chains/ are read, and structures priced from them",
        "market.start": "first bar read; the analysis of a date needs about two years before it",
        "learning.features": "butterfly_v3: independent of price levels",
        "policy.k": "most trades a session, for the model and for the rule score",
        "policy.above": "only events with an expected ROI, net of costs, above this are traded",
        "gate.margin": "ROI a session by which alpha's lower bound, and the mean uplift, must exceed 0",
    }

    older: ClassVar = {"USE_RL": "write `weights: learnt` in `score`, or `make … USE_RL=1`."}

    strategy: Literal["butterfly"]
    market: Market = Market(start=dt.date(2006, 1, 1))
    events: Events = Events()
    analysis: Analysis = Analysis()
    structure: Structure = Structure()
    costs: Costs = Costs()
    score: Score = Score()
    label: Label = Label()
    learning: Learning = Learning(
        features="butterfly_v2", model="lightgbm", compare=["elastic_net"], stack=Stack(meta="elastic_net")
    )
    policy: Policy = Policy(k=5)

    @property
    def asks_learnt(self) -> bool:
        """By `score.weights`."""
        return self.score.weights == "learnt"

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
