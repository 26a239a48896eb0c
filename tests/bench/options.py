"""Option values, Greeks and implied volatility against vollib and plain numpy."""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bq.analysis.options import bsm_greeks, implied_volatility
from tests.bench import peers
from tests.bench.measure import Plan, in_turn, pair, speed_up, version
from tests.bench.row import Goal, Row, finite

Array = NDArray[np.float64]
SIGMAS = 4.0  # how far from the money the options lie, in standard deviations at expiry


class Options(NamedTuple):
    """Arrays of shape (n,), in the units of bq.analysis.options."""

    spot: Array
    strike: Array
    years: Array
    vol: Array
    rate: Array
    dividend_yield: Array
    is_call: NDArray[np.bool_]

    def keywords(self) -> dict[str, Any]:
        """What our functions take by name."""
        return {"rate": self.rate, "dividend_yield": self.dividend_yield, "is_call": self.is_call}


def sample(n: int) -> Options:
    """Calls and puts from a week to two years, in and out of the money."""
    random = np.random.default_rng(20)
    years, vol = random.uniform(0.02, 2.0, n), random.uniform(0.05, 0.8, n)
    spot = random.uniform(50.0, 500.0, n)
    strike = spot * np.exp(random.uniform(-SIGMAS, SIGMAS, n) * vol * np.sqrt(years))
    rate, dividend_yield = random.uniform(0.0, 0.05, n), random.uniform(0.0, 0.03, n)
    return Options(spot, strike, years, vol, rate, dividend_yield, random.random(n) < 0.5)


def greeks_vollib(plan: Plan) -> Row:
    """Price and five Greeks against py_vollib."""
    n, some = plan.n(full=1_000_000, quick=200_000, tiny=100), plan.n(full=2000, quick=500, tiny=20)
    options = sample(n)
    with peers.running("vollib") as peer:
        release = peer.ask("options", options=_rows(options, some, np.zeros(some)))
        times = pair(
            lambda: peer.ask("greeks"),
            lambda: _greeks(options),
            peer_n=some,
            ours_n=n,
            repeats=plan.n(full=7, quick=3, tiny=1),
        )
        theirs = np.array(peer.ask("values"))
    ours = np.column_stack([values[:some] for values in _greeks(options)])
    scale = np.maximum(np.abs(theirs), 1e-3)
    return times.row(
        of="an option",
        n=f"{n:,} options (peer: the first {some:,})",
        peer=f"vollib {release}",
        goal=speed_up(100),
        goals=(Goal("difference, relative", finite((np.abs(ours - theirs) / scale).max()), "≤", 1e-8),),
        notes=("py_vollib is vollib since 1.0.12; pure Python, one option a call", "ours on one thread"),
    )


def greeks_numpy(plan: Plan) -> Row:
    """Price and five Greeks against the same formulas in numpy with scipy's ndtr."""
    n = plan.n(full=1_000_000, quick=200_000, tiny=100)
    options = sample(n)
    times = pair(
        lambda: textbook_greeks(options),
        lambda: _greeks(options),
        peer_n=n,
        ours_n=n,
        repeats=plan.n(full=9, quick=5, tiny=1),
    )
    arguments = _arguments(options)
    functions = float(np.median(in_turn(lambda: _functions(*arguments), repeats=plan.n(full=5, quick=3, tiny=1)))) / n
    parts = zip(_greeks(options), textbook_greeks(options), strict=True)
    difference = max(float((np.abs(a - b) / np.maximum(np.abs(b), 1e-3)).max()) for a, b in parts)
    return times.row(
        of="an option",
        n=f"{n:,} options",
        peer=f"{version('numpy')}, {version('scipy')}",
        goal=speed_up(1.3),
        goals=(Goal("difference, relative", finite(difference), "≤", 1e-8),),
        notes=(
            "the peer has no guard for expired options, zero volatility or a missing value; ours has; both one thread",
            f"of ours log, exp and erfc of the C library take {1e9 * functions:.0f} ns an option, one value a call; "
            "numpy computes exp and log of several values in one instruction",
        ),
    )


