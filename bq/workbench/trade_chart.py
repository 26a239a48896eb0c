"""The price of what was traded, from before the decision to after the exit, with its strikes or its stop."""

import datetime as dt
from typing import NamedTuple

import plotly.graph_objects as go
import polars as pl

from bq.core.numerals import significant
from bq.core.scalars import day
from bq.strategies.ticket import Options, Ticket
from bq.workbench import theme
from bq.workbench.plots import lines, no_data

BEFORE, AFTER = 60, 10  # sessions shown


class Trade(NamedTuple):
    """When a trade was decided, entered and left; None while it has not come to it."""

    symbol: str
    decided: dt.date
    entry: dt.date | None
    exit: dt.date | None


def chart(bars: pl.DataFrame, trade: Trade, ticket: Ticket) -> go.Figure:
    """Closes in the unit of the ticket, its levels, and marks at decision, entry and exit.

    bars : session, symbol, open and close of the market, adjusted alike. A stop lies below the open of the entry and is
    drawn from there on.
    """
    title = f"{trade.symbol} around the trade"
    own = bars.filter(symbol=trade.symbol).sort("session")
    known = own.filter(session=trade.decided)
    if known.is_empty():
        return no_data(title, f"There is no bar on {trade.decided}.")
    unit = ticket.reference / known["close"][0]
    prices = own.select("session", pl.col("open", "close") * unit)
    shown = _around(prices, trade)
    axis = "price" if not isinstance(ticket, Options) or ticket.quoted else "% of spot at t0"
    result = lines(shown, "session", ["close"], title=title, x_title="session", y_title=axis)
    levels = _levels(prices, trade, ticket)
    for place, (name, level) in enumerate(levels.items(), start=1):
        result.add_hline(
            level, line=theme.style(place, width=1.2), annotation_text=name, annotation_position="top left"
        )
    for place, (name, at) in enumerate(_marks(trade).items()):
        result.add_trace(_mark(prices, name, at, place))
    return result.update_layout(showlegend=True)


def _around(prices: pl.DataFrame, trade: Trade) -> pl.DataFrame:
    first = int(prices["session"].search_sorted(trade.decided))
    last = int(prices["session"].search_sorted(trade.exit or day(prices["session"].max())))
    return prices[max(first - BEFORE, 0) : last + 1 + AFTER]


def _marks(trade: Trade) -> dict[str, dt.date]:
    known = {"decision": trade.decided, "entry": trade.entry, "exit": trade.exit}
    return {name: at for name, at in known.items() if at is not None}


def _mark(prices: pl.DataFrame, name: str, at: dt.date, place: int) -> go.Scatter:
    price = prices.filter(session=at)["close"]
    marker = {"size": 11, "symbol": ("circle", "triangle-up", "triangle-down")[place], "color": theme.BLACK}
    return go.Scatter(
        x=[str(at)] * len(price), y=theme.numbers(price), name=f"{name} {at}", mode="markers", marker=marker
    )


def _levels(prices: pl.DataFrame, trade: Trade, ticket: Ticket) -> dict[str, float]:
    """Strikes by what is bought and sold at them; or the stop, from the open of the entry where that has come."""
    if isinstance(ticket, Options):
        found: dict[float, str] = {}
        for leg in ticket.legs:
            found[leg.strike] = f"{'buy' if leg.quantity > 0 else 'sell'} at {significant(leg.strike, 6)}"
        return {name: level for level, name in found.items()}
    opened = prices.filter(session=trade.entry)["open"] if trade.entry else pl.Series([], dtype=pl.Float64)
    start = opened[0] if len(opened) else ticket.reference
    return {"stop": start - ticket.distance}
