"""The breakout strategy's event loop: how a signal becomes a trade, and what a portfolio makes of all signals.

`follow` is the one place where a trade is filled and left. When and at which price does not depend on the portfolio, so
that a signal that was not taken is followed by the same code.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bq.kernels.technical import CORRELATION, Array, median_up_to, standardised

OPEN, LAPSED, STOP, AVERAGE, HOLDING, DELISTED = range(6)  # how a trade ended
TAKEN, HELD, FILTERED, SLOTS, EXPOSURE, GUARD, UNSEEN = range(7)  # what became of a signal: the first that holds
DUST = 1e-6  # of an order: less is no fill
ABSENT_SESSIONS = 10  # without a bar: the position is closed at the last known close
IMPACT_SHARE = 0.005  # of a day's dollar volume: an order of this size doubles the slippage
SCALE_WINDOW, SCALE_LEAST, SCALE_FLOOR = 252, 60, 0.33


class Rules(NamedTuple):
    """Parameters of the loop; shares are of equity, lengths are sessions."""

    stop_multiple: float
    max_holding: int
    risk: float
    max_positions: int
    max_exposure: float
    max_notional: float
    max_adv_share: float
    guard_positions: int
    guard_average: float
    guard_limit: float
    fee: float
    slippage: float
    capital: float


class TradePath(NamedTuple):
    """A trade before costs; sessions are −1 and prices NaN where they have not come."""

    entry: int
    exit: int
    entry_price: float
    exit_price: float
    reason: int


class Held(NamedTuple):
    """What became of a position: exit −1 and NaN while it is open. leaving : sold at the next open there is."""

    exit: int
    price: float
    reason: int
    leaving: bool
    absent: int  # sessions in a row without a bar


class Trades(NamedTuple):
    """Trades of n signals."""

    when: NDArray[np.int64]  # (n, 2): session of entry and of exit, −1 where it has not come
    numbers: Array  # (n, 4): units, entry and exit price after slippage, net R; NaN likewise
    reasons: NDArray[np.int64]  # (n,)


class Book(NamedTuple):
    """What is held or ordered: the first `number` entries, oldest first."""

    signals: NDArray[np.int64]
    symbols: NDArray[np.int64]
    number: NDArray[np.int64]  # of shape (1,)
    together: Array  # (1,): mean correlation of these; NaN where it is not yet known
    total: Array  # (60,): sum of their standardised returns, where `together` is known


@njit(cache=True)
def follow(bars, average, signal, i, rules, end):
    """Path of the trade that a signal at the close of session `signal` asks for, as known at the close of `end`.

    Filled at the next session's open; without a bar there the order lapses. The stop, 2.5 ATR (`stop_multiple`) below
    that open, is live from the entry bar on and fills at min(open, stop); it comes before everything else. A close
    below `average` is left at the next open there is. At `signal + max_holding` the rest is closed at the close.
    """
    entry, due = signal + 1, signal + rules.max_holding
    if entry > end:
        return TradePath(-1, -1, np.nan, np.nan, OPEN)
    if not bars.present[entry, i]:
        return TradePath(-1, -1, np.nan, np.nan, LAPSED)
    price = bars.open[entry, i]
    stop = price - rules.stop_multiple * bars.atr[signal, i]
    found = held(bars, average, i, stop, entry, due, end)
    return TradePath(entry, found.exit, price, found.price, found.reason)


@njit(cache=True)
def held(bars, average, i, stop, entry, due, end):
    """What becomes of a position that was filled at session `entry`, as known at the close of `end`; see `follow`."""
    leaving, absent = False, 0
    for t in range(entry, end + 1):
        if bars.present[t, i]:
            absent = 0
            opened = bars.open[t, i]
            if leaving and opened > stop:
                return Held(t, opened, AVERAGE, leaving, absent)
            if bars.low[t, i] <= stop or opened <= stop:
                return Held(t, min(opened, stop), STOP, leaving, absent)
            leaving = bars.close[t, i] < average[t, i]
        else:
            absent += 1
        if t == due or absent == ABSENT_SESSIONS:
            return Held(t, bars.close[t, i], HOLDING if t == due else DELISTED, leaving, absent)
    return Held(-1, np.nan, OPEN, leaving, absent)


@njit(cache=True)
def slippage_of(bars, t, i, notional, rules):
    """Share of the price lost on an order filled after session t: 8 bp × ATR over its mean × size."""
    calm = min(max(bars.atr_ratio[t, i], 0.5), 3.0)
    dollars = bars.dollars[t, i]
    size = min(1.0 + notional / (IMPACT_SHARE * dollars), 3.0) if dollars > 0.0 else 3.0
    return rules.slippage * calm * size


@njit(cache=True)
def scale_of(volatility, t, i):
    """Median of the last 252 twenty-day volatilities over the present one, within [.33, 1]; 1 with fewer than 60."""
    window = volatility[max(t + 1 - SCALE_WINDOW, 0) : t + 1, i]
    now, n, below = window[-1], 0, 0
    for k in range(window.size):  # by position: only so is it done four at a time
        n += window[k] == window[k]
        below += window[k] < now
    if n < SCALE_LEAST or 2 * below < n - 1:  # no more than the median: nothing to scale
        return 1.0
    return min(max(median_up_to(window, n, now) / now, SCALE_FLOOR), 1.0)


@njit(cache=True)
def size_of(bars, t, i, equity, scale, rules):
    """Units to order at the close of session t: by risk to the stop, at most the notional and the volume share."""
    close, dollars = bars.close[t, i], bars.dollars[t, i]
    by_risk = rules.risk * scale * equity / (rules.stop_multiple * bars.atr[t, i])
    return min(by_risk, rules.max_notional * equity / close, rules.max_adv_share * dollars / close)


@njit(cache=True)
def _fills(bars, signal, i, path, quantity, rules):
    """Entry and exit price with slippage, R net of slippage and fees; NaN where they have not come."""
    lost = slippage_of(bars, signal, i, quantity * bars.close[signal, i], rules)
    entry = path.entry_price * (1.0 + lost)
    if path.exit < 0:
        return entry, np.nan, np.nan
    before = path.exit - 1
    leave = path.exit_price * (1.0 - slippage_of(bars, before, i, quantity * bars.close[before, i], rules))
    earned = leave * (1.0 - rules.fee) - entry * (1.0 + rules.fee)
    return entry, leave, earned / (rules.stop_multiple * bars.atr[signal, i])


@njit(cache=True)
def follow_all(bars, average, sessions, symbols, rules, end):
    """Trades of all signals, each for itself and sized as if the portfolio were new."""
    n = sessions.size
    when, numbers, reasons = np.full((n, 2), -1), np.full((n, 4), np.nan), np.zeros(n, np.int64)
    for k in range(n):
        t, i = sessions[k], symbols[k]
        path = follow(bars, average, t, i, rules, end)
        when[k, 0], when[k, 1], reasons[k] = path.entry, path.exit, path.reason
        numbers[k, 0] = size_of(bars, t, i, rules.capital, scale_of(bars.volatility, t, i), rules)
        if path.entry >= 0:
            numbers[k, 1], numbers[k, 2], numbers[k, 3] = _fills(bars, t, i, path, numbers[k, 0], rules)
    return Trades(when, numbers, reasons)


@njit(cache=True)
def _crowded(returns, t, i, rules, book):
    """Whether the guard rejects symbol i: what is held or ordered moves together, and it with them.

    Correlations are products of standardised windows, and sums of them products with the sum of the windows.
    """
    count, window = book.number[0], np.empty(min(CORRELATION, t + 1))
    if count < rules.guard_positions:
        return False
    total = book.total[: window.size]
    if book.together[0] != book.together[0]:  # not known for this session and these positions
        total[:] = 0.0
        moving = 0
        for slot in range(count):
            moving += standardised(returns[:, book.symbols[slot]], t, window)
            total += window
        book.together[0] = min(((total * total).sum() - moving) / (count * (count - 1)), 1.0)  # more is rounding
    if not book.together[0] > rules.guard_average:
        return False
    standardised(returns[:, i], t, window)
    return min((window * total).sum() / count, 1.0) > rules.guard_limit


@njit(inline="always")  # a call costs more than its work: every array is handed over piece by piece
def _room_at_open(bars, sessions, symbols, rules, t, cash, book, trades):
    """What may be bought at the open of session t: of the most that may be held by then, what is not held already."""
    value = 0.0
    for slot in range(book.number[0]):
        i = symbols[book.signals[slot]]
        if sessions[book.signals[slot]] < t - 1:
            price = bars.open[t, i] if bars.present[t, i] else bars.close[t, i]
            value += trades.numbers[book.signals[slot], 0] * price
    return rules.max_exposure * (cash + value) - value


@njit(inline="always")  # as above
def _morning(bars, average, sessions, symbols, rules, t, end, cash, book, trades):
    """Fill the orders of the last close, take out what leaves today; returns cash earned and notional traded.

    An order was sized at the close. Where the market opens so much higher that it does not fit any more, only what fits
    is bought, older orders first; where nothing does, the order lapses.
    """
    earned = traded = 0.0
    room = _room_at_open(bars, sessions, symbols, rules, t, cash, book, trades)
    kept = 0
    for slot in range(book.number[0]):
        signal = book.signals[slot]
        i = symbols[signal]
        if sessions[signal] == t - 1:  # ordered at the last close
            path = follow(bars, average, t - 1, i, rules, end)
            trades.when[signal, 0], trades.when[signal, 1] = path.entry, path.exit
            trades.reasons[signal] = path.reason
            if path.entry < 0:
                continue
            fills = _fills(bars, t - 1, i, path, trades.numbers[signal, 0], rules)
            if trades.numbers[signal, 0] * fills[0] > room:
                if room < DUST * trades.numbers[signal, 0] * fills[0]:
                    trades.when[signal], trades.reasons[signal] = -1, LAPSED
                    continue
                trades.numbers[signal, 0] = room / fills[0]
                fills = _fills(bars, t - 1, i, path, trades.numbers[signal, 0], rules)
            room -= trades.numbers[signal, 0] * fills[0]
            trades.numbers[signal, 1], trades.numbers[signal, 2], trades.numbers[signal, 3] = fills
            paid = trades.numbers[signal, 0] * fills[0]
            traded += paid
            earned -= paid * (1.0 + rules.fee)
        if trades.when[signal, 1] == t:
            got = trades.numbers[signal, 0] * trades.numbers[signal, 2]
            traded += got
            earned += got * (1.0 - rules.fee)
            continue
        book.signals[kept], book.symbols[kept] = signal, i
        kept += 1
    book.number[0], book.together[0] = kept, np.nan
    return earned, traded


@njit(inline="always")  # as above
def _decide(bars, t, i, priority, equity, room, rules, book):
    """What becomes of a signal, and the units to order."""
    count = book.number[0]
    for slot in range(count):
        if book.symbols[slot] == i:
            return HELD, np.nan
    if priority != priority:  # NaN
        return FILTERED, np.nan
    if count == rules.max_positions:
        return SLOTS, np.nan
    if size_of(bars, t, i, equity, SCALE_FLOOR, rules) * bars.close[t, i] > room:  # the least it can be
        return EXPOSURE, np.nan
    units = size_of(bars, t, i, equity, scale_of(bars.volatility, t, i), rules)
    if units * bars.close[t, i] > room:
        return EXPOSURE, np.nan
    if _crowded(bars.returns, t, i, rules, book):
        return GUARD, np.nan
    return TAKEN, units


@njit(cache=True)
def portfolio(bars, average, sessions, symbols, priority, rules, start, end):
    """Walk the sessions start … end; signals are sorted by session and lie within these.

    priority : the highest of a session is served first, of equals the one that comes first; NaN drops a signal. Returns
    decisions (n,), the trades of what was taken as in `follow_all`, and days
    (n_sessions, 4): equity at the close, share of it invested, notional traded, positions held.
    """
    n = sessions.size
    decisions, days = np.full(n, UNSEEN), np.zeros((end + 1 - start, 4))
    trades = Trades(np.full((n, 2), -1), np.full((n, 4), np.nan), np.zeros(n, np.int64))
    slots = rules.max_positions
    held, unknown = np.zeros((2, slots), np.int64), np.full(1, np.nan)
    book = Book(held[0], held[1], np.zeros(1, np.int64), unknown, np.zeros(CORRELATION))
    cash = rules.capital
    k = 0
    for t in range(start, end + 1):
        earned, traded = _morning(bars, average, sessions, symbols, rules, t, end, cash, book, trades)
        cash += earned
        value = 0.0
        for slot in range(book.number[0]):
            value += trades.numbers[book.signals[slot], 0] * bars.close[t, book.symbols[slot]]
        equity = cash + value
        days[t - start, 0], days[t - start, 1] = equity, value / equity
        days[t - start, 2], days[t - start, 3] = traded, book.number[0]
        room = rules.max_exposure * equity - value
        first = k
        while k < n and sessions[k] == t:
            k += 1
        for j in first + np.argsort(-priority[first:k], kind="mergesort"):
            decisions[j], trades.numbers[j, 0] = _decide(bars, t, symbols[j], priority[j], equity, room, rules, book)
            if decisions[j] == TAKEN:
                room -= trades.numbers[j, 0] * bars.close[t, symbols[j]]
                book.signals[book.number[0]], book.symbols[book.number[0]] = j, symbols[j]
                book.number[0] += 1
                book.together[0] = np.nan
    return decisions, trades, days


@njit(cache=True)
def percentile(values, sessions, symbols):
    """Mid-rank in (0, 1] of values[session, symbol] among all symbols' of the session; .5 where it is NaN.

    values : (n_sessions, n_symbols) in C order.
    """
    out = np.full(sessions.size, 0.5)
    known, of = 0, -1
    for k in range(sessions.size):
        mine, peers = values[sessions[k], symbols[k]], values[sessions[k]]
        if sessions[k] != of:
            known, of = (peers == peers).sum(), sessions[k]
        below = up_to = 0
        for other in range(peers.size):
            below += peers[other] < mine
            up_to += peers[other] <= mine
        if mine == mine:
            out[k] = 0.5 * (below + up_to + 1) / known
    return out