@njit(cache=True)
def _functions(ratio: Array, growth: Array, discount: Array, d1: Array, d2: Array) -> float:
    """The transcendental functions that an option takes, and nothing else. Arguments of shape (n,).

    d1, d2 : as erfc takes them: times -√½, and the other sign for a put.
    """
    total = 0.0
    for k in range(ratio.size):
        total += math.log(ratio[k]) + math.exp(growth[k]) + math.exp(discount[k]) + math.exp(-d1[k] * d1[k])
        total += math.erfc(d1[k]) + math.erfc(d2[k])
    return total


def _arguments(o: Options) -> tuple[Array, ...]:
    """Those of `_functions`."""
    deviation, sign = o.vol * np.sqrt(o.years), np.where(o.is_call, -np.sqrt(0.5), np.sqrt(0.5))
    d1 = _d1(o, deviation)
    return o.spot / o.strike, -o.dividend_yield * o.years, -o.rate * o.years, sign * d1, sign * (d1 - deviation)


def _d1(o: Options, deviation: Array) -> Array:
    return (np.log(o.spot / o.strike) + (o.rate - o.dividend_yield) * o.years) / deviation + deviation / 2


def implied_vol(plan: Plan) -> Row:
    """Implied volatility against py_vollib, both held against the volatility that made the price."""
    n, some = plan.n(full=200_000, quick=50_000, tiny=100), plan.n(full=1000, quick=300, tiny=20)
    options = sample(n)
    prices = textbook_greeks(options)[0]

    def solve() -> Array:
        return implied_volatility(prices, options.spot, options.strike, options.years, **options.keywords())

    with peers.running("vollib") as peer:
        release = peer.ask("options", options=_rows(options, some, prices))
        times = pair(lambda: peer.ask("implied"), solve, peer_n=some, ours_n=n, repeats=plan.n(full=7, quick=3, tiny=1))
        theirs = np.array(peer.ask("values"))
    error = np.abs(solve() - options.vol)
    worst = np.nanmax(np.abs(theirs - options.vol[:some]))
    return times.row(
        of="an option",
        n=f"{n:,} options within ±{SIGMAS:g}σ of the money (peer: the first {some:,})",
        peer=f"vollib {release}",
        goal=speed_up(40),
        goals=(Goal("error", finite(np.nanmax(error)), "≤", 1e-8),),
        notes=(
            f"missing: {np.isnan(error).mean():.2%} of ours (the price does not tell the volatility to 1e-8)",
            f"the peer's error is {worst:.1e} at most",
        ),
    )


def textbook_greeks(o: Options) -> tuple[Array, ...]:
    """Value, delta, gamma, vega, theta, rho as one writes them down with numpy; units as in bq.analysis.options."""
    from scipy.special import ndtr

    sign = np.where(o.is_call, 1.0, -1.0)
    root = np.sqrt(o.years)
    growth, discount = np.exp(-o.dividend_yield * o.years), np.exp(-o.rate * o.years)
    deviation = o.vol * root
    d1 = _d1(o, deviation)
    first, second = ndtr(sign * d1), ndtr(sign * (d1 - deviation))
    density = np.exp(-(d1**2) / 2) / np.sqrt(2 * np.pi)
    received, paid = sign * o.spot * growth * first, sign * o.strike * discount * second
    spread = o.spot * growth * density
    theta = (o.dividend_yield * received - o.rate * paid - spread * o.vol / (2 * root)) / 365
    gamma, vega = growth * density / (o.spot * deviation), spread * root / 100
    return received - paid, sign * growth * first, gamma, vega, theta, o.years * paid / 100


def _greeks(o: Options) -> tuple[Array, ...]:
    return bsm_greeks(o.spot, o.strike, o.years, o.vol, **o.keywords())


def _rows(o: Options, count: int, prices: Array) -> list[list[Any]]:
    """The first options in the order of the peer's arguments, the price behind them."""
    flags = np.where(o.is_call, "c", "p")
    parts = (flags, o.spot, o.strike, o.years, o.rate, o.vol, o.dividend_yield, prices)
    return [list(row) for row in zip(*(part[:count].tolist() for part in parts), strict=True)]
