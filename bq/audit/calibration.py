"""The whole pipeline on one market whose law is known: events, walk-forward training, candidate, gate, ledger.

What is measured is the product's own functions, with nothing put in their place. Each market has a home of its own, so
that its ledger is that of a first attempt, and nothing of it reaches the user's.
"""

import datetime as dt
import resource
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import polars as pl
from pydantic import ConfigDict

from bq import market
from bq.core import world
from bq.core.errors import BQError
from bq.core.namespace import Tier
from bq.core.records import Facts, Number, Record
from bq.core.settings import Settings
from bq.learning import layers
from bq.market import MarketData
from bq.serving import candidate, gates, ledger, looks
from bq.serving.candidate import Candidate
from bq.serving.gates import Evidence, Verdict
from bq.stats import overfitting
from bq.strategies import store
from bq.strategies.component import Component, Kind
from bq.strategies.contract import Strategy

SLICES = 10  # of the sessions, whose halves a probability of overfitting compares


class Judged(Facts):
    """What the gate said of one tier."""

    model_config = ConfigDict(frozen=True)

    deploy: bool
    tier: Tier = Tier.CHAMPION
    components: tuple[Component, ...]

    @staticmethod
    def of(verdict: Verdict) -> "Judged":
        """The facts of a verdict."""
        return Judged(deploy=verdict.deploy, tier=verdict.tier, components=tuple(verdict.components))

    @property
    def verdict(self) -> Verdict:
        """The verdict of these facts."""
        return Verdict(self.deploy, self.tier, list(self.components))

    @property
    def refused_by(self) -> tuple[Kind, ...]:
        """The kinds that did not hold."""
        return tuple(part.kind for part in self.components if not part.holds)


class Known(Facts):
    """What the law says of a market's candidate."""

    expected: dict[Kind, float]  # true values of figures of either tier
    apart: int | None = None  # sessions after which who looks every day takes model and rule score to differ by other
    # than they truly do, see `bq.stats.paired`; None: on no day


class Watched(Facts):
    """What the checks of drift said of a model on a market that changes: by kind, the days on which they alarmed."""

    changes: dt.date
    first: dt.date  # watched; the model is deployed then
    last: dt.date
    alarms: dict[str, list[dt.date]]


class Measured(Record):
    """One market. Times are of one process; `error` is why the pipeline came to no verdict.

    Of several attempts on the market the verdicts are those of the first that deployed anything, else of the first.
    """

    seed: int
    seconds: float
    peak_mib: int = 0  # of the process so far
    events: int = 0
    sessions: int = 0  # out of sample
    attempts: int = 1  # ways of training, one after the other, in one ledger
    deploying: int = 0  # of these, by either tier
    champion: Judged | None = None
    second: Judged | None = None
    oracle: Judged | None = None
    truth: Known | None = None  # where the law says what figures are expected to be
    overfitting: Number = None  # of the attempts, see `bq.stats.overfitting`; None: of one alone there is none
    watched: Watched | None = None  # of a law that changes
    error: str = ""

    @property
    def deployed(self) -> bool:
        """Whether any attempt was, by either tier."""
        return self.deploying > 0


class Market(NamedTuple):
    """The market of a seed, and its events."""

    seed: int
    data: MarketData
    events: pl.DataFrame


class Trained(NamedTuple):
    """A market and what the pipeline made of it."""

    place: Market
    made: Candidate


Source = Callable[[Settings, int], MarketData]  # the market of a seed
Oracle = Callable[[Trained, pl.DataFrame], pl.DataFrame]  # predictions with those of who knows the law in their place
Watch = Callable[[Market, Strategy, Settings], Watched]
Truth = Callable[[Trained, Strategy, Settings], Known]


def with_seed(settings: Settings, seed: int) -> Settings:
    """The same settings on another market of the same law."""
    if settings.market.simulation is None:
        raise ValueError("settings of a simulated market are needed")
    simulation = settings.market.simulation.model_copy(update={"seed": seed})
    return settings.model_copy(update={"market": settings.market.model_copy(update={"simulation": simulation})})


def simulated(settings: Settings, seed: int) -> MarketData:
    """The simulated market of a seed."""
    return market.load(with_seed(settings, seed).market)


