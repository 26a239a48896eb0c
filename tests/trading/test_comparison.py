"""What tracks made, and whether one is better: figures by hand, differences, and a verdict that waits."""

import datetime as dt
import os

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom, binomtest

from bq.market.calendars import sessions
from bq.simulate.books import Law, books
from bq.stats import power
from bq.trading import comparison, unpaired, watched
from bq.trading.comparison import Material, Question, Verdict
from bq.trading.costs import Cost
from bq.trading.tracks import Split
from bq.trading.trades import TRADES

FULL = bool(os.environ.get("BQ_FULL"))
DAYS = sessions("XNYS").filter(pl.col("session") >= dt.date(2016, 1, 4))["session"].to_list()


def daily(**results):
    """Daily P&L in currency, by track."""
    return pl.concat(
        pl.DataFrame({"track": [name] * len(pnl), "session": DAYS[: len(pnl)], "pnl": np.asarray(pnl, float)})
        for name, pnl in results.items()
    )


def trades(*rows):
    """track, symbol, pnl, risk, predicted; a pnl of None: still open."""
    made = [
        (track, symbol, f"e{n}", DAYS[0], DAYS[1], None if pnl is None else DAYS[5], pnl, risk, 500.0, 2.0, "real", p)
        for n, (track, symbol, pnl, risk, p) in enumerate(rows)
    ]
    return pl.DataFrame(made, schema=TRADES | {"predicted": pl.Float64()}, orient="row")


def material(returns, made=None, *, capital=None, given=None, **more):
    names = list(returns)
    capital = capital or dict.fromkeys(names, 1000.0)
    scaled = {name: np.asarray(values) * capital[name] for name, values in returns.items()}
    return Material(
        daily(**scaled), trades() if made is None else made, capital, given or dict.fromkeys(names, 1.0), **more
    )


def test_figures_of_a_track_by_hand():
    """Returns 1%, −2%, 0, 3%: sum 2%; fallen by 2% from +1%; deviation below 0 is √(4/4) %."""
    made = trades(("A", "X", 50.0, 100.0, 0.5), ("A", "Y", -20.0, 100.0, 0.7), ("A", "Z", None, 100.0, 0.9))
    cost = Cost("A", 4, 1, 9.0, 6.0, 1.0, 1.0)
    a, b = comparison.compare(
        Question.DECISIONS, material({"A": [0.01, -0.02, 0.0, 0.03], "B": [0.0] * 4}, made, costs=[cost]), "B"
    ).figures
    assert (a.sessions, a.trades, a.still_open, a.told) == (4, 2, 1, 2)
    assert a.total == pytest.approx(0.02) and a.drawdown == pytest.approx(0.02)
    assert a.sharpe == pytest.approx(0.005 / np.std([0.01, -0.02, 0, 0.03], ddof=1) * 252**0.5)
    assert a.sortino == pytest.approx(0.005 / 0.01 * 252**0.5)
    assert (a.win_rate.value, a.win_rate.n) == (0.5, 2) and a.outcome == pytest.approx((0.5 - 0.2) / 2)
    assert a.predicted == pytest.approx(0.6) and a.realised == 0.5
    assert a.turnover == pytest.approx(3 * 500 / 1000 / (4 / 252)) and a.fees == pytest.approx(6 / 1000)
    assert a.cost.slippage == pytest.approx(3.0)
    near = material({"A": [0.0] * 4, "B": [0.0] * 4}, made, zone=0.6)
    assert comparison.compare(Question.DECISIONS, near, "B").figures[0].realised == 0.0  # .5 of the risk is not .6
    assert b.trades == 0 and np.isnan(b.sharpe) and np.isnan(b.outcome) and b.cost is None


def planted(n, difference, *, correlation=0.9, seed=1):
    """Two tracks whose daily returns have a deviation of 1%; the first earns more by `difference`."""
    rng = np.random.default_rng(seed)
    common, own = rng.standard_normal(n), rng.standard_normal((2, n))
    both = 0.01 * (np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own)
    return {"A": both[0] + difference, "B": both[1]}


def only(returns, **more):
    (found,) = comparison.compare(Question.DECISIONS, material(returns, **more), "B").differences
    return found


