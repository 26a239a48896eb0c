"""From forecasts to a portfolio, and what it earned net of costs."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.log import log
from bq.market.bars import continuous
from bq.strategies.events import UTC
from bq.strategies.forecast import optimised, sectors
from bq.strategies.forecast.optimised import Asked

if TYPE_CHECKING:
    from bq.strategies.forecast.settings import ForecastSettings, Portfolio

CARRIED = ("volatility_60", "sector")  # columns that predictions must carry
ROOM = 2.0  # × 1 / n: the largest position where there are too few names for the limit
DUST = 1e-7  # weights below are what the solver leaves of zero

Array = NDArray[np.float64]


class Backtest(NamedTuple):
    """What a portfolio did, from one rebalance to the next."""

    periods: pl.DataFrame  # session, end (UTC), gross, cost, net, turnover, names, largest; null where nothing was held
    weights: pl.DataFrame  # session, symbol, weight: chosen at the close of the session
    notices: tuple[str, ...]  # where a limit gave way, and how often


class Book(NamedTuple):
    """The names of one rebalance; arrays of shape (n_names,)."""

    symbols: list[str]
    view: Array  # cross-sectional z-score by rank: mean 0, standard deviation 1; 0: none
    volatility: Array  # relative to the median name
    outcome: Array
    sectors: list[str | None]


def value(predictions: pl.DataFrame, by: str | None, settings: "ForecastSettings") -> pl.DataFrame:
    """Net return of the portfolio formed by column `by` at each rebalance of each tranche: session, value.

    None: of what is held without choosing: equal weight, of a long-short portfolio cash, which earns 0.
    """
    runs = tranches(predictions, by, settings)
    for notice in sorted({notice for run in runs for notice in run.notices}):
        log.info("portfolio by %s: %s", by or "equal weight", notice)
    rebalanced = pl.concat([run.periods.select("session", value="net") for run in runs])
    if by is None and settings.portfolio.kind == "long_short":
        rebalanced = rebalanced.with_columns(value=pl.lit(0.0))
    return rebalanced.group_by("session").agg(pl.col("value").mean()).sort("session")


def chosen(predictions: pl.DataFrame, by: str, settings: "ForecastSettings") -> pl.DataFrame:
    """The predictions that the portfolio by column `by` holds, with `weight`: the book is the policy."""
    runs = tranches(predictions, by, settings)
    formed = pl.concat([run.periods.select("session") for run in runs]).group_by("session").agg(books=pl.len())
    held = pl.concat([run.weights for run in runs]).join(formed, on="session").group_by("session", "symbol")
    share = held.agg(weight=pl.col("weight").sum() / pl.col("books").first()).filter(pl.col("weight") != 0.0)
    rows = predictions.join(share, on=["session", "symbol"])
    return rows.sort("session", "weight", "event_id", descending=[False, True, False])


def contributions(predictions: pl.DataFrame, by: str, settings: "ForecastSettings") -> pl.DataFrame:
    """What each name added to the net return of each rebalance of the portfolio by column `by`: session, symbol, value.

    Its weight times its outcome, less its share, by the size of the weight, of the costs. They sum to `value`.
    """
    runs = tranches(predictions, by, settings)
    formed = pl.concat([run.periods.drop_nulls("net").select("session") for run in runs])
    rows = pl.concat([run.weights.join(run.periods.select("session", "cost"), on="session") for run in runs])
    rows = rows.join(predictions.select("session", "symbol", "outcome"), on=["session", "symbol"])
    rows = rows.join(formed.group_by("session").agg(books=pl.len()), on="session")
    size = pl.col("weight").abs()
    share = (size * pl.col("books") / size.sum().over("session")).fill_nan(0.0)
    one = (pl.col("weight") * pl.col("outcome") - pl.col("cost") * share) / pl.col("books")
    return (
        rows.select("session", "symbol", value=one)
        .group_by("session", "symbol", maintain_order=True)
        .agg(pl.col("value").sum())
    )


def tranches(predictions: pl.DataFrame, by: str | None, settings: "ForecastSettings") -> list[Backtest]:
    """One `backtest` a tranche of the capital: they rebalance one after the other, each once a horizon.

    Outcomes that overlap are more evidence than every tenth of them, and less hangs on the session it began at. As many
    as `portfolio.tranches`, or as there are sessions with predictions in a horizon.
    """
    known = predictions.filter(pl.col("outcome").is_not_null()).group_by("session")
    times = known.agg(pl.col("t0").max(), pl.col("t1_due").max()).sort("session")
    if times.is_empty():
        return [backtest(predictions, by, settings)]
    within = max(int((times["t0"] < times["t1_due"][0]).sum()), 1)
    count = min(settings.portfolio.tranches, within, len(times))
    starts = [
        times["session"][number * within // count] for number in range(count) if number * within // count < len(times)
    ]
    return [backtest(predictions.filter(pl.col("session") >= start), by, settings) for start in starts]


def value_name(settings: "ForecastSettings") -> str:
    """What `value` is."""
    p, days = settings.portfolio, settings.temporal.prediction_horizon_days
    return f"net return of the {p.kind.replace('_', '-')} portfolio over {days} sessions"


def backtest(predictions: pl.DataFrame, by: str | None, settings: "ForecastSettings") -> Backtest:
    """Rebalance at the first session, then at the first whose t0 is not before the last outcomes were known.

    predictions : DataFrame with symbol, session, t0, t1_due, outcome, `by` and `CARRIED`; rows without outcome are left
    out. A portfolio is formed at the close of a session from what was known then, and earns the outcomes of its names.
    Turnover is half the sum of what is bought and sold, as shares of the capital, from the weights that prices have
    made of the last ones; the first portfolio is bought from cash, whatever the limit. Costs are charged on the sum.
    Names without `by` are held without a view; a session of which none has one holds nothing and earns null.
    Cash of a long-short portfolio earns nothing, and borrowing shares costs nothing beside the costs a side.
    """
    columns = ["symbol", "session", "t0", "t1_due", "outcome", *CARRIED, *([by] if by else [])]
    return _run(_Asked.of(_rebalances(predictions.select(columns)), by, settings.portfolio))


def sizes(events: pl.DataFrame, by: str, settings: "ForecastSettings") -> pl.Series:
    """Weight of each event of one session in the portfolio by column `by`, bought from cash; 0 where none is known.

    events : DataFrame with symbol, `by` and `CARRIED`; its order is kept.
    """
    if unlimited := sectors.unlimited(events, settings.portfolio):
        _warn(unlimited)
    book = _book(events.with_columns(outcome=pl.lit(0.0)), by, settings.portfolio)
    weights = np.zeros(len(events)) if book is None else _chosen(book, None, 0.0, settings.portfolio, Counter())
    return pl.Series("weight", weights)


def rebalanced(
    events: pl.DataFrame, by: str, held: Mapping[str, float], settings: "ForecastSettings"
) -> dict[str, float]:
    """Weight of each name of one session in the portfolio by column `by`, from the weights that are held.

    events : as of `sizes`. held : by name, as prices have made them; empty: bought from cash, whatever the turnover.
    Where `by` is known of no name, what is held stays.
    """
    book = _book(events.with_columns(outcome=pl.lit(0.0)), by, settings.portfolio)
    if book is None:
        return dict(held)
    before = np.array([held.get(symbol, 0.0) for symbol in book.symbols])
    gone = sum(abs(weight) for symbol, weight in held.items() if symbol not in set(book.symbols))
    now = _chosen(book, before if held else None, gone, settings.portfolio, Counter())
    return dict(zip(book.symbols, now.tolist(), strict=True))


@cache
def _warn(sentence: str) -> None:
    """Once a process: who decides on many sessions has said it of the first."""
    log.warning("portfolio: %s", sentence)


@dataclass(frozen=True)
class _Asked:
    """What a backtest depends on, identified by its content: a gate asks for the same one several times."""

    key: str
    rows: pl.DataFrame = field(compare=False)
    by: str | None = field(compare=False)
    portfolio: "Portfolio" = field(compare=False)

    @staticmethod
    def of(rows: pl.DataFrame, by: str | None, portfolio: "Portfolio") -> "_Asked":
        named = f"{by} {portfolio.model_dump_json()}".encode()
        return _Asked(hashlib.sha256(named + rows.hash_rows().to_numpy().tobytes()).hexdigest(), rows, by, portfolio)


@lru_cache(maxsize=64)
def _run(asked: _Asked) -> Backtest:
    by, p = asked.by, asked.portfolio
    held: dict[str, float] = {}
    periods: list[dict[str, object]] = []
    weights: list[pl.DataFrame] = []
    gave_way: Counter[str] = Counter()
    for (session,), rows in asked.rows.group_by("session", maintain_order=True):
        book = _book(rows, by, p)
        end = rows["t1_due"].max()
        if book is None:
            periods.append({"session": session, "end": end})
            continue
        before = np.array([held.get(symbol, 0.0) for symbol in book.symbols])
        gone = sum(abs(weight) for symbol, weight in held.items() if symbol not in set(book.symbols))
        now = _equal(book) if by is None else _chosen(book, before if held else None, gone, p, gave_way)
        traded = float(np.abs(now - before).sum() + gone)
        gross = float(now @ book.outcome)
        cost = traded * p.cost_bps / 1e4
        periods.append(
            {
                "session": session,
                "end": end,
                "gross": gross,
                "cost": cost,
                "net": gross - cost,
                "turnover": traded / 2.0,
                "names": int((now != 0.0).sum()),
                "largest": float(np.abs(now).max()),
            }
        )
        weights.append(pl.DataFrame({"symbol": book.symbols, "weight": now}).with_columns(session=pl.lit(session)))
        held = dict(zip(book.symbols, now * (1.0 + book.outcome) / max(1.0 + gross, 1e-9), strict=True))
    return Backtest(_periods(periods), _weights(weights), tuple(f"{what} ({n} times)" for what, n in gave_way.items()))


def daily(weights: pl.DataFrame, periods: pl.DataFrame, bars: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Net return of each session of a backtest: session, value. Bought and held from one rebalance to the next.

    weights, periods : of a `Backtest`. bars : the bar contract. sessions : session and close_utc of the calendar. A
    position is entered at the open of the session after the rebalance, or its close where there is no open, and left
    at the close that ends the period; without a bar the last price stands. Costs are charged on the first session.
    """
    held = periods.drop_nulls("net").select("end", "cost", start="session")
    days = sessions.join_asof(held, left_on="session", right_on="start", allow_exact_matches=False)
    days = days.filter(pl.col("close_utc") <= pl.col("end")).drop("close_utc", "end")
    bars = bars.filter(pl.col("session").is_between(days["session"].min(), days["session"].max()))
    prices = bars.select("symbol", "session", price=continuous(), entry=pl.coalesce(continuous("open"), continuous()))
    mine = weights.filter(pl.col("weight") != 0.0).rename({"session": "start"})
    known = days.join(mine, on="start").join(prices, on=["symbol", "session"], how="left").sort("symbol", "session")
    one = ["start", "symbol"]
    last, paid = pl.col("price").forward_fill().over(one), pl.col("entry").drop_nulls().first().over(one)
    grown = known.with_columns(grown=pl.col("weight") * (last / paid - 1.0))
    by_day = grown.group_by("start", "session", "cost", maintain_order=True)
    worth = by_day.agg(worth=1.0 + pl.col("grown").sum()).sort("session")
    before = pl.col("worth").shift(1).over("start")
    first = before.is_null()
    return worth.select(
        "session", value=pl.col("worth") / before.fill_null(1.0) - 1.0 - pl.when(first).then("cost").otherwise(0.0)
    )


