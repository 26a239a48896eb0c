"""`TARGET=strategy`: search the parameters of a strategy's rules on validation folds, and judge the best trial.

The score of a trial is the mean of its objective over the folds. The bars of the holdout are not read before the best
trial is known; it alone is scored there.
"""

from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from bq.core import files
from bq.core.errors import BadParameters
from bq.core.settings import Settings
from bq.market import MarketData
from bq.serving import ledger
from bq.strategies import event_set
from bq.strategies.backtester import Backtester, Range, Scorer
from bq.strategies.contract import Strategy
from bq.tuning import evidence, own, study, verdict
from bq.tuning.parameters import applied, values_of
from bq.tuning.results import Tuned
from bq.tuning.scoring import KIND, Scores, until
from bq.tuning.study import Ranges
from bq.tuning.verdict import HOLDOUT, Found, Part
from bq.tuning.windows import divide


def ranges_of(strategy: Strategy) -> Ranges:
    """Search ranges by dotted name, as Optuna distributions."""
    return {name: _distribution(of) for name, of in _backtester(strategy).ranges.items()}


def _backtester(strategy: Strategy) -> Backtester:
    if strategy.backtester is None:
        raise BadParameters(f"TARGET=strategy must be of a strategy with a backtester, but {strategy.name} has none.")
    return strategy.backtester


def _distribution(of: Range | tuple) -> BaseDistribution:
    if not isinstance(of, Range):
        return CategoricalDistribution(of)
    if isinstance(of.low, int) and isinstance(of.high, int) and isinstance(of.step, int):
        return IntDistribution(of.low, of.high, step=of.step)
    return FloatDistribution(of.low, of.high, step=of.step)


def tune(
    strategy: Strategy,
    settings: Settings,
    data: MarketData,
    *,
    keep: bool,
    workers: int = 1,
    objective: own.Objective | None = None,
    search: own.Search | None = None,
) -> Tuned:
    """Search, then score the best trial on the holdout and judge it; for a strategy with a backtester.

    keep : whether the study is kept; an existing one with the same data, parameters and code is resumed. Its trials and
    its look at the holdout are entered in the ledger in either case. workers : trials at a time, each in a process.
    objective, search : the user's own, in place of `tuning.objective` and of the strategy's ranges.

    Raises BadData where no trial is feasible or history is too short, BadParameters where a model would be asked about
    sessions that it may have been trained on.
    """
    backtester = _backtester(strategy)
    ranges = ranges_of(strategy) if search is None else own.ranges(search, type(settings))

    def scorer(market: MarketData) -> Scorer:
        made = backtester.scorer(market, settings)
        return made if objective is None else own.judged_by(objective, made)

    whole = scorer(data)
    windows = divide(whole.sessions, settings.tuning)
    seen = scorer(until(data, windows.validation.end))
    aim = settings.tuning.objective if objective is None else own.called(objective)
    name = study_name(settings, data, ranges, aim if objective is None else own.identity(objective))
    kept = name if keep else None
    under_way = study.begin(kept, ranges, seed=settings.tuning.seed, first=values_of(settings, ranges))
    scores = Scores(seen, settings, windows, name, data.data_hash, aim)
    study.run(under_way, scores.measure, keep=scores.keep, trials=settings.tuning.trials, workers=workers)
    best = study.best(under_way)
    scores.finish(under_way.trials)
    chosen = applied(settings, best.params)
    train, holdout = [windows.train], [windows.holdout]
    parts = [
        Part("training", seen.score(chosen, train), seen.score(settings, train)),
        Part("validation", scores.of[best.number], seen.score(settings, windows.folds)),
        Part(HOLDOUT, whole.score(chosen, holdout), whole.score(settings, holdout)),
    ]
    held_out, validated = parts[-1].winner.series, parts[1].winner.series
    ledger.record(settings.namespace, [scores.look(HOLDOUT, best.number, best.params, parts[-1].winner)])
    tried = ledger.on(settings.namespace, validated["session"], seen.symbols)
    scored = ledger.on(settings.namespace, held_out["session"], whole.symbols).columns
    looks = sum(column.startswith(f"{HOLDOUT}/") for column in scored)
    judged = evidence.judge(validated, scores.matrix(), tried)
    found = Found(settings, aim, under_way, kept, best, windows, parts, scores, evidence=judged, looks=looks)
    return verdict.tuned(found, strategy.task(settings).outcome)


def study_name(settings: Settings, data: MarketData, ranges: Ranges, aim: str) -> str:
    """Name of the study: it changes with data, parameters, ranges, code and what is aimed at."""
    beside: dict[str, Any] = {"tuning": {"trials"}, "run": True, "learning": True, "gate": True}
    parts = [settings.model_dump(mode="json", exclude=beside), data.data_hash, event_set.code_digest()]
    digest = files.digest([*parts, sorted(f"{key} {value}" for key, value in ranges.items())], length=12)
    return f"{settings.namespace}_{KIND}_{aim}_{digest}"
