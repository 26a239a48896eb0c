"""Small random markets for the breakout strategy, and its rules once more: plain, one session after the other."""

import datetime as dt
import math
from statistics import median

import numpy as np
import polars as pl

from bq.market import MarketData
from bq.market.bars import FINDINGS, SCHEMA, content_hash, rows
from bq.market.calendars import sessions
from bq.strategies.breakout.settings import BreakoutSettings

FIELDS = ("open", "high", "low", "close", "volume")


def breakout_settings(**sections):
    """Default settings; each section by name, its values as a dict."""
    base = {
        "strategy": "breakout",
        "market": {"source": "simulated"},
        "learning": {"features": "breakout_v1", "model": "lightgbm"},
        "universe": {"benchmark": None},
    }
    return BreakoutSettings.model_validate({**base, **sections})


def days_of(count, *, first=dt.date(2012, 1, 3)):
    return sessions("XNYS")["session"].filter(sessions("XNYS")["session"] >= first).head(count)


def market_of(frames):
    """MarketData of frames by symbol, each with session, the FIELDS and perhaps adj."""
    named = [frame.with_columns(symbol=pl.lit(symbol)) for symbol, frame in frames.items()]
    bars = rows(pl.concat(named, how="diagonal"), file="test").select(SCHEMA.names()).sort("symbol", "session")
    none = pl.DataFrame()
    return MarketData(bars, none, FINDINGS.to_frame(), none, "simulated", "XNYS", content_hash(bars))


def random_frame(rng, days, *, drift=0.001, common=None, tie=None):
    """Bars of one symbol: trends, gaps between close and open, rounded prices so that ties happen."""
    n = len(days)
    shock = rng.standard_normal(n) if common is None else 0.8 * common + 0.6 * rng.standard_normal(n)
    close = np.round(50 * np.exp(np.cumsum(drift + 0.015 * shock)), 2 if tie is None else tie)
    opens = np.round(np.append(close[0], close[:-1]) * np.exp(0.008 * rng.standard_t(3, n)), 2)
    high = np.round(np.maximum(opens, close) * np.exp(0.006 * np.abs(rng.standard_normal(n))), 2) + 0.01
    low = np.round(np.minimum(opens, close) * np.exp(-0.006 * np.abs(rng.standard_normal(n))), 2) - 0.01
    volume = np.round(4e5 * np.exp(0.5 * rng.standard_normal(n)))
    return pl.DataFrame({"session": days, **dict(zip(FIELDS, (opens, high, low, close, volume), strict=True))})


def random_market(seed, *, symbols=8, count=420):
    """A market with missing days, a late start, a delisting, a twin (equal scores) and strong common moves."""
    rng = np.random.default_rng(seed)
    days = days_of(count)
    common = rng.standard_normal(count)
    frames = {
        f"S{i}": random_frame(rng, days, drift=0.0015, common=common if rng.random() < 0.6 else None, tie=1)
        for i in range(symbols)
    }
    gone = rng.random(count) < 0.04
    frames["S0"] = frames["S0"].filter(~pl.Series(gone))
    frames["S1"] = frames["S1"].head(int(count * rng.uniform(0.5, 0.9)))
    hole = int(count * rng.uniform(0.4, 0.8))
    frames["S2"] = pl.concat([frames["S2"].head(hole), frames["S2"].tail(count - hole - int(rng.integers(3, 25)))])
    frames["S3"] = frames["S3"].tail(count - 100)
    frames["TWIN"] = frames["S4"]
    return market_of(frames)


def plain_correlation(returns, t, i, j):
    window = slice(max(t - 59, 0), t + 1)
    a, b = returns[window, i], returns[window, j]
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt((a @ a) * (b @ b))
    return float(a @ b) / scale if scale > 0 else 0.0


