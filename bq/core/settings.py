"""The sections that every parameter file has. A strategy adds its own by subclassing `Settings`."""

import datetime as dt
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bq.core.errors import TemporalOverlap
from bq.core.params import Section

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]  # what every library takes


class Simulation(Section):
    """A simulated market; see bq/simulate."""

    kind: Literal["pinned", "strata"] = "pinned"  # planted signal; or many names under a volatility index
    symbols: Annotated[int, Field(ge=1, le=100)]
    sessions: Annotated[int, Field(ge=600)]
    pinned_share: Annotated[float, Field(ge=0, le=0.9)] = 0.0  # of kind pinned: strength of the signal; 0: none
    first: dt.date = dt.date(2010, 1, 4)
    seed: Seed = 1


class Market(Section):
    """Which bars are read, and how bad they may be."""

    source: Literal["bundled", "files", "simulated"] = "bundled"
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
    seed: Seed = 7


class Gate(Section):
    """What a model must show before it is deployed. Fixed before the run; see serving/gates."""

    top_k: Count = 5  # decisions taken a session, by the model and by the baseline alike
    margin: float = 0.0  # the lower bound of the recipe's uplift must exceed it
    artefact_margin: Annotated[float, Field(ge=0)] = 0.05  # how much worse the artefact may be than what it replaces
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.025  # one-sided
    draws: Annotated[int, Field(ge=1000)] = 10_000  # of the stationary bootstrap
    min_blocks: Count = 20  # fewer blocks of 1.5 holding times: inconclusive
    min_oos_days: Count = 365
    min_events: Count = 200
    max_calibration_error: Share = 0.10  # expected calibration error of the predicted class


class Run(Section):
    """How a run is executed."""

    cell_timeout_seconds: Count = 900
    run_timeout_seconds: Count = 3600


class Settings(Section):
    """A whole parameter file. Subclasses set `max_holding_days` from their own sections."""

    strategy: str
    market: Market
    learning: Learning
    gate: Gate = Gate()
    run: Run = Run()

    @property
    def shelf(self) -> str:
        """Under which name models, runs and lock are kept: a simulated market never touches what is real."""
        return f"{self.strategy}-simulated" if self.market.source == "simulated" else self.strategy

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
