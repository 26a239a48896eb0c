"""Parameters of the breakout strategy; defaults and their reasons are in parameters/breakout.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bq.core.params import Section
from bq.core.settings import Settings, Share

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Clearance = Annotated[float, Field(ge=0, le=0.1)]


class Universe(Section):
    """What is traded, and against what it is measured."""

    benchmark: str | None = "SPX"  # None: the mean return of all that is traded
    index_symbols: list[str] = ["SPX", "IXIC", "VIX"]  # levels, never traded


class Entry(Section):
    """What a breakout is."""

    fast_clearance: Clearance = 0.005  # above the highest close of the 20 sessions before
    slow_clearance: Clearance = 0.010  # of the 55 sessions before


class Eligibility(Section):
    """Which symbols may be bought."""

    trend_ma: Literal[20, 50, 100] = 50
    min_slope: float = 0.005  # of that average over 20 sessions
    min_price: NotNegative = 5.0  # as quoted
    min_dollar_volume: Positive = 1_000_000.0  # a day, mean of 20


class Exit(Section):
    """When a position is closed."""

    hard_stop_atr_mult: Annotated[float, Field(ge=0.5, le=10)] = 2.5
    exit_ma: Literal[20, 50] = 50
    max_holding_days: Annotated[int, Field(ge=2, le=250)] = 120  # sessions after the signal


class Risk(Section):
    """How much is bought, and how much may be held."""

    capital: Positive = 1_000_000.0
    risk_per_trade: Annotated[float, Field(gt=0, le=0.05)] = 0.0075  # of equity, from the entry to the stop
    max_positions: Annotated[int, Field(ge=1, le=100)] = 8
    max_exposure: Annotated[float, Field(gt=0, le=1)] = 0.80  # of equity, all positions together
    max_notional: Annotated[float, Field(gt=0, le=1)] = 0.15  # of equity, one order
    max_adv_share: Annotated[float, Field(gt=0, le=0.1)] = 0.005  # of the mean dollar volume of 20 sessions, one order
    guard_positions: Annotated[int, Field(ge=2)] = 4  # from so many on the correlation guard stands
    guard_average: Share = 0.70  # and where their mean correlation is above this
    guard_limit: Share = 0.75  # what is above this, on average with them, is refused


class Costs(Section):
    """What is lost between a price and a fill."""

    fee_bps: NotNegative = 1.0
    slippage_bps: NotNegative = 8.0  # × ATR / its mean of 60 within [.5, 3] × 1 + order / 0.5% of dollar volume (to 3)


class Score(Section):
    """Weights of the rule score's three parts, each the standing among all symbols of the session."""

    distance: Share = 0.50  # from the moving average, in ATR
    momentum: Share = 0.30  # of 60 sessions beyond the benchmark's
    diversification: Share = 0.20  # 1 − mean correlation with the others


class MachineLearning(Section):
    """What a model's probability of R > 0 does in the backtester and in a scan."""

    enabled: bool = False
    prediction_mode: Literal["score_enhancement", "filter", "replace"] = "score_enhancement"
    ml_weight: Share = 0.3
    confidence_threshold: Share = 0.5


class DataCollection(Section):
    """Whether a backtest keeps its signals as events."""

    enabled: bool = True


class BreakoutSettings(Settings):
    """parameters/breakout.yaml."""

    strategy: Literal["breakout"]
    universe: Universe = Universe()
    entry: Entry = Entry()
    eligibility: Eligibility = Eligibility()
    exit: Exit = Exit()
    risk: Risk = Risk()
    costs: Costs = Costs()
    score: Score = Score()
    ml: MachineLearning = MachineLearning()
    ml_data_collection: DataCollection = DataCollection()

    @model_validator(mode="after")
    def _benchmark_is_read(self) -> Self:
        """The benchmark among the symbols that are read, whichever are chosen."""
        chosen, benchmark = self.market.symbols, self.universe.benchmark
        if chosen is None or benchmark is None or benchmark in chosen:
            return self
        return self.model_copy(update={"market": self.market.model_copy(update={"symbols": [*chosen, benchmark]})})

    @property
    def asks_model(self) -> bool:
        """Whether decisions ask a deployed model."""
        return self.ml.enabled

    @property
    def max_holding_days(self) -> int:
        """Longest holding time in calendar days, counted on the calendar."""
        from bq.market.calendars import longest_span

        return longest_span(self.market.calendar, self.exit.max_holding_days)
