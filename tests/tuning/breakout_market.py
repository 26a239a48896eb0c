"""Simulated markets for the breakout rules, and settings that search on them quickly."""

from functools import lru_cache

from bq import market
from bq.core import params, paths
from bq.market import MarketData
from bq.strategies.breakout.settings import BreakoutSettings

FILE = paths.CHECKOUT / "parameters" / "simulated" / "breakout.yaml"


def settings(*, edge: float = 0.0, symbols: int = 12, sessions: int = 1200, seed: int = 1, more: str = ""):
    """parameters/simulated/breakout.yaml with a market of this size."""
    size = f"symbols={symbols} market.simulation.sessions={sessions} market.simulation.edge={edge}"
    overrides = f"market.simulation.{size} market.simulation.seed={seed} tuning.trials=12 {more}"
    return params.load(FILE, BreakoutSettings, overrides=overrides)


def data(given: BreakoutSettings) -> MarketData:
    """The market of these settings."""
    return _data(given.market.model_dump_json())


@lru_cache
def _data(plan: str) -> MarketData:
    from bq.core.settings import Market

    return market.load(Market.model_validate_json(plan))
