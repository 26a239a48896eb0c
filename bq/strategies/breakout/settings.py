"""Parameters of the breakout strategy. parameters/breakout.yaml is written from them."""

import datetime as dt
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from bq.core.section import Affects, Section
from bq.core.settings import (
    Learning,
    Market,
    NotNegative,
    Policy,
    Positive,
    Settings,
    Share,
    Stack,
    Trading,
    two_tracks,
)

TRAINED_ON = Affects.EVENTS | Affects.RECIPE
Clearance = Annotated[float, Field(ge=0, le=0.1)]


class Universe(Section):
    """What is traded, and against what it is measured."""

    affects: ClassVar = TRAINED_ON
    benchmark: str | None = Field(
        default="SPX", description="symbol; null, or without bars: the mean return of all that is traded"
    )
    index_symbols: list[str] = Field(
        default=["SPX", "IXIC", "VIX"],
        description="index levels, which are never traded; nor is a symbol that begins with ^",
    )


class Entry(Section):
    """A close so far above the highest before it, filled at the next open."""

    affects: ClassVar = TRAINED_ON
    fast_clearance: Clearance = Field(
        default=0.005, description="share by which a close must exceed the highest of the 20 sessions before"
    )
    slow_clearance: Clearance = Field(
        default=0.010, description="share by which a close must exceed the highest of the 55 sessions before"
    )


class Eligibility(Section):
    """Which symbols may be bought."""

    affects: ClassVar = TRAINED_ON
    trend_ma: Literal[20, 50, 100] = Field(
        default=50, description="20, 50 or 100 sessions: the close must be above this average"
    )
    min_slope: float = Field(
        default=0.005, description="the trend average must have risen by more than this in 20 sessions"
    )
    min_price: NotNegative = Field(default=5.0, description="least quoted price")
    min_dollar_volume: Positive = Field(default=1_000_000.0, description="least mean dollar volume of 20 sessions")


class Exit(Section):
    """When a position is closed."""

    affects: ClassVar = TRAINED_ON
    hard_stop_atr_mult: float = Field(
        default=2.5, ge=0.5, le=10, description="stop below the entry's open, in mean true ranges of 14 sessions"
    )
    exit_ma: Literal[20, 50] = Field(
        default=50, description="20 or 50 sessions: a close below this average is sold at the next open"
    )
    max_holding_days: int = Field(
        default=120, ge=2, le=250, description="sessions after the signal; then the position is closed at the close"
    )


class Risk(Section):
    """How much is bought, and how much may be held."""

    affects: ClassVar = TRAINED_ON
    capital: Positive = Field(default=1_000_000.0, description="starting capital")
    risk_per_trade: float = Field(
        default=0.0075, gt=0, le=0.05, description="share of equity that is lost from the entry to the stop"
    )
    max_positions: int = Field(default=8, ge=1, le=100, description="positions held at a time")
    max_exposure: float = Field(
        default=0.80,
        gt=0,
        le=1,
        description="share of equity in all positions; orders beyond it are refused, at the open reduced",
    )
    max_notional: float = Field(default=0.15, gt=0, le=1, description="share of equity in one order")
    max_adv_share: float = Field(
        default=0.005, gt=0, le=0.1, description="share of the mean dollar volume of 20 sessions in one order"
    )
    guard_positions: int = Field(
        default=4, ge=2, description="number of positions from which on the correlation guard acts"
    )
    guard_average: Share = Field(
        default=0.70, description="mean correlation of the positions (60 sessions) above which the guard acts"
    )
    guard_limit: Share = Field(
        default=0.75, description="mean correlation with the positions above which the guard refuses a symbol"
    )


class Costs(Section):
    """What is lost between a price and a fill."""

    affects: ClassVar = TRAINED_ON
    fee_bps: NotNegative = Field(default=1.0, description="of traded value, each way")
    slippage_bps: NotNegative = Field(
        default=8.0,
        description="times ATR / its mean of 60 (.5 to 3), times 1 + order / 0.5% of dollar volume (to 3)",
    )


