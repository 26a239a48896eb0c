"""The verbs behind `import bq`, for notebooks and for a quant at a prompt. None of them deploys or writes `models/`."""

from pathlib import Path
from typing import Any

import polars as pl

from bq import market, strategies
from bq.core import params as parameters
from bq.core import paths
from bq.core.errors import BadParameters
from bq.core.namespace import Namespace
from bq.core.settings import Settings
from bq.learning import walkforward
from bq.learning.paths import paths as paths_of
from bq.learning.walkforward import Training
from bq.serving import candidate as candidates
from bq.serving import decide, quality, registry
from bq.serving.candidate import Candidate
from bq.strategies import store
from bq.strategies.events import Built
from bq.workbench import decisions


def params(strategy: str = "butterfly", path: str = "", overrides: str = "") -> Settings:
    """The validated parameters of a strategy.

    path : a parameter file, default parameters/<strategy>.yaml. overrides : `"learning.folds=4 gate.top_k=3"`.
    Raises BadParameters with the name, what must hold and what came.
    """
    found = strategies.get(strategy)
    return parameters.load(Path(path or paths.parameters(strategy)), found.settings, overrides=overrides)


def events(settings: Settings | str, run_dir: str = "") -> pl.DataFrame:
    """The events of a strategy (a name, or settings from `params`): contract columns, then the strategy's own.

    Stored events are used where they still hold; missing ones are built. Sorted by (t0, symbol), times in UTC.
    run_dir : the folder of a run under way, whose events these then are.
    """
    return _collect(settings, run_dir).events


def refused(settings: Settings | str, run_dir: str = "") -> pl.DataFrame:
    """The dates that gave no event: symbol, session, reason."""
    return _collect(settings, run_dir).refused


def train(events: pl.DataFrame, settings: Settings | None = None) -> Training:
    """Walk forward and fit the candidate on a table of events; see `bq.learning.walkforward.train`."""
    strategy, settings = _of(events, settings)
    return walkforward.train(events, strategy, settings)


def cross_validate(
    events: pl.DataFrame, settings: Settings | None = None, *, groups: int = 6, tested: int = 2
) -> pl.DataFrame:
    """What the candidate's way of training earns on each path of combinatorial purged cross-validation."""
    strategy, settings = _of(events, settings)
    return paths_of(events, strategy, settings, groups=groups, tested=tested)


def train_success(events: pl.DataFrame, settings: Settings | None = None) -> Training | None:
    """The same for the second tier, of the candidate alone: will an event earn anything, net of costs?

    None for a strategy that has no second tier.
    """
    strategy, settings = _of(events, settings)
    if strategy.success is None:
        return None
    alone = settings.model_copy(update={"learning": settings.learning.model_copy(update={"compare": []})})
    return walkforward.train(events, strategy, alone, task=strategy.success)


def score(events: pl.DataFrame, settings: Settings | None = None) -> pl.DataFrame:
    """What is decided on each event, by the champion or, where none can answer, by the rule score; best first."""
    strategy, settings = _of(events, settings)
    answer = decide.decide(events, strategy, settings)
    reasons = decisions.reasons(answer, strategy, settings, whole=True).own
    return answer.with_columns(reason=pl.Series(reasons, dtype=pl.String))


def backtest(settings: Settings | str = "breakout") -> Any:
    """The breakout portfolio on its market: `.trades`, `.signals`, `.days`, `.equity`; see bq.strategies.breakout.

    With `ml.enabled` the champion's probabilities act as the settings say, each out of sample; see bq.serving.quality.
    """
    settings = params(settings) if isinstance(settings, str) else settings
    strategy = strategies.get(settings.strategy)
    if strategy.backtester is None:
        raise BadParameters(
            f"`backtest` must have settings of a strategy with a backtester, but {strategy.name} has none: its rules "
            "trade no portfolio."
        )
    data = market.load(settings.market)
    return strategy.backtester.run(data, settings, quality.of_market(data, strategy, settings))


def champion(strategy: str) -> dict[str, Any] | None:
    """What is known of the deployed model: id, since when, bundle and card; None where none is deployed.

    strategy : a strategy, or `<strategy>-simulated` for what a simulated market deployed.
    """
    namespace = Namespace.parse(strategy)
    strategies.get(namespace.strategy)
    found = registry.champion(namespace)
    return {**(registry.pointer(namespace) or {}), **found.bundle, **found.card} if found else None


def save(training: Training, success: Training | None, events: pl.DataFrame, settings: Settings, run_dir: str) -> str:
    """Write both trainings into a run folder for the gate; without one (a notebook run by hand) write nothing."""
    if not run_dir:
        return "Run by hand: nothing was saved and nothing can be deployed. `make retrain` does both."
    strategy, settings = _of(events, settings)
    made = candidates.save(training, success, events, Path(run_dir), strategy=strategy, settings=settings)
    return f"Saved candidate {made.artefact.model_id}."


def candidate(events: pl.DataFrame, settings: Settings, run_dir: str = "") -> Candidate:
    """What a training gives the gate: predictions, layers, weights, importances, artefact; nothing is deployed.

    run_dir : the folder of a run, whose training is read; where it holds none, or without a folder, it is trained now.
    """
    if run_dir and (Path(run_dir) / candidates.RECORD).is_file():
        return candidates.load(Path(run_dir))
    strategy, settings = _of(events, settings)
    return candidates.make(
        walkforward.train(events, strategy, settings), None, events, strategy=strategy, settings=settings
    )


def _collect(settings: Settings | str, run_dir: str) -> Built | store.Collection:
    if run_dir and (handed := store.received(Path(run_dir))):
        return handed
    settings = params(settings) if isinstance(settings, str) else settings
    return store.collect(strategies.get(settings.strategy), settings, market.load(settings.market))


def _of(events: pl.DataFrame, settings: Settings | None) -> tuple[Any, Settings]:
    name = events["strategy"][0]
    return strategies.get(name), settings or params(name)
