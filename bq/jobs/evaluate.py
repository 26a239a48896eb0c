"""`make evaluate`: what the champion is worth on the time that it never saw; nothing is trained, judged or deployed."""

import datetime as dt
import math

import numpy as np
import polars as pl

from bq.core import paths
from bq.core.errors import BadData
from bq.core.namespace import Namespace
from bq.core.numerals import decimal, percent
from bq.jobs import evaluate_learnt
from bq.jobs.request import Request
from bq.jobs.run import publish
from bq.learning import metrics
from bq.learning.auc import auc_by_session
from bq.market import MarketData
from bq.serving import decide, gates, looks, out_of_sample, ready, registry
from bq.serving.out_of_sample import Predictor
from bq.serving.ready import Champion
from bq.stats.bootstrap import Interval
from bq.stats.rank_ic import mean_rank_ic
from bq.strategies import store
from bq.strategies.backtester import Backtester
from bq.strategies.contract import Exhibit
from bq.strategies.events import NOTICES, matured, weakest_source
from bq.strategies.policy import EXPECTED, FROM, SCORE
from bq.strategies.task import SMALLEST_CROSS_SECTION
from bq.workbench import exhibits, page, plots, screen

LOOKED_AT = (
    "The champion was trained without these events. The gate saw part of this window when it deployed the champion, "
    "and whoever chose features and parameters may have seen walk-forward results of this time: only the training did "
    "not."
)
OF_THE_RECIPE = (
    "Before the champion's training ended, the probabilities come from the walk-forward models of its run, each "
    "trained on earlier events only: this judges the way of training more than this one model."
)


def main(request: Request) -> None:
    """Score the champion, print what it earns beside the rule score, and write a page.

    With learnt weights asked for (`USE_RL=1`) these instead. Raises BadParameters where there is no champion, BadData
    where no event has matured since its training.
    """
    strategy, settings = request.strategy, request.settings
    if settings.asks_learnt:
        evaluate_learnt.main(request)
        return
    data = store.market_data(settings)
    champion = out_of_sample.champion(strategy, settings)
    events = store.collect(strategy, settings, data).events
    window = untouched(events, champion)
    found, decides = [model_alone(window, champion, request)], who_decides(settings.namespace)
    if strategy.backtester is not None:
        found += _portfolio(strategy.backtester, events, data, champion, request)
    target = paths.outputs() / "evaluations" / f"{settings.namespace}_{champion.model_id}.html"
    title = f"{settings.namespace} · champion {champion.model_id} since its training"
    source = weakest_source(window)
    parts = [("Who decides", [decides])]
    parts += [(one.title, [one.text, *filter(None, [one.note]), *exhibits.contents(one)]) for one in found]
    page.write(target, title=title, source=source, bars=settings.market.source, parts=parts)
    publish.write_index()
    screen.show(f"{screen.BOLD}{title}{screen.PLAIN}")
    if source in NOTICES:
        screen.show(f"{screen.RED}{NOTICES[source]}{screen.PLAIN}")
    screen.show(decides)
    for one in found:
        if not one.page_only:
            screen.show(f"\n{screen.BOLD}{one.title}{screen.PLAIN}\n{one.text}\n{plots.table(one.table)!r}")
    screen.show(f"\n{screen.where('report', target)}")


def untouched(events: pl.DataFrame, champion: Champion) -> pl.DataFrame:
    """The matured events that began after the last end of an event that the champion was trained on."""
    through = champion.trained_through
    found = matured(events).filter(pl.col("t0") > through)
    if found.is_empty():
        raise BadData(
            f"at least one event must have begun after the champion's training ended ({through:%Y-%m-%d}) and matured, "
            f"but none has (parameters and bars that end {events['session'].max()}). Bring later bars, or retrain."
        )
    return found


def who_decides(namespace: Namespace) -> str:
    """By which rule the champion is deployed, and that a worse result here does not change it."""
    pointer = registry.pointer(namespace)
    if pointer is None:  # rolled back meanwhile
        return f"{ready.decides(namespace)} decides."
    return (
        f"The champion decides: deployed {pointer.since_utc:%Y-%m-%d} ({pointer.reason}). What follows informs. Where "
        "the champion is worse here than the rule score, or than no model, it goes on deciding until the gate of a "
        "retrain or `make rollback` replaces it."
    )


