"""Parameters of the forecast strategy. parameters/forecast.yaml is written from them."""

import datetime as dt
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from bq.core.errors import BadParameters, TemporalOverlap
from bq.core.section import Affects, Section
from bq.core.settings import (
    Count,
    Gate,
    Learning,
    Market,
    NotNegative,
    Positive,
    Regimes,
    Selection,
    Settings,
    Share,
    Stack,
    Trading,
    two_tracks,
)
from bq.strategies.forecast.features import LAGS

TRAINED_ON = Affects.EVENTS | Affects.RECIPE
DELAY = 1  # sessions from the newest bar that a feature sees to the first price that can be paid
Lag = Annotated[int, Field(ge=0, le=20)]
Sessions = Annotated[int, Field(ge=0, le=252)]


class Events(Section):
    """Which sessions are looked at, and which symbols are never traded."""

    affects: ClassVar = TRAINED_ON
    first: dt.date = Field(default=dt.date(2002, 1, 2), description="first decision date")
    every_sessions: Count = Field(default=1, description="every n-th session of the calendar")
    min_names: int = Field(default=5, ge=2, description="sessions with fewer names give no event")
    index_symbols: list[str] = Field(
        default=["SPX", "IXIC"],
        description="never traded; the first that has bars is the market of the beta (none: mean of all)",
    )


class Temporal(Section):
    """What a label spans and what a feature sees, all in sessions."""

    affects: ClassVar = TRAINED_ON
    prediction_horizon_days: int = Field(default=10, ge=2, le=126, description="sessions that an outcome spans")
    cv_gap_days: Annotated[Sessions, Affects.RECIPE] = Field(
        default=10, description="sessions between the last training t0 and the test block; at least the horizon"
    )
    cv_embargo_days: Annotated[Sessions, Affects.RECIPE] = Field(
        default=0, description="sessions after a test block on which later folds do not train"
    )
    max_lookback_days: int = Field(
        default=252, ge=20, le=252, description="sessions of history that a symbol needs before its first event"
    )
    extra_lag: Lag = Field(default=0, description="sessions by which all features are delayed further")
    lags: Annotated[list[Annotated[int, Field(ge=1, le=20)]], Field(max_length=5)] = Field(
        default=[], description="[1, 2, 5]: also ranks of so many sessions before, for features: alpha_lagged"
    )

    @model_validator(mode="before")
    @classmethod
    def _delay_was_stated(cls, values: Any) -> Any:
        """Files and models of version 0.1 state the delay, which has only ever been one session."""
        if isinstance(values, dict) and values.get("delay_days") == DELAY and values["delay_days"] is not True:
            return {name: value for name, value in values.items() if name != "delay_days"}
        return values

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

    affects: ClassVar = Affects.EVENTS
    coverage_threshold: Share = Field(
        default=0.7,
        description="share of the rows with features that must have a price to enter at; below it a run stops",
    )


class HalfLife(Section):
    """Sessions after which an observation of a factor counts half, by family."""

    reversal: Positive = Field(default=5.0, description="half-life in sessions")
    volatility: Positive = Field(default=6.0, description="half-life in sessions")
    volume: Positive = Field(default=7.0, description="half-life in sessions")
    momentum: Positive = Field(default=8.0, description="half-life in sessions")
    technical: Positive = Field(default=12.0, description="half-life in sessions")
    microstructure: Positive = Field(default=3.0, description="half-life in sessions")
    other: Positive = Field(default=15.0, description="half-life in sessions")


class Decay(Section):
    """How fast what was observed loses weight."""

    affects: ClassVar = TRAINED_ON
    half_life_days: HalfLife = HalfLife()
    high_volatility: Positive = Field(
        default=0.7, description="factor on half-lives while the market's volatility is in the upper third of its year"
    )
    low_volatility: Positive = Field(default=1.3, description="factor on half-lives while it is in the lower third")


class Portfolio(Section):
    """What is held on the strength of the forecasts; formed every horizon, weights by convex optimisation."""

    affects: ClassVar = Affects.RECIPE | Affects.JUDGING | Affects.EARNING
    kind: Literal["long_only", "long_short"] = Field(
        default="long_only", description="long_short: half of the capital long, half short"
    )
    tranches: Count = Field(
        default=5, description="parts of the capital, each rebalanced once a horizon, one after the other"
    )
    max_position: float = Field(
        default=0.03,
        gt=0,
        le=1,
        description="share of the capital; with too few names for it, twice an equal weight",
    )
    max_turnover: float = Field(
        default=0.10,
        gt=0,
        le=1,
        description="share of the capital replaced at a rebalance; the first portfolio is bought as a whole",
    )
    max_sector: float = Field(
        default=0.30,
        gt=0,
        le=1,
        description="share of the capital, or the sector's share of the names if that is larger",
    )
    sectors: dict[str, str] = Field(
        default={}, description="{AAPL: Technology, …}, else the `sector` column of bar files; neither: no sector limit"
    )
    risk_aversion: Positive = Field(
        default=0.25,
        description="1: a name one deviation ahead gets 0.7 equal weights more; smaller: less equal weights",
    )
    cost_bps: NotNegative = Field(default=5.0, description="of traded value, each way")


