"""`make explain EVENT=…`: a page with everything behind one event."""

from typing import Any

import plotly.graph_objects as go
import polars as pl

from bq.core import files, paths
from bq.core.errors import BadParameters
from bq.core.log import log
from bq.core.namespace import Namespace
from bq.core.numerals import significant, with_sign
from bq.jobs.request import Request
from bq.jobs.run import publish
from bq.market import MarketData
from bq.serving import explain, out_of_sample
from bq.serving.decide import Models
from bq.strategies import store
from bq.strategies.contract import Sketch
from bq.strategies.ticket import Ticket
from bq.workbench import decisions, page, plots, screen, tickets, trade_chart

EXPLANATIONS = "explanations"  # folder of outputs/
WHERE = "Ids are in what `make scan` prints, and in trades.csv beside a report."
MATCHES = 10  # shown where several events are meant
PRECEDENT = ("session", "symbol", "score", "outcome", "distance")


def main(request: Request) -> None:
    """Write the page of the event whose id begins with EVENT and print its summary."""
    strategy, settings = request.strategy, request.settings
    if request.event is None:
        raise BadParameters(f"EVENT must be the beginning of one event id, but none was given. {WHERE}")
    data = store.market_data(settings)
    events = store.collect(strategy, settings, data).events
    event = _find(events, request, data)
    row = event.to_dicts()[0]
    past = events.filter(pl.col("t1_due") < row["t0"], pl.col("outcome").is_not_null())
    models = out_of_sample.load(strategy, settings)
    beside = _session(events, event, data, request)
    answer = out_of_sample.decide(beside, data, strategy, settings, models).join(event, on="event_id", how="semi")
    decision = _decision(answer, row, request)
    sketch = strategy.views.sketch(row, settings)
    told = _told(answer, row, request)
    ticket = strategy.views.ticket(row, settings)
    order = [] if ticket is None else tickets.lines(row["symbol"], ticket)
    parts: list[tuple[str, list[Any]]] = [
        ("The decision", [told, *order, plots.table(decision)]),
        *([("The price", [_price(row, ticket, data)])] if ticket is not None else []),
        *((title, [plots.table(table, digits=4)]) for title, table in sketch.tables.items()),
        *([("Pay-off", [_diagram(sketch, sketch.payoff)])] if sketch.payoff is not None else []),
        ("Contribution of each feature", _contributions(event, past, request, models)),
        ("The nearest past events", _precedents(event, past, request)),
    ]
    target = paths.outputs() / EXPLANATIONS / f"{row['event_id']}.html"
    title = f"{row['session']} · {sketch.caption}"
    page.write(target, title=title, source=row["source"], parts=parts)
    publish.write_index()
    shown = [decision, *list(sketch.tables.values())[:1]]
    texts = [
        title,
        "\n".join([told, *order]),
        *(repr(plots.table(table)) for table in shown),
    ]
    screen.show("\n\n".join(texts))
    screen.show(screen.where("report", target))


def _find(events: pl.DataFrame, request: Request, data: MarketData) -> pl.DataFrame:
    """The one event that EVENT means: of the table or, built again for it, of a session that was scanned.

    Raises BadParameters unless there is exactly one.
    """
    wanted = str(request.event)
    meant = _meant(events, wanted)
    scanned = meant.clear() if len(meant) else _scanned(request.settings.namespace, wanted)
    both = pl.concat([meant, scanned])
    if len(both) != 1:
        newest = both.sort("session", descending=True)
        shown = "; ".join(f"{name} is {symbol} on {session}" for name, symbol, session in newest.head(MATCHES).rows())
        if both.is_empty():
            raise BadParameters(f"EVENT: no event id begins with {wanted!r}; check PARAMS. {WHERE}")
        raise BadParameters(
            f"EVENT must be the beginning of one event id, but {len(both)} begin with {wanted!r}: "
            f"{shown}{'; …' if len(both) > MATCHES else ''}. Give more of it."
        )
    if len(scanned):
        session = scanned["session"][0]
        events = store.at(request.strategy, request.settings, data, session)
    found = events.join(both.select("event_id"), on="event_id", how="semi")
    if found.is_empty():
        raise BadParameters(
            f"EVENT must be an event by these parameters, but {wanted!r}, scanned on {both['session'][0]}, is none: "
            "its scan had other PARAMS or SET, or other bars. Give the same here, or scan again."
        )
    return found


