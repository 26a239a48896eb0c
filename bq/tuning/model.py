"""`TARGET=model`: search the hyperparameters of `learning.model` on inner purged folds, before what the gate judges.

Its events are those that every outer fold may train on: they ended before the first outer test block and before the
newest window. The best trial still has to pass the gate of a retrain.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from optuna.distributions import FloatDistribution, IntDistribution

from bq.core import files
from bq.core.errors import BadData
from bq.core.numerals import bounds, with_sign
from bq.core.scalars import moment, number, number_or_none
from bq.core.settings import Settings
from bq.learning import layers, metrics, splits, walkforward
from bq.learning.layers import STACK
from bq.serving import gates, ledger
from bq.serving.basis import events_digest
from bq.serving.looks import recipe_of
from bq.stats.bootstrap import Interval
from bq.strategies import event_set
from bq.strategies.contract import Strategy
from bq.strategies.events import in_order, matured
from bq.strategies.task import Task
from bq.tuning import results, study
from bq.tuning.parameters import applied, values_of
from bq.tuning.results import Tuned, rounded_values
from bq.tuning.study import Infeasible, Ranges, Values

KIND = "model"  # of its trials in the ledger
PART = "inner validation"


class Score(NamedTuple):
    """Score of one set of hyperparameters on the inner folds."""

    by_session: pl.DataFrame  # session, figure; higher is better
    series: pl.DataFrame  # session, value: result of deciding by it
    oos: pl.DataFrame

    @property
    def value(self) -> float:
        """Mean over sessions."""
        mean = number_or_none(self.by_session["figure"].mean())
        return np.nan if mean is None else mean


def tune(events: pl.DataFrame, strategy: Strategy, settings: Settings, *, keep: bool, workers: int = 1) -> Tuned:
    """Search; nothing is deployed.

    keep : whether the study is kept; an existing one with the same events, parameters and code is resumed. Its trials
    are entered in the ledger in either case. workers : trials at a time, each in a process.

    Raises BadData where the training part is too short for the inner folds.
    """
    part = training_part(events, strategy, settings)
    inner = inner_settings(part, settings)
    _check(part, inner)
    ranges, given = search_space(strategy, settings)
    name, events_made_of = study_name(part, settings, ranges), events_digest(part)
    kept = name if keep else None
    under_way = study.begin(kept, ranges, seed=settings.tuning.seed, first=given)

    def enter(number: int, values: Values, made: Score) -> tuple[float, Values]:
        facts: dict[str, Any] = {"recipe": recipe_of(applied(inner, values), strategy), "events": events_made_of}
        shown = {"objective": made.value}
        look = ledger.Look(KIND, name, number, values, made.series, part["symbol"].unique(), shown=shown, **facts)
        ledger.record(settings.namespace, [look])
        return made.value, {}

    measure = partial(_measure, part=part, strategy=strategy, settings=inner)
    study.run(under_way, measure, keep=enter, trials=settings.tuning.trials, workers=workers)
    best = study.best(under_way)
    winner, before = (score(part, strategy, applied(inner, values)) for values in (best.params, given))
    found = {
        "target": KIND,
        "strategy": strategy.name,
        "objective": objective(strategy.task(settings)),
        **results.describe(under_way, name=kept),
        "winner": {"number": best.number, "values": rounded_values(best)},
        "figures": [{"part": PART, "winner": {"value": winner.value}, "given": {"value": before.value}}],
    }
    found["verdict"] = _verdict(found, winner, before, strategy, settings)
    names = ({"value": "winner"}, {"value": "given"})
    curves = winner.series.rename(names[0]).join(
        before.series.rename(names[1]), on="session", how="full", coalesce=True
    )
    return Tuned(results.plain(found), curves.with_columns(part=pl.lit(PART)))


def _measure(number: int, values: Values, *, part: pl.DataFrame, strategy: Strategy, settings: Settings) -> Score:
    made = score(part, strategy, applied(settings, values))
    if not np.isfinite(made.value):
        raise Infeasible("no validation session has a figure: too few events in each")
    return made


def training_part(events: pl.DataFrame, strategy: Strategy, settings: Settings) -> pl.DataFrame:
    """The matured events that ended before the first outer test block and before the newest window."""
    task = strategy.task(settings)
    known = matured(in_order(events).with_columns(label=task.label(pl.col("outcome"))))
    outer = splits.purged_walk_forward(known, settings.learning)[0].train
    return known[np.intersect1d(outer, splits.newest_window(known, settings.learning)[0])]


def inner_settings(part: pl.DataFrame, settings: Settings) -> Settings:
    """The settings of a walk-forward inside the training part: the inner folds of a stack, over its share of events."""
    stack = settings.learning.stack
    begin = part["t0"].sort()[int(len(part) * (1.0 - stack.inner_share))]
    days = max((moment(part["t0"].max()) - begin).days // stack.inner_folds, 1)
    inner = {"folds": stack.inner_folds, "test_days": days, "newest_days": days, "compare": []}
    return settings.model_copy(update={"learning": settings.learning.model_copy(update=inner)})


def _check(part: pl.DataFrame, inner: Settings) -> None:
    try:
        splits.purged_walk_forward(part, inner.learning)
        splits.newest_window(part, inner.learning)
    except BadData as error:
        raise BadData(
            f"tuning: the training part ({len(part)} events before the first test block) must have room for "
            f"{inner.learning.folds} inner folds (learning.stack.inner_folds, inner_share), but {error}"
        ) from None


def search_space(strategy: Strategy, settings: Settings) -> tuple[Ranges, Values]:
    """Search ranges of the candidate's hyperparameters by dotted name, and their given values.

    For a stack: those of its base models and of its meta-learner.
    """
    kind = layers.kind_of(len(strategy.task(settings).classes))
    layers.check(settings.learning, kind)
    chosen, known = settings.learning.model, layers.settable(settings.learning, kind)
    ranges: Ranges = {}
    defaults: dict[str, Any] = {}
    for layer in [*settings.learning.stack.models, layers.META] if chosen == STACK else [chosen]:
        for key, (default, low, high, log) in known.get(layer, {}).items():
            name = f"learning.hyperparameters.{layer}.{key}"
            if isinstance(low, int) and isinstance(high, int):
                ranges[name] = IntDistribution(low, high, log=log)
            else:
                ranges[name] = FloatDistribution(low, high, log=log)
            defaults[name] = default
    return ranges, defaults | values_of(settings, ranges)


def study_name(part: pl.DataFrame, settings: Settings, ranges: Ranges) -> str:
    """Name of the study: it changes with events, parameters, ranges and code."""
    beside: dict[str, Any] = {
        "tuning": {"trials", "objective"},
        "run": True,
        "gate": True,
        "market": True,
        "learning": {"compare"},
    }
    content = part.select("event_id", "label", "outcome").write_ipc(None).getvalue()
    given = [settings.model_dump(mode="json", exclude=beside), files.sha256(content), event_set.code_digest()]
    digest = files.digest([*given, sorted(f"{key} {value}" for key, value in ranges.items())], length=12)
    return f"{settings.namespace}_{KIND}_{settings.learning.model}_{digest}"


def score(part: pl.DataFrame, strategy: Strategy, settings: Settings) -> Score:
    """Walk forward inside the training part."""
    oos, task = walkforward.train(part, strategy, settings).oos, strategy.task(settings)
    if task.classes:
        loss = oos.select("session", figure=-metrics.log_loss(oos, task))
        by_session = loss.group_by("session").agg(pl.col("figure").mean()).sort("session")
    else:
        by_session = metrics.rank_ic(oos, by="expected").rename({"ic": "figure"})
    return Score(by_session, strategy.value.earned(oos, "expected", settings), oos)


def objective(task: Task) -> str:
    """Name of the objective, for people."""
    return "log-likelihood per event [nats]" if task.classes else "rank IC"


def _verdict(
    found: dict[str, Any], winner: Score, before: Score, strategy: Strategy, settings: Settings
) -> dict[str, Any]:
    pairs = winner.by_session.join(before.by_session, on="session", suffix="_given")
    blocks = gates.blocks(winner.oos, settings)
    blocks = blocks if strategy.task(settings).classes else blocks.of_ic
    gain: Interval = blocks.mean((pairs["figure"] - pairs["figure_given"]).to_numpy())
    best, trials = found["winner"]["number"], len(found["trials"])
    rows = [
        [
            found["objective"],
            with_sign(winner.value, 4),
            with_sign(before.value, 4),
            f"{with_sign(gain.mean, 4)} {bounds(gain.low, gain.high, 4)}",
        ]
    ]
    means = [with_sign(number(one["value"].mean()), 4) for one in (winner.series, before.series)]
    rows.append([strategy.value.name(settings), *means, ""])
    return {
        "decision": "done",
        "headline": f"Trial {best} is the best of {trials}; it still has to pass the gate of a retrain",
        "reasons": [
            f"{found['objective']} {with_sign(winner.value, 4)}, as given {with_sign(before.value, 4)}; difference "
            f"{gain}. The interval ignores that the best of {trials} trials was chosen; the gate judges it on later "
            "events.",
            f"Inner validation: {len(winner.oos):,} events of {gain.n:,} sessions, "
            f"{settings.learning.stack.inner_folds} purged folds before the first test block of the walk-forward.",
        ],
        "needed": [],
        "components": [],
        "second_tier": [],
        "table": {
            "columns": ["figure", f"winner (trial {best})", "as given", "difference"],
            "rows": rows,
            "note": "Mean over sessions; intervals by stationary bootstrap over sessions.",
        },
    }
