"""Who trades what: shares, weeks, names, and whether the split went as planned."""

import datetime as dt
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import binomtest

import bq
from bq import strategies
from bq.core.errors import BadParameters
from bq.core.settings import Track, Trading
from bq.trading import tracks
from bq.trading.intents import REF, Action, order_ref

TWO = Trading().tracks
NAMES = [track.name for track in TWO]
SHARES = {track.name: track.share for track in TWO}
MONDAY = dt.date(2024, 1, 1)


def whose(symbol, day, *, chosen=TWO, seed=7):
    return tracks.assigned(chosen, seed=seed, symbol=symbol, day=day)


def test_symbols_and_weeks_are_split_as_the_shares_say():
    drawn = [whose(f"S{n}", MONDAY + dt.timedelta(weeks=week)) for n in range(50) for week in range(40)]
    assert binomtest(drawn.count("ButterAI"), len(drawn), 0.7).pvalue > 0.001
    assert set(drawn) == set(NAMES)


def test_a_symbol_stays_with_its_track_for_the_whole_iso_week_and_whenever_it_is_asked():
    for n in range(30):
        assert len({whose(f"S{n}", MONDAY + dt.timedelta(days=day)) for day in range(7)}) == 1
    assert len({whose("S1", MONDAY + dt.timedelta(weeks=week)) for week in range(20)}) == 2
    assert [whose("AAPL", dt.date(2020, 12, 31)), whose("AAPL", dt.date(2021, 1, 1))] in ([n, n] for n in NAMES)


def test_another_seed_is_another_split():
    draws = [[whose(f"S{n}", MONDAY, seed=seed) for n in range(100)] for seed in (1, 2)]
    assert draws[0] != draws[1]


def test_a_share_that_is_no_one_s_is_traded_by_no_one():
    half = [Track(name="A", share=0.3, decides="rule"), Track(name="B", share=0.2, decides="rule")]
    drawn = [whose(f"S{n}", MONDAY, chosen=half) for n in range(2000)]
    assert [round(drawn.count(name) / 2000, 1) for name in ("A", "B", None)] == [0.3, 0.2, 0.5]


@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param([("A", 0.7), ("A", 0.3)], id="the-same-name-twice"),
        pytest.param([("A", 0.7), ("B", 0.4)], id="more-than-all"),
        pytest.param([("A-1", 0.5)], id="a-dash"),
        pytest.param([("ALongerNameThan14", 0.5)], id="too-long"),
        pytest.param([], id="none"),
    ],
)
def test_tracks_that_cannot_be_are_refused(chosen):
    with pytest.raises(ValidationError):
        Trading(tracks=[{"name": name, "share": share, "decides": "rule"} for name, share in chosen])


def test_limits_are_proportional_to_the_share():
    assert [tracks.limit_of(track, 20) for track in TWO] == [14, 6]
    assert tracks.limit_of(TWO[1], 1) == 1


@given(
    st.sampled_from(NAMES),
    st.text("0123456789abcdef", min_size=16, max_size=32),
    st.sampled_from(list(Action)),
    st.integers(0, 99),
)
def test_an_order_s_name_says_whose_it_is_and_fits_a_broker(track, event, action, number):
    ref = order_ref(track, event, action, number)
    assert len(ref) <= 40
    assert REF.fullmatch(ref).groupdict() == {
        "track": track,
        "event": event[:16],
        "action": str(action),
        "number": str(number),
    }


def test_a_name_that_would_not_fit_is_refused():
    with pytest.raises(BadParameters, match="at most 40"):
        order_ref("ButterBaseline", "0" * 32, Action.CLOSE, 1000)


def stream(rng, share, n=400):
    return ["ButterAI" if u < share else "ButterBaseline" for u in rng.random(n)]


def test_a_split_as_planned_is_seldom_called_tilted_however_often_one_looks():
    rng = np.random.default_rng(3)
    alarms = sum(tracks.split(SHARES, stream(rng, 0.7)).p < 0.05 for _ in range(400))
    # 400 histories of 400 looks each: by Ville's inequality 5% of them at most, beside chance
    assert binomtest(alarms, 400, 0.05, alternative="greater").pvalue > 0.01


def test_a_tilted_split_is_found():
    rng = np.random.default_rng(4)
    found = [tracks.split(SHARES, stream(rng, 0.55)).p for _ in range(50)]
    assert np.mean(np.array(found) < 0.05) > 0.9


def test_the_p_of_a_split_is_that_of_its_bayes_factor():
    """Ten of ten to the first track: B(a + 10, b) / B(a, b) over .7^10 with a = 1.4, b = 0.6."""
    from scipy.special import betaln

    factor = np.exp(betaln(11.4, 0.6) - betaln(1.4, 0.6)) / 0.7**10
    assert tracks.split(SHARES, ["ButterAI"] * 10).p == pytest.approx(min(1.0 / factor, 1.0))


def test_weights_are_of_a_track_that_the_rule_decides():
    with pytest.raises(ValidationError, match="A has weights and a champion"):
        Track(name="A", share=0.5, decides="champion", weights={"fourier": 1.0})
    assert Track(name="A", share=0.5, decides="rule", weights={"fourier": 1.0}).weights == {"fourier": 1.0}


PARTS = ("price_match", "price_match_v2", "vol_mispricing", "stability", "fourier", "delta_penalty")
VALUES = [(80, 20), (10, 90), (60, 70), (40, 90), (100, 50), (5, 0)]
EVENTS = pl.DataFrame({f"{name}_score": both for name, both in zip(PARTS, VALUES, strict=True)})
BARS = {"symbol": pl.String, "session": pl.Date, "open": pl.Float64, "close": pl.Float64}


def desk_of(name):
    settings = bq.params(name)
    market = SimpleNamespace(calendar="XNYS", bars=pl.DataFrame(schema=BARS))
    return strategies.get(name).desk(market, settings)


def test_a_track_s_own_weights_make_the_score_anew():
    """.35 × 80 + .30 × 60 + .20 × 40 + .15 × 100 − 5 = 64; with .5 and .1 for the first two: 64 + 12 − 12 = 64."""
    desk = desk_of("butterfly")
    assert desk.scored(EVENTS, {}).to_list() == pytest.approx([64.0, 53.5])
    assert desk.scored(EVENTS, {"price_match": 0.5, "vol_mispricing": 0.1}).to_list() == pytest.approx([64.0, 42.5])
    assert desk.scored(EVENTS, {"price_match": 0.0, "fourier": 1.0}).to_list() == pytest.approx([121.0, 89.0])


def test_weights_of_no_component_are_refused():
    with pytest.raises(BadParameters, match="'forier'; did you mean"):
        desk_of("butterfly").scored(EVENTS, {"forier": 1.0})
    for name in ("breakout", "forecast"):
        with pytest.raises(BadParameters, match="keeps the components"):
            desk_of(name).scored(EVENTS, {"fourier": 1.0})
