"""The breakout portfolio against backtesting.py and against its own loop in plain Python."""

import datetime as dt
import inspect
import re
import warnings
from types import ModuleType
from unittest import mock

import numpy as np
import polars as pl

from bq.kernels import breakout as kernel
from bq.market.calendars import sessions
from bq.market.matrix import BarMatrix
from bq.simulate.breakouts import breakout_market
from bq.strategies.breakout import backtest as portfolio
from bq.strategies.breakout.prepare import Array, Prepared, of_bars
from bq.strategies.breakout.settings import BreakoutSettings
from tests.bench.measure import Plan, growth, in_turn, pair, speed_up, version
from tests.bench.row import Row

FIRST = dt.date(2008, 1, 2)


def whole(plan: Plan) -> Row:
    """Indicators and the portfolio of all symbols; backtesting.py trades each symbol for itself."""
    symbols, days = plan.n(full=100, quick=25, tiny=3), plan.n(full=2500, quick=2500, tiny=300)
    matrix, benchmark = _market(symbols, days)
    bars = _frames(matrix)
    times = pair(
        lambda: _peer(bars),
        lambda: portfolio.backtest(_prepared(matrix, benchmark), settings()),
        repeats=plan.n(full=3, quick=2, tiny=1),
    )
    return times.row(
        of="a backtest",
        n=f"{symbols} symbols × {days:,} sessions",
        peer=version("backtesting"),
        goal=speed_up(100),
        notes=("both from bars in memory, indicators included; the peer has no portfolio: no ranks, limits or guard",),
    )


def loop(plan: Plan) -> Row:
    """A backtest with indicators at hand, as in tuning, against the same loop without the compiler."""
    symbols, days = plan.n(full=100, quick=25, tiny=3), plan.n(full=2500, quick=2500, tiny=300)
    prepared = _prepared(*_market(symbols, days))
    plain = _plain()
    times = pair(
        lambda: _walk(prepared, plain),
        lambda: _walk(prepared, kernel),
        repeats=plan.n(full=5, quick=3, tiny=1),
    )
    return times.row(
        of="a backtest, indicators at hand",
        n=f"{symbols} symbols × {days:,} sessions",
        peer="the same loop in plain Python",
        goal=speed_up(5),
    )


def backtest_growth(plan: Plan) -> Row:
    """Indicators and portfolio on n, 2n and 4n symbols."""
    first, days = plan.n(full=50, quick=15, tiny=3), plan.n(full=2500, quick=2500, tiny=300)
    markets = [_market(first * times, days) for times in (1, 2, 4)]
    tasks = [lambda sample=sample: portfolio.backtest(_prepared(*sample), settings()) for sample in markets]
    return growth(
        of="a symbol",
        n=[first, 2 * first, 4 * first],
        seconds=in_turn(*tasks, repeats=plan.n(full=7, quick=3, tiny=1)),
        notes=(f"{days:,} sessions each",),
    )


def settings() -> BreakoutSettings:
    """Default parameters on a market of its own."""
    return BreakoutSettings.model_validate(
        {
            "strategy": "breakout",
            "market": {"source": "simulated"},
            "learning": {"features": "breakout_v1", "model": "lightgbm"},
        }
    )


def _market(symbols: int, days: int) -> tuple[BarMatrix, Array]:
    made = breakout_market(sessions=days, symbols=symbols, edge=0.1, seed=1)
    calendar = sessions("XNYS")["session"]
    index = calendar.filter(calendar >= FIRST).head(days).to_numpy().astype("datetime64[D]")
    parts = [np.ascontiguousarray(part[:, 1:].T) for part in made[:5]]
    names = tuple(f"S{i:03d}" for i in range(symbols))
    close, volume = parts[3:]
    return BarMatrix(names, index, *parts, quoted=close, turnover=close * volume), made.close[:, 0]


def _prepared(bars: BarMatrix, benchmark: Array) -> Prepared:
    return of_bars(bars, benchmark, source="simulated", calendar="XNYS")


def _plain() -> ModuleType:
    """The kernel's loops as Python runs them; what they call elsewhere stays compiled."""
    module = ModuleType("plain")
    source = re.sub(r"@njit\(.*\n", "", inspect.getsource(kernel))
    exec(compile(source, "plain", "exec"), module.__dict__)
    return module


def _walk(prepared: Prepared, loops: ModuleType) -> None:
    rule = settings()
    found = portfolio.signals(prepared, rule)
    average = prepared.average(rule.exit.exit_ma).level
    signals = (found.session, found.symbol, found.score)
    loops.portfolio(prepared.measures, average, *signals, portfolio.rules(rule), 0, len(prepared.sessions) - 1)


def _frames(bars: BarMatrix) -> list:
    """What backtesting.py reads: a pandas frame a symbol."""
    parts = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    names = ("Open", "High", "Low", "Close", "Volume")
    return [
        pl.DataFrame({"Date": bars.sessions, **{name: part[i] for name, part in zip(names, parts, strict=True)}})
        .to_pandas()
        .set_index("Date")
        for i in range(len(bars.symbols))
    ]


def _peer(frames: list) -> None:
    """Breakouts of one symbol after the other in backtesting.py, with its own bookkeeping."""
    import pandas as pd
    from backtesting import Backtest, Strategy

    def rolled(values: Array, length: int, how: str) -> Array:
        return getattr(pd.Series(values).rolling(length), how)().to_numpy()

    class Breakout(Strategy):
        def init(self) -> None:
            high, low, close = self.data.High, self.data.Low, self.data.Close
            before = pd.Series(close).shift().to_numpy()
            true_range = np.fmax(high, before) - np.fmin(low, before)
            self.fast = self.I(rolled, before, 20, "max")
            self.slow = self.I(rolled, before, 55, "max")
            self.average = self.I(rolled, close, 50, "mean")
            self.range = self.I(rolled, true_range, 14, "mean")

        def next(self) -> None:
            close = self.data.Close[-1]
            if self.position:
                if close < self.average[-1]:
                    self.position.close()
            elif close > self.average[-1] > 1.005 * self.average[-21] and (
                close >= 1.005 * self.fast[-1] or close >= 1.01 * self.slow[-1]
            ):
                self.buy(size=0.15, sl=close - 2.5 * self.range[-1])

    quiet = mock.patch("backtesting.backtesting._tqdm", lambda items, **_: items)
    with quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for frame in frames:
            Backtest(frame, Breakout, cash=1e6, commission=1e-4).run()
