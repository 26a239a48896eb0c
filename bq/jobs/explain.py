"""`make explain EVENT=…`: a page with everything behind one event."""

import polars as pl

from bq import market
from bq.core import files, paths
from bq.core.errors import BadParameters
from bq.core.log import log
from bq.core.namespace import Namespace
from bq.jobs.request import Request
from bq.market import MarketData
from bq.serving import decide, explain, quality
from bq.strategies import store
from bq.strategies.contract import Sketch
from bq.workbench import plots, report, screen

WHERE = "Ids are in what `make scan` prints, and in trades.csv beside a report."
MATCHES = 10  # shown where several events are meant
PRECEDENT = ("session", "symbol", "score", "outcome", "distance")


def main(request: Request) -> None:
    """Write the page of the event whose id begins with EVENT and print its summary."""
    strategy, settings = request.strategy, request.settings
    if request.event is None:
        raise BadParameters(f"EVENT must be the beginning of one event id, but none was given. {WHERE}")
    data = market.load(settings.market)
    events = store.collect(strategy, settings, data).events
    event = _find(events, request, data)
    row = event.to_dicts()[0]
    past = events.filter(pl.col("t1_due") < row["t0"], pl.col("outcome").is_not_null())
    answer = quality.decide(event, data, strategy, settings)
    decision = _decision(answer, row, request)
    sketch = strategy.sketch(row, settings) if strategy.sketch else Sketch(f"{row['symbol']}", {})
    parts = [
        ("The decision", [plots.table(decision)]),
        *((title, [plots.table(table, digits=4)]) for title, table in sketch.tables.items()),
        *([("Pay-off", [_diagram(sketch)])] if sketch.payoff is not None else []),
        ("What the model made of it", _contributions(event, past, request)),
        ("The nearest past events", _precedents(event, past, request)),
    ]
    target = paths.outputs() / "explanations" / f"{row['event_id']}.html"
    title = f"{row['session']} · {sketch.caption}"
    report.page(target, title=title, source=row["source"], parts=parts)
    shown = [decision, *list(sketch.tables.values())[:1]]
    screen.show("\n\n".join([title, *(repr(plots.table(table, digits=3)) for table in shown)]))
    screen.show(f"report      {screen.shown(target)}")


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
        more = f": {shown}{'; …' if len(both) > MATCHES else ''}. Give more of it." if len(both) else f". {WHERE}"
        raise BadParameters(
            f"EVENT must be the beginning of one event id, but {wanted!r} fits {len(both)} of {len(events):,} events "
            f"(PARAMS says of which market) and of those scanned{more}"
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
    said, strategy = answer.to_dicts()[0], request.strategy
    names = ("should_trade", "expected_roi", "predicted_class", "confidence", "tier", "model", "reason")
    values = {name: said[name] for name in names[1 if strategy.sizes else 0 :]}
    values |= {"realised ROI": row["outcome"], **{name: row.get(name) for name in strategy.detail}}
    values = {_expected(request) if name == "expected_roi" else name: value for name, value in values.items()}
    known = {name.replace("_", " "): _text(value) for name, value in values.items() if value not in (None, "")}
    return pl.DataFrame({"": list(known), "answer": list(known.values())})


def _expected(request: Request) -> str:
    """What a model's expectation is of."""
    return "expected ROI" if request.strategy.task(request.settings).classes else "expected standing"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _diagram(sketch: Sketch) -> object:
    curves, titles = sketch.payoff, {"x_title": sketch.unit, "y_title": f"profit after entry [{sketch.unit}]"}
    return plots.lines(curves, "spot", curves.columns[1:], title=f"Profit per share: {sketch.caption}", **titles)


def _contributions(event: pl.DataFrame, past: pl.DataFrame, request: Request) -> list:
    model, why = decide.champion(request.strategy, request.settings.namespace)
    if model is None:
        return [f"No model answered ({why}): the rule score above decided."]
    if len(past) < explain.BACKGROUND:
        return [f"Only {len(past)} events had ended before this one: too few to compare it with."]
    table = explain.contributions(model, event, past, request.strategy, seed=request.settings.learning.seed)
    of = _expected(request)
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
    text = (
        f"Nearest {len(found)} of {len(past):,} by feature ranks: mean ROI {mean:+.3f}, against {everyone:+.3f} of all."
    )
    return [text, plots.table(found.select(PRECEDENT))]
