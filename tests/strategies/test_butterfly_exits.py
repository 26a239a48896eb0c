"""When a position is closed before its horizon, and what that does to its outcome."""

import numpy as np
import pytest
from event_samples import BUTTERFLY, butterfly_settings, days, market_of, walk

from bq.strategies.butterfly import exits, pricing
from bq.strategies.butterfly.history import History
from bq.strategies.butterfly.modelled import Modelled
from bq.strategies.butterfly.settings import Label
from bq.strategies.butterfly.structure import CALL, IRON, PUT, Structure
from bq.strategies.butterfly.trade_path import outcomes, trade_path

HOLD, TAKE, STOP = exits.HOLD, exits.TAKE_PROFIT, exits.STOP
NAN = float("nan")

CASES = {  # profit, max profit, risk, take profit, stop → said
    "between": (1.0, 8.0, 2.0, 0.7, 0.5, HOLD),
    "take-profit-reached": (5.6, 8.0, 2.0, 0.7, 0.5, TAKE),
    "just-below-take-profit": (5.59, 8.0, 2.0, 0.7, 0.5, HOLD),
    "stop-reached": (-1.0, 8.0, 2.0, 0.7, 0.5, STOP),
    "just-above-stop": (-0.99, 8.0, 2.0, 0.7, 0.5, HOLD),
    "far-below-stop": (-2.0, 8.0, 2.0, 0.7, 0.5, STOP),
    "no-take-profit": (7.9, 8.0, 2.0, None, 0.5, HOLD),
    "no-stop": (-2.0, 8.0, 2.0, 0.7, None, HOLD),
    "neither": (-2.0, 8.0, 2.0, None, None, HOLD),
    "no-price": (NAN, 8.0, 2.0, 0.7, 0.5, HOLD),
    "no-terms": (1.0, NAN, NAN, 0.7, 0.5, HOLD),
    "nothing-to-be-made": (-0.2, -0.5, 2.0, 0.7, 0.5, HOLD),
    "nothing-to-be-made-and-stopped": (-1.2, -0.5, 2.0, 0.7, 0.5, STOP),
    "iron-credit-kept": (2.1, 3.0, 7.0, 0.7, 0.5, TAKE),
    "iron-stopped": (-3.5, 3.0, 7.0, 0.7, 0.5, STOP),
}


@pytest.mark.parametrize(("profit", "most", "risk", "take", "stop", "said"), CASES.values(), ids=CASES)
def test_the_rule_says_when_to_close(profit, most, risk, take, stop, said):
    rule = Label(take_profit=take, stop_loss=stop)
    assert exits.triggered(np.array([profit]), np.array([most]), np.array([risk]), rule).tolist() == [said]


def history_of(level: np.ndarray) -> History:
    calendar = days(400).to_numpy().astype("datetime64[D]")
    n = len(level)
    none = np.full(n, np.nan)
    return History(
        "TOY", calendar[:n], level, level, none, np.ones(n), np.full(n, 0.2), none, calendar, calendar[n - 1]
    )


def flies(spot: np.ndarray, kind: np.ndarray, *, dte: int = 30) -> Structure:
    body = np.rint(spot / 5.0) * 5.0
    return Structure(kind, body - 5.0, body, body + 5.0, np.full(len(spot), dte))


@pytest.fixture(scope="module")
def many():
    """180 positions of all kinds along one path."""
    level = 100.0 * np.exp(np.cumsum(0.012 * np.random.default_rng(8).standard_normal(300)))
    h, at = history_of(level), np.arange(10, 190)
    return h, at, flies(level[at], np.array([CALL, PUT, IRON])[at % 3])


def followed(many, overrides: str):
    h, at, structure = many
    s = butterfly_settings(overrides)
    pricer = Modelled(h, s)
    path = trade_path(h, at, structure, pricer, s)
    return path, outcomes(h, at, structure, path, pricer, s)


def rule(take: float | None, stop: float | None, more: str = "") -> str:
    take, stop = ("null" if value is None else value for value in (take, stop))
    return f"label.take_profit={take} label.stop_loss={stop} {more}"


RULES = {"both": (0.3, 0.5), "take-profit": (0.3, None), "stop": (None, 0.4), "tight": (0.1, 0.1)}


