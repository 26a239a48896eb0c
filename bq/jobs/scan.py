"""`make scan`: decide on one session with what is deployed."""

import datetime as dt
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from bq import market
from bq.core import files, paths
from bq.core.errors import BadData
from bq.core.numerals import decimal, percent, with_sign
from bq.core.scalars import day, number
from bq.jobs import view
from bq.jobs.explain import EXPLANATIONS
from bq.jobs.request import Request
from bq.jobs.run import notify, order, publish
from bq.market import MarketData, calendars
from bq.monitoring import deciding, records
from bq.monitoring.deciding import Decided
from bq.serving import out_of_sample, support
from bq.strategies import store
from bq.strategies.events import NOTICES, weakest_source
from bq.workbench import page, plots, screen, tickets
from bq.workbench.cards import Card, Cards, address
from bq.workbench.phrases import counted

ROWS = 15
SKETCHES = 6
MINUTE = "%Y-%m-%d %H:%M UTC"


def main(request: Request) -> None:
    """Decide on a session, show the best, keep all in Parquet and in the decisions table."""
    strategy, settings = request.strategy, request.settings
    data = market.load(settings.market)
    session = request.date or day(data.bars["session"].max())
    events = store.at(strategy, settings, data, session)
    models = out_of_sample.load(strategy, settings)
    if events.is_empty():
        screen.show(f"{settings.namespace} · {session}: nothing to decide{_last_with_events(request, data, session)}")
        return
    answer = deciding.answered(events, strategy, settings, data, models=models)
    screen.show(kept(answer, events, request, data_hash=data.data_hash).text)


class Kept(NamedTuple):
    """A scan that was recorded, as it is told."""

    late: bool
    text: str


def kept(answer: pl.DataFrame, events: pl.DataFrame, request: Request, *, data_hash: str) -> Kept:
    """Write the decisions on a session as a table and a page, then record them: what is recorded has its page."""
    trusted = not order.clock_went_back(dt.datetime.now(dt.UTC), also=records.last_decided())
    target = paths.outputs() / "scans" / f"{day(events['session'][0])}_{request.settings.namespace}.parquet"
    page = target.with_suffix(".html")
    files.write_parquet(target, answer)
    orders, drawn = _page(answer, events, request, page)
    made = deciding.entered(answer, events, request.settings, data_hash=data_hash, trusted=trusted)
    _alert(answer, page)
    publish.write_index()
    lines = [_show(made, request, trusted=trusted)]
    if orders:
        left = f"\n… and {len(orders) - ROWS:,} more" if len(orders) > ROWS else ""
        lines.append(f"\nto be traded\n{Cards(orders[:ROWS])!r}{left}\n")
    more = ", with pay-offs" if drawn else ""
    lines.append(f"all {counted(len(answer), 'decision')}{more}: {screen.shown(page)}")
    return Kept(made.late, "\n".join(lines))


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
        headline = f"{percent(share)} of {counted(len(answer), 'event')} lie outside the model's training support"
        notify.send("alert", run_id=page.stem, headline=f"{page.stem}: {headline}", report=page)


def _page(answer: pl.DataFrame, events: pl.DataFrame, request: Request, target: Path) -> tuple[list[Card], bool]:
    """All decisions as a page, with the pay-off of the best; the orders on it, and whether events have a pay-off."""
    shown = view.of(answer, request.strategy, request.settings)
    orders = _cards(answer, events, shown.own, request)
    known = {card.event_id for card in orders}
    links = [address(event) if event in known else explained(event) for event in answer["event_id"]]
    decisions = ("All decisions" if orders else "Decisions", [*shown.said, plots.table(shown.table, links=links)])
    parts: list[tuple[str, list[Any]]] = [*([("To be traded", [Cards(orders)])] if orders else []), decisions]
    best = answer.head(SKETCHES).select("event_id").join(events, on="event_id", maintain_order="left")
    every = [request.strategy.views.sketch(row, request.settings) for row in best.iter_rows(named=True)]
    curves = {one.caption: one.payoff for one in every if one.payoff is not None}
    if curves:
        units = " or ".join(dict.fromkeys(one.unit for one in every if one.payoff is not None))
        names = next(iter(curves.values())).columns[1:]
        drawn = plots.panels(curves, "spot", names, title="Profit per share of the best", x_title=units)
        parts.append(("Pay-offs", [drawn]))
    title = f"{request.settings.namespace} · {answer['session'][0]} · {view.opportunities(len(answer))}"
    page.write(target, title=title, source=weakest_source(answer), parts=parts)
    return orders, bool(curves)


def _cards(answer: pl.DataFrame, events: pl.DataFrame, reasons: list[str], request: Request) -> list[Card]:
    """What to type in for each decision that is traded, where the strategy knows it; the best first."""
    expected = f"expected {request.strategy.task(request.settings).expected}"
    decided = answer.select("event_id", "should_trade", pl.col("expected", "score").name.prefix("by_"))
    rows = decided.join(events, on="event_id", maintain_order="left").iter_rows(named=True)
    found: list[Card] = []
    for row, reason in zip(rows, reasons, strict=True):
        ticket = request.strategy.views.ticket(row, request.settings) if row["should_trade"] else None
        if ticket is not None:
            known = row["by_expected"] is not None
            by = f"{expected} {with_sign(row['by_expected'])}" if known else f"rule score {decimal(row['by_score'])}"
            head, order = f"{len(found) + 1}. {row['symbol']} · {by}", tickets.lines(row["symbol"], ticket)
            found.append(Card(row["event_id"], head, order, reason, explained(row["event_id"])))
    return found


def explained(event_id: str) -> str:
    """The address of an event's page, from that of a scan; empty where none is written."""
    name = f"{event_id}.html"
    return f"../{EXPLANATIONS}/{name}" if (paths.outputs() / EXPLANATIONS / name).is_file() else ""


def uncounted(made: Decided, session: dt.date, *, calendar: str, trusted: bool) -> str:
    """Why a scan that is late counts in no statistic. trusted : whether the clock is right."""
    window = calendars.window(calendar, session)
    if made.another:
        why = "another scan of the session came first"
    elif not trusted:
        why = "the clock went back, so that it is not known when it was made"
    elif window is None:
        why = f"{session} is no session of {calendar}"
    elif made.decided_utc < window.close_utc:
        why = f"made too early. The session closes at {window.close_utc:{MINUTE}}"
    else:
        closed, until = f"{window.close_utc:{MINUTE}}", f"{window.until_utc:{MINUTE}}"
        why = f"made too late. The session closed at {closed}, and a scan of it counted until the next open, {until}"
    return f"Counts in no statistic: {why}."


def _show(made: Decided, request: Request, *, trusted: bool) -> str:
    """The decisions that fit a screen: the best, of a portfolio also the last."""
    answer = made.answer
    notice = NOTICES.get(weakest_source(answer))
    shown = view.of(answer, request.strategy, request.settings)
    lines = [f"{request.settings.namespace} · {answer['session'][0]} · {view.opportunities(len(answer))}", *shown.said]
    if notice:
        lines.insert(1, f"{screen.RED}{notice}{screen.PLAIN}")
    if answer["in_sample"].any():
        lines.append(f"{screen.RED}In sample: the model was trained on this session or later ones.{screen.PLAIN}")
    if made.late:
        calendar = request.settings.market.calendar
        lines.append(uncounted(made, day(answer["session"][0]), calendar=calendar, trusted=trusted))
    last = ROWS // 2 if "weight" in answer.columns else 0
    return "\n".join([*lines, *view.ends(shown.table, ROWS - last, last)])