class Score(Section):
    """The rule score, the baseline that a model must beat: weights of ranks among the symbols."""

    affects: ClassVar = TRAINED_ON
    distance: Share = Field(default=0.50, description="weight of the distance from the trend average, in ATR")
    momentum: Share = Field(default=0.30, description="weight of the return of 60 sessions less the benchmark's")
    diversification: Share = Field(default=0.20, description="weight of 1 - mean correlation with the others")


class MachineLearning(Section):
    """What a model's probability of R > 0 does in the backtester and in a scan."""

    affects: ClassVar = Affects.RUNNING
    enabled: bool = Field(default=False, description="whether a model's probability is used")
    prediction_mode: Literal["score_enhancement", "filter", "replace"] = Field(
        default="score_enhancement",
        description="both; or filter: drop below the threshold; replace: the probability alone",
    )
    ml_weight: Share = Field(
        default=0.3, description="weight of the probability in score_enhancement, both as percentiles"
    )
    confidence_threshold: Share = Field(default=0.5, description="probability below which filter drops a signal")


class DataCollection(Section):
    """Whether a backtest keeps its signals as events."""

    affects: ClassVar = Affects.RUNNING
    enabled: bool = Field(
        default=True, description="true: signals are kept as events; without them there is nothing to learn from"
    )


class BreakoutSettings(Settings):
    """The breakout strategy: what a breakout is, how it is traded, how a model is trained and deployed."""

    comments: ClassVar = {
        "market.source": "bundled_bars: five stocks with whole bars, 2000-2013, and two indices; files: yours",
        "policy.k": "most signals a session, half of `risk.max_positions`; null: all above the threshold",
        "policy.above": "only signals with an expected R, net of costs, above this are traded",
        "gate.margin": "R a session by which alpha's lower bound, and the mean uplift, must exceed 0",
    }
    older: ClassVar = {
        "ml.model_path": "the deployed model is found by itself, in models/. Take the line out.",
        "ml_data_collection.db_path": (
            "signals are kept as Parquet below data/events/, and BQ_HOME says where data/ is. Take the line out."
        ),
    }

    strategy: Literal["breakout"]
    market: Market = Market(source="bundled_bars", start=dt.date(2000, 3, 1), end=dt.date(2013, 3, 1))
    universe: Universe = Universe()
    entry: Entry = Entry()
    eligibility: Eligibility = Eligibility()
    exit: Exit = Exit()
    risk: Risk = Risk()
    costs: Costs = Costs()
    score: Score = Score()
    ml: MachineLearning = MachineLearning()
    ml_data_collection: DataCollection = DataCollection()
    learning: Learning = Learning(
        features="breakout_v1",
        model="lightgbm",
        compare=["elastic_net"],
        folds=5,
        calibration_share=0.25,
        newest_days=365,
        stack=Stack(meta="elastic_net"),
    )
    policy: Policy = Policy(k=4)
    trading: Trading = Trading(tracks=two_tracks("BreakoutAI", "BreakoutRule"))

    @model_validator(mode="after")
    def _benchmark_is_read(self) -> Self:
        """The benchmark is read too where the source has it, whichever symbols are chosen."""
        benchmark, beside = self.universe.benchmark, self.market.beside
        if self.market.symbols is None or benchmark is None or benchmark in (*self.market.symbols, *beside):
            return self
        return self.model_copy(update={"market": self.market.model_copy(update={"beside": [*beside, benchmark]})})

    @property
    def asks_model(self) -> bool:
        """Whether decisions ask a deployed model."""
        return self.ml.enabled

    @property
    def max_holding_days(self) -> int:
        """Longest holding time in calendar days, counted on the calendar."""
        from bq.market.calendars import longest_span

        return longest_span(self.market.calendar, self.exit.max_holding_days)
