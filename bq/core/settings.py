"""The sections that every parameter file has. A strategy adds its own by subclassing `Settings`."""

import datetime as dt
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bq.core.errors import TemporalOverlap
from bq.core.namespace import NAME, Namespace
from bq.core.params import Section

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]  # what every library takes


class Simulation(Section):
    """A simulated market; see bq/simulate."""

    kind: Literal["pinned", "strata", "breakouts", "panel"] = "pinned"  # what is planted; see bq/simulate
    symbols: Annotated[int, Field(ge=1, le=1000)]
    sessions: Annotated[int, Field(ge=600)]
    pinned_share: Annotated[float, Field(ge=0, le=0.9)] = 0.0  # of kind pinned: strength of the signal; 0: none
    oracle_ic: Annotated[float, Field(ge=0, le=0.3)] = 0.0  # of kind panel: strength of the signal; 0: none
    edge: Annotated[float, Field(ge=0, le=1)] = 0.0  # of kind breakouts: drift of good spells, in deviations
    first: dt.date = dt.date(2010, 1, 4)
    seed: Seed = 1


class Market(Section):
    """Which bars are read, and how bad they may be."""

    source: Literal["bundled", "bundled_bars", "files", "simulated"] = "bundled"
    simulation: Simulation | None = None  # for source: simulated
    chains: bool = False  # whether option quotes in data/raw/chains/ are read too
    symbols: list[str] | None = None  # None: all that the source has
    start: dt.date | None = None  # first session read
    end: dt.date | None = None  # last session read
    calendar: str = "XNYS"  # exchange_calendars name; 24/7 for markets that never close
    max_quarantine_share: Share = 0.02  # of a batch's rows; above it the run fails

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.start and self.end and self.start >= self.end:
            raise ValueError(f"hold start < end, but got start={self.start}, end={self.end}")
        return self


class Regimes(Section):
    """Market regimes, as features of every event; see strategies/regime."""

    index: str | None = "SPX"  # symbol that is the market; null, or without bars: equal weight of all symbols
    states: Annotated[int, Field(ge=2, le=5)] = 3
    min_sessions: Annotated[int, Field(ge=252)] = 378  # before the first January from which there are probabilities
    switch_probability: Annotated[float, Field(ge=0.5, lt=1)] = 0.6  # the named regime follows a state above it …
    switch_sessions: Count = 5  # … for as many sessions in a row


class Selection(Section):
    """Which features a fold trains on, judged inside its training window; see learning/selection."""

    features: Count = 20
    degraded_features: Count = 12  # with fewer than …
    degraded_below: Count = 300  # … so many labelled events
    window_sessions: Annotated[int, Field(ge=5)] = 63  # of one rolling IC
    min_spread: Annotated[float, Field(ge=0)] = 1e-3  # standard deviation of the ranks within a session, on average
    max_correlation: Annotated[float, Field(gt=0, le=1)] = 0.9  # |rank correlation| with a better feature
    lag_gain: Annotated[float, Field(ge=0)] = 0.02  # of IC, from which a lag replaces the newest value
    lag_alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05  # one-sided, shared by the lags tried


class Stack(Section):
    """How learning/stacking combines base models, for `learning.model: stack`."""

    models: Annotated[list[str], Field(min_length=1)] = ["elastic_net", "xgboost", "lightgbm"]
    # weights: those that did best out of fold. lightgbm: its steps may fall on a rounding, where parity then fails
    meta: Literal["blend", "elastic_net", "lightgbm", "weights"] = "blend"
    inner_folds: Annotated[int, Field(ge=2)] = 3  # walk-forward inside a training window, whose predictions it learns
    inner_share: Annotated[float, Field(gt=0, lt=1)] = 0.6  # of a training window's time that the inner folds test
    min_base_models: Count = 2  # with fewer there is no meta-learner, but …
    fallback: Literal["performance", "equal"] = "performance"  # … weights by what they did out of fold, or equal ones
    regime_weights: dict[str, Annotated[list[float], Field(min_length=1)]] = {  # from the worst regime to the best
        "elastic_net": [0.8, 0.5, 0.3],
        "xgboost": [0.5, 0.5, 0.5],
        "lightgbm": [0.3, 0.5, 0.8],
    }
    regime_model: str | None = "elastic_net"  # fitted on each regime alone, where that has …
    min_regime_events: Count = 300
    min_regime_dates: Count = 60