def model_alone(window: pl.DataFrame, champion: Champion, request: Request) -> Exhibit:
    """What choosing by the champion earns on the window, beside the rule score and not choosing at all."""
    strategy, settings = request.strategy, decide.as_deployed(request.settings, champion)
    said = decide.predict(champion, window, strategy)
    if champion.bundle.policy is None:
        said = said.with_columns(pl.lit(strategy.task(settings).trade_score).alias(FROM))
    looks.enter_evaluation(said, champion, strategy, settings)
    sessions = metrics.versus(said, strategy, settings)
    named = {
        f"{strategy.value.name(settings)}, by the champion": "model",
        f"{strategy.value.name(settings)}, by the rule score": "baseline",
        "all events": "everything",
        "uplift over the rule score": "uplift",
    }
    columns = [sessions[column].cast(pl.Float64).fill_null(np.nan).to_numpy() for column in named.values()]
    blocks = gates.blocks(said, settings, sessions["session"])
    intervals = dict(zip(named, blocks.means(np.column_stack(columns)), strict=True))
    uplift = intervals["uplift over the rule score"]
    if len(champion.bundle.classes) == 2:
        last = champion.bundle.classes[-1]
        areas = auc_by_session(said, by=champion.probability)
        by_day = gates.blocks(said, settings, areas["session"])
        intervals[f"AUC of P({last}); 0.5 is chance"] = by_day.mean(areas["auc"].to_numpy())
    ranks = mean_rank_ic(said, by="expected", blocks=gates.blocks(said, settings))
    if ranks.n:
        intervals[f"rank IC within a session of {SMALLEST_CROSS_SECTION} events or more"] = ranks
    rows = [
        {"figure": name, "mean": str(one), "sessions": one.n, "blocks": one.blocks} for name, one in intervals.items()
    ]
    text = f"{_proves(uplift, settings.gate.min_blocks)} {_sample(window, said, champion, request)}"
    table = pl.DataFrame(rows).with_columns(pl.col("blocks").round(0).cast(pl.Int64, strict=False))
    return Exhibit("The model on its untouched window", text, table, note=LOOKED_AT)


def _proves(uplift: Interval, least: int) -> str:
    if not uplift.blocks >= least:
        blocks = 0 if math.isnan(uplift.blocks) else uplift.blocks
        found = f"it has {decimal(blocks, 0)} independent blocks, and at least {least} are needed"
        return f"This sample proves nothing: {found}."
    if uplift.low <= 0.0 <= uplift.high:
        return "This sample proves no difference: the interval of the uplift includes 0."
    return f"The champion is {'better' if uplift.low > 0 else 'worse'} than the rule score beyond chance."


def _sample(window: pl.DataFrame, said: pl.DataFrame, champion: Champion, request: Request) -> str:
    strategy, settings = request.strategy, request.settings
    task = strategy.task(settings)
    calibration = ""
    if task.classes:
        calibration = f"; expected calibration error {decimal(metrics.calibration_error(said, task))}"
    unanswered = len(window) - len(said)
    left_out = f" ({unanswered:,} of them left out: no finite answer)" if unanswered else ""
    first, last = window["session"].min(), window["session"].max()
    own = decide.as_deployed(settings, champion)
    traded = [f"{len(strategy.value.chosen(said, by, own)):,}" for by in (EXPECTED, SCORE)]
    return (
        f"{len(window):,} matured events{left_out}, {first} to {last}{calibration}; {traded[0]} traded by the "
        f"champion, {traded[1]} by the rule score. {percent(1 - 2 * settings.gate.alpha)} intervals by stationary "
        f"bootstrap over sessions, {metrics.BLOCKS}."
    )


def _portfolio(
    backtester: Backtester, events: pl.DataFrame, data: MarketData, champion: Champion, request: Request
) -> list[Exhibit]:
    """The portfolio with and without the model: on the untouched window, then on all time with probabilities."""
    strategy, settings = request.strategy, request.settings
    said = out_of_sample.probabilities(events, strategy, settings, champion)
    by_champion = pl.col("predicted_by") == Predictor.CHAMPION.value
    own = said.with_columns(pl.when(by_champion).then(name).alias(name) for name in ("probability", "traded"))
    known = said.filter(pl.col("probability").is_not_null())
    window, later = "The untouched window", _day_after(champion.trained_through)
    found = backtester.evaluation(data, settings, own, start=later, title=window)
    start, title = known["session"].min(), "All time out of sample"
    whole = backtester.evaluation(data, settings, said, start=start, title=title)
    return [*found, *(one._replace(note=f"{one.note} {OF_THE_RECIPE}") for one in whole[:1]), *whole[1:]]


def _day_after(moment: dt.datetime) -> dt.date:
    return moment.date() + dt.timedelta(days=1)
