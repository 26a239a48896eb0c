"""One symbol at a time, backtesting.py enters, leaves and fills as we do, where its rules can say what ours say."""

import warnings
from unittest import mock

import numpy as np
import pandas as pd
import polars as pl
import pytest
from breakout_samples import breakout_settings, days_of, market_of, random_frame

from bq.strategies.breakout.backtest import backtest, signals
from bq.strategies.breakout.prepare import prepare

FREE = breakout_settings(
    costs={"fee_bps": 0.0, "slippage_bps": 0.0},
    exit={"max_holding_days": 250, "hard_stop_atr_mult": 1.5},  # it cannot close at a close: longer than any trade
    risk={"max_exposure": 1.0, "max_adv_share": 0.1},
)


def peer_trades(frame, prepared, found):
    from backtesting import Backtest, Strategy

    m, average = prepared.measures, prepared.average(50).level
    wanted = np.zeros(len(m.close), bool)
    wanted[found.session] = True

    class Peer(Strategy):
        def init(self):
            pass

        def next(self):
            t = len(self.data) - 1
            if self.position:
                if m.close[t, 0] < average[t, 0]:
                    self.position.close()
            elif wanted[t] and t + 1 < len(wanted):
                # the stop hangs on the fill; its rules want it with the order
                self.buy(size=100, sl=m.open[t + 1, 0] - 1.5 * m.atr[t, 0])

    bars = frame.to_pandas().set_index("session").rename(columns=str.title)
    bars.index = pd.DatetimeIndex(bars.index)
    quiet = mock.patch("backtesting.backtesting._tqdm", lambda items, **_: items)
    with quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stats = Backtest(bars, Peer, cash=1e9, commission=0.0, exclusive_orders=False).run()
    return stats["_trades"]


@pytest.mark.parametrize("seed", range(5))
def test_entries_exits_and_fills_are_those_of_backtesting_py(seed):
    rng = np.random.default_rng(seed)
    frame = random_frame(rng, days_of(900), drift=0.001)
    idle = frame.with_columns(volume=pl.lit(1.0))  # never eligible
    prepared = prepare(market_of({"S": frame, "Z": idle}), FREE.universe)
    ours = backtest(prepared, FREE).trades.filter(pl.col("reason").is_in(["stop", "average"]))
    theirs = peer_trades(frame, prepared, signals(prepared, FREE))
    assert len(ours) >= 8 and {"stop", "average"} == set(ours["reason"])
    days = prepared.sessions
    assert ours["entry_session"].to_list() == [days[k].item() for k in theirs["EntryBar"]]
    assert ours["exit_session"].to_list() == [days[k].item() for k in theirs["ExitBar"]]
    assert ours["entry_price"].to_list() == pytest.approx(theirs["EntryPrice"].tolist(), rel=1e-12)
    assert ours["exit_price"].to_list() == pytest.approx(theirs["ExitPrice"].tolist(), rel=1e-12)