class Learning(Section):
    """Walk-forward training."""

    features: str  # name of one of the strategy's feature sets
    model: str  # the candidate: a name in learning/layers
    compare: list[str] = []  # further models, shown beside the candidate, never deployed
    folds: Annotated[int, Field(ge=2)] = 6
    test_days: Annotated[int, Field(ge=30)] = 365  # calendar days a test block spans
    gap_days: Annotated[int, Field(ge=0)] | None = None  # calendar days from the last training t0 to the test block
    embargo_days: Annotated[int, Field(ge=0)] = 0  # calendar days after a test block, where later folds train again
    calibration_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.2  # newest part of a training window, for calibration
    newest_days: Annotated[int, Field(ge=30)] = 183  # window kept out of the artefact's training, for its gate
    regimes: Regimes | None = None  # null: none
    select: Selection | None = None  # null: all features
    stack: Stack = Stack()
    # by base model, and under `meta` of the stack's meta-learner; what is not named stays the default
    hyperparameters: dict[str, dict[str, int | float]] = {}
    half_life_days: Annotated[float, Field(gt=0)] | None = None  # of an event's weight in training; null: none
    device: Literal["cpu", "cuda"] = "cpu"  # of XGBoost
    seed: Seed = 7


class Gate(Section):
    """What a model must show before it is deployed. Fixed before the run; see serving/gates."""

    top_k: Count | None = None  # butterfly: decisions taken a session, by the model and by the baseline alike
    margin: float = 0.0  # the lower bound of the recipe's uplift must exceed it
    same_recipe: Literal["non_inferior", "superior"] = "non_inferior"  # what a retrain of the champion's recipe must be
    artefact_margin: Annotated[float, Field(ge=0)] = 0.05  # rank IC by which it may be worse than what it replaces
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.025  # one-sided
    draws: Annotated[int, Field(ge=1000)] = 10_000  # of the stationary bootstrap
    min_blocks: Count = 20  # fewer blocks of 1.5 holding times: inconclusive
    min_oos_days: Count = 365
    min_events: Count = 200
    max_calibration_error: Share | None = 0.10  # expected calibration error of the classes; null: not asked
    max_drawdown_ratio: Annotated[float, Field(gt=0)] | None = 1.5  # of the recipe's to the baseline's; null: not asked
    min_deflated_probability: Share | None = None  # that the Sharpe ratio exceeds the best of as many useless trials


class Tuning(Section):
    """How parameters are searched; see tuning/. All but trials and seed is for target strategy."""

    objective: Literal["sharpe_ratio", "calmar_ratio", "sortino", "expectancy"] = "sharpe_ratio"
    trials: Count = 50
    train_share: Annotated[float, Field(ge=0.05, le=0.8)] = 0.25  # of the time, before the first validation fold
    holdout_share: Annotated[float, Field(ge=0.05, le=0.5)] = 0.2  # of the time, scored once
    folds: Annotated[int, Field(ge=2)] = 4  # of the validation between the two
    min_trades: Count = 30  # closed ones over all folds; with fewer a trial is infeasible
    seed: Seed = 7

    @model_validator(mode="after")
    def _leaves_a_validation(self) -> Self:
        if self.train_share + self.holdout_share > 0.9:
            raise ValueError(
                "leave a tenth or more of the time for validation, but "
                f"got train_share={self.train_share} and holdout_share={self.holdout_share}"
            )
        return self


class Run(Section):
    """How a run is executed."""

    cell_timeout_seconds: Count = 900
    run_timeout_seconds: Count = 3600
    memory_ceiling_share: Annotated[float, Field(gt=0, le=1)] = 0.8  # of the machine: above it a run stops


class Settings(Section):
    """A whole parameter file. Subclasses set `max_holding_days` from their own sections."""

    strategy: str
    name: Annotated[str, Field(pattern=f"^{NAME}$")] | None = None  # of a universe; null: the strategy's
    market: Market
    learning: Learning
    gate: Gate = Gate()
    tuning: Tuning = Tuning()
    run: Run = Run()

    @property
    def namespace(self) -> Namespace:
        """Where models, runs and lock are kept."""
        return Namespace(self.strategy, self.name or "", simulated=self.market.source == "simulated")

    @property
    def asks_model(self) -> bool:
        """Whether decisions ask a deployed model; else the rule score decides although there is one."""
        return True

    @property
    def max_holding_days(self) -> int:
        """Longest possible label, in calendar days from t0."""
        raise AttributeError(f"{type(self).__name__} must define max_holding_days")

    @model_validator(mode="after")
    def _labels_end_before_the_test(self) -> Self:
        gap = self.learning.gap_days
        if gap is not None and gap < (longest := self.max_holding_days):
            raise TemporalOverlap(
                f"`learning.gap_days` must be >= the longest label ({longest} days), but got {gap}: labels of training "
                f"events would overlap the test block by {longest - gap} days. Set gap_days: {longest} or more, "
                "or leave it out (each label is then purged by its own end)."
            )
        return self