@pytest.mark.parametrize(("take", "stop"), RULES.values(), ids=RULES)
@pytest.mark.parametrize("paid", [0.0, 1.0], ids=["at mid", "filled"])
def test_the_first_mark_at_the_mid_price_that_meets_the_rule_closes_the_position(many, take, stop, paid):
    """Against the same walk written down bar by bar, one event at a time."""
    h, at, structure = many
    share = f"costs.half_spread_paid={paid}"
    path, _ = followed(many, rule(take, stop, share))
    horizon, _ = followed(many, rule(None, None, share))
    s = butterfly_settings(share)
    reasons = set()
    for i in range(0, len(at), 4):
        one = Structure(*(values[[i]] for values in structure))

        def quote(bar: int, i=i, one=one) -> pricing.Quote:
            return Modelled(h, s).quote(at[[i]], one, np.array([bar]))

        opened = quote(path.entry[i])
        iron = one.type[0] == IRON
        debit = opened.mid[0] + paid * opened.half_spread[0]
        debit = debit if iron else max(debit, 0.10)
        risk, most = (max(5.0 + debit, 0.10), -debit) if iron else (debit, 5.0 - debit)
        expected, why = horizon.exit[i], horizon.exit_reason[i]
        for bar in range(path.entry[i] + 1, horizon.exit[i]):
            profit = quote(bar).mid[0] - debit
            if take is not None and most > 0 and profit >= take * most:
                expected, why = bar, "take profit"
                break
            if stop is not None and profit <= -stop * risk:
                expected, why = bar, "stop"
                break
        assert (path.exit[i], path.exit_reason[i]) == (expected, why)
        reasons.add(str(why))
    wanted = {"take profit": take, "stop": stop}
    assert {name for name, value in wanted.items() if value is not None} <= reasons


def test_without_take_profit_and_stop_every_position_is_left_at_the_horizon(many):
    path, _ = followed(many, rule(None, None))
    h, at, _ = many
    due = np.searchsorted(h.session, h.session[at] + np.timedelta64(25, "D"))
    assert (path.exit == due).all() and set(path.exit_reason) == {"horizon"}


@pytest.mark.parametrize(("take", "stop"), RULES.values(), ids=RULES)
def test_no_rule_keeps_a_position_longer(many, take, stop):
    early, _ = followed(many, rule(take, stop))
    late, _ = followed(many, rule(None, None))
    assert (early.exit <= late.exit).all() and (early.exit < late.exit).any()
    assert (early.known == many[0].session[early.exit]).all()
    assert (early.due == late.due).all() and (early.entry == late.entry).all()


def test_a_tighter_rule_never_closes_later(many):
    loose, _ = followed(many, rule(0.7, 0.5))
    tight, _ = followed(many, rule(0.35, 0.25))
    assert (tight.exit <= loose.exit).all()


def test_a_stopped_position_can_lose_more_than_the_stop_and_never_more_than_all(many):
    """The rule looks at closing mids and pays for the fill: gaps and costs come on top."""
    path, found = followed(many, rule(None, 0.5))
    stopped = path.exit_reason == "stop"
    assert stopped.sum() > 20
    lost = found["outcome"][stopped]
    assert (lost < -0.5).all() and (lost >= -1.0).all()
    assert lost.min() < -0.6


def test_a_profit_is_taken_only_where_there_is_one_at_the_mid_price(many):
    path, found = followed(many, rule(0.3, None))
    taken = path.exit_reason == "take profit"
    assert taken.sum() > 10
    assert (found["roi_0%"][taken] > 0).all()
    assert (found["roi_100%"][taken] < found["roi_0%"][taken]).all()


def test_an_exit_that_later_bars_would_bring_is_not_known_before(many):
    h, at, structure = many
    whole, _ = followed(many, rule(0.3, 0.5))
    cut = 120
    some = at[at < cut - 2]
    first = Structure(*(values[: len(some)] for values in structure))
    s = butterfly_settings(rule(0.3, 0.5))
    shorter = history_of(h.level[:cut])
    path = trade_path(shorter, some, first, Modelled(shorter, s), s)
    over = whole.exit[: len(some)] < cut
    assert (path.exit[over] == whole.exit[: len(some)][over]).all()
    assert (path.exit[~over] == -1).all() and 5 < (~over).sum() < len(some)


def test_t1_of_an_event_is_the_close_of_its_actual_exit():
    bars = walk("TOY", 700, seed=1)
    sessions = bars["session"][560:640].gather_every(4).to_list()
    built = [
        BUTTERFLY.table.build(market_of(bars), butterfly_settings(overrides), {"TOY": sessions}).events
        for overrides in (rule(0.3, 0.3), rule(None, None))
    ]
    early, late = (events.drop_nulls("t1").sort("session") for events in built)
    assert {"take profit", "stop"} & set(early["exit_reason"])
    assert set(late["exit_reason"]) == {"horizon"}
    both = early.join(late, on="session", suffix="_late")
    assert (both["t1"] <= both["t1_late"]).all() and (both["t1"] < both["t1_late"]).any()
    assert (both["t1"].dt.date() == both["exit_session"]).all()
    assert (both["t1_due"] == both["t1_due_late"]).all()
