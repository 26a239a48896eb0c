"""`make scan`: decide on one session with what is deployed."""

import datetime as dt
from pathlib import Path

import polars as pl

from bq import market
from bq.core import db, files, paths
from bq.jobs.request import Request
from bq.serving.decide import IN_SAMPLE, decide
from bq.strategies import store
from bq.strategies.contract import NOTICES, weakest_source
from bq.workbench import plots, report, screen

ROWS = 15
SKETCHES = 6
SHOWN = (
    "symbol",
    "should_trade",
    "score",
    "predicted_class",
    "expected_roi",
    "confidence",
    "tier",
    "reason",
    "event_id",
)


def main(request: Request) -> None:
    """Build the session's events, decide, show the best, keep all in Parquet and in the decisions table."""
    strategy, settings = request.strategy, request.settings
    data = market.load(settings.market)
    session = request.date or data.bars["session"].max()
    events = store.at(strategy, settings, data, session)
    if events.is_empty():
        screen.show(f"{settings.shelf} · {session}: nothing to decide, no event was found")
        return
    answer = decide(events, strategy, settings)
    target = paths.outputs() / "scans" / f"{session}_{settings.shelf}.parquet"
    files.write_parquet(target, answer)
    _page(answer, events, request, target.with_suffix(".html"))
    _record(answer, settings.shelf)
    screen.show(_show(answer, settings.shelf, session))
    screen.show(f"all {len(answer)} decisions, with pay-offs: {screen.shown(target.with_suffix('.html'))}")


def _page(answer: pl.DataFrame, events: pl.DataFrame, request: Request, target: Path) -> None:
    """All decisions as a page, with the pay-off of the best."""
    best = answer.head(SKETCHES).select("event_id").join(events, on="event_id", maintain_order="left")
    parts = [("Decisions", [plots.table(answer.select(SHOWN))])]
    if sketch := request.strategy.sketch:
        sketches = [sketch(row, request.settings) for row in best.iter_rows(named=True)]
        curves = {one.caption: one.payoff for one in sketches}
        names = sketches[0].payoff.columns[1:]
        drawn = plots.panels(curves, "spot", names, title="Profit per share of the best", x_title="price")
        parts.append(("Pay-offs", [drawn]))
    title = f"{request.settings.shelf} · {answer['session'][0]} · {len(answer)} opportunities"
    report.page(target, title=title, source=weakest_source(answer), parts=parts)


def _record(answer: pl.DataFrame, strategy: str) -> None:
    now = dt.datetime.now(dt.UTC)
    columns = [
        "event_id",
        "symbol",
        "session",
        "tier",
        "model",
        "predicted_class",
        "expected_roi",
        "confidence",
        "score",
        "should_trade",
        "reason",
    ]
    rows = [{**row, "strategy": strategy, "decided_utc": now} for row in answer.select(columns).iter_rows(named=True)]
    with db.engine().begin() as connection:
        connection.execute(db.decisions.insert(), rows)


def _show(answer: pl.DataFrame, strategy: str, session: dt.date) -> str:
    """The best decisions as a table of fixed width."""
    notice = NOTICES.get(weakest_source(answer))
    lines = [
        f"{strategy} · {session} · {len(answer)} opportunities · "
        f"decided by {answer['model'][0]} (tier {answer['tier'][0]})"
    ]
    if notice:
        lines.append(f"{screen.RED}{notice}{screen.PLAIN}")
    if answer["reason"].str.starts_with(IN_SAMPLE).any():
        lines.append(f"{screen.RED}In sample: the model was trained on this session or later ones.{screen.PLAIN}")
    head = f"{'event':<10}{'trade':<6}{'symbol':<10}{'score':>6}  "
    lines.append(f"{head}{'class':<10}{'expected ROI':>13}{'confidence':>12}  reason")
    for row in answer.head(ROWS).iter_rows(named=True):
        expected = "" if row["expected_roi"] is None else f"{row['expected_roi']:+.3f}"
        confidence = "" if row["confidence"] is None else f"{row['confidence']:.2f}"
        lines.append(
            f"{row['event_id'][:8]:<10}{'yes' if row['should_trade'] else 'no':<6}{row['symbol']:<10}"
            f"{row['score']:>6.1f}  "
            f"{row['predicted_class'] or '':<10}{expected:>13}{confidence:>12}  {row['reason']}"
        )
    return "\n".join(lines)
