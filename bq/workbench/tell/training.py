"""Notebook 02: what the walk-forward shows out of sample, and the model that would be deployed."""

import polars as pl

from bq import strategies
from bq.core.numerals import percent, with_sign
from bq.core.scalars import count
from bq.core.settings import Settings
from bq.learning import direct_regression, metrics, summaries
from bq.learning.thresholds import by_threshold
from bq.learning.walkforward import Training
from bq.serving import candidate, gates
from bq.stats.rank_ic import rank_ic as ic_by_session
from bq.strategies import store
from bq.strategies.policy import EXPECTED, SCORE
from bq.strategies.task import Task
from bq.workbench import plots, reading
from bq.workbench.exhibits import Exhibits, exhibits
from bq.workbench.told import Told

WINDOW = 26  # sessions of a rolling rank IC
NO_CLASSES = "The model gives no probabilities: it predicts cross-sectional z-scores."
NO_THRESHOLD = "There is no threshold: the portfolio holds by weight, and its weights are the policy."
NO_SECOND = "This strategy has no second tier."


def _own(training: Training, settings: Settings) -> pl.DataFrame:
    """Out-of-sample predictions of the candidate."""
    return training.oos.filter(pl.col("model") == settings.learning.model)


def folds(training: Training) -> Told:
    """The test blocks, and how many events trained for each."""
    table = training.folds
    purged = table["purged"].sum()
    left = (
        f"{purged:,} were purged from training, as their labels reach into a test block"
        if purged
        else "none had to be purged"
    )
    sentence = (
        f"{reading.counted(len(table), 'fold')} from {table['test_from'].min()} to {table['test_to'].max()} predict "
        f"{reading.counted(count(table['test'].sum()), 'event')}; {left}."
    )
    return Told(plots.table(table), sentence, table)


def figures(training: Training, settings: Settings) -> Told:
    """The figures of every model out of sample, each beside its baseline."""
    table = candidate.tables(training.oos, strategies.of(settings), settings).drop("events", "convention")
    ic = table.filter(pl.col("model") == settings.learning.model, pl.col("metric") == "rank IC").row(0, named=True)
    if not ic["sessions"]:
        sentence = "No session has the five events that a rank IC needs; more symbols would give one."
    else:
        sentence = (
            f"{settings.learning.model} ranks the events of a session with IC {with_sign(ic['value'])} "
            f"{reading.interval(ic['low'], ic['high'])}, the rule score with {with_sign(ic['baseline'])}."
        )
    return Told(plots.table(table), sentence, table)


def earned(training: Training, settings: Settings) -> Told:
    """Running sum of what choosing by the model earned, beside the rule score and all events."""
    name = strategies.of(settings).value.name(settings)
    return _sums(
        _own(training, settings), settings, title=f"Running sum of {name}, out of sample", where="Out of sample"
    )


def thresholds(training: Training, settings: Settings) -> Told:
    """What the model earns by how much it must expect, beside the rule score at as many trades."""
    strategy, own = strategies.of(settings), _own(training, settings)
    if strategy.value.sizes is not None:
        return Told(None, NO_THRESHOLD)
    table = by_threshold(own, settings.policy, lambda sessions: gates.blocks(own, settings, sessions))
    name = strategy.value.name(settings)
    figure = plots.by_threshold(table, title=f"Out of sample: {name}, by threshold", y_title="mean a session")
    return Told(figure, reading.thresholds(table), table)


def newest(training: Training, settings: Settings) -> Told:
    """The same of the model that would be deployed, on the newest window."""
    name = strategies.of(settings).value.name(settings)
    title = f"Newest window: running sum of {name}"
    return _sums(training.newest, settings, title=title, where="In the newest window")


def _sums(predictions: pl.DataFrame, settings: Settings, *, title: str, where: str) -> Told:
    strategy, model = strategies.of(settings), settings.learning.model
    names = {"model": model, "baseline": "rule score", "everything": "all events"}
    table = metrics.versus(predictions, strategy, settings)
    titles = {"title": title, "x_title": "session", "y_title": f"sum of {strategy.value.name(settings)}"}
    figure = plots.cumulative(table.rename(names), "session", list(names.values()), **titles)
    return Told(figure, reading.sums(table, names, where=where), table)


def results(training: Training, settings: Settings) -> Exhibits | Told:
    """What the strategy shows of its own predictions."""
    views, own = strategies.of(settings).views, _own(training, settings)
    shown = views.results(own, settings, store.market_data(settings))
    return exhibits(shown) if shown else Told(None, f"{settings.strategy} has nothing of its own to show here.")


def rank_ic(training: Training, settings: Settings) -> Told:
    """Rolling rank IC of the model and of the rule score."""
    own, model = _own(training, settings), settings.learning.model
    score = ic_by_session(own, by="score").rename({"ic": "rule score"})
    both = ic_by_session(own, by="expected").rename({"ic": model}).join(score, on="session").drop_nulls()
    if len(both) < WINDOW:
        sessions = reading.counted(len(both), "session")
        few = f"{sessions} with a rank IC: too few for a rolling mean of {WINDOW}, so none is drawn."
        return Told(None, few, both)
    table = both.sort("session").with_columns(pl.col(model, "rule score").rolling_mean(WINDOW))
    titles = {"title": f"Rank IC, mean of {WINDOW} sessions", "x_title": "session"}
    correlation = "Spearman correlation within a session"
    figure = plots.lines(table, "session", [model, "rule score"], **titles, y_title=correlation)
    return Told(figure, reading.rolling(table, model, "rule score"), table)


