"""Which closes are signals, and how high each stands, against the written rules on raw bars."""

import polars as pl
import pytest
from breakout_samples import FIELDS, breakout_settings, market_of, plain_signals, random_market, with_index

from bq.strategies.breakout.backtest import signals
from bq.strategies.breakout.prepare import prepare

CASES = {
    "defaults": {},
    "levels met exactly": {"entry": {"fast_clearance": 0.0, "slow_clearance": 0.0}},
    "slow breakouts alone": {"entry": {"fast_clearance": 0.1, "slow_clearance": 0.0}},
    "below and above a falling average": {"eligibility": {"min_slope": -1.0}},
    "floors of price and volume": {"eligibility": {"min_price": 55.0, "min_dollar_volume": 2.5e7}},
    "averages apart": {"eligibility": {"trend_ma": 100}, "exit": {"exit_ma": 20}},
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("sections", CASES.values(), ids=CASES.keys())
def test_signals_and_scores_are_those_of_the_written_rules(seed, sections):
    settings = breakout_settings(**{"universe": {"benchmark": "SPX"}, **sections})
    market = with_index(random_market(seed), seed)
    prepared = prepare(market, settings.universe)
    found, plain = signals(prepared, settings), plain_signals(market, settings)
    assert len(found.score) >= 10
    assert prepared.sessions[found.session].tolist() == [day.date() for day in plain["session"]]
    assert [prepared.symbols[i] for i in found.symbol] == plain["symbol"].tolist()
    assert found.fast.tolist() == plain["fast"].tolist()
    assert found.score.tolist() == pytest.approx(plain["score"].tolist(), abs=1e-9)


def test_a_symbol_that_is_gone_has_no_standing_among_those_that_are_left():
    settings = breakout_settings()
    market = random_market(0)
    frames = {symbol: frame.select("session", *FIELDS) for (symbol,), frame in market.bars.group_by("symbol")}
    gone = frames["S5"]["session"][200]
    left = {symbol: f if symbol == "S5" else f.filter(pl.col("session") < gone) for symbol, f in frames.items()}
    prepared = prepare(market_of(left), settings.universe)
    found = signals(prepared, settings)
    alone = found.session >= 250
    assert alone.sum() >= 10 and set(found.symbol[alone]) == {prepared.symbols.index("S5")}
    assert found.score[alone].tolist() == pytest.approx([0.5 + 0.3 + 0.2 * 0.5] * alone.sum())  # the best of one
