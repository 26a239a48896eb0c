import datetime as dt
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bq.analysis.chain import constant_maturity, forward, smile, solve_iv
from bq.analysis.options import bsm_price
from bq.market.chains import read_chains
from bq.market.chains.quotes import SCHEMA

SESSION = dt.date(2019, 4, 29)
STRIKES = np.arange(70.0, 131.0, 2.5)
EXPIRIES = [SESSION + dt.timedelta(days=days) for days in (14, 46)]


def snapshot(
    vol=0.2, *, expiries=EXPIRIES, rate=0.03, dividend_yield=0.01, spot=100.0, settlement="PM", spread=0.0, quoted=None
):
    """Quotes at model prices: `vol` a number or a function of log(strike / forward)."""
    frames = []
    for expiry in expiries:
        years = ((expiry - SESSION).days - (6.5 / 24 if settlement == "AM" else 0)) / 365
        ahead = spot * np.exp((rate - dividend_yield) * years)
        sigma = vol(np.log(STRIKES / ahead)) if callable(vol) else vol
        for right in ("call", "put"):
            carry = {"rate": rate, "dividend_yield": dividend_yield, "is_call": right == "call"}
            price = bsm_price(spot, STRIKES, years, sigma, **carry)
            quotes = {"strike": STRIKES, "bid": price * (1 - spread), "ask": price * (1 + spread)}
            columns = {"expiry": expiry, "right": right, "settlement": settlement}
            frames.append(
                pl.DataFrame(quotes).with_columns(pl.lit(value).alias(name) for name, value in columns.items())
            )
    constants = {"underlying": "A", "root": "A", "session": SESSION, "spot": quoted or spot, "style": "european"}
    whole = pl.concat(frames).with_columns(pl.lit(value).alias(name) for name, value in constants.items())
    whole = whole.with_columns(volume=pl.lit(None), open_interest=pl.lit(None))
    return whole.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())


@settings(deadline=None, max_examples=40)
@given(
    vol=st.floats(0.05, 1.5),
    rate=st.floats(-0.01, 0.1),
    dividend_yield=st.floats(0, 0.08),
    spot=st.floats(85, 115),
    settlement=st.sampled_from(["AM", "PM"]),
)
def test_the_volatility_that_made_the_prices_comes_back(vol, rate, dividend_yield, spot, settlement):
    quotes = snapshot(vol, rate=rate, dividend_yield=dividend_yield, spot=spot, settlement=settlement)
    quotes = quotes.filter(pl.col("bid") > 0)
    solved = solve_iv(quotes, rate)
    years = solved["years"].to_numpy()
    ahead = spot * np.exp((rate - dividend_yield) * years)
    np.testing.assert_allclose(solved["forward"].to_numpy(), ahead, rtol=1e-12)
    priced = solved.filter("out_of_the_money", pl.col("bid") > 1e-6)
    for name in ("iv_bid", "iv_mid", "iv_ask"):
        np.testing.assert_allclose(priced[name].to_numpy(), vol, rtol=1e-6)
    assert (solved.select(pl.min_horizontal("iv_bid", "iv_mid", "iv_ask")).to_series().drop_nulls() > 0).all()
    np.testing.assert_allclose(forward(quotes, rate)["dividend_yield"].to_numpy(), dividend_yield, atol=1e-9)


def test_bid_mid_and_ask_are_solved_each_and_in_their_order():
    solved = solve_iv(snapshot(spread=0.02), 0.03).filter("out_of_the_money")
    assert (
        solved.select((pl.col("iv_bid") < pl.col("iv_mid")) & (pl.col("iv_mid") < pl.col("iv_ask"))).to_series().all()
    )
    np.testing.assert_allclose(solved["iv_mid"].to_numpy(), 0.2, rtol=1e-6)


def test_call_and_put_at_one_strike_have_one_side_out_of_the_money():
    solved = solve_iv(snapshot(), 0.03)
    assert (solved.group_by("expiry", "strike").agg(pl.col("out_of_the_money").sum())["out_of_the_money"] == 1).all()
    lower = solved.filter(pl.col("strike") < pl.col("forward"), "out_of_the_money")
    assert lower["right"].unique().to_list() == ["put"]


@pytest.mark.parametrize("quoted", [80.0, 130.0], ids=str)
def test_a_wrong_spot_moves_no_volatility(quoted):
    solved = solve_iv(snapshot(quoted=quoted), 0.03)
    np.testing.assert_allclose(solved.filter("out_of_the_money")["iv_mid"].to_numpy(), 0.2, rtol=1e-6)


def test_a_few_wrong_quotes_do_not_move_the_forward():
    quotes = snapshot(expiries=EXPIRIES[1:])
    wrong = (pl.col("right") == "call") & pl.col("strike").is_in([95.0, 102.5])
    broken = quotes.with_columns(
        pl.when(wrong).then(pl.col(name) + 2).otherwise(name).alias(name) for name in ("bid", "ask")
    )
    np.testing.assert_allclose(
        forward(broken, 0.03)["forward"].to_numpy(), forward(quotes, 0.03)["forward"], rtol=1e-12
    )


