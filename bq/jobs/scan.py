"""`make scan`: decide on one session with what is deployed."""

import datetime as dt

import polars as pl

from bq import market
from bq.core import db, files, paths
from bq.jobs.request import Request
from bq.serving.decide import decide
from bq.strategies import store
from bq.strategies.contract import NOTICES
from bq.workbench import screen

ROWS = 15


def main(request: Request) -> None:
    """Build the session's events, decide, show the best, keep all in Parquet and in the decisions table."""
    strategy, settings = request.strategy, request.settings
    data = market.load(settings.market)
    session = request.date or data.bars["session"].max()
    events = store.at(strategy, settings, data, session)
    answer = decide(events, strategy, settings)
    target = paths.outputs() / "scans" / f"{session}_{settings.shelf}.parquet"
    files.write_parquet(target, answer)
    _record(answer, settings.shelf)
    screen.show(_show(answer, settings.shelf, session))
    screen.show(f"all {len(answer)} decisions: {screen.shown(target)}")


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
    notice = NOTICES.get(answer["source"][0])
    lines = [
        f"{strategy} · {session} · {len(answer)} opportunities · decided by {answer['model'][0]} (tier {answer['tier'][0]})"
    ]
    if notice:
        lines.append(f"{screen.RED}{notice}{screen.PLAIN}")
    lines.append(f"{'trade':<6}{'symbol':<10}{'score':>6}  {'class':<10}{'expected ROI':>13}{'confidence':>12}  reason")
    for row in answer.head(ROWS).iter_rows(named=True):
        expected = "" if row["expected_roi"] is None else f"{row['expected_roi']:+.3f}"
        confidence = "" if row["confidence"] is None else f"{row['confidence']:.2f}"
        lines.append(
            f"{'yes' if row['should_trade'] else 'no':<6}{row['symbol']:<10}{row['score']:>6.1f}  {row['predicted_class'] or '':<10}"
            f"{expected:>13}{confidence:>12}  {row['reason']}"
        )
    return "\n".join(lines)