class PlainPortfolio:
    """The rules of trading, told one session after the other."""

    def __init__(self, prepared, settings):
        self.m, self.s = prepared.measures, settings
        self.average = prepared.average(settings.exit.exit_ma).level
        self.cash = settings.risk.capital
        self.positions, self.orders = [], []
        self.trades, self.decisions, self.equity = [], {}, []

    def run(self, signals, priority, *, start, end):
        by_session = {}
        for k, t in enumerate(signals.session):
            by_session.setdefault(int(t), []).append(k)
        for t in range(start, end + 1):
            self.morning(t)
            value = 0.0
            for p in self.positions:
                value += p["units"] * float(self.m.close[t, p["i"]])
            equity = self.cash + value
            self.equity.append(equity)
            room = self.s.risk.max_exposure * equity - value
            waiting = sorted(
                by_session.get(t, []), key=lambda k: (math.isnan(priority[k]), -priority[k], signals.symbol[k])
            )
            for k in waiting:
                why, units = self.judge(t, int(signals.symbol[k]), priority[k], equity, room)
                self.decisions[k] = why
                if why == "taken":
                    room -= units * float(self.m.close[t, signals.symbol[k]])
                    self.orders.append({"k": k, "i": int(signals.symbol[k]), "signal": t, "units": units})
        self.trades += self.positions
        return self

    def morning(self, t):
        orders, self.orders = self.orders, []
        earned, kept = 0.0, []
        for p in self.positions + [order for order in orders if self.m.present[t, order["i"]]]:
            if "entry" not in p:
                self.enter(p, t)
                earned -= p["units"] * p["entry_price"] * (1.0 + self.s.costs.fee_bps / 1e4)
            if self.leaves(p, t):
                earned += p["units"] * p["exit_price"] * (1.0 - self.s.costs.fee_bps / 1e4)
                self.trades.append(p)
            else:
                kept.append(p)
        self.positions = kept
        self.cash += earned

    def enter(self, p, t):
        i = p["i"]
        opened = float(self.m.open[t, i])
        p["risk"] = self.s.exit.hard_stop_atr_mult * float(self.m.atr[t - 1, i])
        lost = self.slippage(t - 1, i, p["units"] * float(self.m.close[t - 1, i]))
        p.update(entry=t, entry_price=opened * (1.0 + lost), stop=opened - p["risk"], leaving=False, absent=0)

    def leaves(self, p, t):
        i, due = p["i"], p["signal"] + self.s.exit.max_holding_days
        price = reason = None
        if self.m.present[t, i]:
            p["absent"] = 0
            opened, low, close = (float(part[t, i]) for part in (self.m.open, self.m.low, self.m.close))
            if p["leaving"] and opened > p["stop"]:
                price, reason = opened, "average"
            elif min(low, opened) <= p["stop"]:
                price, reason = min(opened, p["stop"]), "stop"
            p["leaving"] = close < self.average[t, i]
        else:
            p["absent"] += 1
            close = float(self.m.close[t, i])  # the last known
            if p["absent"] == 10:
                price, reason = close, "delisted"
        if t == due and reason in (None, "delisted"):
            price, reason = close, "holding"
        if reason is None:
            return False
        lost = self.slippage(t - 1, i, p["units"] * float(self.m.close[t - 1, i]))
        fee = self.s.costs.fee_bps / 1e4
        p.update(exit=t, exit_price=price * (1.0 - lost), reason=reason)
        p["r"] = (p["exit_price"] * (1.0 - fee) - p["entry_price"] * (1.0 + fee)) / p["risk"]
        return True

    def slippage(self, t, i, notional):
        calm = min(max(float(self.m.atr_ratio[t, i]), 0.5), 3.0)
        size = min(1.0 + notional / (0.005 * float(self.m.dollars[t, i])), 3.0)
        return self.s.costs.slippage_bps / 1e4 * calm * size

    def judge(self, t, i, priority, equity, room):
        risk = self.s.risk
        members = [p["i"] for p in self.positions + self.orders]
        if i in members:
            return "held", None
        if math.isnan(priority):
            return "filtered", None
        if len(members) == risk.max_positions:
            return "slots", None
        units = self.units(t, i, equity)
        if units * float(self.m.close[t, i]) > room:
            return "exposure", None
        if len(members) >= risk.guard_positions:
            pairs = [(a, b) for a in range(len(members)) for b in range(a)]
            together = [plain_correlation(self.m.returns, t, members[a], members[b]) for a, b in pairs]
            mine = [plain_correlation(self.m.returns, t, i, other) for other in members]
            if np.mean(together) > risk.guard_average and np.mean(mine) > risk.guard_limit:
                return "guard", None
        return "taken", units

    def units(self, t, i, equity):
        risk, close = self.s.risk, float(self.m.close[t, i])
        known = [float(v) for v in self.m.volatility[max(t - 251, 0) : t + 1, i] if not math.isnan(v)]
        scale = 1.0
        if len(known) >= 60:
            scale = min(max(median(known) / known[-1], 0.33), 1.0)
        by_risk = risk.risk_per_trade * scale * equity / (self.s.exit.hard_stop_atr_mult * float(self.m.atr[t, i]))
        return min(
            by_risk, risk.max_notional * equity / close, risk.max_adv_share * float(self.m.dollars[t, i]) / close
        )
