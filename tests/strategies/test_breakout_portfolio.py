"""The compiled loop against the plain telling of the rules, and each limit where it binds."""

import numpy as np
import pytest
from breakout_samples import PlainPortfolio, breakout_settings, random_market

from bq.kernels import breakout as kernel
from bq.strategies.breakout.backtest import DECISIONS, REASONS, backtest, follow, signals
from bq.strategies.breakout.performance import performance
from bq.strategies.breakout.prepare import prepare

CASES = {
    "defaults": {},
    "few slots": {"risk": {"max_positions": 2, "max_notional": 0.2}},
    "guard": {"risk": {"guard_positions": 2, "guard_average": 0.3, "guard_limit": 0.35, "max_notional": 0.08}},
    "small volume": {"risk": {"max_adv_share": 0.0005, "capital": 1e8}},
    "risky": {"risk": {"risk_per_trade": 0.05, "max_notional": 0.5}, "exit": {"hard_stop_atr_mult": 1.0}},
    "short holding": {"exit": {"max_holding_days": 5, "exit_ma": 20}, "eligibility": {"trend_ma": 20}},
    "full": {"risk": {"risk_per_trade": 0.05, "max_notional": 0.2, "max_exposure": 0.5}},
    "left by a shorter average": {"exit": {"exit_ma": 20}, "eligibility": {"trend_ma": 100}},
    "left by a longer average": {"exit": {"exit_ma": 50}, "eligibility": {"trend_ma": 20}},
}
SEEDS = range(6)


def both(seed, sections, *, probability=False, start=0, cut=0):
    settings = breakout_settings(**sections)
    prepared = prepare(random_market(seed), settings.universe)
    found = signals(prepared, settings)
    p = np.random.default_rng(seed).uniform(size=len(found.session)) if probability else None
    days = prepared.sessions
    last = len(days) - 1 - cut
    ours = backtest(prepared, settings, probability=p, start=days[start].item(), end=days[last].item())
    plain = PlainPortfolio(prepared, settings).run(ours.found, ours.priority, start=start, end=last)
    return prepared, ours, plain


def trades_of(ours):
    made, rows = ours.made, []
    for k in np.flatnonzero(made.when[:, 0] >= 0):
        when, numbers = made.when[k].tolist(), made.numbers[k].tolist()
        rows.append((int(k), *when, *numbers, REASONS[made.reasons[k]]))
    return rows


def plain_trades(plain):
    rows = []
    for p in sorted(plain.trades, key=lambda p: p["k"]):
        numbers = (p["units"], p["entry_price"], p.get("exit_price"), p.get("r"))
        rows.append((p["k"], p["entry"], p.get("exit", -1), *numbers, p.get("reason", "open")))
    return rows


def same(ours, plain):
    found, years = performance(ours), (len(plain.equity) - 1) / 252
    assert found.exposure == pytest.approx(np.mean(plain.exposure), rel=1e-9)
    assert found.turnover == pytest.approx(plain.traded / np.mean(plain.equity) / years, rel=1e-9)
    assert [DECISIONS[d] for d in ours.decision] == [plain.decisions[k] for k in range(len(ours.decision))]
    assert ours.equity.tolist() == plain.equity
    mine = [tuple(None if value != value else value for value in row) for row in trades_of(ours)]
    assert mine == plain_trades(plain)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sections", CASES.values(), ids=CASES.keys())
def test_the_compiled_loop_and_the_plain_one_agree_exactly(seed, sections):
    _, ours, plain = both(seed, sections)
    assert len(plain.trades) >= 5
    same(ours, plain)


@pytest.mark.parametrize("mode", ["score_enhancement", "filter", "replace"])
def test_they_agree_with_probabilities_and_on_a_part_of_the_sessions(mode):
    sections = {"ml": {"enabled": True, "prediction_mode": mode}, "risk": {"max_positions": 2}}
    _, ours, plain = both(3, sections, probability=True, start=150, cut=30)
    assert (ours.by_day[0, 0], len(plain.trades) >= 5) == (1e6, True)
    same(ours, plain)


def test_the_random_markets_reach_every_decision_and_every_way_out():
    decisions, reasons = set(), set()
    for seed in SEEDS:
        for sections in CASES.values():
            _, ours, _ = both(seed, sections)
            decisions |= {DECISIONS[d] for d in ours.decision}
            reasons |= {REASONS[k] for k in ours.made.reasons[ours.taken]}
    assert decisions >= {"taken", "held", "slots", "guard", "exposure"}
    assert reasons >= {"stop", "average", "holding", "delisted", "lapsed", "open"}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["defaults", "left by a shorter average"])
def test_a_signal_followed_on_its_own_takes_the_same_way_as_the_trade_that_was_made_of_it(seed, name):
    settings = breakout_settings(**CASES[name])
    prepared = prepare(random_market(seed), settings.universe)
    ours = backtest(prepared, settings)
    alone = follow(prepared, ours.found, settings)
    taken = ours.taken
    assert (alone.when[taken] == ours.made.when[taken]).all() and taken.any()
    assert (alone.reasons[taken] == ours.made.reasons[taken]).all()
    assert np.nanmax(np.abs(alone.numbers[taken, 3] - ours.made.numbers[taken, 3])) < 0.05  # size of the slippage alone
    assert DECISIONS.index("taken") == kernel.TAKEN


@pytest.mark.parametrize("rate", [1.6e-4, 1e-7, 0.0], ids=["bill", "tiny", "nothing"])
def test_a_curve_that_rises_evenly_has_a_return_and_no_ratio(rate):
    from bq.strategies.breakout.performance import _of_curve

    found = _of_curve(1e5 * (1.0 + rate) ** np.arange(900), 252)
    assert found["annual_return"] == pytest.approx((1.0 + rate) ** 252 - 1.0, rel=1e-6, abs=1e-12)
    assert all(np.isnan(found[name]) for name in ("sharpe_ratio", "sortino_ratio", "calmar_ratio"))