def _session(events: pl.DataFrame, event: pl.DataFrame, data: MarketData, request: Request) -> pl.DataFrame:
    """All events of an event's session: of them the best are traded."""
    session = event["session"][0]
    known = events.filter(pl.col("session") == session)
    return known if len(known) else store.at(request.strategy, request.settings, data, session)


def _meant(events: pl.DataFrame, wanted: str) -> pl.DataFrame:
    """event_id, symbol and session of the events whose id begins so."""
    return events.filter(pl.col("event_id").str.starts_with(wanted)).select("event_id", "symbol", "session")


def _scanned(namespace: Namespace, wanted: str) -> pl.DataFrame:
    """The same of the events on which `make scan` decided."""
    kept = [pl.DataFrame(schema={"event_id": pl.String, "symbol": pl.String, "session": pl.Date})]
    for path in sorted((paths.outputs() / "scans").glob(f"????-??-??_{namespace}.parquet")):
        try:
            kept.append(_meant(files.read_parquet(path), wanted))
        except (OSError, pl.exceptions.PolarsError) as error:
            log.warning("a scan is not looked into: %s cannot be read (%s)", path, error)
    return pl.concat(kept).unique(maintain_order=True)


def _decision(answer: pl.DataFrame, row: dict, request: Request) -> pl.DataFrame:
    """What was decided, what came of it, and the event's part of trades.csv; what is not known is left out.

    A portfolio's weights depend on all events of the session: they are in the scan alone.
    """
    strategy, task = request.strategy, request.strategy.task(request.settings)
    shown = {
        "expected": f"expected {task.expected}",
        **{name: name for name in ("predicted_class", "confidence", "tier", "model")},
    }
    values = {label: answer[name][0] for name, label in shown.items()}
    values |= {f"realised {task.outcome}": row["outcome"], **{name: row.get(name) for name in strategy.table.detail}}
    known = {name.replace("_", " "): _text(value) for name, value in values.items() if value not in (None, "")}
    return pl.DataFrame({"what": list(known), "answer": list(known.values())})


def _told(answer: pl.DataFrame, row: dict, request: Request) -> str:
    """What was decided, why, and what of the event reads as the opposite.

    Whether a portfolio holds it depends on all events of the session: the scan alone says that.
    """
    strategy, trade = request.strategy, answer["should_trade"][0]
    against = strategy.views.against(row, trade, request.settings)
    reason = "; ".join([decisions.reasons(answer, strategy, request.settings).own[0], *against])
    done = "Ranked in a portfolio" if strategy.value.sizes else "To be traded" if trade else "Not to be traded"
    return f"{done}: {reason}."


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return significant(value, 4) if isinstance(value, float) else str(value).replace("_", " ")


def _price(row: dict, ticket: Ticket, data: MarketData) -> go.Figure:
    entry, leave = row.get("entry_session"), row.get("exit_session")
    trade = trade_chart.Trade(row["symbol"], row["session"], entry, leave)
    return trade_chart.chart(data.bars, trade, ticket)


def _diagram(sketch: Sketch, curves: pl.DataFrame) -> go.Figure:
    titles = {"x_title": sketch.unit, "y_title": f"profit after entry [{sketch.unit}]"}
    return plots.lines(curves, "spot", curves.columns[1:], title=f"Profit per share: {sketch.caption}", **titles)


def _contributions(event: pl.DataFrame, past: pl.DataFrame, request: Request, models: Models) -> list:
    model = models.champion.model
    if model is None:
        return ["No champion answered: see the reason above."]
    if len(past) < explain.BACKGROUND:
        return [f"Only {len(past)} events had ended before this one: too few for a comparison."]
    table = explain.contributions(model, event, past, request.strategy, seed=request.settings.learning.seed)
    of = f"expected {request.strategy.task(request.settings).expected}"
    text = f"Shapley values: how much each feature moved the {of} away from that of past events."
    drawn = plots.importance(
        table["feature"].to_list(), table["contribution"].to_numpy(), title="Contributions", x_title=of
    )
    return [text, drawn, plots.table(table.head(10))]


def _precedents(event: pl.DataFrame, past: pl.DataFrame, request: Request) -> list:
    if past.is_empty():
        return ["No event had ended before this one."]
    found = explain.nearest(event, past, request.strategy.features(request.settings))
    mean, everyone = found["outcome"].mean(), past["outcome"].mean()
    outcome = request.strategy.task(request.settings).outcome
    text = (
        f"Nearest {len(found)} of {len(past):,} by feature ranks: mean {outcome} {with_sign(mean)}; of all of them "
        f"{with_sign(everyone)}."
    )
    return [text, plots.table(found.select(PRECEDENT))]