def test_a_planted_difference_is_found_by_every_method():
    found = only(planted(2000, 0.0008))
    assert comparison.verdict(found) == Verdict.BETTER
    assert found.a_year.low < 0.0008 * 252 < found.a_year.high and found.a_year.low > 0
    assert found.sharpe.low * 252**0.5 < 1.27 < found.sharpe.high * 252**0.5 and found.sharpe.p < 0.05
    assert found.correlation == pytest.approx(0.9, abs=0.02) and found.saved == pytest.approx(0.9, abs=0.02)
    assert found.first_apart is not None and found.first_apart < DAYS[1999]
    worse = only({"A": planted(2000, 0.0008)["B"], "B": planted(2000, 0.0008)["A"]})
    assert comparison.verdict(worse) == Verdict.WORSE


def test_the_time_to_a_verdict_is_the_calculator_s_at_today_s_difference():
    found = only(planted(600, 0.0002))
    effect = found.look.values.mean() / found.look.values.std(ddof=1)
    assert comparison.verdict(found) == Verdict.OPEN
    assert found.needed == 5 * power.observations(effect, alpha=0.05, sharpest_at=100)


@pytest.mark.parametrize(("n", "expected"), [(99, Verdict.TOO_FEW), (100, Verdict.BETTER)], ids=["nineteen", "twenty"])
def test_there_is_no_verdict_before_the_twentieth_observation(n, expected):
    assert comparison.verdict(only(planted(n, 0.05))) == expected


def test_observations_that_depend_on_each_other_give_no_verdict():
    trend = np.repeat(np.linspace(0.001, 0.01, 30), 5)
    assert comparison.verdict(only({"A": trend, "B": np.zeros(150)})) == Verdict.DEPENDENT


def test_a_tilted_split_voids_whatever_was_found():
    found = only(planted(2000, 0.0008))
    assert comparison.verdict(found, Split(900, 0.04)) == Verdict.VOID
    assert comparison.verdict(found, Split(900, 0.06)) == Verdict.BETTER


def test_results_are_divided_by_the_share_of_opportunities_that_a_track_had():
    """Half of the draws and half of the capital: 1% on that capital would have been 2% of every opportunity."""
    same = planted(300, 0.0)["B"]
    found = comparison.compare(
        Question.EXECUTIONS,
        material({"A": 0.7 * same, "B": 0.3 * same}, capital={"A": 700.0, "B": 300.0}, given={"A": 0.7, "B": 0.3}),
        "B",
    )
    assert np.abs(found.differences[0].look.values).max() < 1e-12
    assert found.figures[0].total == pytest.approx(0.7 * same.sum())


def test_of_three_tracks_superior_ability_is_tested_on_losses_by_arch():
    from arch.bootstrap import SPA

    returns = planted(500, 0.002) | {"C": planted(500, 0.0, seed=3)["A"]}
    found = comparison.compare(Question.DECISIONS, material(returns), "B")
    ours = {name: -np.asarray(values) for name, values in returns.items()}
    oracle = SPA(ours["B"], np.column_stack([ours["A"], ours["C"]]), block_size=10, reps=2000, seed=20260501)
    oracle.compute()
    assert found.superior == pytest.approx(oracle.pvalues["consistent"], abs=0.02) and found.superior < 0.05
    worse = comparison.compare(Question.DECISIONS, material(returns | {"B": planted(500, 0.004, seed=5)["A"]}), "B")
    assert worse.superior > 0.5
    assert comparison.compare(Question.DECISIONS, material(planted(500, 0.0)), "B").superior is None


# ---- unpaired: executions


def opportunities(n, *, effect, seed, correlation=0.6):
    rng = np.random.default_rng(seed)
    score, symbol, first = rng.standard_normal(n), rng.integers(0, 25, n), rng.random(n) < 0.7
    shock = 0.3 * rng.standard_normal(25)[symbol]
    value = correlation * score + np.sqrt(1 - correlation**2) * rng.standard_normal(n) + effect * first + shock
    names = np.where(first, "A", "B")
    return pl.DataFrame({"track": names, "symbol": symbol.astype(str), "value": value, "score": score})


