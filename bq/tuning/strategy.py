"""`TARGET=strategy`: which parameters of the breakout rules did best on validation folds, and how much that proves.

A trial is worth the mean of its objective over the folds. Bars of the holdout are not looked at before the best trial
is known; it alone is scored there.
"""

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from bq.core import files
from bq.core.errors import BadParameters
from bq.market import MarketData
from bq.serving import ledger
from bq.strategies import store
from bq.strategies.breakout.prepare import prepare
from bq.strategies.breakout.settings import BreakoutSettings
from bq.tuning import evidence, study, verdict
from bq.tuning.parameters import applied, values_of
from bq.tuning.results import Tuned
from bq.tuning.scoring import KIND, Scores, score, until
from bq.tuning.study import Ranges
from bq.tuning.verdict import HOLDOUT, Found, Part
from bq.tuning.windows import divide

RANGES: Ranges = {
    "exit.hard_stop_atr_mult": FloatDistribution(1.5, 4.0, step=0.1),
    "exit.exit_ma": CategoricalDistribution((20, 50)),
    "entry.fast_clearance": FloatDistribution(0.0, 0.02, step=0.0005),
    "entry.slow_clearance": FloatDistribution(0.005, 0.025, step=0.0005),
    "risk.risk_per_trade": FloatDistribution(0.005, 0.015, step=0.00025),
    "risk.max_positions": IntDistribution(4, 12),
    "eligibility.trend_ma": CategoricalDistribution((20, 50, 100)),
}


def tune(settings: BreakoutSettings, data: MarketData, *, keep: bool) -> Tuned:
    """Search, then score the best trial on the holdout and judge it.

    keep : whether the study and its trials are kept, and a study of the same data, parameters and code is gone on
    with. Without it nothing is written, for a look by hand, which is judged among all that was kept before.

    Raises BadData where no trial is feasible or history is too short, BadParameters where a model would judge sessions
    that it may have been trained on.
    """
    if settings.ml.enabled:
        raise BadParameters(
            "`ml.enabled` must be false in a tuning, but is true: the champion may have been trained on the sessions "
            'on which trials are judged. Set SET="ml.enabled=false", and enable it again afterwards.'
        )
    windows = divide(prepare(data, settings.universe).sessions, settings.tuning)
    seen = prepare(until(data, windows.validation.end), settings.universe)
    name = study_name(settings, data) if keep else None
    under_way = study.begin(name, RANGES, seed=settings.tuning.seed, first=values_of(settings, RANGES))
    scores = Scores(seen, settings, windows, name)
    study.run(under_way, scores.evaluate, trials=settings.tuning.trials)
    best = study.best(under_way)
    scores.finish(under_way.trials)
    chosen = applied(settings, best.params)
    whole = prepare(data, settings.universe)
    parts = [
        Part("training", score(seen, chosen, [windows.train]), score(seen, settings, [windows.train])),
        Part("validation", scores.of[best.number], score(seen, settings, windows.folds)),
        Part(HOLDOUT, score(whole, chosen, [windows.holdout]), score(whole, settings, [windows.holdout])),
    ]
    held_out, validated = parts[-1].winner.series, parts[1].winner.series
    tried = ledger.on(settings.namespace, validated["session"], seen.symbols)
    if name:
        trial = ledger.Trial(HOLDOUT, name, best.number, best.params, held_out, whole.symbols)
        ledger.record(settings.namespace, [trial])
    else:  # what is not kept was tried all the same
        tried = tried.join(scores.matrix(), on="session", how="left", maintain_order="left")
    kept = ledger.on(settings.namespace, held_out["session"], whole.symbols).columns
    looks = sum(column.startswith(f"{HOLDOUT}/") for column in kept) + (name is None)
    judged = evidence.judge(validated, scores.matrix(), tried)
    return verdict.tuned(Found(settings, under_way, name, best, windows, parts, scores, evidence=judged, looks=looks))


def study_name(settings: BreakoutSettings, data: MarketData) -> str:
    """One name for one search: other data, parameters, ranges or code make another."""
    beside = {"tuning": {"trials"}, "run": True, "learning": True, "gate": True}
    parts = [settings.model_dump(mode="json", exclude=beside), data.data_hash, store.code_digest()]
    digest = files.digest([*parts, sorted(f"{key} {value}" for key, value in RANGES.items())], length=12)
    return f"{settings.namespace}_{KIND}_{settings.tuning.objective}_{digest}"
