"""The verbs behind `import bq`, for notebooks and for a quant at a prompt. None of them deploys or writes `models/`."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from bq import market, strategies
from bq.core import params as parameters
from bq.core import paths
from bq.core.errors import BadParameters
from bq.core.namespace import Namespace
from bq.core.settings import Regimes, Settings
from bq.learning import layers, walkforward
from bq.learning.combinatorial import backtest_paths, summary
from bq.learning.walkforward import Training
from bq.serving import candidate as candidates
from bq.serving import decide, looks, out_of_sample, registry
from bq.serving.candidate import Candidate
from bq.serving.model_records import Bundle, Card
from bq.strategies import store, turned
from bq.strategies.contract import Strategy
from bq.strategies.events import in_order
from bq.strategies.task import Task
from bq.workbench import decisions, parameters_cell

if TYPE_CHECKING:
    from bq.monitoring.compared import Compared
    from bq.monitoring.drift import Monitored
    from bq.monitoring.observed import Observed
    from bq.runs import Run
    from bq.strategies.breakout.backtest import Backtest
    from bq.strategies.regime import Timeline
    from bq.tuning.own import Objective, Search
    from bq.tuning.results import Tuned
    from bq.tuning.weights.results import Studied
    from bq.workbench.tearsheet import Sheet


def params(
    strategy: str = "butterfly",
    path: str = "",
    overrides: str = "",
    *,
    symbols: str | Sequence[str] = "",
    first: str | date = "",
    last: str | date = "",
    model: str = "",
    folds: int = 0,
    top_k: int = 0,
    trials: int = 0,
    run_dir: str = "",
) -> Settings:
    """The validated parameters of a strategy.

    Parameters
    ----------
    path : a parameter file, from here or from the checkout; default parameters/<strategy>.yaml.
    overrides : `"learning.folds=4 policy.k=3"`, any name of the file.
    symbols : names, or one text with commas between them. first : date of the first decision, or of the first bar where
        the strategy decides on every bar. last : last session read. model : the candidate. folds : test blocks. top_k :
        most trades a session, of a strategy that chooses so many. trials : of a tuning. Empty or 0: as in the file.
    run_dir : the folder of a run under way. What it runs with stands in `path` already: nothing else is applied.

    Raises BadParameters with the name, what must hold and what came.

    Examples
    --------
    >>> import bq
    >>> settings = bq.params("butterfly", symbols="AAPL,MSFT", last="2018-12-31", folds=4)
    >>> settings.market.symbols, settings.learning.folds, settings.policy.k
    (['AAPL', 'MSFT'], 4, 5)
    >>> bq.params("forecast", top_k=3)
    Traceback (most recent call last):
    bq.core.errors.BadParameters: `top_k` must be 0 for forecast, but got 3: it does not choose so many a session.
    """
    found, file = strategies.get(strategy), paths.from_anywhere(Path(path or paths.parameters(strategy)))
    if run_dir:
        return parameters.load(file, found.settings)
    given = turned.overrides(
        found.settings, symbols=symbols, first=first, last=last, model=model, folds=folds, top_k=top_k, trials=trials
    )
    targets, moved = {pair.partition("=")[0]: name for name, pair in given.items()}, found.settings.moved
    for target in (pair.partition("=")[0] for pair in overrides.split()):
        target = moved.get(target, target)
        if target in targets:
            raise BadParameters(f"{target} must be set once, but `{targets[target]}` and `overrides` both set it.")
    if top_k and parameters.load(file, found.settings).policy.k is None:
        raise BadParameters(f"`top_k` must be 0 for {strategy}, but got {top_k}: it does not choose so many a session.")
    settings = parameters.load(file, found.settings, overrides={**given, "overrides": overrides})
    if model:
        layers.check(settings.learning, layers.kind_of(len(found.task(settings).classes)))
    return settings


def check_parameters(namespace: Mapping[str, Any], names: str, switches: str = "") -> None:
    """Refuse a notebook whose first cell mistypes or lacks one of its parameters.

    Parameters
    ----------
    namespace : `globals()` of the notebook. names : of its parameters, with blanks between them. switches : which of
        them are true or false.

    Raises BadParameters. Variables of your own may stand in the first cell: one that this cell does not use must have a
    name that is not near a parameter's.

    Examples
    --------
    >>> import bq
    >>> cell = "strategy = 'butterfly'; fold = 4"
    >>> bq.check_parameters({"In": [cell], "strategy": "butterfly", "fold": 4}, "strategy folds")
    Traceback (most recent call last):
    bq.core.errors.BadParameters: `fold` is not a parameter of this notebook; did you mean `folds`?
    """
    parameters_cell.check(namespace, names.split(), switches.split())


def events(settings: Settings | str, run_dir: str = "") -> pl.DataFrame:
    """The events of a strategy: contract columns, then the strategy's own.

    Stored events are used where they still hold; missing ones are built. Sorted by (t0, symbol), times in UTC.

    Parameters
    ----------
    settings : from `params`, or the name of a strategy for its default parameters.
    run_dir : the folder of a run under way, whose events these then are.

    Returns
    -------
    DataFrame of shape (n_events, ...), one row a decision; `outcome`, `label` and `t1` are null while it is open.

    Raises BadData where no event comes of the bars.

    Examples
    --------
    >>> import bq
    >>> settings = bq.params("breakout", "parameters/simulated/breakout.yaml")
    >>> events = bq.events(settings)
    >>> events.columns[:6], events["symbol"].n_unique()
    (['event_id', 'strategy', 'symbol', 'variant', 'session', 't0'], 40)
    """
    handed = store.received(Path(run_dir), "events") if run_dir else None
    return _collect(settings).events if handed is None else handed


def refused(settings: Settings | str, run_dir: str = "") -> pl.DataFrame:
    """The dates that gave no event: symbol, session, reason. Arguments as of `events`.

    Examples
    --------
    >>> import bq
    >>> settings = bq.params("breakout", "parameters/simulated/breakout.yaml")
    >>> bq.refused(settings).columns
    ['symbol', 'session', 'reason']
    """
    handed = store.received(Path(run_dir), "refused") if run_dir else None
    return _collect(settings).refused if handed is None else handed


def train(events: pl.DataFrame, settings: Settings | None = None) -> Training:
    """Walk forward and fit the candidate on a table of events; see `bq.learning.walkforward.train`.

    Each fold trains only on events that had ended before its test block began. What the models earn out of sample is
    entered in the ledger as a look: later results are judged by how many were tried (`make ledger` lists them).

    Parameters
    ----------
    events : from `events`, in any order. settings : the same as of the events, default those of
        parameters/<strategy>.yaml.

    Returns
    -------
    Training with `.oos` (one row a model and event, out of sample), `.folds` and the artefact.

    Raises BadData where an event is there twice, and BadData or TemporalOverlap where history is too short for the
    folds.

    Examples
    --------
    >>> import bq
    >>> settings = bq.params("breakout", "parameters/simulated/breakout.yaml", folds=2)
    >>> training = bq.train(bq.events(settings), settings)
    >>> training.folds.select("fold", "train", "purged", "test").rows()
    [(1, 6420, 50, 534), (2, 6985, 19, 601)]
    """
    events, strategy, settings = _of(events, settings)
    return _trained(events, strategy, settings)


def cross_validate(
    events: pl.DataFrame, settings: Settings | None = None, *, groups: int = 6, tested: int = 2
) -> pl.DataFrame:
    """What the candidate's way of training earns on each path of combinatorial purged cross-validation.

    Parameters
    ----------
    groups, tested : each choice of `tested` of `groups` consecutive groups of events is a test once.

    Returns
    -------
    DataFrame of shape (n_paths, 5): path, sessions, model, baseline, uplift, means over the sessions of the path. The
    models also saw later events: the spread of the paths shows luck and is no evidence for a deployment. It counts as a
    look, as `train` does.

    Examples
    --------
    >>> import bq
    >>> settings = bq.params("breakout", "parameters/simulated/breakout.yaml", first="2014-01-02")
    >>> paths = bq.cross_validate(bq.events(settings), settings, groups=3, tested=1)
    >>> paths.columns, len(paths)
    (['path', 'sessions', 'model', 'baseline', 'uplift'], 1)
    """
    events, strategy, settings = _of(events, settings)
    paths = backtest_paths(events, strategy, settings, groups=groups, tested=tested)
    looks.enter_paths(paths, strategy, settings)
    return summary(paths, strategy, settings)


def train_success(events: pl.DataFrame, settings: Settings | None = None) -> Training | None:
    """The same as `train` for the second tier, of the candidate alone: will an event earn anything, net of costs?

    None for a strategy that has no second tier.

    Examples
    --------
    >>> import bq
    >>> settings = bq.params("breakout", "parameters/simulated/breakout.yaml")
    >>> bq.train_success(bq.events(settings), settings) is None
    True
    """
    events, strategy, settings = _of(events, settings)
    if strategy.success is None:
        return None
    return _trained(events, strategy, settings.without_comparison(), task=strategy.success)


def leaks(events: pl.DataFrame, settings: Settings | None = None) -> pl.DataFrame:
    """What each feature of the settings is accused of, with the figures behind it: the audit before every gate.

    events : from `events`, of the same settings. Returns one row a feature, accused ones first. `make audit` computes
    more of them again, and explains the columns; see docs/features.md.

    Examples
    --------
    >>> import bq
    >>> settings = bq.params("breakout", "parameters/simulated/breakout.yaml")
    >>> bq.leaks(bq.events(settings), settings)["verdict"].unique().to_list()
    ['clean']
    """
    from bq.audit import leaks as audit
    from bq.workbench import audited

    events, strategy, settings = _of(events, settings)
    depth = audit.BEFORE_A_GATE._replace(shown=True)
    return audited.by_feature(audit.audit(events, store.market_data(settings), strategy, settings, depth=depth))


def score(events: pl.DataFrame, settings: Settings | None = None) -> pl.DataFrame:
    """What is decided on each event, by the champion, else by the second tier, else by the rule score; best first.

    Examples
    --------
    >>> import bq
    >>> settings = bq.params("breakout", "parameters/simulated/breakout.yaml")
    >>> decided = bq.score(bq.events(settings).tail(2), settings)
    >>> decided.select("symbol", "should_trade", "model").rows()
    [('SIM11', True, 'rule score'), ('SIM06', True, 'rule score')]
    """
    events, strategy, settings = _of(events, settings)
    answer = decide.decide(events, strategy, settings)
    reasons = decisions.reasons(answer, strategy, settings, whole=True).own
    return answer.with_columns(reason=pl.Series(reasons, dtype=pl.String))


def backtest(settings: Settings | str = "breakout") -> "Backtest":
    """The breakout portfolio on its market: `.trades`, `.signals`, `.days`, `.equity`; see bq.strategies.breakout.

    With `ml.enabled` the champion's probabilities act as the settings say, each out of sample
    (`bq.serving.out_of_sample`).
    Raises BadParameters for a strategy whose rules trade no portfolio.

    Examples
    --------
    >>> import bq
    >>> made = bq.backtest(bq.params("breakout", "parameters/simulated/breakout.yaml"))
    >>> len(made.trades), made.trades["symbol"][0]
    (1025, 'SIM26')
    """
    settings = params(settings) if isinstance(settings, str) else settings
    strategy = strategies.get(settings.strategy)
    if strategy.backtester is None:
        raise BadParameters(
            f"`backtest` must have settings of a strategy with a backtester, but {strategy.name} has none: its rules "
            "trade no portfolio."
        )
    data = market.load(settings.market)
    return strategy.backtester.run(data, settings, out_of_sample.of_market(data, strategy, settings))


class Deployed(NamedTuple):
    """What is known of a deployed model."""

    model_id: str
    since_utc: datetime
    reason: str  # why it was deployed
    bundle: Bundle  # what is needed to use it: model, features, classes, trained_through, …
    card: Card  # what is known of it: metrics out of sample, parameters, run_id, …


def champion(strategy: str) -> Deployed | None:
    """The deployed model of a strategy, None where none is deployed.

    strategy : a strategy, or `<strategy>-simulated` for what a simulated market deployed.
    Raises BadData where its files are damaged.

    Examples
    --------
    >>> import bq
    >>> bq.champion("butterfly-simulated") is None  # nothing was deployed: the rule score decides
    True
    """
    namespace = Namespace.parse(strategy)
    strategies.get(namespace.strategy)
    found, pointer = registry.champion(namespace), registry.pointer(namespace)
    if found is None or pointer is None:
        return None
    return Deployed(found.model_id, pointer.since_utc, pointer.reason, found.bundle, found.card)


def observed(settings: Settings | str) -> "Observed":
    """The decisions that count, their outcomes, and what was promised of them: the basis of monitoring.

    settings : from `params`, or the name of a strategy. Nothing is decided, matured or recorded by it; events that are
        missing are built and stored, as `events` does.

    Returns `.counted` (one row a decision), `.events` (with their features; None where nothing was decided),
    `.references` (of each model: its training and out-of-sample predictions), `.deployed`, `.checks` and `.alerts`.
    Raises BadData where the deployed model is damaged.

    Examples
    --------
    >>> import bq
    >>> bq.observed(bq.params("breakout", "parameters/simulated/breakout.yaml")).counted.is_empty()  # none was made
    True
    """
    from bq.monitoring import observed

    settings = params(settings) if isinstance(settings, str) else settings
    found = observed.of(strategies.of(settings), settings)
    if found.counted.is_empty():
        return found
    _collect(settings)
    return observed.with_events(found, store.market_data(settings))


def drift(settings: Settings | str) -> "list[Monitored]":
    """Whether decisions still look like the training of the deployed models; nothing is recorded.

    settings : from `params`, or the name of a strategy.

    Returns one for each tier: `.checks`, `.weekly` (PSI by feature and week), `.paths` (of the error stream), …; and
    `.without`, why it is not monitored, where it is not.

    Examples
    --------
    >>> import bq
    >>> [str(one.without) for one in bq.drift(bq.params("breakout", "parameters/simulated/breakout.yaml"))]
    ['no_model']
    """
    from bq.monitoring import drift

    settings = params(settings) if isinstance(settings, str) else settings
    return drift.of(strategies.of(settings), settings, store.market_data(settings))


def comparison(
    settings: Settings | str, replay: str = "", trades: str = "", *, base: str = "", run_dir: str = ""
) -> "Compared":
    """The tracks compared: their decisions by paired shadow books, their executions as the ledger has them.

    settings : from `params`, or the name of a strategy. replay : id of a `make replay` run, with whose parameters its
    tracks are compared. trades : path of a CSV file (docs/comparison.md). Without either the ledger; shadow books are
    traded anew each time, in memory: nothing is recorded. base : the track that others are compared with,
    empty: the one by the rule score. run_dir : a run folder, where the verdicts are kept.

    Returns `.decisions` and `.executions`, each a Comparison (`.figures`, `.differences`, `.returns`) or why there is
    none, `.executed` (unpaired differences, with CUPED) and `.drawn` (the split, tested).
    Raises BadParameters for a strategy that is not traded, BadData for a file that is no list of trades.

    Examples
    --------
    >>> import bq
    >>> made = bq.comparison(bq.params("breakout", "parameters/simulated/breakout.yaml"))
    >>> str(made.decisions), str(made.executions)  # nothing was scanned or traded
    ('no_scan', 'no_execution')
    """
    from bq.jobs import compared
    from bq.monitoring import compared_record, trades_file

    settings = params(settings) if isinstance(settings, str) else settings
    if replay:
        found = compared.of_replay(replay, base)
    elif trades:
        found = trades_file.compared(Path(trades), settings, base)
    else:
        found = compared.of_ledger(strategies.of(settings), settings, base)
    if run_dir:
        compared_record.of(found).write(Path(run_dir) / compared_record.FILE)
    return found


def save(training: Training, success: Training | None, events: pl.DataFrame, settings: Settings, run_dir: str) -> str:
    """Write both trainings into a run folder for the gate; without one (a notebook run by hand) write nothing.

    Returns a sentence that says which. success : from `train_success`.

    Examples
    --------
    >>> import bq
    >>> settings = bq.params("breakout", "parameters/simulated/breakout.yaml", folds=2)
    >>> events = bq.events(settings)
    >>> bq.save(bq.train(events, settings), None, events, settings, run_dir="")
    'Run by hand: nothing is saved or deployed. `make retrain` saves its model, and the gate may deploy it.'
    """
    if not run_dir:
        return "Run by hand: nothing is saved or deployed. `make retrain` saves its model, and the gate may deploy it."
    events, strategy, settings = _of(events, settings)
    made = candidates.save(training, success, events, Path(run_dir), strategy=strategy, settings=settings)
    return f"Saved candidate {made.artefact.model_id}."


def candidate(events: pl.DataFrame, settings: Settings, run_dir: str = "") -> Candidate:
    """What a training gives the gate: predictions, layers, weights, importances, artefact; nothing is deployed.

    run_dir : the folder of a run, whose training is read; where it holds none, or without a folder, it is trained now.

    Examples
    --------
    >>> import bq
    >>> settings = bq.params("breakout", "parameters/simulated/breakout.yaml", folds=2)
    >>> made = bq.candidate(bq.events(settings), settings)
    >>> made.parity.holds
    True
    """
    if run_dir and (Path(run_dir) / candidates.RECORD).is_file():
        return candidates.load(Path(run_dir))
    events, strategy, settings = _of(events, settings)
    return candidates.make(_trained(events, strategy, settings), None, events, strategy=strategy, settings=settings)


def tune(
    settings: Settings,
    run_dir: str = "",
    *,
    objective: "Objective | None" = None,
    search: "Search | None" = None,
) -> "Tuned":
    """Search a strategy's own rules in memory, judged together with every trial before; its trials count as looks.

    Parameters
    ----------
    run_dir : the folder of a `make tune`, whose results are read instead.
    objective : a function of your own, of the daily returns of a span (DataFrame of session, value, buy_and_hold; the
        first day's are 0), that gives the number to be as large as possible, or NaN where there is none. Default: that
        of `tuning.objective`.
    search : what is tried, by dotted name of a parameter: `range(4, 13)`, a list of values, or a distribution of
        Optuna. Default: the strategy's own ranges.

    Returns the trials, the verdict on the best of them, and `.study`, for Optuna's own plots. The verdict is on daily
    returns, whatever the objective.

    Raises BadData where no trial is feasible or history is too short, BadParameters for an unknown parameter or an
    objective that gives no number or asks for another column.

    Examples
    --------
    >>> import bq
    >>> settings = bq.params("breakout", "parameters/simulated/breakout.yaml", trials=2)
    >>> bq.tune(settings).trials.columns[:5]
    ['number', 'state', 'value', 'trades', 'reason']
    >>> def worst_day(days):
    ...     return days["value"].min()
    >>> bq.tune(settings, objective=worst_day, search={"exit.max_holding_days": [20, 60, 120]}).results["objective"]
    'worst_day'
    """
    from bq.tuning import results
    from bq.tuning import strategy as rules

    if run_dir:
        return results.load(run_dir)
    strategy = strategies.get(settings.strategy)
    if strategy.backtester is None:
        raise BadParameters(
            f"`tune` must have settings of a strategy with a backtester, but {settings.strategy} has none; `make tune "
            f"STRATEGY={settings.strategy}` tunes its model."
        )
    data = market.load(settings.market)
    return rules.tune(strategy, settings, data, keep=False, objective=objective, search=search)


def tune_weights(settings: Settings, run_dir: str = "", *, steps: int = 2000, seeds: int = 2) -> "Studied":
    """Learn the weights of a rule score in memory, beside everything simpler; its trainings count as looks.

    run_dir : the folder of a `make tune-weights`, whose results are read instead. steps : of each training. seeds : of
    each test block.
    Raises BadParameters for a strategy whose score has no components, BadData where history is too short.

    Examples
    --------
    >>> import bq
    >>> bq.tune_weights(bq.params("breakout", "parameters/simulated/breakout.yaml"))
    Traceback (most recent call last):
    bq.core.errors.BadParameters: learnt weights must be of a strategy that keeps the components of its rule score \
with each event, but breakout does not.
    """
    from bq.learning.weighing import weighing_of
    from bq.tuning.weights import results, study
    from bq.tuning.weights import tune as weights

    if run_dir:
        return results.load(run_dir)
    strategy = strategies.of(settings)
    weighing_of(strategy)
    ask = study.Ask(strategy, settings, study.PLAN._replace(steps=steps), seeds)
    return weights.tune(_collect(settings).events, ask, market.load(settings.market))[0]


def tearsheet(run: "Run") -> "Sheet":
    """What a run's model earned out of sample: by month, its drawdowns, by symbol, kind and year, by fifths.

    run : from `bq.runs`, of a retrain or a training. Shown in a notebook when it is the last line of a cell.

    Raises BadParameters where the run has no predictions.

    Examples
    --------
    >>> import bq
    >>> bq.tearsheet(bq.runs.latest())  # doctest: +SKIP
    """
    from bq.workbench import tearsheet

    return tearsheet.of_run(run)


def regimes(settings: Settings) -> "Timeline":
    """The regimes of a strategy's market, session by session; what a row says was known at its session's close.

    Examples
    --------
    >>> import bq
    >>> line = bq.regimes(bq.params("breakout", "parameters/simulated/breakout.yaml"))
    >>> line.names
    ['bear', 'neutral', 'bull']
    """
    from bq.strategies import regime

    return regime.timeline(market.load(settings.market), settings.learning.regimes or Regimes())


def _trained(events: pl.DataFrame, strategy: Strategy, settings: Settings, *, task: Task | None = None) -> Training:
    """A training, entered in the ledger as a look."""
    second = task is not None and task is strategy.success
    namespace = settings.namespace.second if second else settings.namespace
    ends = candidates.ends_of(namespace, strategy, settings)
    training = walkforward.train(events, strategy, settings, task=task, ends=ends)
    looks.enter(training.oos, strategy, settings, task=task)
    return training


def _collect(settings: Settings | str) -> store.Collection:
    settings = params(settings) if isinstance(settings, str) else settings
    return store.collect(strategies.of(settings), settings, store.market_data(settings))


def _of(events: pl.DataFrame, settings: Settings | None) -> tuple[pl.DataFrame, Strategy, Settings]:
    """The events in order, none twice, their strategy, and its settings."""
    settings = settings or params(events["strategy"][0])
    return in_order(events), strategies.of(settings), settings
