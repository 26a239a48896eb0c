"""What a rising market alone gives a breakout is worked out by hand, and taken out of what is judged."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from breakout_samples import breakout_settings, days_of, market_of

from bq import strategies
from bq.core.settings import Gate
from bq.serving import earned
from bq.strategies.breakout.trend import hedge
from bq.strategies.component import Kind

DAYS = days_of(300)


def market(**closes):
    """Bars of symbols by their closes, on the first sessions."""
    return market_of(
        {
            symbol: pl.DataFrame(
                {"session": DAYS.head(len(close)), **dict.fromkeys(("open", "high", "low", "close"), close)}
            ).with_columns(volume=pl.lit(1e6))
            for symbol, close in closes.items()
        }
    )


def signals(at, until, stop):
    """Signals of session numbers, held until others, with their stops' shares."""
    noon = dt.time(21, 0)
    t1 = [dt.datetime.combine(DAYS[int(i)], noon, dt.UTC) for i in until]
    t0 = [dt.datetime.combine(DAYS[int(i)], noon, dt.UTC) for i in at]
    return pl.DataFrame({"session": [DAYS[int(i)] for i in at], "t0": t0, "t1": t1, "stop_share": stop})


def test_it_is_the_benchmarks_return_over_the_share_of_the_stop():
    bench = [100.0, 101.0, 102.0, 110.0, 99.0]
    given = signals([3, 0, 1], [4, 3, 2], [0.10, 0.05, 0.02])
    found = hedge(given, breakout_settings(universe={"benchmark": "IDX"}), market(IDX=bench, A=[5.0] * 5))
    assert found.to_list() == pytest.approx([(99 / 110 - 1) / 0.1, 0.1 / 0.05, (102 / 101 - 1) / 0.02])


def test_without_a_benchmark_it_is_the_mean_return_of_what_is_traded():
    given = signals([0], [2], [0.1])
    settings = breakout_settings(universe={"benchmark": None, "index_symbols": ["IDX"]})
    found = hedge(given, settings, market(IDX=[1.0, 9.0, 9.0], A=[10.0, 11.0, 11.0], B=[10.0, 10.0, 12.0]))
    assert found.to_list() == pytest.approx([(1.05 * 1.1 - 1) / 0.1])


def trending(seed, *, names=8, skill=0.0, drift=0.001):
    """Signals whose R is the index over the stop's share, and noise; the model likes tight stops, or the noise."""
    rng = np.random.default_rng(seed)
    index = 100.0 * np.exp(np.cumsum(drift + 0.008 * rng.standard_normal(300)))
    at = np.repeat(np.arange(0, 280, 2), names)
    stop = rng.choice([0.02, 0.08], len(at))
    noise = 0.6 * rng.standard_normal(len(at))
    outcome = (index[at + 10] / index[at] - 1.0) / stop + noise
    return market(IDX=index, A=index), signals(at, at + 10, stop).with_columns(
        event_id=pl.Series([f"{i:05d}" for i in range(len(at))]),
        outcome=outcome,
        score=rng.standard_normal(len(at)),
        expected=-stop + 0.001 * rng.standard_normal(len(at)) if not skill else skill * noise,
    )


def judged(seed, *, hedged, **law):
    data, oos = trending(seed, **law)
    settings = breakout_settings(universe={"benchmark": "IDX"}, gate=Gate(draws=1000, min_blocks=5).model_dump())
    pairs = earned.results(oos, strategies.get("breakout"), settings, data if hedged else None)
    return {component.kind: component for component in earned.recipe(oos, pairs, "net R", settings)}


@pytest.mark.parametrize(("kind", "bias"), [(Kind.ALPHA, 0.05), (Kind.OVER_ALL, 0.01), (Kind.OVER_LONG, 0.1)])
def test_tight_stops_in_a_rising_market_are_exposure_and_no_choice(kind, bias):
    """They earn four times the R where everything rises; the hedge takes it out."""
    bare = Kind.NET if kind == Kind.OVER_LONG else kind  # what is asked where being long is not known
    plain = [judged(seed, hedged=False)[bare] for seed in range(12)]
    hedged = [judged(seed, hedged=True)[kind] for seed in range(12)]
    assert np.mean([found.value for found in plain]) > bias
    assert abs(np.mean([found.value for found in hedged])) < 0.5 * np.mean([found.value for found in plain])
    assert sum(found.holds is True for found in hedged) <= 1


def test_what_a_market_gives_decides_no_more_whether_skill_is_seen():
    """Beyond being long the bound is an alpha's; the mean of what is earned must be positive beside it."""
    bare, hedged = ([judged(seed, hedged=on, skill=0.3) for seed in range(6)] for on in (False, True))
    assert all(found[Kind.OVER_LONG].holds and found[Kind.NET].holds for found in hedged)
    assert all(found[Kind.NET].alpha is None for found in hedged) and Kind.OVER_LONG not in bare[0]
    reach = [
        [found[kind].value - found[kind].low for found in part]
        for kind, part in ((Kind.NET, bare), (Kind.OVER_LONG, hedged))
    ]
    assert np.mean(reach[1]) < 0.7 * np.mean(reach[0])


def test_who_loses_less_than_the_market_is_not_deployed():
    found = judged(0, hedged=True, skill=0.3, drift=-0.006)
    assert found[Kind.OVER_LONG].holds and found[Kind.NET].value < 0 and found[Kind.NET].holds is False


@pytest.mark.parametrize("kind", [Kind.ALPHA, Kind.OVER_ALL])
def test_skill_among_signals_is_seen_more_clearly_without_the_market(kind):
    plain, hedged = ([judged(seed, hedged=on, skill=0.3)[kind] for seed in range(6)] for on in (False, True))
    assert all(found.holds for found in hedged)
    reach = [[found.value - found.low for found in part] for part in (plain, hedged)]
    assert np.mean(reach[1]) < 0.7 * np.mean(reach[0])
