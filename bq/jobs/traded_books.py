"""`make positions`, `orders`, `pnl`, `stop` and `resume`: what trading holds, sent and made."""

import datetime as dt
from typing import Any

import polars as pl

from bq import market
from bq.core import files
from bq.core.errors import BadParameters, did_you_mean
from bq.core.settings import Settings
from bq.jobs import traded
from bq.jobs.brokers import account_of
from bq.jobs.request import Request, value
from bq.jobs.trade_paper import now, trader_of
from bq.jobs.trading_orders import order_rows
from bq.monitoring import draws
from bq.trading import gates, positions, risk
from bq.workbench import screen
from bq.workbench.phrases import counted
from bq.workbench.reading import comparison
from bq.workbench.table import table

ROWS = 30  # of orders: the newest


def show_positions(request: Request) -> None:
    """What is held, with its mark, its Greeks, days to expiry, and where it is closed."""
    settings = request.settings
    held = _of_track(positions.held(account_of(settings), str(settings.namespace)), settings)
    if not held:
        screen.show(f"{settings.namespace}: no open position")
        return
    data = market.load(settings.market)
    trader = trader_of(request.strategy, settings, data, now=now(settings, data))
    from bq.jobs import risk_page  # late: the page needs libraries that `orders` and `pnl` do not

    lines = risk.frame(risk.lines(trader.desk, held, trader.clock.session))
    title = f"{settings.namespace} · {trader.clock.session} · {counted(len(held), 'open position')}"
    screen.show(f"{title}\n{table(risk_page.shown(lines))!r}")
    if expired := risk_page.expired(lines, trader.clock.session):
        screen.show(expired)
    screen.show(screen.where("page", risk_page.write(trader)))


def show_orders(request: Request) -> None:
    """The newest orders and refusals, and where each order stands."""
    settings = request.settings
    rows = order_rows(account_of(settings), str(settings.namespace), track=_track(settings), newest=ROWS)
    if not rows:
        screen.show(f"{settings.namespace}: no order yet")
        return
    shown = ("session", "track", "symbol", "order", "kind", "units", "filled", "state", "why")
    told = [row | {"order": row["order"] or "refused", "why": row["why"] or row["reason"]} for row in rows]
    lines = [{name: row[name] for name in shown} for row in told]
    screen.show(repr(table(pl.DataFrame(lines, infer_schema_length=None))))


def show_pnl(request: Request) -> None:
    """What each track made, to the cent (TRACK=: one of them)."""
    settings = request.settings
    found = _of_track(positions.accounts(account_of(settings), str(settings.namespace)), settings)
    if not found:
        screen.show(f"{settings.namespace}: nothing was traded yet")
        return
    shares = {track.name: track.share for track in settings.trading.tracks}
    rows = [traded.made(one, shares.get(one.owner.track), settings.trading.capital) for one in found]
    unmarked = sum(one.unmarked for one in found)
    note = f"\n{counted(unmarked, 'open position')} without a mark yet: at what was paid here" if unmarked else ""
    screen.show(f"{settings.namespace} · since the first order, open positions at their newest marks{note}")
    screen.show(repr(table(pl.DataFrame(rows, infer_schema_length=None), digits=2)))
    screen.show(comparison.split(draws.tested(draws.drawn(settings.namespace), settings.trading)))


def stop(request: Request) -> None:
    """Turn the kill switch on, for every namespace: from now on nothing is sent."""
    files.write_text(gates.switch(), f"{dt.datetime.now(dt.UTC).isoformat()}\n")
    screen.show(
        f"stopped: nothing is sent while {screen.shown(gates.switch())} is there; cancellations go on (make resume)"
    )


def resume(request: Request) -> None:
    """Turn the kill switch off."""
    there = gates.stopped()
    gates.switch().unlink(missing_ok=True)
    screen.show("resumed: orders may be sent again" if there else "the kill switch was not on")


def _track(settings: Settings) -> str | None:
    """The track asked for by TRACK=. Raises BadParameters for none of the settings'."""
    asked, known = value("TRACK"), [track.name for track in settings.trading.tracks]
    if asked is not None and asked not in known:
        raise BadParameters(f"TRACK must be a track of trading.tracks, but got {asked!r}; {did_you_mean(asked, known)}")
    return asked


def _of_track(found: list[Any], settings: Settings) -> list[Any]:
    asked = _track(settings)
    return found if asked is None else [one for one in found if one.owner.track == asked]
