"""Each limit binds where it should, in figures that can be checked by hand."""

import numpy as np
import polars as pl
import pytest
from breakout_samples import FIELDS, breakout_settings, days_of, market_of

from bq.strategies.breakout.backtest import backtest
from bq.strategies.breakout.prepare import prepare

DAYS = days_of(320)
SIGNAL = 200  # the session whose close jumps
ONLY_JUMPS = {"fast_clearance": 0.01, "slow_clearance": 0.01}
FREE = {"fee_bps": 0.0, "slippage_bps": 0.0}


def jumper(seed, *, common=None, spread=0.002, after=0.001, volume=1e6, **changes):
    """A quiet rise with one jump at SIGNAL; changes: {session: {field: value}} by name of the field."""
    noise = np.random.default_rng(seed).standard_normal(len(DAYS)) if common is None else common
    step = 0.001 + 0.004 * noise
    step[SIGNAL] = 0.04
    step[SIGNAL + 1 :] = after
    close = 50.0 * np.exp(np.cumsum(step))
    opens = np.append(close[0], close[:-1])
    high, low = np.maximum(opens, close) * (1 + spread), np.minimum(opens, close) * (1 - spread)
    arrays = dict(zip(FIELDS, (opens, high, low, close, np.full(len(DAYS), volume)), strict=True))
    for field, values in changes.items():
        for session, value in values.items():
            arrays[field][session] = value
    return pl.DataFrame({"session": DAYS, **arrays})


def run(frames, **sections):
    frames = {**frames, "Z": jumper(99, volume=1.0)}  # hardly traded, never eligible
    settings = breakout_settings(**{"entry": ONLY_JUMPS, "costs": FREE, **sections})
    prepared = prepare(market_of(frames), settings.universe)
    return prepared, backtest(prepared, settings, start=DAYS[SIGNAL])


def ten(**more):
    return {f"S{i}": jumper(i, **more) for i in range(10)}


def decisions(result):
    return dict(result.signals["decision"].value_counts().rows())


def test_no_more_than_max_positions_are_held_and_the_highest_scores_win():
    _, result = run(ten(), risk={"max_positions": 3, "max_notional": 0.05})
    assert decisions(result) == {"taken": 3, "slots": 7}
    taken = result.signals.filter(pl.col("decision") == "taken")["score"]
    assert taken.min() >= result.signals.filter(pl.col("decision") == "slots")["score"].max()
    assert result.days["positions"].max() == 3


def test_equal_scores_are_served_in_the_order_of_their_names():
    _, result = run({name: jumper(1) for name in ("B", "A", "C")}, risk={"max_positions": 2})
    assert result.signals.filter(pl.col("decision") == "taken")["symbol"].to_list() == ["A", "B"]


def test_exposure_stays_within_its_share_and_what_does_not_fit_is_refused_whole():
    _, result = run(
        ten(), risk={"max_positions": 10, "max_notional": 0.15, "max_exposure": 0.8, "risk_per_trade": 0.05}
    )
    assert decisions(result) == {"taken": 5, "exposure": 5}  # 5 × 15% = 75%
    assert result.days["exposure"][1] == pytest.approx(0.75, abs=0.01)


def gap(frame, by):
    """The frame from the session after SIGNAL on at prices higher by a share."""
    later = pl.int_range(pl.len()) > SIGNAL
    return frame.with_columns(
        pl.when(later).then(pl.col(name) * (1.0 + by)).otherwise(name).alias(name) for name in FIELDS[:4]
    )


def test_exposure_stays_within_its_share_where_the_market_opens_far_above_the_close():
    """Three orders of a quarter each fit under .80 at the close. All open 60% higher: at .25 × 1.6 = .40 of the equity
    each, two of them fill whole and nothing is left for the third; without the limit 1.2 of it would be spent."""
    risk = {"max_notional": 0.25, "max_exposure": 0.8, "risk_per_trade": 0.05}
    frames = {name: gap(jumper(i, after=0.0, volume=1e8), 0.6) for i, name in enumerate("ABC")}
    _, result = run(frames, risk=risk)
    ordered = result.signals.filter(pl.col("session") == DAYS[SIGNAL])
    assert ordered["decision"].to_list() == ["taken"] * 3
    first = result.trades.filter(pl.col("entry_session") == DAYS[SIGNAL + 1])
    assert (first["quantity"] * first["entry_price"]).to_list() == pytest.approx([0.4e6, 0.4e6])
    assert result.days["exposure"][1] == pytest.approx(0.8, abs=1e-6)