def test_cuped_saves_what_the_score_explains_and_says_so():
    """Within groups the variance is 1 + .09, of which the score explains .36."""
    (found,) = [unpaired.executed(trades(), opportunities(5000, effect=0.1, seed=2), "A", "B")]
    assert found.adjusted.saved == pytest.approx(0.36 / 1.09, abs=0.03)
    plain, adjusted = (one.high - one.low for one in (found.opportunity, found.adjusted))
    assert adjusted < 0.9 * plain
    assert found.adjusted.low < 0.1 < found.adjusted.high
    assert (found.adjusted.n_first + found.adjusted.n_base, found.adjusted.clusters) == (5000, 25)


def test_intervals_of_trades_hold_where_those_of_a_symbol_go_together():
    """150 experiments without a difference: an interval for independent trades is wrong too often, this one is not."""
    rng, wrong, naive = np.random.default_rng(6), 0, 0
    for _ in range(150):
        symbol = np.repeat(np.arange(20), 15)
        first = np.repeat(rng.random(20) < 0.5, 15)  # a symbol is mostly one track's
        first ^= rng.random(300) < 0.1
        value = rng.standard_normal(20)[symbol] + rng.standard_normal(300)
        rows = [
            (("A" if one else "B"), f"S{s}", float(v), 1.0, None)
            for one, s, v in zip(first, symbol, value, strict=True)
        ]
        one = unpaired.executed(trades(*rows), pl.DataFrame(schema=unpaired.OPPORTUNITIES), "A", "B").outcome
        wrong += not one.low <= 0.0 <= one.high
        error = value.std() * np.sqrt(1 / first.sum() + 1 / (~first).sum())
        naive += abs(one.difference) > 1.96 * error
    assert naive > 35 and wrong < 20


def test_trades_of_few_symbols_have_no_interval_and_a_track_without_any_no_comparison():
    few = trades(*[(name, f"S{n % 2}", 1.0 * n, 1.0, None) for n in range(8) for name in "AB"])
    made = unpaired.executed(few, pl.DataFrame(schema=unpaired.OPPORTUNITIES), "A", "B")
    assert np.isnan(made.outcome.low) and made.outcome.difference == 0.0
    assert made.opportunity is None and made.adjusted is None
    none = unpaired.executed(few.filter(track="A"), pl.DataFrame(schema=unpaired.OPPORTUNITIES), "A", "B")
    assert none.outcome is None and none.win_rate is None


# ---- A/A and planted differences


def test_simulated_rules_of_equal_skill_share_trades_and_earn_the_same():
    made = [books(Law(), sessions=1500, seed=seed) for seed in range(16)]
    apart = np.array([one.first.mean() - one.second.mean() for one in made])
    assert abs(apart.mean()) < 4 * apart.std() / 16**0.5
    assert 0.25 < np.mean([one.overlap for one in made]) < 0.40
    assert np.mean([np.corrcoef(one.first, one.second)[0, 1] for one in made]) > 0.8


@pytest.mark.calibration
def test_rules_of_equal_skill_are_seldom_told_apart_by_who_looks_every_day_for_twelve_years():
    """Estimand: share of histories in which the sequence excludes 0 on any day; truth: no difference. Seeds fixed.

    1,000 histories in full, at most 50; 30 in the suite, at most what 5% give in 999 of 1,000 suites.
    """
    histories = 1000 if FULL else 30
    found = watched.watch(Law(), histories=histories)
    assert found.apart <= (50 if FULL else binom.ppf(0.999, histories, 0.05))
    assert 0.25 < found.overlap < 0.40 and abs(found.effect) < 4 / np.sqrt(histories * 604)


PLANTED = Law(first=0.9)


@pytest.mark.calibration
def test_a_planted_difference_is_found_near_the_calculator_s_figure():
    """Histories as long as the calculator asks for 80%: who looks every day finds it in 80 to 95% of them."""
    histories = 400 if FULL else 30
    effect = watched.watch(PLANTED, histories=histories, seed=1).effect
    planned = 5 * power.observations(effect, alpha=0.05, sharpest_at=100)
    found = watched.watch(PLANTED, histories=histories, sessions=planned)
    assert found.wrongly == 0
    assert binomtest(found.apart, histories, 0.80, alternative="less").pvalue > 0.01
    assert binomtest(found.apart, histories, 0.95, alternative="greater").pvalue > 0.01
    assert 0.2 * planned < found.sessions < planned