def _rebalances(predictions: pl.DataFrame) -> pl.DataFrame:
    """The predictions of the sessions at which the portfolio is formed, sorted."""
    known = predictions.filter(pl.col("outcome").is_not_null()).sort("session", "symbol")
    times = known.group_by("session", maintain_order=True).agg(pl.col("t0").max(), pl.col("t1_due").max())
    chosen, free = [], None
    for session, t0, due in times.rows():
        if free is None or t0 >= free:
            chosen.append(session)
            free = due
    return known.filter(pl.col("session").is_in(chosen))


def _book(rows: pl.DataFrame, by: str | None, p: "Portfolio") -> Book | None:
    """The names of a session; None where `by` is known of none."""
    n = len(rows)
    view = np.zeros(n)
    if by is not None:
        ranks = rows[by].cast(pl.Float64).fill_nan(None).rank()
        if ranks.null_count() == n:
            return None
        spread = ranks.std(ddof=0)
        view = ((ranks - ranks.mean()) / spread).fill_null(0.0).to_numpy() if spread else view
    volatility = rows[CARRIED[0]].cast(pl.Float64).fill_nan(None)
    typical = volatility.median() or 1.0
    relative = (volatility.fill_null(typical) / typical).clip(0.25, 4.0).to_numpy()
    return Book(rows["symbol"].to_list(), view, relative, rows["outcome"].to_numpy(), sectors.of(rows, p).to_list())


