"""Where the result on the user's own bars stands among those on the same bars in another order.

Moves are the same, so that a result which any such series gives, by a trend or by chance, is no evidence; what one day
says of later ones is gone. Each order goes through the unmodified way from bars to out-of-sample predictions.
"""

from collections.abc import Callable
from typing import NamedTuple

from bq.audit.calibration import collected
from bq.audit.permutation import BLOCK_SESSIONS, IN_ORDER, permuted_market
from bq.core.errors import BadParameters
from bq.core.log import progress
from bq.core.scalars import number
from bq.core.settings import Settings
from bq.learning import metrics, walkforward
from bq.market import MarketData
from bq.stats.permutation import p_value
from bq.strategies.contract import Strategy


class Result(NamedTuple):
    """What the candidate earned out of sample, means over sessions."""

    order: int  # IN_ORDER: the days as they are
    uplift: float  # over the rule score
    net: float
    sessions: int
    symbols: int  # that were there all along: the others take no part


class Standing(NamedTuple):
    """A figure of the bars as they are among those of permuted ones."""

    real: float
    permuted: list[float]

    @property
    def probability(self) -> float:
        """How likely a figure of at least the real one is, see `bq.stats.permutation`."""
        return p_value(self.real, self.permuted)


def result(order: int, market: MarketData, strategy: Strategy, settings: Settings) -> Result:
    """What the candidate earns on the market's bars in one order of their days.

    Raises BadParameters where there are no bars, or option quotes beside them: these belong to the days as they were.
    """
    if market.bars.is_empty():
        raise BadParameters("PERMUTE must have bars, whose days are put in another order, but there are none.")
    if len(market.quotes):
        raise BadParameters(
            "PERMUTE must go without option quotes, but `market.chains` is true: quotes belong to the days as they "
            'were. Add SET="market.chains=false".'
        )
    other = permuted_market(market, block_sessions=BLOCK_SESSIONS, seed=order)
    alone = settings.without_comparison()
    training = walkforward.train(collected(strategy, alone, other), strategy, alone)
    pairs = metrics.versus(training.oos, strategy, alone).drop_nulls("uplift")
    uplift, net = (number(pairs[name].mean()) for name in ("uplift", "model"))
    return Result(order, uplift, net, sessions=len(pairs), symbols=other.bars["symbol"].n_unique())


def results(
    market: MarketData,
    strategy: Strategy,
    settings: Settings,
    *,
    count: int,
    known: dict[int, Result],
    keep: Callable[[Result], None],
) -> list[Result]:
    """The result on the bars as they are, then on so many orders.

    known : results of an earlier call, by order. keep : called with each new one.
    """
    found = []
    for order in progress(range(IN_ORDER, IN_ORDER + count + 1), total=count + 1, description="permuted bars"):
        one = known.get(order) or result(order, market, strategy, settings)
        if order not in known:
            keep(one)
        found.append(one)
    return found


def standing(found: list[Result], figure: str) -> Standing:
    """Where a figure of the first result stands among the others."""
    real, *others = (getattr(one, figure) for one in found)
    return Standing(real, others)
