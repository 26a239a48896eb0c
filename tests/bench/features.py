"""The cross-section: rolling factors and ranks against polars and pandas, events of a panel, how their cost grows."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq import market, strategies
from bq.core import params, paths
from bq.core.parallel import workers
from bq.core.settings import Selection
from bq.kernels.ranks import rank_rows
from bq.kernels.rolling import alpha_factors
from bq.learning.selection import select
from bq.market import MarketData
from bq.simulate.panel import panel_market
from bq.strategies.forecast.features import FACTORS
from tests.bench.measure import Plan, growth, in_turn, pair, speed_up, version
from tests.bench.row import Goal, Row

NAMES, YEARS = 297, 5  # of the reference panel


def rolling_polars(plan: Plan) -> Row:
    """All 23 factors of a panel."""
    return _rolling(plan, _polars, version("polars"), speed_up(10), share=1)


def rolling_pandas(plan: Plan) -> Row:
    """The same against pandas, on some of the symbols."""
    return _rolling(plan, _pandas, version("pandas"), speed_up(20), share=plan.n(full=10, quick=5, tiny=2))


def _rolling(
    plan: Plan, peer: Callable[[pl.DataFrame], NDArray], name: str, goal: Callable[[float], Goal], *, share: int
) -> Row:
    symbols, sessions = plan.n(full=500, quick=100, tiny=4), plan.n(full=2500, quick=2500, tiny=300)
    made = panel_market(sessions=sessions, symbols=symbols, oracle_ic=0.0, seed=1)
    fields = ("close", "high", "low", "volume")
    bars = {field: np.ascontiguousarray(getattr(made, field)[:, 1:].T) for field in fields}
    rows = (*bars.values(), bars["close"] * bars["volume"])
    market_return = np.concatenate([[np.nan], made.close[1:, 0] / made.close[:-1, 0] - 1.0])
    out: list[NDArray] = []
    few = symbols // share
    frame = pl.DataFrame(
        {
            "symbol": np.repeat(np.arange(few), sessions),
            **{field: values[:few].ravel() for field, values in bars.items()},
            "market": np.tile(market_return, few),
        }
    ).with_columns(pl.col("market").fill_nan(None))
    theirs: list[NDArray] = []
    how: dict[str, Any] = {"periods_per_year": 252, "threads": workers()}

    def mine() -> None:
        _again(out, lambda: alpha_factors(*rows, market_return, **how))

    times = pair(
        lambda: _again(theirs, lambda: peer(frame)),
        mine,
        peer_n=len(frame) * len(FACTORS),
        ours_n=len(FACTORS) * symbols * sessions,
        repeats=plan.n(full=3, quick=3, tiny=1),
    )
    alone = float(np.median(in_turn(mine, repeats=plan.n(full=5, quick=3, tiny=1)))) / out[0].size
    ours = out[0][:, :few].reshape(len(FACTORS), -1)
    apart = np.nanmax(np.abs(ours - theirs[0]) / np.nanstd(theirs[0], axis=1, keepdims=True))
    memory = (out[0].nbytes + sum(values.nbytes for values in bars.values())) / 2**20
    return times.row(
        of="a value",
        n=f"{len(FACTORS)} factors, {symbols} symbols (peer: {few}), {sessions:,} sessions, {workers()} threads",
        peer=name,
        goal=goal,
        goals=(Goal("largest distance, in standard deviations", float(apart), "≤", 1e-2),),
        notes=(
            "the peer computes the same factors in float64, polars on all its threads, pandas on one",
            "the goals were set when polars took 66 ns a value and pandas 121",
            f"ours holds input and output, {memory:,.0f} MiB, and one symbol's scratch",
            f"ours takes {1e9 * alone:.1f} ns where it is not run in turn with the peer: memory that the peer has "
            "given back to the system is fetched again",
        ),
    )


def _again(kept: list[NDArray], made: Callable[[], NDArray]) -> None:
    """Make a result anew, in memory that the one before has left."""
    kept.clear()
    kept.append(made())


def _polars(frame: pl.DataFrame) -> NDArray:
    """The factors as a user of polars would write them, shape (n_factors, n_rows)."""
    p, v, r = pl.col("close"), pl.col("volume"), pl.col("r")
    ready = frame.with_columns(
        r=(p / p.shift() - 1).over("symbol"),
        change=p.diff().over("symbol"),
        before=p.shift().over("symbol"),
        turnover=p * v,
        log=p.log(),
        day=pl.int_range(pl.len()).over("symbol").cast(pl.Float64),
    ).with_columns(
        gain=pl.col("change").clip(lower_bound=0),
        loss=(-pl.col("change")).clip(lower_bound=0),
        impact=r.abs() / pl.col("turnover"),
        true_range=pl.when(pl.col("before").is_not_null()).then(
            pl.max_horizontal("high", "before") - pl.min_horizontal("low", "before")
        ),
    )
    gain, loss = (pl.col(name).rolling_mean(14, min_samples=12) for name in ("gain", "loss"))
    made = [
        pl.rolling_corr(p, v, window_size=3, min_samples=3),
        100 * gain / (gain + loss),
        1 - p / p.shift(3),
        1 - p / p.shift(5),
        p / p.shift(10) - 1,
        (p / p.shift(10) - 1) * v.rolling_mean(10, min_samples=8) / v.rolling_mean(60, min_samples=48),
        r.rolling_mean(5, min_samples=4) / r.rolling_std(5, min_samples=4),
        p / p.rolling_mean(20, min_samples=16) - 1,
        pl.col("turnover").rolling_mean(20, min_samples=16).log(),
        pl.rolling_corr("day", "log", window_size=20, min_samples=16) ** 2,
        r.rolling_skew(20, bias=False, min_samples=16),
        p / p.rolling_max(252, min_samples=202),
        pl.col("true_range").rolling_mean(14, min_samples=12) / p,
        1e6 * pl.col("impact").rolling_mean(20, min_samples=16),
        *(p.shift(5) / p.shift(n) - 1 for n in (21, 63, 126, 252)),
        *(r.rolling_std(n, min_samples=n - n // 5) * 252**0.5 for n in (20, 60)),
        *(v / v.rolling_mean(n, min_samples=n - n // 5) for n in (20, 60)),
        pl.rolling_cov(r, "market", window_size=60, min_samples=48)
        / pl.when(r.is_not_null()).then("market").rolling_var(60, min_samples=48),
    ]
    table = ready.select(e.over("symbol").alias(name) for e, name in zip(made, FACTORS, strict=True))
    return table.fill_null(np.nan).to_numpy().T


def _pandas(frame: pl.DataFrame) -> NDArray:
    """The same, symbol by symbol, in pandas."""
    groups = frame.to_pandas().groupby("symbol", sort=False)
    return np.concatenate([_pandas_symbol(group) for _, group in groups], axis=1)


def _pandas_symbol(bars: Any) -> NDArray:
    p, h, low, v, m = (bars[name] for name in ("close", "high", "low", "volume", "market"))
    r, change, before, turnover = p.pct_change(), p.diff(), p.shift(), p * v
    day = p * 0 + np.arange(len(p))

    def roll(values: Any, window: int) -> Any:
        return values.rolling(window, min_periods=window - window // 5)

    gain, loss = (roll(part.clip(lower=0), 14).mean() for part in (change, -change))
    true_range = np.maximum(h, before) - np.minimum(low, before)
    made = [
        roll(p, 3).corr(v),
        100 * gain / (gain + loss),
        1 - p / p.shift(3),
        1 - p / p.shift(5),
        p / p.shift(10) - 1,
        (p / p.shift(10) - 1) * roll(v, 10).mean() / roll(v, 60).mean(),
        roll(r, 5).mean() / roll(r, 5).std(),
        p / roll(p, 20).mean() - 1,
        np.log(roll(turnover, 20).mean()),
        roll(day, 20).corr(np.log(p)) ** 2,
        roll(r, 20).skew(),
        p / roll(p, 252).max(),
        roll(true_range, 14).mean() / p,
        1e6 * roll(r.abs() / turnover, 20).mean(),
        *(p.shift(5) / p.shift(n) - 1 for n in (21, 63, 126, 252)),
        *(roll(r, n).std() * 252**0.5 for n in (20, 60)),
        *(v / roll(v, n).mean() for n in (20, 60)),
        roll(r, 60).cov(m) / roll(m, 60).var(),
    ]
    return np.stack([values.to_numpy() for values in made])


def cross_section_rank(plan: Plan) -> Row:
    """Rank of one feature within each session."""
    symbols, sessions = plan.n(full=500, quick=500, tiny=10), plan.n(full=2500, quick=500, tiny=20)
    values = np.random.default_rng(1).standard_normal((sessions, symbols)).astype(np.float32)
    frame = pl.DataFrame({"session": np.repeat(np.arange(sessions), symbols), "value": values.ravel()})
    times = pair(
        lambda: frame.select(pl.col("value").rank().over("session")),
        lambda: rank_rows(values),
        repeats=plan.n(full=9, quick=5, tiny=1),
    )
    theirs = frame.select((pl.col("value").rank().over("session") - 0.5) / symbols - 0.5).to_series().to_numpy()
    apart = Goal("distance of ranks", float(np.abs(rank_rows(values).ravel() - theirs).max()), "≤", 1e-6)
    return times.row(
        of="a feature",
        n=f"{symbols} symbols, {sessions:,} sessions",
        peer=version("polars"),
        goal=speed_up(2),
        goals=(apart,),
    )


@cache
def _panel(symbols: int, sessions: int) -> tuple[MarketData, Any]:
    """A simulated panel with the shipped parameters of the strategy."""
    overrides = f"market.simulation.symbols={symbols} market.simulation.sessions={sessions}"
    path = paths.CHECKOUT / "parameters" / "simulated" / "forecast.yaml"
    settings = params.load(path, strategies.get("forecast").settings, overrides=overrides)
    return market.load(settings.market), settings


def panel_events(plan: Plan) -> Row:
    """All events of a panel as large as the reference one, bars already loaded."""
    symbols, sessions = plan.n(full=NAMES, quick=NAMES, tiny=5), plan.n(full=252 * YEARS, quick=600, tiny=600)
    bars, settings = _panel(symbols, sessions)
    strategy = strategies.get("forecast")
    wanted = strategy.table.schedule(bars, settings)
    seconds = in_turn(lambda: strategy.table.build(bars, settings, wanted), repeats=plan.n(full=3, quick=2, tiny=1))[0]
    n = sum(map(len, wanted.values()))
    total = float(np.median(seconds))
    return Row(
        of="a date",
        n=f"{symbols} symbols, {sessions:,} sessions, {n:,} dates, one process",
        ours_seconds=total / n,
        goals=(Goal("in all", total, "≤", 10.0, " s"),),
        repeats=len(seconds),
        spread=(float(seconds.min()), float(seconds.max())),
    )


def panel_growth(plan: Plan) -> Row:
    """Time for the events of n, 2n and 4n symbols."""
    first, sessions = plan.n(full=NAMES // 2, quick=50, tiny=5), plan.n(full=252 * YEARS, quick=600, tiny=600)
    sizes = [first, 2 * first, 4 * first]
    strategy = strategies.get("forecast")

    def build(symbols: int) -> Any:
        bars, settings = _panel(symbols, sessions)
        wanted = strategy.table.schedule(bars, settings)
        return lambda: strategy.table.build(bars, settings, wanted)

    seconds = in_turn(*map(build, sizes), repeats=plan.n(full=5, quick=2, tiny=1))
    return growth(of="a symbol", n=sizes, seconds=seconds)


def selection(plan: Plan) -> Row:
    """Twenty of thirty features by rolling rank IC, as each fold does it."""
    symbols, sessions = plan.n(full=NAMES, quick=NAMES, tiny=10), plan.n(full=1000, quick=250, tiny=30)
    rng = np.random.default_rng(1)
    x: NDArray[np.float32] = rng.standard_normal((symbols * sessions, 30)).astype(np.float32)
    label, session = rng.standard_normal(len(x)), np.repeat(np.arange(sessions), symbols)
    seconds = in_turn(lambda: select(x, label, session, Selection()), repeats=plan.n(full=5, quick=3, tiny=1))[0]
    total = float(np.median(seconds))
    return Row(
        of="a selection",
        n=f"{symbols} symbols, {sessions:,} sessions, 30 features, one thread",
        ours_seconds=total,
        goals=(Goal("in all", total, "≤", 2.0, " s"),),
        repeats=len(seconds),
        spread=(float(seconds.min()), float(seconds.max())),
    )
