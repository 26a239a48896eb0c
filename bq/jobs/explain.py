"""`make explain EVENT=…`: a page with everything behind one event."""

import polars as pl

from bq import market
from bq.core import paths
from bq.core.errors import BadParameters
from bq.jobs.request import Request
from bq.serving import decide, explain
from bq.strategies import store
from bq.strategies.butterfly import payoff
from bq.workbench import plots, report, screen

PRECEDENT = ("session", "symbol", "structure", "score", "outcome", "distance")
GREEKS = ("delta", "gamma", "vega", "theta")


def main(request: Request) -> None:
    """Write the page of the event whose id begins with EVENT and print its summary."""
    strategy, settings = request.strategy, request.settings
    data = market.load(settings.market)
    events = store.collect(strategy, settings, data).events
    event = _find(events, request.event)
    row = event.to_dicts()[0]
    past = events.filter(pl.col("t1_due") < row["t0"], pl.col("outcome").is_not_null())
    answer = decide.decide(event, strategy, settings)
    parts = [
        ("The decision", [plots.table(_decision(answer, row))]),
        ("The structure", [plots.table(payoff.legs(row), digits=2), _diagram(row, settings)]),
        ("The rule score", [plots.table(_score(row, settings))]),
        ("The Greeks", [_GREEK_UNITS, plots.table(event.select(GREEKS), digits=5)]),
        ("What the model made of it", _contributions(event, past, request)),
        ("The nearest past events", _precedents(event, past, request)),
    ]
    target = paths.outputs() / "explanations" / f"{row['event_id']}.html"
    title = f"{row['symbol']} · {row['session']} · {row['structure']} butterfly"
    report.page(target, title=title, source=row["source"], parts=parts)
    screen.show(f"{title}\n{plots.table(_decision(answer, row))!r}\n\n{plots.table(payoff.legs(row), digits=2)!r}")
    screen.show(f"report      {screen.shown(target)}")


_GREEK_UNITS = (
    "Of the long structure, per share, European: delta and gamma per unit of the price, vega per volatility point, "
    "theta per calendar day."
)


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


def _diagram(row: dict, settings: object) -> object:
    curves = payoff.payoff(row, settings)
    title = f"Profit per share, price {row['spot']:.2f} at t0"
    return plots.lines(
        curves, "spot", ["at expiry", "at t0"], title=title, x_title="price", y_title="profit after entry"
    )


def _score(row: dict, settings: object) -> pl.DataFrame:
    names = ("price_match", "vol_mispricing", "stability", "fourier")
    weights = [getattr(settings.score, name) for name in names]
    values = [row[f"{name}_score"] for name in names]
    table = pl.DataFrame({"component": names, "weight": weights, "value [0–100]": values})
    points = table.with_columns(points=pl.col("weight") * pl.col("value [0–100]"))
    rest = {
        "weight": [None, None],
        "value [0–100]": [None, None],
        "points": [-row["delta_penalty_score"], row["score"]],
    }
    return pl.concat([points, pl.DataFrame({"component": ["delta penalty", "score"], **rest}, schema=points.schema)])


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
