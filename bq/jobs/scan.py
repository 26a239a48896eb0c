"""`make scan`: decide on one session with what is deployed."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import polars as pl

from bq import market
from bq.core import files, paths
from bq.core.errors import BadData
from bq.core.scalars import day, number
from bq.core.settings import Settings
from bq.jobs import view
from bq.jobs.request import Request
from bq.jobs.run import notify, order
from bq.market import MarketData
from bq.monitoring import records
from bq.monitoring.records import Scan
from bq.serving import out_of_sample, registry, support
from bq.strategies import event_set, store
from bq.strategies.events import NOTICES, weakest_source
from bq.workbench import plots, report, screen
from bq.workbench.phrases import counted

Sizes = Callable[[pl.DataFrame, str, Settings], pl.Series]  # see `Value.sizes`
ROWS = 15
SKETCHES = 6


def main(request: Request) -> None:
    """Build the session's events, decide, show the best, keep all in Parquet and in the decisions table."""
    strategy, settings = request.strategy, request.settings
    data = market.load(settings.market)
    session = request.date or day(data.bars["session"].max())
    events = store.at(strategy, settings, data, session)
    models = out_of_sample.load(strategy, settings)  # a champion that is needed and absent is said also without signals
    if events.is_empty():
        screen.show(f"{settings.namespace} · {session}: nothing to decide{_last_with_events(request, data, session)}")
        return
    answer = out_of_sample.decide(events, data, strategy, settings, models)
    if strategy.value.sizes is not None:
        answer = _sized(answer, events, request, strategy.value.sizes)
    target = paths.outputs() / "scans" / f"{session}_{settings.namespace}.parquet"
    files.write_parquet(target, answer)
    drawn = _page(answer, events, request, target.with_suffix(".html"))
    _record(answer, events, data, request)
    _alert(answer, target.with_suffix(".html"))
    screen.show(_show(answer, request))
    more = ", with pay-offs" if drawn else ""
    screen.show(f"all {counted(len(answer), 'decision')}{more}: {screen.shown(target.with_suffix('.html'))}")


def _last_with_events(request: Request, data: MarketData, session: dt.date) -> str:
    """Where there is something to decide, for a session on which there is not."""
    try:
        events = store.collect(request.strategy, request.settings, data).events
    except BadData:  # no session has any
        return ", no event was found"
    last = events.filter(pl.col("session") < session)["session"].max()
    return f"; the last earlier session with events is {last}: DATE={last}" if last else "; no earlier session has any"


def _alert(answer: pl.DataFrame, page: Path) -> None:
    """Let the user's command hear where too many events are unlike those that the model was trained on."""
    share = number((answer["outside_support"].list.len() > 0).mean())
    if share > support.ALERT_ABOVE:
        headline = f"{share:.0%} of {counted(len(answer), 'event')} lie outside the model's training support"
        notify.send("alert", run_id=page.stem, headline=f"{page.stem}: {headline}", report=page)


def _sized(answer: pl.DataFrame, events: pl.DataFrame, request: Request, sizes: Sizes) -> pl.DataFrame:
    """Decisions with the rank of each (1 is best) and its weight in the strategy's portfolio, by which it is traded."""
    carried = events.select("event_id", *request.strategy.table.carried)
    by = "score" if answer["expected"].is_null().all() else "expected"
    known = answer.join(carried, on="event_id", maintain_order="left")
    weight = sizes(known, by, request.settings)
    book = answer.with_columns(weight, should_trade=weight != 0.0, threshold=pl.lit(None, pl.Float64))
    return book.with_columns(rank=pl.col(by).rank("min", descending=True).cast(pl.Int64))


def _page(answer: pl.DataFrame, events: pl.DataFrame, request: Request, target: Path) -> bool:
    """All decisions as a page, with the pay-off of the best; whether events of the strategy have one."""
    shown = view.of(answer, request.strategy, request.settings)
    parts = [("Decisions", [*shown.said, plots.table(shown.table)])]
    best = answer.head(SKETCHES).select("event_id").join(events, on="event_id", maintain_order="left")
    every = [request.strategy.views.sketch(row, request.settings) for row in best.iter_rows(named=True)]
    curves = {one.caption: one.payoff for one in every if one.payoff is not None}
    if curves:
        units = " or ".join(dict.fromkeys(one.unit for one in every if one.payoff is not None))
        names = next(iter(curves.values())).columns[1:]
        drawn = plots.panels(curves, "spot", names, title="Profit per share of the best", x_title=units)
        parts.append(("Pay-offs", [drawn]))
    title = f"{request.settings.namespace} · {answer['session'][0]} · {view.opportunities(len(answer))}"
    report.page(target, title=title, source=weakest_source(answer), parts=parts)
    return bool(curves)


def _record(answer: pl.DataFrame, events: pl.DataFrame, data: MarketData, request: Request) -> None:
    namespace, when = request.settings.namespace, ("event_id", "t0", "t1_due", "variant")
    now = dt.datetime.now(dt.UTC)
    order.clock_went_back(now, also=records.last_decided())
    deployed = [registry.pointer_or_none(tier) for tier in (namespace, namespace.second)]
    ids = [None if pointer is None else pointer.model_id for pointer in deployed]
    scan = Scan(
        namespace,
        session=answer["session"][0],
        decided_utc=now,
        parameters=request.settings.model_dump(mode="json"),
        data_hash=data.data_hash,
        code_digest=event_set.code_digest(),
        champion_id=ids[0],
        second_id=ids[1],
    )
    records.enter(scan, answer.join(events.select(when), on="event_id", maintain_order="left"))


def _show(answer: pl.DataFrame, request: Request) -> str:
    """The decisions that fit a screen: the best, of a portfolio also the last."""
    notice = NOTICES.get(weakest_source(answer))
    shown = view.of(answer, request.strategy, request.settings)
    lines = [f"{request.settings.namespace} · {answer['session'][0]} · {view.opportunities(len(answer))}", *shown.said]
    if notice:
        lines.insert(1, f"{screen.RED}{notice}{screen.PLAIN}")
    if answer["in_sample"].any():
        lines.append(f"{screen.RED}In sample: the model was trained on this session or later ones.{screen.PLAIN}")
    last = ROWS // 2 if "weight" in answer.columns else 0
    return "\n".join([*lines, *view.ends(shown.table, ROWS - last, last)])
