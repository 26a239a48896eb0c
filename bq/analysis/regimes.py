"""Market regimes: the probability of each state of a market, from what was known at each session's close."""

import itertools
import warnings
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.analysis.volatility import trailing_percentile
from bq.core.errors import UNFIT, reason
from bq.market.bars import continuous

MEASURES = ("volatility", "momentum", "trend", "fear_greed")
VOLATILITY, MOMENTUM, TREND, BREADTH = 21, 63, 126, 50  # sessions each looks back
SMALLEST_BREADTH = 5  # symbols below which their breadth says nothing
FIRST_STEPS, STEPS = 30, 5  # of expectation maximisation: for the first estimate, for each later one
BURN_IN = 126  # sessions filtered before the year, by which the filter has forgotten how it began


def market_index(bars: pl.DataFrame, symbol: str | None) -> tuple[pl.DataFrame, str]:
    """The series that stands for the market, and what it is.

    bars : the bar contract, sorted by (symbol, session). symbol : the index; where it is None or has no bar, the
    equal-weight index of all symbols, rebalanced at every session.

    Returns DataFrame `session, close, iv, breadth`, sorted, prices adjusted. `iv` is the index's implied volatility;
    `breadth` the share of the other symbols above their mean of 50 sessions, null where fewer than 5 have one.
    """
    prices = bars.select("symbol", "session", "iv", price=continuous())
    above = pl.col("price") > pl.col("price").rolling_mean(BREADTH).over("symbol")
    others = prices.filter(pl.col("symbol").ne_missing(pl.lit(symbol))).with_columns(above=above)
    breadth = others.group_by("session").agg(
        breadth=pl.when(pl.col("above").count() >= SMALLEST_BREADTH).then(pl.col("above").mean())
    )
    own = prices.filter(pl.col("symbol").eq_missing(pl.lit(symbol)))
    if len(own):
        index, name = own.select("session", "iv", close="price"), str(symbol)
    else:
        index, name = _equal_weight(prices), f"equal weight of {prices['symbol'].n_unique()} symbols"
    joined = index.join(breadth, on="session", how="left").sort("session")
    return joined.select("session", "close", "iv", "breadth"), name


def _equal_weight(prices: pl.DataFrame) -> pl.DataFrame:
    change = pl.col("price") / pl.col("price").shift(1).over("symbol") - 1.0
    mean = prices.with_columns(change=change).group_by("session").agg(pl.col("change").mean()).sort("session")
    level = (1.0 + pl.col("change").fill_null(0.0)).cum_prod()
    return mean.select("session", close=level, iv=pl.lit(None, pl.Float64))


def measures(index: pl.DataFrame, *, periods_per_year: int) -> pl.DataFrame:
    """What describes a market, at each session of an index (`market_index`), from closes up to that session.

    Returns `index` with: volatility, annualised standard deviation of 21 log returns; momentum, log return of 63
    sessions; trend, log of close over its mean of 126; fear_greed, from 0 (fear) to 1: the mean of 1 − percentile of
    fear, percentile of momentum (both among the 252 sessions before) and breadth, of those known. Fear is the implied
    volatility where it is known throughout, else `volatility`. Null until a look-back is complete.

    They describe; `filtered_probabilities` sees returns alone. Over simulated markets Gaussian mixtures of such
    measures found the true state in 56 to 62% of sessions, Markov switching of returns in 85%.
    """
    close = pl.col("close")
    frame = index.with_columns(
        volatility=close.log().diff().rolling_std(VOLATILITY) * periods_per_year**0.5,
        momentum=close.log().diff(MOMENTUM),
        trend=(close / close.rolling_mean(TREND)).log(),
    )
    implied, realised, momentum = (
        trailing_percentile(frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy())
        for name in ("iv", "volatility", "momentum")
    )
    fear = np.where(np.isfinite(implied), implied, realised)
    parts = pl.DataFrame({"calm": 1.0 - fear, "momentum": momentum}, nan_to_null=True)
    composite = pl.mean_horizontal(parts["calm"], parts["momentum"], frame["breadth"])
    return frame.with_columns(fear_greed=pl.select(composite).to_series())


class Estimate(NamedTuple):
    """One January's estimate of the filter."""

    year: int
    failed: str  # why it could not be made: the year is filtered as the one before was; empty where it was made


class Filtered(NamedTuple):
    """What the filter says of a market."""

    probabilities: NDArray[np.float64]  # (n_sessions, states), states by falling variance; NaN where unknown
    estimates: list[Estimate]


