"""The simulated markets by their name in parameter files: bars of each column, and the truth behind them."""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bq.core.settings import Simulation
from bq.simulate.breakouts import breakout_market
from bq.simulate.martingale import clustered_market, martingale_market
from bq.simulate.moves import Array
from bq.simulate.panel import panel_market
from bq.simulate.pinned import pinned_market
from bq.simulate.strata import strata_market

INDEX = "SIMX"


class Family(NamedTuple):
    """A market and its law. Arrays are of shape (n_sessions, n_columns); NaN in `close` where a name has no bar."""

    names: list[str]  # of the columns
    bars: dict[str, Array]  # by their name in the bar contract
    truth: dict[str, Array]  # known at each session's close to whoever knows the law: what outcomes hang on


def simulated(plan: Simulation, sessions: Sequence[dt.date]) -> Family:
    """The market of a plan, on as many sessions."""
    days = np.asarray(sessions, "datetime64[D]")
    return FAMILIES[plan.kind](plan, days)


def _named(plan: Simulation, *, index: bool = True) -> list[str]:
    names = [f"SIM{i:02d}" for i in range(plan.symbols)]
    return [INDEX, *names] if index else names


def _alive(plan: Simulation, days: NDArray[np.datetime64]) -> Array:
    """What is left of the planted part in each session."""
    changed = np.zeros(len(days), bool) if plan.changes is None else days >= np.datetime64(plan.changes)
    return np.where(changed, plan.then, 1.0)


def _apart(days: NDArray[np.datetime64]) -> Array:
    """Calendar days from each session to the one before; 1 for the first."""
    return np.append(1.0, np.diff(days).astype(float))


def _of(made: NamedTuple, *names: str) -> dict[str, Array]:
    return {name: getattr(made, name) for name in names}


OHLCV = ("open", "high", "low", "close", "volume")


def _martingale(plan: Simulation, days: NDArray[np.datetime64]) -> Family:
    market = {"martingale": martingale_market, "clustered": clustered_market}[plan.kind]
    made = market(days=_apart(days), symbols=plan.symbols, drift=plan.drift, seed=plan.seed)
    return Family(_named(plan), _of(made, *OHLCV, "iv"), {})


def _pinned(plan: Simulation, days: NDArray[np.datetime64]) -> Family:
    size = {"sessions": len(days), "symbols": plan.symbols, "seed": plan.seed}
    made = pinned_market(**size, share=plan.pinned_share, alive=_alive(plan, days))
    return Family(_named(plan, index=False), _of(made, "close", "volume"), {"pinned": made.pinned.astype(float)})


def _strata(plan: Simulation, days: NDArray[np.datetime64]) -> Family:
    made = strata_market(sessions=len(days), symbols=plan.symbols, seed=plan.seed)
    return Family(_named(plan), _of(made, "close", "iv"), {})


def _breakouts(plan: Simulation, days: NDArray[np.datetime64]) -> Family:
    size = {"sessions": len(days), "symbols": plan.symbols, "seed": plan.seed}
    made = breakout_market(**size, edge=plan.edge, alive=_alive(plan, days))
    return Family(_named(plan), _of(made, *OHLCV), {"heralded": made.heralded.astype(float), "drift": made.drift})


def _panel(plan: Simulation, days: NDArray[np.datetime64]) -> Family:
    size = {"sessions": len(days), "symbols": plan.symbols, "seed": plan.seed}
    trends = plan.kind == "panel_trends"
    made = panel_market(**size, oracle_ic=plan.oracle_ic, trends=trends, alive=_alive(plan, days))
    whole = np.broadcast_to(made.calm[:, None], made.close.shape).astype(float)
    expected = np.column_stack([np.zeros(len(days)), made.expected])
    return Family(_named(plan), _of(made, *OHLCV), {"expected": expected, "calm": whole})


FAMILIES: dict[str, Callable[[Simulation, NDArray[np.datetime64]], Family]] = {
    "pinned": _pinned,
    "strata": _strata,
    "breakouts": _breakouts,
    "panel": _panel,
    "panel_trends": _panel,
    "martingale": _martingale,
    "clustered": _martingale,
}

STRENGTH = {  # how strong what is planted is, by the name of the parameter that says so
    "pinned": "pinned_share",
    "breakouts": "edge",
    "panel": "oracle_ic",
    "panel_trends": "oracle_ic",
}