class Production(Section):
    """What that portfolio must show out of sample, beside `gate`."""

    affects: ClassVar = Affects.JUDGING
    min_rank_ic: float = Field(default=0.02, description="least mean rank IC; its lower bound must also be above 0")
    min_information_ratio: float = Field(
        default=0.5,
        description="least annual ratio of daily net returns against equal weight; long-short: against cash",
    )
    min_sharpe: float = Field(default=1.0, description="annual Sharpe ratio of daily net returns that must be exceeded")
    max_drawdown: Share = Field(default=0.20, description="largest drawdown of the portfolio, by daily net returns")
    rolling_sessions: int = Field(default=63, ge=5, description="sessions of one window of the rank IC …")
    min_rolling_share: Share = Field(
        default=0.5, description="… and the share of windows in which its mean is not negative"
    )
    min_months: Count = Field(default=12, description="months out of sample")


class ForecastSettings(Settings):
    """The cross-sectional forecast: what a stock returns over the next ten sessions, beside the others."""

    comments: ClassVar = {
        "market.source": "bundled: 20 large US stocks that ship with skfolio; files: yours, in data/raw/bars/",
        "market.start": "first bar read; an event needs a year before it",
        "learning.features": "alpha_ranks; alpha_decayed (with decay), alpha_lagged (with lags), alpha_raw (no ranks)",
        "learning.model": "the candidate: stack, three layers; or one of its base models",
        "learning.gap_days": "calendar days; null: that of `temporal`",
        "learning.embargo_days": "calendar days; at least that of `temporal`",
        "learning.hyperparameters": (
            "by base model, meta: of the meta-learner; the rest stays default: shallow, slow trees"
        ),
        "learning.half_life_days": (
            "calendar days, of an event's training weight; after ten of them it is out; null: none"
        ),
        "policy.k": "does not apply: `portfolio` says what is held",
        "policy.above": "does not apply: the same",
        "gate.margin": "return a rebalance by which alpha's lower bound, and the mean uplift, must exceed 0",
        "gate.max_calibration_error": "does not apply: a regression has no classes",
    }
    older: ClassVar = {
        "temporal.delay_days": (
            "the delay is always one session, the first whose price can be paid. Take the line out; "
            "`temporal.extra_lag` keeps features further behind."
        ),
        "delay_days": "the delay is always one session. Take the line out.",
        "validation": "the gap and the embargo are `temporal.cv_gap_days` and `temporal.cv_embargo_days`, in sessions.",
        "compute": "the device is `learning.device`.",
    }

    strategy: Literal["forecast"]
    market: Market = Market(start=dt.date(2000, 1, 1))
    events: Events = Events()
    temporal: Temporal = Temporal()
    alignment: Alignment = Alignment()
    decay: Decay = Decay()
    portfolio: Portfolio = Portfolio()
    production: Production = Production()
    learning: Learning = Learning(
        features="alpha_decayed",
        model="stack",
        compare=["elastic_net"],
        folds=5,
        regimes=Regimes(),
        select=Selection(),
        stack=Stack(
            models=["factor_weights", "xgboost", "lightgbm"],
            regime_model="factor_weights",
            regime_weights={"factor_weights": [0.8], "regimes": [0.5], "xgboost": [0.15], "lightgbm": [0.15]},
        ),
        hyperparameters={
            "xgboost": {"n_estimators": 100, "reg_lambda": 3000.0},
            "lightgbm": {"n_estimators": 100, "reg_lambda": 3000.0, "num_leaves": 4},
        },
    )
    gate: Gate = Gate(artefact_margin=0.02, max_calibration_error=None)
    trading: Trading = Trading(tracks=two_tracks("ForecastAI", "ForecastRule"))

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
        if "alpha_lagged" in self.learning.feature_sets and missing:
            raise BadParameters(
                f"`temporal.lags` must hold {list(LAGS)} for `learning.features: alpha_lagged`, but lacks {missing}. "
                f"Set temporal.lags: {list(LAGS)}."
            )
        return self

    def _calendar_days(self, count: int) -> int:
        from bq.market.calendars import longest_span

        return longest_span(self.market.calendar, count)
