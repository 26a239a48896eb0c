"""`make explain EVENT=…`: a page with everything behind one event."""

import polars as pl

from bq import market
from bq.core import paths
from bq.core.errors import BadParameters
from bq.jobs.request import Request
from bq.serving import decide, explain, quality
from bq.strategies import store
from bq.strategies.contract import Sketch
from bq.workbench import plots, report, screen

PRECEDENT = ("session", "symbol", "score", "outcome", "distance")


def main(request: Request) -> None:
    """Write the page of the event whose id begins with EVENT and print its summary."""
    strategy, settings = request.strategy, request.settings
    data = market.load(settings.market)
    events = store.collect(strategy, settings, data).events
    event = _find(events, request.event)
    row = event.to_dicts()[0]
    past = events.filter(pl.col("t1_due") < row["t0"], pl.col("outcome").is_not_null())
    answer = quality.decide(event, data, strategy, settings)
    sketch = strategy.sketch(row, settings) if strategy.sketch else Sketch(f"{row['symbol']}", {})
    parts = [
        ("The decision", [plots.table(_decision(answer, row))]),
        *((title, [plots.table(table, digits=4)]) for title, table in sketch.tables.items()),
        *([("Pay-off", [_diagram(sketch.payoff)])] if sketch.payoff is not None else []),
        ("What the model made of it", _contributions(event, past, request)),
        ("The nearest past events", _precedents(event, past, request)),
    ]
    target = paths.outputs() / "explanations" / f"{row['event_id']}.html"
    title = f"{row['session']} · {sketch.caption}"
    report.page(target, title=title, source=row["source"], parts=parts)
    shown = [_decision(answer, row), *list(sketch.tables.values())[:1]]
    screen.show("\n\n".join([title, *(repr(plots.table(table, digits=3)) for table in shown)]))
    screen.show(f"report      {screen.shown(target)}")


def _find(events: pl.DataFrame, wanted: str | None) -> pl.DataFrame:
    found = events.filter(pl.col("event_id").str.starts_with(wanted)) if wanted else events.clear()
    if len(found) != 1:
        newest = ", ".join(events.tail(3)["event_id"])
        came = f"{wanted!r} fits {len(found)}" if wanted else "none was given"
        raise BadParameters(
            f"EVENT must be the beginning of one event id, but {came} of {len(events):,} events (PARAMS says of which "
            f"market). Ids are in trades.csv beside a report, and in scans; the newest are {newest}."
        )
    return found


def _decision(answer: pl.DataFrame, row: dict) -> pl.DataFrame:
    said = answer.to_dicts()[0]
    names = ("should_trade", "expected_roi", "predicted_class", "confidence", "tier", "model", "reason")
    values = [(name.replace("_", " "), said[name]) for name in names] + [("realised ROI", row["outcome"])]
    texts = [
        "–" if value is None else f"{value:+.3f}" if isinstance(value, float) else str(value) for _, value in values
    ]
    return pl.DataFrame({"": [name for name, _ in values], "answer": texts})


def _diagram(curves: pl.DataFrame) -> object:
    titles = {"x_title": "price", "y_title": "profit after entry"}
    return plots.lines(curves, "spot", curves.columns[1:], title="Profit per share", **titles)


def _contributions(event: pl.DataFrame, past: pl.DataFrame, request: Request) -> list:
    model, why = decide.champion(request.strategy, request.settings.shelf)
    if model is None:
        return [f"No model answered ({why}): the rule score above decided."]
    if len(past) < explain.BACKGROUND:
        return [f"Only {len(past)} events had ended before this one: too few to compare it with."]
    table = explain.contributions(model, event, past, request.strategy, seed=request.settings.learning.seed)
    text = "Shapley values: how much each feature moved the expected ROI away from that of past events."
    drawn = plots.importance(
        table["feature"].to_list(), table["contribution"].to_numpy(), title="Contributions", x_title="expected ROI"
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