def test_an_order_that_fits_in_part_at_the_open_is_cut_and_one_that_fits_is_not():
    """Opens at +20%: .25 × 1.2 = .30 twice, and .20 of the third."""
    risk = {"max_notional": 0.25, "max_exposure": 0.8, "risk_per_trade": 0.05}
    frames = {name: gap(jumper(i, after=0.0, volume=1e8), 0.2) for i, name in enumerate("ABC")}
    _, result = run(frames, risk=risk)
    first = result.trades.filter(pl.col("entry_session") == DAYS[SIGNAL + 1])
    paid = sorted((first["quantity"] * first["entry_price"]).to_list())
    assert paid == pytest.approx([0.2e6, 0.3e6, 0.3e6])
    _, free = run(frames, risk={**risk, "max_exposure": 1.0})
    whole = free.trades.filter(pl.col("entry_session") == DAYS[SIGNAL + 1])
    assert (whole["quantity"] * whole["entry_price"]).to_list() == pytest.approx([0.3e6] * 3)


def scale(frame):
    """Median of the last 252 twenty-session volatilities over the present one, by pandas."""
    volatility = np.log(frame["close"].to_pandas()).diff().rolling(20).std(ddof=0)[: SIGNAL + 1]
    return min(max(volatility.tail(252).median() / volatility.iloc[-1], 0.33), 1.0)


@pytest.mark.parametrize(
    "spread, volume, expected",
    [
        (0.05, 1e6, lambda f, close, atr: 0.0075 * 1e6 * scale(f) / (2.5 * atr)),
        (0.001, 1e8, lambda f, close, atr: 0.05 * 1e6 / close),
        (0.001, 1e5, lambda f, close, atr: 0.005 * 1e5 * f["close"][SIGNAL - 19 : SIGNAL + 1].mean() / close),
    ],
    ids=["risk to the stop", "notional", "share of the dollar volume"],
)
def test_an_order_is_as_large_as_the_narrowest_of_its_limits_allows(spread, volume, expected):
    frame = jumper(1, spread=spread, volume=volume)
    prepared, result = run({"S": frame}, risk={"max_notional": 0.05 if volume > 1e6 else 0.15})
    close, atr = prepared.measures.close[SIGNAL, 0], prepared.measures.atr[SIGNAL, 0]
    assert result.trades["quantity"].to_list() == pytest.approx([expected(frame, close, atr)])


@pytest.mark.parametrize("shake, least", [(0.0, 0.4), (0.02, 0.33)], ids=["a little", "down to a third"])
def test_volatility_above_its_median_makes_orders_smaller(shake, least):
    noise = np.random.default_rng(1).standard_normal(len(DAYS))
    noise[SIGNAL - 20 : SIGNAL] += np.where(np.arange(20) % 2, 1, -1) * shake / 0.004
    frame = jumper(1, spread=0.05, common=noise)
    prepared, result = run({"S": frame})
    units = result.trades["quantity"][0] * 2.5 * prepared.measures.atr[SIGNAL, 0] / (0.0075 * 1e6)
    assert units == pytest.approx(scale(frame))
    assert units < 1 and units == pytest.approx(least, abs=0.1)


def test_the_guard_refuses_what_moves_with_four_positions_that_move_together():
    common = np.random.default_rng(0).standard_normal(len(DAYS))
    risk = {"max_notional": 0.05, "max_positions": 10}
    _, together = run(ten(common=common), risk=risk)
    _, apart = run(ten(), risk=risk)
    assert decisions(together) == {"taken": 4, "guard": 6}
    assert decisions(apart) == {"taken": 10}


def test_the_guard_asks_both_for_the_positions_and_for_the_newcomer():
    common = np.random.default_rng(0).standard_normal(len(DAYS))
    risk = {"max_notional": 0.05, "max_positions": 10}
    _, never = run(ten(common=common), risk={**risk, "guard_average": 1.0})
    _, free = run(ten(common=common), risk={**risk, "guard_limit": 1.0})
    assert decisions(never) == decisions(free) == {"taken": 10}


def stop_of(prepared):
    return prepared.measures.open[SIGNAL + 1, 0] - 2.5 * prepared.measures.atr[SIGNAL, 0]


def test_the_stop_fills_at_its_level_and_at_the_open_where_that_lies_below():
    prepared, inside = run({"S": jumper(1, low={SIGNAL + 5: 20.0})})
    _, gap = run({"S": jumper(1, low={SIGNAL + 5: 20.0}, open={SIGNAL + 5: 30.0})})
    assert inside.trades.select("exit_price", "reason").row(0) == (pytest.approx(stop_of(prepared)), "stop")
    assert gap.trades.select("exit_price", "reason").row(0) == (30.0, "stop")
    assert inside.trades["r"][0] == pytest.approx(-1.0)
    assert gap.trades["r"][0] < -5.0