def calibration(training: Training, settings: Settings) -> Told:
    """Predicted probabilities beside observed frequencies, of the strategy's own task."""
    task = strategies.of(settings).task(settings)
    if not task.classes:
        return Told(None, NO_CLASSES)
    of = f"of P({task.classes[-1]})" if len(task.classes) == 2 else "of all classes together"
    return _calibration(_own(training, settings), task, title=f"Calibration {of}")


def success_calibration(success: Training | None, settings: Settings) -> Told:
    """The same of the second tier's probability of success."""
    task = strategies.of(settings).success
    if success is None or task is None:
        return Told(None, NO_SECOND)
    return _calibration(success.oos, task, title="Calibration of the probability of success")


def _calibration(predictions: pl.DataFrame, task: Task, *, title: str) -> Told:
    table = metrics.calibration(predictions, task)
    return Told(plots.calibration(table, title=title), reading.calibration(table), table)


def confusion(training: Training, settings: Settings) -> Told:
    """Predicted against actual class."""
    task = strategies.of(settings).task(settings)
    if not task.classes:
        return Told(None, "There is no confusion matrix: the model predicts cross-sectional z-scores and no classes.")
    matrix = metrics.confusion(_own(training, settings), task)
    majority = matrix.sum(axis=1).max(initial=0) / max(matrix.sum(), 1)
    figure = plots.confusion(matrix, task.classes, majority_share=majority, title="Predicted against actual class")
    return Told(figure, reading.confusion(matrix, task.classes, majority=majority))


def expected_deciles(training: Training, settings: Settings) -> Told:
    """Mean outcome by decile of the expectation, beside the expectation itself where it is in the outcome's unit."""
    own, task = _own(training, settings), strategies.of(settings).task(settings)
    table = summaries.deciles(own, by="expected", means=["expected", "outcome"])
    shown = table.with_columns(pl.col("decile").cast(pl.String)).rename({"outcome": "realised"})
    figure = plots.bars(
        shown,
        "decile",
        ["expected", "realised"] if task.classes else ["realised"],
        title="Outcome by decile of the expectation",
        x_title=f"decile of the expectation, lowest first ({len(own):,} events)",
        y_title="mean outcome",
    )
    return Told(figure, reading.deciles(table, "expectation"), table)


def against_direct(events: pl.DataFrame, training: Training, settings: Settings) -> Told:
    """The expectation by classes beside a regression on the outcome itself, by deciles of the latter."""
    strategy = strategies.of(settings)
    if not strategy.task(settings).classes:
        return Told(None, "The model is a regression on the outcome already: there is nothing to compare.")
    both = _own(training, settings).join(direct_regression.direct(events, strategy, settings), on="event_id")
    table = summaries.deciles(both, by="direct", means=["direct", "expected", "outcome"])
    return Told(plots.table(table), reading.beside(table, "direct", "expected"), table)


def second_tier(success: Training | None, settings: Settings) -> Told:
    """What events earned above and below the threshold of the second tier."""
    task = strategies.of(settings).success
    if success is None or task is None:
        return Told(None, NO_SECOND)
    table = summaries.second_tier(success.oos, task)
    return Told(plots.table(table), reading.second_tier(table), table)


def importance(training: Training, settings: Settings) -> Told:
    """Which features the model that would be deployed uses."""
    used, share = metrics.importance(training.artefact, strategies.of(settings).features(settings))
    titles = {
        "title": f"Importance in {settings.learning.model}",
        "x_title": "share of the total gain or coefficient size",
    }
    table = pl.DataFrame({"feature": used, "share": share})
    return Told(plots.importance(used, share, **titles), reading.importances(used, share.tolist(), of="feature"), table)


def chosen(training: Training, settings: Settings) -> str:
    """What the events that the model would trade earned, beside all of them."""
    own, value = _own(training, settings), strategies.of(settings).value
    model, rule = (value.chosen(own, by, settings)["outcome"] for by in (EXPECTED, SCORE))
    if model.is_empty():
        return f"The model would trade none of {reading.counted(len(own), 'event')}."
    return (
        f"The model would trade {len(model):,} of {reading.counted(len(own), 'event')}, the rule score {len(rule):,}. "
        f"The mean outcome of the model's trades is {with_sign(model.mean(), 4)}, {percent((model > 0).mean())} are "
        f"above 0; that of all events is {with_sign(own['outcome'].mean(), 4)}."
    )


def uplift(training: Training, settings: Settings) -> str:
    """What choosing by the model earned a session, and how much more that is than by the rule score."""
    own, strategy = _own(training, settings), strategies.of(settings)
    pairs = metrics.versus(own, strategy, settings)
    blocks = gates.blocks(own, settings, pairs["session"])
    net, more = blocks.means(pairs.select("model", "uplift").to_numpy())
    return (
        f"A session earned {net} by the model ({strategy.value.name(settings)}), {more} more than by the rule score: "
        f"means of {reading.counted(more.n, 'session')}."
    )
