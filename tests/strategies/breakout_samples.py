"""Small random markets for the breakout strategy, and its rules once more: plain, from bars and session by session."""

import datetime as dt
import math
from statistics import median

import numpy as np
import pandas as pd
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


def with_index(market, seed):
    """The market and a level `SPX` beside it, whose bars are complete."""
    frames = {symbol: frame.select("session", *FIELDS) for (symbol,), frame in market.bars.group_by("symbol")}
    days = market.bars["session"].unique().sort()
    return market_of({**frames, "SPX": random_frame(np.random.default_rng(seed + 100), days)})


def plain_signals(market, settings):
    """Signals of the written rules from raw bars (of adj 1), benchmark SPX: session, symbol, fast, score."""
    bars = market.bars.to_pandas().set_index("session")
    index = bars.loc[bars["symbol"] == "SPX", "close"]
    own = {s: plain_measures(f, index, settings) for s, f in bars.groupby("symbol") if s != "SPX"}
    returns = pd.DataFrame({s: f["return"].reindex(index.index) for s, f in own.items()})
    found = []
    for day in sorted({day for f in own.values() for day in f.index[f["signal"]]}):
        today = pd.DataFrame({s: f.loc[day] for s, f in own.items() if day in f.index}).T
        t = index.index.get_loc(day)
        window = returns.iloc[max(t - 59, 0) : t + 1]
        counted = window.columns[window.notna().sum() >= 40]
        together = window[counted].fillna(0.0).corr()
        today["apart"] = 1.0 - (together.sum() - 1.0) / (len(counted) - 1.0)
        ranks = today[["distance", "momentum", "apart"]].astype(float).round(9).rank(pct=True).fillna(0.5)
        score = ranks @ [0.5, 0.3, 0.2]
        found += [(day, s, today.loc[s, "fast"], score[s]) for s in today.index[today["signal"].astype(bool)]]
    return pd.DataFrame(found, columns=["session", "symbol", "fast", "score"])


def plain_measures(frame, index, settings):
    """What the rules ask of each bar of one symbol."""
    close, before, rule = frame["close"], frame["close"].shift(), settings.eligibility
    average = close.rolling(rule.trend_ma).mean()
    ends = pd.concat([frame["high"], before], axis=1).max(axis=1), pd.concat([frame["low"], before], axis=1).min(axis=1)
    atr = (ends[0] - ends[1]).rolling(14).mean()
    market = index.reindex(frame.index)
    fast = close >= before.rolling(20).max() * (1.0 + settings.entry.fast_clearance)
    slow = close >= before.rolling(55).max() * (1.0 + settings.entry.slow_clearance)
    rising = (close > average) & (average / average.shift(20) - 1.0 > rule.min_slope)
    liquid = (close * frame["volume"]).rolling(20).mean() >= rule.min_dollar_volume
    sized = atr.rolling(60).mean().notna()  # the calm of the last 60 is a part of the costs
    return pd.DataFrame(
        {
            "return": np.log(close / before).fillna(0.0),
            "fast": fast,
            "signal": (fast | slow) & rising & liquid & (close >= rule.min_price) & sized,
            "distance": (close - average) / atr,
            "momentum": close / close.shift(60) - market / market.shift(60),
        }
    )


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
        self.trades, self.decisions = [], {}
        self.equity, self.exposure, self.traded = [], [], 0.0

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
            self.exposure.append(value / equity)
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
        held = sum(p["units"] * self.at_open(t, p["i"]) for p in self.positions)
        room = self.s.risk.max_exposure * (self.cash + held) - held
        for p in self.positions + [order for order in orders if self.m.present[t, order["i"]]]:
            if "entry" not in p:
                self.enter(p, t)
                if p["units"] * p["entry_price"] > room:
                    if room < 1e-6 * p["units"] * p["entry_price"]:
                        continue
                    p["units"] = room / p["entry_price"]
                    self.enter(p, t)
                room -= p["units"] * p["entry_price"]
                self.traded += p["units"] * p["entry_price"]
                earned -= p["units"] * p["entry_price"] * (1.0 + self.s.costs.fee_bps / 1e4)
            if self.leaves(p, t):
                self.traded += p["units"] * p["exit_price"]
                earned += p["units"] * p["exit_price"] * (1.0 - self.s.costs.fee_bps / 1e4)
                self.trades.append(p)
            else:
                kept.append(p)
        self.positions = kept
        self.cash += earned

    def at_open(self, t, i):
        return float(self.m.open[t, i] if self.m.present[t, i] else self.m.close[t, i])

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
