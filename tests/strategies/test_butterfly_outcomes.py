"""What becomes of an event: entry, exit, missing prices, delisting, and what it returned."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from event_samples import BUTTERFLY, build, butterfly_settings, market_of, until, walk
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bq.market.calendars import sessions
from bq.strategies.butterfly import evidence, pricing
from bq.strategies.butterfly.history import History
from bq.strategies.butterfly.modelled import Modelled
from bq.strategies.butterfly.settings import holding_days
from bq.strategies.butterfly.structure import CALL, IRON, Structure
from bq.strategies.butterfly.trade_path import outcomes, trade_path

CALENDAR = sessions("XNYS")["session"].to_numpy().astype("datetime64[D]")
CLOSE = dict(sessions("XNYS").iter_rows())
FIRST = int(np.searchsorted(CALENDAR, np.datetime64("2015-01-05")))  # a Monday


def history(*, bars: int = 120, missing: tuple[int, ...] = (), market_ends: int | None = None, **changes) -> History:
    """Bars on the sessions from 5 January 2015, without the missing ones; the market goes on to `market_ends`."""
    kept = np.setdiff1d(np.arange(bars), missing)
    n = len(kept)
    level = 100.0 + 0.1 * kept
    last = CALENDAR[FIRST + (bars - 1 if market_ends is None else market_ends)]
    flat, none = np.full(n, 0.2), np.full(n, np.nan)
    made = History("TOY", CALENDAR[FIRST + kept], level, level, none, np.ones(n), flat, none, CALENDAR, last, 252)
    return made._replace(**changes)


NEVER_EARLY = "label.take_profit=null label.stop_loss=null"


def flies(n: int, *, kind: int = CALL, dte: int = 21) -> Structure:
    return Structure(np.full(n, kind), np.full(n, 95.0), np.full(n, 100.0), np.full(n, 105.0), np.full(n, dte))


def followed(h: History, at: int, *, dte: int = 21, carry: int = 5):
    """The trade path of one event, each field as a scalar."""
    s = butterfly_settings(f"label.carry_sessions={carry} {NEVER_EARLY}")
    path = trade_path(h, np.array([at]), flies(1, dte=dte), Modelled(h, s), s)
    return type(path)(*(values[0] for values in path))


def planned(h: History, at: int, *, dte: int = 21) -> int:
    """Number, from 5 January 2015, of the first session on or after the holding horizon; by counting days."""
    day = h.session[at] + np.timedelta64(holding_days(dte), "D")
    while day not in CALENDAR:
        day += np.timedelta64(1, "D")
    return int(np.flatnonzero(day == CALENDAR)[0]) - FIRST


@pytest.mark.parametrize("dte", [21, 30, 45], ids="dte-{}".format)
@pytest.mark.parametrize("at", [0, 3, 4, 9, 33], ids="bar-{}".format)
def test_a_position_is_entered_next_session_and_left_on_the_first_at_or_after_the_horizon(at, dte):
    h = history()
    path = followed(h, at, dte=dte)
    assert (path.entry, path.exit, path.exit_reason) == (at + 1, planned(h, at, dte=dte), "horizon")
    assert path.known == h.session[path.exit]
    assert path.due == CALENDAR[FIRST + path.exit + 5]


def test_an_event_is_open_until_its_horizon_has_come():
    exit_ = planned(history(), 10)
    assert followed(history(bars=exit_), 10).exit == -1
    path = followed(history(bars=exit_), 10)
    assert path.exit_reason == "" and np.isnat(path.known) and path.due == CALENDAR[FIRST + exit_ + 5]
    assert followed(history(bars=exit_ + 1), 10).exit == exit_


@pytest.mark.parametrize("gap", [1, 3, 5], ids="gap-{}".format)
def test_a_missing_exit_price_is_waited_for(gap):
    exit_ = planned(history(), 10)
    h = history(missing=tuple(range(exit_, exit_ + gap)))
    path = followed(h, 10)
    assert h.session[path.exit] == CALENDAR[FIRST + exit_ + gap] == path.known
    assert path.exit_reason == "settled" and path.known <= path.due  # by then the options have expired


def test_after_the_wait_a_position_is_closed_at_its_last_price():
    exit_ = planned(history(), 10)
    h = history(missing=tuple(range(exit_ - 2, exit_ + 6)))
    path = followed(h, 10)
    assert h.session[path.exit] == CALENDAR[FIRST + exit_ - 3] and path.exit_reason == "last price"
    assert path.known == path.due == CALENDAR[FIRST + exit_ + 5]  # not before the waiting is over


@pytest.mark.parametrize("known", [True, False], ids=["waited", "waiting"])
def test_a_delisted_symbol_closes_at_its_last_price_once_the_market_has_moved_on(known):
    exit_ = planned(history(), 10)
    path = followed(history(bars=16, market_ends=exit_ + (5 if known else 4)), 10)
    assert (path.exit, path.exit_reason) == ((15, "last price") if known else (-1, ""))


def test_a_position_that_could_never_be_entered_has_no_outcome():
    h = history(bars=11, market_ends=100)
    path = followed(h, 10)
    assert (path.entry, path.exit, path.exit_reason) == (-1, -1, "")


@pytest.mark.parametrize(("gap", "entered"), [(1, True), (5, True), (6, False)], ids="gap-{}".format)
def test_a_missing_entry_price_is_waited_for(gap, entered):
    h = history(missing=tuple(range(11, 11 + gap)))
    path = followed(h, 10)
    assert (path.entry == 11) == entered  # the next bar there is
    assert (path.exit >= 0) == entered


@given(
    missing=st.sets(st.integers(1, 79)),
    bars=st.integers(30, 80),
    market_ends=st.integers(0, 30),
    at=st.integers(0, 25),
    dte=st.sampled_from([2, 3, 5, 21, 30, 45]),
    carry=st.integers(0, 8),
)
@hypothesis_settings(max_examples=150, deadline=None)
def test_whatever_is_missing_an_outcome_is_known_by_its_due_date(missing, bars, market_ends, at, dte, carry):
    h = history(bars=bars, missing=tuple(missing - {at}), market_ends=bars - 1 + market_ends)
    at = int(np.flatnonzero(h.session == CALENDAR[FIRST + at])[0])
    path = followed(h, at, dte=dte, carry=carry)
    assert path.due > h.session[at]
    if path.exit < 0:
        assert np.isnat(path.known) and path.exit_reason == ""
        assert path.entry < 0 or path.due > h.last  # an entered position is open only while it can still end in time
    else:
        assert at < path.entry <= path.exit
        assert h.session[path.exit] <= path.known <= path.due
        assert path.known <= h.last


def test_no_label_is_longer_than_the_longest_that_the_settings_state():
    for calendar, overrides in (("XNYS", ""), ("XNYS", "label.carry_sessions=0"), ("XSHG", ""), ("24/7", "")):
        settings = butterfly_settings(f"market.calendar={calendar} {overrides}")
        every = sessions(calendar)["session"].to_list()
        longest, carry = settings.max_holding_days, settings.label.carry_sessions
        spans = []
        for number, day in enumerate(every[:-200]):
            horizon, end = day + dt.timedelta(days=40), number
            while every[end] < horizon:
                end += 1
            spans.append((every[end + carry] - day).days)
        assert max(spans) == longest
    assert butterfly_settings().max_holding_days == 56  # the exchange was closed for six days in September 2001


def returns(h: History, at: int, structure: Structure, **settings) -> dict[str, float]:
    s = butterfly_settings(" ".join([NEVER_EARLY, *(f"{name}={value}" for name, value in settings.items())]))
    at_, pricer = np.array([at]), Modelled(h, s)
    path = trade_path(h, at_, structure, pricer, s)
    return {name: value[0] for name, value in outcomes(h, at_, structure, path, pricer, s).items()}


@pytest.mark.parametrize("kind", [CALL, IRON], ids=["call", "iron"])
def test_the_outcome_is_that_of_opening_next_session_and_closing_at_the_exit(kind):
    h, at, structure = history(), 10, flies(1, kind=kind)
    s = butterfly_settings()
    exit_ = planned(h, at)
    expiry = h.session[at] + np.timedelta64(21, "D")
    found = returns(h, at, structure)

    def quote(bar: int) -> pricing.Quote:
        years = (expiry - h.session[bar]).astype(int) / 365
        return pricing.quote(
            structure, h.level[[bar]], np.array([0.2]), np.array([years]), rate=s.structure.rate, costs=s.costs
        )

    for fraction in pricing.FRACTIONS:
        expected = pricing.roi(structure, quote(at + 1), quote(exit_), paid=fraction)[0]
        assert found[f"roi_{fraction:.0%}"] == pytest.approx(expected, rel=1e-12)
    assert found["lead_7d"] == pytest.approx(pricing.roi(structure, quote(11), quote(17), paid=1.0)[0], rel=1e-12)
    assert found["exit_spot"] == pytest.approx(h.level[exit_])
    assert found["in_zone"] == float(abs(h.level[exit_] - 100) < 5)


@pytest.mark.parametrize("fraction", pricing.FRACTIONS, ids="{:.0%}".format)
def test_the_outcome_is_the_return_at_the_configured_share_of_the_spread(fraction):
    found = returns(history(), 10, flies(1), **{"costs.half_spread_paid": fraction})
    assert found["outcome"] == found[f"roi_{fraction:.0%}"]


def test_an_open_event_has_no_outcome_of_any_kind():
    assert all(np.isnan(value) for value in returns(history(bars=18), 10, flies(1)).values())


def test_a_split_after_entry_does_not_move_the_outcome():
    whole = history()
    quoted = np.where(np.arange(120) < 15, whole.level, whole.level / 4)  # four for one at bar 15, level is adjusted
    split = history(quoted=quoted)
    assert returns(split, 10, flies(1)) == returns(whole, 10, flies(1))


def test_an_option_is_priced_on_the_path_as_quoted_which_pays_no_dividend():
    """Dividends of 1% at bars 12 and 15: `level` grows by them, the price that the option is on does not."""
    quoted = 100.0 + 0.1 * np.arange(120)
    paid = 1.01 ** (np.searchsorted([12, 15], np.arange(120), side="right"))
    dividends, plain = history(quoted=quoted, level=quoted * paid), history(quoted=quoted, level=quoted)
    assert returns(dividends, 10, flies(1)) == returns(plain, 10, flies(1))
    assert returns(dividends, 10, flies(1))["exit_spot"] == quoted[planned(plain, 10)]
    back_adjusted = history(quoted=None, level=quoted * paid)
    assert returns(back_adjusted, 10, flies(1))["exit_spot"] > 102.0  # 101.7 or so and the dividends


def test_without_quoted_prices_only_ratios_to_the_price_at_t0_matter():
    whole = history(quoted=None)
    other = history(quoted=None, level=whole.level * 0.013)
    one, two = returns(whole, 10, flies(1)), returns(other, 10, flies(1))
    assert one == pytest.approx(two, rel=1e-9)
    assert one["exit_spot"] == pytest.approx(100 * whole.level[planned(whole, 10)] / whole.level[10])


@pytest.fixture(scope="module")
def built():
    """Events of a walk of 700 sessions, to the newest session; half of the last ones are open."""
    bars = walk("TOY", 700, seed=1)
    days = [*bars["session"][600:].gather_every(4), bars["session"][-1]]
    return bars, build(bars, {"TOY": days}).events


def test_open_events_have_no_end_and_closed_ones_have_all_of_it(built):
    bars, events = built
    newest = bars["session"][-1]
    is_open = events["t1"].is_null()
    assert 5 < is_open.sum() < len(events)
    for name in ("outcome", "exit_session", "lead_7d", "roi_0%", "in_zone"):
        assert events[name].is_null().equals(is_open), name
    assert events["t1_due"].null_count() == 0
    assert (events.filter(is_open)["t1_due"] > CLOSE[newest]).all()
    assert (events.filter(~is_open)["t1"] <= CLOSE[newest]).all()


def test_times_are_the_closes_of_the_sessions_in_utc(built):
    _, events = built
    for event in events.drop_nulls("t1").iter_rows(named=True):
        assert event["t0"] == CLOSE[event["session"]] and event["t1"] == CLOSE[event["exit_session"]]
        assert event["t0"] < CLOSE[event["entry_session"]] <= event["t1"] <= event["t1_due"]


def test_classes_follow_from_the_edges(built):
    _, events = built
    edges = butterfly_settings().label.edges
    labelled = events.select("outcome", label=BUTTERFLY.task(butterfly_settings()).label(pl.col("outcome")))
    for outcome, label in labelled.drop_nulls().iter_rows():
        assert label == sum(outcome >= edge for edge in edges)


def test_the_score_of_an_event_follows_from_its_stored_components(built):
    _, events = built
    weights = butterfly_settings().score
    parts = ("price_match", "vol_mispricing", "stability", "fourier")
    total = sum(getattr(weights, name) * events[f"{name}_score"] for name in parts) - events["delta_penalty_score"]
    np.testing.assert_allclose(total, events["score"], rtol=1e-12)


def test_ids_are_distinct_and_depend_on_the_rules_but_not_on_what_computes_them(built):
    bars, events = built
    wanted = {"TOY": events["session"].to_list()[:3]}
    assert events["event_id"].n_unique() == len(events)
    first = events["event_id"].to_list()[:3]
    assert build(until(bars, wanted["TOY"][-1]), wanted).events["event_id"].to_list() == first
    assert build(bars, wanted, "policy.k=9 learning.seed=3").events["event_id"].to_list() == first
    for rule in ("structure.rate=0.01", "costs.spread_far=0.2", "label.edges=[0.0,0.1,0.2]", "score.stability=0.3"):
        assert not set(build(bars, wanted, rule).events["event_id"]) & set(first), rule


def test_dates_that_give_no_event_are_counted_with_the_reason():
    bars = walk("TOY", 700, seed=1)
    flat = bars.with_columns(symbol=pl.lit("FLAT"), close=pl.lit(50.0))
    days = bars["session"].gather([100, 350, 600]).to_list()
    both = BUTTERFLY.table.build(
        market_of(pl.concat([bars, flat])),
        butterfly_settings("analysis.history_sessions=300"),
        {"TOY": days, "FLAT": days},
    )
    reasons = {(symbol, day): reason for symbol, day, reason in both.refused.iter_rows()}
    assert reasons[("TOY", days[0])] == "fewer than 300 sessions of history"
    assert reasons[("FLAT", days[2])] == "no implied volatility yet"
    assert both.events["session"].to_list() == [days[2]] or set(both.events["symbol"]) == {"TOY"}
    assert len(both.events) + len(both.refused) == 6


def test_older_targets_are_shown_beside_the_baselines_that_give_a_figure_its_meaning():
    """Three of four labels are 1, and three of four outcomes are above 0; one of the two trades earns something."""
    labels = {"predicted": [0, 0, 1, 1], "label": [0, 1, 1, 1]}
    oos = pl.DataFrame(labels | {"expected": [0.1] * 4, "outcome": [-1.0, 0.2, 0.3, 0.1]})
    (shown,) = evidence.results(oos.head(2), oos)
    assert shown.table.select("figure", "here", "baseline").rows() == [
        ("accuracy, every event alike", 0.75, 0.75),
        ("expected − realised ROI, the same", pytest.approx(0.2), 0.0),
        ("win rate of the 2 trades", 0.5, 0.75),
    ]
    assert "Nothing is decided by these targets" in shown.text