def test_what_does_not_solve_is_null_and_never_zero():
    quotes = snapshot(expiries=[SESSION, *EXPIRIES])
    below = (pl.col("right") == "call") & (pl.col("strike") == 70)
    solved = solve_iv(quotes.with_columns(bid=pl.when(below).then(29.0).otherwise("bid")), 0.03)
    today, later = solved.filter(pl.col("expiry") == SESSION), solved.filter(below, pl.col("expiry") == EXPIRIES[1])
    assert today.select("iv_bid", "iv_mid", "iv_ask").null_count().row(0) == (len(today),) * 3
    assert later["iv_bid"].item() is None and later["iv_ask"].item() > 0
    assert not solved.select((pl.col("iv_bid", "iv_mid", "iv_ask") == 0).any()).row(0).count(True)


def test_without_three_pairs_there_is_no_forward_and_no_volatility():
    quotes = snapshot().filter((pl.col("right") == "call") | pl.col("strike").is_in([95.0, 100.0]))
    assert forward(quotes, 0.03).select("pairs", "forward").rows() == [(2, None)] * 2
    assert solve_iv(quotes, 0.03)["iv_mid"].null_count() == len(quotes)


def test_smile_is_linear_in_log_moneyness_between_strikes():
    slope = -0.4
    solved = solve_iv(snapshot(lambda distance: 0.2 + slope * distance), 0.03)
    points = smile(solved, EXPIRIES[1], moneyness=(0.5, 0.96, 1.0, 1.04))
    assert points["expiry"].unique().to_list() == EXPIRIES[1:] and points["iv"][0] is None
    np.testing.assert_allclose(points["iv"][1:], 0.2 + slope * np.log([0.96, 1.0, 1.04]), rtol=1e-6)
    assert len(smile(solved)) == 6


def test_smile_passes_through_a_quoted_strike():
    solved = solve_iv(snapshot(lambda distance: 0.2 + distance**2), 0.03)
    at = solved.filter("out_of_the_money", pl.col("strike") == 110.0, pl.col("expiry") == EXPIRIES[0]).row(
        0, named=True
    )
    (point,) = smile(solved, EXPIRIES[0], moneyness=[at["strike"] / at["forward"]]).rows(named=True)
    assert point["iv"] == pytest.approx(at["iv_mid"], rel=1e-12)


def at_the_money(solved, **days):
    return constant_maturity(smile(solved, moneyness=(1.0,)), **days)


def test_constant_maturity_is_linear_in_total_variance():
    quotes = pl.concat([snapshot(0.15, expiries=EXPIRIES[:1]), snapshot(0.25, expiries=EXPIRIES[1:])])
    solved = solve_iv(quotes, 0.03)
    expected = np.sqrt((0.15**2 * 14 * 16 + 0.25**2 * 46 * 16) / 32 / 30)
    assert at_the_money(solved, days=30).columns == ["underlying", "session", "moneyness", "iv"]
    assert at_the_money(solved, days=30)["iv"].item() == pytest.approx(expected, rel=1e-6)
    assert at_the_money(solved, days=46)["iv"].item() == pytest.approx(0.25, rel=1e-6)
    assert [at_the_money(solved, days=days)["iv"].item() for days in (13, 47)] == [None, None]
    assert len(constant_maturity(smile(solved))) == 3


def test_snapshots_are_solved_each_by_itself():
    other = snapshot(0.5, rate=0.0, spot=105.0).with_columns(underlying=pl.lit("B"))
    rate = pl.when(pl.col("underlying") == "A").then(0.03).otherwise(0.0)
    together = at_the_money(solve_iv(pl.concat([snapshot(0.2), other]), rate))
    np.testing.assert_allclose(together["iv"].to_numpy(), [0.2, 0.5], rtol=1e-6)


def test_no_quotes_give_no_volatility():
    assert at_the_money(solve_iv(snapshot().clear(), 0.03)).is_empty()


@pytest.fixture(scope="module")
def samples():
    folder = os.environ.get("BQ_TEST_DATA")
    if not folder:
        pytest.skip("BQ_TEST_DATA is not set: the samples of real market data are not part of the project")
    return Path(folder)


SAMPLE = "spx_option_chain_2019-04-25_2019-06-13.parquet"


@pytest.fixture(scope="module")
def index(samples):
    """Session, close and VIX as a decimal, and the T-bill rate."""
    table = pl.read_csv(samples / "index_vix_rates_daily_1990_2026.csv.gz", infer_schema=False)
    numbers = {"close": "spx_close", "vix": "vix_close", "rate": "tbill3m_pct"}
    table = table.select(
        session=pl.col("date").str.to_date(), **{new: pl.col(old).cast(float) for new, old in numbers.items()}
    )
    return table.with_columns(pl.col("vix", "rate") / 100)


