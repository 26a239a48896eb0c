"""Which steps of the adjustment factor are splits: by hand."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from bq.market import splits
from bq.market.bars import continuous, continuous_volume, rows

DAYS = pl.date_range(dt.date(2024, 1, 2), dt.date(2024, 1, 5), eager=True)


def bars(closes, adj, volume=(1e6, 1e6, 1e6, 1e6)):
    """Four bars: the step is between the second and the third."""
    columns = {"symbol": "A", "session": DAYS, "close": closes, "adj": adj, "volume": volume}
    columns |= {name: np.array(columns[name], float) for name in ("close", "adj", "volume")}
    return rows(pl.DataFrame(columns), file="hand")


def step(before, after, adj):
    """New shares for an old one where a close of `before` is followed by `after`, and adj by 1."""
    rows, new = splits.found(bars([before, before, after, after], [adj, adj, 1.0, 1.0]))
    assert set(rows) <= {2}
    return new[0] if len(new) else 1.0


SPLITS = {  # close before, close after, adj before (1 after), new shares for an old one
    "10:1": (500.0, 50.5, 0.1, 10.0),
    "4:1": (499.23, 129.04, 0.25, 4.0),  # AAPL on 31 August 2020
    "7:1": (645.57, 93.70, 1 / 7, 7.0),  # AAPL on 9 June 2014
    "2:1": (48.30, 24.96, 0.5, 2.0),  # MSFT on 18 February 2003
    "3:2": (60.0, 40.2, 2 / 3, 1.5),
    "5:2": (50.0, 19.7, 0.4, 2.5),
    "20:1": (2255.34, 109.03, 0.05, 20.0),  # GOOG on 18 July 2022 (2255.34 / 20 = 112.77)
    "1:2": (5.0, 10.3, 2.0, 0.5),
    "2:3": (20.0, 29.5, 1.5, 1 / 1.5),
    "1:8": (10.18, 79.80, 8.0, 0.125),  # 10.18 × 8 = 81.44
    "1:20": (2.09, 41.0, 20.0, 0.05),
    "1:35": (0.30, 10.2, 35.0, 1 / 35),
    "3:2 in rounded factors": (60.0, 40.2, 0.67, 1.5),
    "1:8 in rounded factors": (10.0, 80.0, 7.95, 0.125),
    "3:2 and a dividend of 2%": (90.0, 58.8, 0.98 / 1.5, 1.5),  # 90 × .98 / 1.5
    "2:1 and a dividend of 0.5%": (80.0, 39.8, 0.995 / 2, 2.0),
    "10:1 and a dividend of 1%": (500.0, 49.5, 0.099, 10.0),
    "1:8 and a dividend of 3%": (10.0, 77.6, 8 * 0.97, 0.125),
    "2:1 after good news": (80.0, 46.0, 0.5, 2.0),  # +15%
    "2:1 in a crash": (80.0, 24.0, 0.5, 2.0),  # −40%
}
NONE = {
    "MSFT's dividend of $3.08": (29.97, 27.39, 1 - 3.08 / 29.97),  # 15 November 2004
    **{f"a dividend of {share}%": (100.0, 100.0 - share, 1 - share / 100) for share in (1, 3, 5, 10, 20, 25, 30)},
    "a dividend of 30% on a day of -10%": (100.0, 63.0, 0.7),
    "a dividend of 30% on a day of +10%": (100.0, 77.0, 0.7),
    "a spin-off of 40%": (50.0, 30.0, 0.6),
    "a crash": (100.0, 10.0, 1.0),
    "a factor of 10 without a move of the price": (50.0, 50.5, 0.1),
    "a factor of 8 without a move of the price": (50.0, 50.5, 8.0),
    "a factor of 2 while the price doubles": (50.0, 100.0, 0.5),
    "noise of rounded factors": (100.0, 101.0, 1.004),
    "a factor that rounding lowers by 1.5%": (100.0, 101.0, 1.015),
}


@pytest.mark.parametrize(("before", "after", "adj", "new"), SPLITS.values(), ids=SPLITS)
def test_a_split_is_known_by_its_ratio_and_by_the_move_of_the_price(before, after, adj, new):
    assert step(before, after, adj) == pytest.approx(new, rel=1e-12)


@pytest.mark.parametrize(("before", "after", "adj"), NONE.values(), ids=NONE)
def test_what_changes_no_number_of_shares_is_no_split(before, after, adj):
    assert step(before, after, adj) == 1.0


@pytest.mark.parametrize(("new", "adj"), [(1.5, 2 / 3), (10.0, 0.1), (0.125, 8.0)], ids=["3:2", "10:1", "1:8"])
@pytest.mark.parametrize("dividend", [0.0, 0.02], ids=["alone", "with-a-dividend"])
def test_volume_of_constant_interest_is_constant_through_a_split(new, adj, dividend):
    """Each old share is `new` ones: of as many owners' shares, `new` times as many are traded."""
    after = 30.0 * (1 - dividend) / new
    frame = bars([30, 30, after, after], [adj * (1 - dividend)] * 2 + [1, 1], [1e6, 1e6, 1e6 * new, 1e6 * new])
    found = frame.select(price=continuous(), volume=continuous_volume(frame))
    np.testing.assert_allclose(found["volume"], 1e6, rtol=1e-12)
    np.testing.assert_allclose(found["price"] / found["price"][0], 1.0, rtol=1e-12)


@pytest.mark.parametrize("share", [3, 10, 30], ids="{}%".format)
def test_a_special_dividend_moves_no_volume(share):
    frame = bars([100, 100, 100 - share, 100 - share], [1 - share / 100] * 2 + [1, 1], [7e6, 5e6, 6e6, 4e6])
    assert continuous_volume(frame).to_list() == [7e6, 5e6, 6e6, 4e6]
    np.testing.assert_allclose(frame.select(continuous()).to_series(), 100.0 - share, rtol=1e-12)


def test_splits_of_one_symbol_are_no_others_and_several_multiply():
    one = bars([120, 60, 20, 20], [1 / 6, 1 / 3, 1, 1], [1e6, 2e6, 6e6, 6e6])
    other = bars([9, 9, 9, 9], [1, 1, 1, 1]).with_columns(symbol=pl.lit("B"))
    assert continuous_volume(pl.concat([one, other])).to_list() == pytest.approx([1e6] * 8)


def test_volume_until_a_day_does_not_know_later_splits():
    frame = bars([120, 60, 20, 20], [1 / 6, 1 / 3, 1, 1], [1e6, 2e6, 6e6, 6e6])
    whole, cut = map(continuous_volume, (frame, frame.head(2)))
    assert whole.head(2).equals(cut)