def measure(
    seed: int,
    *,
    strategy: Strategy,
    settings: Settings,
    source: Source = simulated,
    tweaks: Sequence[Settings] = (),
    oracle: Oracle | None = None,
    truth: Truth | None = None,
    watch: Watch | None = None,
) -> Measured:
    """Run the pipeline on the market of a seed, and the oracle through the same gate.

    tweaks : other ways of training on the same events, tried one after the other, each entered into the ledger that the
    next is judged by. truth : for a law by which figures have a known expectation. watch : for a law that changes. A
    market on which the pipeline comes to no verdict deploys nothing, and says why.
    """
    start = time.perf_counter()
    try:
        data = source(settings, seed)  # whose files lie in the user's own home
        with world.own():
            place = Market(seed, data, collected(strategy, settings, data))
            tries = [attempt(place, strategy, one, number) for number, one in enumerate([settings, *tweaks])]
            seconds = time.perf_counter() - start
            shown = next((one for one in tries if one.deploys), tries[0])
            beside: dict[str, Any] = {
                "oracle": oracle and Judged.of(judge(tries[0].trained, strategy, settings, oracle=oracle)[0]),
                "truth": truth and truth(shown.trained, strategy, settings),
                "overfitting": _overfitting(tries[0].trained, settings) if tweaks else None,
                "watched": watch and watch(place, strategy, settings),
            }
    except BQError as error:
        seconds = time.perf_counter() - start
        return Measured(seed=seed, seconds=round(seconds, 2), error=f"{type(error).__name__}: {error}")
    return Measured(
        seed=seed,
        seconds=round(seconds, 2),
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        events=len(place.events),
        sessions=tries[0].trained.made.own_oos["session"].n_unique(),
        attempts=len(tries),
        deploying=sum(one.deploys for one in tries),
        champion=Judged.of(shown.champion),
        second=None if shown.second is None else Judged.of(shown.second),
        **beside,
    )


def _overfitting(trained: Trained, settings: Settings) -> float:
    """How likely the best of all attempts of the ledger in one half of time is no better than most in the other."""
    oos = trained.made.own_oos
    tried = ledger.on(settings.namespace, oos["session"], oos["symbol"].unique()).drop("session")
    return overfitting.backtest_overfitting(tried.fill_null(0.0).to_numpy(), blocks=SLICES)


class Attempt(NamedTuple):
    """One way of training, and what the gate said of it."""

    trained: Trained
    champion: Verdict
    second: Verdict | None

    @property
    def deploys(self) -> bool:
        """Whether either tier is deployed."""
        return self.champion.deploy or (self.second is not None and self.second.deploy)


def attempt(place: Market, strategy: Strategy, settings: Settings, number: int) -> Attempt:
    """Train, judge by the ledger as it stands, and enter the attempt into it, as a retrain does."""
    trained = train(place, strategy, settings)
    champion, second = judge(trained, strategy, settings)
    made, name = trained.made, f"attempt {number}"
    looks.enter_attempt(made.own_oos, strategy, settings, name, quick=False)
    if made.success_oos is not None:
        looks.enter_attempt(made.success_oos, strategy, settings, name, quick=False, task=strategy.success)
    return Attempt(trained, champion, second)


def collected(strategy: Strategy, settings: Settings, data: MarketData) -> pl.DataFrame:
    """The events of a market, ready for training; nothing is stored."""
    built = strategy.table.build(data, settings, strategy.table.schedule(data, settings))
    return store.finished(strategy, settings, data, built, len(built.events)).events.sort("t0", "symbol")


def train(place: Market, strategy: Strategy, settings: Settings) -> Trained:
    """Walk-forward training of both tiers, and the candidate. Models for comparison alone are left out."""
    alone = settings.without_comparison()
    layers.check(alone.learning, layers.kind_of(len(strategy.task(alone).classes)))
    return Trained(place, candidate.train(place.events, strategy, alone))


def judge(
    trained: Trained, strategy: Strategy, settings: Settings, *, oracle: Oracle | None = None
) -> tuple[Verdict, Verdict | None]:
    """What the gate says of the candidate and of its second tier, where nothing is deployed yet.

    oracle : who answers in the candidate's place, on its own out-of-sample events.
    """
    made = trained.made
    of: dict[str, Any] = {"strategy": strategy, "settings": settings, "market": trained.place.data}
    own, latest = made.own_oos, made.newest
    if oracle is not None:
        own, latest = oracle(trained, own), oracle(trained, latest)
    trials = ledger.on(settings.namespace, own["session"], own["symbol"].unique())
    found = Evidence(own, latest, made.parity, made.artefact.bundle.recipe, trials)
    beside, window, parity = made.success_oos, made.success_newest, made.success_parity
    if made.success is None or beside is None or window is None or parity is None:
        return gates.judge(found, None, **of)
    trials = ledger.on(settings.namespace.second, beside["session"], beside["symbol"].unique())
    second = Evidence(beside, window, parity, made.success.bundle.recipe, trials)
    return gates.judge(found, None, second, None, **of)
