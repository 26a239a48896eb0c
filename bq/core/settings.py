"""The sections that every parameter file has. A strategy adds its own by subclassing `Settings`."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from bq.core.errors import BadParameters, TemporalOverlap, describe
from bq.core.namespace import NAME, Namespace
from bq.core.section import Affects, BelongsTo, Section, affected, renamed, section_of

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]  # what every library takes
Weights = Annotated[list[float], Field(min_length=1)]


class Simulation(Section):
    """A simulated market, for source: simulated; see parameters/simulated/."""

    kind: Literal["pinned", "strata", "breakouts", "panel", "panel_trends", "martingale", "clustered"] = Field(
        default="pinned",
        description="kind of market; martingale and clustered never have a signal",
    )
    symbols: int = Field(ge=1, le=10_000, description="number of symbols")
    sessions: int = Field(ge=600, description="number of sessions; 252 are a year")
    pinned_share: float = Field(
        default=0.0,
        ge=0,
        le=0.9,
        description="kind pinned: share of time that a price is pinned, the planted signal; 0: no signal",
    )
    oracle_ic: float = Field(
        default=0.0, ge=0, le=0.3, description="kinds panel, panel_trends: rank IC of a perfect forecast; 0: no signal"
    )
    edge: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="kind breakouts: daily drift in good spells, in standard deviations; 0: no signal",
    )
    drift: float = Field(
        default=0.0,
        ge=-0.5,
        le=0.5,
        description="kinds martingale, clustered: log gain of every price a year; options are fair at such a rate",
    )
    changes: dt.date | None = Field(
        default=None, description="session from which the planted signal is changed; null: never"
    )
    then: float = Field(
        default=0.0,
        ge=-1,
        le=1,
        description="factor on the signal from that session on; 0: none is left, -1: it is reversed",
    )
    first: dt.date = Field(default=dt.date(2010, 1, 4), description="first session")
    seed: Seed = Field(default=1, description="random seed of the simulated market")


class Labelled(Section):
    """A labelled table of decisions, for source: labelled; see docs/labelled.md."""

    affects: ClassVar = Affects.EVENTS
    outcomes: Literal["real", "modelled", "simulated"] = Field(
        default="real", description="source of the outcomes, if the table has no column `source`"
    )
    percent: list[str] = Field(
        default=[], description="columns in per cent whose names do not say so: [outcome, current_iv]"
    )
    holding_days: Count | None = Field(
        default=None, description="calendar days from t0 to the latest end, if the table has no column `t1_due`"
    )
    features: Annotated[list[str], Affects.EVENTS | Affects.RECIPE] = Field(
        default=[], description="columns that a model learns from; []: those of learning.features"
    )


class Market(Section):
    """Which bars are read, and how bad they may be."""

    affects: ClassVar = Affects.EVENTS
    source: Literal["bundled", "bundled_bars", "files", "simulated", "labelled"] = Field(
        default="bundled",
        description="bundled: prices that ship with libraries; files: yours, in data/raw/bars/; simulated; labelled",
    )
    simulation: Simulation | None = Field(default=None, description="for source: simulated; see parameters/simulated/")
    labelled: Labelled | None = Field(default=None, description="for source: labelled, a table; see docs/labelled.md")
    chains: bool = Field(default=False, description="true: option quotes in data/raw/chains/ are read too")
    symbols: list[str] | None = Field(default=None, description="symbols that are read; null: all that the source has")
    beside: list[str] = Field(
        default=[], description="further symbols that are read if the source has them, such as an index"
    )
    start: Annotated[dt.date | None, BelongsTo("source")] = Field(
        default=None, description="first bar read; null: the oldest"
    )
    end: Annotated[dt.date | None, BelongsTo("source"), Affects.RUNNING] = Field(
        default=None, description="last bar read; null: the newest"
    )
    calendar: str = Field(default="XNYS", description="exchange_calendars name; 24/7 for markets that never close")
    columns: Annotated[dict[str, str], BelongsTo("source"), Affects.RUNNING] = Field(
        default={}, description="names of columns in your files: {close: PRC} if they call the close PRC"
    )
    dates: Annotated[Literal["dmy", "mdy"] | None, BelongsTo("source"), Affects.RUNNING] = Field(
        default=None, description="dmy or mdy, if the dates of your files can be read both ways"
    )
    quoted: Annotated[bool, BelongsTo("source"), Affects.RUNNING] = Field(
        default=True,
        description="whether the closes of your files are prices as quoted on the day; false for those that a vendor "
        "adjusted backwards, such as Yahoo's. A column `quoted` of a file comes before it",
    )
    max_quarantine_share: Annotated[Share, Affects.RUNNING] = Field(
        default=0.02, description="share of bad rows above which a run fails"
    )

    @property
    def wanted(self) -> list[str] | None:
        """Symbols that are read where they are there; None: all."""
        return None if self.symbols is None else [*self.symbols, *self.beside]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.start and self.end and self.start >= self.end:
            raise ValueError(f"hold start < end, but got start={self.start}, end={self.end}")
        return self

    @property
    def table(self) -> Labelled | None:
        """How the labelled table is read that takes the place of bars; None where bars are read."""
        return (self.labelled or Labelled()) if self.source == "labelled" else None

    @property
    def is_simulated(self) -> bool:
        """Whether nothing of it is evidence about a market."""
        return self.source == "simulated" or (self.table is not None and self.table.outcomes == "simulated")


class Regimes(Section):
    """Filtered probabilities of market regimes, as features of every event."""

    index: str | None = Field(
        default="SPX", description="symbol of the market; null, or without bars: the mean of all symbols"
    )
    states: int = Field(
        default=3, ge=2, le=5, description="number of regimes; 3: bear, neutral, bull, by falling volatility"
    )
    min_sessions: int = Field(
        default=378, ge=252, description="sessions that the first January with probabilities must have before it"
    )
    switch_probability: float = Field(
        default=0.6,
        ge=0.5,
        lt=1,
        description="the named regime changes once another state's probability is above this …",
    )
    switch_sessions: Count = Field(default=5, description="… for this many sessions in a row")


class Selection(Section):
    """Which features a fold trains on, judged inside its training window."""

    features: Count = Field(default=20, description="number of features that are kept")
    degraded_features: Count = Field(
        default=12, description="number of features that are kept with fewer labelled events than …"
    )
    degraded_below: Count = Field(default=300, description="… this many")
    window_sessions: int = Field(default=63, ge=5, description="sessions of one rolling IC")
    min_spread: NotNegative = Field(
        default=1e-3, description="least mean deviation of a feature's ranks within a session"
    )
    max_correlation: float = Field(
        default=0.98, gt=0, le=1, description="correlation with a better feature above which a feature is dropped"
    )
    lag_gain: NotNegative = Field(default=0.02, description="gain in IC over the unlagged value that a lag must show")
    lag_alpha: float = Field(
        default=0.05,
        gt=0,
        lt=0.5,
        description="one-sided significance level of that gain, shared by the lags that are tried",
    )


class Stack(Section):
    """Layers 1 to 3, for model: stack."""

    models: Annotated[list[str], Field(min_length=1)] = Field(
        default=["elastic_net", "xgboost", "lightgbm"], description="base models"
    )
    # a step of lightgbm may fall on a rounding, where parity then fails
    meta: Literal["blend", "elastic_net", "lightgbm", "weights"] = Field(
        default="blend",
        description="blend: an average that events adjust; elastic_net; lightgbm; weights: best out of fold",
    )
    inner_folds: int = Field(
        default=3, ge=2, description="walk-forward folds inside a training window, for the meta-learner"
    )
    inner_share: float = Field(
        default=0.6, gt=0, lt=1, description="share of a training window's time that the inner folds test"
    )
    min_base_models: Count = Field(
        default=2, description="with fewer working base models there is no meta-learner, but …"
    )
    fallback: Literal["performance", "equal"] = Field(
        default="performance", description="… weights by out-of-fold performance, or equal weights"
    )
    regime_weights: dict[str, Weights] = Field(
        default={"elastic_net": [0.8, 0.5, 0.3], "xgboost": [0.5, 0.5, 0.5], "lightgbm": [0.3, 0.5, 0.8]},
        description="weights of each base model, from the worst regime to the best",
    )
    regime_model: str | None = Field(
        default="elastic_net",
        description="base model also fitted on each regime alone (null: none), if the regime has …",
    )
    min_regime_events: Count = Field(default=300, description="… this many events …")
    min_regime_dates: Count = Field(default=60, description="… on this many dates")


def _names(value: Any) -> Any:
    """A name, or names; checked before the two kinds are, of which each would find its own fault."""
    several = isinstance(value, list) and value and all(isinstance(name, str) for name in value)
    if isinstance(value, str) or several:
        return value
    raise ValueError(f"be the name of a feature set, or a list of names ([a_set, mine.*]), but got {describe(value)}")


class Learning(Section):
    """Walk-forward training."""

    affects: ClassVar = Affects.RECIPE
    features: Annotated[str | list[str], BeforeValidator(_names)] = Field(
        description="one of the strategy's feature sets, or several and features of your own: [a_set, mine.*]"
    )
    model: str = Field(description="the candidate, the only one that can be deployed: lightgbm, stack, …")
    compare: Annotated[list[str], Affects.RUNNING] = Field(
        default=[], description="further models, shown beside the candidate, never deployed"
    )
    folds: int = Field(default=6, ge=2, description="number of walk-forward folds")
    test_days: int = Field(default=365, ge=30, description="calendar days that a test block spans")
    gap_days: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="calendar days before a test block; null: each label is purged by its own end"
    )
    embargo_days: int = Field(
        default=0, ge=0, description="calendar days after a test block on which later folds do not train"
    )
    since: Annotated[dt.date | None, Affects.RUNNING] = Field(
        default=None,
        description="first session of training and evidence; null: all, or since a confirmed change",
    )
    on_harm: Annotated[Literal["retrain", "retire"], Affects.RUNNING] = Field(
        default="retrain",
        description="after confirmed harm the champion decides until another is deployed; retire: no longer",
    )
    calibration_share: float = Field(
        default=0.2, gt=0, lt=0.5, description="newest share of a training window, kept for calibration"
    )
    newest_days: int = Field(
        default=183, ge=30, description="calendar days kept out of the deployed model's training, for the artefact gate"
    )
    regimes: Regimes | None = Field(
        default=None, description="{states: 3}: probabilities of market regimes as features; null: none"
    )
    select: Selection | None = Field(
        default=None, description="{features: 20}: features are selected inside each fold; null: all are used"
    )
    stack: Stack = Stack()
    warm_start: bool = Field(
        default=False,
        description="true: lightgbm or xgboost continues from the model before, in each fold and each retrain",
    )
    hyperparameters: dict[str, dict[str, int | float]] = Field(
        default={},
        description="by base model, or meta for the meta-learner; others keep their defaults",
    )
    half_life_days: Positive | None = Field(
        default=None, description="calendar days after which an event's training weight is halved; null: never"
    )
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="cuda: XGBoost on a graphics card")
    seed: Seed = Field(
        default=7, description="random seed of training, of randomly drawn dates and of the gate's bootstrap"
    )

    @property
    def feature_sets(self) -> list[str]:
        """What `features` names, one by one."""
        return [self.features] if isinstance(self.features, str) else self.features


class Policy(Section):
    """What is traded, and so what is judged: of each session the best few above a threshold.

    The rule score gets the same `k`, and the threshold with which it would have made as many trades in training.
    """

    affects: ClassVar = Affects.RECIPE | Affects.JUDGING | Affects.EARNING
    k: Count | None = Field(
        default=None, description="most trades a session, for model and rule score; null: all above the threshold"
    )
    above: NotNegative = Field(default=0.0, description="only events with an expected outcome above this are traded")


class Gate(Section):
    """What a model must show before it is deployed. Fixed before the run."""

    affects: ClassVar = Affects.JUDGING
    margin: float = Field(default=0.0, description="by which alpha's lower bound, and the mean uplift, must exceed 0")
    same_recipe: Literal["non_inferior", "superior"] = Field(
        default="non_inferior", description="what a retrain of the champion's recipe must be: not worse, or superior"
    )
    artefact_margin: NotNegative = Field(
        default=0.05,
        description="rank covariance by which it may be worse on the newest window than what it replaces",
    )
    alpha: float = Field(
        default=0.025, gt=0, lt=0.5, description="one-sided significance level, shared by the two tiers of an attempt"
    )
    draws: int = Field(default=10_000, ge=1000, description="resamples of the stationary bootstrap")
    min_blocks: Count = Field(default=20, description="with fewer blocks of 1.5 holding times the gate is inconclusive")
    min_oos_days: Count = Field(default=365, description="days out of sample")
    min_events: Count = Field(default=200, description="events out of sample")
    max_calibration_error: Share | None = Field(
        default=0.10,
        description="a larger one must not be proven above that of the class shares; null: not required",
    )
    max_drawdown_ratio: Positive | None = Field(
        default=1.5,
        description="largest ratio to the rule score's maximum drawdown, unless within chance; null: not required",
    )
    min_deflated_probability: Share | None = Field(
        default=0.95,
        description="that the Sharpe ratio exceeds the best of as many trials without skill; null: not required",
    )


class Tuning(Section):
    """How `make tune` searches; all but trials and seed is of TARGET=strategy."""

    affects: ClassVar = Affects.RUNNING
    objective: Literal["sharpe_ratio", "calmar_ratio", "sortino", "expectancy"] = Field(
        default="sharpe_ratio", description="what is maximised; or calmar_ratio, sortino, expectancy"
    )
    trials: Count = Field(default=50, description="number of trials of a study")
    train_share: float = Field(
        default=0.25, ge=0.05, le=0.8, description="share of the time before the first validation fold"
    )
    holdout_share: float = Field(
        default=0.2, ge=0.05, le=0.5, description="share of the time that is scored once, at the end"
    )
    folds: int = Field(default=4, ge=2, description="validation folds between the two")
    min_trades: Count = Field(default=30, description="closed trades over all folds; with fewer a trial is infeasible")
    seed: Seed = Field(default=7, description="random seed of the search")

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

    affects: ClassVar = Affects.RUNNING
    cell_timeout_seconds: Count = Field(default=900, description="limit of one notebook cell")
    run_timeout_seconds: Count = Field(default=3600, description="limit of the whole run")
    memory_ceiling_share: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="share of the machine's memory: above it a run stops; above 7/8 of it fewer workers run",
    )
    expected_every_days: Count | None = Field(
        default=None, description="days after which a missing run is shown in red, and `status` exits 11; null: never"
    )


class Track(Section):
    """A way of deciding that trades a share of the capital."""

    name: Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9]{0,13}$")] = Field(
        description="at most 14 letters and digits; unique on an account: it is part of every order"
    )
    share: float = Field(gt=0, le=1, description="share of the capital, and of the symbols in a week")
    decides: Literal["champion", "rule"] = Field(
        description="champion: the deployed model, without one nothing is opened; rule: the rule score"
    )
    weights: dict[str, Share] | Literal["learnt"] | None = Field(
        default=None, description="weights of the score's components, or learnt; null: the strategy's own"
    )

    @model_validator(mode="after")
    def _weights_are_of_the_rule(self) -> Self:
        if self.weights is not None and self.decides != "rule":
            raise ValueError(f"weigh the rule score only where it decides, but {self.name} has weights and a champion")
        return self


def two_tracks(model: str, rule: str) -> list[Track]:
    """The champion with 70% of the capital beside the rule score with 30%."""
    return [Track(name=model, share=0.7, decides="champion"), Track(name=rule, share=0.3, decides="rule")]


class DryRun(Section):
    """What goes wrong with the orders of the dry-run broker."""

    seed: Seed = Field(default=7, description="random seed of these faults")
    partial_fills: Share = Field(
        default=0.05, description="share of limit orders and of entries with a stop that are filled in part"
    )
    rejects: Share = Field(default=0.01, description="share of orders that are rejected")
    lost_answers: Share = Field(
        default=0.02, description="share of calls whose answer is lost, before or after the call took effect"
    )


class Ibkr(Section):
    """Where TWS or IB Gateway runs with the paper account (BROKER=ibkr); see docs/paper_account.md."""

    host: str = Field(default="127.0.0.1", description="address of TWS or IB Gateway; only this machine is accepted")
    port: int = Field(default=7497, description="port of a paper account: 7497 (TWS) or 4002 (IB Gateway)")
    client_id: int = Field(
        default=17, ge=1, le=999, description="must be free and must stay the same: orders belong to it"
    )
    account: str | None = Field(default=None, description="DU…, needed if a login manages several; null: the only one")


class Trading(Section):
    """How decisions are traded on paper; see docs/trading.md. Limits of an account; a track has its share of them."""

    affects: ClassVar = Affects.RUNNING
    tracks: Annotated[list[Track], Field(min_length=1)] = Field(
        default=two_tracks("ButterAI", "ButterBaseline"), description="who trades which share of the capital"
    )
    seed: Seed = Field(default=7, description="random seed that assigns a symbol and week to a track")
    capital: Positive = Field(
        default=1_000_000.0, description="capital of all tracks together, the base of every return"
    )
    risk_per_trade: float = Field(
        default=0.01, gt=0, le=0.2, description="share of a track's equity that a position may lose"
    )
    max_positions: Count = Field(default=20, description="positions held at a time")
    max_daily_loss: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="share of the capital; with a larger loss since the last session nothing is opened",
    )
    max_daily_orders: Count = Field(default=100, description="most orders in a session")
    symbols: list[str] | None = Field(default=None, description="the only symbols that are traded; null: all")
    reprice_steps: Count = Field(
        default=3, description="steps of a limit from the mid to the collar, then it is cancelled"
    )
    entry_window_minutes: int = Field(
        default=60, ge=0, le=390, description="minutes after the next open in which decisions are still sent"
    )
    close_before_expiry_days: int = Field(
        default=2, ge=0, description="calendar days to expiry; nothing is opened that would be nearer to it"
    )
    dry_run: DryRun = DryRun()
    ibkr: Ibkr = Ibkr()

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        names, total = [track.name for track in self.tracks], sum(track.share for track in self.tracks)
        if len(set(names)) < len(names) or total > 1.0 + 1e-9:
            raise ValueError(f"hold tracks of different names whose shares sum to 1 at most, but got {names}, {total}")
        return self


class Settings(Section):
    """A whole parameter file. Subclasses set `max_holding_days` from their own sections.

    comments : what is particular to a strategy about a parameter that all have, in the place of its description.
    older : names that older configurations had, and a sentence on what took their place. moved : names that a value had
    in older files and models, and what it is called now; both are read.
    """

    comments: ClassVar[Mapping[str, str]] = {}
    older: ClassVar[Mapping[str, str]] = {}
    moved: ClassVar[Mapping[str, str]] = {"gate.top_k": "policy.k"}

    strategy: Annotated[str, Affects.EVENTS | Affects.RECIPE] = Field(description="whose parameters these are")
    name: Annotated[Annotated[str, Field(pattern=f"^{NAME}$")] | None, Affects.RUNNING] = Field(
        default=None, description="my_us: a universe with champion, runs and lock of its own; null: the strategy's"
    )
    market: Market
    learning: Learning
    policy: Policy = Policy()
    gate: Gate = Gate()
    tuning: Tuning = Tuning()
    run: Run = Run()
    trading: Trading = Trading()

    @classmethod
    def recorded(cls, parameters: Mapping[str, Any]) -> Self:
        """The settings that a run or a model recorded as JSON's values, whichever version did.

        Raises ValidationError or BadParameters where today's classes do not know them.
        """
        return cls.model_validate_json(json.dumps(renamed(parameters, cls.moved)))

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        for name in cls.model_fields:
            if affected(cls, name) is None:
                holder = section_of(cls, name) or cls
                raise TypeError(f"{holder.__name__} must say what `{name}` affects (`affects`), but does not.")

    def without_comparison(self) -> Self:
        """The same without the models that are only shown beside the candidate."""
        return self.model_copy(update={"learning": self.learning.model_copy(update={"compare": []})})

    @property
    def namespace(self) -> Namespace:
        """Where models, runs and lock are kept."""
        return Namespace(self.strategy, self.name or "", simulated=self.market.is_simulated)

    @property
    def asks_model(self) -> bool:
        """Whether decisions ask a deployed model; else the rule score decides although there is one."""
        return True

    @property
    def asks_learnt(self) -> bool:
        """Whether the rule score decides by deployed learnt weights; else by those of the settings."""
        return False

    @property
    def max_holding_days(self) -> int:
        """Longest possible label, in calendar days from t0."""
        raise AttributeError(f"{type(self).__name__} must define max_holding_days")

    @model_validator(mode="after")
    def _a_table_has_no_bars(self) -> Self:
        for name in ("regimes", "gap_days") if self.market.table else ():
            if getattr(self.learning, name) is not None:
                raise BadParameters(
                    f"`learning.{name}` must be null with market.source: labelled, which has no bars "
                    "and whose labels end as the table says. Take it out."
                )
        return self

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