def filtered_probabilities(index: pl.DataFrame, *, states: int, min_sessions: int) -> Filtered:
    """Probability of each state at each session, given what was known at its close.

    index : DataFrame with `session` and `close`, sorted. Unknown before the first January that has `min_sessions`
    returns before it and an estimate. A January whose estimate fails keeps the parameters of the year before.

    A Markov-switching model of daily log returns, each state with a mean and a variance (Hamilton 1989,
    doi:10.2307/1912559; statsmodels): estimated each January on all that lies before it, filtered (never smoothed)
    through the year. So history cut at a session gives the same probabilities at that session. The first estimate
    starts from equal groups of sessions by volatility and each later one from the one before: nothing is drawn at
    random.

    States are told apart by their variance. The standard errors of means are for years as large as what lies between
    them, so that an order by means turns over from one January to the next, while that by variance stays; only states
    of about the same variance may change places. Stock markets rise less where their variance is high (Glosten,
    Jagannathan and Runkle 1993, doi:10.1111/j.1540-6261.1993.tb05128.x); of an index that does not, the first state is
    the most volatile one all the same.
    """
    probabilities, estimates = np.full((len(index), states), np.nan), []
    returns = 100.0 * index["close"].log().diff().to_numpy()[1:]
    years = index["session"].dt.year().to_numpy()[1:]
    starts = [*np.flatnonzero(np.diff(years, prepend=-1)), len(years)]
    parameters = None
    for start, end in itertools.pairwise(starts):
        if start < min_sessions:
            continue
        failed = ""
        try:
            parameters = _estimate(returns[:start], states, parameters)
        except UNFIT as error:
            failed = reason(error)
        if parameters is not None:
            first = max(start - BURN_IN, 0)
            probabilities[1 + start : 1 + end] = _filter(returns[first:end], states, parameters)[start - first :]
        estimates.append(Estimate(int(years[start]), failed))
    return Filtered(probabilities, estimates)


def _estimate(returns: NDArray, states: int, parameters: NDArray | None) -> NDArray:
    """Parameters by expectation maximisation from those of the year before.

    Raises one of UNFIT where there are none with which the returns can be filtered: a state may shrink to the sessions
    without any change of price, or to one that is never left.
    """
    from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

    if not returns.std() > 0.0:
        raise ValueError("the market does not move")
    steps = FIRST_STEPS if parameters is None else STEPS
    start = _grouped(returns, states) if parameters is None else parameters
    model = MarkovRegression(returns, k_regimes=states, switching_variance=True)
    with warnings.catch_warnings():
        # after these steps comes a search, of which none is asked for: it warns, and "nm" costs the least
        warnings.simplefilter("ignore")
        found = model.fit(start, em_iter=steps, maxiter=0, method="nm", return_params=True, disp=0)
    if not np.isfinite(found).all() or not np.isfinite(_filter(returns, states, found)).all():
        raise ValueError("its parameters are not finite")
    return found


def _grouped(returns: NDArray, states: int) -> NDArray:
    """Parameters to start from: sessions in equal groups by trailing volatility, states that last 50 sessions."""
    volatility = pl.Series(returns).rolling_std(VOLATILITY, min_samples=2).fill_null(0.0).to_numpy()
    groups = [returns[part] for part in np.array_split(np.argsort(-volatility, kind="stable"), states)]
    stay = np.where(np.eye(states, dtype=bool), 0.98, 0.02 / (states - 1))
    means, variances = [group.mean() for group in groups], [max(group.var(), 1e-6) for group in groups]
    return np.concatenate([stay[:, :-1].T.ravel(), means, variances])  # staying: from each state to all but the last


def _filter(returns: NDArray, states: int, parameters: NDArray) -> NDArray[np.float64]:
    """Filtered probabilities, states by falling variance."""
    from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

    model = MarkovRegression(returns, k_regimes=states, switching_variance=True)
    order = np.argsort(-parameters[-states:], kind="stable")
    found = model.filter(parameters, return_raw=True)  # without standard errors, which cost more than the filter
    return found.filtered_marginal_probabilities.T[:, order]


def held(probabilities: NDArray[np.float64], *, probability: float, sessions: int) -> NDArray[np.int64]:
    """The current state at each session: it changes when another had `probability` for `sessions` in a row.

    probabilities : shape (n_sessions, states), NaN rows where unknown. Returns shape (n_sessions,); −1 until there
    is a first; where probabilities are unknown the last state is kept, and the count begins again.

    >>> p = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    >>> held(p, probability=0.6, sessions=2)
    array([-1,  0,  0,  0,  0,  1])
    """
    states = np.full(len(probabilities), -1)
    best = np.where(np.isfinite(probabilities[:, 0]), np.nan_to_num(probabilities).argmax(axis=1), -1)
    sure = (best >= 0) & (np.nan_to_num(probabilities).max(axis=1) >= probability)
    current, candidate, run = -1, -1, 0
    for t in range(len(states)):
        run = (run + 1 if best[t] == candidate else 1) if sure[t] else 0
        candidate = best[t]
        if run >= sessions:
            current = candidate
        states[t] = current
    return states
