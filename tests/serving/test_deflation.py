"""Looks deflate what is earned, and what is earned beyond others, by what the looks earned beyond the same."""

import datetime as dt
import os

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom

from bq.core.settings import Gate
from bq.serving import deflation, ledger
from bq.stats.intercept import intercept
from bq.strategies.component import Kind

GATE = Gate(min_deflated_probability=0.95)
BOTH = (Kind.ALPHA, Kind.OVER_ALL)


def frame(**columns) -> pl.DataFrame:
    count = len(next(iter(columns.values())))
    return pl.DataFrame({"session": [dt.date(2012, 1, 6) + dt.timedelta(weeks=i) for i in range(count)], **columns})


def trend(seed: int, *, looks: int = 0, n: int = 200) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Everything earns a standard deviation a session; no choice adds anything. The pairs, and looks like the model."""
    rng = np.random.default_rng(seed)
    everything = 1.0 + rng.standard_normal(n)
    pairs = frame(
        everything=everything,
        baseline=everything + rng.standard_normal(n),
        model=everything + rng.standard_normal(n),
    )
    names = [f"gate/run{i}/0" for i in range(looks)]
    tried = {name: everything + rng.standard_normal(n) for name in names}
    return pairs, frame(session_number=np.arange(n), **tried).drop("session_number")


def parts(pairs, trials, **more):
    return {c.kind: c for c in deflation.components(pairs, trials, GATE, beyond=BOTH, **more)}


def test_without_looks_it_is_the_probability_of_each_series():
    pairs, none = trend(1)
    found = parts(pairs, none)
    net = ledger.deflate(pairs.select("session", value="model"), none, least=0.95)
    assert found[Kind.DEFLATED_SHARPE].value == pytest.approx(min(net.probability, net.revised))
    beyond = intercept(pairs["model"].to_numpy(), pairs["everything"].to_numpy())
    over = ledger.deflate(pairs.select("session", value=pl.Series(beyond)), none, least=0.95)
    shown = found[Kind.DEFLATED_UPLIFT]
    assert shown.more["beyond"] == Kind.OVER_ALL and shown.value == pytest.approx(min(over.probability, over.revised))


def test_where_being_long_is_known_the_ratio_is_of_what_is_earned_beyond_it():
    """By what looks earned beyond being long too: of what moves with the market, nothing is left to deflate."""
    pairs, tried = trend(2, looks=3)
    long = pairs["everything"]
    pairs = pairs.with_columns(hedge_model=long, hedge_baseline=long, hedge_everything=long)
    found = parts(pairs, tried)[Kind.DEFLATED_SHARPE]
    beyond = pl.Series(intercept(pairs["model"].to_numpy(), long.to_numpy()))
    looks = tried.with_columns(
        pl.Series(name, intercept(tried[name].to_numpy(), long.to_numpy())) for name in tried.columns[1:]
    )
    alone = ledger.deflate(pairs.select("session", value=beyond), looks, least=0.95)
    assert found.more["beyond"] == Kind.OVER_LONG
    assert found.value == pytest.approx(min(alone.probability, alone.revised))
    assert parts(pairs.drop("hedge_model", "hedge_baseline", "hedge_everything"), tried)[Kind.DEFLATED_SHARPE].holds


def test_it_is_not_asked_where_the_parameters_do_not_ask():
    pairs, none = trend(1)
    off = GATE.model_copy(update={"min_deflated_probability": None})
    assert deflation.components(pairs, none, off, beyond=BOTH) == []


def test_a_model_that_is_the_rule_has_no_ratio_beyond_it():
    pairs, none = trend(1)
    same = pairs.with_columns(model=pl.col("baseline"), everything=pl.col("baseline"))
    found = parts(same, none)
    assert found[Kind.DEFLATED_SHARPE].holds is not None
    assert found[Kind.DEFLATED_UPLIFT].holds is None and "vary" in found[Kind.DEFLATED_UPLIFT].reason


FULL = bool(os.environ.get("BQ_FULL"))  # `make claims`: the whole claim; else a small form of it
RUNS = 300 if FULL else 20


@pytest.mark.calibration
def test_the_best_of_thirty_useless_choices_in_a_trend_is_not_taken_for_skill():
    """By its result alone every one of them would be; 5% and the multiplier's error, at most 10%."""
    passed, by_result = 0, 0
    for seed in range(RUNS):
        pairs, trials = trend(seed, looks=29)
        choices = ["model", *trials.columns[1:]]
        over = pairs.join(trials, on="session").select(pl.col(choices) - pl.col("everything"))
        best = max(choices, key=lambda name: over[name].mean() / over[name].std())
        whole = pairs.join(trials, on="session")
        chosen = whole.with_columns(model=pl.col(best)).select(pairs.columns)
        others = whole.select("session", *(pl.col(name).alias(f"gate/x{i}/0") for i, name in enumerate(choices)))
        found = parts(chosen, others.drop(f"gate/x{choices.index(best)}/0"))
        passed += found[Kind.DEFLATED_UPLIFT].holds is True
        by_result += found[Kind.DEFLATED_SHARPE].holds is True
    assert by_result == RUNS
    assert passed <= binom.ppf(0.999, RUNS, 0.10)


@pytest.mark.calibration
@pytest.mark.parametrize("span", [1, 5])
def test_outcomes_that_overlap_are_one_observation_a_holding_time(span):
    """A result of mean 0 in overlapping outcomes is called positive at 95% in 5% of cases, by either probability."""
    wrong = 0
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        values = np.convolve(rng.standard_normal(300 + span - 1), np.ones(span) / np.sqrt(span), "valid")
        one = deflation.components(frame(model=values), frame(model=values).select("session"), GATE, span=span)
        wrong += one[0].holds is True
        assert one[0].sessions == 300
    assert wrong <= binom.ppf(0.999, RUNS, 0.05)


def test_a_ratio_is_of_a_session_again():
    """Five equal values in a row are one observation: the ratio of those, over √5."""
    values = np.repeat(np.random.default_rng(0).normal(0.2, 1.0, 60), 5)
    found = deflation.components(frame(model=values), frame(model=values).select("session"), GATE, span=5)[0]
    own = values[::5]
    assert found.more["sharpe"] == pytest.approx(own.mean() / own.std(ddof=1) / np.sqrt(5))
