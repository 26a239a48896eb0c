"""Parameters of the forecast strategy; defaults and their reasons are in parameters/forecast.yaml."""

import datetime as dt
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bq.core.errors import BadParameters, TemporalOverlap
from bq.core.params import Section
from bq.core.settings import Count, Settings, Share
from bq.strategies.forecast.features import LAGS

Positive = Annotated[float, Field(gt=0)]
Lag = Annotated[int, Field(ge=0, le=20)]


class Events(Section):
    """Which sessions are looked at, and which symbols are never traded."""

    first: dt.date  # first t0
    every_sessions: Count = 1  # every n-th session of the calendar
    min_names: Annotated[int, Field(ge=2)] = 5  # smaller cross-sections give no event
    index_symbols: list[str] = ["SPX", "IXIC"]  # no events; the first that has bars is the market of the beta


class Temporal(Section):
    """What a label spans and what a feature sees; all in sessions of the exchange."""

    prediction_horizon_days: Annotated[int, Field(ge=2, le=126)] = 10
    cv_gap_days: Annotated[int, Field(ge=0, le=252)] = 10  # sessions between the last training t0 and the test block
    cv_embargo_days: Annotated[int, Field(ge=0, le=252)] = 0  # sessions after a test block, where later folds train
    max_lookback_days: Annotated[int, Field(ge=20, le=252)] = 252  # history that a symbol needs before its first event
    delay_days: Literal[1] = 1  # from the newest bar that a feature sees to the first price that can be paid
    extra_lag: Lag = 0  # sessions that features stay further behind
    lags: Annotated[list[Annotated[int, Field(ge=1, le=20)]], Field(max_length=5)] = []  # columns <factor>_rank_lag<n>

    @model_validator(mode="after")
    def _labels_end_before_the_test(self) -> Self:
        horizon, gap = self.prediction_horizon_days, self.cv_gap_days
        if gap < horizon:
            raise TemporalOverlap(
                f"`temporal.cv_gap_days` must be >= `temporal.prediction_horizon_days` ({horizon}), but got {gap}: "
                f"labels of training events would overlap the test block by {horizon - gap} days (the embargo of "
                f"{self.cv_embargo_days} stands after a test block and does not shorten the gap before it). "
                f"Set cv_gap_days: {horizon} or more."
            )
        return self


class Alignment(Section):
    """How much may be lost where features meet outcomes."""

    coverage_threshold: Share = 0.7  # share of rows that must come through a stage


class HalfLife(Section):
    """Sessions after which an observation of a factor counts half, by family."""

    reversal: Positive = 5.0
    volatility: Positive = 6.0
    volume: Positive = 7.0
    momentum: Positive = 8.0
    technical: Positive = 12.0
    microstructure: Positive = 3.0
    other: Positive = 15.0


class Decay(Section):
    """How fast what was observed loses weight."""

    half_life_days: HalfLife = HalfLife()
    high_volatility: Positive = 0.7  # times the half-life while the market's volatility is in the upper third
    low_volatility: Positive = 1.3  # … in the lower third


class Portfolio(Section):
    """What is held on the strength of a forecast; see portfolio."""

    kind: Literal["long_only", "long_short"] = "long_only"  # long_short: half of the capital long, half short
    max_position: Annotated[float, Field(gt=0, le=1)] = 0.03  # of the capital; with too few names for it twice 1 / n
    max_turnover: Annotated[float, Field(gt=0, le=1)] = 0.10  # of the capital, replaced at a rebalance
    max_sector: Annotated[float, Field(gt=0, le=1)] = 0.30  # of the capital, or the sector's share of the names
    sectors: dict[str, str] = {}  # symbol: sector, before what bar files say; without either there is no such limit
    risk_aversion: Positive = 0.25  # 1: a name one deviation ahead gets about 0.7 / n more; smaller: farther from equal
    cost_bps: Annotated[float, Field(ge=0)] = 5.0  # a side, of what is bought or sold


class Production(Section):
    """What the portfolio of the out-of-sample forecasts must show before a model is deployed."""

    min_rank_ic: float = 0.02  # and above 0 by its lower bound
    min_information_ratio: float = 0.5  # of the net portfolio against equal weight, a year
    min_sharpe: float = 1.0  # net, a year, above
    max_drawdown: Share = 0.20
    rolling_sessions: Annotated[int, Field(ge=5)] = 63  # of one window of the rank IC
    min_rolling_share: Share = 0.5  # of the windows, with a mean rank IC that is not negative
    min_months: Count = 12  # out of sample


class ForecastSettings(Settings):
    """parameters/forecast.yaml."""

    strategy: Literal["forecast"]
    events: Events
    temporal: Temporal = Temporal()
    alignment: Alignment = Alignment()
    decay: Decay = Decay()
    portfolio: Portfolio = Portfolio()
    production: Production = Production()

    @property
    def max_holding_days(self) -> int:
        """The label in calendar days, counted where closures of the exchange made it longest."""
        return self._calendar_days(self.temporal.prediction_horizon_days)

    @model_validator(mode="after")
    def _gaps_in_calendar_days(self) -> Self:
        """The gap and the embargo of `temporal` as what the splits take: at least as long, in calendar days."""
        if self.learning.gap_days is not None:
            return self
        days = {
            "gap_days": self._calendar_days(self.temporal.cv_gap_days),
            "embargo_days": max(self.learning.embargo_days, self._calendar_days(self.temporal.cv_embargo_days)),
        }
        return self.model_copy(update={"learning": self.learning.model_copy(update=days)})

    @model_validator(mode="after")
    def _lags_are_there(self) -> Self:
        missing = sorted(set(LAGS) - set(self.temporal.lags))
        if self.learning.features == "alpha_lagged" and missing:
            raise BadParameters(
                f"`temporal.lags` must hold {list(LAGS)} for `learning.features: alpha_lagged`, but lacks {missing}. "
                f"Set temporal.lags: {list(LAGS)}."
            )
        return self

    def _calendar_days(self, count: int) -> int:
        from bq.market.calendars import longest_span

        return longest_span(self.market.calendar, count)
