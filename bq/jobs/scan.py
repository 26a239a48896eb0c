"""`make scan`: decide on one session with what is deployed."""

import datetime as dt
from pathlib import Path

import polars as pl

from bq import market
from bq.core import db, files, paths
from bq.jobs.request import Request
from bq.serving import quality
from bq.serving.decide import IN_SAMPLE
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
    answer = quality.decide(events, data, strategy, settings)
    if strategy.sizes:
        answer = _sized(answer, events, request)
    target = paths.outputs() / "scans" / f"{session}_{settings.shelf}.parquet"
    files.write_parquet(target, answer)
    _page(answer, events, request, target.with_suffix(".html"))
    _record(answer, settings.shelf)
    screen.show(_show(answer, settings.shelf, session))
    more = ", with pay-offs" if strategy.sketch else ""
    screen.show(f"all {screen.count(len(answer), 'decision')}{more}: {screen.shown(target.with_suffix('.html'))}")


def _sized(answer: pl.DataFrame, events: pl.DataFrame, request: Request) -> pl.DataFrame:
    """Decisions with the rank of each (1 is best) and its weight in the strategy's portfolio."""
    carried = events.select("event_id", *request.strategy.carried)
    by = "score" if answer["expected_roi"].is_null().all() else "expected_roi"
    known = answer.join(carried, on="event_id", maintain_order="left")
    weight = request.strategy.sizes(known, by, request.settings)
    return answer.with_columns(weight, rank=pl.col(by).rank("min", descending=True).cast(pl.Int64))


def _page(answer: pl.DataFrame, events: pl.DataFrame, request: Request, target: Path) -> None:
    """All decisions as a page, with the pay-off of the best."""
    best = answer.head(SKETCHES).select("event_id").join(events, on="event_id", maintain_order="left")
    parts = [("Decisions", [plots.table(answer.select(_columns(answer)))])]
    if sketch := request.strategy.sketch:
        sketches = [sketch(row, request.settings) for row in best.iter_rows(named=True)]
        curves = {one.caption: one.payoff for one in sketches}
        names = sketches[0].payoff.columns[1:]
        drawn = plots.panels(curves, "spot", names, title="Profit per share of the best", x_title="price")
        parts.append(("Pay-offs", [drawn]))
    title = f"{request.settings.shelf} · {answer['session'][0]} · {len(answer)} opportunities"
    report.page(target, title=title, source=weakest_source(answer), parts=parts)


def _columns(answer: pl.DataFrame) -> list[str]:
    """What is shown of the decisions: priorities or a portfolio's weights where there are, else what is expected."""
    if "weight" in answer.columns:
        return ["rank", "symbol", "weight", "expected_roi", "score", "should_trade", "tier", "reason", "event_id"]
    if "priority" not in answer.columns:
        return list(SHOWN)
    return ["symbol", "should_trade", "priority", "score", "probability", "tier", "reason", "event_id"]


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
    if "priority" in answer.columns:
        return "\n".join([*lines, *_by_priority(answer)])
    if "weight" in answer.columns:
        return "\n".join([*lines, *_by_weight(answer)])
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


def _by_priority(answer: pl.DataFrame) -> list[str]:
    """The lines of a strategy whose decisions have priorities."""
    lines = [f"{'event':<10}{'trade':<6}{'symbol':<10}{'priority':>8}{'score':>8}{'P(R>0)':>8}  reason"]
    for row in answer.head(ROWS).iter_rows(named=True):
        numbers = [row[name] for name in ("priority", "score", "probability")]
        shown = "".join(f"{'' if number is None else format(number, '.3f'):>8}" for number in numbers)
        trade = "yes" if row["should_trade"] else "no"
        lines.append(f"{row['event_id'][:8]:<10}{trade:<6}{row['symbol']:<10}{shown}  {row['reason']}")
    return lines


def _by_weight(answer: pl.DataFrame) -> list[str]:
    """The lines of a strategy that holds a portfolio: the best, and what all of them come to."""
    weight = answer["weight"]
    lines = [f"{'event':<10}{'rank':>5}  {'symbol':<10}{'weight':>8}{'expected':>10}{'score':>8}  reason"]
    for row in answer.head(ROWS).iter_rows(named=True):
        expected = "" if row["expected_roi"] is None else f"{row['expected_roi']:+.3f}"
        lines.append(
            f"{row['event_id'][:8]:<10}{row['rank']:>5}  {row['symbol']:<10}{row['weight']:>8.2%}{expected:>10}"
            f"{row['score']:>8.2f}  {row['reason']}"
        )
    held, long, short = (weight != 0).sum(), weight.clip(0, None).sum(), -weight.clip(None, 0).sum()
    lines.append(f"portfolio bought from cash: {held} names, {long:.0%} long, {short:.0%} short")
    return lines