def test_the_stop_is_live_on_the_entry_bar_and_comes_before_everything_else():
    _, entry = run({"S": jumper(1, low={SIGNAL + 1: 20.0})})
    assert entry.trades.select("entry_session", "exit_session", "reason").row(0) == (DAYS[201], DAYS[201], "stop")
    below = {SIGNAL + 3: 45.0}  # the close falls below the average and, on the way, through the stop
    _, both = run({"S": jumper(1, close=below, low=below)})
    assert both.trades.select("exit_session", "reason").row(0) == (DAYS[SIGNAL + 3], "stop")


def test_a_close_below_the_average_is_left_at_the_next_open():
    wide = {"hard_stop_atr_mult": 10.0}
    _, result = run({"S": jumper(1, spread=0.02, close={SIGNAL + 3: 50.0})}, exit=wide)
    row = result.trades.select("exit_session", "reason").row(0)
    assert row == (DAYS[SIGNAL + 4], "average")
    assert result.trades["exit_price"][0] == pytest.approx(result.prepared.measures.open[SIGNAL + 4, 0])


def test_what_is_still_held_after_the_longest_holding_time_is_closed_at_the_close():
    prepared, result = run({"S": jumper(1)}, exit={"max_holding_days": 60})
    assert result.trades.select("exit_session", "reason").row(0) == (DAYS[SIGNAL + 60], "holding")
    assert result.trades["exit_price"][0] == prepared.measures.close[SIGNAL + 60, 0]
    _, absent = run({"S": jumper(1).filter(pl.col("session") != DAYS[SIGNAL + 60])}, exit={"max_holding_days": 60})
    assert absent.trades.select("exit_session", "reason").row(0) == (DAYS[SIGNAL + 60], "holding")


def test_a_symbol_that_has_no_bar_for_ten_sessions_is_closed_at_its_last_close():
    frames = {"S": jumper(1).head(SIGNAL + 6)}
    prepared, result = run(frames)
    row = result.trades.select("exit_session", "exit_price", "reason").row(0)
    assert row == (DAYS[SIGNAL + 15], prepared.measures.close[SIGNAL + 5, 0], "delisted")


def test_an_order_lapses_where_the_next_session_has_no_bar():
    frames = {"S": jumper(1).filter(pl.col("session") != DAYS[SIGNAL + 1])}
    _, result = run(frames)
    assert decisions(result) == {"taken": 1}
    assert result.trades.is_empty() and (result.equity == 1e6).all()


@pytest.mark.parametrize(
    "rule, signals",
    [
        ({"min_price": 100.0}, 0),
        ({"min_dollar_volume": 1e8}, 0),
        ({"min_slope": 0.03}, 0),
        ({"min_price": 50.0, "min_dollar_volume": 4e7, "min_slope": 0.01}, 1),
    ],
    ids=["price floor", "dollar volume floor", "slope of the average", "none of them"],
)
def test_a_symbol_must_be_eligible(rule, signals):
    assert len(run({"S": jumper(1)}, eligibility=rule)[1].signals) == signals


def test_windows_leave_today_out_and_fast_comes_before_slow():
    _, just = run({"S": jumper(1)}, entry={"fast_clearance": 0.0, "slow_clearance": 0.1})
    assert len(just.signals) == len(DAYS) - SIGNAL  # each close is above those before it, none above its own
    _, slow = run({"S": jumper(1)}, entry={"fast_clearance": 0.1, "slow_clearance": 0.02})
    _, fast = run({"S": jumper(1)})
    assert (slow.signals["kind"].to_list(), fast.signals["kind"].to_list()) == (["slow"], ["fast"])


def test_costs_are_a_fee_each_way_and_slippage_by_calm_and_size():
    prepared, result = run({"S": jumper(1)}, costs={}, exit={"max_holding_days": 60})
    m, trade = prepared.measures, result.trades.row(0, named=True)

    def lost(t):
        size = 1 + trade["quantity"] * m.close[t, 0] / (0.005 * m.dollars[t, 0])
        return 8e-4 * np.clip(m.atr_ratio[t, 0], 0.5, 3) * min(size, 3.0)

    entry, leave = m.open[SIGNAL + 1, 0] * (1 + lost(SIGNAL)), m.close[SIGNAL + 60, 0] * (1 - lost(SIGNAL + 59))
    assert (trade["entry_price"], trade["exit_price"]) == pytest.approx((entry, leave))
    earned = leave * (1 - 1e-4) - entry * (1 + 1e-4)
    assert trade["r"] == pytest.approx(earned / (2.5 * m.atr[SIGNAL, 0]))
    assert result.equity[-1] - 1e6 == pytest.approx(trade["quantity"] * earned)
