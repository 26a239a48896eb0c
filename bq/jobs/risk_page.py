"""The page of what trading holds, sent and made: outputs/trading/<namespace>.html."""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl

from bq.core.numerals import percent
from bq.core.scalars import count
from bq.jobs import traded, trading_shown
from bq.jobs.trading_orders import order_rows
from bq.strategies.events import weakest_source
from bq.trading import costs, curve, gates, positions, risk
from bq.trading.trader import Trader
from bq.workbench import page, plots
from bq.workbench.phrases import counted

Part = tuple[str, list[Any]]
NAMES = {  # columns for people
    "at_risk": "at risk",
    "pnl": "P&L",
    "exposure": "delta × price",
    "to_above": "to the upper exit",
    "to_below": "to the lower exit",
    "until": "closed at the latest",
    "days_to_expiry": "days to expiry",
}


def write(trader: Trader) -> Path:
    """Write the page as of the trader's session."""
    account, namespace = trader.broker.account, trader.namespace
    held = positions.held(account, namespace)
    orders = order_rows(account, namespace)
    title = f"{namespace} · trading on {account} · {trader.clock.session}"
    sources = pl.DataFrame({"source": [one.source for one in held] or [row["source"] for row in orders]})
    simulated = trader.settings.market.is_simulated
    source = weakest_source(sources) if len(sources) else "simulated" if simulated else "real"
    lines = risk.frame(risk.lines(trader.desk, held, trader.clock.session))
    parts = [
        ("Positions", _positions(lines, trader)),
        ("Greeks and exposure", _exposures(lines)),
        ("Orders of the session", _orders(orders, trader)),
        ("Profit and loss", _made(trader)),
        ("What trading cost", _costs(trader)),
    ]
    target = trading_shown.page(namespace)
    page.write(target, title=title, source=source, parts=parts)
    trading_shown.remember(trader, holds=bool(held))
    return target


def _positions(lines: pl.DataFrame, trader: Trader) -> list[Any]:
    said = f"{counted(len(lines), 'open position')} at the close of {trader.clock.session}."
    if gates.stopped():
        said = f"**The kill switch is on: nothing is sent (make resume).** {said}"
    if (odd := count(lines["odd"].sum())) > 0:
        said += f" **{counted(odd, 'contract')} belong to no whole unit** and are closed at the next close."
    said = f"{said} {expired(lines, trader.clock.session)}".strip()
    explained = (
        "Paid, mark and the distances to the exits are prices of a unit per share; delta is in shares, vega in "
        "currency for a volatility point, theta in currency a calendar day, each of all units. At risk is the largest "
        "possible loss of the units from their price of entry. Marks are priced by listed quotes or bars (quotes), or "
        "by the strategy's pricing model (model)."
    )
    table = plots.table(shown(lines), digits=2, empty="no open position")
    return [said, table, *([explained] if len(lines) else [])]


def expired(lines: pl.DataFrame, session: dt.date) -> str:
    """A sentence on the positions whose options have expired and are not settled yet; empty where there is none."""
    number = sum(risk.past_expiry(expiry, session) for expiry in lines["expiry"])
    if not number:
        return ""
    what = "it" if number == 1 else "them"
    return f"{counted(number, 'position')} past expiry: no mark and no Greeks until `make trade-paper` settles {what}."


def shown(lines: pl.DataFrame) -> pl.DataFrame:
    """Positions for people. lines : of `risk.frame`; columns that say nothing are left out."""
    by = pl.when("quoted").then(pl.lit("quotes")).when(pl.col("mark").is_not_null()).then(pl.lit("model"))
    odd_too = ["odd"] if lines["odd"].sum() else []
    columns = ["track", "symbol", "units", *odd_too, "paid", "mark", "priced by", "pnl", "delta", "gamma", "vega"]
    columns += ["theta", "at_risk", "expiry", "days_to_expiry", "to_above", "to_below", "until"]
    return _named(lines.with_columns(by.alias("priced by")).select(columns))