def _equal(book: Book) -> Array:
    return np.full(len(book.symbols), 1.0 / len(book.symbols))


def _chosen(book: Book, before: Array | None, gone: float, p: "Portfolio", gave_way: Counter[str]) -> Array:
    """Weights of one rebalance; limits that cannot hold give way as far as they must, and are counted."""
    n = len(book.symbols)
    cap, room = p.max_position, max(2.0 * p.max_turnover - gone, 0.0)
    if n * cap < 1.0:
        cap = min(ROOM / n, 1.0)
        gave_way[
            f"too few names for a largest position of {p.max_position:.1%}: {ROOM:g} / number of names was allowed"
        ] += 1
    member, limits = sectors.limits(book.sectors, p)
    long_only = p.kind == "long_only"
    found = optimised.weights(
        Asked(book.view, book.volatility, p.risk_aversion, long_only, cap, member, limits, before, room)
    )
    if found is None:
        gave_way["the optimiser found no solution, and the previous or equal weights were kept"] += 1
        found = _equal(book) if before is None else before
    if before is not None and np.abs(found - before).sum() > room + 1e-4:
        gave_way[f"turnover exceeded {p.max_turnover:.0%}, since names had left or weights had outgrown a limit"] += 1
    return np.where(np.abs(found) < DUST, 0.0, found)


def _periods(rows: list[dict]) -> pl.DataFrame:
    numbers = dict.fromkeys(("gross", "cost", "net", "turnover"), pl.Float64())
    schema = pl.Schema(
        {"session": pl.Date(), "end": UTC, **numbers, "names": pl.Int64(), "largest": pl.Float64()},
    )
    return pl.DataFrame([{**dict.fromkeys(schema), **row} for row in rows], schema=schema)


def _weights(parts: list[pl.DataFrame]) -> pl.DataFrame:
    schema = {"session": pl.Date, "symbol": pl.String, "weight": pl.Float64}
    return pl.concat(parts).select(*schema) if parts else pl.DataFrame(schema=schema)
