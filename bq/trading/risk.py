"""What open positions can lose, and how they move: Greeks, exposure by underlying and expiry, distance to the exits."""

import datetime as dt
from typing import NamedTuple

import polars as pl

from bq.strategies.desk import Desk, Greeks, Leg, Levels, Mark
from bq.trading import odd
from bq.trading.money import PARTS, parts
from bq.trading.positions import Held
from bq.trading.settlement import intrinsic

NO_GREEKS = Greeks(0.0, 0.0, 0.0, 0.0)
STOCK = Greeks(1.0, 0.0, 0.0, 0.0)


class Line(NamedTuple):
    """An open position at a session's close. Greeks : of all units and all that is no unit; None: there is no price."""

    track: str
    symbol: str
    units: int
    odd: int  # contracts that are no whole unit
    paid: float  # of a unit, per share
    mark: float | None
    quoted: bool | None
    pnl: float | None  # of the whole units, in currency
    delta: float | None  # shares
    gamma: float | None
    vega: float | None  # currency for a volatility point
    theta: float | None  # currency a calendar day
    exposure: float | None  # delta times the price of the underlying
    at_risk: float  # the most that the units can lose from what was paid, in currency
    expiry: dt.date | None
    days_to_expiry: int | None  # None: it does not expire, or has expired already; then there is no mark either
    to_above: float | None  # from the mark to where it is closed with a profit, per share
    to_below: float | None  # … with a loss
    until: dt.date | None


def lines(desk: Desk, held: list[Held], session: dt.date) -> list[Line]:
    """Each position at the close of a session."""
    return [_line(desk, one, session) for one in held]


def _line(desk: Desk, held: Held, session: dt.date) -> Line:
    position, expiry = held.as_position(), min((leg.expiry for leg in held.legs if leg.expiry), default=None)
    gone = past_expiry(expiry, session)
    mark = None if gone else desk.mark(position, session)
    levels = Levels() if gone else desk.levels(position, session)
    whole = _greeks(desk, held, mark, session)
    spot, multiplier, paid = desk.spot(held.event, session), held.legs[0].multiplier, held.price / PARTS
    return Line(
        track=held.owner.track,
        symbol=held.symbol,
        units=held.units,
        odd=sum(map(abs, held.odd.values())),
        paid=paid,
        mark=mark and mark.value,
        quoted=mark and mark.quoted,
        pnl=mark and held.units * multiplier * (parts(mark.value) - held.price) / PARTS,
        delta=whole and whole.delta,
        gamma=whole and whole.gamma,
        vega=whole and whole.vega,
        theta=whole and whole.theta,
        exposure=None if spot is None or whole is None else whole.delta * spot,
        at_risk=abs(held.units) * worst_loss(held.legs, paid) if held.units else 0.0,
        expiry=expiry,
        days_to_expiry=None if expiry is None or gone else (expiry - session).days,
        to_above=None if mark is None or levels.above is None else levels.above - mark.value,
        to_below=None if mark is None or levels.below is None else levels.below - mark.value,
        until=levels.until,
    )


def past_expiry(expiry: dt.date | None, session: dt.date) -> bool:
    """Whether options had expired before a session: what became of them is known once it is settled, and no price."""
    return expiry is not None and expiry < session


def _greeks(desk: Desk, held: Held, mark: Mark | None, session: dt.date) -> Greeks | None:
    """Of all units and of all contracts that are no unit; None where one has no price."""
    unit = (mark and mark.greeks) if held.units else NO_GREEKS
    parts_of = [(held.units, unit)]
    for leg, n in odd.legs(held):
        parts_of.append((n, STOCK if leg.strike is None else desk.greeks(held.event, leg, session)))
    known = [[n * value for value in greeks] for n, greeks in parts_of if greeks is not None]
    return Greeks(*map(sum, zip(*known, strict=True))) if len(known) == len(parts_of) else None


SUMMED = ("delta", "gamma", "vega", "theta", "exposure", "at_risk", "pnl")


def summed(frame: pl.DataFrame, by: str) -> pl.DataFrame:
    """Sums of positions by a column, sorted: their number, how many have no price, and `SUMMED` of those that have one.

    frame : rows of `Line`. A sum is null where none has one.
    """
    counts = {"positions": pl.len().cast(pl.Int64), "unpriced": pl.col("mark").is_null().sum().cast(pl.Int64)}
    known = {name: pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()) for name in SUMMED}
    sums = frame.group_by(by).agg(**known, **counts)
    return sums.select(by, *counts, *SUMMED).sort(by, nulls_last=True)


def frame(found: list[Line]) -> pl.DataFrame:
    """Lines as a frame."""
    kinds = {str: pl.String, int: pl.Int64, float: pl.Float64, bool: pl.Boolean, dt.date: pl.Date}
    schema = {
        name: next(kind for known, kind in kinds.items() if known in (of, *getattr(of, "__args__", ())))
        for name, of in Line.__annotations__.items()
    }
    return pl.DataFrame(found, schema=schema, orient="row")


def worst_loss(legs: tuple[Leg, ...], price: float) -> float:
    """The most that a unit bought at a price can lose by expiry, in currency; of shares their whole price.

    >>> from bq.strategies.desk import Right
    >>> day = dt.date(2019, 6, 21)
    >>> fly = [("C", 95.0, 1), ("C", 100.0, -2), ("C", 105.0, 1)]
    >>> worst_loss(tuple(Leg("A", n, None, day, k, Right(r), 100) for r, k, n in fly), 1.5)
    150.0
    """
    if legs[0].strike is None:
        return abs(price) * legs[0].multiplier
    strikes = [leg.strike for leg in legs if leg.strike is not None]
    spots = [0.0, *strikes, 2.0 * max(strikes)]
    return max(0.0, price - min(sum(leg.ratio * intrinsic(leg, spot) for leg in legs) for spot in spots)) * (
        legs[0].multiplier
    )