def _exposures(lines: pl.DataFrame) -> list[Any]:
    if lines.is_empty():
        return ["Nothing is held, so nothing moves it."]
    whole = risk.summed(lines.with_columns(pl.lit("all tracks").alias("track")), "track")
    shown: list[Any] = [plots.table(_sums(pl.concat([risk.summed(lines, "track"), whole])), digits=2)]
    shown += ["By underlying:", plots.table(_sums(risk.summed(lines, "symbol")), digits=2)]
    if lines["expiry"].is_not_null().any():
        shown += ["By expiry:", plots.table(_sums(risk.summed(lines, "expiry")), digits=2)]
    return shown


def _sums(frame: pl.DataFrame) -> pl.DataFrame:
    return _named(frame if frame["unpriced"].sum() else frame.drop("unpriced"))


def _named(frame: pl.DataFrame) -> pl.DataFrame:
    kept = [name for name in frame.columns if name in ("mark", "pnl") or not frame[name].is_null().all()]
    return frame.select(kept if len(frame) else frame.columns).rename(NAMES, strict=False)


def _orders(orders: list[dict[str, Any]], trader: Trader) -> list[Any]:
    today = [row for row in orders if row["session"] == trader.clock.session]
    sent = [row for row in today if row["order"]]
    refused = [row for row in today if not row["order"]]
    columns = {"track": "track", "symbol": "symbol", "what": "what", "units": "units"}
    orders_too = {**columns, "order": "order", "kind": "kind", "filled": "filled", "state": "state", "reason": "reason"}
    return [
        f"{counted(len(sent), 'order')} written at this close, {counted(len(refused), 'refusal')}.",
        plots.table(_rows(sent, orders_too), empty="no order was written"),
        "Refused, and why:",
        plots.table(_rows(refused, {**columns, "why": "why"}), empty="nothing was refused"),
    ]


def _rows(rows: list[dict[str, Any]], columns: dict[str, str]) -> pl.DataFrame:
    shown = [{name: row[key] for key, name in columns.items()} for row in rows]
    return pl.DataFrame(shown, schema=None if shown else dict.fromkeys(columns, pl.String), infer_schema_length=None)


def _made(trader: Trader) -> list[Any]:
    account, namespace = trader.broker.account, trader.namespace
    shares = {track.name: track.share for track in trader.settings.trading.tracks}
    capital = trader.settings.trading.capital
    found = positions.accounts(account, namespace)
    table = pl.DataFrame([traded.made(one, shares.get(one.owner.track), capital) for one in found])
    shown: list[Any] = [plots.table(table, digits=2, empty="nothing was traded yet")]
    made = curve.running(account, namespace)
    if made.is_empty():
        return shown
    wide = made.pivot("track", index="session", values="pnl").sort("session")
    tracks = [name for name in wide.columns if name != "session"]
    titles = {"title": "Profit and loss since the first order", "x_title": "session", "y_title": "P&L, currency"}
    note = (
        f"{counted(len(wide), 'session')}. A track trades its share of the capital ({_shares(shares)}): compare "
        "returns on it, not amounts. No interval stands here; whether the tracks differ is not said by this curve."
    )
    return [*shown, plots.lines(wide, "session", tracks, **titles), note]


def _shares(shares: dict[str, float]) -> str:
    return ", ".join(f"{name} {percent(share)}" for name, share in shares.items())


def _costs(trader: Trader) -> list[Any]:
    found = costs.of(trader.desk, trader.broker.account, trader.namespace)
    rows = [
        {
            "track": one.track,
            "filled orders": one.orders,
            "without a modelled price": one.unpriced,
            "paid beyond the mid": one.paid,
            "modelled": one.modelled,
            "slippage against it": one.slippage,
            "commissions": one.commissions,
            "modelled fees": one.modelled_fees,
        }
        for one in found
    ]
    frame = pl.DataFrame(rows, schema=None if rows else {"track": pl.String})
    said = (
        f"Of the newest {costs.NEWEST} orders at most, in currency. Paid beyond the mid: fills against the price "
        "before costs of the session in which they came (mid of an option, open or close of a share). Modelled: what "
        "label and backtest pay in its place. At the dry-run broker fills are the modelled ones: there slippage is "
        "rounding."
    )
    return [plots.table(frame, digits=2, empty="no order was filled yet"), *([said] if rows else [])]