@pytest.fixture(scope="module")
def solved(samples, index, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    (home / "data" / "raw" / "chains").mkdir(parents=True)
    (home / "data" / "raw" / "chains" / SAMPLE).symlink_to(samples / SAMPLE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BQ_HOME", str(home))
        quotes = read_chains().quotes
    quotes = quotes.join(index.select("session", "rate"), on="session", how="left", maintain_order="left")
    return solve_iv(quotes, pl.col("rate"))


NEAR = ((pl.col("strike") / pl.col("forward")).log().abs() < 0.05) & (pl.col("years") > 0)
IN_TIME = (pl.col("spot") / pl.col("close") - 1).abs() <= 0.002  # the sample's snapshots are of different hours


def beside_vix(measured, solved, index):
    spots = solved.group_by("session").agg(pl.col("spot").first())
    return measured.join(spots, on="session").join(index, on="session")


def test_near_the_money_quotes_of_the_sample_solve(solved):
    shares = solved.filter(NEAR).select(pl.col("iv_mid", "iv_ask").is_not_null().mean()).row(0)
    assert min(shares) >= 0.99
    better = solved.filter(NEAR, "out_of_the_money").select("iv_bid", "iv_mid", "iv_ask")
    assert better.null_count().row(0) == (0, 0, 0)


def test_at_the_money_volatility_of_the_sample_follows_the_vix(solved, index):
    both = beside_vix(at_the_money(solved), solved, index)
    assert len(both) == 33 and both["iv"].null_count() == 0
    assert both.select(pl.corr("iv", "vix")).item() >= 0.945  # .949; .961 without 1 May, taken before a fall of .8%
    in_time = both.filter(IN_TIME)
    assert len(in_time) == 21 and in_time.select(pl.corr("iv", "vix")).item() >= 0.965
    assert -0.03 < (both["iv"] - both["vix"]).mean() < -0.01  # the VIX prices the wings too


def test_the_vix_formula_on_the_samples_quotes_gives_the_vix(solved, index):
    """Cboe's formula on our quotes, forwards and times: what the level of the at-the-money figure cannot check."""
    mid = (pl.col("bid") + pl.col("ask")) / 2
    wings = solved.filter("out_of_the_money", pl.col("years").is_between(20 / 365, 40 / 365))
    totals = {}
    for (session, *_), side in wings.with_columns(mid=mid).sort("strike").group_by("session", "root", "expiry"):
        strikes, years, rate = side["strike"].to_numpy(), side["years"][0], side["rate"][0]
        total = 2 * np.exp(rate * years) * np.sum(np.gradient(strikes) / strikes**2 * side["mid"].to_numpy())
        totals.setdefault(session, []).append((years, total))
    levels = [np.sqrt(np.interp(30 / 365, *zip(*sorted(points), strict=True)) * 365 / 30) for points in totals.values()]
    rebuilt = pl.DataFrame({"session": list(totals), "iv": levels})
    both = beside_vix(rebuilt, solved, index).filter(IN_TIME)
    assert both.select(pl.corr("iv", "vix")).item() >= 0.98
    assert abs((both["iv"] - both["vix"]).mean()) < 0.002


def test_parity_forwards_of_the_sample_stand_at_a_sensible_carry(solved, index):
    forwards = forward(solved, pl.col("rate")).filter(pl.col("years").is_between(0.25, 0.5))
    assert (forwards["pairs"] == 10).all()
    assert 0.012 < forwards["dividend_yield"].median() < 0.025  # the index yielded 1.9%
    nearest = forward(solved, pl.col("rate")).filter(pl.col("years").is_between(1 / 365, 30 / 365))
    assert (nearest["forward"] / nearest["spot"] - 1).abs().max() < 0.003


def test_two_settlements_of_one_day_have_one_forward(solved):
    both = forward(solved, pl.col("rate")).filter(pl.col("years") > 14 / 365)
    pairs = both.filter(pl.col("root") == "SPX").join(both.filter(pl.col("root") == "SPXW"), on=["session", "expiry"])
    assert len(pairs) > 100
    assert (pairs["forward"] / pairs["forward_right"] - 1).abs().quantile(0.99) < 2e-4


def test_the_vendors_volatility_agrees_where_it_was_computed_and_is_zero_elsewhere(solved, samples):
    vendor = pl.read_parquet(samples / SAMPLE).select(
        pl.col("root").cast(pl.String),
        "strike",
        session=pl.col("quotedate").dt.date(),
        expiry=pl.col("expiration").dt.date(),
        right=pl.col("type").cast(pl.String).cast(SCHEMA["right"]),
        vendor="impliedvol",
    )
    both = solved.filter(NEAR, pl.col("years") > 7 / 365).join(
        vendor, on=["root", "session", "expiry", "right", "strike"]
    )
    outside = both.filter("out_of_the_money")
    assert len(outside) > 50_000
    assert outside.select(pl.corr("iv_mid", "vendor")).item() > 0.999
    assert (outside["iv_mid"] - outside["vendor"]).abs().median() < 0.0005
    zero = both.filter(pl.col("vendor") == 0)
    assert len(zero) > 200 and zero.select((pl.col("iv_mid") == 0).sum()).item() == 0
